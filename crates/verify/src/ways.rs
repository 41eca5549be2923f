//! Several ways to one database: what one of them does not have, another may.

use std::sync::Arc;

use bytes::Bytes;
use quipu_tlog::{Node, Tile};

use crate::error::Error;
use crate::evidence::{Evidence, NotProven};
use crate::head::SignedHead;
use crate::tiles::{Genuine, Proven, TileReader};

/// The ways that tiles can be had: one's own, and those of others who look at the same database.
pub(crate) struct Ways {
    own: Arc<TileReader>,
    others: Vec<Arc<TileReader>>,
}

impl Ways {
    /// For each of the readers the ways that it comes first in.
    pub(crate) fn of_each(readers: &[Arc<TileReader>]) -> Vec<Self> {
        let others = |own: usize| {
            let all = readers.iter().enumerate();
            all.filter(|(i, _)| *i != own).map(|(_, reader)| reader.clone()).collect()
        };
        readers.iter().enumerate().map(|(i, own)| Self { own: own.clone(), others: others(i) }).collect()
    }

    /// The hashes of `nodes` in the tree of `head`: from elsewhere if they cannot be had on one's own way now. What is wrong there
    /// is not covered up.
    pub(crate) async fn read(&self, head: &SignedHead, nodes: &[Node], what: &str) -> Result<Proven, Error> {
        self.read_if(head, nodes, what, |error| matches!(error, Error::Unavailable(_))).await
    }

    /// The hashes of `nodes` in the tree of `head` from whoever has them. For the comparison of two heads, of which the larger may
    /// have been seen elsewhere: there its tiles are, and here may be those of another history.
    pub(crate) async fn read_anywhere(
        &self,
        head: &SignedHead,
        nodes: &[Node],
        what: &str,
    ) -> Result<Proven, Error> {
        self.read_if(head, nodes, what, |_| true).await
    }

    /// If nobody has them, one's own way says why.
    async fn read_if(
        &self,
        head: &SignedHead,
        nodes: &[Node],
        what: &str,
        elsewhere: fn(&Error) -> bool,
    ) -> Result<Proven, Error> {
        let error = match self.own.read(head, nodes, what).await {
            Err(error) if elsewhere(&error) => error,
            outcome => return outcome,
        };
        for other in &self.others {
            if let Ok(proven) = other.read(head, nodes, what).await {
                return Ok(proven);
            }
        }
        Err(error)
    }

    /// The body of a tile, nothing about it checked but that it may have this length.
    pub(crate) async fn fetch(&self, tile: Tile, path: &str) -> Result<Bytes, Error> {
        let error = match self.own.fetch(tile).await.map_err(|e| Error::needed(path, &e)) {
            Err(error @ Error::Unavailable(_)) => error,
            outcome => return outcome,
        };
        for other in &self.others {
            if let Ok(body) = other.fetch(tile).await {
                return Ok(body);
            }
        }
        Err(error)
    }

    /// As [`TileReader::contradiction`].
    pub(crate) fn contradiction(
        &self,
        head: &SignedHead,
        served: Option<(Tile, Bytes)>,
        node: Option<Node>,
        genuine: &Genuine,
    ) -> Result<Evidence, NotProven> {
        self.own.contradiction(head, served, node, genuine)
    }

    /// As [`TileReader::keep`].
    pub(crate) fn keep(&self, proven: &Proven) {
        self.own.keep(proven);
    }

    /// As [`TileReader::count_kept`].
    pub(crate) fn count_kept(&self, outcome: &std::io::Result<()>) {
        self.own.count_kept(outcome);
    }

    /// As [`TileReader::unkept`].
    pub(crate) fn unkept(&self) -> u64 {
        self.own.unkept()
    }
}
