//! The policy: made from the settings, and kept up to date with the files that change while the server runs.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use quipu_ledger::SystemClock;
use quipu_module::ModuleVersion;
use quipu_server::policy::{
    Cooldown, Fixes, Offering, Quarantine, Refused, Rule, Rulebook, ToolchainRule, Versions, Waiver,
};
use quipu_server::{AuditDecisions, AuditLog};
use tracing::{error, info};

use crate::config::{Config, Policy};
use crate::keys::DataDir;
use crate::quarantine;

/// How often it is looked whether the quarantine has changed.
const QUARANTINE_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether the OSV files have changed: in so many times the above.
const FIXES_EVERY: u32 = 60;

/// So many times the OSV files are looked at before they are read again, at most, where nothing but time has passed since they
/// could not be read: an hour.
const FIXES_PATIENCE: u32 = 60;

/// Files of an OSV database at most, and bytes of one.
const MOST_FILES: usize = 500_000;
const MOST_BYTES: u64 = 8 << 20;

/// Folders within folders in an OSV database.
const DEPTH: u32 = 8;

/// The rules that the settings give.
///
/// # Errors
/// What makes no sense, by the name of the setting.
pub(crate) fn rulebook(policy: &Policy) -> Result<Rulebook> {
    let mut book = Rulebook { dry_run: policy.dry_run.unwrap_or(false), ..Rulebook::default() };
    for (n, rule) in (1..).zip(&policy.rules) {
        let made = Versions::parse(&rule.versions)
            .and_then(|versions| Rule::new(rule.action.into(), &rule.modules, versions, &rule.reason));
        book.rules
            .push(made.with_context(|| format!("[[policy.rule]] number {n}, modules = {:?}", rule.modules))?);
    }
    for (n, rule) in (1..).zip(&policy.toolchains) {
        let made = ToolchainRule::new(rule.action.into(), &rule.versions, &rule.platforms, &rule.reason);
        book.toolchains.push(made.with_context(|| format!("[[policy.toolchain]] number {n}"))?);
    }
    let mut waivers = Vec::new();
    for (n, waiver) in (1..).zip(&policy.waivers) {
        let made = Versions::parse(&waiver.versions)
            .and_then(|versions| Waiver::new(&waiver.modules, versions, &waiver.reason, &waiver.until));
        waivers.push(
            made.with_context(|| format!("[[policy.waiver]] number {n}, modules = {:?}", waiver.modules))?,
        );
    }
    let days = policy.cooldown_days.unwrap_or(0);
    ensure!(
        days > 0 || (waivers.is_empty() && policy.osv.is_none()),
        "[policy] has waivers or osv, but no cooldown_days: they are exceptions from it"
    );
    book.cooldown = (days > 0).then_some(Cooldown { days, waivers });
    Ok(book)
}

/// What is refused by path and version alone, as things stand: for programs that run beside the server. Ages do not matter
/// for what is in the log.
#[derive(Default)]
pub(crate) struct Standing {
    book: Rulebook,
    quarantine: Quarantine,
}

impl Standing {
    /// Reads the settings and the quarantine of a data directory.
    ///
    /// # Errors
    /// A setting that makes no sense, or a quarantine that is there and cannot be read.
    pub(crate) fn read(config: &Config, data: &DataDir) -> Result<Self> {
        let book = rulebook(&config.set.policy)?;
        Ok(Self { book, quarantine: quarantine::read(&quarantine::file(data))? })
    }

    /// Whether a server with these settings would serve the version. A dry run holds for rules, not for the quarantine.
    ///
    /// # Errors
    /// It is refused.
    pub(crate) fn judge(&self, module: &ModuleVersion) -> std::result::Result<(), Refused> {
        self.quarantine.judge(module)?;
        if self.book.dry_run { Ok(()) } else { self.book.judge(module) }
    }
}

