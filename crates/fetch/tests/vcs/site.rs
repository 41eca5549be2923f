//! A web site of git repositories: the real `git http-backend` behind a small HTTP server that can misbehave on demand.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use quipu_fetch::{GitAccess, GitOptions, Named, Remote, Repositories, Url};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// Path and query, as sent.
    pub(crate) target: String,
    /// Header lines, names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What to do instead of asking git.
#[derive(Clone, Debug)]
pub(crate) enum Instead {
    /// The whole answer, from its status line on.
    Answer(Vec<u8>),
    /// Say nothing for ever.
    Stall,
}

impl Instead {
    pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n");
        Self::Answer(format!("{head}{body}").into_bytes())
    }
}

type Script = dyn Fn(&Seen) -> Option<Instead> + Send + Sync;

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    script: Mutex<Option<Arc<Script>>>,
}

/// Bare repositories served on loopback. Stops when dropped.
pub(crate) struct Site {
    pub(crate) url: String,
    root: tempfile::TempDir,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

impl Site {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let accepting = tokio::spawn({
            let (state, root) = (state.clone(), root.path().to_owned());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (state, root) = (state.clone(), root.clone());
                    // A client that leaves early is nobody's failure.
                    tokio::spawn(async move { drop(serve(stream, &state, &root).await) });
                }
            }
        });
        Self { url, root, state, accepting }
    }

    /// Makes the repository `name` of a `git fast-import` stream, or adds the stream to it.
    pub(crate) fn import(&self, name: &str, stream: &str) -> PathBuf {
        self.import_as(name, stream, "sha1")
    }

    pub(crate) fn import_as(&self, name: &str, stream: &str, format: &str) -> PathBuf {
        let path = self.root.path().join(name);
        if !path.exists() {
            std::fs::create_dir_all(&path).unwrap();
            let format = format!("--object-format={format}");
            git(&path, &["init", "-q", "--bare", "-b", "main", "--template=", &format], b"");
        }
        git(&path, &["fast-import", "--quiet", "--force"], stream.as_bytes());
        path
    }

    /// The directory of the repositories.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn remote(&self, name: &str) -> Remote {
        Remote::parse(&format!("{}/{name}", self.url)).unwrap()
    }

    /// Options with which this site may be asked.
    pub(crate) fn options(&self) -> GitOptions {
        let mut named = Named::default();
        named.insert(Url::parse(&self.url).unwrap().authority().clone());
        GitOptions { access: GitAccess { named, ..GitAccess::default() }, ..GitOptions::default() }
    }

    pub(crate) async fn repositories(&self, root: &Path) -> Repositories {
        Repositories::open(root, self.options()).await.unwrap()
    }

    /// Lets `script` decide about each request; where it says nothing, git answers.
    pub(crate) fn script(&self, script: impl Fn(&Seen) -> Option<Instead> + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Some(Arc::new(script));
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.state.seen.lock().unwrap().clear();
    }

    /// How often references were listed and packs were asked for.
    pub(crate) fn count(&self) -> (usize, usize) {
        let seen = self.seen();
        let posts = seen.iter().filter(|seen| seen.method == "POST");
        // git compresses what is long, which a list of what it has may be and a question for references is not.
        let (lists, packs): (Vec<_>, Vec<_>) =
            posts.partition(|seen| String::from_utf8_lossy(&seen.body).contains("command=ls-refs"));
        (lists.len(), packs.len())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Runs git on a repository of the test's own, and gives what it prints.
pub(crate) fn git(directory: &Path, args: &[&str], stdin: &[u8]) -> String {
    let mut command = Command::new("git");
    command.args(args).current_dir(directory).env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
    command.envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("LC_ALL", "C")]);
    command.envs([("GIT_DIR", ".")]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let input = stdin.to_vec();
    let writer = std::thread::spawn(move || drop(pipe.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn serve(stream: TcpStream, state: &State, root: &Path) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read_request(&mut stream).await? {
        state.seen.lock().unwrap().push(seen.clone());
        let script = state.script.lock().unwrap().clone();
        match script.and_then(|script| script(&seen)) {
            Some(Instead::Answer(answer)) => return stream.write_all(&answer).await,
            Some(Instead::Stall) => std::future::pending().await,
            None => stream.write_all(&backend(&seen, root).await?).await?,
        }
    }
    Ok(())
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Seen>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    if headers.contains_key("expect") {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let length = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; length + 2];
            stream.read_exact(&mut chunk).await?;
            if length == 0 {
                break;
            }
            body.extend_from_slice(&chunk[..length]);
        }
    } else if let Some(length) = headers.get("content-length") {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await?;
    }
    Ok(Some(Seen { method, target, headers, body }))
}

/// What `git http-backend` answers (RFC 3875), as an HTTP answer.
async fn backend(seen: &Seen, root: &Path) -> std::io::Result<Vec<u8>> {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let header = |name: &str| seen.headers.get(name).map(String::as_str).unwrap_or_default();
    let mut command = tokio::process::Command::new("git");
    command.arg("http-backend").env_clear().kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.envs([
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_HTTP_EXPORT_ALL", "1"),
        ("GIT_PROJECT_ROOT", root.to_str().unwrap()),
        ("REQUEST_METHOD", &seen.method),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
        ("CONTENT_TYPE", header("content-type")),
        ("CONTENT_LENGTH", &seen.body.len().to_string()),
        ("HTTP_CONTENT_ENCODING", header("content-encoding")),
        ("GIT_PROTOCOL", header("git-protocol")),
        ("REMOTE_ADDR", "127.0.0.1"),
    ]);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let body = seen.body.clone();
    tokio::spawn(async move { drop(stdin.write_all(&body).await) });
    let output = child.wait_with_output().await?.stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    let body = &output[end + 4..];
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let length = body.len();
    let mut answer = format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    answer.extend_from_slice(body);
    Ok(answer)
}
