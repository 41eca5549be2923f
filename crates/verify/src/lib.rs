//! The suspicious client of a Go checksum database.
//!
//! [`Client`] looks up records through a [`Transport`] that it does not trust and believes only what the signed tree
//! of the database proves; what it has to remember lies in a [`State`]. [`Evidence`] is what remains when a database has
//! signed what cannot be true, or when something was served that its signed tree contradicts. [`check`] checks a whole log,
//! and [`proof`] makes and reads files that prove records to others.
//!
//! The client takes the steps of the `go` command's own and is stricter where two readers could understand an answer
//! differently: signatures and roots in other than canonical base64, a signature line that is there twice, record ids
//! with signs or leading zeros, trees of 2^40 records and more, an empty tree with a wrong root, and a record with two
//! hashes for one file are refused. It is more patient in one point: a kept tile that does not fit is fetched again
//! before anything is concluded from it, so that a fork is proven where `go` reports an inconsistent tile.
//!
//! The library opens no connection, starts no task and looks at no clock.
//!
//! # Example
//!
//! A database of one record, reached through a transport that serves two files:
//!
//! ```
//! use std::sync::Arc;
//!
//! use quipu_module::ModuleVersion;
//! use quipu_note::{Note, SignerKey, sign};
//! use quipu_tlog::{Tree, format_record, format_tree, leaf_hash};
//! use quipu_verify::{Client, Fetch, Limits, MemoryState, Transport, TransportError};
//!
//! struct Files(Vec<(&'static str, Vec<u8>)>);
//!
//! impl Transport for Files {
//!     fn get<'a>(&'a self, path: &'a str, _max_bytes: usize) -> Fetch<'a> {
//!         let file = self.0.iter().find(|(name, _)| *name == path);
//!         let body = file.map(|(_, body)| body.clone().into());
//!         Box::pin(std::future::ready(body.ok_or(TransportError::NotFound("no such file".to_owned()))))
//!     }
//! }
//!
//! let text = "example.com/m v1.0.0 h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
//!             example.com/m v1.0.0/go.mod h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
//! let leaf = leaf_hash(text.as_bytes());
//! let signer = SignerKey::from_seed("sum.example.com".parse()?, &zeroize::Zeroizing::new([7; 32]));
//! let note = sign(&Note::new(format_tree(&Tree { size: 1, root: leaf })), &[&signer])?;
//! let files = Files(vec![
//!     ("/lookup/example.com/m@v1.0.0", format!("{}{note}", format_record(0, text.as_bytes())?).into()),
//!     ("/tile/8/0/000.p/1", leaf.as_bytes().to_vec()),
//! ]);
//!
//! let keys = vec![signer.verifier().clone()];
//! let client = Client::new(keys, Arc::new(files), Arc::new(MemoryState::new()), Limits::default())?;
//! let lookup = async { client.lookup(&ModuleVersion::parse("example.com/m", "v1.0.0").unwrap()).await };
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # let verified = runtime.block_on(lookup)?;
//! assert_eq!(verified.id, 0);
//! assert_eq!(verified.record.text(), text);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod audit;
pub mod check;
mod client;
mod durable;
mod error;
mod evidence;
mod evidence_dir;
mod fault;
mod flight;
mod head;
pub mod proof;
mod record;
mod state;
mod strict;
mod text;
mod tiles;
mod timeline;
mod transport;
mod ways;

pub use client::{Client, Limits, Refreshed, Verified};
pub use durable::replace_file;
pub use error::{Error, Failure};
pub use evidence::{Evidence, Finding, Fork, Kind, Leaf, MalformedEvidence, NotProven, Subtree};
pub use evidence_dir::{EvidenceDir, KeptEvidence};
pub use head::SignedHead;
pub use record::AuthenticatedRecord;
pub use state::{DirState, MemoryState, State};
pub use transport::{Fetch, Transport, TransportError};
