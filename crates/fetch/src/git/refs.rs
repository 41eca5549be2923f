//! What a repository says of its references, read suspiciously: the output of `git ls-remote`.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::vcs::{Oid, Refs};

/// Longest line, in bytes: longer names of references cannot be stored by git itself.
const MAX_LINE: usize = 4096 + 80;

/// Reads lines as they come. All names other than `HEAD`, branches and tags are passed over, and so are those that git
/// could not store here or that are not UTF-8: no version can be named so.
#[derive(Default)]
pub(super) struct RefsReader {
    /// The beginning of a line.
    rest: Vec<u8>,
    refs: Refs,
    /// What annotated tags point at, by the name of the tag.
    peeled: BTreeMap<String, Oid>,
    /// Length of all object names here.
    digits: Option<usize>,
}

impl RefsReader {
    /// Takes the next piece of the output.
    ///
    /// # Errors
    /// It is not of the form `<object>\t<name>`, one a line, or says two things of one name.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(piece);
        let taken = std::mem::take(&mut self.rest);
        let mut lines = taken.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            self.line(line)?;
        }
        if last.len() > MAX_LINE {
            return Err(malformed());
        }
        self.rest = last.to_vec();
        Ok(())
    }

    /// The references, once everything was taken.
    ///
    /// # Errors
    /// The last line is cut.
    pub(super) fn finish(mut self) -> Result<Refs> {
        if !self.rest.is_empty() {
            return Err(malformed());
        }
        for (name, oid) in self.peeled {
            if let Some(tag) = self.refs.tags.get_mut(&name) {
                *tag = oid;
            }
        }
        Ok(self.refs)
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(malformed)?;
        let (oid, name) = line.split_at(tab);
        let oid = std::str::from_utf8(oid).ok().and_then(Oid::parse).ok_or_else(malformed)?;
        if *self.digits.get_or_insert(oid.as_str().len()) != oid.as_str().len() {
            return Err(malformed());
        }
        let Ok(name) = std::str::from_utf8(name.get(1..).unwrap_or_default()) else { return Ok(()) };
        let known = if name == "HEAD" {
            self.refs.head.replace(oid).is_some()
        } else if let Some(branch) = name.strip_prefix("refs/heads/").filter(|_| is_ref_name(name)) {
            self.refs.heads.insert(branch.to_owned(), oid).is_some()
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            match tag.strip_suffix("^{}") {
                Some(tag) => self.peeled.insert(tag.to_owned(), oid).is_some(),
                None if is_ref_name(name) => self.refs.tags.insert(tag.to_owned(), oid).is_some(),
                None => false,
            }
        } else {
            false
        };
        if known { Err(malformed()) } else { Ok(()) }
    }
}

fn malformed() -> Error {
    Error::rejected("the repository lists its references in a malformed way")
}

/// Whether git would store a reference of this name (`git help check-ref-format`), and nothing could take it for anything else.
pub(super) fn is_ref_name(name: &str) -> bool {
    let fine_element =
        |element: &str| !element.is_empty() && !element.starts_with('.') && !element.ends_with(".lock");
    let forbidden = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    let short = name.splitn(3, '/').nth(2).unwrap_or_default();
    name.split('/').all(fine_element)
        && !short.starts_with('-')
        && !name.contains(forbidden)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn read(text: &str) -> Result<Refs> {
        let mut reader = RefsReader::default();
        reader.push(text.as_bytes())?;
        reader.finish()
    }

    #[test]
    fn references_are_sorted_into_kinds_and_tags_peeled() {
        let refs = read(&format!(
            "{A}\tHEAD\n{A}\trefs/heads/main\n{B}\trefs/heads/a/b\n{B}\trefs/pull/1/head\n{B}\trefs/tags/v1.0.0\n\
             {A}\trefs/tags/v1.0.0^{{}}\n{B}\trefs/tags/sub/v1.0.0\n{B}\trefs/notes/x\n{B}\trefs/remotes/x/HEAD\n"
        ))
        .unwrap();
        let (a, b) = (Oid::parse(A).unwrap(), Oid::parse(B).unwrap());
        assert_eq!(refs.head, Some(a.clone()));
        assert_eq!(refs.heads, BTreeMap::from([("main".into(), a.clone()), ("a/b".into(), b.clone())]));
        assert_eq!(refs.tags, BTreeMap::from([("v1.0.0".into(), a), ("sub/v1.0.0".into(), b)]));
        assert_eq!(read("").unwrap(), Refs::default());
    }

    #[test]
    fn names_that_git_would_not_store_are_passed_over() {
        for name in [
            "-x",
            "--upload-pack=x",
            "a..b",
            "a b",
            ".a",
            "a/.b",
            "a//b",
            "a/",
            "a.lock",
            "a.lock/b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "[a",
            "a\\b",
            "a@{1}",
            "a.",
            "a\u{7f}",
            "a\rb",
        ] {
            for kind in ["heads", "tags"] {
                let refs = read(&format!("{A}\trefs/{kind}/{name}\n")).unwrap();
                assert_eq!(refs, Refs::default(), "{name}");
            }
        }
        let mut reader = RefsReader::default();
        reader.push(format!("{A}\trefs/tags/").as_bytes()).unwrap();
        reader.push(b"\xff\n").unwrap();
        assert_eq!(reader.finish().unwrap(), Refs::default());
    }

    #[test]
    fn malformed_lists_are_refused() {
        let sha256 = format!("{A}{}", &A[..24]);
        for bad in [
            format!("{A} refs/heads/main\n"),
            format!("{A}\trefs/heads/main"),
            format!("{}\trefs/heads/main\n", &A[1..]),
            format!("{}\trefs/heads/main\n", A.to_uppercase()),
            format!("{A}\trefs/heads/main\n{B}\trefs/heads/main\n"),
            format!("{A}\tHEAD\n{B}\tHEAD\n"),
            format!("{A}\tHEAD\n{sha256}\trefs/heads/main\n"),
            "\n".to_owned(),
            format!("{A}\trefs/heads/{}", "a".repeat(MAX_LINE)),
        ] {
            assert!(read(&bad).is_err(), "{bad}");
        }
        assert!(read(&format!("{sha256}\tHEAD\n")).unwrap().head.is_some());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in "([ab]{40}\t(HEAD|refs/(heads|tags|pull)/[a-c/.^{}]{1,5})\n){0,8}", at in 0_usize..400) {
            let bytes = text.as_bytes();
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let mut reader = RefsReader::default();
            let pieces = reader.push(first).and_then(|()| reader.push(second)).and_then(|()| reader.finish());
            prop_assert_eq!(pieces, read(&text));
        }

        #[test]
        fn anything_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = RefsReader::default();
            let _ = reader.push(&bytes).and_then(|()| reader.finish());
        }
    }
}
