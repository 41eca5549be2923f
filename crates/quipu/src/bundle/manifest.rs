//! The manifest of a bundle.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use quipu_note::VerifierKey;
use quipu_tlog::Tree;

/// First line of every manifest.
const FORMAT: &str = "quipu-bundle 1";

/// One file of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its length in bytes.
    pub(crate) length: u64,
    /// SHA-256 of its bytes.
    pub(crate) sha256: [u8; 32],
}

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The key of the log.
    pub(crate) database: VerifierKey,
    /// The head that everything in it is proven by.
    pub(crate) head: Tree,
    /// For a delta: the head of what it adds to.
    pub(crate) since: Option<Tree>,
    /// All files but the manifest, by name.
    pub(crate) files: BTreeMap<String, Entry>,
}

impl Manifest {
    /// Longest manifest that is read, in bytes.
    pub(crate) const MAX_BYTES: u64 = 512 << 20;

    /// Reads what [`Manifest`] prints, and nothing else.
    ///
    /// # Errors
    /// The line that is not as it should be.
    pub(crate) fn parse(text: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(text).context("the manifest is not UTF-8")?;
        let text = text.strip_suffix('\n').context("the manifest is cut off")?;
        let mut lines = (1..).zip(text.split('\n'));
        let mut line = |name: &str| {
            let (number, line) = lines.next().with_context(|| format!("the manifest ends before {name}"))?;
            let value = line.strip_prefix(name).with_context(|| format!("line {number}: no {name}"))?;
            Ok::<_, anyhow::Error>(value)
        };
        ensure!(line(FORMAT)?.is_empty(), "the manifest is of another format than {FORMAT:?}");
        let database = line("database ")?.parse().context("the database is no verifier key")?;
        let head = tree(line("head ")?)?;
        let since = line("since ")?;
        let since = if since == "nothing" { None } else { Some(tree(since)?) };
        ensure!(line("")?.is_empty(), "line 5: not empty");
        let mut files = BTreeMap::new();
        let mut last = "";
        for (number, line) in lines {
            let (name, entry) =
                file(line).with_context(|| format!("line {number} of the manifest is malformed"))?;
            ensure!(name > last, "line {number} of the manifest is out of order");
            last = name;
            files.insert(name.to_owned(), entry);
        }
        Ok(Self { database, head, since, files })
    }
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, head, since, files } = self;
        write!(f, "{FORMAT}\ndatabase {database}\nhead {} {}\n", head.size, head.root)?;
        match since {
            Some(since) => writeln!(f, "since {} {}\n", since.size, since.root)?,
            None => writeln!(f, "since nothing\n")?,
        }
        for (name, entry) in files {
            writeln!(f, "{} {} {name}", hex::encode(entry.sha256), entry.length)?;
        }
        Ok(())
    }
}

fn tree(text: &str) -> Result<Tree> {
    let (size, root) = text.split_once(' ').context("a head is a size and a root")?;
    let tree = Tree { size: number(size)?, root: root.parse().context("a root is a hash in base64")? };
    Ok(tree)
}

/// `<sha256> <length> <name>`.
fn file(line: &str) -> Result<(&str, Entry)> {
    let [sha256, length, name] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { bail!("three words") };
    let mut hash = [0; 32];
    hex::decode_to_slice(sha256, &mut hash)?;
    ensure!(!sha256.bytes().any(|byte| byte.is_ascii_uppercase()), "a hash is in lower case");
    let plain = name.split('/').all(|element| !matches!(element, "" | "." | ".."));
    ensure!(plain && !name.contains(char::is_control), "{name:?} is no plain relative name");
    Ok((name, Entry { length: number(length)?, sha256: hash }))
}

fn number(text: &str) -> Result<u64> {
    let number: u64 = text.parse()?;
    ensure!(number.to_string() == text, "{text:?} is no plain number");
    Ok(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quipu_tlog::Hash;

    use super::*;

    fn manifest(since: Option<u64>, names: &[String]) -> Manifest {
        let database = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let tree = |size| Tree { size, root: Hash::EMPTY_TREE };
        let entry = |name: &String| Entry { length: name.len() as u64, sha256: [7; 32] };
        Manifest {
            database: database.parse().unwrap(),
            head: tree(9),
            since: since.map(tree),
            files: names.iter().map(|name| (name.clone(), entry(name))).collect(),
        }
    }

    proptest! {
        #[test]
        fn manifests_round_trip(
            since in proptest::option::of(any::<u64>()),
            names in proptest::collection::vec("[a-z!@ ]{1,5}(/[a-z@]{1,5}){0,3}", 0..9),
        ) {
            let manifest = manifest(since, &names);
            prop_assert_eq!(Manifest::parse(manifest.to_string().as_bytes()).unwrap(), manifest);
        }

        #[test]
        fn any_bytes_are_a_manifest_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::parse(&bytes);
        }
    }

    #[test]
    fn what_is_cut_off_or_changed_shows() {
        let text = manifest(None, &["a".to_owned(), "b/c".to_owned()]).to_string();
        for end in 0..text.len() {
            let Ok(cut) = Manifest::parse(&text.as_bytes()[..end]) else { continue };
            assert!(cut.files.len() < 2, "{end}");
        }
        for (good, bad) in [
            ("quipu-bundle 1", "quipu-bundle 2"),
            ("since nothing", "since 1"),
            (" 3 b/c", " 03 b/c"),
            (" 3 b/c", " 3 b/../c"),
            (" 3 b/c", " 3 /c"),
            (" 3 b/c", " 3 a"),
            ("0707 1 a", "0707 1 c"),
            ("0707 1 a", "070G 1 a"),
            ("head 9", "head +9"),
        ] {
            assert!(text.contains(good), "{good}");
            assert!(Manifest::parse(text.replace(good, bad).as_bytes()).is_err(), "{bad}");
        }
    }
}