/// The policy in force, kept up to date until the server ends.
///
/// # Errors
/// A setting that makes no sense, or a file that is there and cannot be used.
pub(crate) fn in_force(config: &Config, data: &DataDir, audit: &AuditLog) -> Result<Arc<Offering>> {
    let policy = &config.set.policy;
    let book = rulebook(policy)?;
    let decisions = Arc::new(AuditDecisions::new(audit.clone()));
    let offering = Arc::new(Offering::new(book, Arc::new(SystemClock::new()), decisions));
    let (quarantine, held) = Watched::open(quarantine::file(data), quarantine::read)?;
    offering.set_quarantine(held);
    let fixes = policy.osv.clone().map(|path| Watched::open(path, read_fixes)).transpose()?;
    let fixes = fixes.map(|(fixes, known)| {
        offering.set_fixes(known);
        fixes.patient(FIXES_PATIENCE)
    });
    let files = Files { quarantine, fixes };
    tokio::spawn(follow(Arc::clone(&offering), files));
    Ok(offering)
}

/// The files that change while the server runs.
struct Files {
    quarantine: Watched,
    fixes: Option<Watched>,
}

async fn follow(offering: Arc<Offering>, mut files: Files) {
    let mut ticks = tokio::time::interval(QUARANTINE_EVERY);
    for tick in (0..FIXES_EVERY).cycle() {
        ticks.tick().await;
        let offering = Arc::clone(&offering);
        let looked = tokio::task::spawn_blocking(move || {
            files.look(&offering, tick == 0);
            files
        });
        let Ok(back) = looked.await else { return };
        files = back;
    }
}

impl Files {
    /// Takes over what has changed. What cannot be read changes nothing: what was in force stays so.
    fn look(&mut self, offering: &Offering, fixes_too: bool) {
        match self.quarantine.follow(quarantine::read_again) {
            None => {}
            Some(Ok(quarantine)) => {
                info!(versions = quarantine.len(), "quarantine reloaded");
                offering.set_quarantine(quarantine);
            }
            Some(Err(error)) => {
                error!(why = %format!("{error:#}"), "the quarantine cannot be read; what was in it stays in it");
            }
        }
        let fixes = self.fixes.as_mut().filter(|_| fixes_too);
        match fixes.and_then(|fixes| fixes.follow(read_fixes)) {
            None => {}
            Some(Ok(known)) => {
                info!(fixes = known.len(), "OSV files reloaded");
                offering.set_fixes(known);
            }
            Some(Err(error)) => {
                error!(why = %format!("{error:#}"), "the OSV files cannot be read; the fixes known before stay known");
            }
        }
    }
}

/// A file, or a folder with all OSV files in it, that is read again when it changes.
struct Watched {
    path: PathBuf,
    /// What it looked like when it was last read.
    seen: Option<u64>,
    /// What it looked like when it could not be read, and how often in a row that was so.
    failed: (Option<u64>, u32),
    /// It is read again at this look at the latest, if it looks as when it could not be read.
    patience: u32,
    /// So many looks are left until then.
    wait: u32,
}

impl Watched {
    /// With what `read` makes of it now.
    ///
    /// # Errors
    /// Those of `read`.
    fn open<T>(path: PathBuf, read: impl FnOnce(&Path) -> Result<T>) -> Result<(Self, T)> {
        // Taken first: what changes meanwhile is read again.
        let seen = look_of(&path);
        let content = read(&path)?;
        Ok((Self { path, seen, failed: (None, 0), patience: 1, wait: 0 }, content))
    }

    /// The same, and what cannot be read is tried again ever later as long as it looks the same: the next time, the second time
    /// after that, the fourth and so on, up to so many.
    fn patient(self, patience: u32) -> Self {
        Self { patience, ..self }
    }

