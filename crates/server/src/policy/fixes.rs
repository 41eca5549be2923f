//! Versions that fix a vulnerability, as OSV files name them (<https://ossf.github.io/osv-schema>).

use std::collections::HashMap;

use quipu_module::semver::Semver;
use quipu_module::{ModulePath, ModuleVersion};
use serde::Deserialize;

use super::PolicyError;

/// Module versions that fix something, and the advisory that says so. The default knows none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixes(HashMap<(String, String), String>);

#[derive(Deserialize)]
struct Advisory {
    #[serde(default)]
    id: String,
    #[serde(default)]
    withdrawn: Option<String>,
    #[serde(default)]
    affected: Vec<Affected>,
}

#[derive(Deserialize)]
struct Affected {
    package: Package,
    #[serde(default)]
    ranges: Vec<Range>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    ecosystem: String,
}

#[derive(Deserialize)]
struct Range {
    r#type: String,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    fixed: Option<String>,
}

impl Fixes {
    /// Adds the `fixed` events of the ecosystem `Go` in an OSV entry, or in a list of entries. Entries that were withdrawn
    /// add nothing.
    ///
    /// # Errors
    /// It is no JSON of that form.
    pub fn add(&mut self, json: &[u8]) -> Result<(), PolicyError> {
        let list = json.trim_ascii_start().starts_with(b"[");
        let parsed = if list {
            serde_json::from_slice::<Vec<Advisory>>(json)
        } else {
            serde_json::from_slice::<Advisory>(json).map(|one| vec![one])
        };
        let advisories =
            parsed.map_err(|error| PolicyError::new(format!("not in the form of OSV: {error}")))?;
        for advisory in advisories.into_iter().filter(|advisory| advisory.withdrawn.is_none()) {
            for affected in advisory.affected {
                self.add_affected(&advisory.id, &affected);
            }
        }
        Ok(())
    }

    fn add_affected(&mut self, id: &str, affected: &Affected) {
        let Package { name, ecosystem } = &affected.package;
        // `stdlib` and `toolchain` are no modules.
        if ecosystem != "Go" || ModulePath::parse(name).is_err() {
            return;
        }
        let ranges = affected.ranges.iter().filter(|range| range.r#type == "SEMVER");
        for version in ranges.flat_map(|range| &range.events).filter_map(|event| event.fixed.as_deref()) {
            if let Some(version) = Semver::parse(&format!("v{}", version.trim_start_matches('v'))) {
                self.0.entry((name.clone(), version.canonical())).or_insert_with(|| id.to_owned());
            }
        }
    }

    /// How many versions are known as fixes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of the first advisory that names this very version as a fix.
    #[must_use]
    pub fn advisory(&self, module: &ModuleVersion) -> Option<&str> {
        if self.is_empty() {
            return None;
        }
        let version = Semver::parse(module.version().as_str())?;
        let key = (module.path().as_str().to_owned(), version.canonical());
        self.0.get(&key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(more: &str, ecosystem: &str, name: &str, kind: &str) -> String {
        format!(
            r#"{{"id":"GO-1","modified":"2024-01-01T00:00:00Z",{more}"affected":[{{
                "package":{{"name":"{name}","ecosystem":"{ecosystem}"}},
                "ranges":[{{"type":"{kind}","events":[{{"introduced":"0"}},{{"fixed":"1.2.3"}},{{"introduced":"2.0.0"}},{{"fixed":"2.1.0-rc.1"}}]}}],
                "ecosystem_specific":{{"imports":[]}}}}]}}"#
        )
    }

    fn knows(json: &str, module: &str) -> bool {
        let mut fixes = Fixes::default();
        fixes.add(json.as_bytes()).unwrap();
        fixes.advisory(&module.parse().unwrap()).is_some_and(|id| id == "GO-1")
    }

    #[test]
    fn fixed_versions_of_go_modules_are_known_exactly() {
        let good = entry("", "Go", "example.com/m", "SEMVER");
        for module in ["example.com/m@v1.2.3", "example.com/m@v2.1.0-rc.1+incompatible"] {
            assert!(knows(&good, module), "{module}");
            assert!(knows(&format!(" [{good},{good}]"), module));
        }
        for module in
            ["example.com/m@v1.2.4", "example.com/m@v1.2.2", "example.com/m/x@v1.2.3", "example.com/n@v1.2.3"]
        {
            assert!(!knows(&good, module), "{module}");
        }
    }

    #[test]
    fn what_does_not_count() {
        for json in [
            entry(r#""withdrawn":"2024-02-01T00:00:00Z","#, "Go", "example.com/m", "SEMVER"),
            entry("", "npm", "example.com/m", "SEMVER"),
            entry("", "Go", "stdlib", "SEMVER"),
            entry("", "Go", "example.com/m", "GIT"),
            r#"{"id":"x","affected":[]}"#.to_owned(),
            "[]".to_owned(),
        ] {
            let mut fixes = Fixes::default();
            fixes.add(json.as_bytes()).unwrap();
            assert!(fixes.is_empty(), "{json}");
        }
        for json in ["", "nothing", "3", r#"{"affected":3}"#, r#"{"affected":[{}]}"#] {
            assert!(Fixes::default().add(json.as_bytes()).is_err(), "{json}");
        }
    }
}
