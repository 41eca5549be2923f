//! `quipu publish`: sends a module, packed or as a zip, to a running server and shows what it took into its log.

use std::fs::File;
use std::io::{BufReader, Seek as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use quipu_module::{ModulePath, ModuleVersion, Record, SumKind, Version, check_publish, list_zip};
use serde_json::json;

use crate::cli;
use crate::output::tell;
use crate::pack::pack;
use crate::remote::{Remote, block_on};

/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// Publishes and prints.
///
/// # Errors
/// The zip breaks a rule, or the server refuses it or cannot be reached.
pub(crate) fn run(args: &cli::Publish) -> Result<ExitCode> {
    let version = Version::parse(&args.module_version).context("--version")?;
    let source = args.source.as_path();
    let (module, mut zip) = zip_of(source, version).with_context(|| source.display().to_string())?;
    // The server judges for itself; this says what is wrong before anything is sent.
    let ours = check_publish(&module, BufReader::new(&zip)).with_context(|| source.display().to_string())?;
    zip.rewind()?;
    let remote = Remote::new(&args.to, &args.caller)?;
    let path = format!("{}/@v/{}.zip", module.path().escaped(), module.version().escaped());
    let (status, body) = block_on(remote.put(&path, zip, MAX_ANSWER))?;
    let text = String::from_utf8_lossy(&body);
    let first = text.lines().next().unwrap_or_default();
    match status {
        200 | 201 => {}
        409 => {
            eprintln!("quipu: {first}");
            return Ok(ExitCode::from(4));
        }
        _ => bail!("{status}: {first}"),
    }
    let record = Record::find(&text, &module).context("the server does not say what it logged")?;
    ensure!(record.zip == ours.hash, "the server says that it logged {}, not {}", record.zip, ours.hash);
    show(&record, first, status == 201, args.json)?;
    Ok(ExitCode::SUCCESS)
}

fn show(record: &Record, index: &str, is_new: bool, json: bool) -> Result<()> {
    let index: Option<u64> = index.parse().ok();
    if json {
        let (zip, go_mod) = (record.zip.to_string(), record.go_mod.to_string());
        let (path, version) = (record.module.path().as_str(), record.module.version().as_str());
        return Ok(tell(
            json!({ "module": path, "version": version, "zip": zip, "go_mod": go_mod, "record": index, "new": is_new }),
        )?);
    }
    let place = index.map(|index| format!(" as record {index}")).unwrap_or_default();
    let when = if is_new { "published, logged" } else { "was published before, logged" };
    eprintln!("{}: {when}{place}", record.module);
    for kind in [SumKind::Zip, SumKind::GoMod] {
        tell(record.line(kind))?;
    }
    Ok(())
}

/// The module zip at `source`, which is one or a directory to pack.
fn zip_of(source: &Path, version: Version) -> Result<(ModuleVersion, File)> {
    if source.is_dir() {
        return pack(source, version);
    }
    let zip = File::open(source)?;
    let path = path_in(&zip, &version)?;
    Ok((ModuleVersion::new(path, version)?, zip))
}

/// The module path that the names in a zip begin with.
fn path_in(zip: &File, version: &Version) -> Result<ModulePath> {
    let files = list_zip(BufReader::new(zip))?;
    let first = files.first().context("an empty zip")?;
    let name = String::from_utf8_lossy(&first.name).into_owned();
    let path = name.split_once(&format!("@{version}/")).map(|(path, _)| path);
    let path = path.with_context(|| {
        format!("names in this module zip must begin with PATH@{version}/, not as {name:?} does")
    })?;
    Ok(ModulePath::parse(path)?)
}
