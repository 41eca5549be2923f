//! The outbound client: policy, credentials, redirects, limits, and the record of what left.

use std::time::{Duration, Instant};

use quipu_fetch::{
    Base, Client, ClientOptions, Credentials, Error, ErrorKind, Hops, Limits, Named, Purpose, Request, Url,
};

use crate::support::server::{Reply, Server};
use crate::support::{client, client_with};

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

async fn get(client: &Client, url: &Url, limits: Limits) -> Result<(u16, Vec<u8>), Error> {
    let request = Request { url, credentials: None, purpose: Purpose::List, limits };
    let response = client.get(request).await?;
    Ok((response.status.as_u16(), response.body.bytes().await?.to_vec()))
}

fn small() -> Limits {
    Limits::small(1000)
}

#[tokio::test]
async fn answers_come_with_any_status_and_every_request_is_recorded() {
    let server = Server::start().await;
    let (client, ledger) = client(&[&server.url]);
    server.on("/a", Reply::ok("hello"));
    server.on("/b", Reply::new(500, "sorry"));
    server.on("/c", Reply::redirect("/a"));
    for (path, status, body) in [("/a", 200, "hello"), ("/b", 500, "sorry"), ("/c", 200, "hello")] {
        let answer = get(&client, &url(&format!("{}{path}", server.url)), small()).await.unwrap();
        assert_eq!(answer, (status, body.as_bytes().to_vec()));
    }
    assert_eq!(ledger.lines(), ["200 /a", "500 /b", "302 /c", "200 /a"]);
    let records = ledger.0.lock().unwrap();
    assert_eq!((records[0].bytes, records[0].purpose, records[0].method), (5, Purpose::List, "GET"));
    assert_eq!(records[0].host, server.url);
    assert!(records.iter().all(|record| record.failure.is_none() && record.duration > Duration::ZERO));
    for seen in server.seen() {
        assert!(seen.headers["user-agent"].starts_with("quipu/"), "{seen:?}");
        assert_eq!(seen.headers["quipu-hop"], "quipu");
        assert!(!seen.headers.contains_key("accept-encoding"));
    }
}

#[tokio::test]
async fn only_named_hosts_may_be_on_this_network() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (client, ledger) = client(&[&server.url]);
    let refused = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Rejected, "{error}");
        assert!(error.text().contains("address policy"), "{error}");
    };
    // Another port of the same host is another place.
    refused(get(&client, &url(&format!("{}/a", other.url)), small()).await.unwrap_err());
    for location in [
        format!("{}/a", other.url),
        "https://127.0.0.1/a".to_owned(),
        "https://[::1]/a".to_owned(),
        "https://[::ffff:10.0.0.1]/a".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://localhost/a".to_owned(),
        "http://93.184.216.34/".to_owned(),
        "https://93.184.216.34:22/".to_owned(),
    ] {
        server.on("/redirect", Reply::redirect(&location));
        refused(get(&client, &url(&format!("{}/redirect", server.url)), small()).await.unwrap_err());
    }
    // Odd spellings of addresses are no names for TLS, or resolve to what they are.
    for location in ["https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://0177.0.0.1/"] {
        server.on("/redirect", Reply::redirect(location));
        get(&client, &url(&format!("{}/redirect", server.url)), small()).await.unwrap_err();
    }
    assert_eq!(other.paths(), [""; 0]);
    assert!(ledger.lines().iter().all(|line| line.starts_with("302 /redirect") || line.starts_with("- ")));
}

#[tokio::test]
async fn metadata_addresses_are_refused_even_when_named() {
    let (client, _) = client(&["http://169.254.169.254", "http://0.0.0.0:80"]);
    for target in ["http://169.254.169.254/latest", "http://0.0.0.0/"] {
        let error = get(&client, &url(target), small()).await.unwrap_err();
        assert!(error.text().contains("address policy"), "{error}");
    }
}

