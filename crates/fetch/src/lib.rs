//! Where modules come from: upstream proxies and the cache in front of them.
//!
//! [`Upstream`] is the one trait: five questions about modules. [`Proxy`] answers them from another GOPROXY (over HTTP or
//! from a directory), [`Chain`] from a list of places by the rules of `go help goproxy`, and [`Cache`] from a file tree
//! that it fills from any of these. What enters the tree is first shown to an [`Admit`], which knows what the hashes must be.
//!
//! [`Direct`] makes modules of their repositories: [`Discovery`] asks the host of a path where its repository is,
//! [`Repositories`] read those of git, and [`Command`] has an installed `go` read the others. [`Sources`] sends each path to the
//! one place that it belongs to. [`Database`] finds a checksum database the way the `go` command does. All that leaves this
//! machine goes through one [`Client`], and nothing that matches the private patterns of the [`Policy`] leaves at all.
//!
//! # The tree
//!
//! In the [`storage`] of a [`Cache`] lies what `go help goproxy` describes for `file://` proxies, so its directory is one:
//!
//! ```text
//! <escaped module>/@v/list                    versions, one a line: all that were ever seen
//! <escaped module>/@v/<escaped version>.info  for ever; likewise .mod and .zip
//! <escaped module>/@v/<version>.zip.ok        by whom these bytes were admitted, and which; likewise .mod.ok
//! <escaped module>/@v/<version>.published     this version was published here: its files are the only copy
//! <escaped module>/@v/<escaped query>.info    what a branch stood for when last asked
//! <escaped module>/@v/<escaped version>.kept  upstream does not have this version any more: it is the only copy
//! <escaped module>/@v/<escaped version>.licence  the licence it comes under, where that was looked for
//! <escaped module>/@latest                    what was the latest version when last asked
//! .staging/                                   files not yet whole or not yet admitted
//! .moved                                      versions whose tags were moved since they were stored
//! .evidence/                                  files that were refused, and why
//! ```
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use quipu_fetch::{AdmitAll, Cache, CacheOptions, Chain, Client, ClientOptions, FileKind, Policy};
//! use quipu_module::ProxyList;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let upstream = tempfile::tempdir()?;
//! # let root = tempfile::tempdir()?;
//! # let versions = upstream.path().join("example.com/m/@v");
//! # std::fs::create_dir_all(&versions)?;
//! # std::fs::write(versions.join("v1.0.0.mod"), "module example.com/m\n")?;
//! let list = ProxyList::parse(&format!("file://{}", upstream.path().display()))?;
//! let client = Client::new(ClientOptions::default())?;
//! let chain = Chain::new(list.entries(), &client, &Arc::new(Policy::default()), None)?;
//! let options = CacheOptions { disk_floor: 0, ..CacheOptions::default() };
//! let cache = Cache::open_root(root.path(), Arc::new(chain), Arc::new(AdmitAll), options)?;
//!
//! let version = "example.com/m@v1.0.0".parse()?;
//! let go_mod = cache.file(&version, FileKind::GoMod).await?;
//! assert_eq!(go_mod.bytes().await?, "module example.com/m\n");
//! assert!(root.path().join("example.com/m/@v/v1.0.0.mod").exists());
//! # Ok(())
//! # }
//! ```

mod cache;
mod chain;
mod child;
mod client;
mod command;
mod database;
mod direct;
mod discover;
mod error;
mod git;
mod info;
mod licence;
mod origin;
mod places;
mod policy;
mod proxy;
mod repo_name;
mod sources;
mod staged;
pub mod storage;
mod upstream;
mod vcs;

pub use cache::{
    Admit, AdmitAll, Cache, CacheOptions, CacheRoom, CacheStats, CachedFile, Evicted, EvidenceLimits,
    FileKind, Finding, FindingKind, Hashes, Housed, Moved, Publication, PublishError, Published, Recorded,
    Refusal, highest,
};
pub use chain::{Chain, Link};
pub use client::{
    Authority, Body, Client, ClientOptions, Credentials, Egress, HOP_HEADER, Hops, Limits, Named, Observe,
    Purpose, Request, Response, Scheme, Unobserved, Url, roots_as_pem,
};
pub use command::{Command, CommandOptions};
pub use database::Database;
pub use direct::{Direct, DirectParts, RepositoryMap, Whereabouts};
pub use discover::{Discovery, DiscoveryRules, Found, RepositoryUrl};
pub use error::{Error, ErrorKind, MAX_TEXT, Result};
pub use git::{
    GitAccess, GitArchive, GitLimits, GitOptions, GitProgram, Remote, Repositories, Repository, Snapshot,
    SshAccess,
};
pub use info::{Info, Origin};
pub use origin::Base;
pub use policy::Policy;
pub use proxy::Proxy;
pub use repo_name::RepoName;
pub use sources::{Nowhere, Source, Sources};
pub use staged::{Complete, Staged, Staging};
pub use upstream::{BoxFuture, MAX_GO_MOD, MAX_LIST, MAX_ZIP, Upstream};
pub use vcs::{
    Archive, ArchivedFile, Commit, Contents, Entry, EntryKind, History, Oid, Place, Refs, Resolver, Tree,
    write_zip,
};
