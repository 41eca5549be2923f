//! Runs one story: a text of commands, one a line, with the files it needs below them.
//!
//! `!` before a command turns its outcome around. Words in single quotes stay together; `$NAME` is replaced by what
//! the story knows. The commands are listed in `testdata/script/README`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::archive::Archive;
use crate::forge::{Forge, Whose};
use crate::goproxy::Goproxy;
use crate::http::Answer;
use crate::issuer::Issuer;
use crate::mercurial::Mercurial;
use crate::privacy::{Names, Told};
use crate::program::{Ended, Server, command, find, run};
use crate::sshd::Sshd;
use crate::upstream::Upstream;

/// The state of a story between two commands.
pub(crate) struct Story {
    /// The name of its file, and so of its test.
    pub(crate) name: String,
    /// Holds everything below; goes away with the story.
    home: TempDir,
    /// Where commands run and the files of the story lie.
    pub(crate) work: PathBuf,
    pub(crate) vars: BTreeMap<String, String>,
    pub(crate) go_env: BTreeMap<String, String>,
    pub(crate) server_env: BTreeMap<String, String>,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) forges: BTreeMap<Whose, Forge>,
    pub(crate) mercurial: Option<Mercurial>,
    pub(crate) sshd: Option<Sshd>,
    pub(crate) issuer: Option<Issuer>,
    pub(crate) goproxy: Option<Goproxy>,
    pub(crate) server: Option<Server>,
    /// Another one, started before and left running.
    pub(crate) behind: Option<Server>,
    /// What the servers were told to keep from others, in the order in which they were started.
    secrets: Vec<Names>,
    pub(crate) last: Ended,
    pub(crate) answer: Answer,
    /// Set once the story cannot go on here, with the reason.
    pub(crate) skipped: Option<String>,
    /// Set once all of it was told elsewhere.
    pub(crate) told: bool,
}

/// What became of a story.
pub(crate) type Outcome = Result<(), String>;

/// Plays the story in `file`.
pub(crate) fn play(file: &Path) -> Outcome {
    let archive = Archive::parse(&fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?);
    let mut story = Story::new(&archive);
    story.name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for (number, line) in archive.comment.lines().enumerate() {
        let outcome = story.line(line);
        outcome
            .and_then(|()| story.kept_private())
            .map_err(|why| format!("{}:{}: {line}\n{why}\n{}", file.display(), number + 1, story.state()))?;
        if let Some(why) = &story.skipped {
            // Past the harness, which shows nothing of what a passing test prints.
            let _ = writeln!(std::io::stderr(), "SKIPPED {}: {why}", file.display());
            return Ok(());
        }
        if story.told {
            return Ok(());
        }
    }
    Ok(())
}

