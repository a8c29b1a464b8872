//! What is asked of messages.

use async_trait::async_trait;

use crate::chat::ChatError;
use crate::message::{
    Anchor, Appended, History, Message, MoveReadCursor, NewMessage, ReadBy, ReadCursor, Revision,
};
use crate::permission::Guard;
use crate::{MessageId, RoomId, Timestamp};

/// Messages, revisions and read cursors.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Stores a message: allots `seq` and `number`, moves the sender's read cursor, appends
    /// `message.created`. A repeat of (room, sender, client id) returns the first result and emits
    /// nothing, for ever. Order of calls from one task is order of `seq`: the write is queued before
    /// the first await.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`] (reply target not in the room),
    /// [`ChatError::Store`].
    async fn append_message(&self, guard: Guard, new: NewMessage) -> Result<Appended, ChatError>;

    /// Changes a message's text, keeps the old one as revision, appends `message.updated`. The same text
    /// again changes nothing.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`] (also when deleted), [`ChatError::Store`].
    async fn edit_message(
        &self,
        guard: Guard,
        message: &MessageId,
        content: String,
        at: Timestamp,
    ) -> Result<Message, ChatError>;

    /// Removes a message's text and revisions, keeps its place, appends `message.deleted`. Deleting again
    /// changes nothing.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn delete_message(
        &self,
        guard: Guard,
        message: &MessageId,
        at: Timestamp,
    ) -> Result<Message, ChatError>;

    /// One message; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn message(&self, guard: Guard, message: &MessageId) -> Result<Message, ChatError>;

    /// A message's texts, original first; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn revisions(
        &self,
        guard: Guard,
        message: &MessageId,
    ) -> Result<Vec<Revision>, ChatError>;

    /// One page of history, deleted messages included as tombstones; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`] (unknown anchor), [`ChatError::Store`].
    async fn history(
        &self,
        guard: Guard,
        room: &RoomId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<History, ChatError>;

    /// Moves a read cursor forward (never back) and dates the move; not an event.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn move_read_cursor(
        &self,
        guard: Guard,
        cursor: MoveReadCursor,
    ) -> Result<ReadCursor, ChatError>;

    /// Who has read a message and since when; checked by the guard.
    ///
    /// # Errors
    /// [`ChatError::Denied`], [`ChatError::MissingMessage`], [`ChatError::Store`].
    async fn readers(&self, guard: Guard, message: &MessageId) -> Result<Vec<ReadBy>, ChatError>;
}
