//! Webhooks over the wire: the one kind of request that may have a body.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{SECRET, Server};

/// Sends `head` and `body`; the whole answer, or what came before the connection ended.
async fn send(server: &Server, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let head = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The answer may come before the body has gone.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn hook(server: &Server, path: &str, token: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nContent-Length: {length}\r\nX-Gitlab-Token: {token}");
    send(server, &head, body.as_bytes()).await
}

#[tokio::test]
async fn a_webhook_is_taken_and_nothing_else_is() {
    let server = Server::start().await;
    let body = r#"{"ref":"refs/heads/main","project":{"git_ssh_url":"git@git.example:team/tool.git"}}"#;
    let answer = hook(&server, "/-/hooks/gitlab", SECRET, body).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(answer.contains("cache-control: no-store"), "{answer}");
    assert!(
        answer.ends_with("{\"fetching\":[],\"forgot\":[\"git.example/team/tool\"],\"left\":[]}\n"),
        "{answer}"
    );
    for (path, token, status) in [
        ("/-/hooks/gitlab", "another secret of a forge", "401"),
        ("/-/hooks/github", SECRET, "404"),
        ("/-/hooks/", SECRET, "404"),
        ("/-/hooks", SECRET, "405"),
        ("/example.com/m/@v/list", SECRET, "405"),
        ("/lookup/example.com/m@v1.0.0", SECRET, "405"),
        ("/-/hooks/gitlab/%2e%2e/x", SECRET, "400"),
    ] {
        let answer = hook(&server, path, token, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
    }
    assert_eq!(server.get("/-/hooks/gitlab").await.status, 404);
    assert!(send(&server, "GET / HTTP/1.1\r\nContent-Length: 4", b"body").await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test]
async fn bodies_over_a_mebibyte_are_not_read() {
    let server = Server::start().await;
    let head = format!("POST /-/hooks/gitlab HTTP/1.1\r\nX-Gitlab-Token: {SECRET}");
    let long = vec![b' '; (1 << 20) + 1];
    let answer = send(&server, &format!("{head}\r\nContent-Length: {}", 1u64 << 40), &long).await;
    // The rest of the body is never read, so the reset may overtake the answer.
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let chunked = format!("{head}\r\nTransfer-Encoding: chunked");
    let body = [format!("{:x}\r\n", long.len()).as_bytes(), &long, b"\r\n0\r\n\r\n"].concat();
    let answer = send(&server, &chunked, &body).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(server.get("/healthz").await.status, 200);
}
