//! The signed head: what readers may see.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::store::{Head, Notes};

/// A head with its two signed notes. Everything below it is durable and guarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// Size, root and time.
    pub head: Head,
    /// Both notes, of that size.
    pub notes: Notes,
}

impl SignedHead {
    /// Number of records under the head.
    pub fn size(&self) -> u64 {
        self.head.size
    }
}

/// Where the writer puts the newest signed head and readers take it.
pub(crate) type Published = ArcSwap<SignedHead>;

pub(crate) fn published(head: SignedHead) -> Arc<Published> {
    Arc::new(ArcSwap::from_pointee(head))
}
