//! Many kept answers, proven together: one plan for all of them instead of one for each.

use std::sync::Arc;

use bytes::Bytes;
use quipu_module::ModuleVersion;
use quipu_tlog::{Node, leaf_hash};

use super::{Client, Inner, Verified};
use crate::head::SignedHead;
use crate::record::{Answer, AuthenticatedRecord};

impl Client {
    /// Those of `modules` whose answers were kept, each proven anew to be in the tree of the latest head seen; in the
    /// same order.
    ///
    /// None where no answer is kept, or where it does not hold now for whatever reason: [`Client::lookup`] then asks
    /// and tells. The tiles of all of them are read and authenticated once, so that the hundreds of modules of a
    /// go.sum take little longer than a few. Tiles that are not kept are asked for; lookups are not.
    ///
    /// The signed heads inside kept answers are not looked at again: an answer is kept only after its head was found
    /// on the timeline, and what counts here is the latest head.
    pub async fn lookup_kept(&self, modules: &[ModuleVersion]) -> Vec<Option<Verified>> {
        let inner = &self.inner;
        let Some(head) = self.head() else { return vec![None; modules.len()] };
        let kept: Vec<_> = modules.iter().map(|module| inner.kept(module, &head)).collect();
        let leaves: Vec<Node> = kept.iter().flatten().map(|kept| kept.leaf).collect();
        let Ok(proven) = inner.tiles.read(&head, &leaves, KEPT).await else {
            return vec![None; modules.len()];
        };
        inner.tiles.keep(&proven);
        let verified = |(kept, module): (Option<Kept>, &ModuleVersion)| {
            let Kept { id, leaf, text, body } = kept?;
            let authentic = proven.hashes.get(leaf) == Some(leaf_hash(text.as_bytes()));
            let record = authentic.then(|| AuthenticatedRecord::find(KEPT, text, module).ok())??;
            Some(Verified { id, record, head: head.clone(), body })
        };
        kept.into_iter().zip(modules).map(verified).collect()
    }
}

/// A kept answer, taken apart.
struct Kept {
    id: u64,
    leaf: Node,
    text: String,
    body: Bytes,
}

impl Inner {
    fn kept(&self, module: &ModuleVersion, head: &Arc<SignedHead>) -> Option<Kept> {
        let body = self.state.lookup(module)?;
        let Answer { id, text, note: _ } = Answer::parse(KEPT, &body).ok()?;
        let leaf = Node::leaf(id).filter(|_| id < head.size())?;
        Some(Kept { id, leaf, text, body })
    }
}

const KEPT: &str = "kept answers";
