//! `quipu backup`: the log of one moment, written anew into another directory, every record hashed on the way.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use quipu_ledger::{Head, Notes, Store as _};
use quipu_rocks::RocksStore;

use crate::cli;
use crate::keys::{DataDir, write_new};
use crate::output::tell;
use crate::progress::Progress;
use crate::replay::{PIECE, Replay};
use crate::store;

/// Makes a backup and says what is in it.
///
/// # Errors
/// What kept it from being made; nothing is left then.
pub(crate) fn run(args: &cli::Backup) -> Result<()> {
    let data = DataDir::new(&args.data.data);
    let verifier = data.verifier()?;
    let to = &args.to;
    ensure!(!to.exists(), "{} is there already: a backup gets a new directory", to.display());
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = DataDir::new(part);
    let made = make(&data, &part);
    if made.is_err() && part.backup_mark().parent().is_some_and(Path::exists) {
        let _ = fs::remove_dir_all(part.path());
    }
    let head = made?;
    fs::rename(part.path(), to).with_context(|| format!("cannot name the backup {}", to.display()))?;
    let parent = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)?.sync_all()?;
    tell(format_args!(
        "backed up {}: {} records, root {}, in {}",
        verifier.name(),
        head.size,
        head.root,
        to.display()
    ))?;
    eprintln!("the signing key is not in it: keep {} safe by itself", data.signer().display());
    Ok(())
}

/// Writes the backup into `to` and gives the head it has.
fn make(data: &DataDir, to: &DataDir) -> Result<Head> {
    let builder = fs::DirBuilder::new().mode(0o700).create(to.path());
    builder.with_context(|| {
        format!("cannot make {} (left by an interrupted backup? remove it)", to.path().display())
    })?;
    let source = store::open_read_only(data)?;
    let Some(head) = source.head()? else { bail!("{} holds no log yet", data.path().display()) };
    copy_log(&source, &head, &to.log())?;
    for (from, copy) in [(data.name_file(), to.name_file()), (data.vkey_file(), to.vkey_file())] {
        let text = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        write_new(&copy, &text, 0o444)?;
    }
    let mark = format!("quipu backup 1\nsize {}\nroot {}\ntime {}\n", head.size, head.root, head.time);
    write_new(&to.backup_mark(), mark.as_bytes(), 0o444)?;
    Ok(head)
}

/// Copies records, times and notes; the tree made of them must be the one copied from.
fn copy_log(source: &RocksStore, head: &Head, to: &Path) -> Result<()> {
    let mut progress = Progress::new("records", head.size);
    let time = if head.size == 0 { head.time } else { 0 };
    let mut copy = Replay::begin(to, time, source.notes(0)?)?;
    while copy.head().size < head.size {
        let first = copy.head().size;
        let end = head.size.min(first + PIECE);
        let records = source.records(first..end)?.into_iter().map(|record| (record.time, record.text));
        copy.append(records.collect(), notes(source, first + 1, end)?)?;
        progress.show(end);
    }
    let copied = copy.head();
    ensure!(
        copied.root == head.root && copied.size == head.size,
        "the records make the root {}, but the log has {}: the store is damaged, see `quipu fsck`",
        copied.root,
        head.root
    );
    Ok(())
}

/// The notes of all heads from `first` to `last`, both included.
pub(crate) fn notes(source: &RocksStore, first: u64, last: u64) -> Result<Vec<Notes>> {
    let mut notes = Vec::new();
    for size in first..=last {
        notes.extend(source.notes(size)?);
    }
    Ok(notes)
}
