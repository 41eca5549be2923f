//! Which modules come from a repository: what is known from the `Origin` of stored versions, and from their paths.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quipu_module::ModulePath;

use crate::info::Info;
use crate::repo_name::RepoName;

/// Most modules that are remembered in each of the two ways; of further ones it is not known where they come from.
const MAX_MODULES: usize = 200_000;

/// Most modules that one repository is said to hold.
const MAX_OF_ONE: usize = 1000;

/// A module, and where it lies in its repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Housed {
    /// The module.
    pub path: ModulePath,
    /// Its directory in the repository, with slashes; empty for the root.
    pub directory: String,
}

#[derive(Default)]
pub(super) struct Origins {
    /// Held for a look or a change, never while waiting.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The directory of each module in its repository, by the key of that.
    by_repository: HashMap<String, BTreeMap<ModulePath, String>>,
    /// How many these are.
    told: usize,
    /// All modules, by their paths in lower case.
    by_path: BTreeMap<String, ModulePath>,
}

impl Origins {
    /// A module of which something is stored.
    pub(super) fn note_module(&self, path: &ModulePath) {
        let mut known = self.lock();
        if known.by_path.len() < MAX_MODULES {
            known.by_path.insert(path.as_str().to_lowercase(), path.clone());
        }
    }

    /// What upstream says of a version of a module.
    pub(super) fn note(&self, path: &ModulePath, info: &Info) {
        self.note_module(path);
        let Some(origin) = info.origin() else { return };
        let Some(repository) = RepoName::parse(&origin.url) else { return };
        let mut known = self.lock();
        if known.told >= MAX_MODULES {
            return;
        }
        let modules = known.by_repository.entry(repository.key()).or_default();
        let is_new = modules.insert(path.clone(), origin.subdir.trim_matches('/').to_owned()).is_none();
        known.told += usize::from(is_new);
    }

    /// The modules that are known to come from the repository, or whose paths say so.
    pub(super) fn modules_of(&self, repository: &RepoName) -> Vec<Housed> {
        let known = self.lock();
        let (key, below) = (repository.key(), format!("{}/", repository.key()));
        let mut found = known.by_repository.get(&key).cloned().unwrap_or_default();
        let root = known.by_path.get(&key).map(|path| (path.clone(), String::new()));
        let inside = known.by_path.range(below.clone()..).take_while(|(name, _)| name.starts_with(&below));
        let inside = inside
            .map(|(_, path)| (path.clone(), path.as_str().get(below.len()..).unwrap_or_default().to_owned()));
        for (path, directory) in root.into_iter().chain(inside).take(MAX_OF_ONE) {
            found.entry(path).or_insert(directory);
        }
        found.into_iter().take(MAX_OF_ONE).map(|(path, directory)| Housed { path, directory }).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ModulePath {
        ModulePath::parse(text).unwrap()
    }

    fn of(origins: &Origins, address: &str) -> String {
        let housed = origins.modules_of(&RepoName::parse(address).unwrap());
        housed.iter().map(|it| format!("{} in {:?}; ", it.path, it.directory)).collect()
    }

    #[test]
    fn modules_are_known_by_their_origins_and_by_their_paths() {
        let origins = Origins::default();
        for (module, url, subdir) in [
            ("corp.example/tool", "https://git.example/Team/tool", ""),
            ("corp.example/tool/cli", "ssh://git@git.example/team/tool.git", "/cli/"),
            ("corp.example/other", "https://git.example/team/other", ""),
            ("corp.example/local", "/srv/git/local", ""),
        ] {
            let json = format!(r#"{{"Version":"v1.0.0","Origin":{{"URL":"{url}","Subdir":"{subdir}"}}}}"#);
            origins.note(&path(module), &Info::parse(&path(module), json.as_bytes()).unwrap());
        }
        for module in ["git.example/Team/tool", "git.example/team/tool/v2", "git.example/team/tool-box"] {
            origins.note_module(&path(module));
        }
        assert_eq!(
            of(&origins, "git@git.example:team/tool.git"),
            "corp.example/tool in \"\"; corp.example/tool/cli in \"cli\"; git.example/Team/tool in \"\"; \
             git.example/team/tool/v2 in \"v2\"; "
        );
        assert_eq!(of(&origins, "https://git.example/team/other"), "corp.example/other in \"\"; ");
        assert_eq!(
            of(&origins, "https://git.example/team"),
            "git.example/Team/tool in \"tool\"; \
             git.example/team/tool-box in \"tool-box\"; git.example/team/tool/v2 in \"tool/v2\"; "
        );
        assert_eq!(of(&origins, "https://git.example/nobody/nothing"), "");
    }
}
