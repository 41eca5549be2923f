//! Other people's verifiers and ours, before our own server: they accept and refuse the same.
//!
//! `gosumcheck` is the client of the go command as a program (golang.org/x/mod), `fsck` checks the C2SP tlog-tiles view
//! (github.com/transparency-dev/tessera). `tools/test` builds both, and names them in `QUIPU_INTEROP`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod judges;
mod log;
mod meddler;
#[path = "../ops/support/mod.rs"]
mod support;

use std::path::Path;

use judges::{Judges, Verdict};
use log::Log;
use meddler::Meddler;
use support::{Http, Server, Upstream};
use tempfile::TempDir;

/// Around the edges of tiles, and of the tiles of tiles.
const SIZES: [u64; 14] = [1, 2, 3, 100, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 70_000];

/// A log that grows, served for a while at each size.
struct Place {
    dir: TempDir,
    upstream: Upstream,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap(), upstream: Upstream::start() };
        log::found(&place.data());
        place
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn grow(&self, range: std::ops::Range<u64>) {
        Log::open(&self.data()).append(range);
    }

    fn serve(&self) -> Server {
        let program = Path::new(env!("CARGO_BIN_EXE_quipu"));
        let log = self.dir.path().join("server.log");
        let child = Server::spawn(program, log::NAME, &self.data(), &self.upstream.url, &log);
        Server::wait(child).unwrap_or_else(|| panic!("{}", std::fs::read_to_string(log).unwrap()))
    }
}

#[test]
fn honest_answers_convince_everybody_and_tampered_ones_nobody() {
    let Some(judges) = Judges::find() else { return };
    let place = Place::new();
    let mut size = 0;
    for next in SIZES {
        place.grow(size..next);
        size = next;
        let server = place.serve();
        let asked = log::sample(size);
        let sums = log::go_sum(place.dir.path(), &asked);
        assert_eq!(judges.go(&server.url, &sums), Verdict::Accepted, "gosumcheck, {size} records");
        assert_eq!(judges.ours(&server.url, &asked), Verdict::Accepted, "quipu-verify, {size} records");
        assert_eq!(judges.audit(&server.url), Verdict::Accepted, "quipu-verify audit, {size} records");
        assert_eq!(judges.fsck(&server.url), Verdict::Accepted, "fsck, {size} records");
        tampered(&judges, &place, &server, size);
    }
}

/// Each kind of tampering with one answer after the other.
fn tampered(judges: &Judges, place: &Place, server: &Server, size: u64) {
    let asked = [size / 2];
    let sums = log::go_sum(place.dir.path(), &asked);
    let mut accepted = 0;
    for kind in meddler::KINDS {
        let meddler = Meddler::new(&server.url, kind);
        let (go, ours) = (judges.go(&meddler.url, &sums), judges.ours(&meddler.url, &asked));
        assert_eq!(go, ours, "{kind:?}, {size} records");
        assert!(meddler.meddled(), "{kind:?} had nothing to change, {size} records");
        accepted += usize::from(go == Verdict::Accepted);
    }
    assert_eq!(accepted, meddler::HARMLESS, "tampered answers accepted, {size} records");
}

#[test]
fn damaged_tiles_are_noticed() {
    let Some(judges) = Judges::find() else { return };
    let place = Place::new();
    place.grow(0..600);
    let server = place.serve();
    let mut http = Http::new(&server.url);
    assert_eq!(http.get("/tile/0/000").unwrap().0, 200);
    let meddler = Meddler::new(&server.url, meddler::Kind::TileBit);
    assert_eq!(judges.fsck(&meddler.url), Verdict::Refused);
    assert_eq!(judges.audit(&meddler.url), Verdict::Refused);
}
