//! The module proxy in somebody's own axum program, in memory or on disk, without and with the checksum database:
//! `cargo run -p quipu-server --example embed UPSTREAM DIRECTORY`, then `GOPROXY=http://127.0.0.1:8080/go`.
//!
//! The log lives in memory here, for the example needs nothing but this crate's own dependencies. A log that lasts is the
//! same with `quipu_rocks::RocksStore`, with a key that is kept in a file, and with an upstream database in [`Vouching`].

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use quipu_fetch::storage::Memory;
use quipu_fetch::{AdmitAll, Cache, CacheOptions, Chain, Client, ClientOptions, Policy, Upstream};
use quipu_ledger::{Ledger, MemoryStore, OpenOptions};
use quipu_module::ProxyList;
use quipu_note::SignerKey;
use quipu_server::{Admission, App, Modules, Parts, Vouching};

/// A program's own pages, with module proxies below three of them: at `/plain` one without a database (go commands there keep
/// their own `GOSUMDB`), at `/memory` the same without a disk, at `/go` one that verifies by its own log. Data lies below `dir`.
///
/// # Errors
/// The upstream is no GOPROXY list, or the directory cannot be used.
pub(crate) fn router(upstream: &str, dir: &Path, key: SignerKey) -> Result<Router, Box<dyn Error>> {
    Ok(Router::new()
        .route("/", axum::routing::get(async || "modules are at /plain, /memory and /go\n"))
        .nest_service("/plain", proxy(upstream, &dir.join("plain"))?)
        .nest_service("/memory", diskless(upstream)?)
        .nest_service("/go", database(upstream, &dir.join("go"), key)?))
}

/// A caching proxy, and nothing else.
fn proxy(upstream: &str, dir: &Path) -> Result<Modules, Box<dyn Error>> {
    let cache = Cache::open_root(dir, chain(upstream)?, Arc::new(AdmitAll), CacheOptions::default())?;
    Ok(Modules::new(cache, "modules.example.com"))
}

/// The same without a disk: what does not fit into 256 MiB is refused, and what is there still served.
fn diskless(upstream: &str) -> Result<Modules, Box<dyn Error>> {
    let (memory, options) =
        (Memory::new(256 << 20), CacheOptions { disk_floor: 0, ..CacheOptions::default() });
    let cache = Cache::open_storage(Arc::new(memory), chain(upstream)?, Arc::new(AdmitAll), options)?;
    Ok(Modules::new(cache, "memory.example.com"))
}

/// The same with a log: what is fetched is logged first, and served only as the log has it.
fn database(upstream: &str, dir: &Path, key: SignerKey) -> Result<App, Box<dyn Error>> {
    let (data, owner) = (dir.join("log"), key.verifier().clone());
    std::fs::create_dir_all(&data)?;
    let ledger = Ledger::open(OpenOptions::new(Arc::new(MemoryStore::new()), &data, vec![key], [0; 16]))?;
    let admission = Admission::new(ledger.clone(), Vouching::nobody(&dir.join("evidence")));
    let options = CacheOptions { owner: owner.to_string(), ..CacheOptions::default() };
    let cache = Cache::open_root(&dir.join("modules"), chain(upstream)?, admission.admit(), options)?;
    Ok(App::new(Parts::new(ledger, &owner, admission, cache)))
}

/// Where modules come from.
fn chain(upstream: &str) -> Result<Arc<dyn Upstream>, Box<dyn Error>> {
    let list = ProxyList::parse(upstream)?;
    let client = Client::new(ClientOptions::default())?;
    Ok(Arc::new(Chain::new(list.entries(), &client, &Arc::new(Policy::default()), None)?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(upstream), Some(dir)) = (args.next(), args.next()) else {
        return Err("usage: embed UPSTREAM DIRECTORY".into());
    };
    let key = SignerKey::from_seed("sum.example.com".parse()?, &[7; 32].into());
    eprintln!("GOSUMDB={}", key.verifier());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    axum::serve(listener, router(&upstream, Path::new(&dir), key)?).await?;
    Ok(())
}