#[tokio::test]
async fn credentials_go_to_their_own_place_only() {
    let (server, other) = (Server::start().await, Server::start().await);
    let (client, ledger) = client(&[&server.url, &other.url]);
    let start = url(&format!("{}/start", server.url));
    let credentials = Credentials::basic(start.authority(), "user:secret").unwrap();
    server.on("/start", Reply::redirect(&format!("{}/there", other.url)));
    other.on("/there", Reply::redirect(&format!("{}/back", server.url)));
    server.on("/back", Reply::ok("done"));
    let request =
        Request { url: &start, credentials: Some(&credentials), purpose: Purpose::Info, limits: small() };
    assert_eq!(client.get(request).await.unwrap().body.bytes().await.unwrap(), "done");
    let sent = |server: &Server| {
        let seen = server.seen();
        seen.iter().map(|seen| seen.headers.get("authorization").cloned()).collect::<Vec<_>>()
    };
    assert_eq!(sent(&other), [None]);
    assert_eq!(sent(&server), vec![Some("Basic dXNlcjpzZWNyZXQ=".to_owned()); 2]);
    assert!(!format!("{:?} {request:?}", ledger.0.lock().unwrap()).contains("c2Vj"));
}

#[tokio::test]
async fn redirects_are_bounded_and_must_lead_somewhere() {
    let server = Server::start().await;
    let (client, ledger) = client(&[&server.url]);
    for n in 0..12 {
        server.on(&format!("/{n}"), Reply::redirect(&format!("/{}", n + 1)));
    }
    server.on("/12", Reply::ok("end"));
    let from = |path: &str| url(&format!("{}{path}", server.url));
    assert_eq!(get(&client, &from("/2"), small()).await.unwrap().1, b"end");
    assert_eq!(ledger.lines().len(), 11);
    assert_eq!(
        get(&client, &from("/1"), small()).await.unwrap_err().text(),
        "upstream redirects without end"
    );
    for location in ["", "ftp://x/", "http://", "file:///etc/passwd", "\u{e9}"] {
        server.on("/bad", Reply::redirect(location));
        let error = get(&client, &from("/bad"), small()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{location}: {error}");
    }
    server.on("/bad", Reply::new(302, ""));
    assert!(get(&client, &from("/bad"), small()).await.is_err());
}

#[tokio::test]
async fn bodies_have_limits() {
    let server = Server::start().await;
    let (client, _) = client(&[&server.url]);
    let target = url(&format!("{}/a", server.url));
    let exact = vec![b'x'; 1000];
    server.on("/a", Reply::ok(exact.clone()));
    assert_eq!(get(&client, &target, small()).await.unwrap().1, exact);
    let chunked = b"3e9\r\n".iter().chain(&[b'x'; 1001]).chain(b"\r\n0\r\n\r\n").copied().collect::<Vec<_>>();
    for (reply, kind, text) in [
        (Reply::ok(vec![b'x'; 1001]), ErrorKind::TooLarge, "upstream sent more than 1000 bytes"),
        (
            Reply::ok(chunked).length(None).header("Transfer-Encoding", "chunked"),
            ErrorKind::TooLarge,
            "upstream sent more than 1000 bytes",
        ),
        (Reply::ok("abc").length(Some(4)), ErrorKind::Unavailable, "upstream ended its answer early"),
        (
            Reply::ok("ff\r\nabc").length(None).header("Transfer-Encoding", "chunked"),
            ErrorKind::Unavailable,
            "upstream ended its answer early",
        ),
        (Reply::ok("abc").length(None), ErrorKind::Rejected, "upstream does not say how long its answer is"),
        (
            Reply::ok("abc").header("Content-Encoding", "br"),
            ErrorKind::Rejected,
            "upstream compressed its answer without being asked",
        ),
    ] {
        server.on("/a", reply);
        let error = get(&client, &target, small()).await.unwrap_err();
        assert_eq!((error.kind(), error.text()), (kind, text));
        assert_eq!((error.kind(), error.text()), (kind, text));
    }
}

#[tokio::test]
async fn time_is_limited_in_every_way() {
    let server = Server::start().await;
    let (client, ledger) = client(&[&server.url]);
    let target = url(&format!("{}/a", server.url));
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(20));
    let patient =
        Limits { first_byte: long, total: long, idle: long, grace: long, min_rate: 1, max_bytes: 1000 };
    let drip = Reply::ok(vec![b'x'; 1000]).drip(1, Duration::from_millis(20));
    for (name, reply, limits) in [
        ("first byte", Reply::ok("a").after(long), Limits { first_byte: short, ..patient }),
        ("total before the head", Reply::ok("a").after(long), Limits { total: short, ..patient }),
        ("total", drip.clone(), Limits { total: short, ..patient }),
        ("idle", Reply::ok("abc").drip(1, long), Limits { idle: short, ..patient }),
        ("rate", drip.clone(), Limits { grace: short, min_rate: 1_000_000, ..patient }),
    ] {
        server.on("/a", reply);
        let started = Instant::now();
        let error = get(&client, &target, limits).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{name}");
        assert!(error.text().starts_with("fetch timed out"), "{name}: {error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{name}: {:?}", started.elapsed());
    }
    assert!(ledger.0.lock().unwrap().iter().all(|record| record.failure == Some(ErrorKind::Timeout)));
    // The same drip is fine for one who has time.
    server.on("/a", Reply::ok(vec![b'x'; 50]).drip(1, Duration::from_millis(10)));
    assert_eq!(get(&client, &target, patient).await.unwrap().1.len(), 50);
}

