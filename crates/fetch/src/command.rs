//! Repositories of Mercurial, Subversion, Fossil and Bazaar, through an installed `go` command.

mod gate;
mod go;
mod shelf;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quipu_module::{ModulePath, ModuleVersion, Query, Vcs, Version};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::sync::Semaphore;

use crate::client::Authority;
use crate::discover::{Discovery, Found, RepositoryUrl};
use crate::error::{Error, ErrorKind, Result};
use crate::info::Info;
use crate::proxy::agrees;
use crate::staged::{Staged, blocking, disk_error};
use crate::upstream::{BoxFuture, MAX_GO_MOD, MAX_ZIP, Upstream};
use gate::Gate;
use go::{Programs, Run};
use shelf::{Place, Shelf};

/// How much of a zip is copied at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// What a [`Command`] may use.
#[derive(Clone, Debug)]
pub struct CommandOptions {
    /// Where it keeps repositories. Emptied at the start; nobody else may use it.
    pub directory: PathBuf,
    /// The directories of the programs (`go`, `prlimit` and those of the version control systems), in the form of
    /// PATH.
    pub search: OsString,
    /// Longest time for one question, all that is fetched for it included.
    pub deadline: Duration,
    /// Largest file of a repository or zip that may be written, in bytes; what needs a larger one is refused.
    pub file_bytes: u64,
    /// Most bytes of repositories to keep; those not used for longest are removed first.
    pub max_bytes: u64,
    /// Most questions under way at once.
    pub at_once: usize,
}

impl CommandOptions {
    /// The programs of the environment's PATH, five minutes, files of 1 GiB, 4 GiB in all and two at once.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            search: std::env::var_os("PATH").unwrap_or_default(),
            deadline: Duration::from_secs(300),
            file_bytes: 1 << 30,
            max_bytes: 4 << 30,
            at_once: 2,
        }
    }
}

/// Modules from repositories that only the `go` command knows how to read.
///
/// It runs in a directory of its own with nothing of this program's environment, under limits of time, memory and file
/// size, and with all that it started it is gone when the answer is there. It can reach the hosts of the repository that
/// [`Discovery`] found, at addresses that the client's policy allows for a path that led there, over `https` (or `http` where
/// that is allowed), and nothing else: no proxy, no database, no other version control system.
pub struct Command {
    discovery: Arc<Discovery>,
    means: Means,
}

/// How new an answer has to be.
#[derive(Clone, Copy)]
enum Question {
    /// About a version, which never changes.
    Version,
    /// About all versions.
    Latest,
    /// About a branch or whatever else may change.
    Reference,
}

/// Whether the go command would answer from what it fetched before.
fn needs_new_clone(vcs: Vcs, question: Question) -> bool {
    match question {
        Question::Version => false,
        Question::Latest => matches!(vcs, Vcs::Bzr | Vcs::Fossil),
        Question::Reference => vcs != Vcs::Svn,
    }
}

enum Means {
    /// The setting that would allow it.
    Off(&'static str),
    On(Box<On>),
}

struct On {
    programs: Programs,
    shelf: Shelf,
    places: Semaphore,
    deadline: Duration,
    file_bytes: u64,
}

impl Command {
    /// Such a source, for the version control systems whose programs are found.
    ///
    /// # Errors
    /// There is no `go` or no `prlimit`, or the directory cannot be made and emptied.
    pub fn new(discovery: Arc<Discovery>, options: &CommandOptions) -> Result<Self> {
        let on = On {
            programs: Programs::find(&options.search)?,
            shelf: Shelf::open(&options.directory, options.max_bytes).map_err(|error| disk_error(&error))?,
            places: Semaphore::new(options.at_once),
            deadline: options.deadline,
            file_bytes: options.file_bytes,
        };
        Ok(Self { discovery, means: Means::On(Box::new(on)) })
    }

    /// One that runs nothing: all modules are absent, for the reason that `setting` does not allow it.
    pub fn off(discovery: Arc<Discovery>, setting: &'static str) -> Self {
        Self { discovery, means: Means::Off(setting) }
    }

