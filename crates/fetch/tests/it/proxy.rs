//! One proxy and several, as sources.

use std::sync::Arc;

use quipu_fetch::{Base, ErrorKind, Policy, Proxy, Staging, Upstream};
use quipu_module::{Patterns, Version};

use crate::support::modules::Module;
use crate::support::server::{Reply, Server};
use crate::support::{chain, chain_with, client, path, query, read, version};

#[tokio::test]
async fn queries_are_resolved_and_encoded() {
    let server = Server::start().await;
    let (client, _) = client(&[&server.url]);
    let proxy = Proxy::new(Base::parse(&format!("{}/go/", server.url)).unwrap(), client, Arc::default());
    let info = r#"{"Version":"v0.0.0-20240102030405-abcdefabcdef"}"#;
    for (query_text, sent) in [
        ("main", "/go/example.com/m/@v/main.info"),
        ("Fix-1", "/go/example.com/m/@v/!fix-1.info"),
        ("a%2fb", "/go/example.com/m/@v/a%252fb.info"),
        ("a b", "/go/example.com/m/@v/a%20b.info"),
        ("v1.2.3+meta", "/go/example.com/m/@v/v1.2.3+meta.info"),
        ("v2.0.0", "/go/example.com/m/@v/v2.0.0.info"),
    ] {
        server.on(sent, Reply::ok(info));
        let resolved = proxy.info(&path("example.com/m"), &query(query_text)).await.unwrap();
        assert_eq!(resolved.version().as_str(), "v0.0.0-20240102030405-abcdefabcdef");
        assert_eq!(server.paths().last().unwrap(), sent);
    }
    server.on("/go/example.com/m/@v/v1.0.0.info", Reply::ok(info));
    let error = proxy.info(&path("example.com/m"), &query("v1.0.0")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    server.on("/go/example.com/m/@latest", Reply::ok(r#"{"Version":"v2.0.0"}"#));
    assert_eq!(proxy.latest(&path("example.com/m")).await.unwrap_err().kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn texts_are_passed_on_only_when_harmless() {
    let server = Server::start().await;
    let (client, _) = client(&[&server.url]);
    let chain = chain(&server.url, &client);
    for (reply, text) in [
        (
            Reply::new(404, "not found: example.com/m@v1: invalid version\nmore"),
            "example.com/m@v1: invalid version",
        ),
        (Reply::new(404, "not found"), "module example.com/m: not found upstream"),
        (Reply::new(404, ""), "module example.com/m: not found upstream"),
        (Reply::new(404, "bad \x1b[31mred\x07"), "module example.com/m: bad [31mred"),
        (Reply::new(404, "see https://user:pw@git.corp/x"), "module example.com/m: not found upstream"),
        (Reply::new(404, "<!DOCTYPE HTML>\n<html>"), "module example.com/m: not found upstream"),
        (Reply::new(404, "in /tmp/gopath/x"), "module example.com/m: not found upstream"),
        (Reply::new(404, "127.0.0.1 says no"), "module example.com/m: not found upstream"),
        (Reply::new(404, b"\xff\xfe".to_vec()), "module example.com/m: not found upstream"),
        (Reply::new(404, "x".repeat(100_000)), "module example.com/m: not found upstream"),
        (Reply::new(500, "password is hunter2"), "module example.com/m: upstream answers with status 500"),
        (Reply::new(403, ""), "module example.com/m: upstream refuses it"),
    ] {
        server.always(Some(reply));
        assert_eq!(chain.list(&path("example.com/m")).await.unwrap_err().text(), text);
    }
    let mut html = Reply::new(404, "<h1>secret</h1>");
    html.headers = vec![("Content-Type".into(), "text/html".into())];
    server.always(Some(html));
    let error = chain.list(&path("example.com/m")).await.unwrap_err();
    assert_eq!(error.text(), "module example.com/m: not found upstream");
}

#[tokio::test]
async fn lists_of_servers_fall_back_as_goproxy_says() {
    let (first, second) = (Server::start().await, Server::start().await);
    let (client, _) = client(&[&first.url, &second.url]);
    second.on("/example.com/m/@v/list", Reply::ok("v1.0.0\n"));
    for (separator, status, kind) in [
        (",", 404, None),
        (",", 410, None),
        (",", 500, Some(ErrorKind::Unavailable)),
        (",", 403, Some(ErrorKind::Forbidden)),
        (",", 429, Some(ErrorKind::Unavailable)),
        (",", 504, Some(ErrorKind::Timeout)),
        ("|", 404, None),
        ("|", 500, None),
        ("|", 403, None),
    ] {
        first.always(Some(Reply::new(status, "no")));
        let chain = chain(&format!("{}{separator}{}", first.url, second.url), &client);
        let result = chain.list(&path("example.com/m")).await;
        assert_eq!(result.err().map(|error| error.kind()), kind, "{status}{separator}");
    }
    // A zip that breaks off at the first is taken whole from the second.
    let module = Module::new("example.com/m@v1.0.0", 100_000);
    module.serve(&second);
    first.always(Some(Reply::ok(vec![b'x'; 90_000]).cut(80_000)));
    let directory = tempfile::tempdir().unwrap();
    let staging = Staging::new(directory.path()).unwrap();
    let mut zip = staging.create(1 << 20).await.unwrap();
    chain(&format!("{}|{}", first.url, second.url), &client).zip(&module.version, &mut zip).await.unwrap();
    assert_eq!(read(&zip.finish().await.unwrap()), module.zip);
}

#[tokio::test]
async fn private_paths_never_leave() {
    let server = Server::start().await;
    let (client, ledger) = client(&[&server.url]);
    let directory = tempfile::tempdir().unwrap();
    let staging = Staging::new(directory.path()).unwrap();
    let private =
        chain_with(&format!("{0}|{0}/other,direct", server.url), &client, "corp.example,*.Corp.example/x");
    let upstream: &dyn Upstream = &*private;
    let asked = version("corp.example/Secret@v1.0.0");
    let mut zip = staging.create(100).await.unwrap();
    for error in [
        upstream.list(asked.path()).await.unwrap_err(),
        upstream.info(asked.path(), &query("main")).await.unwrap_err(),
        upstream.info(asked.path(), &query("v1.0.0")).await.unwrap_err(),
        upstream.latest(asked.path()).await.unwrap_err(),
        upstream.go_mod(&asked).await.unwrap_err(),
        upstream.zip(&asked, &mut zip).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Private);
        let text = "corp.example/Secret: matches the private patterns and is never sent to a proxy";
        assert_eq!(error.text(), text);
    }
    assert_eq!((server.paths().len(), ledger.lines().len()), (0, 0));
    // What does not match goes out, and is on record.
    upstream.list(&path("corp.example.org/m")).await.unwrap_err();
    assert_eq!(ledger.lines(), ["404 /corp.example.org/m/@v/list", "404 /other/corp.example.org/m/@v/list"]);
}

#[tokio::test]
async fn trees_on_disk_are_proxies() {
    let directory = tempfile::tempdir().unwrap();
    let versions = directory.path().join("example.com/!m/@v");
    std::fs::create_dir_all(&versions).unwrap();
    let module = Module::new("example.com/M@v1.0.0", 1 << 20);
    std::fs::write(versions.join("list"), "v1.0.0\nv1.1.0\n").unwrap();
    std::fs::write(versions.join("v1.0.0.zip"), &module.zip).unwrap();
    std::fs::write(versions.join("v1.0.0.mod"), &module.go_mod).unwrap();
    let (client, ledger) = client(&[]);
    let chain = chain(&format!("file://{}", directory.path().display()), &client);
    let list = chain.list(&path("example.com/M")).await.unwrap();
    assert_eq!(list.iter().map(Version::as_str).collect::<Vec<_>>(), ["v1.0.0", "v1.1.0"]);
    assert_eq!(chain.go_mod(&module.version).await.unwrap(), module.go_mod);
    let staging = Staging::new(&directory.path().join(".staging")).unwrap();
    let mut zip = staging.create(2 << 20).await.unwrap();
    chain.zip(&module.version, &mut zip).await.unwrap();
    assert_eq!(read(&zip.finish().await.unwrap()), module.zip);
    for error in [
        chain.latest(&path("example.com/M")).await.unwrap_err(),
        chain.list(&path("example.com")).await.unwrap_err(),
        chain.go_mod(&version("example.com/M@v1.1.0")).await.unwrap_err(),
        chain.list(&path("example.com/M/list/x")).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!error.text().contains(directory.path().to_str().unwrap()), "{error}");
    }
    let big = std::fs::File::create(versions.join("v1.2.0.mod")).unwrap();
    big.set_len((16 << 20) + 1).unwrap();
    let error = chain.go_mod(&version("example.com/M@v1.2.0")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(ledger.lines(), [""; 0]);
}

#[test]
fn patterns_are_asked_about_plain_paths() {
    let policy = Policy::new(Patterns::new("example.com/Secret"), Patterns::default());
    assert!(
        policy.is_private(&path("example.com/Secret/x")) && !policy.is_private(&path("example.com/secret/x"))
    );
    assert!(
        policy.is_unverified(&path("example.com/Secret")) && !policy.is_unverified(&path("example.com/x"))
    );
}
