//! Facts: what happened, in order.

use std::sync::Arc;

use crate::message::Message;
use crate::room::{Profile, Role, Room};
use crate::{MessageId, RoomId, TenantId, Timestamp, UserId};

/// An ordered log of durable changes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Everything durable that happens in a room.
    Room(RoomId),
    /// A user's inbox: what happens to the user's place in rooms.
    User(UserId),
}

/// One durable change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Place in the whole log; ascending, never reused.
    pub pos: u64,
    /// Which writer stored it: the slot of a node ([`crate::node::NodeLease::slot`]), or 0 where there is only
    /// one. What one writer stores it stores in the order of `pos`.
    pub origin: u16,
    /// The log it belongs to.
    pub stream: Stream,
    /// Place in that log: 1, 2, 3 … without gaps.
    pub seq: u64,
    /// Whose installation.
    pub tenant: TenantId,
    /// Who caused it; `None` for the system itself.
    pub actor: Option<UserId>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub fact: Fact,
}

/// Why somebody is no longer a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Departure {
    /// By own wish.
    Left,
    /// Removed.
    Kicked,
    /// Removed and kept out.
    Banned,
    /// The room was deleted.
    Deleted,
}

impl Departure {
    /// The canonical word: `left`, `kicked`, `banned` or `deleted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::Deleted => "deleted",
        }
    }

    /// Reads the canonical word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Left, Self::Kicked, Self::Banned, Self::Deleted]
            .into_iter()
            .find(|d| d.as_str() == word)
    }
}

/// What happened.
///
/// Facts read back from the journal carry the state *as of the event* (an edited message's first event
/// has the original text), except that deleted text is gone from every event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A room came to be (room stream).
    RoomCreated {
        /// The room.
        room: Arc<Room>,
    },
    /// Name, topic or visibility changed (room stream).
    RoomUpdated {
        /// The room after the change.
        room: Arc<Room>,
    },
    /// The room is gone (room stream, its last event).
    RoomDeleted {
        /// Which.
        room: RoomId,
    },
    /// Somebody came in (room stream).
    MemberJoined {
        /// The room.
        room: RoomId,
        /// Who.
        member: Arc<Profile>,
        /// With which rank.
        role: Role,
    },
    /// Somebody was asked in (room stream).
    MemberInvited {
        /// The room.
        room: RoomId,
        /// Who.
        member: Arc<Profile>,
    },
    /// Somebody went or was removed (room stream).
    MemberLeft {
        /// The room.
        room: RoomId,
        /// Who.
        user: UserId,
        /// How.
        departure: Departure,
    },
    /// Somebody's rank changed (room stream).
    MemberRoleChanged {
        /// The room.
        room: RoomId,
        /// Whose.
        user: UserId,
        /// The new rank.
        role: Role,
    },
    /// A message was stored (room stream).
    MessageCreated {
        /// The message.
        message: Arc<Message>,
    },
    /// A message's text changed (room stream).
    MessageUpdated {
        /// The message after the change.
        message: Arc<Message>,
    },
    /// A message was removed (room stream).
    MessageDeleted {
        /// The room.
        room: RoomId,
        /// Which.
        message: MessageId,
        /// Its number.
        number: u64,
        /// `seq` of its creation.
        created_seq: u64,
    },
    /// The user is now in a room without having asked on this connection (inbox).
    RoomAdded {
        /// The room.
        room: Arc<Room>,
        /// The user's rank there.
        role: Role,
        /// The other member, in a direct room.
        peer: Option<Arc<Profile>>,
    },
    /// The user is no longer in a room (inbox).
    RoomRemoved {
        /// The room.
        room: RoomId,
        /// How.
        departure: Departure,
    },
    /// The user is asked into a room (inbox).
    RoomInvited {
        /// The room.
        room: Arc<Room>,
    },
}

impl Fact {
    /// The canonical event name, e.g. `message.created`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RoomCreated { .. } => "room.created",
            Self::RoomUpdated { .. } => "room.updated",
            Self::RoomDeleted { .. } => "room.deleted",
            Self::MemberJoined { .. } => "member.joined",
            Self::MemberInvited { .. } => "member.invited",
            Self::MemberLeft { .. } => "member.left",
            Self::MemberRoleChanged { .. } => "member.role_changed",
            Self::MessageCreated { .. } => "message.created",
            Self::MessageUpdated { .. } => "message.updated",
            Self::MessageDeleted { .. } => "message.deleted",
            Self::RoomAdded { .. } => "room.added",
            Self::RoomRemoved { .. } => "room.removed",
            Self::RoomInvited { .. } => "room.invited",
        }
    }
}

/// Events of one stream after a place, for catch-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatchUp {
    /// The events, ascending and without gaps.
    pub events: Vec<Event>,
    /// The stream's head when this was read.
    pub head_seq: u64,
    /// `true` when events between the asked place and the first one given no longer exist, or the asked
    /// place lies beyond the head (a store that was set back): the client must read the lists anew.
    pub gap: bool,
}

/// Events of all streams a user may see, in log order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPage {
    /// The events, ascending by `pos`.
    pub events: Vec<Event>,
    /// Where to go on: after the last event given while more are waiting, else the head of the log.
    pub next: u64,
    /// As in [`CatchUp`].
    pub gap: bool,
    /// Whether more are waiting now.
    pub more: bool,
}
