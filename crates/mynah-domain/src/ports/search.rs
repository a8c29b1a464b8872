//! What is asked of the index of messages.

use async_trait::async_trait;

use super::StoreError;
use crate::chat::ChatError;
use crate::permission::Guard;
use crate::search::{Indexed, Matches, Wanted};

/// The index of messages' words.
///
/// It follows the log by `pos` and keeps its place beside itself, so that every change is indexed once it is settled,
/// whoever stored it, and nothing is lost when a process ends in between.
#[async_trait]
pub trait SearchStore: Send + Sync {
    /// Messages that are wanted, newest first by `pos`: those of a room that the guard lets the actor into, or of all
    /// rooms that the actor has joined and the guard allows, at most
    /// [`SEARCHED_ROOMS_MAX`](crate::search::SEARCHED_ROOMS_MAX). Each is
    /// [accepted](Wanted::accepts) as it is now. What is not indexed yet is not found. At most
    /// [`LOOKED_AT_MAX`](crate::search::LOOKED_AT_MAX) messages are looked at.
    ///
    /// # Errors
    /// [`ChatError::Denied`] (the named room), [`ChatError::MissingMessage`] (unknown place), [`ChatError::Store`].
    async fn find_messages(&self, guard: Guard, wanted: &Wanted) -> Result<Matches, ChatError>;

    /// Takes up to `limit` events from the log and brings the index up to them; nothing when another process is at
    /// it. Deleted messages and rooms leave the index; of large rooms in several steps.
    ///
    /// # Errors
    /// [`StoreError`]; index and place are as before then.
    async fn index_messages(&self, limit: u32) -> Result<Indexed, StoreError>;

    /// How many events the index is behind the settled log, counted up to
    /// [`UNINDEXED_MAX`](crate::search::UNINDEXED_MAX).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unindexed(&self) -> Result<u64, StoreError>;
}
