//! `quipu export`: stored modules, with what of the log proves them, as a bundle.
//!
//! In a bundle all records are proven by one signed head. A delta holds what its reader needs to check it by itself: the
//! proofs of its own records, and that its head continues the one it adds to. Laid over the older bundle it serves both: it
//! also has the tiles of the new tree that the older records need and that the older bundle lacks.

mod choice;
mod proofs;
mod since;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use quipu_fetch::FileKind;
use quipu_module::{H1, ModuleVersion, SumKind, hash_go_mod, hash_zip};
use quipu_tlog::Tree;
use serde_json::json;

use crate::bundle::{Manifest, Writer};
use crate::cli;
use crate::config::Config;
use crate::keys::{self, DataDir};
use crate::output::tell;
use crate::policy::Standing;
use crate::progress::Progress;
use crate::view::View;
use choice::{Choice, Chosen};
use since::Since;

/// Writes the bundle and says what is in it.
///
/// # Errors
/// There is no log, something named cannot be read, or the bundle cannot be written; nothing of it is left then.
pub(crate) fn run(args: &cli::Export) -> Result<ExitCode> {
    let config = Config::resolve(args.configured.settings.clone(), args.configured.config.as_deref())?;
    let data = DataDir::new(config.data());
    let view = View::open(&data)?.with_context(|| format!("{} holds no log", data.path().display()))?;
    let key = readable_key(&config, &data)?;
    let (head, note) = view.head(&config.guard(), key.as_ref())?;
    let since = args.since.as_deref().map(|path| Since::read(path, &view)).transpose()?;
    ensure!(
        since.as_ref().is_none_or(|since| since.tree().size <= head.size),
        "that bundle or head is newer than the newest signed head that can be had here ({} records)",
        head.size
    );
    let standing = if args.refused_too { Standing::default() } else { Standing::read(&config, &data)? };
    let choice = Choice::make(args, (&view, &head), (&data.modules(), &standing), since.as_ref())?;
    let export = Export { view: &view, tree: data.modules(), head, note, since };
    let (files, bytes) = export.write(&choice, args.all, &args.output)?;
    choice.left_out.iter().for_each(|text| eprintln!("left out: {text}"));
    choice.missing.iter().for_each(|text| eprintln!("missing: {text}"));
    report(args, &choice, &export.head, (files, bytes))?;
    Ok(if choice.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The signing key, unless whoever exports may not read it: then the newest head is one round older.
fn readable_key(config: &Config, data: &DataDir) -> Result<Option<quipu_note::SignerKey>> {
    let file = config.set.key.clone().unwrap_or_else(|| data.signer());
    match keys::load(&file) {
        Err(error) if denied(&error) => Ok(None),
        loaded => loaded,
    }
}

fn denied(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
}

fn report(args: &cli::Export, choice: &Choice, head: &Tree, (files, bytes): (usize, u64)) -> Result<()> {
    let (versions, missing) = (choice.chosen.len(), &choice.missing);
    if args.json {
        tell(json!({
            "versions": versions, "files": files, "bytes": bytes, "missing": missing, "left_out": choice.left_out,
            "head": { "size": head.size, "root": head.root.to_string() },
        }))?;
    } else {
        let (out, missing) = (args.output.display(), missing.len());
        tell(format_args!(
            "{versions} module versions in {out}: {files} files, {bytes} bytes, head of {} records; {missing} missing",
            head.size
        ))?;
    }
    Ok(())
}

/// A bundle about to be written.
struct Export<'a> {
    view: &'a View,
    /// The module cache.
    tree: PathBuf,
    head: Tree,
    /// The signed note of the head.
    note: Bytes,
    since: Option<Since>,
}

impl Export<'_> {
    fn write(&self, choice: &Choice, all: bool, to: &Path) -> Result<(usize, u64)> {
        let mut writer = Writer::begin(to)?;
        let mut progress = Progress::new("module versions", choice.chosen.len() as u64);
        for (done, (version, chosen)) in (1..).zip(&choice.chosen) {
            self.write_version(&mut writer, version, chosen).with_context(|| version.to_string())?;
            progress.show(done);
        }
        for (name, lines) in &choice.lists {
            add(&mut writer, name, lines.as_bytes())?;
        }
        self.write_proofs(&mut writer, choice, all)?;
        writer.finish(Manifest {
            database: self.view.verifier().clone(),
            head: self.head,
            since: self.since.as_ref().map(|since| *since.tree()),
            files: std::collections::BTreeMap::new(),
        })
    }

    /// Writes the files of a version, each as the log has it.
    fn write_version(&self, writer: &mut Writer, version: &ModuleVersion, chosen: &Chosen) -> Result<()> {
        for kind in &chosen.kinds {
            let name = choice::file_name(version, *kind);
            let path = self.tree.join(&name);
            let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let length = file.metadata()?.len();
            let (found, logged) = match kind {
                FileKind::Info => (None, None),
                FileKind::GoMod => {
                    (Some(hash_go_mod(&std::fs::read(&path)?)), Some(chosen.record.line(SumKind::GoMod).hash))
                }
                FileKind::Zip => (Some(zip_hash(&file)?), Some(chosen.record.line(SumKind::Zip).hash)),
            };
            if found != logged {
                bail!("{} is not what the log has: it was changed on the disk", path.display());
            }
            writer.add(&name, length, File::open(&path)?)?;
        }
        Ok(())
    }
}

fn zip_hash(file: &File) -> Result<H1> {
    Ok(hash_zip(BufReader::with_capacity(128 << 10, file))?)
}

fn add(writer: &mut Writer, name: &str, content: &[u8]) -> Result<()> {
    writer.add(name, content.len() as u64, content)
}
