//! One of everything that can be rendered.

use std::sync::Arc;

use mynah_domain::event::{Departure, Event, Fact, Stream};
use mynah_domain::message::{History, Message, ReadCursor};
use mynah_domain::presence::PresenceStatus;
use mynah_domain::room::{Profile, Role, Room, RoomKind, Visibility};
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};

use crate::vocabulary::command::Violation;
use crate::vocabulary::field::{Failure, Presence};

/// 2026-11-21T10:00:0`second`.000Z
pub(super) fn at(second: i64) -> Timestamp {
    Timestamp(crate::test_world::NOW + second * 1_000)
}

pub(super) fn room_id() -> RoomId {
    RoomId::trusted("room-1")
}

pub(super) fn user_id() -> UserId {
    UserId::trusted("user-ann")
}

pub(super) fn profile() -> Arc<Profile> {
    let (username, name) = ("ann".to_owned(), "Ann Ö.".to_owned());
    Arc::new(Profile { id: user_id(), username, name })
}

pub(super) fn other() -> Arc<Profile> {
    let (username, name) = ("bob".to_owned(), "Bob".to_owned());
    Arc::new(Profile { id: UserId::trusted("user-bob"), username, name })
}

pub(super) fn room() -> Arc<Room> {
    Arc::new(Room {
        id: room_id(),
        tenant: TenantId::single(),
        kind: RoomKind::Channel,
        visibility: Visibility::Public,
        name: Some("General".to_owned()),
        topic: None,
        created_by: user_id(),
        member_count: 3,
        last_seq: 17,
        last_number: 12,
        created_at: at(0),
        updated_at: at(1),
        deleted_at: None,
    })
}

pub(super) fn message() -> Message {
    Message {
        id: MessageId::trusted("message-1"),
        tenant: TenantId::single(),
        room: room_id(),
        seq: 16,
        number: 12,
        sender: profile(),
        kind: "text".to_owned(),
        content: "Hi \"you\"".to_owned(),
        metadata: Some("{\"b\": 1.0,\"a\":[null]}".to_owned()),
        reply_to: None,
        client_id: Some("c-1".to_owned()),
        edit_count: 0,
        edited_at: None,
        deleted_at: None,
        created_at: at(2),
    }
}

pub(super) fn edited() -> Message {
    Message {
        content: "Hi".to_owned(),
        metadata: None,
        reply_to: Some(MessageId::trusted("message-0")),
        client_id: None,
        edit_count: 1,
        edited_at: Some(at(3)),
        ..message()
    }
}

pub(super) fn deleted() -> Message {
    let gone = (String::new(), None);
    let (content, metadata) = gone;
    Message { content, metadata, deleted_at: Some(at(4)), ..message() }
}

pub(super) fn event(fact: Fact) -> Event {
    let inbox = matches!(
        fact,
        Fact::RoomAdded { .. } | Fact::RoomRemoved { .. } | Fact::RoomInvited { .. }
    );
    let stream = if inbox { Stream::User(user_id()) } else { Stream::Room(room_id()) };
    Event {
        origin: 0,
        pos: 9_007_199_254_740_993,
        stream,
        seq: 17,
        tenant: TenantId::single(),
        actor: Some(UserId::trusted("user-bob")),
        at: at(5),
        fact,
    }
}

/// Every durable event.
pub(super) fn events() -> Vec<Event> {
    let room = room_id();
    let facts = [
        Fact::RoomCreated { room: self::room() },
        Fact::RoomUpdated { room: self::room() },
        Fact::RoomDeleted { room: room.clone() },
        Fact::MemberJoined { room: room.clone(), member: profile(), role: Role::Member },
        Fact::MemberInvited { room: room.clone(), member: profile() },
        Fact::MemberLeft { room: room.clone(), user: user_id(), departure: Departure::Kicked },
        Fact::MemberRoleChanged { room: room.clone(), user: user_id(), role: Role::Admin },
        Fact::MessageCreated { message: Arc::new(message()) },
        Fact::MessageUpdated { message: Arc::new(edited()) },
        Fact::MessageDeleted {
            room: room.clone(),
            message: MessageId::trusted("message-1"),
            number: 12,
            created_seq: 16,
        },
        Fact::RoomAdded { room: self::room(), role: Role::Member, peer: Some(other()) },
        Fact::RoomRemoved { room, departure: Departure::Banned },
        Fact::RoomInvited { room: self::room() },
    ];
    facts.into_iter().map(event).collect()
}

pub(super) fn presences() -> Vec<Presence> {
    let gone = Presence {
        user: UserId::trusted("user-bob"),
        status: PresenceStatus::Offline,
        last_seen: Some(at(6)),
    };
    vec![Presence { user: user_id(), status: PresenceStatus::Online, last_seen: None }, gone]
}

pub(super) fn cursor() -> ReadCursor {
    ReadCursor {
        room: room_id(),
        user: user_id(),
        seq: 16,
        number: 12,
        from_seq: 9,
        message: Some(MessageId::trusted("message-1")),
        at: at(7),
        moved: true,
    }
}

/// The newest first, as the store gives them.
pub(super) fn history() -> History {
    let older = Message {
        id: MessageId::trusted("message-0"),
        seq: 15,
        number: 11,
        client_id: None,
        ..message()
    };
    History { items: vec![message(), older], has_older: true, has_newer: false, head_seq: 17 }
}

pub(super) fn refusal() -> Failure {
    Failure {
        status: 429,
        code: "RATE_LIMITED",
        text: "too many requests; try again in 250 ms".to_owned(),
        violations: Vec::new(),
        retry_after_ms: Some(250),
    }
}

pub(super) fn invalid() -> Failure {
    let violation = |path: &str, message: &str| Violation {
        path: path.to_owned(),
        code: "required",
        message: message.to_owned(),
    };
    Failure {
        status: 400,
        code: "VALIDATION",
        text: "roomId should not be empty".to_owned(),
        violations: vec![
            violation("roomId", "roomId should not be empty"),
            violation("content", "content must be a string"),
        ],
        retry_after_ms: None,
    }
}
