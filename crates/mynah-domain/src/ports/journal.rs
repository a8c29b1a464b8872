//! What is asked of the log.

use async_trait::async_trait;

use super::StoreError;
use crate::RoomId;
use crate::chat::ChatError;
use crate::event::{CatchUp, LogPage};
use crate::permission::{Actor, Guard};
use crate::recovery::LogEpoch;

/// The journal, for those who catch up.
///
/// Each answer is read from one state of the log: heads, streams and events agree, and `next` of a
/// [`LogPage`] never lies beyond an event that was not looked at.
#[async_trait]
pub trait JournalStore: Send + Sync {
    /// Events of a room after `after_seq`, ascending; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::Store`].
    async fn room_events(
        &self,
        guard: Guard,
        room: &RoomId,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, ChatError>;

    /// Events of the viewer's inbox after `after_seq`, ascending.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn inbox_events(
        &self,
        viewer: &Actor,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError>;

    /// Events after `pos` of every room the viewer has joined and of the inbox, ascending by `pos`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn events_for(
        &self,
        viewer: &Actor,
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError>;

    /// Events after `pos` of those of `rooms` that the viewer has joined, and of the inbox, ascending by
    /// `pos`. Rooms named twice count once; others than joined ones are passed over.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn events_of(
        &self,
        viewer: &Actor,
        rooms: &[RoomId],
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError>;

    /// `pos` of the newest event.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn head_pos(&self) -> Result<u64, StoreError>;

    /// Which life of the log this is: given when the store is made, and anew whenever its log is taken back to
    /// an earlier state. A store that keeps none is always in the same one.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn log_epoch(&self) -> Result<LogEpoch, StoreError> {
        Ok(LogEpoch::default())
    }

    /// A cheap write and read that prove the store works, for health probes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn probe(&self) -> Result<(), StoreError>;
}
