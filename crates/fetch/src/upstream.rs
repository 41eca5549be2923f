//! The one trait for every place that modules come from.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use quipu_module::{ModulePath, ModuleVersion, Query, Version};

use crate::error::Result;
use crate::info::Info;
use crate::staged::Staged;

/// A boxed future, so that upstreams can be chosen at run time.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A place that modules come from.
///
/// The five questions are separate, so that loading a module graph downloads no zips. Whoever implements this judges
/// what it was sent and answers with checked types only; whoever asks need not distrust the form of an answer, but
/// nothing here proves that the content is the right one: that is what [`Admit`](crate::Admit) is for.
///
/// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) must be a definite answer of the source, never a fault on the way
/// to it.
pub trait Upstream: Send + Sync + 'static {
    /// The tagged versions of the module, ascending, each once, without pseudo-versions. Empty: a module without tags.
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>>;

    /// What `query` (a version, branch, tag or commit) stands for. A canonical version that agrees with the path
    /// stands for itself.
    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>>;

    /// The version that `latest` stands for.
    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>>;

    /// The bytes of go.mod, at most [`MAX_GO_MOD`].
    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>>;

    /// The module may have changed: nothing that was remembered of it before counts any more. Whoever remembers
    /// nothing has nothing to do.
    fn forget(&self, _path: &ModulePath) {}

    /// Writes the zip to `zip`, beginning with [`Staged::restart`]. After an error what was written is worthless.
    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>>;
}

/// Longest go.mod, in bytes: what the `go` command reads.
pub const MAX_GO_MOD: u64 = 16 << 20;

/// Longest zip, in bytes: what the `go` command reads.
pub const MAX_ZIP: u64 = 500 << 20;

/// Longest list, in bytes.
pub const MAX_LIST: u64 = 16 << 20;
