//! A token as the server knows it: what it opens, until when; not its secret.

use std::fmt;
use std::str::FromStr;

use quipu_module::{ModulePath, Patterns};
use serde::{Deserialize, Serialize};

use super::file::TokenError;
use super::secret::{Secret, hex};

/// Longest name of a token, in bytes.
const MAX_NAME: usize = 100;

/// What a token allows its holder to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Read the modules that the patterns match, and their records.
    Read,
    /// Publish versions of the modules that the patterns match.
    Publish,
    /// Read what names every module: data tiles and feeds. The patterns do not limit it.
    Audit,
    /// Read what concerns operators, such as metrics. The patterns do not limit it.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Read, Self::Publish, Self::Audit, Self::Admin];

    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Publish => "publish",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let known = Self::ALL.into_iter().find(|scope| scope.name() == text);
        known.ok_or_else(|| {
            TokenError::Refused(format!("{text:?} is no scope: there are read, publish, audit, admin"))
        })
    }
}

/// What a new token shall open.
#[derive(Clone, Debug)]
pub struct Grant {
    /// What it is for, for people. One line, at most 100 bytes.
    pub name: String,
    /// What it allows; at least one.
    pub scopes: Vec<Scope>,
    /// The module paths that `read` and `publish` are for: globs as in `go help private`.
    pub patterns: String,
    /// When it ends, in seconds since 1970; never if `None`.
    pub expires: Option<u64>,
}

impl Grant {
    /// Whether it opens something, and only what it says.
    ///
    /// # Errors
    /// It opens nothing, has a malformed pattern, or a name that is none.
    pub(super) fn check(&self) -> Result<Patterns, TokenError> {
        let refused = |why: String| Err(TokenError::Refused(why));
        if self.name.len() > MAX_NAME || self.name.chars().any(char::is_control) {
            return refused(format!("the name of a token is one line of at most {MAX_NAME} bytes"));
        }
        if self.scopes.is_empty() {
            return refused("a token without a scope opens nothing".to_owned());
        }
        let patterns =
            Patterns::parse(&self.patterns).map_err(|error| TokenError::Refused(error.to_string()))?;
        let limited = self.scopes.iter().any(|scope| matches!(scope, Scope::Read | Scope::Publish));
        if limited && patterns.is_empty() {
            return refused("read and publish need patterns of module paths; \"*\" is all".to_owned());
        }
        Ok(patterns)
    }
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    id: String,
    name: String,
    sha256: String,
    scopes: Vec<Scope>,
    #[serde(with = "as_text")]
    patterns: Patterns,
    created: u64,
    expires: Option<u64>,
    /// Whose identity it is, and by which rule it opens something, where somebody else made it.
    #[serde(skip)]
    identity: Option<String>,
}

impl Token {
    /// The token that `secret` opens, made at `now` (seconds since 1970).
    ///
    /// # Errors
    /// The grant opens nothing, has a malformed pattern, a name that is none, or has ended.
    pub fn new(secret: &Secret, grant: Grant, now: u64) -> Result<Self, TokenError> {
        let patterns = grant.check()?;
        let Grant { name, mut scopes, expires, .. } = grant;
        scopes.sort_unstable();
        scopes.dedup();
        if expires.is_some_and(|end| end <= now) {
            return Err(TokenError::Refused("it would have expired already".to_owned()));
        }
        let sha256 = hex(&secret.digest());
        let id = sha256.get(..12).unwrap_or_default().to_owned();
        Ok(Self { id, name, sha256, scopes, patterns, created: now, expires, identity: None })
    }

    /// What an identity is here that somebody else vouches for: id, name and identity, as logs call it, from when to when. It
    /// has no secret and is in no file.
    pub(super) fn of_identity(
        grant: &Grant,
        (id, name, identity): (String, String, String),
        (created, expires): (u64, u64),
    ) -> Self {
        let (scopes, patterns) = (grant.scopes.clone(), Patterns::new(&grant.patterns));
        let (sha256, expires) = (String::new(), Some(expires));
        Self { id, name, sha256, scopes, patterns, created, expires, identity: Some(identity) }
    }

    /// What it is called by: the first 12 hexadecimal digits of its SHA-256; for an identity, 12 digits that belong to its
    /// rule and repository.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is for, for people; may be empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// The paths that reading and publishing is allowed for.
    #[must_use]
    pub const fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// When it was made, in seconds since 1970.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.created
    }

    /// When it ends, in seconds since 1970; never if `None`.
    #[must_use]
    pub const fn expires(&self) -> Option<u64> {
        self.expires
    }

    /// Whether it has ended at `now`, in seconds since 1970.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// Whether it has `scope`, for whatever path.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it has `scope` for `path`.
    #[must_use]
    pub fn covers(&self, scope: Scope, path: &ModulePath) -> bool {
        self.has(scope) && self.patterns.matches(path.as_str())
    }

    /// Lower-case hexadecimal SHA-256 of its secret.
    pub(super) fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether a file that says this was written by this program: the digest is one and the id its beginning.
    pub(super) fn is_sound(&self) -> bool {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let digest = self.sha256.len() == 64 && self.sha256.bytes().all(is_hex);
        digest
            && self.id.len() == 12
            && self.sha256.starts_with(&self.id)
            && self.patterns.malformed().is_empty()
    }
}

impl fmt::Display for Token {
    /// Id and name, as logs call it; of an identity, who vouches for it and whose it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identity) = &self.identity {
            return write!(f, "oidc {identity}");
        }
        if self.name.is_empty() {
            return write!(f, "token {}", self.id);
        }
        write!(f, "token {} ({})", self.id, self.name)
    }
}

/// Patterns are written as they were given.
mod as_text {
    use quipu_module::Patterns;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(patterns: &Patterns, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(patterns)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Patterns, D::Error> {
        String::deserialize(from).map(|list| Patterns::new(&list))
    }
}
