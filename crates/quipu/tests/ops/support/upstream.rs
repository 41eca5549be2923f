//! An upstream proxy that has every module anybody asks for: small, the same each time, made up on the spot.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::zip::zip;

/// The proxy; it serves until the program ends.
pub(crate) struct Upstream {
    /// Its URL.
    pub(crate) url: String,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(&stream));
            }
        });
        Self { url }
    }
}

/// Answers on one connection until it ends.
fn serve(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    loop {
        let mut request = String::new();
        reader.read_line(&mut request).ok()?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
        }
        let body = request.split(' ').nth(1).and_then(body);
        let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
        let body = body.unwrap_or_else(|| b"not found".to_vec());
        let mut answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(&body);
        out.write_all(&answer).ok()?;
    }
}

/// `/<path>/@v/<version>.<info|mod|zip>` of a path without capitals.
fn body(path: &str) -> Option<Vec<u8>> {
    let (module, file) = path.strip_prefix('/')?.split_once("/@v/")?;
    let (version, kind) = file.rsplit_once('.')?;
    let go_mod = format!("module {module}\n");
    match kind {
        "info" => Some(format!(r#"{{"Version":"{version}","Time":"2024-01-02T03:04:05Z"}}"#).into_bytes()),
        "mod" => Some(go_mod.into_bytes()),
        "zip" => {
            let name = |file: &str| format!("{module}@{version}/{file}");
            Some(zip(&[(name("go.mod"), go_mod.as_bytes()), (name("x.go"), b"package x\n")]))
        }
        _ => None,
    }
}