#[tokio::test]
async fn concurrency_is_bounded() {
    let server = Server::start().await;
    let options = ClientOptions { max_concurrent: 3, ..ClientOptions::default() };
    let (client, _) = client_with(&[&server.url], options);
    server.on("/a", Reply::ok("abc").after(Duration::from_millis(100)));
    let target = url(&format!("{}/a", server.url));
    let started = Instant::now();
    let requests: Vec<_> = (0..9)
        .map(|_| {
            let (client, target) = (client.clone(), target.clone());
            tokio::spawn(async move { get(&client, &target, small()).await })
        })
        .collect();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    // An unread body holds its place; who waits too long is told so.
    let held: Vec<_> = {
        let request = Request { url: &target, credentials: None, purpose: Purpose::Zip, limits: small() };
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(client.get(request).await.unwrap());
        }
        held
    };
    let hurried = Limits { first_byte: Duration::from_millis(50), ..small() };
    let error = get(&client, &target, hurried).await.unwrap_err();
    assert_eq!(error.text(), "too many upstream requests are under way");
    drop(held);
    get(&client, &target, small()).await.unwrap();
}

#[tokio::test]
async fn unreachable_upstreams_are_unavailable() {
    let dead = {
        let server = Server::start().await;
        server.url.clone()
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    let missing = "https://no-such-host.invalid";
    let (client, _) = client(&[&dead, missing]);
    for (target, text) in [
        (dead.as_str(), "cannot reach upstream: it does not accept connections"),
        (missing, "cannot reach upstream: its name does not resolve"),
    ] {
        let error = get(&client, &url(&format!("{target}/a")), small()).await.unwrap_err();
        assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, text));
    }
}

#[tokio::test]
async fn a_broken_connection_is_tried_once_more() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    // Closes each connection on its second request, without a word.
    let closing = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4000];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                let _ = stream.read(&mut request).await;
            });
        }
    });
    let (client, ledger) = client(&[&address]);
    for _ in 0..5 {
        assert_eq!(get(&client, &url(&format!("{address}/a")), small()).await.unwrap().1, b"ok");
    }
    assert!(ledger.lines().contains(&"- /a".to_owned()), "{:?}", ledger.lines());
    closing.abort();
}

#[tokio::test]
async fn garbage_is_not_http() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let garbage = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 100];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").await;
        }
    });
    let (client, _) = client(&[&address]);
    let error = get(&client, &url(&format!("{address}/a")), small()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    garbage.abort();
}

#[tokio::test]
async fn hops_of_the_request_are_sent_on() {
    let server = Server::start().await;
    let options = ClientOptions { instance: "here".to_owned(), ..ClientOptions::default() };
    let (client, _) = client_with(&[&server.url], options);
    let mut headers = http::HeaderMap::new();
    headers.insert(quipu_fetch::HOP_HEADER, "before, then".parse().unwrap());
    let target = url(&format!("{}/a", server.url));
    Hops::read(&headers).scope(get(&client, &target, small())).await.unwrap();
    assert_eq!(server.seen()[0].headers["quipu-hop"], "before, then, here");
}

#[test]
fn clients_need_printable_names() {
    for options in [
        ClientOptions { instance: "a,b".into(), ..ClientOptions::default() },
        ClientOptions { instance: "a\nb".into(), ..ClientOptions::default() },
        ClientOptions { user_agent: "a\nb".into(), ..ClientOptions::default() },
    ] {
        assert!(Client::new(options).is_err());
    }
    let mut named = Named::default();
    named.insert(Base::parse("https://a.example").unwrap().authority().unwrap().clone());
    assert!(named.contains(url("https://A.example:443/x").authority()));
    assert!(!named.contains(url("http://a.example:443/x").authority()));
}
