//! What it takes to run the real program without the outside world: an upstream proxy that makes modules up, the server as a
//! child process, and a plain HTTP client. Blocking, on threads: what drives the server must not share its runtime.

mod command;
mod http;
mod server;
mod upstream;
mod zip;

pub(crate) use command::command;
pub(crate) use http::Http;
pub(crate) use server::Server;
pub(crate) use upstream::Upstream;
