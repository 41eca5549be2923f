//! What a token says of itself and of its job, read after its signature was verified.

use serde_json::Value;

use super::Fault;
use super::jws::Members;

/// How far the clocks of an issuer and of this server may differ, in seconds.
const LEEWAY: u64 = 60;

/// Longest life of a token, in seconds.
const MAX_LIFE: u64 = 24 * 60 * 60;

/// Longest part of a claim that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// From when to when a token is valid, in seconds since 1970, half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) issued: u64,
    pub(super) expires: u64,
}

/// The span of a token that is valid at `now`. `exp` and `iat` are required; `nbf` counts if it is there. A clock that is
/// behind the issuer's by a minute is forgiven, a token that has ended is not.
pub(super) fn span(claims: &Members, now: u64) -> Result<Span, Fault> {
    let expires = seconds(claims, "exp")?.ok_or(Fault::Times)?;
    let issued = seconds(claims, "iat")?.ok_or(Fault::Times)?;
    let begins = seconds(claims, "nbf")?.unwrap_or(issued);
    if expires.saturating_sub(issued) > MAX_LIFE || expires <= issued {
        return Err(Fault::Times);
    }
    if now >= expires {
        return Err(Fault::Expired);
    }
    let latest = now.saturating_add(LEEWAY);
    if issued > latest || begins > latest { Err(Fault::Early) } else { Ok(Span { issued, expires }) }
}

/// Whether the token is meant for `audience`, alone or among others.
pub(super) fn is_for(claims: &Members, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(some)) => {
            some.iter().all(Value::is_string) && some.iter().any(|one| one.as_str() == Some(audience))
        }
        _ => false,
    }
}

/// What is built: the repository or project by the names that GitHub, Forgejo and GitLab give it, else the subject.
pub(super) fn repository(claims: &Members) -> String {
    let known = ["repository", "project_path", "sub"];
    shown(known.into_iter().find_map(|name| claims.text(name)).unwrap_or_default())
}

/// Of whom the token is, for logs: issuer, subject, and what identifies the job.
pub(super) fn describe(claims: &Members) -> String {
    let named = [
        ("issuer", "iss"),
        ("subject", "sub"),
        ("repository", "repository"),
        ("project", "project_path"),
        ("ref", "ref"),
        ("run", "run_id"),
        ("attempt", "run_attempt"),
        ("pipeline", "pipeline_id"),
        ("job", "job_id"),
    ];
    let said = named
        .into_iter()
        .filter_map(|(what, claim)| claims.text(claim).map(|value| format!("{what} {}", shown(value))));
    said.collect::<Vec<_>>().join(", ")
}

/// A time (RFC 7519, section 2): seconds since 1970, which may have a fraction. One that is there and is none is no token's.
fn seconds(claims: &Members, name: &str) -> Result<Option<u64>, Fault> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let fraction = || value.as_f64().filter(|time| (0.0..1e15).contains(time)).map(|time| time as u64);
    value.as_u64().or_else(fraction).map(Some).ok_or(Fault::Malformed)
}

fn shown(value: &str) -> String {
    value.chars().take(MAX_SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
