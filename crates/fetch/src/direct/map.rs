//! Where repositories are that the operator named: no discovery is needed for them, and none is made.

use quipu_module::ModulePath;

use crate::error::{Error, Result};

/// Repositories by the paths of their roots, such as `corp.example/*` at `https://git.corp.example/go/$1.git`.
#[derive(Clone, Debug, Default)]
pub struct RepositoryMap {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    /// The elements of the root; `None` stands for any one.
    elements: Vec<Option<String>>,
    /// What stands before the first `$n`, then each `n` and what follows it.
    url: (String, Vec<(usize, String)>),
}

impl RepositoryMap {
    /// Adds a rule after all others. In `root`, an element `*` stands for any one element; in `url`, `$1` stands for
    /// what the first `*` stood for, and so on up to `$9`.
    ///
    /// # Errors
    /// `root` is not of this form, or `url` names a star that is not there.
    pub fn add(&mut self, root: &str, url: &str) -> Result<()> {
        let malformed = |why: &str| Err(Error::rejected(format!("{root}: {why}")));
        let elements: Vec<Option<String>> =
            root.split('/').map(|element| (element != "*").then(|| element.to_owned())).collect();
        if elements.iter().flatten().any(|element| element.is_empty() || element.contains('*')) {
            return malformed("not a path whose elements are names or \"*\"");
        }
        let stars = elements.iter().filter(|element| element.is_none()).count();
        let mut parts = url.split('$');
        let before = parts.next().unwrap_or_default().to_owned();
        let mut pieces = Vec::new();
        for part in parts {
            let digit = part.chars().next().and_then(|digit| digit.to_digit(10)).map(|digit| digit as usize);
            match digit {
                Some(nth) if (1..=stars).contains(&nth) => {
                    pieces.push((nth - 1, part.chars().skip(1).collect()));
                }
                _ => return malformed("its address names a star that it does not have"),
            }
        }
        self.rules.push(Rule { elements, url: (before, pieces) });
        Ok(())
    }

    /// The root of the repository that holds `path`, and its address, by each rule that matches, in order.
    pub fn find(&self, path: &ModulePath) -> Vec<(String, String)> {
        self.rules.iter().filter_map(|rule| rule.find(path.as_str())).collect()
    }

    /// Whether `path` lies above the roots of a rule: the `go` command asks for such paths when it looks for the module
    /// of a package.
    pub fn is_above(&self, path: &ModulePath) -> bool {
        self.rules.iter().any(|rule| {
            let elements: Vec<&str> = path.as_str().split('/').collect();
            elements.len() < rule.elements.len() && rule.fits(&elements)
        })
    }
}

impl Rule {
    /// Whether these are the first elements of a root, as far as both go.
    fn fits(&self, elements: &[&str]) -> bool {
        let mut pairs = self.elements.iter().zip(elements);
        pairs.all(|(wanted, element)| wanted.as_ref().is_none_or(|name| name == element))
    }

    fn find(&self, path: &str) -> Option<(String, String)> {
        let root: Vec<&str> = path.split('/').take(self.elements.len()).collect();
        if root.len() < self.elements.len() || !self.fits(&root) {
            return None;
        }
        let stars: Vec<&str> = self
            .elements
            .iter()
            .zip(&root)
            .filter(|(wanted, _)| wanted.is_none())
            .map(|(_, element)| *element)
            .collect();
        let (before, pieces) = &self.url;
        let url = pieces.iter().fold(before.clone(), |url, (nth, after)| {
            url + stars.get(*nth).copied().unwrap_or_default() + after
        });
        Some((root.join("/"), url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rules: &[(&str, &str)]) -> RepositoryMap {
        let mut map = RepositoryMap::default();
        rules.iter().for_each(|(root, url)| map.add(root, url).unwrap());
        map
    }

    #[test]
    fn all_rules_that_match_in_order() {
        let map = map(&[
            ("corp.example/lib", "ssh://git@git.corp.example/lib"),
            ("corp.example/*/*", "https://git.corp.example/$1-$2.git?$1"),
            ("*/one", "https://$1"),
        ]);
        let lib = ("corp.example/lib", "ssh://git@git.corp.example/lib");
        let two = ("corp.example/lib/sub", "https://git.corp.example/lib-sub.git?lib");
        for (path, found) in [
            ("corp.example/lib", vec![lib]),
            ("corp.example/lib/sub/v2", vec![lib, two]),
            ("corp.example/a/b/c", vec![("corp.example/a/b", "https://git.corp.example/a-b.git?a")]),
            ("other.example/one/x", vec![("other.example/one", "https://other.example")]),
            ("corp.example/a", vec![]),
            ("corp.example.org/a/b", vec![]),
        ] {
            let found: Vec<_> =
                found.iter().map(|(root, url)| ((*root).to_owned(), (*url).to_owned())).collect();
            assert_eq!(map.find(&ModulePath::parse(path).unwrap()), found, "{path}");
        }
    }

    #[test]
    fn paths_above_roots() {
        let map = map(&[("corp.example/*/lib", "https://git.corp.example/$1")]);
        for (path, above) in [
            ("corp.example", true),
            ("corp.example/a", true),
            ("corp.example/a/lib", false),
            ("corp.example/a/b", false),
            ("other.example", false),
        ] {
            assert_eq!(map.is_above(&ModulePath::parse(path).unwrap()), above, "{path}");
        }
    }

    #[test]
    fn wrong_rules_are_refused() {
        for (root, url) in
            [("", "x"), ("a//b", "x"), ("a/b*", "x"), ("a/*", "x/$2"), ("a/*", "x/$"), ("a", "$0")]
        {
            assert!(RepositoryMap::default().add(root, url).is_err(), "{root} {url}");
        }
    }
}
