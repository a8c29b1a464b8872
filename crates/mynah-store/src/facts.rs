//! How a fact becomes columns of the journal, and back, for every engine.
//!
//! A row holds a kind, its subject and, where the subject's present row does not tell how it was, a few
//! words or a snapshot. Message events hold no text.

use std::sync::atomic::{AtomicU64, Ordering};

use mynah_domain::ports::StoreError;
use std::sync::Arc;

use mynah_domain::Timestamp;
use mynah_domain::event::Fact;
use mynah_domain::room::{Role, Room, Visibility};
use serde::{Deserialize, Serialize};

/// Stream id of a room's journal.
pub(crate) const fn room_stream(room_row: i64) -> i64 {
    room_row * 2
}

/// Stream id of a user's inbox.
pub(crate) const fn inbox_stream(user_row: i64) -> i64 {
    user_row * 2 + 1
}

/// A room as it was, beyond what never changes.
#[derive(Serialize, Deserialize)]
struct Snapshot<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    visibility: &'a str,
    members: u64,
    seq: u64,
    number: u64,
    updated: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
}

fn snapshot(room: &Room, role: Option<Role>) -> String {
    let snapshot = Snapshot {
        name: room.name.clone(),
        topic: room.topic.clone(),
        visibility: room.visibility.as_str(),
        members: room.member_count,
        seq: room.last_seq,
        number: room.last_number,
        updated: room.updated_at.0,
        role: role.map(Role::as_str),
    };
    serde_json::to_string(&snapshot).expect("numbers and texts are JSON")
}

/// Code of a fact's kind. Never reuse a number.
pub(crate) const fn kind(fact: &Fact) -> i64 {
    match fact {
        Fact::RoomCreated { .. } => 1,
        Fact::RoomUpdated { .. } => 2,
        Fact::RoomDeleted { .. } => 3,
        Fact::MemberJoined { .. } => 4,
        Fact::MemberInvited { .. } => 5,
        Fact::MemberLeft { .. } => 6,
        Fact::MemberRoleChanged { .. } => 7,
        Fact::MessageCreated { .. } => 8,
        Fact::MessageUpdated { .. } => 9,
        Fact::MessageDeleted { .. } => 10,
        Fact::RoomAdded { .. } => 11,
        Fact::RoomRemoved { .. } => 12,
        Fact::RoomInvited { .. } => 13,
    }
}

/// What the subject's row will not tell later.
pub(crate) fn payload(fact: &Fact) -> Option<String> {
    match fact {
        Fact::RoomCreated { room } | Fact::RoomUpdated { room } | Fact::RoomInvited { room } => {
            Some(snapshot(room, None))
        }
        Fact::RoomAdded { room, role, .. } => Some(snapshot(room, Some(*role))),
        Fact::MemberJoined { role, .. } | Fact::MemberRoleChanged { role, .. } => {
            Some(role.as_str().to_owned())
        }
        Fact::MemberLeft { departure, .. } | Fact::RoomRemoved { departure, .. } => {
            Some(departure.as_str().to_owned())
        }
        Fact::RoomDeleted { .. }
        | Fact::MemberInvited { .. }
        | Fact::MessageCreated { .. }
        | Fact::MessageUpdated { .. }
        | Fact::MessageDeleted { .. } => None,
    }
}

/// The room as an event's payload tells, and the role beside it; `None` when it is not ours.
pub(crate) fn as_it_was(payload: Option<&str>, now: &Room) -> Option<(Arc<Room>, Option<Role>)> {
    let was: Snapshot<'_> = serde_json::from_str(payload?).ok()?;
    let room = Room {
        visibility: Visibility::from_word(was.visibility)?,
        name: was.name,
        topic: was.topic,
        member_count: was.members,
        last_seq: was.seq,
        last_number: was.number,
        updated_at: Timestamp(was.updated),
        deleted_at: None,
        ..now.clone()
    };
    Some((Arc::new(room), was.role.and_then(Role::from_word)))
}

/// Events that could not be read and were passed over, since the process began.
static PASSED_OVER: AtomicU64 = AtomicU64::new(0);

/// An event cannot be read.
pub(crate) fn passed_over(error: &StoreError) {
    PASSED_OVER.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(%error, "an event cannot be read and is passed over");
}

/// How many events could not be read since the process began, because a newer version wrote them or their rows
/// are broken; whoever catches up is told of a gap.
pub fn unreadable_events() -> u64 {
    PASSED_OVER.load(Ordering::Relaxed)
}
