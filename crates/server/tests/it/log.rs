//! The checksum database over real HTTP: what it answers, and that a suspicious client believes all of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use quipu_tlog::{Tile, TileLevel, split_entries};
use quipu_verify as verify;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{RECORDS, Server, entry, module, text};

#[tokio::test]
async fn statuses_are_those_of_the_protocol() {
    let server = Server::start().await;
    let table = [
        ("/latest", 200),
        ("/checkpoint", 200),
        ("/sumdb/sum.example/team/supported", 200),
        ("/sumdb/sum.example/team/latest", 200),
        ("/sumdb/sum.example/team/tile/8/0/000", 200),
        ("/sumdb/sum.example/supported", 404),
        ("/sumdb/sum.example/teams/supported", 404),
        ("/sumdb/sum.example/team/other", 404),
        ("/sumdb/sum.golang.org/supported", 404),
        ("/lookup/example.test/!mod7@v1.0.0", 200),
        ("/lookup/example.test/%21mod7@v1.0.0", 200),
        ("/lookup/example.test/%2521mod7@v1.0.0", 400),
        ("/lookup/example.test/Mod7@v1.0.0", 400),
        ("/lookup/example.test/!mod7@v1.0", 400),
        ("/lookup/example.test/!mod7@v2.0.0", 400),
        ("/lookup/example.test/!mod7", 400),
        ("/lookup/example.test/../!mod7@v1.0.0", 400),
        ("/lookup/example.test%2f!mod7@v1.0.0", 400),
        ("/tile/8/0/000", 200),
        ("/tile/8/0/000.p/1", 200),
        ("/tile/8/0/001.p/44", 200),
        ("/tile/8/0/001.p/45", 404),
        ("/tile/8/0/001", 404),
        ("/tile/8/1/000.p/1", 200),
        ("/tile/8/1/000.p/2", 404),
        ("/tile/8/2/000.p/1", 404),
        ("/tile/8/7/000", 404),
        ("/tile/8/63/000", 404),
        ("/tile/7/0/000", 404),
        ("/tile/8/0/x999/x999/x999/x999/x999/999", 404),
        ("/tile/8/0/0", 400),
        ("/tile/8/0/x000/001", 400),
        ("/tile/8/0/000.p/0", 400),
        ("/tile/8/0/000.p/256", 400),
        ("/tile/8/0/000/", 400),
        ("/tile/0/000", 200),
        ("/tile/0/001.p/44", 200),
        ("/tile/entries/000", 200),
        ("/tile/entries/001.p/44", 200),
        ("/tile/entries/001.p/45", 404),
        ("/example.test/none/@v/list", 503),
        ("/example.test/none/@v/v1.0.0.zip", 503),
        ("/cached-only/example.test/none/@v/v1.0.0.zip", 404),
        ("/example.test/none", 404),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/", 200),
        ("/index", 200),
        ("/index?limit=0", 400),
        ("/index/", 404),
        ("/feed/example.test/!mod7", 200),
        ("/feed/example.test/!mod300", 404),
        ("/feed/example.test/Mod7", 404),
        ("/feed/", 404),
    ];
    for (path, status) in table {
        let answer = server.get(path).await;
        let body = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, status, "{path}: {body}");
        assert!(!answer.head.contains("max-age=31536000") || status == 200, "{path}");
        assert!(status < 500 || answer.head.contains("cache-control: no-store"), "{path}");
    }
}

#[tokio::test]
async fn every_width_of_every_tile_is_a_prefix() {
    let server = Server::start().await;
    let (full, data) = (server.get("/tile/8/0/000").await.body, server.get("/tile/8/data/000").await.body);
    assert_eq!(full.len(), 256 * 32);
    assert_eq!(data.iter().filter(|b| **b == b'\n').count(), 256 * 2 + 255);
    for width in 1..256 {
        let tile = server.get(&format!("/tile/8/0/000.p/{width}")).await.body;
        assert_eq!(tile, full[..width * 32]);
    }
    let last = server.get("/tile/8/data/001.p/44").await;
    let texts: Vec<String> = (256..RECORDS).map(text).collect();
    assert_eq!(String::from_utf8(last.body).unwrap(), texts.join("\n"));
    let entries = server.get("/tile/entries/001.p/44").await.body;
    let entries = split_entries(&entries, 44).unwrap();
    assert!(entries.iter().zip(&texts).all(|(got, want)| *got == want.as_bytes()));
    assert_eq!(server.get("/tile/1/000.p/1").await.body, server.get("/tile/8/1/000.p/1").await.body);
}

#[tokio::test]
async fn head_is_get_without_a_body_and_other_methods_are_refused() {
    let server = Server::start().await;
    for path in
        ["/latest", "/tile/8/0/000", "/lookup/example.test/!mod7@v1.0.0", "/index?limit=7", "/nothing"]
    {
        let (get, head) = (server.get(path).await, server.ask(&format!("HEAD {path}")).await);
        // The order of fields has no meaning.
        let without_date = |head: &str| -> BTreeSet<String> {
            head.lines().filter(|line| !line.starts_with("date:")).map(str::to_owned).collect()
        };
        assert_eq!(without_date(&get.head), without_date(&head.head));
        assert!(get.head.contains("content-length: "), "{}", get.head);
        assert!(head.body.is_empty() && !get.body.is_empty());
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = server.ask(&format!("{method} /latest")).await;
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains("allow: get, head"));
    }
}

#[tokio::test]
async fn doubtful_requests_are_refused() {
    let server = Server::start().await;
    let requests = [
        "GET /latest HTTP/1.1\r\n\r\n",
        "GET /latest HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET http://elsewhere.example/latest HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /latest HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "GET /latest HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /latest HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for request in requests {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        let got = String::from_utf8_lossy(&got).into_owned();
        assert!(got.starts_with("HTTP/1.1 400"), "{request:?}: {got}");
        assert_eq!(got.matches("HTTP/1.1").count(), 1, "one answer, and the connection is over: {got}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_no_absence_and_no_fault_that_passes() {
    use verify::{Transport as _, TransportError};
    let server = Server::start().await;
    let (reached, latest) = (server.reached(), server.get("/latest").await.body);
    assert_eq!(reached.get("/latest", latest.len()).await.unwrap(), latest);
    let short = latest.len() - 1;
    assert_eq!(reached.get("/latest", short).await.unwrap_err(), TransportError::TooLarge(short));
    let absent = reached.get("/tile/8/7/000", 1000).await.unwrap_err();
    assert!(matches!(absent, TransportError::NotFound(_)), "{absent:?}");
}

#[tokio::test]
async fn a_suspicious_client_believes_it_while_it_grows() {
    let server = Server::start().await;
    let state = Arc::new(verify::MemoryState::default());
    let keys = vec![server.vkey.clone()];
    let suspicious =
        verify::Client::new(keys, Arc::new(server.reached()), state, verify::Limits::default()).unwrap();
    for i in [0, 1, 255, 256, RECORDS - 1] {
        let verified = suspicious.lookup(&module(i)).await.unwrap();
        assert_eq!((verified.id, verified.record.text()), (i, text(i).as_str()));
    }
    for i in RECORDS..RECORDS + 300 {
        server.ledger.append(entry(i)).await.unwrap();
        if i % 50 == 0 {
            assert_eq!(suspicious.lookup(&module(i)).await.unwrap().id, i);
        }
    }
    let head = suspicious.latest().await.unwrap();
    assert_eq!(head.size(), RECORDS + 300);
    let tile = Tile::new(TileLevel::Data, 1, 256).unwrap();
    assert!(suspicious.tile(tile).await.unwrap().starts_with(text(256).as_bytes()));
}
