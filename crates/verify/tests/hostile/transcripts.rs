//! Against transcripts of the real `go` command: the same requests, the same files, the same accusations.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quipu_module::ModuleVersion;
use quipu_tlog::Tile;
use quipu_verify::{DirState, Error, MemoryState, State, TransportError};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::log::{Log, key};
use crate::server::{Server, answer, client, kind};

struct Transcripts(Value);

impl Transcripts {
    fn load() -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/vectors/client_transcripts.json");
        Self(serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap())
    }

    fn record(&self, name: &str) -> String {
        self.0["records"][name].as_str().unwrap().to_owned()
    }

    fn scenario(&self, name: &str) -> &Value {
        self.0["scenarios"].as_array().unwrap().iter().find(|scenario| scenario["name"] == name).unwrap()
    }

    /// The lookups and tiles that `go` asked for in a run, in order of paths.
    fn requests(&self, scenario: &str, run: usize) -> Vec<String> {
        let requests = self.scenario(scenario)["runs"][run]["requests"].as_array().unwrap().iter();
        let paths = requests.map(|request| request.as_str().unwrap().split(' ').nth(1).unwrap());
        let paths = paths.filter_map(|path| path.strip_prefix("/sumdb/sum.example.test"));
        let mut paths: Vec<String> =
            paths.filter(|path| *path != "/supported").map(|path| path.replace("%21", "!")).collect();
        paths.sort();
        paths
    }

    /// The log of most scenarios: 300 fillers, then hello and bye.
    fn log(&self) -> Log {
        Log::new((0..300).map(filler).chain([self.record("hello"), self.record("bye")]))
    }
}

fn filler(i: u64) -> String {
    let hash = |kind| STANDARD.encode(Sha256::digest(format!("{kind}{i}")));
    let (zip, go_mod) = (hash('z'), hash('m'));
    format!("filler.test/m{i} v1.0.0 h1:{zip}\nfiller.test/m{i} v1.0.0/go.mod h1:{go_mod}\n")
}

fn hello() -> ModuleVersion {
    ModuleVersion::parse("example.test/Hello", "v1.0.0").unwrap()
}

fn bye() -> ModuleVersion {
    ModuleVersion::parse("example.test/bye", "v0.1.0-Beta").unwrap()
}

fn sorted(server: &Server) -> Vec<String> {
    let mut requests = server.requests();
    requests.sort();
    requests
}

/// Checks that all files of the `go` client are among ours, but for partial tiles that wider ones stand for.
fn assert_same_files(transcripts: &Transcripts, scenario: &str, state: &DirState, directory: &Path) {
    let mut compared = 0;
    for (path, content) in transcripts.scenario(scenario)["client_files"].as_object().unwrap() {
        let (_, path) = path.split_once("sum.example.test/").unwrap();
        let content = content.as_str().unwrap();
        if let Ok(tile) = Tile::parse_sumdb(path) {
            let digest = hex(&Sha256::digest(state.tile(&tile).unwrap()));
            assert_eq!(content, format!("<{} bytes, sha256 {digest}>", tile.hash_bytes()), "{path}");
        } else {
            assert_eq!(fs::read_to_string(directory.join(path)).unwrap(), content, "{path}");
        }
        compared += 1;
    }
    assert!(compared > 4);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_happy_path_is_that_of_go() {
    let (transcripts, scenario) = (Transcripts::load(), "happy path through proxy");
    let directory = tempfile::tempdir().unwrap();
    let state = Arc::new(DirState::open(directory.path()).unwrap());
    for (run, module, size) in [(0, hello(), 301), (1, bye(), 302)] {
        let server = Arc::new(Server::honest(transcripts.log()).at(size));
        client(&server, &state).lookup(&module).await.unwrap();
        assert_eq!(sorted(&server), transcripts.requests(scenario, run));
    }
    assert_same_files(&transcripts, scenario, &state, directory.path());
}

#[tokio::test]
async fn an_older_head_is_accepted_as_by_go() {
    let transcripts = Transcripts::load();
    let scenario = "older but consistent signed tree after a newer one is accepted";
    let (hello_text, bye_text) = (transcripts.record("hello"), transcripts.record("bye"));
    let records = (0..200).map(filler).chain([bye_text]).chain((200..300).map(filler)).chain([hello_text]);
    let log = Arc::new(Log::new(records));
    let directory = tempfile::tempdir().unwrap();
    let state = Arc::new(DirState::open(directory.path()).unwrap());
    for (run, module, size) in [(0, hello(), 302), (1, bye(), 201)] {
        let server = Arc::new(Server::honest(log.clone()).at(size));
        client(&server, &state).lookup(&module).await.unwrap();
        assert_eq!(sorted(&server), transcripts.requests(scenario, run));
    }
    assert_same_files(&transcripts, scenario, &state, directory.path());
}

#[tokio::test]
async fn a_completed_tile_is_read_as_by_go() {
    let transcripts = Transcripts::load();
    let scenario = "partial tile 404 because the tile has been completed: client falls back to the full tile";
    let mut log = transcripts.log();
    (302..601).for_each(|i| log.push(filler(i)));
    let lie = |path: &str, honest| {
        if path.contains("/001.p/") { Err(TransportError::NotFound("404".to_owned())) } else { honest }
    };
    let server = Arc::new(Server::lying(log, lie).at(301));
    client(&server, &Arc::new(MemoryState::new())).lookup(&hello()).await.unwrap();
    assert_eq!(sorted(&server), transcripts.requests(scenario, 0));
}

/// The second answer carries the note that `go` was shown; the tiles are those of the first history.
#[tokio::test]
async fn a_fork_is_reported_in_the_words_of_go() {
    let transcripts = Transcripts::load();
    for scenario in ["fork, same size", "fork, smaller tree, tiles of the first history still served"] {
        let report = transcripts.scenario(scenario)["runs"][1]["stderr"].as_str().unwrap();
        let (_, older) = report.split_once("old database:\n\t").unwrap();
        let (older, rest) = older.split_once("\n\t\nnew database:\n\t").unwrap();
        let (newer, rest) = rest.split_once("\n\t\nproof of misbehavior:\n\t").unwrap();
        let unindent = |text: &str| text.trim_end().replace("\n\t", "\n") + "\n";
        let body = answer(0, &transcripts.record("bye"), &unindent(older));
        let lie = move |path: &str, honest| {
            if path.contains("/bye@") { Ok(body.clone().into()) } else { honest }
        };
        let server = Arc::new(Server::lying(transcripts.log(), lie).at(301));
        let client = client(&server, &Arc::new(MemoryState::new()));
        client.lookup(&hello()).await.unwrap();
        let outcome = client.lookup(&bye()).await;
        let Err(Error::Misbehaved(evidence)) = outcome else { panic!("{}", kind(outcome)) };
        assert_eq!(evidence.notes(), [&unindent(older), &unindent(newer)]);
        let (_, proof) =
            evidence.to_string().split_once("proof\n\t").map(|(a, b)| (a.len(), b.to_owned())).unwrap();
        assert_eq!(unindent(&proof), unindent(rest), "{scenario}");
        assert!(evidence.check(&[key()]).is_ok());
    }
}
