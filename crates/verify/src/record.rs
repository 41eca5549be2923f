//! Lookup answers: what a server claims about a module version, and what of it is authentic.

use bytes::Bytes;
use quipu_module::{H1, ModuleVersion, Record};
use quipu_tlog::parse_record;

use crate::error::Error;
use crate::fault;
use crate::strict;

/// A lookup answer taken apart. Nothing in it is authentic yet.
pub(crate) struct Answer {
    pub(crate) id: u64,
    /// The record: what is hashed as the leaf.
    pub(crate) text: String,
    /// The signed note after the record; none if nothing follows it.
    pub(crate) note: Option<Bytes>,
}

impl Answer {
    /// Takes the body served at `path` apart.
    pub(crate) fn parse(path: &str, body: &Bytes) -> Result<Self, Error> {
        let record = parse_record(body)
            .map_err(|e| Error::malformed(path, format_args!("{e}: {}", fault::of_answer(body))))?;
        let id = strict::record_id(&record).map_err(|e| Error::malformed(path, e))?;
        let note = (!record.rest.is_empty()).then(|| body.slice_ref(record.rest));
        Ok(Self { id, text: record.text.to_owned(), note })
    }
}

/// What the log holds for a module version. Exists only for a record that was proven to be in a signed tree.
///
/// All its hashes come from the record itself and never from what a server put around it (CVE-2026-56864), and a
/// record without both lines is an error, not a success without hashes (CVE-2026-42501).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedRecord {
    text: String,
    record: Record,
}

impl AuthenticatedRecord {
    /// Reads the lines for `module` from the text of a record, which the caller has authenticated.
    pub(crate) fn find(path: &str, text: String, module: &ModuleVersion) -> Result<Self, Error> {
        strict::check_single_hash(&text, module).map_err(|e| Error::unproven(path, e))?;
        let record = Record::find(&text, module).map_err(|e| Error::unproven(path, e))?;
        Ok(Self { text, record })
    }

    /// The record as it is in the log. May hold further lines, which mean nothing.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The module version and both its hashes; its text is the two go.sum lines.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The hash of the module's zip.
    pub fn zip(&self) -> H1 {
        self.record.zip
    }

    /// The hash of the module's go.mod file.
    pub fn go_mod(&self) -> H1 {
        self.record.go_mod
    }
}
