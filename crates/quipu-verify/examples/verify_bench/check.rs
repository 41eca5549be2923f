//! A go.sum of 500 lines whose answers are remembered, and the log behind it, of which only that much is kept.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use quipu_module::ModuleVersion;
use quipu_note::{Note, SignerKey, sign};
use quipu_tlog::{Frontier, Hash, Node, Tile, TileLevel, TilePlan, Tree, format_tree, leaf_hash};
use quipu_verify::{DirState, State as _};
use zeroize::Zeroizing;

/// Milliseconds of each of `turns` runs of `check`, for a log of `size` records. In `dir` is then what a client remembers
/// that has checked the go.sum before.
pub(crate) fn warm(program: &Path, dir: &Path, size: u64, turns: usize) -> Result<Vec<f64>> {
    let signer = SignerKey::from_seed("sum.example.test".parse()?, &Zeroizing::new([7; 32]));
    remember(dir, size, &signer)?;
    (0..turns).map(|_| run(program, dir, &signer.verifier().to_string())).collect()
}

/// Milliseconds of one run, which must find everything good.
fn run(program: &Path, dir: &Path, key: &str) -> Result<f64> {
    let mut command = Command::new(program);
    command
        .args(["check", "--offline", "--db", key, "--state"])
        .arg(dir.join("state"))
        .arg(dir.join("go.sum"));
    let began = Instant::now();
    let output = command.stdin(Stdio::null()).output().with_context(|| program.display().to_string())?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    let out = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && out.ends_with(": 500 agree\n"), "{output:?}");
    Ok(took)
}

/// Writes go.sum and the state that a client has after checking it.
fn remember(dir: &Path, size: u64, signer: &SignerKey) -> Result<()> {
    let ids: Vec<u64> = (0..MODULES).map(|i| (2 * i + 1) * size / (2 * MODULES)).collect();
    let leaves: Option<Vec<Node>> = ids.iter().map(|id| Node::leaf(*id)).collect();
    let plan = TilePlan::new(&Tree { size, root: Hash::EMPTY_TREE }, &leaves.context("too many records")?)?;
    let mut tiles: HashMap<(u8, u64), (Tile, Vec<u8>)> = HashMap::new();
    for tile in plan.tiles() {
        let TileLevel::Hashes(level) = tile.level() else { continue };
        tiles.insert((level, tile.n()), (*tile, Vec::new()));
    }
    let mut records = HashMap::new();
    let mut frontier = Frontier::new();
    for id in 0..size {
        let leaf = match ids.binary_search(&id) {
            Ok(_) => leaf_hash(records.entry(id).or_insert_with(|| record(id)).as_bytes()),
            Err(_) => leaf_hash(&id.to_le_bytes()),
        };
        frontier.push_with(leaf, |node, hash| {
            let tile = (node.level() / 8, node.index() / 256);
            if node.level() % 8 == 0
                && let Some((_, body)) = tiles.get_mut(&tile)
            {
                body.extend_from_slice(hash.as_bytes());
            }
        });
    }
    let note = sign(&Note::new(format_tree(&Tree { size, root: frontier.root() })), &[signer])?;

    let state = DirState::open(dir.join("state").join(signer.verifier().name().as_str()))?;
    for (tile, body) in tiles.into_values() {
        state.keep_tile(&tile, &body.into())?;
    }
    let mut go_sum = String::new();
    for id in ids {
        let text = records.remove(&id).context("no such record")?;
        state.keep_lookup(&module(id)?, &format!("{id}\n{text}\n{note}").into())?;
        go_sum.push_str(&text);
    }
    state.replace_latest(state.latest()?.as_deref(), note.as_bytes())?;
    Ok(fs::write(dir.join("go.sum"), go_sum)?)
}

fn module(id: u64) -> Result<ModuleVersion> {
    Ok(ModuleVersion::parse(&format!("github.com/example/module{id}"), "v1.0.0")?)
}

fn record(id: u64) -> String {
    let path = format!("github.com/example/module{id}");
    let hash = |what: &str| leaf_hash(format!("{what}{id}").as_bytes());
    format!("{path} v1.0.0 h1:{}\n{path} v1.0.0/go.mod h1:{}\n", hash("zip"), hash("mod"))
}

/// Two lines each.
const MODULES: u64 = 250;
