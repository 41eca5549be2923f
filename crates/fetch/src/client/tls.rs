//! TLS for outgoing connections: rustls with the certificates that this machine trusts.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::connect::Connector;
use crate::error::{Error, Result};

/// What connections are secured by: the certificates of the system (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`) and these.
///
/// # Errors
/// TLS cannot be set up.
pub(super) fn config(extra_roots: Vec<CertificateDer<'static>>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::unavailable(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots(extra_roots)).with_no_client_auth())
}

/// Wraps `connector` in TLS for `https`, offering HTTP/2 and HTTP/1.1.
pub(super) fn connector(connector: Connector, config: ClientConfig) -> HttpsConnector<Connector> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(config).https_or_http();
    builder.enable_http1().enable_http2().wrap_connector(connector)
}

/// What this program trusts, for others to read: the certificates of the system (or of `SSL_CERT_FILE` and `SSL_CERT_DIR`)
/// and `extra`, in PEM.
pub fn roots_as_pem(extra: &[CertificateDer<'_>]) -> String {
    let native = rustls_native_certs::load_native_certs().certs;
    let mut pem = String::new();
    for certificate in native.iter().chain(extra) {
        let text = STANDARD.encode(certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.push_str(&String::from_utf8_lossy(line));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

/// The system's roots and `extra`. A machine without any can still talk to `http` and `file` upstreams; its `https`
/// requests fail, and the log says why.
fn roots(extra: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "cannot read system certificates");
    }
    roots.add_parsable_certificates(native.certs);
    let (added, ignored) = roots.add_parsable_certificates(extra);
    if ignored > 0 {
        tracing::warn!(added, ignored, "some of the extra root certificates are malformed");
    }
    if roots.is_empty() {
        tracing::warn!("no root certificates found: https upstreams cannot be verified and will fail");
    }
    roots
}
