//! The checksum database over HTTP: the log this server keeps, in the go command's form and in C2SP's.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use quipu_ledger::{Error, Ledger};
use quipu_module::ModuleVersion;
use quipu_tlog::{PathError, Tile, TileLevel, TilePath, join_entries, join_records};

use crate::kept::{Form, Kept, KeptTile};
use crate::lookup::{Found, Lookup};
use crate::reply::{self, Freshness, Refusal, Reply};

/// The handlers of the log this server keeps.
pub(crate) struct OwnLog {
    ledger: Ledger,
    lookup: Arc<Lookup>,
    kept: Kept,
    /// Starts every tag, so that a log founded anew under an old URL is not taken for the old one by caches.
    tag: String,
}

impl OwnLog {
    /// Handlers for `ledger`; lookups of what it does not hold go to `lookup`. `tag` tells this log from others.
    pub(crate) fn new(ledger: Ledger, lookup: Arc<Lookup>, tag: String) -> Self {
        Self { ledger, lookup, kept: Kept::new(), tag }
    }

    /// The newest signed head.
    pub(crate) fn latest(&self) -> Reply {
        reply::ok(self.ledger.head().notes.sumdb.clone(), reply::TEXT, Freshness::Revalidate)
    }

    /// The same head as a C2SP checkpoint.
    pub(crate) fn checkpoint(&self) -> Reply {
        reply::ok(self.ledger.head().notes.checkpoint.clone(), reply::TEXT, Freshness::Revalidate)
    }

    /// The record of a module version if it was looked up a moment ago.
    pub(crate) fn kept_lookup(&self, escaped: &str) -> Option<Reply> {
        let (index, text) = self.kept.record(escaped)?;
        Some(record(&Found { index, text, head: self.ledger.head() }))
    }

    /// The record of a module version, asked for and logged if need be.
    pub(crate) async fn lookup(&self, escaped: &str) -> Reply {
        let module = match ModuleVersion::parse_escaped(escaped) {
            Ok(module) => module,
            Err(error) => return reply::refuse(&Refusal::BadRequest(error.to_string())),
        };
        match self.lookup.record(&module).await {
            Ok(found) => {
                self.kept.keep_record(escaped, found.index, &found.text);
                record(&found)
            }
            Err(error) => reply::refuse(&error.into()),
        }
    }

    /// What the log holds, with nothing asked of anybody: what it lacks may be had elsewhere.
    pub(crate) fn stored_lookup(&self, escaped: &str) -> Reply {
        let module = match ModuleVersion::parse_escaped(escaped) {
            Ok(module) => module,
            Err(error) => return reply::refuse(&Refusal::BadRequest(error.to_string())),
        };
        match self.lookup.stored(&module) {
            Ok(Some(found)) => record(&found),
            Ok(None) => reply::refuse(&Refusal::NotHere("temporarily unavailable".to_owned())),
            Err(error) => reply::refuse(&error.into()),
        }
    }

    /// A tile of hashes or of records, by its path.
    pub(crate) fn tile(&self, path: &str, asked: &HeaderMap) -> Reply {
        self.find_tile(path, asked).unwrap_or_else(|refusal| reply::refuse(&refusal))
    }

    fn find_tile(&self, path: &str, asked: &HeaderMap) -> Result<Reply, Refusal> {
        let (tile, form) = wanted(path)?;
        let KeptTile { body, tag } = match self.kept.tile(tile, form) {
            Some(kept) => kept,
            None => self.read_tile(tile, form, path)?,
        };
        let kind = match (tile.level(), form) {
            (TileLevel::Data, Form::Sumdb) => reply::TEXT,
            _ => reply::OCTETS,
        };
        let freshness = if tile.is_full() { Freshness::Immutable } else { Freshness::Seconds(60) };
        Ok(reply::tagged(reply::ok(body, kind, freshness), tag, asked))
    }

    fn read_tile(&self, tile: Tile, form: Form, path: &str) -> Result<KeptTile, Refusal> {
        let body = match (tile.level(), form) {
            (TileLevel::Hashes(level), _) => {
                let hashes = self.ledger.tile(level, tile.n(), tile.width());
                hashes.map_err(|error| fault(&error))?.ok_or_else(|| beyond(path))?
            }
            (TileLevel::Data, Form::Sumdb) => Bytes::from(join_records(&self.texts(tile, path)?)),
            (TileLevel::Data, Form::C2sp) => {
                let bundle = join_entries(self.texts(tile, path)?);
                Bytes::from(bundle.map_err(|error| Refusal::Unavailable(error.to_string()))?)
            }
        };
        let kept = KeptTile { body, tag: reply::tag(&format!("{}-{path}", self.tag)) };
        if tile.is_full() {
            self.kept.keep_tile(tile, form, &kept);
        }
        Ok(kept)
    }

    fn texts(&self, tile: Tile, path: &str) -> Result<Vec<Bytes>, Refusal> {
        let range = tile.first()..tile.first().saturating_add(u64::from(tile.width()));
        let records =
            self.ledger.records(range).map_err(|error| fault(&error))?.ok_or_else(|| beyond(path))?;
        Ok(records.into_iter().map(|record| record.text).collect())
    }
}

/// The tile that a path names: malformed paths are bad requests, well-formed ones of tiles that no log of this
/// server can have are absent.
fn wanted(path: &str) -> Result<(Tile, Form), Refusal> {
    let (parsed, form) = match TilePath::parse(path) {
        Ok(parsed) => (parsed.tile(), Form::Sumdb),
        Err(_) => match Tile::parse_c2sp(path) {
            Ok(tile) => (Some(tile), Form::C2sp),
            Err(PathError::NotServed) => (None, Form::C2sp),
            Err(PathError::Malformed) => return Err(Refusal::BadRequest("invalid tile syntax".to_owned())),
        },
    };
    parsed.map(|tile| (tile, form)).ok_or_else(|| Refusal::NotFound(format!("{path}: no such tile here")))
}

fn record(found: &Found) -> Reply {
    reply::ok(lookup_body(found), reply::TEXT, Freshness::Seconds(60))
}

/// The body of `/lookup`: index, record text, a blank line, and a head that covers it.
fn lookup_body(found: &Found) -> Bytes {
    let note = &found.head.notes.sumdb;
    let mut body = BytesMut::with_capacity(22 + found.text.len() + note.len());
    body.put_slice(found.index.to_string().as_bytes());
    body.put_u8(b'\n');
    body.put_slice(&found.text);
    body.put_u8(b'\n');
    body.put_slice(note);
    body.freeze()
}

/// A tile that is not signed yet may be there a moment later: its absence is not kept by caches.
fn beyond(path: &str) -> Refusal {
    Refusal::NotHere(format!("{path}: the log has not grown that far"))
}

/// A failed read of the log: never absence.
fn fault(error: &Error) -> Refusal {
    tracing::error!(%error, "reading the log failed");
    Refusal::Unavailable("the log cannot be read now".to_owned())
}
