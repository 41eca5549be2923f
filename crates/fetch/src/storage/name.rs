//! Names of files, and of directories, in a storage.

use std::borrow::Borrow;
use std::sync::Arc;

/// The way to a file below the root of a storage: elements with slashes between them, none of them empty, `.` or `..`, and
/// without NUL. So joined to any directory it leads below that.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Reads a name; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.into()))
    }

    /// What is called `element` in `directory`, or at the root; `None` if that is no name.
    pub fn below(directory: Option<&Self>, element: &str) -> Option<Self> {
        match directory {
            Some(directory) => Self::parse(&format!("{directory}/{element}")),
            None => Self::parse(element),
        }
    }

    /// One that is made of checked parts.
    pub(crate) fn checked(text: String) -> Self {
        debug_assert!(is_name(&text), "{text:?}");
        Self(text.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory that it lies in; `None` is the root.
    pub fn directory(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(directory, _)| Self(directory.into()))
    }

    /// The text, shared.
    pub(crate) fn key(&self) -> Arc<str> {
        self.0.clone()
    }
}

/// Names are ordered and compared as their texts are.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name(text: &str) -> bool {
    let good = |element: &str| !matches!(element, "" | "." | "..");
    text.split('/').all(good) && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use std::path::{Component, Path};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_lead_below_every_directory(text in "[a./\u{0}]{0,8}|\\PC{0,20}") {
            let Some(name) = Name::parse(&text) else { return Ok(()) };
            let path = Path::new("/root").join(name.as_str());
            let mut components = path.components();
            prop_assert_eq!((components.next(), components.next().is_some()), (Some(Component::RootDir), true));
            prop_assert!(path.starts_with("/root") && path != Path::new("/root"));
            prop_assert!(components.all(|it| matches!(it, Component::Normal(_))));
            let directory = name.directory();
            let last = text.rsplit('/').next().unwrap();
            prop_assert_eq!(Name::below(directory.as_ref(), last), Some(name));
        }
    }

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for text in ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0"] {
            assert_eq!(Name::parse(text), None, "{text:?}");
        }
        for text in ["a", ".staging/7.part", "example.com/m/@v/list", "..a/...", "a b/ä"] {
            assert_eq!(Name::parse(text).unwrap().as_str(), text);
        }
    }
}
