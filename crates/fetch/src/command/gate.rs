//! The only way out for a command: an HTTP proxy on loopback that leads to one repository.
//!
//! The go command is never let out itself. It is shown a page with what discovery found, so it can neither be redirected
//! nor be told otherwise; it asks for that page without encryption because the paths that it is run for count as
//! insecure to it. What it starts may connect to the hosts of the repository, at addresses that the client's policy
//! allows.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quipu_module::ModulePath;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::client::{Authority, Client, Purpose, Url};
use crate::discover::Found;
use crate::error::{Error, Result};

/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// Longest wait for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Most connections at once.
const MAX_CONNECTIONS: usize = 32;

const REFUSAL: &str = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const UNREACHABLE: &str = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// A proxy that works until it is dropped.
pub(super) struct Gate {
    address: SocketAddr,
    rules: Arc<Rules>,
    accepting: JoinHandle<()>,
}

struct Rules {
    client: Client,
    /// Where connections may lead.
    allowed: Vec<Authority>,
    /// What the go command may ask for, and the answer.
    pages: [String; 2],
    page: String,
    /// The last failure to reach one of `allowed`.
    failure: Mutex<Option<Error>>,
}

impl Gate {
    /// A proxy that leads to the repository found for a path, at any of these places, as far as this client may.
    pub(super) async fn open(
        client: &Client,
        (path, found): (&ModulePath, &Found),
        allowed: Vec<Authority>,
    ) -> Result<Self> {
        let unavailable = |_| Error::unavailable("no port on loopback to be had");
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(unavailable)?;
        let address = listener.local_addr().map_err(unavailable)?;
        let rules = Arc::new(Rules {
            client: client.clone(),
            allowed,
            pages: [page_url(path.as_str()), page_url(&found.root)],
            page: page(found),
            failure: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, rules.clone()));
        Ok(Self { address, rules, accepting })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Why a host of the repository could not be reached, if that was so the last time.
    pub(super) fn failure(&self) -> Option<Error> {
        self.rules.failure().clone()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Connections end with this task.
async fn accept(listener: TcpListener, rules: Arc<Rules>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        connections.spawn({
            let rules = rules.clone();
            async move {
                if let Ok(Some((head, rest))) = timeout(HEAD_TIMEOUT, read_head(stream)).await {
                    rules.answer(&head, rest).await;
                }
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The head of a request through its empty line, and the stream after it. `None` if there is none.
///
/// Read byte by byte, so that nothing after it is taken; heads are few and short, and come over loopback.
async fn read_head(mut stream: TcpStream) -> Option<(String, TcpStream)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(stream.read_u8().await.ok()?);
    }
    Some((String::from_utf8(head).ok()?, stream))
}

impl Rules {
    fn failure(&self) -> std::sync::MutexGuard<'_, Option<Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, head: &str, mut stream: TcpStream) {
        let mut words = head.lines().next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let reply = match method {
            "GET" if self.pages.iter().any(|page| page == target) => {
                let length = self.page.len();
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{}",
                    self.page
                )
            }
            "CONNECT" if is_go(head) => REFUSAL.to_owned(),
            "CONNECT" => return self.lead(&format!("https://{target}/"), None, stream).await,
            _ => return self.lead(target, Some(head), stream).await,
        };
        // Whoever is gone misses nothing.
        let _ = stream.write_all(reply.as_bytes()).await;
    }

    /// Leads on to the place of `target`, if that is allowed: with `head` rewritten for it, or by a bare connection.
    async fn lead(&self, target: &str, head: Option<&str>, mut stream: TcpStream) {
        let url = Url::parse(target).filter(|url| self.allowed.contains(url.authority()));
        let Some(url) = url else {
            tracing::debug!(target, "a command wanted to go elsewhere");
            let _ = stream.write_all(REFUSAL.as_bytes()).await;
            return;
        };
        let tunnel = match self.client.tunnel(url.authority(), Purpose::Command).await {
            Ok(tunnel) => tunnel,
            Err(error) => {
                *self.failure() = Some(error);
                let _ = stream.write_all(UNREACHABLE.as_bytes()).await;
                return;
            }
        };
        *self.failure() = None;
        let first = match head {
            Some(head) => direct_head(head, url.path_and_query()),
            None => match stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await {
                Ok(()) => String::new(),
                Err(_) => return,
            },
        };
        if let Err(error) = tunnel.join(first.as_bytes(), stream).await {
            tracing::debug!(%error, "a connection of a command");
        }
    }
}

/// Whether the go command itself is asking, and not one that it started.
fn is_go(head: &str) -> bool {
    head.lines().any(|line| line.to_ascii_lowercase().starts_with("user-agent: go-http-client"))
}

/// The head of a request to a proxy as the server itself is sent it. One request a connection.
fn direct_head(head: &str, path: &str) -> String {
    let mut lines = head.lines().filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let (method, version) = (first.split(' ').next(), first.split(' ').nth(2));
    let mut direct = format!("{} {path} {}\r\n", method.unwrap_or_default(), version.unwrap_or_default());
    for line in lines {
        let lower = line.to_ascii_lowercase();
        if !lower.starts_with("proxy-") && !lower.starts_with("connection:") {
            direct.push_str(line);
            direct.push_str("\r\n");
        }
    }
    direct.push_str("Connection: close\r\n\r\n");
    direct
}

fn page_url(path: &str) -> String {
    let slash = if path.contains('/') { "" } else { "/" };
    format!("http://{path}{slash}?go-get=1")
}

fn page(found: &Found) -> String {
    let url = found.urls.first().map(ToString::to_string).unwrap_or_default();
    let mut content = format!("{} {} {url} {}", found.root, found.vcs, found.subdir);
    for (plain, escaped) in [("&", "&amp;"), ("<", "&lt;"), ("\"", "&quot;")] {
        content = content.replace(plain, escaped);
    }
    format!("<head><meta name=\"go-import\" content=\"{content}\"></head>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_rewritten_for_the_server() {
        let head = "OPTIONS http://h/x HTTP/1.1\r\nHost: h\r\nproxy-connection: keep-alive\r\nConnection: TE\r\nA: b\r\n\r\n";
        let direct = "OPTIONS /x HTTP/1.1\r\nHost: h\r\nA: b\r\nConnection: close\r\n\r\n";
        assert_eq!(direct_head(head, "/x"), direct);
    }
}
