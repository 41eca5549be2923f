//! Where modules come from: upstream proxies and the cache in front of them.

mod cache;
mod chain;
mod client;
mod database;
mod error;
mod info;
mod origin;
mod policy;
mod proxy;
mod staged;
mod upstream;

pub use cache::{
    Admit, AdmitAll, Cache, CacheOptions, CacheStats, CachedBody, CachedFile, EvidenceLimits, FileKind,
    Hashes, Refusal,
};
pub use chain::{Chain, Link};
pub use client::{
    Authority, Body, Client, ClientOptions, Credentials, Egress, HOP_HEADER, Hops, Limits, Named, Observe,
    Purpose, Request, Response, Scheme, Unobserved, Url,
};
pub use database::Database;
pub use error::{Error, ErrorKind, MAX_TEXT, Result};
pub use info::{Info, Origin};
pub use origin::Base;
pub use policy::Policy;
pub use proxy::Proxy;
pub use staged::{Complete, Staged, Staging};
pub use upstream::{BoxFuture, MAX_GO_MOD, MAX_LIST, MAX_ZIP, Upstream};
