//! Where modules come from: upstream proxies and the cache in front of them.

mod client;
mod error;

pub use client::{
    Authority, Body, Client, ClientOptions, Credentials, Egress, HOP_HEADER, Hops, Limits, Named, Observe,
    Purpose, Request, Response, Scheme, Unobserved, Url,
};
pub use error::{Error, ErrorKind, MAX_TEXT, Result};
