//! A forge: a web server with `git http-backend` behind it, and plain files, such as pages that say where the repositories
//! of modules are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Of whom a forge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// Of whoever runs the server.
    Operator,
    /// Of somebody else.
    Stranger,
}

impl Whose {
    /// The command for it, and the directory that it serves.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "forge",
            Self::Stranger => "stranger",
        }
    }
}

/// A running forge. It listens until the test process ends.
pub(crate) struct Forge {
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    /// Where the bare repositories lie.
    root: PathBuf,
    /// By path of a repository, `user:secret`, which everyone else is refused without.
    locked: Mutex<BTreeMap<String, String>>,
    asked: Mutex<Vec<String>>,
    /// By path, where who asks for it is sent instead.
    redirects: Mutex<BTreeMap<String, String>>,
    /// Whether it asks for a login where there is nothing.
    hides: Mutex<bool>,
}

struct Request {
    method: String,
    target: String,
    /// By name in lower case.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Forge {
    /// Serves what lies below `root`, bare repositories and plain files, on a port of its own.
    pub(crate) fn start(root: &Path) -> Self {
        Self::listen(free(), "http", root, serve)
    }

    /// The same at this address, where a port below 1024 is for those who may.
    pub(crate) fn start_at(root: &Path, address: &str) -> io::Result<Self> {
        TcpListener::bind(address).map(|listener| Self::listen(listener, "http", root, serve))
    }

    /// The same over TLS, with a certificate of an authority that is made for it and written to `ca`; on a port of its own
    /// unless there is an address.
    pub(crate) fn start_tls(root: &Path, ca: &Path, address: Option<&str>) -> Result<Self, String> {
        let listener = address.map_or_else(|| Ok(free()), TcpListener::bind).map_err(|e| e.to_string())?;
        let (authority, config) = authority(&ca.display().to_string()).map_err(|error| error.to_string())?;
        fs::write(ca, authority).map_err(|error| error.to_string())?;
        let config = Arc::new(config);
        Ok(Self::listen(listener, "https", root, move |state, stream| {
            let Ok(connection) = ServerConnection::new(Arc::clone(&config)) else { return };
            let mut stream = StreamOwned::new(connection, stream);
            serve(state, &mut stream);
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }))
    }

    fn listen(
        listener: TcpListener,
        scheme: &str,
        root: &Path,
        serve: impl Fn(&State, TcpStream) + Clone + Send + 'static,
    ) -> Self {
        let url = format!("{scheme}://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            root: root.to_owned(),
            locked: Mutex::default(),
            asked: Mutex::default(),
            redirects: Mutex::default(),
            hides: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (state, serve) = (Arc::clone(&shared), serve.clone());
                thread::spawn(move || serve(&state, stream));
            }
        });
        Self { url, state }
    }

    /// From now on it asks for a login wherever there is nothing, as forges do that do not say what they have.
    pub(crate) fn hide(&self) {
        *self.state.hides.lock().unwrap() = true;
    }

    /// From now on who asks for the path is sent to the URL.
    pub(crate) fn redirect(&self, path: &str, url: &str) {
        self.state.redirects.lock().unwrap().insert(path.to_owned(), url.to_owned());
    }

    /// From now on the repository is shown only to who brings `user:secret`.
    pub(crate) fn lock(&self, repository: &str, userinfo: &str) {
        self.state.locked.lock().unwrap().insert(format!("/{repository}"), userinfo.to_owned());
    }

    /// What was asked for so far, in order: method and target, and ` want` where commits were to be sent.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.state.asked.lock().unwrap().clear();
    }
}

/// A port that nobody else has.
fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// One request a connection is enough.
fn serve(state: &State, mut stream: impl Read + Write) {
    let Some(request) = read(&mut stream) else { return };
    let wants = if request.body.windows(5).any(|five| five == b"want ") { " want" } else { "" };
    state.asked.lock().unwrap().push(format!("{} {}{wants}", request.method, request.target));
    let (status, headers, body) = answer(state, &request);
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(&[head.into_bytes(), body].concat());
}

fn read(stream: impl Read) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = u64::from_str_radix(size.trim(), 16).ok()?;
            reader.by_ref().take(size).read_to_end(&mut body).ok()?;
            reader.read_line(&mut String::new()).ok()?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        reader.take(length).read_to_end(&mut body).ok()?;
    }
    Some(Request { method, target, headers, body })
}

fn answer(state: &State, request: &Request) -> (String, String, Vec<u8>) {
    let path = request.target.split('?').next().unwrap_or_default();
    let locked = state.locked.lock().unwrap().clone();
    let lock = locked.iter().find(|(repository, _)| path.starts_with(repository.as_str()));
    if let Some((_, userinfo)) = lock {
        let wanted = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(userinfo));
        if request.headers.get("authorization") != Some(&wanted) {
            return login();
        }
    }
    if let Some(url) = state.redirects.lock().unwrap().get(path) {
        return ("302 Found".to_owned(), format!("Location: {url}\r\n"), Vec::new());
    }
    if let Some(file) = plain_file(state, path) {
        return ("200 OK".to_owned(), String::new(), file);
    }
    let answer = backend(state, request);
    if *state.hides.lock().unwrap() && answer.0.starts_with("404") { login() } else { answer }
}

/// What lies at a path that leads into no repository.
fn plain_file(state: &State, path: &str) -> Option<Vec<u8>> {
    let path = String::from_utf8(decode_percent(path)).ok()?;
    let within = path.split('/').filter(|element| !element.is_empty());
    let plain = within.clone().all(|element| element != ".." && !element.ends_with(".git"));
    plain.then(|| fs::read(state.root.join(within.collect::<PathBuf>())).ok())?
}

/// Without percent-encoding; what only looks like it stays.
pub(crate) fn decode_percent(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        let code = rest.as_slice().get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(|_| byte == b'%') {
            Some(decoded) => {
                bytes.push(decoded);
                rest.by_ref().take(2).for_each(drop);
            }
            None => bytes.push(byte),
        }
    }
    bytes
}

fn login() -> (String, String, Vec<u8>) {
    let headers = "WWW-Authenticate: Basic realm=\"forge\"\r\n".to_owned();
    ("401 Unauthorized".to_owned(), headers, Vec::new())
}

/// An authority, as PEM, and what the servers of stories have from it.
///
/// Its name is its own: git may take the wrong one of two with one name.
fn authority(name: &str) -> Result<(String, ServerConfig), rcgen::Error> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(Vec::new())?;
    root.distinguished_name.push(DnType::CommonName, name);
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = root.self_signed(&root_key)?.pem();
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(["127.0.0.1", "forge.corp.test", "evil.example"].map(str::to_owned))?;
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key))?;
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], secret)
        .unwrap();
    Ok((pem, config))
}

/// Has `git http-backend` answer.
fn backend(state: &State, request: &Request) -> (String, String, Vec<u8>) {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &state.root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // What it does not read it does not want.
    let _ = child.stdin.take().unwrap().write_all(&request.body);
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let headers = head.lines().filter(|line| !line.starts_with("Status: "));
    (status, headers.map(|line| format!("{line}\r\n")).collect(), output[end + 4..].to_vec())
}
