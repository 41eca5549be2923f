//! Connections for what other programs say: under the same address policy and in the same record as requests.

use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;

use super::Client;
use super::egress::{Purpose, Watch};
use super::url::Authority;
use crate::error::{Error, Result};

/// A connection to a place that the policy allows.
pub(crate) struct Tunnel {
    stream: TcpStream,
    watch: Watch,
}

impl Client {
    /// Connects to `authority`, judged as for a request. No encryption is added.
    pub(crate) async fn tunnel(&self, authority: &Authority, purpose: Purpose) -> Result<Tunnel> {
        let mut watch = Watch::start_tunnel(self.shared.common.observer.clone(), authority, purpose);
        match self.shared.connector.open(authority).await {
            Ok(stream) => Ok(Tunnel { stream, watch }),
            Err(reason) => {
                let error = reason.explain();
                watch.failed(error.kind());
                Err(error)
            }
        }
    }
}

impl Tunnel {
    /// Sends `first`, and then passes on what either side says until both have ended.
    pub(crate) async fn join(mut self, first: &[u8], mut other: TcpStream) -> Result<()> {
        let broken = |_| Error::unavailable("upstream broke the connection");
        self.stream.write_all(first).await.map_err(broken)?;
        let (_, received) = copy_bidirectional(&mut other, &mut self.stream).await.map_err(broken)?;
        self.watch.read(received);
        Ok(())
    }
}