    async fn ask_list(&self, path: &ModulePath) -> Result<Vec<Version>> {
        let session = self.session(path, Question::Latest).await?;
        let listed = session.list(path).await;
        session.end(listed).await
    }

    /// What `query` stands for, or without one what `latest` does.
    async fn ask_info(&self, path: &ModulePath, query: Option<&Query>) -> Result<Info> {
        let question = match query {
            None => Question::Latest,
            Some(query) if query.as_version().is_some() => Question::Version,
            Some(_) => Question::Reference,
        };
        let session = self.session(path, question).await?;
        let info = session.info(path, query).await;
        session.end(info).await
    }

    async fn ask_go_mod(&self, version: &ModuleVersion) -> Result<Bytes> {
        let session = self.session(version.path(), Question::Version).await?;
        let go_mod = session.go_mod(version).await;
        session.end(go_mod).await
    }

    async fn ask_zip(&self, version: &ModuleVersion, zip: &mut Staged) -> Result<()> {
        let session = self.session(version.path(), Question::Version).await?;
        let copied = session.zip(version, zip).await;
        session.end(copied).await
    }

    async fn session(&self, path: &ModulePath, question: Question) -> Result<Session<'_>> {
        let found = self.discovery.find(path).await?;
        if matches!(found.vcs, Vcs::Git | Vcs::Mod) {
            return Err(Error::unavailable(format!("{path}: {} needs no go command", found.vcs)));
        }
        let on = match &self.means {
            Means::On(on) => on,
            Means::Off(setting) => {
                let text =
                    format!("{path}: {} needs the go command, which {setting} does not allow", found.vcs);
                return Err(Error::not_found(text));
            }
        };
        let hosts: Vec<Authority> = found.urls.iter().filter_map(RepositoryUrl::authority).collect();
        if hosts.is_empty() {
            let text = format!("{path}: {} repositories are only fetched over https", found.vcs);
            return Err(Error::not_found(text));
        }
        let permit = tokio::time::timeout(on.deadline, on.places.acquire()).await;
        let permit = permit.map_err(|_| Error::unavailable("too many repositories are being fetched"))?;
        let permit = permit.map_err(|_| Error::unavailable("shutting down"))?;
        let reach = self.discovery.reach();
        let is_trusted = hosts.iter().all(|host| reach.trusts(path, Some(host.host())));
        let place = on.shelf.take(&found, is_trusted).await?;
        if needs_new_clone(found.vcs, question) {
            place.forget_repository().await?;
        }
        let gate = Gate::open(reach.client(is_trusted), (path, &found), hosts).await?;
        Ok(Session { on, found, gate, place, permit })
    }
}

/// The use of one repository for one question.
struct Session<'a> {
    on: &'a On,
    found: Found,
    gate: Gate,
    place: Place,
    permit: tokio::sync::SemaphorePermit<'a>,
}

/// What `go list -m -json` and `go mod download -json` print, as far as it counts.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Answer {
    version: String,
    versions: Vec<String>,
    error: Option<Fault>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Fault {
    Text(String),
    Object {
        #[serde(rename = "Err")]
        text: String,
    },
}

impl Answer {
    fn fault(&self) -> Option<&str> {
        self.error.as_ref().map(|(Fault::Text(text) | Fault::Object { text })| text.as_str())
    }
}