    /// What `read` makes of it, unless it is what was last read. What cannot be read is tried again, and of many failures that
    /// are alike ever fewer are told.
    fn follow<T>(&mut self, read: impl FnOnce(&Path) -> Result<T>) -> Option<Result<T>> {
        let now = look_of(&self.path);
        if now == self.seen {
            self.failed = (None, 0);
            return None;
        }
        let (before, times) = self.failed;
        let times = if before == now { times } else { 0 };
        if times > 0 && self.wait > 0 {
            self.wait -= 1;
            return None;
        }
        let content = read(&self.path);
        if content.is_ok() {
            (self.seen, self.failed) = (now, (None, 0));
            return Some(content);
        }
        self.wait =
            1u32.checked_shl(times).map_or(self.patience, |looks| looks.min(self.patience)).saturating_sub(1);
        let times = times.saturating_add(1);
        self.failed = (now, times);
        times.is_power_of_two().then_some(content)
    }
}

fn look_of(path: &Path) -> Option<u64> {
    let mut left = MOST_FILES;
    stamp(path, DEPTH, &mut left)
}

/// Tells one state of a file from another, also when it was changed in its place; of a folder, the states of all OSV files
/// in it, in whatever order they are listed. None for what is not there.
fn stamp(path: &Path, depth: u32, left: &mut usize) -> Option<u64> {
    let meta = fs::metadata(path).ok()?;
    let mut state = DefaultHasher::new();
    // The time of the change is set by every write; that of the content can be set back.
    (path, meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()).hash(&mut state);
    (meta.ctime(), meta.ctime_nsec()).hash(&mut state);
    let mut all = state.finish();
    if meta.is_dir() && depth > 0 {
        for entry in fs::read_dir(path).ok()?.flatten() {
            let path = entry.path();
            let counts = path.extension().is_some_and(|end| end == "json") || path.is_dir();
            // As many as are read; a folder with more is refused there.
            if counts && *left > 0 {
                *left -= 1;
                all = all.wrapping_add(stamp(&path, depth - 1, left).unwrap_or_default());
            }
        }
    }
    Some(all)
}

/// The fixes that an OSV file names, or all `.json` files below a folder.
///
/// # Errors
/// A file that cannot be read or is no OSV, by its name.
pub(crate) fn read_fixes(path: &Path) -> Result<Fixes> {
    let mut fixes = Fixes::default();
    if path.is_dir() {
        let mut left = MOST_FILES;
        read_folder(path, DEPTH, &mut left, &mut fixes)?;
    } else {
        read_file(path, &mut fixes)?;
    }
    Ok(fixes)
}

fn read_folder(folder: &Path, depth: u32, left: &mut usize, fixes: &mut Fixes) -> Result<()> {
    let unreadable = || format!("cannot read the OSV folder {}", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if path.is_dir() {
            ensure!(depth > 0, "{}: folders within folders within folders", path.display());
            read_folder(&path, depth - 1, left, fixes)?;
        } else if path.extension().is_some_and(|end| end == "json") {
            *left = left.checked_sub(1).with_context(|| format!("more than {MOST_FILES} OSV files"))?;
            read_file(&path, fixes)?;
        }
    }
    Ok(())
}

