//! Hosts that tell by `go-import` tags where repositories are.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// A `go-import` tag.
#[derive(Clone)]
pub(crate) struct Import {
    /// The path that the repository, or a directory of it, stands for.
    pub(crate) root: String,
    pub(crate) repository: String,
    pub(crate) subdirectory: &'static str,
    /// What may follow the root in module paths.
    pub(crate) suffixes: &'static [&'static str],
}

impl Import {
    /// The module paths, each with root and subdirectory.
    pub(crate) fn modules(&self) -> impl Iterator<Item = (String, String, &'static str)> {
        let module = |suffix| (format!("{}{suffix}", self.root), self.root.clone(), self.subdirectory);
        self.suffixes.iter().map(module)
    }

    /// Whether `path` is the root or lies below it.
    pub(crate) fn is_above(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.root.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// A page with the tag.
    pub(crate) fn page(&self) -> String {
        let Self { root, repository, subdirectory, .. } = self;
        let tag = format!("<meta name=\"go-import\" content=\"{root} git {repository} {subdirectory}\">");
        format!("<html><head>{tag}</head></html>")
    }
}

/// An HTTP proxy that answers for all hosts itself: the tag of the path that was asked for. It ends with the process.
pub(crate) fn serve(imports: &[Import]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let imports = imports.to_vec();
    thread::spawn(move || {
        // A client that goes away is its own affair.
        listener.incoming().flatten().for_each(|stream| drop(answer(stream, &imports)));
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, imports: &[Import]) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).and_then(|url| url.strip_prefix("http://")?.split('?').next());
    let import = path.and_then(|path| imports.iter().find(|import| import.is_above(path)));
    let (status, body) = match import {
        Some(import) => ("200 OK", import.page()),
        None => ("404 Not Found", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes())
}
