//! What it means when no answer comes: plain words for clients, and the host for the log.

use std::error::Error as StdError;
use std::io;

use hyper_util::client::legacy;
use rustls::CertificateError;

use super::connect::ConnectError;
use super::url::Url;
use crate::error::Error;

/// Whether the connection was made, and ended before an answer began.
pub(super) fn broke(error: &legacy::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let cause = StdError::source(error).and_then(|cause| cause.downcast_ref::<hyper::Error>());
    let Some(cause) = cause.filter(|_| !error.is_connect()) else { return false };
    let io = StdError::source(cause).and_then(|io| io.downcast_ref::<io::Error>());
    let cut = io.is_some_and(|io| matches!(io.kind(), BrokenPipe | ConnectionAborted | ConnectionReset));
    cut || cause.is_incomplete_message() || cause.is_closed() || cause.is_canceled()
}

/// Turns a failure to get an answer into words without the name of the host; the log gets that, too.
pub(super) fn describe(url: &Url, error: &legacy::Error) -> Error {
    tracing::debug!(host = %url.authority(), error = ?error, "request failed");
    if let Some(reason) = causes(error).find_map(|cause| cause.downcast_ref::<ConnectError>()) {
        return reason.explain();
    }
    if !error.is_connect() {
        return Error::unavailable("upstream broke the connection");
    }
    let reason = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
    let text = reason.map_or("cannot make a secure connection to upstream", insecurity);
    // An operator has to know whose certificate it is, and clients must not.
    tracing::warn!(host = %url.authority(), "{text}");
    Error::unavailable(text)
}

/// `error` and what is behind it.
fn causes<'e>(error: &'e (dyn StdError + 'static)) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e (dyn StdError + 'static) = *error;
        match error.downcast_ref::<io::Error>() {
            // What is in one of these is not behind it.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    })
}

/// Why there is no TLS connection.
fn insecurity(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(reason) => distrust(reason),
        rustls::Error::InvalidMessage(_) => "what answers for the upstream host does not speak TLS",
        rustls::Error::PeerIncompatible(_) => {
            "the upstream host speaks only versions of TLS, or ciphers, that are not secure"
        }
        rustls::Error::AlertReceived(_) => "the upstream host refuses to make a secure connection",
        _ => "cannot make a secure connection to upstream",
    }
}

/// Why a certificate is refused.
fn distrust(reason: &CertificateError) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, Revoked, UnknownIssuer,
    };
    match reason {
        // The second is that of an authority which only has the name of a trusted one.
        UnknownIssuer | BadSignature => {
            "the certificate of the upstream host is not trusted here: its authority must be among the root \
             certificates, to which ca_file adds"
        }
        Expired | ExpiredContext { .. } => {
            "the certificate of the upstream host has expired, or the clock here is wrong"
        }
        NotValidYet | NotValidYetContext { .. } => {
            "the certificate of the upstream host is not valid yet, or the clock here is wrong"
        }
        NotValidForName | NotValidForNameContext { .. } => {
            "the certificate of the upstream host is for another name"
        }
        Revoked => "the certificate of the upstream host was revoked",
        _ => "the certificate of the upstream host is malformed, or not one for servers",
    }
}
