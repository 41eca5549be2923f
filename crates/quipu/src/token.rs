//! `quipu token`: makes, lists and revokes the tokens of a server, beside which it may run.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, ensure};
use quipu_module::parse_stamp;
use quipu_server::{AuditLog, Event, EventKind, Grant, Scope, Secret, Token, TokenFile};
use serde_json::{Value, json};

use crate::audit_log;
use crate::cli::{TokenCommand, TokenNew};
use crate::keys::DataDir;
use crate::output::tell;
use crate::time::{date, now};

const DAY: u64 = 24 * 60 * 60;

/// Does what was asked.
///
/// # Errors
/// What was asked makes no sense, or the files cannot be used.
pub(crate) fn run(command: TokenCommand) -> Result<ExitCode> {
    match command {
        TokenCommand::New(new) => issue(new)?,
        TokenCommand::List { data, json } => list(&DataDir::new(data.data), json)?,
        TokenCommand::Revoke { id, data, json } => revoke(&DataDir::new(data.data), &id, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn issue(new: TokenNew) -> Result<()> {
    let data = DataDir::new(new.data.data);
    let now = now();
    let grant = Grant {
        name: new.name.unwrap_or_default(),
        scopes: new.scope,
        patterns: new.pattern.join(","),
        expires: expiry(&new.expires, now)?,
    };
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("no randomness for a token")?;
    let secret = Secret::from_random(random);
    let audit = audit_log::open(&data)?;
    let token = TokenFile::new(&data.tokens()).issue(&secret, grant, now)?;
    note(&audit, EventKind::TokenNew, &token);
    if new.json {
        let mut shown = describe(&token, None);
        shown["token"] = Value::from(secret.expose());
        return Ok(tell(shown)?);
    }
    eprintln!("{token}: {}. It is shown this once and stored nowhere.", summary(&token));
    Ok(tell(secret.expose())?)
}

fn list(data: &DataDir, json: bool) -> Result<()> {
    let file = existing(data)?;
    let (tokens, uses) = (file.load()?, file.last_uses());
    if json {
        let tokens: Vec<_> =
            tokens.iter().map(|token| describe(token, uses.get(token.id()).copied())).collect();
        return Ok(tell(Value::from(tokens))?);
    }
    for token in tokens {
        let used = uses.get(token.id()).map_or_else(|| "never".to_owned(), |time| date(*time));
        let name = if token.name().is_empty() { "-" } else { token.name() };
        tell(format_args!("{}  {name}  {}, last used {used}", token.id(), summary(&token)))?;
    }
    Ok(())
}

fn revoke(data: &DataDir, id: &str, json: bool) -> Result<()> {
    let file = existing(data)?;
    let audit = audit_log::open(data)?;
    let token = file.revoke(id)?;
    note(&audit, EventKind::TokenRevoked, &token);
    if json {
        return Ok(tell(describe(&token, None))?);
    }
    Ok(tell(format_args!("{token} is revoked; a running server forgets it within a second"))?)
}

/// The tokens of a data directory that is there.
fn existing(data: &DataDir) -> Result<TokenFile> {
    ensure!(data.path().is_dir(), "there is no data directory {}", data.path().display());
    Ok(TokenFile::new(&data.tokens()))
}

/// Notes it as done by whoever runs this command, and returns when that is on the disk.
fn note(audit: &AuditLog, kind: EventKind, token: &Token) {
    let event = Event::new(kind).who(&audit_log::operator());
    audit.note(event.what(&token.to_string()).detail(&summary(token)));
    audit.close();
}

fn summary(token: &Token) -> String {
    let scopes: Vec<_> = token.scopes().iter().map(ToString::to_string).collect();
    let patterns = token.patterns().to_string();
    let of = if patterns.is_empty() { String::new() } else { format!(" of {patterns}") };
    let until =
        token.expires().map_or_else(|| "without end".to_owned(), |end| format!("until {}", date(end)));
    format!("{}{of}, {until}", scopes.join("+"))
}

fn describe(token: &Token, used: Option<u64>) -> Value {
    json!({
        "id": token.id(),
        "name": token.name(),
        "scopes": token.scopes(),
        "patterns": token.patterns().to_string(),
        "created": date(token.created()),
        "expires": token.expires().map(date),
        "expired": token.is_expired(now()),
        "last_used": used.map(date),
    })
}

/// When a token ends: `never`, so many days or hours from now, or the beginning of a day (UTC).
fn expiry(text: &str, now: u64) -> Result<Option<u64>> {
    let malformed = || anyhow!("--expires {text:?}: say never, 90d, 12h, or a date such as 2027-01-31");
    if text == "never" {
        return Ok(None);
    }
    for (unit, seconds) in [('d', DAY), ('h', 60 * 60)] {
        if let Some(count) = text.strip_suffix(unit) {
            let count: u64 = count.parse().map_err(|_| malformed())?;
            let end = count.checked_mul(seconds).and_then(|span| now.checked_add(span));
            return end.filter(|end| *end < 10_000 * 365 * DAY).map(Some).ok_or_else(malformed);
        }
    }
    let shape = |(byte, shape): (u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == b'-' };
    let is_date = text.len() == 10 && text.bytes().zip(b"0000-00-00").all(shape);
    let stamp = is_date.then(|| parse_stamp(&(text.replace('-', "") + "000000"))).flatten();
    let end = stamp.and_then(|stamp| u64::try_from(stamp).ok());
    end.map(Some).ok_or_else(malformed)
}

/// Reads a token from a file: its first line.
///
/// # Errors
/// The file cannot be read, or holds no token.
pub(crate) fn read(file: &Path) -> Result<Secret> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let token = Secret::parse(text.lines().next().unwrap_or_default().trim());
    token.with_context(|| format!("{} holds no token (quipu_…)", file.display()))
}

/// A scope as it is typed.
///
/// # Errors
/// It is none.
pub(crate) fn parse_scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|error: quipu_server::TokenError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        for (text, end) in [
            ("never", None),
            ("90d", Some(1_000_000 + 90 * DAY)),
            ("12h", Some(1_000_000 + DAY / 2)),
            ("2027-01-31", Some(1_801_353_600)),
        ] {
            assert_eq!(expiry(text, 1_000_000).unwrap(), end, "{text}");
        }
        for text in
            ["", "d", "-1d", "90", "1y", "2027-02-30", "2027-1-31", "20270131--", "99999999999999999999d"]
        {
            assert!(expiry(text, 1_000_000).is_err(), "{text}");
        }
    }
}
