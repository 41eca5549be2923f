//! TLS by rustls: a certificate and key from PEM files, read again when they change.

mod expiry;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::ops::gauge;

/// Why certificate and key cannot be used; names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not the PEM that it should be.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The key does not belong to the certificate, or is of no usable kind.
    #[error("certificate and key cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

/// A server identity that follows its files: [`Identity::reload`] takes over changed ones without a restart.
#[derive(Debug)]
pub struct Identity {
    cert: PathBuf,
    key: PathBuf,
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    pair: Arc<CertifiedKey>,
    changed: Changed,
}

/// Modification times of both files: what tells one state of them from another.
type Changed = (Option<SystemTime>, Option<SystemTime>);

impl Identity {
    /// Loads a PEM certificate chain (leaf first) and its PEM private key.
    ///
    /// # Errors
    /// Files that cannot be read, are no PEM, or do not belong together.
    pub fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let loaded = Loaded { changed: changed(cert, key), pair: Arc::new(pair(cert, key)?) };
        observe(&loaded.pair);
        Ok(Arc::new(Self { cert: cert.into(), key: key.into(), current: ArcSwap::from_pointee(loaded) }))
    }

    /// Reads the files again if they changed. On an error the identity in use stays. Says whether it changed.
    ///
    /// # Errors
    /// As [`Identity::load`].
    pub fn reload(&self) -> Result<bool, TlsError> {
        let changed = changed(&self.cert, &self.key);
        if changed == self.current.load().changed {
            return Ok(false);
        }
        let pair = Arc::new(pair(&self.cert, &self.key)?);
        observe(&pair);
        self.current.store(Arc::new(Loaded { pair, changed }));
        Ok(true)
    }

    /// The rustls configuration that presents this identity and offers HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// None in practice: the protocol versions are those the crypto provider has.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<rustls::ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().pair))
    }
}

/// Shows when the certificate in use ends.
fn observe(pair: &CertifiedKey) {
    if let Some(seconds) = pair.cert.first().and_then(|leaf| expiry::not_after(leaf)) {
        gauge("quipu_tls_certificate_expiry_seconds", seconds);
    }
}

fn changed(cert: &Path, key: &Path) -> Changed {
    let time = |path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    (time(cert), time(key))
}

fn pair(cert: &Path, key: &Path) -> Result<CertifiedKey, TlsError> {
    let malformed = |path: &Path, why: String| TlsError::Malformed { path: path.into(), why };
    let chain = CertificateDer::pem_slice_iter(&read(cert)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| malformed(cert, e.to_string()))?;
    if chain.is_empty() {
        return Err(malformed(cert, "no certificate in the file".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| malformed(key, e.to_string()))?;
    Ok(CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())?)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.into(), source })
}
