//! Which identities may do what: the rules of the configuration.

use std::collections::BTreeMap;

use quipu_fetch::{Scheme, Url};
use sha2::{Digest as _, Sha256};

use super::super::file::TokenError;
use super::super::secret::hex;
use super::super::token::{Grant, Token};
use super::Fault;
use super::claims::{self, Span};
use super::glob::Glob;
use super::jws::Members;

/// Longest name of a rule, and longest pattern of a claim, in bytes.
const MAX_NAME: usize = 60;
const MAX_PATTERN: usize = 200;

/// Claims that the checks of every token are for.
const REGISTERED: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Claims that say how and why a job runs, and not whose it is: everybody has a branch called `main`.
const CIRCUMSTANCES: [&str; 22] = [
    "actor",
    "actor_id",
    "base_ref",
    "ci_config_ref_uri",
    "environment",
    "environment_protected",
    "event_name",
    "head_ref",
    "job_workflow_ref",
    "pipeline_source",
    "ref",
    "ref_path",
    "ref_protected",
    "ref_type",
    "repository_visibility",
    "project_visibility",
    "runner_environment",
    "run_attempt",
    "sha",
    "user_login",
    "workflow",
    "workflow_ref",
];

/// Issuers that sign for whoever has an account there, and the claims that tell their customers apart.
const SHARED: [(&str, &[&str]); 5] = [
    (
        "https://token.actions.githubusercontent.com",
        &["repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise_id", "sub"],
    ),
    ("https://gitlab.com", &["project_path", "project_id", "namespace_path", "namespace_id", "sub"]),
    (
        "https://codeberg.org/api/actions",
        &["repository", "repository_id", "repository_owner", "repository_owner_id", "sub"],
    ),
    ("https://agent.buildkite.com", &["organization_slug", "organization_id", "pipeline_id", "sub"]),
    ("https://accounts.google.com", &["sub", "email", "hd"]),
];

/// A rule: who has these claims, by the word of this issuer, may do this.
#[derive(Clone, Debug)]
pub struct OidcRule {
    /// What the audit log calls it: letters, digits, `.`, `-` and `_`, at most 60.
    pub name: String,
    /// The issuer, exactly as in `iss`: an `https` URL, or an `http` one of this machine itself.
    pub issuer: String,
    /// What `aud` must hold.
    pub audience: String,
    /// Patterns of claims, which must all match whole values that are strings: `*` stands for any characters but `/`, `**` for
    /// any. At least one must say whose the identity is.
    pub claims: BTreeMap<String, String>,
    /// What such an identity may do.
    pub scopes: Vec<super::super::Scope>,
    /// The module paths that `read` and `publish` are for: globs as in `go help private`.
    pub patterns: String,
}

/// A rule that makes sense.
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) url: Url,
    audience: String,
    claims: Vec<(String, Glob)>,
    grant: Grant,
}

impl Rule {
    pub(super) fn new(rule: OidcRule) -> Result<Self, TokenError> {
        let OidcRule { name, issuer, audience, claims, scopes, patterns } = rule;
        let refused = |why: String| TokenError::Refused(format!("the rule for identities {name:?}: {why}"));
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_plain) {
            return Err(refused(format!("its name is not 1 to {MAX_NAME} letters, digits, '.', '-' or '_'")));
        }
        let url = url_of(&issuer).map_err(refused)?;
        if audience.is_empty() {
            return Err(refused("it needs an audience".to_owned()));
        }
        let claims = globs(claims).map_err(refused)?;
        says_whose(&issuer, &claims).map_err(refused)?;
        let grant = Grant { name: name.clone(), scopes, patterns, expires: None };
        grant.check().map_err(|error| refused(error.to_string()))?;
        Ok(Self { name: name.clone(), issuer, url, audience, claims, grant })
    }

    /// The token that an identity is here, by this rule.
    pub(super) fn open(&self, claims: &Members, span: Span, whose: &str) -> Token {
        let repository = claims::repository(claims);
        let digest = Sha256::digest(format!("oidc\n{}\n{repository}\n", self.name));
        let id = hex(digest.get(..6).unwrap_or_default());
        let name = format!("{} {repository}", self.name);
        let identity = format!("{}: {whose}", self.name);
        Token::of_identity(&self.grant, (id, name, identity), (span.issued, span.expires))
    }

    fn fits(&self, claims: &Members) -> bool {
        self.claims.iter().all(|(name, glob)| claims.text(name).is_some_and(|value| glob.matches(value)))
    }
}

/// The first rule that fits.
pub(super) fn choose<'a>(rules: &'a [Rule], claims: &Members) -> Result<&'a Rule, Fault> {
    let mut meant = rules.iter().filter(|rule| claims::is_for(claims, &rule.audience)).peekable();
    meant.peek().ok_or(Fault::Audience)?;
    meant.find(|rule| rule.fits(claims)).ok_or(Fault::Claims)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-_".contains(&byte)
}

fn url_of(issuer: &str) -> Result<Url, String> {
    let url = Url::parse(issuer).filter(|url| !url.path_and_query().contains('?'));
    let url = url.ok_or_else(|| format!("issuer {issuer:?} is not an https URL without a query"))?;
    let authority = url.authority();
    if authority.scheme() == Scheme::Https || authority.is_loopback() {
        return Ok(url);
    }
    Err(format!("issuer {issuer:?}: its keys could be replaced on their way; it must be https"))
}

