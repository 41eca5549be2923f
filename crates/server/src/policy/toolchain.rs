//! Rules about toolchains: the go command downloads them as versions `v0.0.1-go1.24.3.linux-amd64` of the module
//! `golang.org/toolchain`.

use quipu_module::semver::Semver;
use quipu_module::{ModulePath, ModuleVersion, Patterns};

use super::rules::{Action, patterns, reason_for};
use super::versions::Versions;
use super::{PolicyError, Refused, RefusedBy};

/// The module that toolchains are versions of.
const TOOLCHAIN: &str = "golang.org/toolchain";

/// A rule about toolchains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolchainRule {
    action: Action,
    versions: Versions,
    platforms: Patterns,
    reason: String,
}

impl ToolchainRule {
    /// A rule about toolchains of these versions, written as ranges of Go versions (`>=go1.24.2`, `[go1.22, go1.23.9]`,
    /// `go1.25rc1`), for the platforms (`linux-amd64`) that a list of globs matches. No ranges mean all versions, no globs
    /// all platforms.
    ///
    /// # Errors
    /// A range or a glob that is malformed, or a denial without a reason.
    pub fn new(
        action: Action,
        versions: &[impl AsRef<str>],
        platforms: &str,
        reason: &str,
    ) -> Result<Self, PolicyError> {
        let versions = Versions::parse_as(versions, semver_of)?;
        let platforms = patterns(if platforms.is_empty() { "*" } else { platforms })?;
        Ok(Self { action, versions, platforms, reason: reason_for(action, reason)? })
    }

    /// A version that is not of the form above is matched by a rule for all versions and all platforms.
    pub(super) fn matches(&self, module: &ModuleVersion) -> bool {
        match split(module.version().as_str()) {
            Some((version, platform)) => self.versions.contains(&version) && self.platforms.matches(platform),
            None => self.versions.is_all() && self.platforms.to_string() == "*",
        }
    }

    pub(super) fn judge(&self, module: &ModuleVersion) -> Result<(), Refused> {
        match self.action {
            Action::Allow => Ok(()),
            Action::Deny => {
                let name = module.version().as_str().trim_start_matches("v0.0.1-");
                let text = format!("toolchain {name}: denied by this server's policy: {}", self.reason);
                Err(Refused { by: RefusedBy::Toolchain, text })
            }
        }
    }
}

/// Whether this is a toolchain.
pub(super) fn is_toolchain(module: &ModuleVersion) -> bool {
    is_path(module.path())
}

/// Whether the versions of this module are toolchains.
pub(super) fn is_path(path: &ModulePath) -> bool {
    path.as_str() == TOOLCHAIN
}

/// The Go version of a toolchain, as [`semver_of`] writes it, and its platform.
fn split(version: &str) -> Option<(String, &str)> {
    let (go, platform) = version.strip_prefix("v0.0.1-")?.rsplit_once('.')?;
    Some((semver_of(go)?, platform))
}

/// A Go version as a semantic version with the same order: `go1.24.3` is `v1.24.3`, `go1.25rc1` is `v1.25.0-rc.1`.
fn semver_of(go: &str) -> Option<String> {
    let numbers = go.strip_prefix("go")?;
    let plain = match numbers.find(|c: char| c.is_ascii_lowercase()) {
        None => format!("v{numbers}"),
        Some(at) => {
            let (core, pre) = numbers.split_at_checked(at)?;
            let digit = pre.find(|c: char| c.is_ascii_digit())?;
            let (kind, number) = pre.split_at_checked(digit)?;
            // go1.9.2rc2 has all three numbers, the usual go1.25rc1 has two.
            let patch = if core.split('.').count() == 2 { ".0" } else { "" };
            format!("v{core}{patch}-{kind}.{number}")
        }
    };
    Semver::parse(&plain).map(|version| version.canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_versions_in_their_order() {
        let ascending = [
            "go1.9.2rc2",
            "go1.9.2",
            "go1.20",
            "go1.21beta1",
            "go1.21rc1",
            "go1.21rc2",
            "go1.21rc10",
            "go1.21.0",
            "go1.21.1",
            "go1.21.10",
            "go1.100.0",
            "go2.0.0",
        ];
        let semvers: Vec<String> = ascending.iter().map(|go| semver_of(go).unwrap()).collect();
        assert!(semvers.is_sorted_by(|a, b| quipu_module::semver::compare(a, b).is_lt()), "{semvers:?}");
        for wrong in ["", "go", "1.21", "go1.21rc", "go1.21-x", "go1.021", "v1.21.0", "gorc1", "go1.21é"] {
            assert_eq!(semver_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rules_by_version_and_platform() {
        let rule = |action, versions: &[&str], platforms| {
            ToolchainRule::new(action, versions, platforms, "only supported releases").unwrap()
        };
        let book = super::super::Rulebook {
            toolchains: vec![
                rule(Action::Allow, &["[go1.25, go1.25.9]", ">=go1.26.0"], "linux-*,darwin-arm64"),
                rule(Action::Deny, &[], ""),
            ],
            ..Default::default()
        };
        let judge = |version: &str| book.judge(&format!("{TOOLCHAIN}@v0.0.1-{version}").parse().unwrap());
        for good in ["go1.25.0.linux-amd64", "go1.25.9.linux-s390x", "go1.26.1.darwin-arm64"] {
            assert_eq!(judge(good), Ok(()), "{good}");
        }
        for bad in ["go1.25rc1.linux-amd64", "go1.24.9.linux-amd64", "go1.26.1.darwin-amd64", "other"] {
            let refused = judge(bad).unwrap_err();
            assert_eq!(refused.by, RefusedBy::Toolchain);
            assert!(refused.text.starts_with(&format!("toolchain {bad}: ")), "{}", refused.text);
        }
        assert!(ToolchainRule::new(Action::Allow, &["v1.24.0"], "", "").is_err());
        assert_eq!(book.judge(&"example.com/m@v1.0.0".parse().unwrap()), Ok(()));
    }
}
