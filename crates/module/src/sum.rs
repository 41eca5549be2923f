//! go.sum lines: one by one, as the two lines of a log record, and whole go.sum files.

use std::{fmt, str::FromStr};

use crate::{error::Error, h1::H1, quote::quote, version::ModuleVersion};

/// What a go.sum line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SumKind {
    /// The content of the module's zip.
    Zip,
    /// The go.mod file alone; `/go.mod` follows the version.
    GoMod,
}

impl SumKind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Zip => "",
            Self::GoMod => "/go.mod",
        }
    }
}

/// One line of go.sum: `<path> <version>[/go.mod] h1:<base64>`, without line feed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SumLine {
    /// The module at its version.
    pub module: ModuleVersion,
    /// Zip or go.mod.
    pub kind: SumKind,
    /// The hash of it.
    pub hash: H1,
}

impl fmt::Display for SumLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { module, kind, hash } = self;
        write!(f, "{} {}{} {hash}", module.path(), module.version(), kind.suffix())
    }
}

impl FromStr for SumLine {
    type Err = Error;

    /// Parses exactly what `Display` writes.
    fn from_str(line: &str) -> Result<Self, Error> {
        let malformed = || Error::malformed(format!("malformed go.sum line {}", quote(line)));
        let (path, rest) = line.split_once(' ').ok_or_else(malformed)?;
        let (version, hash) = rest.split_once(' ').ok_or_else(malformed)?;
        Self::from_fields(path, version, hash)
    }
}

impl SumLine {
    fn from_fields(path: &str, version: &str, hash: &str) -> Result<Self, Error> {
        let (version, kind) = match version.strip_suffix(SumKind::GoMod.suffix()) {
            Some(version) => (version, SumKind::GoMod),
            None => (version, SumKind::Zip),
        };
        Ok(Self { module: ModuleVersion::parse(path, version)?, kind, hash: hash.parse()? })
    }
}

/// What a log holds for one module version: both hashes. Its text is two go.sum lines, zip first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The module at its version.
    pub module: ModuleVersion,
    /// The hash of the zip.
    pub zip: H1,
    /// The hash of the go.mod file.
    pub go_mod: H1,
}

impl Record {
    /// The line of `kind`.
    #[must_use]
    pub fn line(&self, kind: SumKind) -> SumLine {
        let hash = match kind {
            SumKind::Zip => self.zip,
            SumKind::GoMod => self.go_mod,
        };
        SumLine { module: self.module.clone(), kind, hash }
    }

    /// Finds both lines for `module` in the text of a record, as [`find_hash`] does.
    ///
    /// # Errors
    /// One of the lines is missing or malformed.
    pub fn find(text: &str, module: &ModuleVersion) -> Result<Self, Error> {
        let zip = find_hash(text, module, SumKind::Zip)?;
        let go_mod = find_hash(text, module, SumKind::GoMod)?;
        Ok(Self { module: module.clone(), zip, go_mod })
    }
}

impl fmt::Display for Record {
    /// The record text: two lines, each ending in a line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.line(SumKind::Zip))?;
        writeln!(f, "{}", self.line(SumKind::GoMod))
    }
}

impl FromStr for Record {
    type Err = Error;

    /// Parses exactly what `Display` writes. To read a record that may hold more, use [`Record::find`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let malformed = || Error::malformed(format!("malformed record {}", quote(text)));
        let (zip, go_mod) = text.strip_suffix('\n').and_then(|t| t.split_once('\n')).ok_or_else(malformed)?;
        let (zip, go_mod): (SumLine, SumLine) = (zip.parse()?, go_mod.parse()?);
        let good = zip.module == go_mod.module && zip.kind == SumKind::Zip && go_mod.kind == SumKind::GoMod;
        if !good {
            return Err(malformed());
        }
        Ok(Self { module: zip.module, zip: zip.hash, go_mod: go_mod.hash })
    }
}

/// Finds the hash of `kind` for `module` in the text of a record. Other lines and other kinds of hash are
/// passed over; of several lines the first counts, as for `go`.
///
/// `text` must be the record alone, authenticated by the log, and nothing that a server put around it.
///
/// # Errors
/// There is no such line, or its hash is malformed.
pub fn find_hash(text: &str, module: &ModuleVersion, kind: SumKind) -> Result<H1, Error> {
    let wanted = format!("{} {}{} ", module.path(), module.version(), kind.suffix());
    text.split('\n')
        .filter_map(|line| line.strip_prefix(&wanted))
        .find(|hash| hash.starts_with("h1:"))
        .ok_or_else(|| {
            Error::malformed(format!("checksum missing from record: {}{}", module, kind.suffix()))
        })?
        .parse()
}

/// One line of a go.sum file as it stands there, nothing about it checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoSumEntry {
    /// Line number, from 1.
    pub number: usize,
    /// The first field.
    pub path: String,
    /// The second field, with `/go.mod` if it is there.
    pub version: String,
    /// The third field, `h1:…` or some other kind of hash.
    pub hash: String,
}

impl GoSumEntry {
    /// The entry as a checked go.sum line.
    ///
    /// # Errors
    /// Path, version or hash are not valid, or path and version do not agree.
    pub fn to_line(&self) -> Result<SumLine, Error> {
        SumLine::from_fields(&self.path, &self.version, &self.hash).map_err(|e| e.within(self.number))
    }
}

/// Reads a go.sum file as `go` does: fields separated by any white space, blank lines and the hash of an
/// empty go.mod left out.
///
/// # Errors
/// A line has other than three fields, or is not UTF-8.
pub fn parse_go_sum(content: &[u8]) -> Result<Vec<GoSumEntry>, Error> {
    let empty_go_mod = H1::EMPTY_GO_MOD.to_string();
    let mut entries = Vec::new();
    for (number, line) in (1..).zip(content.split(|&b| b == b'\n')) {
        let malformed = |what: &str| Error::malformed(format!("malformed go.sum: line {number}: {what}"));
        let line = str::from_utf8(line).map_err(|_| malformed("invalid UTF-8"))?;
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            [] => {}
            [_, _, hash] if *hash == empty_go_mod => {}
            &[path, version, hash] => {
                entries.push(GoSumEntry {
                    number,
                    path: path.into(),
                    version: version.into(),
                    hash: hash.into(),
                });
            }
            other => return Err(malformed(&format!("wrong number of fields {}", other.len()))),
        }
    }
    Ok(entries)
}
