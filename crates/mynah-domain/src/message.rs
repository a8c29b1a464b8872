//! Messages, drafts and read cursors.

use std::sync::Arc;

use crate::profile::Profile;
use crate::{MessageId, RoomId, TenantId, Timestamp, UserId};

/// Longest message text by default, in characters.
pub const CONTENT_MAX_DEFAULT: usize = 8_000;
/// Longest message text that can be configured, in bytes.
pub const CONTENT_BYTES_HARD_MAX: usize = 64 * 1024;
/// Longest metadata, in bytes of JSON.
pub const METADATA_BYTES_MAX: usize = 16 * 1024;
/// Longest client id, in bytes.
pub const CLIENT_ID_BYTES_MAX: usize = 128;
/// Longest message kind, in bytes.
pub const KIND_BYTES_MAX: usize = 50;
/// Dated marks kept per member and room; older ones are merged.
pub const RECEIPT_MARKS_MAX: usize = 64;

/// A chat message, as stored.
///
/// `seq` is the place of its creation in the room's stream, `number` the dense count of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its room.
    pub room: RoomId,
    /// `seq` of its creation.
    pub seq: u64,
    /// Its number in the room: 1, 2, 3 …
    pub number: u64,
    /// Who wrote it.
    pub sender: Arc<Profile>,
    /// `text`, `image` … an open set (seed 001 `message_type`).
    pub kind: String,
    /// The text; empty after deletion.
    pub content: String,
    /// JSON object or value given by the client, returned verbatim; `None` after deletion.
    pub metadata: Option<String>,
    /// The message this one answers.
    pub reply_to: Option<MessageId>,
    /// The sender's own id for it, unique per room and sender for ever.
    pub client_id: Option<String>,
    /// How often it was edited.
    pub edit_count: u32,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// When it was stored.
    pub created_at: Timestamp,
}

impl Message {
    /// Time of the last change.
    pub fn updated_at(&self) -> Timestamp {
        self.deleted_at.or(self.edited_at).unwrap_or(self.created_at)
    }
}

/// An earlier or current text of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// 0 = original.
    pub rev: u32,
    /// The text.
    pub content: String,
    /// Who wrote it.
    pub edited_by: UserId,
    /// When.
    pub at: Timestamp,
}

/// First character of a client id that a door made for a client without one, so that a repeated send is known.
/// Such an id is nobody else's affair. A control character, which clients' own ids cannot begin with.
pub const SESSION_CLIENT_ID_MARK: char = '\u{1f}';

impl Message {
    /// The id that the sender itself gave the message, for showing.
    pub fn own_client_id(&self) -> Option<&str> {
        self.client_id.as_deref().filter(|id| !id.starts_with(SESSION_CLIENT_ID_MARK))
    }
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Draft {
    /// The text.
    pub content: String,
    /// Kind; `None` = `text`.
    pub kind: Option<String>,
    /// JSON, at most [`METADATA_BYTES_MAX`] bytes; validity is the door's affair.
    pub metadata: Option<String>,
    /// The message it answers.
    pub reply_to: Option<MessageId>,
    /// The client's own id; a repeat returns the first result.
    pub client_id: Option<String>,
}

/// A message to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Id to give it.
    pub id: MessageId,
    /// Where.
    pub room: RoomId,
    /// What, already checked.
    pub draft: Draft,
    /// When.
    pub at: Timestamp,
}

/// What appending gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The message; on a repeat the first one, as it is now.
    pub message: Arc<Message>,
    /// `true` when the same client id had been stored before; nothing was written then.
    pub replayed: bool,
}

/// A place in a room's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// By `seq` of the room's stream.
    Seq(u64),
    /// By message number.
    Number(u64),
    /// By message id.
    Message(MessageId),
}

/// Which messages of a room are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// The newest.
    Latest,
    /// Those before a place, nearest first.
    Before(Position),
    /// Those after a place, nearest first.
    After(Position),
    /// Those around a place, the place included.
    Around(Position),
}

/// One page of history, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The messages, newest first.
    pub items: Vec<Message>,
    /// Whether older ones exist.
    pub has_older: bool,
    /// Whether newer ones exist.
    pub has_newer: bool,
    /// `seq` of the room's stream when this was read: live events after it complete the picture.
    pub head_seq: u64,
}

/// Where to move a read cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveReadCursor {
    /// The room.
    pub room: RoomId,
    /// Up to here; `None` = to the newest message.
    pub to: Option<Position>,
    /// When.
    pub at: Timestamp,
}

/// A read cursor after a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadCursor {
    /// The room.
    pub room: RoomId,
    /// Whose.
    pub user: UserId,
    /// `seq` read up to.
    pub seq: u64,
    /// Message number read up to.
    pub number: u64,
    /// `seq` read up to before the move.
    pub from_seq: u64,
    /// The newest message it covers.
    pub message: Option<MessageId>,
    /// When it moved there.
    pub at: Timestamp,
    /// `false` when it stood there, or further, before.
    pub moved: bool,
}

/// Who has read a message, and when: from the dated marks of the cursors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBy {
    /// The reader.
    pub user: UserId,
    /// When the reader's cursor first covered the message (the oldest mark kept).
    pub at: Timestamp,
}
