//! Where in a repository a module is.

use quipu_module::ModulePath;

use crate::error::{Error, Result};

/// A module path and the repository that it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    module: ModulePath,
    /// The module path that the root of the repository (or its subdirectory) stands for.
    root: String,
    /// The directory in which the module's go.mod is expected, but for a major-version directory; empty: the root.
    directory: String,
    url: String,
}

impl Place {
    /// The place of `module` in the git repository at `url` (to be shown to clients, so without credentials), whose
    /// directory `subdirectory` (empty: its root) stands for the path `root`.
    ///
    /// # Errors
    /// `root` is not the beginning of the module path, or `subdirectory` leads out of the repository.
    pub fn git(module: ModulePath, root: &str, subdirectory: &str, url: &str) -> Result<Self> {
        let mismatch = || Error::not_found(format!("mismatched repo: found {root} for {module}"));
        let inside = below(module.as_str(), root).ok_or_else(mismatch)?;
        let inside = if inside.is_empty() {
            inside
        } else {
            below(module.prefix(), root).ok_or_else(|| {
                Error::not_found(format!("repository rooted at {root} cannot contain module {module}"))
            })?
        };
        let directory = clean(&format!("{inside}/{subdirectory}"))
            .ok_or_else(|| Error::rejected(format!("{module}: its directory lies outside the repository")))?;
        Ok(Self { root: root.to_owned(), directory, url: url.to_owned(), module })
    }

    /// The module path.
    pub fn module(&self) -> &ModulePath {
        &self.module
    }

    /// Where go.mod is expected (or, for a path ending in `/vN`, in the directory `vN` there): no slash at either end,
    /// empty for the root of the repository.
    pub fn directory(&self) -> &str {
        &self.directory
    }

    /// The address of the repository.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the tags of the module begin with: empty, or the directory and a slash. Major-version directories have the
    /// tags of the directory above.
    pub fn tag_prefix(&self) -> String {
        if self.directory.is_empty() { String::new() } else { format!("{}/", self.directory) }
    }

    /// The path for which the root of the repository stands.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The module path without its major-version suffix, unless it is that of the root.
    pub(super) fn path_prefix(&self) -> &str {
        if self.root == self.module.as_str() { &self.root } else { self.module.prefix() }
    }

    /// The major-version suffix of the module path.
    pub(super) fn path_major(&self) -> &str {
        self.module.path_major()
    }

    /// `vN` if the path ends in `/vN` and the module may lie in a directory of that name.
    pub(super) fn major_directory(&self) -> Option<&str> {
        if self.root == self.module.as_str() { None } else { self.path_major().strip_prefix('/') }
    }

    /// A path below the module's directory.
    pub(super) fn join(&self, path: &str) -> String {
        self.tag_prefix() + path
    }

    /// Whether versions without a go.mod may have the suffix `+incompatible`.
    pub(super) fn may_be_incompatible(&self) -> bool {
        self.directory.is_empty() && self.path_major().is_empty()
    }
}

/// What follows the elements of `prefix` in `path`, without slashes at its ends.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_matches('/'))
}

/// `path` without empty elements, `.` and `..`; `None` if it leads upwards.
fn clean(path: &str) -> Option<String> {
    let mut kept = Vec::new();
    for element in path.split('/') {
        match element {
            "" | "." => {}
            ".." => drop(kept.pop()?),
            element => kept.push(element),
        }
    }
    Some(kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn place(module: &str, root: &str, subdirectory: &str) -> Result<Place> {
        Place::git(module.parse().unwrap(), root, subdirectory, "https://git.example/r")
    }

    #[test]
    fn directories_of_modules() {
        for (module, root, subdirectory, directory) in [
            ("example.com/r", "example.com/r", "", ""),
            ("example.com/r/a/b", "example.com/r", "", "a/b"),
            ("example.com/r/v2", "example.com/r", "", ""),
            ("example.com/r/v2", "example.com/r/v2", "", ""),
            ("example.com/r/a/v2", "example.com/r", "", "a"),
            ("gopkg.in/yaml.v2", "gopkg.in/yaml.v2", "", ""),
            ("example.com/r", "example.com/r", "sub", "sub"),
            ("example.com/r/a/v3", "example.com/r", "sub/./dir/", "a/sub/dir"),
            ("example.com/r/a", "example.com/r", "../b", "b"),
        ] {
            assert_eq!(place(module, root, subdirectory).unwrap().directory(), directory, "{module}");
        }
    }

    #[test]
    fn repositories_that_hold_no_such_module() {
        for (module, root, text) in [
            ("example.com/rx", "example.com/r", "mismatched repo: found example.com/r for example.com/rx"),
            (
                "gopkg.in/yaml.v2",
                "gopkg.in/yaml",
                "mismatched repo: found gopkg.in/yaml for gopkg.in/yaml.v2",
            ),
            (
                "example.com/r",
                "example.com/r/v2",
                "mismatched repo: found example.com/r/v2 for example.com/r",
            ),
        ] {
            let error = place(module, root, "").unwrap_err();
            assert_eq!((error.kind(), error.text()), (ErrorKind::NotFound, text));
        }
        assert_eq!(
            place("example.com/r/a", "example.com/r", "../../b").unwrap_err().kind(),
            ErrorKind::Rejected
        );
    }
}
