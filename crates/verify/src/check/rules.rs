//! What a record must look like, and which part of it no other record may share.

use std::fmt::Display;

use quipu_module::{H1, SumLine};

use super::common;

/// The rules for the records of one kind of log.
pub trait Rules: Sync {
    /// Judges one record and gives its key: the part that must be unique in the log.
    ///
    /// # Errors
    /// What is wrong with the record, in a few words.
    fn key<'a>(&self, text: &'a [u8]) -> Result<&'a [u8], String>;

    /// A short cut: the lengths of the key and of the whole record with which a text begins, if the rules tell without
    /// looking for a blank line. None says nothing; what it gives must be a good record with that key, and hold no blank
    /// line and no control character but LF.
    fn first(&self, text: &[u8]) -> Option<(usize, usize)> {
        let _ = text;
        None
    }
}

/// The rules of a Go checksum database: exactly two go.sum lines, the zip's before the go.mod's, for one canonical path
/// and version, with well-formed `h1:` hashes. The key is `<path> <version> `, both spaces included.
#[derive(Clone, Copy, Debug, Default)]
pub struct GoSum;

impl Rules for GoSum {
    fn key<'a>(&self, text: &'a [u8]) -> Result<&'a [u8], String> {
        match common::key_len(text).and_then(|len| text.get(..len)) {
            Some(key) => Ok(key),
            None => by_full_rules(text),
        }
    }

    fn first(&self, text: &[u8]) -> Option<(usize, usize)> {
        common::first(text)
    }
}

/// The key of a record by all the rules that module paths, versions and hashes have.
pub(super) fn by_full_rules(text: &[u8]) -> Result<&[u8], String> {
    let line = std::str::from_utf8(text).map_err(|e| e.to_string())?;
    let lines = line.strip_suffix('\n').and_then(|lines| lines.split_once('\n'));
    let (zip, go_mod) = lines.ok_or("want two lines")?;
    let space = zip.rfind(' ').ok_or("want three fields in a line")?;
    let (key, _) = zip.split_at(space);
    if key.ends_with("/go.mod") {
        return Err("the first line must be about the zip".to_owned());
    }
    let _: SumLine = zip.parse().map_err(|e| in_line(1, &e))?;
    let hash = go_mod.strip_prefix(key).and_then(|rest| rest.strip_prefix("/go.mod "));
    let hash = hash.ok_or("the second line must be about the go.mod of the same version")?;
    let _: H1 = hash.parse().map_err(|e| in_line(2, &e))?;
    Ok(&text[..=space])
}

/// Records may be anything; each may occur only once. For logs of other things and for tests of the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnyText;

impl Rules for AnyText {
    fn key<'a>(&self, text: &'a [u8]) -> Result<&'a [u8], String> {
        Ok(text)
    }
}

fn in_line(number: u8, error: &impl Display) -> String {
    format!("line {number}: {error}")
}
