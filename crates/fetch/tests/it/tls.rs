//! Encrypted upstreams: who is trusted, and what never leaves encryption again.

use std::sync::Arc;

use quipu_fetch::{
    Base, Client, ClientOptions, ErrorKind, Limits, Policy, Proxy, Purpose, Request, Upstream as _, Url,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, version};

use crate::support::server::{Reply, Server};
use crate::support::{client, client_with, path};

/// An authority made for one test, and a server with its certificate for `name`.
pub(crate) fn authority(name: &str) -> (CertificateDer<'static>, ServerConfig) {
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap().der().clone();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
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
    let (other_root, wrong_name) = authority("elsewhere.example");
    let impostor = Server::start_tls(wrong_name).await;
    let list = |client: Client, server: &Server| {
        let proxy = Proxy::new(Base::parse(&server.url).unwrap(), client, Arc::<Policy>::default());
        async move { proxy.list(&path("example.com/m")).await }
    };
    assert_eq!(list(trusting(&[&server.url], root.clone()), &server).await.unwrap().len(), 1);
    for (client, server) in [
        (stranger, &server),
        (trusting(&[&server.url], other_root.clone()), &server),
        (trusting(&[&impostor.url], other_root), &impostor),
    ] {
        let error = list(client, server).await.unwrap_err();
        let text = "module example.com/m: cannot make a secure connection to upstream";
        assert_eq!((error.kind(), error.text()), (ErrorKind::Unavailable, text));
    }
    assert_eq!((server.paths().len(), impostor.paths().len()), (1, 0));
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