fn read_file(path: &Path, fixes: &mut Fixes) -> Result<()> {
    let mut json = Vec::new();
    let file = fs::File::open(path);
    let read = file.and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut json));
    read.with_context(|| format!("cannot read the OSV file {}", path.display()))?;
    ensure!(json.len() as u64 <= MOST_BYTES, "{}: more than {MOST_BYTES} bytes", path.display());
    fixes.add(&json).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    fn policy(toml: &str) -> Result<Rulebook> {
        rulebook(&toml::from_str::<Policy>(toml)?)
    }

    #[test]
    fn settings_become_rules() {
        let book = policy(
            "dry_run = true\ncooldown_days = 7\n\
             [[rule]]\naction = \"allow\"\nmodules = \"example.com/m\"\nversions = [\"v1.0.0\", \"[v2, v3]\"]\n\
             [[rule]]\naction = \"deny\"\nmodules = \"*\"\nreason = \"not on our list\"\n\
             [[toolchain]]\naction = \"deny\"\nversions = [\"<go1.25.0\"]\nplatforms = \"linux-*\"\nreason = \"old\"\n\
             [[waiver]]\nmodules = \"example.com/m\"\nreason = \"we wrote it\"\nuntil = \"2026-12-31\"\n",
        );
        let book = book.unwrap();
        assert!(book.dry_run);
        assert_eq!((book.rules.len(), book.toolchains.len()), (2, 1));
        assert_eq!(book.cooldown.map(|cooldown| (cooldown.days, cooldown.waivers.len())), Some((7, 1)));
        assert!(policy("").unwrap().is_empty());
    }

    #[test]
    fn a_dry_run_suspends_rules_and_no_quarantine() {
        let rule = "[[rule]]\naction = \"deny\"\nmodules = \"a.b\"\nreason = \"r\"\n";
        let module = |text: &str| text.parse::<ModuleVersion>().unwrap();
        for (dry, denied) in [("", true), ("dry_run = true\n", false)] {
            let mut standing =
                Standing { book: policy(&format!("{dry}{rule}")).unwrap(), ..Standing::default() };
            standing.quarantine.add(module("c.d/e@v1.0.0"), "bad", 1).unwrap();
            assert_eq!(standing.judge(&module("a.b/x@v1.0.0")).is_err(), denied);
            assert!(standing.judge(&module("c.d/e@v1.0.0")).is_err());
            assert!(standing.judge(&module("c.d/e@v1.0.1")).is_ok());
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let rule =
            |more: &str| format!("[[rule]]\naction = \"deny\"\nmodules = \"a.b\"\nreason = \"r\"\n{more}\n");
        for (toml, named) in [
            (rule("versions = [\"1.0.0\"]"), "rule]] number 1"),
            (rule("") + "[[rule]]\naction = \"deny\"\nmodules = \"b.c\"\n", "number 2, modules = \"b.c\""),
            (rule("version = \"v1\""), "version"),
            ("[[rule]]\naction = \"block\"\nmodules = \"a.b\"\n".to_owned(), "block"),
            (
                "[[toolchain]]\naction = \"deny\"\nversions = [\"1.25\"]\nreason = \"r\"\n".to_owned(),
                "toolchain]] number 1",
            ),
            (
                "cooldown_days = 7\n[[waiver]]\nmodules = \"a.b\"\nreason = \"r\"\nuntil = \"soon\"\n"
                    .to_owned(),
                "soon",
            ),
            (
                "[[waiver]]\nmodules = \"a.b\"\nreason = \"r\"\nuntil = \"2026-12-31\"\n".to_owned(),
                "cooldown_days",
            ),
            ("osv = \"/x\"\n".to_owned(), "cooldown_days"),
        ] {
            let error = format!("{:#}", policy(&toml).unwrap_err());
            assert!(error.contains(named), "{toml}: {error}");
        }
    }

    #[test]
    fn osv_files_in_folders() {
        let dir = tempfile::tempdir().unwrap();
        let entry = |version: &str| {
            format!(
                r#"{{"id":"x","affected":[{{"package":{{"name":"a.b/c","ecosystem":"Go"}},"ranges":[{{"type":"SEMVER","events":[{{"fixed":"{version}"}}]}}]}}]}}"#
            )
        };
        fs::create_dir_all(dir.path().join("ID/more")).unwrap();
        fs::write(dir.path().join("ID/GO-1.json"), entry("1.0.1")).unwrap();
        fs::write(dir.path().join("ID/more/GO-2.json"), entry("1.0.2")).unwrap();
        fs::write(dir.path().join("README"), "no JSON").unwrap();
        assert_eq!(read_fixes(dir.path()).unwrap().len(), 2);
        assert_eq!(read_fixes(&dir.path().join("ID/GO-1.json")).unwrap().len(), 1);
        fs::write(dir.path().join("broken.json"), "{").unwrap();
        let error = format!("{:#}", read_fixes(dir.path()).unwrap_err());
        assert!(error.contains("broken.json"), "{error}");
        assert!(read_fixes(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_change_anywhere_in_a_folder_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("ID/more"), dir.path().join("ID/more/GO-1.json"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, "{}").unwrap();
        let (mut watched, ()) = Watched::open(dir.path().to_owned(), |_| Ok(())).unwrap();
        let mut is_new = || watched.follow(|_| Ok(())).is_some();
        assert!(!is_new());
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        // In its place, of the same length, and with the time of before: neither the folders nor that time tell.
        // The system's clock for such times moves in steps of some milliseconds.
        std::thread::sleep(Duration::from_millis(30));
        let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&opened, b"[]", 0).unwrap();
        opened.set_modified(before).unwrap();
        assert!(is_new() && !is_new(), "changed");
        fs::write(folder.join("GO-2.json"), "{}").unwrap();
        assert!(is_new() && !is_new(), "added");
        fs::remove_file(folder.join("GO-2.json")).unwrap();
        assert!(is_new() && !is_new(), "removed");
        fs::remove_dir_all(dir.path().join("ID")).unwrap();
        assert!(is_new() && !is_new(), "all gone");
        let (mut single, ()) = Watched::open(file, |_| Ok(())).unwrap();
        assert!(single.follow(|_| Ok(())).is_none(), "was not there and is not there");
    }

    #[test]
    fn what_could_not_be_read_once_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("quarantine");
        fs::write(&file, "1").unwrap();
        let read = |path: &Path| -> Result<String> { Ok(fs::read_to_string(path)?) };
        let (mut watched, content) = Watched::open(file.clone(), read).unwrap();
        assert_eq!(content, "1");
        assert!(watched.follow(read).is_none());
        // As where there are no more files to be had just then: nothing is wrong with this one.
        fs::write(&file, "22").unwrap();
        let full = |_: &Path| -> Result<()> { bail!("too many open files") };
        let told: Vec<u32> = (1..=9).filter(|_| watched.follow(full).is_some()).collect();
        assert_eq!(told, [1, 2, 4, 8], "of those that are alike");
        assert_eq!(watched.follow(read).unwrap().unwrap(), "22");
        assert!(watched.follow(read).is_none());
        // Another failure is told at once, and so is that the file is gone.
        fs::write(&file, "333").unwrap();
        assert!(watched.follow(full).is_some());
        fs::remove_file(&file).unwrap();
        assert!(watched.follow(read).unwrap().is_err());
        assert!(watched.follow(read).unwrap().is_err());
        assert!(watched.follow(read).is_none(), "the third time");
    }

    #[test]
    fn what_stays_broken_is_read_ever_more_rarely() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("GO-1.json");
        fs::write(&file, "{}").unwrap();
        let (watched, _) = Watched::open(dir.path().to_owned(), read_fixes).unwrap();
        let mut watched = watched.patient(FIXES_PATIENCE);
        // At which of these looks it was read.
        let mut reads = |looks: u32| {
            let mut read = Vec::new();
            for look in 1..=looks {
                let _ = watched.follow(|path| {
                    read.push(look);
                    read_fixes(path)
                });
            }
            read
        };
        fs::write(&file, "{").unwrap();
        assert_eq!(reads(300), [1, 2, 4, 8, 16, 32, 64, 124, 184, 244], "minutes");
        fs::write(&file, "{ no").unwrap();
        assert_eq!(reads(10), [1, 2, 4, 8], "changed");
        fs::write(&file, "{\"id\": \"GO-1\"}").unwrap();
        assert_eq!(reads(10), [1], "mended");
        fs::write(&file, "{").unwrap();
        assert_eq!(reads(10), [1, 2, 4, 8], "broken anew");
    }

    #[test]
    fn a_quarantine_that_is_gone_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("quarantine");
        assert!(quarantine::read(&file).unwrap().is_empty());
        assert!(quarantine::read_again(&file).is_err());
    }
}
