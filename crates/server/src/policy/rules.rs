//! Rules by path pattern and version range: the first that matches decides.

use std::fmt;

use quipu_module::{ModulePath, ModuleVersion, Patterns};

use super::toolchain::{self, ToolchainRule};
use super::versions::Versions;
use super::{Cooldown, PolicyError, Refused, RefusedBy};

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Offers it, whatever later rules say. The cooldown holds all the same.
    Allow,
    /// Refuses it with the rule's reason.
    Deny,
}

/// A rule about modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    action: Action,
    modules: Patterns,
    versions: Versions,
    reason: String,
}

impl Rule {
    /// A rule about the modules that a list of globs matches, as GOPRIVATE holds them (`*` matches every module), in
    /// these versions.
    ///
    /// # Errors
    /// A glob that is malformed, no glob, or a denial without a reason.
    pub fn new(action: Action, modules: &str, versions: Versions, reason: &str) -> Result<Self, PolicyError> {
        let modules = patterns(modules)?;
        Ok(Self { action, modules, versions, reason: reason_for(action, reason)? })
    }

    fn matches(&self, module: &ModuleVersion) -> bool {
        self.modules.matches(module.path().as_str()) && self.versions.contains(module.version().as_str())
    }
}

/// All rules that configuration gives. The default has none and offers everything.
#[derive(Clone, Debug, Default)]
pub struct Rulebook {
    /// Rules about modules, in order; what none of them matches is offered.
    pub rules: Vec<Rule>,
    /// Rules about toolchains, in order; what none of them matches is offered.
    pub toolchains: Vec<ToolchainRule>,
    /// What holds for young versions.
    pub cooldown: Option<Cooldown>,
    /// Nothing is refused by the rules above: what would be is noted.
    pub dry_run: bool,
}

impl Rulebook {
    /// Whether nothing could be refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.toolchains.is_empty() && self.cooldown.is_none()
    }

    /// What is to be said by path and version alone, that is without the cooldown.
    ///
    /// # Errors
    /// It is refused.
    pub fn judge(&self, module: &ModuleVersion) -> Result<(), Refused> {
        if toolchain::is_toolchain(module)
            && let Some(rule) = self.toolchains.iter().find(|rule| rule.matches(module))
        {
            return rule.judge(module);
        }
        match self.rules.iter().find(|rule| rule.matches(module)) {
            Some(Rule { action: Action::Deny, reason, .. }) => Err(denied(module, reason)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether some version of the module could be offered: if not, nobody has to be asked which there are.
    ///
    /// # Errors
    /// Every version is refused, by one rule.
    pub fn judge_path(&self, path: &ModulePath) -> Result<(), Refused> {
        let mut about = self.rules.iter().filter(|rule| rule.modules.matches(path.as_str()));
        // A denial of some versions leaves the others to the rules behind it.
        let decisive = about.find(|rule| rule.action == Action::Allow || rule.versions.is_all());
        match decisive {
            Some(Rule { action: Action::Deny, reason, .. }) if !toolchain::is_path(path) => {
                Err(denied(path, reason))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn denied(what: &impl fmt::Display, reason: &str) -> Refused {
    Refused { by: RefusedBy::Rule, text: format!("{what}: denied by this server's policy: {reason}") }
}

/// A list of globs that all mean something.
pub(super) fn patterns(list: &str) -> Result<Patterns, PolicyError> {
    let patterns = Patterns::parse(list).map_err(|error| PolicyError::new(error.to_string()))?;
    if patterns.is_empty() {
        return Err(PolicyError::new("no pattern: write \"*\" to mean all"));
    }
    Ok(patterns)
}

/// The reason of a rule: one line, and there for whoever is refused something.
pub(super) fn reason_for(action: Action, reason: &str) -> Result<String, PolicyError> {
    let reason = super::quarantine::one_line(reason)?;
    if reason.is_empty() && action == Action::Deny {
        return Err(PolicyError::new("a denial needs a reason: clients are shown it"));
    }
    Ok(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: Action, modules: &str, versions: &[&str], reason: &str) -> Rule {
        Rule::new(action, modules, Versions::parse(versions).unwrap(), reason).unwrap()
    }

    fn judge(book: &Rulebook, module: &str) -> Result<(), String> {
        book.judge(&module.parse().unwrap()).map_err(|refused| refused.text)
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = vec![
            rule(Action::Allow, "example.com/evil", &["v1.0.1"], ""),
            rule(Action::Deny, "example.com/evil,example.com/worse", &["<v1.2.0"], "CVE-1: use v1.2.0"),
            rule(Action::Allow, "example.com", &[], ""),
            rule(Action::Deny, "*", &[], "not on our list"),
        ];
        let book = Rulebook { rules, ..Rulebook::default() };
        for module in ["example.com/evil@v1.0.1", "example.com/evil@v1.2.0", "example.com/x/y@v0.1.0"] {
            assert_eq!(judge(&book, module), Ok(()), "{module}");
        }
        let why = judge(&book, "example.com/evil@v1.0.0").unwrap_err();
        assert_eq!(why, "example.com/evil@v1.0.0: denied by this server's policy: CVE-1: use v1.2.0");
        assert!(judge(&book, "example.com/worse/sub@v1.1.0").unwrap_err().ends_with("use v1.2.0"));
        assert!(judge(&book, "github.com/a/b@v1.0.0").unwrap_err().ends_with("not on our list"));
        assert!(judge(&book, "golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64").is_err());
        let path = |path: &str| book.judge_path(&ModulePath::parse(path).unwrap());
        assert_eq!(path("example.com/evil"), Ok(()));
        assert_eq!(path("example.com/worse"), Ok(()));
        assert_eq!(path("golang.org/toolchain"), Ok(()));
        assert_eq!(
            path("github.com/a/b").unwrap_err().text,
            "github.com/a/b: denied by this server's policy: not on our list"
        );
        assert!(!book.is_empty());
        assert!(Rulebook::default().is_empty());
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let all = Versions::default;
        for (modules, reason) in [("", "r"), (",", "r"), ("a/[", "r"), ("*", ""), ("*", "two\nlines")] {
            assert!(Rule::new(Action::Deny, modules, all(), reason).is_err(), "{modules} {reason}");
        }
        assert!(Rule::new(Action::Allow, "*", all(), "").is_ok());
    }
}