impl Session<'_> {
    /// Versions are also listed when a repository cannot be reached; that there is a latest one shows that it was.
    async fn list(&self, path: &ModulePath) -> Result<Vec<Version>> {
        let answer = self.query(path, "latest", &["-versions", "-retracted"]).await?;
        let versions = answer.versions.iter().filter_map(|version| Version::parse(version).ok());
        let mut versions: Vec<_> =
            versions.filter(|version| agrees(path, version) && !version.is_pseudo()).collect();
        versions.sort_unstable();
        versions.dedup();
        Ok(versions)
    }

    async fn info(&self, path: &ModulePath, query: Option<&Query>) -> Result<Info> {
        let asked = query.map_or("latest".to_owned(), ToString::to_string);
        let answer = self.query(path, &asked, &[]).await?;
        let version = Version::parse(&answer.version)
            .map_err(|_| Error::rejected(format!("{path}@{asked}: go answers without a version")))?;
        let fixed = query.and_then(Query::as_version).filter(|version| agrees(path, version));
        if fixed.is_some_and(|fixed| fixed != version) {
            return Err(Error::rejected(format!("{path}@{asked}: go describes {version} instead")));
        }
        let file = self.cached(&ModuleVersion::new(path.clone(), version), "info")?;
        Info::parse(path, &read_small(&file, Info::MAX_BYTES as u64).await?)
    }

    async fn go_mod(&self, version: &ModuleVersion) -> Result<Bytes> {
        self.query(version.path(), version.version().as_str(), &[]).await?;
        let file = self.cached(&Ok(version.clone()), "mod")?;
        if !file.is_file() {
            self.download(version).await?;
        }
        read_small(&file, MAX_GO_MOD).await
    }

    async fn zip(&self, version: &ModuleVersion, zip: &mut Staged) -> Result<()> {
        self.download(version).await?;
        let file = self.cached(&Ok(version.clone()), "zip")?;
        let mut file = tokio::fs::File::open(file).await.map_err(|error| disk_error(&error))?;
        zip.restart().await?;
        let (mut chunk, mut left) = (vec![0; CHUNK], MAX_ZIP);
        loop {
            let read = file.read(&mut chunk).await.map_err(|error| disk_error(&error))?;
            left = left.checked_sub(read as u64).ok_or_else(|| Error::too_large(MAX_ZIP))?;
            match chunk.get(..read) {
                Some(bytes) if read > 0 => zip.write(bytes).await?,
                _ => return Ok(()),
            }
        }
    }

    /// A module's version, with more of what `go list` tells.
    async fn query(&self, path: &ModulePath, query: &str, more: &[&str]) -> Result<Answer> {
        let (what, tip) = (format!("{path}@{query}"), format!("{path}@tip"));
        let mut arguments = [&["list", "-m", "-e", "-modcacherw", "-json"], more, &["--", &what]].concat();
        if self.found.vcs == Vcs::Hg && query == "latest" {
            // The go command is silent about a pull that failed, but not when it is asked for this.
            arguments.push(&tip);
        }
        let answers = self.go(path, &arguments).await?;
        self.judge(path, query, answers).await
    }

    async fn download(&self, version: &ModuleVersion) -> Result<()> {
        let what = version.to_string();
        let arguments = ["mod", "download", "-modcacherw", "-json", "--", &what];
        let answers = self.go(version.path(), &arguments).await?;
        self.judge(version.path(), version.version().as_str(), answers).await.map(|_| ())
    }

    async fn go(&self, path: &ModulePath, arguments: &[&str]) -> Result<Vec<Answer>> {
        let Found { root, vcs, .. } = &self.found;
        let settings = [
            ("GOINSECURE", path.to_string()),
            ("GOPRIVATE", path.to_string()),
            ("GONOPROXY", path.to_string()),
            ("GONOSUMDB", path.to_string()),
            ("GOVCS", format!("{root}:{vcs},*:off")),
        ];
        let run = Run {
            programs: &self.on.programs,
            directory: &self.place.directory,
            proxy: self.gate.address(),
            settings: &settings,
            deadline: self.on.deadline,
            file_bytes: self.on.file_bytes,
        };
        let output = run.go(arguments).await?;
        if let Some(error) = self.gate.failure() {
            return Err(error.about(path));
        }
        let answers: serde_json::Result<Vec<Answer>> =
            serde_json::Deserializer::from_slice(&output).into_iter().collect();
        let answers = answers.ok().filter(|answers| !answers.is_empty());
        answers.ok_or_else(|| Error::unavailable(format!("{path}: the go command gave no answer")))
    }

    /// The first answer, if it is one. Tells absence from faults: some systems call every failure an unknown revision,
    /// so that is believed only of a repository that can be read.
    async fn judge(&self, path: &ModulePath, query: &str, answers: Vec<Answer>) -> Result<Answer> {
        let unreachable =
            || Error::unavailable(format!("{path}: its {} repository cannot be read", self.found.vcs));
        for text in answers.iter().filter_map(Answer::fault) {
            tracing::debug!(%path, query, text, "go command");
            if is_too_large(text) {
                return Err(Error::too_large(self.on.file_bytes).about(path));
            }
            if reason(path, text).is_none() {
                return Err(unreachable());
            }
        }
        let Some(answer) = answers.into_iter().next() else { return Err(unreachable()) };
        let Some(reason) = answer.fault().and_then(|text| reason(path, text)) else { return Ok(answer) };
        if reason.contains("unknown revision") {
            let latest = format!("{path}@latest");
            let check = self.go(path, &["list", "-m", "-e", "-modcacherw", "-json", "--", &latest]).await?;
            if query == "latest" || check.iter().all(|answer| answer.version.is_empty()) {
                return Err(unreachable());
            }
        }
        Err(Error::not_found(format!("{path}@{query}: {reason}")))
    }

    /// A file of the go command's own download cache.
    fn cached(
        &self,
        version: &std::result::Result<ModuleVersion, quipu_module::Error>,
        kind: &str,
    ) -> Result<PathBuf> {
        let version = version.as_ref().map_err(|error| Error::rejected(error.to_string()))?;
        let name = format!("{}.{kind}", version.version().escaped());
        let versions = self.place.directory.join("mod/cache/download").join(version.path().escaped());
        Ok(versions.join("@v").join(name))
    }

    /// Gives the directory back, whatever came of the question.
    async fn end<T>(self, result: Result<T>) -> Result<T> {
        let Self { on, gate, place, permit, .. } = self;
        drop(gate);
        let sound = result.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::NotFound);
        if let Err(error) = on.shelf.give_back(place, sound).await {
            tracing::error!(%error, "directory of a repository");
        }
        drop(permit);
        result
    }
}

