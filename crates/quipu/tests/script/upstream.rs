//! The upstream: a module proxy with a checksum database behind it, in this process, with faults on demand.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use quipu_module::ModuleVersion;

use crate::database::{Database, NAME};
use crate::modules::{self, Module};
use crate::privacy::Names;

/// What goes wrong at a path.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Answers with this instead.
    Body(Vec<u8>),
    /// Answers rightly, but late.
    Delay(Duration),
}

struct State {
    modules: Vec<Module>,
    files: BTreeMap<String, Vec<u8>>,
    database: Mutex<Database>,
    faults: Mutex<BTreeMap<String, Fault>>,
    away: Mutex<bool>,
    asked: Mutex<Vec<String>>,
    /// The names that it must not hear, and the requests in which it did.
    private: Mutex<Names>,
    leaks: Mutex<Vec<String>>,
}

/// A running upstream. It listens until the test process ends; nothing outlives a test but an idle thread.
pub(crate) struct Upstream {
    pub(crate) url: String,
    pub(crate) key: String,
    state: Arc<State>,
}

impl Upstream {
    /// Serves these modules on a port of its own.
    pub(crate) fn start(modules: Vec<Module>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let database = Database::new(&modules);
        let key = database.key();
        let state = Arc::new(State {
            files: modules::tree(&modules),
            modules,
            database: Mutex::new(database),
            faults: Mutex::default(),
            away: Mutex::default(),
            asked: Mutex::default(),
            private: Mutex::default(),
            leaks: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                thread::spawn(move || serve(&state, &stream));
            }
        });
        Self { url, key, state }
    }

    /// While away, every connection is closed without an answer.
    pub(crate) fn away(&self, away: bool) {
        *self.state.away.lock().unwrap() = away;
    }

    /// Something goes wrong at this path from now on.
    pub(crate) fn fault(&self, path: &str, fault: Fault) {
        self.state.faults.lock().unwrap().insert(path.to_owned(), fault);
    }

    /// Everything is right again.
    pub(crate) fn heal(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// The zip of this version is another from now on; the database still has the true hash.
    pub(crate) fn alter_zip(&self, module: &str) {
        let module = self.module(module);
        self.fault(&format!("/{}.zip", at_v(&module.id)), Fault::Body(module.altered()));
    }

    /// The same for its go.mod.
    pub(crate) fn alter_go_mod(&self, module: &str) {
        let module = self.module(module);
        let altered = [&module.go_mod[..], b"\n// altered\n"].concat();
        self.fault(&format!("/{}.mod", at_v(&module.id)), Fault::Body(altered));
    }

    /// This version is made from this commit of a repository at its path.
    pub(crate) fn origin(&self, module: &str, commit: &str) {
        let id = &self.module(module).id;
        let (path, version) = (id.path(), id.version());
        let origin = format!(r#"{{"VCS":"git","URL":"https://{path}","Hash":"{commit}"}}"#);
        let info = format!(r#"{{"Version":"{version}","Origin":{origin}}}"#);
        self.fault(&format!("/{}.info", at_v(id)), Fault::Body(info.into_bytes()));
    }

    /// This version is not there; the list and `@latest` are as if it never had been.
    pub(crate) fn hide(&self, module: &str) {
        let at = at_v(&self.module(module).id);
        for extension in ["info", "mod", "zip"] {
            self.fault(&format!("/{at}.{extension}"), Fault::Status(404));
        }
        let (directory, version) = at.rsplit_once('/').unwrap_or_default();
        let list = format!("/{directory}/list");
        let listed = self.state.files.get(&list).cloned().unwrap_or_default();
        let listed = String::from_utf8(listed).unwrap_or_default();
        let left: String = listed.lines().filter(|it| *it != version).map(|it| format!("{it}\n")).collect();
        self.fault(&list, Fault::Body(left.into_bytes()));
    }

    /// This version was made so many days ago, as its `.info` and `@latest` say.
    pub(crate) fn age(&self, module: &str, days: u32) {
        let id = self.module(module).id.clone();
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let made = since - Duration::from_secs(u64::from(days) * 86_400);
        let time = quipu_module::format_rfc3339(i128::from(made.as_secs()) * 1_000_000_000).unwrap();
        let info = format!(r#"{{"Version":"{}","Time":"{time}"}}"#, id.version()).into_bytes();
        let latest = format!("/{}/@latest", id.path().escaped());
        let is_latest = self.state.files.get(&latest) == Some(&self.module(module).info);
        for path in [format!("/{}.info", at_v(&id))].into_iter().chain(is_latest.then_some(latest)) {
            self.fault(&path, Fault::Body(info.clone()));
        }
    }

    /// The database answers lookups of this version with a hash that its log does not hold.
    pub(crate) fn lie(&self, module: &str) {
        let module = self.module(module);
        let lookup = format!("/lookup/{}", module.id.escaped());
        let answer = self.state.database.lock().unwrap().answer(&lookup).unwrap();
        let (truth, answer) = (module.zip_hash().to_string(), String::from_utf8(answer).unwrap());
        let lie = answer.replace(&truth, &format!("h1:{}A=", "B".repeat(42)));
        assert_ne!(lie, answer);
        self.fault(&format!("/sumdb/{NAME}{lookup}"), Fault::Body(lie.into_bytes()));
    }

    /// The database goes on with another history under the same key.
    pub(crate) fn fork(&self) {
        *self.state.database.lock().unwrap() = Database::forked(&self.state.modules);
    }

    /// The paths asked for so far, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Waits until a path with this text was asked for; whether it was.
    pub(crate) fn wait_for(&self, text: &str) -> bool {
        let asked = || self.asked().iter().any(|path| path.contains(text));
        (0..2000).any(|_| {
            asked() || {
                thread::sleep(Duration::from_millis(10));
                false
            }
        })
    }

    /// From now on it must hear none of these names.
    pub(crate) fn keep_from(&self, names: Names) {
        *self.state.private.lock().unwrap() = names;
    }

    /// The requests that held a name which it must not hear. They are never forgotten.
    pub(crate) fn leaks(&self) -> Vec<String> {
        self.state.leaks.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.state.asked.lock().unwrap().clear();
    }

    fn module(&self, name: &str) -> &Module {
        let found = self.state.modules.iter().find(|module| module.id.to_string() == name);
        found.unwrap_or_else(|| panic!("there is no {name} in testdata/mod"))
    }
}

fn at_v(id: &ModuleVersion) -> String {
    format!("{}/@v/{}", id.path().escaped(), id.version().escaped())
}

fn serve(state: &State, stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(request) = lines.next() {
        // GET has no body.
        let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        let head = format!("{request}\n{}", headers.join("\n"));
        if let Some(name) = state.private.lock().unwrap().leaked(&head) {
            state.leaks.lock().unwrap().push(format!("{name} in: {request}"));
        }
        if *state.away.lock().unwrap() {
            return;
        }
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        state.asked.lock().unwrap().push(path.clone());
        let (status, body) = answer(state, &path);
        let head = format!("HTTP/1.1 {status} Test\r\nContent-Length: {}\r\n\r\n", body.len());
        let mut stream = stream;
        if stream.write_all(&[head.into_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

fn answer(state: &State, path: &str) -> (u16, Vec<u8>) {
    let fault = state.faults.lock().unwrap().get(path).cloned();
    match fault {
        Some(Fault::Status(status)) => return (status, format!("upstream says {status}\n").into_bytes()),
        Some(Fault::Body(body)) => return (200, body),
        Some(Fault::Delay(time)) => thread::sleep(time),
        None => {}
    }
    let body = match path.strip_prefix(&format!("/sumdb/{NAME}")) {
        Some(within) => state.database.lock().unwrap().answer(within),
        None => state.files.get(path).cloned(),
    };
    body.map_or_else(|| (404, format!("not found: {path}\n").into_bytes()), |body| (200, body))
}
