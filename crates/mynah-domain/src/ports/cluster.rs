//! What the nodes of an installation ask of their common store.

use async_trait::async_trait;

use super::StoreError;
use crate::event::{CatchUp, Stream};
use crate::node::{NewNode, NodeLease};
use crate::{TenantId, Timestamp};

/// Streams, for those who deliver them: nothing is judged here.
#[async_trait]
pub trait FeedStore: Send + Sync {
    /// Events of a stream after `after_seq`, ascending. A deleted room's stream is read like any other; of a
    /// stream that does not exist the head is 0. The tenant matters for inboxes only.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stream_events(
        &self,
        tenant: &TenantId,
        stream: &Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError>;

    /// A place in the log below which nobody stores any more; whatever this process stored up to there its
    /// [`CommitListener`](super::CommitListener) was told of before this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn settled_pos(&self) -> Result<u64, StoreError>;

    /// `seq` of the newest event of each stream, in the order asked; 0 for one that does not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn heads(&self, streams: &[(TenantId, Stream)]) -> Result<Vec<u64>, StoreError>;
}

/// Who takes part. Times are the store's own, so that nodes need not agree on the time of day.
#[async_trait]
pub trait NodeStore: Send + Sync {
    /// Gives a node a slot for `ttl_ms`. A node of the same id that has one loses it; else the smallest slot
    /// is taken that nobody has. Each taking counts the slot's epoch up.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Unavailable`] when all 1,023 slots are taken.
    async fn claim(&self, node: &NewNode, ttl_ms: u64) -> Result<NodeLease, StoreError>;

    /// Prolongs a lease by `ttl_ms` from now; `false` if it is no longer this node's, because it ran out and
    /// was given to another or the node's id was claimed anew. One that ran out and that nobody took since is
    /// prolonged.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn renew(&self, lease: &NodeLease, ttl_ms: u64) -> Result<bool, StoreError>;

    /// Gives a lease back, at the end of a node. One that is another's by now stays.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn release(&self, lease: &NodeLease) -> Result<(), StoreError>;

    /// The leases that have not run out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn nodes(&self) -> Result<Vec<NodeLease>, StoreError>;

    /// The store's time of day, to compare one's own with.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn time(&self) -> Result<Timestamp, StoreError>;
}
