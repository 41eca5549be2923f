//! `quipu quarantine`: takes single versions out of service, or lets them back. The running server follows the file.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use quipu_ledger::{Clock as _, Disk as _, Lock, RealDisk, SystemClock};
use quipu_module::{ModuleVersion, format_rfc3339};
use quipu_server::policy::Quarantine;
use quipu_server::{Event, EventKind};
use serde_json::json;

use crate::audit_log;
use crate::cli::QuarantineCommand;
use crate::keys::DataDir;
use crate::output::tell;

/// Does what is asked for.
///
/// # Errors
/// The file cannot be read or written, or what is asked for makes no sense.
pub(crate) fn run(command: &QuarantineCommand) -> Result<ExitCode> {
    match command {
        QuarantineCommand::Add { module, reason, data } => change(data, |quarantine| {
            quarantine.add(parse(module)?, reason, SystemClock::new().now())?;
            note(data, Event::new(EventKind::QuarantineAdd).what(module).detail(reason))?;
            tell(format_args!("{module}: in quarantine"))?;
            eprintln!("who has it: quipu who {module}");
            Ok(())
        })?,
        QuarantineCommand::Remove { module, data } => change(data, |quarantine| {
            ensure!(quarantine.remove(&parse(module)?), "{module} is not in quarantine");
            note(data, Event::new(EventKind::QuarantineRemove).what(module))?;
            tell(format_args!("{module}: not in quarantine any more"))?;
            Ok(())
        })?,
        QuarantineCommand::List { json, data } => list(&DataDir::new(&data.data), *json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the quarantine of a data directory is written down.
pub(crate) fn file(data: &DataDir) -> PathBuf {
    data.path().join("quarantine")
}

/// Reads the file; without one nothing is in quarantine.
///
/// # Errors
/// It cannot be read, or is no such file.
pub(crate) fn read(file: &Path) -> Result<Quarantine> {
    match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Quarantine::default()),
        opened => parse_file(file, opened),
    }
}

/// Reads the file that was there before: that it is gone is no order to serve again what was in it.
///
/// # Errors
/// It is gone, cannot be read, or is no such file.
pub(crate) fn read_again(file: &Path) -> Result<Quarantine> {
    parse_file(file, File::open(file))
}

fn parse_file(file: &Path, opened: io::Result<File>) -> Result<Quarantine> {
    let mut text = String::new();
    let read =
        opened.and_then(|opened| opened.take(Quarantine::MAX_FILE as u64 + 1).read_to_string(&mut text));
    read.with_context(|| format!("cannot read the quarantine {}", file.display()))?;
    ensure!(text.len() <= Quarantine::MAX_FILE, "{}: too large", file.display());
    Quarantine::parse(&text).with_context(|| file.display().to_string())
}

fn list(data: &DataDir, as_json: bool) -> Result<()> {
    let quarantine = read(&file(data))?;
    let since = |micros| format_rfc3339(i128::from(micros) * 1000).unwrap_or_default();
    if as_json {
        let entries: Vec<_> = quarantine
            .iter()
            .map(|(module, entry)| {
                json!({ "path": module.path().as_str(), "version": module.version().as_str(),
                        "since": since(entry.since), "reason": entry.reason })
            })
            .collect();
        return Ok(tell(json!(entries))?);
    }
    for (module, entry) in quarantine.iter() {
        tell(format_args!("{module}  {}  {}", since(entry.since), entry.reason))?;
    }
    Ok(())
}

/// Changes the file as a whole, one process at a time.
fn change(data: &crate::cli::DataDir, work: impl FnOnce(&mut Quarantine) -> Result<()>) -> Result<()> {
    let data = DataDir::new(&data.data);
    ensure!(data.path().is_dir(), "{} is no data directory (--data)", data.path().display());
    let file = file(&data);
    let _lock = lock(&file)?;
    let mut quarantine = read(&file)?;
    work(&mut quarantine)?;
    let write = || -> io::Result<()> {
        let mut new = tempfile_beside(&file)?;
        new.1.write_all(quarantine.format().as_bytes())?;
        new.1.sync_all()?;
        fs::rename(&new.0, &file)?;
        RealDisk.sync_dir(data.path())
    };
    write().with_context(|| format!("cannot write the quarantine {}", file.display()))
}

/// What was done by whoever may run this command, in the audit log beside the running server.
fn note(data: &crate::cli::DataDir, event: Event) -> Result<()> {
    let audit = audit_log::open(&DataDir::new(&data.data))?;
    audit.note(event.who(&audit_log::operator()));
    audit.close();
    Ok(())
}

fn parse(module: &str) -> Result<ModuleVersion> {
    module.parse().with_context(|| format!("{module:?} is no MODULE@VERSION"))
}

fn lock(file: &Path) -> Result<Lock> {
    let lock = file.with_extension("lock");
    match RealDisk.lock(&lock).with_context(|| format!("cannot lock {}", lock.display()))? {
        Some(lock) => Ok(lock),
        None => bail!("another command is changing the quarantine just now: try again"),
    }
}

/// A new file in the same folder; one that a crash left there is written over, as its writer held the lock.
fn tempfile_beside(file: &Path) -> io::Result<(PathBuf, File)> {
    let path = file.with_extension("new");
    let opened = File::create(&path)?;
    Ok((path, opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_again_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let data = || crate::cli::DataDir { data: dir.path().to_owned() };
        let module = || "example.com/m@v1.0.0".to_owned();
        run(&QuarantineCommand::Add { module: module(), reason: "bad".to_owned(), data: data() }).unwrap();
        let file = file(&DataDir::new(dir.path()));
        let refused = read(&file).unwrap().judge(&module().parse().unwrap()).unwrap_err();
        assert!(refused.text.ends_with(": bad"), "{}", refused.text);
        run(&QuarantineCommand::Remove { module: module(), data: data() }).unwrap();
        assert!(read(&file).unwrap().is_empty() && file.exists());
        assert!(run(&QuarantineCommand::Remove { module: module(), data: data() }).is_err());
        for (module, reason) in
            [("example.com/m", "bad"), ("example.com/m@master", "bad"), ("example.com/m@v1.0.0", "")]
        {
            let (module, reason) = (module.to_owned(), reason.to_owned());
            assert!(run(&QuarantineCommand::Add { module, reason, data: data() }).is_err());
        }
        fs::write(&file, "something else").unwrap();
        assert!(
            run(&QuarantineCommand::Add { module: module(), reason: "bad".to_owned(), data: data() })
                .is_err()
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "something else");
    }
}
