//! What clients can ask for over a socket, free of any wire name.

use mynah_domain::message::{Draft, Position};
use mynah_domain::room::{RoomKind, Visibility};
use mynah_domain::{MessageId, RoomId, UserId};

/// One request of a client, read and checked for form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Store a message.
    SendMessage {
        /// Where.
        room: RoomId,
        /// What.
        draft: Draft,
    },
    /// Change a message's text.
    EditMessage {
        /// Which.
        message: MessageId,
        /// The new text.
        content: String,
    },
    /// Remove a message.
    DeleteMessage {
        /// Which.
        message: MessageId,
    },
    /// Become a member (if not one already) and hear the room from now on.
    JoinRoom {
        /// Which.
        room: RoomId,
    },
    /// Stop being a member.
    LeaveRoom {
        /// Which.
        room: RoomId,
    },
    /// Make a group or channel.
    CreateRoom {
        /// Its name.
        name: String,
        /// Which sort.
        kind: RoomKind,
        /// Who can find it.
        visibility: Option<Visibility>,
        /// What it is for.
        topic: Option<String>,
        /// Who is in from the start.
        members: Vec<UserId>,
    },
    /// Ask somebody in.
    InviteMember {
        /// Where.
        room: RoomId,
        /// Whom.
        user: UserId,
    },
    /// Remove somebody.
    KickMember {
        /// Where.
        room: RoomId,
        /// Whom.
        user: UserId,
    },
    /// Move the own read cursor.
    MarkRead {
        /// Where; `None` when the message says it.
        room: Option<RoomId>,
        /// Up to here; `None` = all.
        to: Option<Position>,
    },
    /// Show or end a typing notice.
    Typing {
        /// Where.
        room: RoomId,
        /// Whether typing goes on.
        is_typing: bool,
    },
    /// Ask who is online.
    QueryPresence {
        /// About these users …
        users: Vec<UserId>,
        /// … and the members of this room.
        room: Option<RoomId>,
    },
    /// Ask for what was missed.
    Sync {
        /// Last `seq` seen, per room.
        since: Vec<(RoomId, u64)>,
        /// In which life of the log, if the client says.
        epoch: Option<String>,
    },
    /// Show credentials, the first or newer ones.
    Authenticate {
        /// The access token, with or without `Bearer `.
        token: String,
        /// Whose the client says it is; must be so.
        user: Option<String>,
    },
    /// Measure the way there and back.
    Ping,
}

/// The kind of a command, as vocabulary files name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// `message.send`
    SendMessage,
    /// `message.edit`
    EditMessage,
    /// `message.delete`
    DeleteMessage,
    /// `room.join`
    JoinRoom,
    /// `room.leave`
    LeaveRoom,
    /// `room.create`
    CreateRoom,
    /// `room.invite`
    InviteMember,
    /// `room.kick`
    KickMember,
    /// `room.read`
    MarkRead,
    /// `typing`
    Typing,
    /// `presence.query`
    QueryPresence,
    /// `sync`
    Sync,
    /// `session.authenticate`
    Authenticate,
    /// `ping`
    Ping,
}

impl CommandKind {
    /// Every kind with its name in vocabulary files.
    pub const NAMES: [(&'static str, Self); 14] = [
        ("message.send", Self::SendMessage),
        ("message.edit", Self::EditMessage),
        ("message.delete", Self::DeleteMessage),
        ("room.join", Self::JoinRoom),
        ("room.leave", Self::LeaveRoom),
        ("room.create", Self::CreateRoom),
        ("room.invite", Self::InviteMember),
        ("room.kick", Self::KickMember),
        ("room.read", Self::MarkRead),
        ("typing", Self::Typing),
        ("presence.query", Self::QueryPresence),
        ("sync", Self::Sync),
        ("session.authenticate", Self::Authenticate),
        ("ping", Self::Ping),
    ];

    /// Inputs of the command: name, and whether it must be given.
    pub fn inputs(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::SendMessage => &[
                ("room", true),
                ("content", true),
                ("kind", false),
                ("metadata", false),
                ("reply_to", false),
                ("client_id", false),
            ],
            Self::EditMessage => &[("message", true), ("content", true)],
            Self::DeleteMessage => &[("message", true)],
            Self::JoinRoom | Self::LeaveRoom => &[("room", true)],
            Self::CreateRoom => &[
                ("name", true),
                ("kind", false),
                ("visibility", false),
                ("topic", false),
                ("members", false),
            ],
            Self::InviteMember | Self::KickMember => &[("room", true), ("user", true)],
            Self::MarkRead => {
                &[("room", false), ("seq", false), ("number", false), ("message", false)]
            }
            Self::Typing => &[("room", true), ("is_typing", true)],
            Self::QueryPresence => &[("users", false), ("room", false)],
            Self::Sync => &[("since", true), ("epoch", false)],
            Self::Authenticate => &[("token", true), ("user", false)],
            Self::Ping => &[],
        }
    }
}

/// One thing that is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where, as the client wrote it, e.g. `roomId`.
    pub path: String,
    /// What rule: `required`, `type`, `format`.
    pub code: &'static str,
    /// The sentence for people, e.g. `roomId must be a string`.
    pub message: String,
}