fn globs(claims: BTreeMap<String, String>) -> Result<Vec<(String, Glob)>, String> {
    let mut globs = Vec::new();
    for (claim, pattern) in claims {
        if REGISTERED.contains(&claim.as_str()) {
            return Err(format!("{claim} is checked anyway and is no claim to match"));
        }
        if pattern.is_empty() || pattern.len() > MAX_PATTERN {
            return Err(format!("the pattern of {claim} is not 1 to {MAX_PATTERN} bytes long"));
        }
        globs.push((claim, Glob::new(&pattern)));
    }
    Ok(globs)
}

/// An issuer vouches for many; a rule must name those that it is for.
fn says_whose(issuer: &str, claims: &[(String, Glob)]) -> Result<(), String> {
    if claims.is_empty() {
        return Err("without claims it would let in everybody that the issuer knows".to_owned());
    }
    let telling = |name: &str| !CIRCUMSTANCES.contains(&name);
    if !claims.iter().any(|(name, glob)| telling(name) && !glob.is_anything()) {
        return Err("none of its claims says whose the job is: name the repository or project".to_owned());
    }
    let shared = SHARED.iter().find(|(known, _)| *known == issuer.trim_end_matches('/'));
    let Some((_, owners)) = shared else { return Ok(()) };
    if claims.iter().any(|(name, glob)| owners.contains(&name.as_str()) && names_owner(name, glob)) {
        return Ok(());
    }
    Err(format!(
        "{issuer} signs for everybody who has an account there: one of {} must name an owner up to its end \
         (\"owner/*\", not \"own*\")",
        owners.join(", ")
    ))
}

/// Whether all that matches belongs to one owner: what stands before the first star holds its whole name.
fn names_owner(claim: &str, glob: &Glob) -> bool {
    let prefix = glob.prefix();
    let colons = prefix.iter().filter(|byte| **byte == b':').count();
    // `owner/…` of a path; `kind:owner/…` or `kind:owner:…` of a subject.
    glob.is_literal() || prefix.contains(&b'/') || claim == "sub" && colons >= 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Scope;

    const GITHUB: &str = "https://token.actions.githubusercontent.com";

    fn rule(issuer: &str, claims: &[(&str, &str)]) -> OidcRule {
        let claims = claims.iter().map(|(name, glob)| ((*name).to_owned(), (*glob).to_owned()));
        OidcRule {
            name: "ci".to_owned(),
            issuer: issuer.to_owned(),
            audience: "sum.corp.example".to_owned(),
            claims: claims.collect(),
            scopes: vec![Scope::Publish],
            patterns: "corp.example".to_owned(),
        }
    }

    fn refusal(rule: OidcRule) -> String {
        Rule::new(rule).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_would_let_in_anybody_is_refused() {
        let own = "https://git.corp.example";
        for (issuer, claims, why) in [
            (own, &[][..], "without claims"),
            (GITHUB, &[], "without claims"),
            (own, &[("ref", "refs/tags/*")], "whose the job is"),
            (own, &[("project_path", "*"), ("ref", "refs/tags/*")], "whose the job is"),
            (own, &[("job_workflow_ref", "corp/ci/.github/workflows/x.yml@main")], "whose the job is"),
            (GITHUB, &[("repository", "**/lib")], "everybody who has an account"),
            (GITHUB, &[("repository", "corp*")], "everybody who has an account"),
            (GITHUB, &[("repository", "corp*/lib")], "everybody who has an account"),
            (GITHUB, &[("repository_owner", "corp*")], "everybody who has an account"),
            (GITHUB, &[("sub", "repo:corp*")], "everybody who has an account"),
            (GITHUB, &[("sub", "repo:**:ref:refs/heads/main")], "everybody who has an account"),
            (GITHUB, &[("run_id", "1")], "everybody who has an account"),
            ("https://gitlab.com/", &[("user_email", "*@corp.example")], "everybody who has an account"),
            (own, &[("aud", "x")], "checked anyway"),
            (own, &[("sub", "")], "bytes long"),
        ] {
            let got = refusal(rule(issuer, claims));
            assert!(got.contains(why) && got.contains("\"ci\""), "{issuer} {claims:?}: {got:?}");
        }
        for (issuer, claims) in [
            (GITHUB, &[("repository", "corp/lib"), ("ref", "refs/tags/*")][..]),
            (GITHUB, &[("repository", "corp/*")]),
            (GITHUB, &[("repository_owner_id", "1234")]),
            (GITHUB, &[("sub", "repo:corp/*:ref:refs/heads/main")]),
            ("https://gitlab.com", &[("namespace_path", "corp/go")]),
            (own, &[("sub", "project_path:*")]),
        ] {
            assert_eq!(refusal(rule(issuer, claims)), "", "{issuer} {claims:?}");
        }
    }

    #[test]
    fn issuers_are_https_or_this_machine() {
        let claims = [("repository", "corp/lib")];
        for issuer in ["http://127.0.0.1:3000", "http://[::1]", "http://localhost:1/x", "https://ci.example/"]
        {
            assert_eq!(refusal(rule(issuer, &claims)), "", "{issuer}");
        }
        for issuer in ["http://ci.example", "http://127.0.0.1.evil.example", "ci.example", "https://x?y", ""]
        {
            assert!(refusal(rule(issuer, &claims)).contains("issuer"), "{issuer}");
        }
        let unnamed = OidcRule { name: "a b".to_owned(), ..rule(GITHUB, &claims) };
        assert!(refusal(unnamed).contains("its name"));
        let nothing = OidcRule { scopes: Vec::new(), ..rule(GITHUB, &claims) };
        assert!(refusal(nothing).contains("scope"));
        let pathless = OidcRule { patterns: String::new(), ..rule(GITHUB, &claims) };
        assert!(refusal(pathless).contains("patterns"));
        let nobody = OidcRule { audience: String::new(), ..rule(GITHUB, &claims) };
        assert!(refusal(nobody).contains("audience"));
    }
}
