//! Evidence of what an audit found.

use std::sync::Arc;

use bytes::Bytes;
use quipu_note::VerifierKey;
use quipu_tlog::{Node, ReadError, Tile, split_records};

use super::crown::Crown;
use super::findings::Finding;
use crate::check::Fault;
use crate::error::Error;
use crate::evidence::{Evidence, Kind, Leaf, Subtree};
use crate::head::SignedHead;

/// Makes evidence of findings, in the layout of the checksum database.
pub(super) struct Accuser<'a> {
    pub(super) keys: &'a [VerifierKey],
    pub(super) head: &'a SignedHead,
    /// The hashes of the signed tree; none if the tiles served do not lead to it.
    pub(super) crown: Option<&'a Crown<'a>>,
}

impl Accuser<'_> {
    /// Adds evidence to the first findings of each kind. Of what was served in one tile there is one piece.
    ///
    /// What cannot be proven stays a finding without evidence. When the log cannot be reached, no more is tried: each
    /// further attempt would wait as long.
    pub(super) fn accuse(&self, findings: &mut [Finding]) {
        let mut attempts: Vec<Attempt> = Vec::new();
        for finding in findings {
            let Some(kind) = kind(&finding.fault) else { continue };
            let tile = finding.served.first().map(|(tile, _)| *tile).filter(|_| !kind.is_signed());
            let same = attempts.iter().find(|before| tile.is_some() && before.tile == tile);
            if let Some(same) = same {
                finding.evidence = same.evidence.clone();
                continue;
            }
            if attempts.iter().filter(|before| before.kind == kind).count() == MAX_OF_KIND {
                continue;
            }
            let Ok(evidence) = self.prove(finding) else { return };
            finding.evidence = evidence.map(Arc::new);
            attempts.push(Attempt { kind, tile, evidence: finding.evidence.clone() });
        }
    }

    /// None if there is nothing to prove, or too little to prove it with. An error if the log cannot be reached.
    fn prove(&self, finding: &Finding) -> Result<Option<Evidence>, Error> {
        let note = || self.head.note().clone();
        let first = || finding.served.first().cloned();
        let evidence = match &finding.fault {
            Fault::Rule { record, .. } => {
                let leaf = self.leaf(finding, (0, *record))?;
                leaf.map(|leaf| Evidence::prove_record(self.keys, note(), leaf))
            }
            Fault::Duplicate { first, second, .. } => {
                let leaves = self.leaf(finding, (0, *first))?.zip(self.leaf(finding, (1, *second))?);
                leaves.map(|(a, b)| Evidence::prove_duplicate(self.keys, note(), [a, b]))
            }
            Fault::Record { record } => {
                return self.contradict(served_record(finding, (0, *record)), Node::leaf(*record));
            }
            Fault::Entry { tile, entry } => return self.contradict(first(), tile.node(*entry)),
            Fault::Parent { tile, .. } => return self.contradict(first(), tile.root_node()),
            Fault::Root { .. } => Some(Evidence::prove_tiles(self.keys, note(), finding.served.clone())),
            Fault::Time { .. }
            | Fault::Short { .. }
            | Fault::Body { .. }
            | Fault::Contradiction { .. }
            | Fault::Size { .. } => None,
        };
        Ok(evidence.and_then(Result::ok))
    }

    /// A record that was served in tile `shown` of a finding, with its proof.
    fn leaf(&self, finding: &Finding, (shown, record): (usize, u64)) -> Result<Option<Leaf>, Error> {
        let Some((crown, (_, text))) = self.crown.zip(served_record(finding, (shown, record))) else {
            return Ok(None);
        };
        read(Leaf::prove(self.head.size(), record, text, crown))
    }

    /// What was served in a tile, beside what the tree has at a node.
    fn contradict(
        &self,
        served: Option<(Tile, Bytes)>,
        node: Option<Node>,
    ) -> Result<Option<Evidence>, Error> {
        let (Some(crown), Some(served), Some(node)) = (self.crown, served, node) else { return Ok(None) };
        let signed = read(Subtree::prove(self.head.size(), node, crown))?;
        let evidence =
            signed.map(|signed| Evidence::prove_tile(self.keys, self.head.note().clone(), served, signed));
        Ok(evidence.and_then(Result::ok))
    }
}

/// Evidence that was tried to make.
struct Attempt {
    kind: Kind,
    /// The tile that it is about, unless it is about records.
    tile: Option<Tile>,
    evidence: Option<Arc<Evidence>>,
}

/// The kind of evidence that there can be of a fault.
fn kind(fault: &Fault) -> Option<Kind> {
    match fault {
        Fault::Rule { .. } => Some(Kind::Record),
        Fault::Duplicate { .. } => Some(Kind::Duplicate),
        Fault::Record { .. } | Fault::Entry { .. } | Fault::Parent { .. } => Some(Kind::Tile),
        Fault::Root { .. } => Some(Kind::Tiles),
        Fault::Time { .. }
        | Fault::Short { .. }
        | Fault::Body { .. }
        | Fault::Contradiction { .. }
        | Fault::Size { .. } => None,
    }
}

/// A record of the data tile that a finding shows at place `shown`, with that tile.
fn served_record(finding: &Finding, (shown, record): (usize, u64)) -> Option<(Tile, Bytes)> {
    let (tile, body) = finding.served.get(shown)?;
    let place = usize::try_from(record.checked_sub(tile.first())?).ok()?;
    let text = *split_records(body, tile.width()).ok()?.get(place)?;
    Some((*tile, Bytes::copy_from_slice(text.as_bytes())))
}

/// Only that the log cannot be reached is an error here.
fn read<T>(outcome: Result<T, ReadError<Error>>) -> Result<Option<T>, Error> {
    match outcome {
        Ok(proof) => Ok(Some(proof)),
        Err(ReadError::Reader(error @ Error::Unavailable(_))) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Pieces of evidence of one kind. One would do to convict; a log with a thousand bad records makes no thousand files.
const MAX_OF_KIND: usize = 8;
