//! The question that the cache asks before it lets anything be served.

use quipu_module::{H1, ModuleVersion};

use super::publish::{Publication, PublishError};
use super::tree::FileKind;
use crate::upstream::BoxFuture;

/// Why something is not admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It contradicts what is recorded: it must never be served. The bytes are kept aside.
    Refused {
        /// One line for clients, without prefix.
        text: String,
        /// What proves it (records, hashes, signed heads), kept beside the bytes. May be empty.
        evidence: Vec<u8>,
    },
    /// It definitely does not exist, says who would have to vouch for it. Nothing is stored.
    Unknown {
        /// One line for clients, without prefix.
        text: String,
    },
    /// Policy keeps it out, whatever its content. Nothing is stored.
    Forbidden {
        /// One line for clients, without prefix.
        text: String,
    },
    /// It cannot be decided now (a database is unreachable, the log is stopped). Nothing is stored.
    Unavailable {
        /// One line for clients, without prefix.
        text: String,
        /// Whether the reason was that something took too long.
        timeout: bool,
    },
}

/// Decides whether content may enter the cache, by its hashes.
///
/// Asked after the content was staged and synced and before it becomes visible, so an implementation may make the
/// hashes permanent (append them to a log): the content will not be lost by a crash afterwards. The same question may
/// come again for content that was admitted before (after a crash, or when a file tree was dropped in); it must then
/// get the same answer.
pub trait Admit: Send + Sync + 'static {
    /// May this go.mod be served for `version`? The zip may never be asked for.
    fn admit_go_mod<'a>(
        &'a self,
        version: &'a ModuleVersion,
        go_mod: H1,
    ) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Could any zip be admitted for `version`? Asked before one is fetched, so that none is fetched in vain. Says
    /// nothing about a zip that comes.
    fn expect_zip<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Could the zip of this version, which was admitted, be had again, and would only the same content be admitted? Then
    /// it may be removed to make room. May block for a moment.
    fn is_replaceable(&self, _version: &ModuleVersion) -> bool {
        false
    }

    /// May this zip be served for `version`? Its go.mod may be another one than the `.mod` that is served: to the go
    /// command these are two files with a hash each, so that is for the record to decide, where there is one.
    fn admit_zip<'a>(
        &'a self,
        version: &'a ModuleVersion,
        hashes: Hashes,
    ) -> BoxFuture<'a, Result<(), Refusal>>;

    /// Makes the hashes of a version that is published here permanent, unless it has others already. Nobody else is asked
    /// whether they are right. Returns what is permanent now. Whoever keeps a record of who published what writes it before
    /// that: the version is served afterwards, and a crash until then leads to the same question at the next start.
    fn record<'a>(
        &'a self,
        version: &'a ModuleVersion,
        hashes: Hashes,
        _publication: &'a Publication,
    ) -> BoxFuture<'a, Result<Recorded, Refusal>> {
        let admitted = self.admit_zip(version, hashes);
        let recorded = Recorded { index: None, zip: hashes.zip, go_mod: hashes.go_mod, is_new: true };
        Box::pin(async move { admitted.await.map(|()| recorded) })
    }

    /// What an earlier run left staged of this version is not published, now or later, for this reason. Whoever keeps a record of
    /// who sent what writes it before that returns: what was staged is removed then, and a crash until then leads to the same at
    /// the next start.
    fn refuse_resumed<'a>(
        &'a self,
        _version: &'a ModuleVersion,
        _why: &'a PublishError,
        _publication: &'a Publication,
    ) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    /// Is told of what was found wrong and is kept aside: once for each case, as far as they are remembered. Must not block
    /// for long.
    fn note(&self, _finding: &Finding<'_>) {}
}

/// Something about a version that is not as it was, or as it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding<'a> {
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// The version.
    pub version: &'a ModuleVersion,
    /// The file.
    pub file: FileKind,
    /// What is wrong, for people, on one line.
    pub text: &'a str,
}

/// What can be found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A file, sent or stored, is not what is recorded, or cannot be a module's.
    Mismatch,
    /// Upstream says that the version is another commit than it was.
    MovedTag,
}

/// What is recorded for a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Where in the log, if there is one.
    pub index: Option<u64>,
    /// The hash of the zip.
    pub zip: H1,
    /// The hash of go.mod.
    pub go_mod: H1,
    /// Whether it was not recorded before.
    pub is_new: bool,
}

/// The two hashes of a module version as they stand in go.sum, and the one that the zip itself claims for the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// Of the zip.
    pub zip: H1,
    /// Of the `.mod` that is served.
    pub go_mod: H1,
    /// Of the go.mod in the zip; without one there, of the line that proxies serve in its place.
    pub go_mod_in_zip: H1,
}

/// Admits everything: for trees that are verified elsewhere, and for tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitAll;

impl Admit for AdmitAll {
    fn admit_go_mod<'a>(&'a self, _: &'a ModuleVersion, _: H1) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn expect_zip<'a>(&'a self, _: &'a ModuleVersion) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn admit_zip<'a>(&'a self, _: &'a ModuleVersion, _: Hashes) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
