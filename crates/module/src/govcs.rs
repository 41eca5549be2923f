//! Version control systems, and the value of GOVCS: which of them may be used for which paths.

use std::fmt;

use crate::{error::Error, patterns::Patterns, quote::quote};

/// A way to get the code behind a repository root, as go-import tags and GOVCS name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vcs {
    /// Bazaar or Breezy.
    Bzr,
    /// Fossil.
    Fossil,
    /// Git.
    Git,
    /// Mercurial.
    Hg,
    /// Subversion.
    Svn,
    /// No version control: the address is that of a module proxy.
    Mod,
}

impl Vcs {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Bzr, Self::Fossil, Self::Git, Self::Hg, Self::Svn, Self::Mod];

    /// The one with this name. `None` for any other; case counts.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|vcs| vcs.as_str() == name)
    }

    /// The name: of the command that speaks it, or `mod`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bzr => "bzr",
            Self::Fossil => "fossil",
            Self::Git => "git",
            Self::Hg => "hg",
            Self::Svn => "svn",
            Self::Mod => "mod",
        }
    }
}

impl fmt::Display for Vcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of GOVCS: rules `pattern:vcs|vcs…`, of which the first that matches decides (`go help vcs`).
///
/// After the rules that were given come those that always hold, `private:all,public:git|hg`. The patterns `private`
/// and `public` tell paths that match GOPRIVATE from all others; `all` allows every system, and a word that names
/// none, such as `off`, allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Govcs {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    whose: Whose,
    allowed: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Private,
    Public,
    Matching(Patterns),
}

impl Govcs {
    /// Parses a value. The empty one has no rules but those that always hold.
    ///
    /// # Errors
    /// A rule has no pattern, no colon or no list, its pattern is a relative path, or is that of an earlier rule.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let mut items: Vec<(&str, &str)> = Vec::new();
        let mut rules = Vec::new();
        let value = value.trim();
        for item in value.split(',').map(str::trim).filter(|_| !value.is_empty()) {
            let (pattern, list) = split_rule(item).map_err(Error::malformed)?;
            if let Some((_, old)) = items.iter().find(|(old, _)| *old == pattern) {
                let text = format!("unreachable pattern in GOVCS: {} after {}", quote(item), quote(old));
                return Err(Error::malformed(text));
            }
            items.push((pattern, item));
            let allowed: Vec<String> = list.split('|').map(|name| name.trim().to_owned()).collect();
            if allowed.iter().any(String::is_empty) {
                return Err(Error::malformed(format!("empty VCS name in GOVCS: {}", quote(item))));
            }
            rules.push(Rule { whose: Whose::of(pattern), allowed });
        }
        Ok(Self { rules })
    }

    /// Whether `vcs` may be used for the repository whose root has the import path `root`; `private` is GOPRIVATE.
    /// [`Vcs::Mod`] always may: it runs no other program.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, vcs: Vcs, root: &str, private: &Patterns) -> Result<(), Error> {
        let is_private = private.matches(root);
        let rule = self.rules.iter().find(|rule| rule.whose.covers(root, is_private));
        let allowed = match rule {
            _ if vcs == Vcs::Mod => true,
            Some(rule) => rule.allowed.iter().any(|name| name == "all" || name == vcs.as_str()),
            None => is_private || matches!(vcs, Vcs::Git | Vcs::Hg),
        };
        if allowed {
            return Ok(());
        }
        let whose = if is_private { "private" } else { "public" };
        let text = format!("GOVCS disallows using {vcs} for {whose} {root}; see 'go help vcs'");
        Err(Error::malformed(text))
    }
}

impl fmt::Display for Govcs {
    /// The rules in GOVCS syntax, without those that always hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, rule) in self.rules.iter().enumerate() {
            let separator = if position == 0 { "" } else { "," };
            write!(f, "{separator}{}:{}", rule.whose, rule.allowed.join("|"))?;
        }
        Ok(())
    }
}

impl Whose {
    fn of(pattern: &str) -> Self {
        match pattern {
            "private" => Self::Private,
            "public" => Self::Public,
            pattern => Self::Matching(Patterns::new(pattern)),
        }
    }

    fn covers(&self, root: &str, is_private: bool) -> bool {
        match self {
            Self::Private => is_private,
            Self::Public => !is_private,
            Self::Matching(pattern) => pattern.matches(root),
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("private"),
            Self::Public => f.write_str("public"),
            Self::Matching(pattern) => pattern.fmt(f),
        }
    }
}

/// Pattern and list of one rule.
fn split_rule(item: &str) -> Result<(&str, &str), String> {
    if item.is_empty() {
        return Err("empty entry in GOVCS".into());
    }
    let split = item.split_once(':').map(|(pattern, list)| (pattern.trim(), list.trim()));
    match split {
        None => Err(format!("malformed entry in GOVCS (missing colon): {}", quote(item))),
        Some(("", _)) => Err(format!("empty pattern in GOVCS: {}", quote(item))),
        Some((_, "")) => Err(format!("empty VCS list in GOVCS: {}", quote(item))),
        Some((pattern, _)) if is_relative(pattern) => {
            Err(format!("relative pattern not allowed in GOVCS: {}", quote(pattern)))
        }
        Some(split) => Ok(split),
    }
}

fn is_relative(pattern: &str) -> bool {
    matches!(pattern, "." | "..") || pattern.starts_with("./") || pattern.starts_with("../")
}
