//! Which repositories modules led to lately, so that what is remembered of these can be forgotten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quipu_module::ModulePath;
use tokio::time::Instant;

use crate::repo_name::RepoName;

/// Most modules of which it is known.
const MAX_KNOWN: usize = 8192;

/// For how long it is of use: longer than the references of a repository are remembered.
const LIFETIME: Duration = Duration::from_secs(60);

/// The addresses of repositories, by modules.
#[derive(Default)]
pub(super) struct Known {
    /// Held for a look or a change, never while waiting.
    addresses: Mutex<HashMap<ModulePath, (Instant, String)>>,
}

impl Known {
    /// The module has just led to the repository at `url`.
    pub(super) fn note(&self, path: &ModulePath, url: &str) {
        let (mut known, now) = (self.lock(), Instant::now());
        if let Some(address) = known.get_mut(path) {
            *address = (now, url.to_owned());
            return;
        }
        if known.len() >= MAX_KNOWN {
            known.retain(|_, (at, _)| at.elapsed() < LIFETIME);
        }
        if known.len() < MAX_KNOWN {
            known.insert(path.clone(), (now, url.to_owned()));
        }
    }

    /// Whether the module led to a repository.
    pub(super) fn has(&self, path: &ModulePath) -> bool {
        self.lock().contains_key(path)
    }

    /// The repository that the module led to, and those that are called as it is; each with a module that led there.
    pub(super) fn about(&self, path: &ModulePath) -> Vec<(ModulePath, String)> {
        let known = self.lock();
        let of = |(module, (_, url)): (&ModulePath, &(Instant, String))| (module.clone(), url.clone());
        let is_meant = |module: &ModulePath, url: &str| {
            let name = RepoName::parse(url);
            module == path || name.is_some_and(|name| name.as_str().eq_ignore_ascii_case(path.as_str()))
        };
        known.iter().filter(|(module, (_, url))| is_meant(module, url)).map(of).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModulePath, (Instant, String)>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ModulePath {
        ModulePath::parse(text).unwrap()
    }

    #[test]
    fn repositories_are_known_by_their_modules_and_by_their_names() {
        let known = Known::default();
        known.note(&path("corp.example/tool"), "https://old.example/tool");
        known.note(&path("corp.example/tool"), "https://git.example/Team/tool.git");
        known.note(&path("corp.example/tool/cli"), "ssh://git@git.example/team/tool");
        known.note(&path("corp.example/other"), "https://git.example/team/other");
        let about = |text: &str| {
            let mut found: Vec<String> =
                known.about(&path(text)).into_iter().map(|(path, url)| format!("{path} {url}")).collect();
            found.sort();
            found
        };
        assert_eq!(about("corp.example/tool"), ["corp.example/tool https://git.example/Team/tool.git"]);
        assert_eq!(
            about("git.example/team/tool"),
            [
                "corp.example/tool https://git.example/Team/tool.git",
                "corp.example/tool/cli ssh://git@git.example/team/tool"
            ]
        );
        assert_eq!(about("git.example/team"), [""; 0]);
        assert_eq!(about("old.example/tool"), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_bounded_and_makes_room() {
        let known = Known::default();
        for n in 0..MAX_KNOWN + 1 {
            known.note(&path(&format!("corp.example/m{n}")), "https://git.example/r");
        }
        assert_eq!(known.lock().len(), MAX_KNOWN);
        tokio::time::advance(LIFETIME).await;
        known.note(&path("corp.example/new"), "https://git.example/r");
        assert_eq!(known.about(&path("corp.example/new")).len(), 1);
        assert_eq!(known.lock().len(), 1);
    }
}
