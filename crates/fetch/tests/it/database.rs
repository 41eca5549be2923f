//! Finding a checksum database as the `go` command finds it.

use std::sync::Arc;
use std::time::Duration;

use quipu_fetch::{Base, Client, ClientOptions, Database, ErrorKind, Named, Policy};
use quipu_module::{Patterns, ProxyList};

use crate::support::server::{Reply, Server};
use crate::support::{client, client_with};

const NAME: &str = "sum.example/db";

fn database(proxies: &str, url: Option<&str>, client: &Client) -> Database {
    let list = ProxyList::parse(proxies).unwrap();
    let policy = Arc::new(Policy::new(Patterns::new("corp.example"), Patterns::new("open.example")));
    Database::new(NAME, url, list.entries(), client, policy).unwrap()
}

/// A proxy whose `supported` answers with `status`, and which then answers `/latest`.
fn supports(server: &Server, status: u16) {
    server.on("/sumdb/sum.example/db/supported", Reply::new(status, ""));
    server.on("/sumdb/sum.example/db/latest", Reply::ok("through the proxy"));
}

#[tokio::test]
async fn the_first_proxy_that_supports_it_is_used() {
    let (first, second, direct) = (Server::start().await, Server::start().await, Server::start().await);
    direct.on("/latest", Reply::ok("directly"));
    let (client, _) = client(&[&first.url, &second.url, &direct.url]);
    // (statuses of the two, the list, what is reached)
    for (statuses, separator, end, reached) in [
        ((200, 200), ",", "", Some((1, 0))),
        ((404, 200), ",", "", Some((0, 1))),
        ((410, 200), ",", "", Some((0, 1))),
        ((500, 200), ",", "", None),
        ((500, 200), "|", "", Some((0, 1))),
        ((403, 200), ",", ",direct", None),
        ((500, 404), "|", "", None),
        ((500, 404), "|", ",off", None),
    ] {
        supports(&first, statuses.0);
        supports(&second, statuses.1);
        first.forget();
        second.forget();
        let list = format!("{}{separator}{}{end}", first.url, second.url);
        let database = database(&list, None, &client);
        for _ in 0..2 {
            let body = database.get("/latest", 100).await;
            assert_eq!(
                body.ok().as_deref(),
                reached.map(|_| b"through the proxy".as_slice()),
                "{statuses:?} {list}"
            );
        }
        let latest = (first.count("/latest") / 2, second.count("/latest") / 2);
        assert_eq!(latest, reached.unwrap_or_default(), "{statuses:?} {list}");
        assert_eq!(first.count("/supported"), 1, "the search is remembered, whatever it found");
    }
    // With a URL of its own no proxy is asked.
    first.forget();
    let database = database(&first.url, Some(&direct.url), &client);
    assert_eq!(database.get("/latest", 100).await.unwrap(), "directly");
    assert_eq!(first.paths(), [""; 0]);
}

#[tokio::test]
async fn without_support_it_is_reached_directly() {
    let proxy = Server::start().await;
    // Its host is where nobody listens, which is enough to see where it went; the name is asked of nobody.
    let mut named = Named::default();
    let host = Base::parse("https://sum.example").unwrap().authority().unwrap().clone();
    named.insert_at(host, ([127, 0, 0, 1], 1).into());
    let (client, ledger) = client_with(&[&proxy.url], ClientOptions { named, ..ClientOptions::default() });
    for (list, status) in [("{},direct", 404), ("{}|direct", 500), ("{},off", 404), ("{}", 410), ("off", 404)]
    {
        supports(&proxy, status);
        let before = ledger.lines().len();
        let database = database(&list.replace("{}", &proxy.url), None, &client);
        assert_eq!(database.base().to_string(), "https://sum.example/db");
        let error = database.get("/latest", 100).await.unwrap_err();
        assert!(error.text().starts_with("sum.example/db: "), "{error}");
        assert!(ledger.lines()[before..].contains(&"- /db/latest".to_owned()), "{:?}", ledger.lines());
    }
}

#[tokio::test]
async fn without_any_upstream_nobody_is_asked() {
    let (client, ledger) = client(&[]);
    let database = Database::new(NAME, None, &[], &client, Arc::default()).unwrap();
    let error = database.get("/latest", 100).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.text()),
        (ErrorKind::Unavailable, "sum.example/db: no upstream: set GOPROXY")
    );
    assert_eq!(ledger.lines(), [""; 0]);
}

#[tokio::test]
async fn lookups_of_private_paths_stay_here() {
    let proxy = Server::start().await;
    supports(&proxy, 200);
    let (client, _) = client(&[&proxy.url]);
    let database = database(&proxy.url, None, &client);
    for lookup in ["/lookup/corp.example/!secret@v1.0.0", "/lookup/open.example/m@v1.0.0"] {
        assert_eq!(database.get(lookup, 100).await.unwrap_err().kind(), ErrorKind::Private);
    }
    for malformed in ["/lookup/corp.example/x@master", "/lookup/", "/supported/../x", "/x", ""] {
        assert_eq!(database.get(malformed, 100).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(proxy.paths(), [""; 0]);
    let lookup = "/lookup/example.com/!big@v1.0.0-!r!c1";
    proxy.on(&format!("/sumdb/{NAME}{lookup}"), Reply::ok("record"));
    assert_eq!(database.get(lookup, 100).await.unwrap(), "record");
    assert_eq!(database.get(lookup, 5).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let missing = database.get("/lookup/example.com/m@v1.0.0", 100).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_way_that_keeps_failing_is_searched_for_again() {
    let (first, second) = (Server::start().await, Server::start().await);
    supports(&first, 200);
    supports(&second, 200);
    let (client, _) = client(&[&first.url, &second.url]);
    let database = database(&format!("{},{}", first.url, second.url), None, &client);
    database.get("/latest", 100).await.unwrap();
    first.always(Some(Reply::new(502, "")));
    for _ in 0..3 {
        assert_eq!(database.get("/latest", 100).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    // The proxy fails at `supported` too: no way, and no second search within a second.
    for _ in 0..3 {
        assert_eq!(database.get("/latest", 100).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert_eq!(first.count("/supported"), 2);
    first.always(Some(Reply::new(404, "")));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(database.get("/latest", 100).await.unwrap(), "through the proxy");
    assert_eq!((first.count("/supported"), second.count("/supported")), (3, 1));
}
