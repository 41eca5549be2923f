//! `quipu publish`: sends a module zip to a running server and shows what it took into its log.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use quipu_module::{ModulePath, ModuleVersion, Record, SumKind, Version, check_publish, list_zip};
use serde_json::json;

use crate::cli;
use crate::output::tell;
use crate::remote::{Remote, block_on};

/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// Publishes and prints.
///
/// # Errors
/// The zip breaks a rule, or the server refuses it or cannot be reached.
pub(crate) fn run(args: &cli::Publish) -> Result<ExitCode> {
    let remote = Remote::new(&args.to, args.credentials.token_file.as_deref())?;
    let version = Version::parse(&args.module_version).context("--version")?;
    let file = args.zip.as_path();
    let module = ModuleVersion::new(path_in(file, &version)?, version)?;
    // The server judges for itself; this says what is wrong before anything is sent.
    let ours = check_publish(&module, open(file)?).with_context(|| file.display().to_string())?;
    let path = format!("{}/@v/{}.zip", module.path().escaped(), module.version().escaped());
    let (status, body) = block_on(remote.put(&path, File::open(file)?, MAX_ANSWER))?;
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

/// The module path that the names in a zip begin with.
fn path_in(file: &Path, version: &Version) -> Result<ModulePath> {
    let shown = file.display();
    let files = list_zip(open(file)?).with_context(|| shown.to_string())?;
    let first = files.first().with_context(|| format!("{shown} is an empty zip"))?;
    let name = String::from_utf8_lossy(&first.name).into_owned();
    let path = name.split_once(&format!("@{version}/")).map(|(path, _)| path);
    let path = path.with_context(|| {
        format!("{shown}: names in a module zip begin with PATH@{version}/, not as {name:?} does")
    })?;
    Ok(ModulePath::parse(path)?)
}

fn open(file: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(file).with_context(|| format!("cannot read {}", file.display()))?))
}
