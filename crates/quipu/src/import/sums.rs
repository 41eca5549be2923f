//! go.sum files: every module version in them is looked up at a running server, which takes it into the log, and what the
//! log says is compared with what the files say.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use quipu_module::{H1, ModuleVersion, Record, SumKind, SumLine};
use serde_json::json;
use tokio::task::JoinSet;

use super::Verdict;
use crate::output::tell;
use crate::progress::Progress;
use crate::remote::{Remote, block_on};

/// Questions under way at once.
const AT_ONCE: usize = 16;

/// Longest answer to a lookup, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// What the files say of a module version: hash and file of each kind.
type Wanted = BTreeMap<ModuleVersion, Vec<(SumKind, H1, String)>>;

/// Imports the files through a server and prints what came of it.
///
/// # Errors
/// A file cannot be read or is no go.sum.
pub(super) fn run(files: &[PathBuf], remote: Remote, json: bool) -> Result<Verdict> {
    let mut wanted = Wanted::new();
    for file in files {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
        read(&text, &name, &mut wanted)?;
    }
    let total = wanted.len();
    let outcome = block_on(ask(Arc::new(remote), wanted))?;
    outcome.differing.iter().for_each(|text| eprintln!("DIFFERS: {text}"));
    outcome.failed.iter().for_each(|text| eprintln!("not looked up: {text}"));
    let (differing, failed) = (outcome.differing.len(), outcome.failed.len());
    if json {
        tell(json!({ "modules": total, "differing": outcome.differing, "failed": outcome.failed }))?;
    } else {
        tell(format_args!("{total} module versions: {differing} differ, {failed} not looked up"))?;
    }
    Ok(Verdict::of(differing, failed))
}

fn read(text: &str, name: &str, wanted: &mut Wanted) -> Result<()> {
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The go command too ignores hashes that it does not know.
        if fields.last().is_some_and(|hash| !hash.starts_with("h1:")) && fields.len() == 3 {
            continue;
        }
        let line: SumLine = match fields.join(" ").parse() {
            Ok(line) => line,
            Err(error) => bail!("{name}:{number}: {error}"),
        };
        wanted.entry(line.module).or_default().push((line.kind, line.hash, format!("{name}:{number}")));
    }
    Ok(())
}

#[derive(Default)]
struct Outcome {
    differing: Vec<String>,
    failed: Vec<String>,
}

async fn ask(remote: Arc<Remote>, wanted: Wanted) -> Result<Outcome> {
    let mut progress = Progress::new("module versions", wanted.len() as u64);
    let (mut outcome, mut tasks, mut done) = (Outcome::default(), JoinSet::new(), 0);
    let mut wanted = wanted.into_iter();
    loop {
        while tasks.len() < AT_ONCE
            && let Some((module, lines)) = wanted.next()
        {
            let remote = Arc::clone(&remote);
            tasks.spawn(async move {
                let record = lookup(&remote, &module).await;
                (module, lines, record)
            });
        }
        let Some(answer) = tasks.join_next().await else { return Ok(outcome) };
        let (module, lines, record) = answer.context("a lookup ended by a fault in the program")?;
        match record {
            Ok(record) => outcome.differing.extend(differences(&module, &lines, &record)),
            Err(error) => outcome.failed.push(format!("{module}: {error:#}")),
        }
        done += 1;
        progress.show(done);
    }
}

async fn lookup(remote: &Remote, module: &ModuleVersion) -> Result<Record> {
    let path = format!("/lookup/{}@{}", module.path().escaped(), module.version().escaped());
    let (status, body) = remote.get(&path, MAX_ANSWER).await?;
    let text = String::from_utf8_lossy(&body);
    if status != 200 {
        bail!("{status}: {}", text.lines().next().unwrap_or_default());
    }
    Ok(Record::find(&text, module)?)
}

fn differences(module: &ModuleVersion, lines: &[(SumKind, H1, String)], record: &Record) -> Vec<String> {
    let differing = lines.iter().filter_map(|(kind, hash, place)| {
        let logged = record.line(*kind).hash;
        let what = if *kind == SumKind::GoMod { "/go.mod" } else { "" };
        (logged != *hash).then(|| format!("{module}{what}: {place} has {hash}, the log has {logged}"))
    });
    differing.collect()
}