/// Why a version definitely does not exist, in the words of the go command; `None` if that is not what it says.
fn reason<'t>(path: &ModulePath, text: &'t str) -> Option<&'t str> {
    let line = text.lines().find(|line| !line.trim().is_empty())?.trim();
    let line = line.strip_prefix("module ").unwrap_or(line);
    let line = line.strip_prefix(path.as_str()).unwrap_or(line);
    let line = line.trim_start_matches(|c| c != ' ').trim();
    let definite = [
        "unknown revision",
        "no matching versions for query",
        "invalid version: ",
        "go.mod has ",
        "go.mod at revision",
        "missing go.mod",
    ];
    // Paths on this machine are nobody's business.
    (definite.iter().any(|part| line.contains(part)) && !line.contains(" /")).then_some(line)
}

/// Whether a program was ended, or could not go on, because a file grew beyond its limit.
fn is_too_large(text: &str) -> bool {
    text.contains("signal: file size limit exceeded") || text.contains("File too large")
}

async fn read_small(file: &Path, max_bytes: u64) -> Result<Bytes> {
    let file = file.to_owned();
    let bytes = blocking(move || {
        let length = std::fs::metadata(&file)?.len();
        if length > max_bytes { Ok(None) } else { std::fs::read(file).map(Some) }
    });
    bytes.await?.map(Bytes::from).ok_or_else(|| Error::new(ErrorKind::TooLarge, "a file of go is too long"))
}

impl Upstream for Command {
    fn list<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Vec<Version>>> {
        Box::pin(self.ask_list(path))
    }

    fn info<'a>(&'a self, path: &'a ModulePath, query: &'a Query) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.ask_info(path, Some(query)))
    }

    fn latest<'a>(&'a self, path: &'a ModulePath) -> BoxFuture<'a, Result<Info>> {
        Box::pin(self.ask_info(path, None))
    }

    fn go_mod<'a>(&'a self, version: &'a ModuleVersion) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(self.ask_go_mod(version))
    }

    fn zip<'a>(&'a self, version: &'a ModuleVersion, zip: &'a mut Staged) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.ask_zip(version, zip))
    }
}