impl Story {
    fn new(archive: &Archive) -> Self {
        let home = tempfile::tempdir().unwrap();
        let work = home.path().join("work");
        fs::create_dir(&work).unwrap();
        for (name, content) in &archive.files {
            let file = work.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        let below = |name: &str| home.path().join(name).display().to_string();
        let own = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let go_env = own(&[
            ("HOME", &below("home")),
            ("GOPATH", &below("gopath")),
            ("GOMODCACHE", &below("modcache")),
            ("GOCACHE", &below("gocache")),
            ("GOENV", "off"),
            ("GOFLAGS", "-modcacherw"),
            ("GOTOOLCHAIN", "local"),
            ("GOTELEMETRY", "off"),
            ("GOVCS", "*:off"),
            // Until a server or an upstream is there, nothing leads anywhere.
            ("GOPROXY", "off"),
        ]);
        let server_env = own(&[
            ("HOME", &below("home")),
            ("QUIPU_NAME", "sum.corp.test"),
            ("QUIPU_LIMITS_FREE_MIB", "1"),
            ("QUIPU_LOG_RESERVE_MIB", "1"),
            ("GOPROXY", "off"),
        ]);
        let vars = own(&[
            ("WORK", &work.display().to_string()),
            ("MODCACHE", &below("modcache")),
            ("QUIPU", &find("quipu").display().to_string()),
        ]);
        Self {
            name: String::new(),
            home,
            work,
            vars,
            go_env,
            server_env,
            upstream: None,
            forges: BTreeMap::new(),
            mercurial: None,
            sshd: None,
            issuer: None,
            goproxy: None,
            server: None,
            behind: None,
            secrets: Vec::new(),
            last: Ended::default(),
            answer: Answer::default(),
            skipped: None,
            told: false,
        }
    }

    /// Whether the upstream heard nothing but what it may.
    fn kept_private(&self) -> Result<(), String> {
        let leaks = self.upstream.as_ref().map(Upstream::leaks).unwrap_or_default();
        if leaks.is_empty() { Ok(()) } else { Err(format!("private names left:\n{}", leaks.join("\n"))) }
    }

    /// Tells the upstream which names it must not hear from now on, by what the servers, `go` and a program with these
    /// arguments were told.
    fn keep_private(&self, args: &[&str]) {
        if let Some(upstream) = &self.upstream {
            // What is wrong with a file is for who reads it to say.
            let config = self.config_of(args).ok().flatten();
            let here = self.told(args, &self.go_env, config.as_ref());
            upstream.keep_from(Names::all(self.secrets.iter().chain([&here])));
        }
    }

    fn told(&self, args: &[&str], env: &BTreeMap<String, String>, config: Option<&toml::Table>) -> Names {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        Told { args: &args, env, config }.names()
    }

    /// The configuration that the arguments name.
    fn config_of(&self, args: &[&str]) -> Result<Option<toml::Table>, String> {
        let file = args.iter().position(|arg| *arg == "--config").and_then(|at| args.get(at + 1));
        file.map(|file| self.text(file)?.parse().map_err(|e| format!("{file}: {e}"))).transpose()
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let words = self.words(line)?;
        let (turned, words) = match words.split_first() {
            Some((first, rest)) if first == "!" => (true, rest),
            _ => (false, &words[..]),
        };
        let Some((name, args)) = words.split_first() else { return Ok(()) };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        self.keep_private(&[]);
        let held = self.command(name, &args)?;
        if held != turned { Ok(()) } else { Err("did not come out so".to_owned()) }
    }

    fn words(&self, line: &str) -> Result<Vec<String>, String> {
        let mut words: Vec<String> = Vec::new();
        for (n, part) in line.split('\'').enumerate() {
            let quoted = n % 2 == 1;
            if quoted {
                words.push(self.expand(part)?);
            } else {
                let (part, comment) = part.split_once('#').map_or((part, false), |(part, _)| (part, true));
                for word in part.split_whitespace() {
                    words.push(self.expand(word)?);
                }
                if comment {
                    break;
                }
            }
        }
        Ok(words)
    }

    fn expand(&self, word: &str) -> Result<String, String> {
        let mut parts = word.split('$');
        let mut expanded = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_uppercase() && c != '_').unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            expanded += self.vars.get(name).ok_or_else(|| format!("${name} is not known yet"))?;
            expanded += rest;
        }
        Ok(expanded)
    }

    /// A file of the story.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// The text of a file of the story, or of `stdout`, `stderr`, `body`, `log`.
    pub(crate) fn text(&self, name: &str) -> Result<String, String> {
        match name {
            "stdout" => Ok(self.last.stdout.clone()),
            "stderr" => Ok(self.last.stderr.clone()),
            "body" => Ok(self.answer.text()),
            "head" => Ok(self.answer.head.clone()),
            "log" => Ok(self.server()?.log()),
            _ => fs::read_to_string(self.path(name)).map_err(|error| format!("{name}: {error}")),
        }
    }

    pub(crate) fn server(&self) -> Result<&Server, String> {
        self.server.as_ref().ok_or_else(|| "no server runs".to_owned())
    }

    pub(crate) fn upstream(&self) -> Result<&Upstream, String> {
        self.upstream.as_ref().ok_or_else(|| "no upstream runs".to_owned())
    }

    pub(crate) fn forge(&self, whose: Whose) -> Result<&Forge, String> {
        self.forges.get(&whose).ok_or_else(|| format!("no {} runs", whose.name()))
    }

    pub(crate) fn issuer(&self) -> Result<&Issuer, String> {
        self.issuer.as_ref().ok_or_else(|| "no issuer runs".to_owned())
    }

    /// Runs a program in the story's place with the go command's environment; whether it succeeded.
    pub(crate) fn exec(&mut self, program: &str, args: &[&str]) -> Result<bool, String> {
        if program == "quipu" {
            self.keep_private(args);
        }
        let mut command = command(program, &self.go_env);
        command.args(args).current_dir(&self.work);
        self.last = run(command, self.home.path())?;
        Ok(self.last.good)
    }

    /// Starts the server; whether it serves.
    pub(crate) fn start(&mut self, args: &[&str]) -> Result<bool, String> {
        if self.server.is_some() {
            return Err("a server runs already".to_owned());
        }
        let config = self.config_of(args)?;
        // What was started before is over, or runs behind this one.
        self.secrets.truncate(usize::from(self.behind.is_some()));
        self.secrets.push(self.told(args, &self.server_env, config.as_ref()));
        self.keep_private(&[]);
        let mut command = command("quipu", &self.server_env);
        command.arg("serve").args(args).current_dir(&self.work);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        match Server::start(command, self.home.path())? {
            Ok(server) => {
                let (addr, pid) = (server.addr().to_owned(), server.pid().to_string());
                let port = addr.rsplit(':').next().unwrap_or_default().to_owned();
                for (name, value) in [
                    ("URL", &server.url),
                    ("KEY", &server.key),
                    ("ADDR", &addr),
                    ("PORT", &port),
                    ("PID", &pid),
                ] {
                    self.vars.insert(name.to_owned(), value.clone());
                }
                self.go_env.insert("GOPROXY".to_owned(), server.url.clone());
                self.go_env.insert("GOSUMDB".to_owned(), server.key.clone());
                self.server = Some(server);
                Ok(true)
            }
            Err(ended) => {
                self.last = ended;
                Ok(false)
            }
        }
    }

    /// Leaves the server running, and makes room for another one in front of it.
    pub(crate) fn put_behind(&mut self) -> Result<bool, String> {
        if self.behind.is_some() {
            return Err("a server runs behind already".to_owned());
        }
        let server = self.server.take().ok_or("no server runs")?;
        for (name, value) in
            [("BEHIND", &server.url), ("BEHIND_KEY", &server.key), ("BEHIND_ADDR", &server.addr().to_owned())]
        {
            self.vars.insert(name.to_owned(), value.clone());
        }
        self.behind = Some(server);
        Ok(true)
    }

    /// What helps to understand a failure.
    fn state(&self) -> String {
        let Ended { stdout, stderr, .. } = &self.last;
        let (head, body) = (&self.answer.head, self.answer.text());
        let log = fs::read_to_string(self.home.path().join("server.log")).unwrap_or_default();
        let asked = self.upstream.as_ref().map(Upstream::asked).unwrap_or_default().join("\n");
        format!(
            "[stdout]\n{stdout}\n[stderr]\n{stderr}\n[answer]\n{head}\n{body}\n[server log]\n{log}\n[upstream was asked]\n{asked}"
        )
    }
}
