//! Encrypted upstreams: who is trusted, and what never leaves encryption again.

use std::sync::Arc;

use quipu_fetch::{
    Base, Client, ClientOptions, ErrorKind, Limits, Policy, Proxy, Purpose, Request, Upstream as _, Url,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, version};

use crate::support::server::{Reply, Server};
use crate::support::{client, client_with, path};

/// An authority made for one test, and a server with its certificate for `name`.
pub(crate) fn authority(name: &str) -> (CertificateDer<'static>, ServerConfig) {
    authority_for(name, (1975, 4096))
}

/// The same with a certificate that is valid from the beginning of one year to that of another.
fn authority_for(name: &str, (from, to): (i32, i32)) -> (CertificateDer<'static>, ServerConfig) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap().der().clone();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (leaf.not_before, leaf.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).unwrap();
    let secret = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], secret)
        .unwrap();
    (root_certificate, config)
}

fn trusting(url: &[&str], root: CertificateDer<'static>) -> Client {
    client_with(url, ClientOptions { extra_roots: vec![root], ..ClientOptions::default() }).0
}

#[tokio::test]
async fn only_trusted_certificates_for_the_right_host_are_accepted() {
    let (root, config) = authority("localhost");
    let server = Server::start_tls(config).await;
    server.on("/example.com/m/@v/list", Reply::ok("v1.0.0\n"));
    let (stranger, _) = client(&[&server.url]);
    let list = |client: Client, server: &Server| {
        let proxy = Proxy::new(Base::parse(&server.url).unwrap(), client, Arc::<Policy>::default());
        async move { proxy.list(&path("example.com/m")).await }
    };
    assert_eq!(list(trusting(&[&server.url], root.clone()), &server).await.unwrap().len(), 1);
    let mut impostors = Vec::new();
    for (name, years, reason) in [
        ("elsewhere.example", (1975, 4096), "is for another name"),
        ("localhost", (1975, 2020), "has expired, or the clock here is wrong"),
        ("localhost", (3000, 4096), "is not valid yet, or the clock here is wrong"),
    ] {
        let (root, config) = authority_for(name, years);
        let server = Server::start_tls(config).await;
        impostors.push((trusting(&[&server.url], root), server, reason));
    }
    impostors.push((stranger, server, NOT_TRUSTED));
    for (client, server, reason) in &impostors {
        let error = list(client.clone(), server).await.unwrap_err();
        let text = format!("module example.com/m: the certificate of the upstream host {reason}");
        assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, text.as_str()));
    }
    let asked: Vec<usize> = impostors.iter().map(|(_, server, _)| server.paths().len()).collect();
    assert_eq!(asked, [0, 0, 0, 1]);
}

const NOT_TRUSTED: &str =
    "is not trusted here: its authority must be among the root certificates, to which ca_file adds";

/// The other end of a connection that was to be secured.
#[tokio::test]
async fn what_is_not_tls_is_called_so() {
    for (answer, text) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "what answers for the upstream host does not speak TLS"),
        // An alert: the handshake failed.
        (b"\x15\x03\x03\x00\x02\x02\x28", "the upstream host refuses to make a secure connection"),
        (b"", "cannot make a secure connection to upstream"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let other = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            stream.write_all(answer).await.unwrap();
            stream.shutdown().await.unwrap();
            drop(listener);
        });
        let parsed = Url::parse(&url).unwrap();
        let limits = Limits::small(100);
        let request = Request { url: &parsed, credentials: None, purpose: Purpose::List, limits };
        let error = client(&[&url]).0.get(request).await.err().unwrap();
        assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, text));
        other.await.unwrap();
    }
}

#[tokio::test]
async fn encryption_is_never_left_again() {
    let (root, config) = authority("localhost");
    let (server, plain) = (Server::start_tls(config).await, Server::start().await);
    let client = trusting(&[&server.url, &plain.url], root);
    plain.on("/up", Reply::redirect(&format!("{}/end", server.url)));
    plain.on("/end", Reply::ok("in the clear"));
    server.on("/down", Reply::redirect(&format!("{}/end", plain.url)));
    server.on("/end", Reply::ok("end"));
    let get = async |url: String| {
        let url = Url::parse(&url).unwrap();
        let request =
            Request { url: &url, credentials: None, purpose: Purpose::List, limits: Limits::small(100) };
        client.get(request).await?.body.bytes().await
    };
    assert_eq!(get(format!("{}/up", plain.url)).await.unwrap(), "end");
    let error = get(format!("{}/down", server.url)).await.unwrap_err();
    assert_eq!((error.kind(), error.text()), (ErrorKind::Rejected, "upstream redirects from https to http"));
    assert_eq!(plain.paths(), ["/up"]);
}

#[tokio::test]
async fn credentials_of_the_url_are_sent() {
    let (root, config) = authority("localhost");
    let server = Server::start_tls(config).await;
    let client = trusting(&[&server.url], root);
    let url = server.url.replace("https://", "https://us%65r:p%3Ass@");
    let proxy = Proxy::new(Base::parse(&url).unwrap(), client, Arc::<Policy>::default());
    let error = proxy.list(&path("example.com/m")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(server.seen()[0].headers["authorization"], "Basic dXNlcjpwOnNz");
    assert!(!proxy.base().to_string().contains("user"));
}
