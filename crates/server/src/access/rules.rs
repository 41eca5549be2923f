//! The decision: what a request needs, who asks, and whether that is enough.

use std::sync::Arc;

use quipu_module::{ModulePath, Patterns};

use super::token::{Scope, Token};

/// What a request needs to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: everybody may.
    Nothing,
    /// To belong here: what tells no names, and pages that say how this server is used.
    Belong,
    /// To read this module.
    Read(ModulePath),
    /// To publish this module.
    Publish(ModulePath),
    /// To see the names of all modules.
    Audit,
    /// To see how the server is doing.
    Admin,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Nobody in particular.
    Anonymous,
    /// Somebody with credentials that are none here: unknown, revoked, expired, malformed.
    Stranger,
    /// The holder of a token.
    Holder(Arc<Token>),
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Go on, and let shared caches keep the answer: everybody may read it.
    Public,
    /// Go on, but the answer is for this caller alone.
    Private,
    /// Credentials are needed.
    Authenticate,
    /// These credentials are not enough.
    Forbidden,
}

/// The rules of one server.
#[derive(Clone, Debug)]
pub struct Rules {
    anonymous: Patterns,
    /// Everybody may read everything: the log is public, and nothing that reads needs a token.
    open: bool,
}

impl Rules {
    /// Rules by which everybody may read the modules that `anonymous` matches, and everything there is if one of its
    /// globs is `*`.
    #[must_use]
    pub fn new(anonymous: Patterns) -> Self {
        let open = anonymous.to_string().split(',').any(|glob| glob == "*");
        Self { anonymous, open }
    }

    /// Whether everybody may read everything.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn decide(&self, caller: &Caller, need: &Need) -> Verdict {
        if self.everybody_may(need) {
            return Verdict::Public;
        }
        let Caller::Holder(token) = caller else { return Verdict::Authenticate };
        let enough = match need {
            Need::Nothing | Need::Belong => true,
            Need::Read(path) => token.covers(Scope::Read, path),
            Need::Publish(path) => token.covers(Scope::Publish, path),
            Need::Audit => token.has(Scope::Audit),
            Need::Admin => token.has(Scope::Admin),
        };
        if enough { Verdict::Private } else { Verdict::Forbidden }
    }

    fn everybody_may(&self, need: &Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Read(path) => self.open || self.anonymous.matches(path.as_str()),
            Need::Belong | Need::Audit | Need::Admin => self.open,
            Need::Publish(_) => false,
        }
    }
}

impl Default for Rules {
    /// Everybody may read everything.
    fn default() -> Self {
        Self::new(Patterns::new("*"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Grant, Secret};

    fn path(text: &str) -> ModulePath {
        ModulePath::parse(text).unwrap()
    }

    fn holder(scopes: &[Scope], patterns: &str) -> Caller {
        let grant = Grant {
            name: String::new(),
            scopes: scopes.to_vec(),
            patterns: patterns.to_owned(),
            expires: None,
        };
        Caller::Holder(Arc::new(Token::new(&Secret::from_random([1; 32]), grant, 0).unwrap()))
    }

    #[test]
    fn open_is_said_with_a_star_and_nothing_else() {
        for (list, open) in [("*", true), ("a.b,*", true), ("", false), ("*.example", false), ("*/*", false)]
        {
            assert_eq!(Rules::new(Patterns::new(list)).is_open(), open, "{list:?}");
        }
    }

    #[test]
    fn patterns_cover_whole_elements() {
        let rules = Rules::new(Patterns::default());
        let team = holder(&[Scope::Read], "corp.example/team");
        for (asked, verdict) in [
            ("corp.example/team", Verdict::Private),
            ("corp.example/team/x/y", Verdict::Private),
            ("corp.example/teammate", Verdict::Forbidden),
            ("corp.example", Verdict::Forbidden),
            ("corp.example/Team", Verdict::Forbidden),
        ] {
            assert_eq!(rules.decide(&team, &Need::Read(path(asked))), verdict, "{asked}");
        }
    }

    #[test]
    fn a_scope_opens_what_it_names_and_nothing_else() {
        let rules = Rules::new(Patterns::new("open.example"));
        let needs = [
            (Scope::Read, Need::Read(path("corp.example/m"))),
            (Scope::Publish, Need::Publish(path("corp.example/m"))),
            (Scope::Audit, Need::Audit),
            (Scope::Admin, Need::Admin),
        ];
        for (needed, need) in &needs {
            for caller in [Caller::Anonymous, Caller::Stranger] {
                assert_eq!(rules.decide(&caller, need), Verdict::Authenticate);
            }
            for scope in Scope::ALL {
                let verdict = rules.decide(&holder(&[scope], "*"), need);
                let expected = if scope == *needed { Verdict::Private } else { Verdict::Forbidden };
                assert_eq!(verdict, expected, "{scope} for {need:?}");
            }
        }
        let any = holder(&[Scope::Publish], "elsewhere.example");
        assert_eq!(rules.decide(&any, &Need::Belong), Verdict::Private);
        assert_eq!(rules.decide(&Caller::Stranger, &Need::Read(path("open.example/m"))), Verdict::Public);
    }

    #[test]
    fn nobody_publishes_without_a_token_however_open_the_server_is() {
        let rules = Rules::default();
        let need = Need::Publish(path("corp.example/m"));
        assert_eq!(rules.decide(&Caller::Anonymous, &need), Verdict::Authenticate);
        assert_eq!(rules.decide(&holder(&[Scope::Read, Scope::Admin], "*"), &need), Verdict::Forbidden);
        for need in [Need::Belong, Need::Audit, Need::Admin, Need::Read(path("a.b/c"))] {
            assert_eq!(rules.decide(&Caller::Anonymous, &need), Verdict::Public);
        }
    }
}
