//! Licences of modules: known by the texts in the root of a module, which are compared with those of the SPDX list.

use std::collections::HashSet;
use std::io::{self, Read, Seek};

use quipu_module::{ModuleVersion, read_zip_files};
use spdx::detection::scan::Scanner;
use spdx::detection::{Store, TextData};

/// How much alike two texts must be to be the same licence, from 0 to 1: names and years of authors differ.
const LIKENESS: f32 = 0.9;

/// Longest text that is compared, in bytes; the longest licence of the list has half of that.
const MAX_TEXT: u64 = 128 << 10;

/// Most texts of a module that are compared.
const MAX_TEXTS: usize = 8;

/// What the names of files with licences have in them, in capitals.
const NAMES: [&str; 3] = ["LICENSE", "LICENCE", "COPYING"];

/// The texts of the licences in the SPDX list that the OSI approved or the FSF calls free: 26 MB of memory, and a second of work to
/// make.
pub(crate) struct Licences(Store);

impl Licences {
    pub(crate) fn load() -> Self {
        let (mut store, mut known) = (Store::new(), HashSet::new());
        for (name, text) in spdx::text::LICENSE_TEXTS {
            let free =
                spdx::license_id(name).is_some_and(|id| id.is_osi_approved() || id.is_fsf_free_libre());
            // Some have several names.
            if free && known.insert(*text) {
                store.add_license((*name).to_owned(), TextData::new(text).without_text());
            }
        }
        Self(store)
    }

    /// The SPDX name of a licence whose text lies in the root of the module; `None` if no such text is there. Blocks.
    ///
    /// # Errors
    /// The zip cannot be read.
    pub(crate) fn find(&self, version: &ModuleVersion, zip: impl Read + Seek) -> io::Result<Option<String>> {
        let root = format!("{version}/");
        let wanted = |name: &[u8], size: u64| size <= MAX_TEXT && may_be_licence(name, root.as_bytes());
        let files = read_zip_files(zip, wanted).map_err(io::Error::other)?;
        let texts = files.values().take(MAX_TEXTS).map(|text| String::from_utf8_lossy(text));
        Ok(texts.filter_map(|text| self.recognise(&text)).next())
    }

    /// The name of the licence that the text is, or has in it.
    fn recognise(&self, text: &str) -> Option<String> {
        let scanner = Scanner::new(&self.0).confidence_threshold(LIKENESS).optimize(true).max_passes(1);
        let text = TextData::new(text);
        let result = scanner.scan(&text);
        let within = result.containing.first().map(|contained| contained.license);
        result.license.or(within).map(|licence| licence.name.to_owned())
    }
}

/// Whether a file in a zip may hold a licence, by its name: `LICENSE`, `LICENCE-MIT.txt`, `COPYING.md` and the like, but no code.
fn may_be_licence(name: &[u8], root: &[u8]) -> bool {
    let Some(name) = name.strip_prefix(root) else { return false };
    let name = String::from_utf8_lossy(name).to_ascii_uppercase();
    !name.contains('/') && !name.ends_with(".GO") && NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    static LICENCES: LazyLock<Licences> = LazyLock::new(Licences::load);

    const APACHE: &str = include_str!("../../../LICENSE");
    const MIT: &str = include_str!("../tests/it/licences/MIT");
    const BSD: &str = include_str!("../tests/it/licences/BSD-3-Clause");
    const OWN: &str = "Copyright (c) 2024 Corp Ltd. All rights reserved.\n\nThis software is proprietary and confidential. \
        Unauthorized copying of this file, via any medium, is strictly prohibited. No licence is granted to use, copy, \
        modify or distribute the software or any part of it without the prior written consent of Corp Ltd.\n";

    fn recognise(text: &str) -> Option<String> {
        LICENCES.recognise(text)
    }

    #[test]
    fn texts_are_recognised() {
        let with_words = format!("# My module\n\nIt comes under this licence.\n\n{APACHE}");
        let both = format!("{MIT}\n----\n\n{APACHE}");
        for (text, name) in [
            (APACHE, "Apache-2.0"),
            (MIT, "MIT"),
            (BSD, "BSD-3-Clause"),
            (&MIT.to_uppercase(), "MIT"),
            (&MIT.replace('\n', "\r\n"), "MIT"),
            (&with_words, "Apache-2.0"),
            (&both, "Apache-2.0"),
        ] {
            assert_eq!(recognise(text).as_deref(), Some(name), "{text}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        let half = &APACHE[..APACHE.len() / 2];
        for text in ["", "\n\n", "MIT", "See the file LICENSE.", OWN, half] {
            assert_eq!(recognise(text), None, "{text}");
        }
    }

    #[test]
    fn files_that_may_hold_licences() {
        let is =
            |name: &str| may_be_licence(format!("a.test/m@v1.0.0/{name}").as_bytes(), b"a.test/m@v1.0.0/");
        for name in [
            "LICENSE",
            "license.md",
            "LICENCE-MIT.txt",
            "COPYING",
            "Copying.LESSER",
            "UNLICENSE",
            "MIT-LICENSE",
        ] {
            assert!(is(name), "{name}");
        }
        for name in ["license.go", "README", "sub/LICENSE", "LICENSES/MIT.txt", "go.mod", ""] {
            assert!(!is(name), "{name}");
        }
        assert!(!may_be_licence(b"LICENSE", b"a.test/m@v1.0.0/"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_panics(words in "([a-z(),.\"#*/ \n\\PC]|copyright|license|permission is hereby granted){0,200}") {
            let _ = recognise(&words);
        }

        #[test]
        fn no_mangled_licence_panics(from in 0_usize..11_000, to in 0_usize..11_000, more in "\\PC{0,40}\n{0,9}") {
            let (from, to) = (from.min(to).min(APACHE.len()), to.max(from).min(APACHE.len()));
            let _ = recognise(&format!("{more}{}{more}", &APACHE[from..to]));
        }
    }
}
