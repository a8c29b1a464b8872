//! The native JSON of rooms, messages, members and events, shared by REST and sync.
//!
//! Views borrow from the domain and are written once. Field names and forms are part of the public
//! API: additive changes only.

mod event;

use mynah_domain::account::User;
use mynah_domain::message::Message;
use mynah_domain::room::{Member, Membership, Profile, Room, RoomListItem, RoomView};
use mynah_domain::{MessageId, UserId};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::live::Presence;
use crate::time_text::TimeText;

pub use event::{EventView, FactView};

/// An account as its owner sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Account)]
pub struct AccountView<'a> {
    id: &'a str,
    username: &'a str,
    #[schema(required = true)]
    email: Option<&'a str>,
    name: &'a str,
    /// Tenant-wide role.
    role: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: TimeText,
    #[schema(value_type = String, format = DateTime)]
    updated_at: TimeText,
}

impl<'a> AccountView<'a> {
    /// The own account.
    pub fn of(user: &'a User) -> Self {
        Self {
            id: user.id.as_str(),
            username: &user.username,
            email: user.email.as_deref(),
            name: &user.name,
            role: user.role.as_str(),
            created_at: TimeText::of(user.created_at),
            updated_at: TimeText::of(user.updated_at),
        }
    }
}

/// What others see of a user: `{"id","username","name"}`.
#[derive(Serialize, ToSchema)]
#[schema(as = Profile)]
pub struct ProfileView<'a> {
    id: &'a str,
    username: &'a str,
    name: &'a str,
}

impl<'a> ProfileView<'a> {
    /// From a profile.
    pub fn of(profile: &'a Profile) -> Self {
        Self { id: profile.id.as_str(), username: &profile.username, name: &profile.name }
    }

    /// From somebody else's account: nothing but the public part.
    pub fn of_user(user: &'a User) -> Self {
        Self { id: user.id.as_str(), username: &user.username, name: &user.name }
    }
}

/// Client JSON, given back exactly as it came.
pub struct Verbatim<'a>(pub &'a str);

impl Serialize for Verbatim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(raw) => raw.serialize(serializer),
            // Only an import can store such a thing; as a text it stays readable.
            Err(_) => serializer.serialize_str(self.0),
        }
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Message)]
pub struct MessageView<'a> {
    id: &'a str,
    room_id: &'a str,
    /// Place of its creation in the room's stream; the only order.
    seq: u64,
    /// Dense count of messages in the room, from 1.
    number: u64,
    sender_id: &'a str,
    sender: ProfileView<'a>,
    /// `text`, `image` … an open set.
    kind: &'a str,
    /// The text; empty after deletion.
    content: &'a str,
    /// Any JSON the client gave, verbatim.
    #[schema(value_type = Option<serde_json::Value>, required = true)]
    metadata: Option<Verbatim<'a>>,
    #[schema(required = true)]
    reply_to_id: Option<&'a str>,
    /// The sender's own id for it.
    #[schema(required = true)]
    client_id: Option<&'a str>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    edited_at: Option<TimeText>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    deleted_at: Option<TimeText>,
    edit_count: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: TimeText,
    #[schema(value_type = String, format = DateTime)]
    updated_at: TimeText,
}

impl<'a> MessageView<'a> {
    /// From a message.
    pub fn of(message: &'a Message) -> Self {
        Self {
            id: message.id.as_str(),
            room_id: message.room.as_str(),
            seq: message.seq,
            number: message.number,
            sender_id: message.sender.id.as_str(),
            sender: ProfileView::of(&message.sender),
            kind: &message.kind,
            content: &message.content,
            metadata: message.metadata.as_deref().map(Verbatim),
            reply_to_id: message.reply_to.as_ref().map(MessageId::as_str),
            client_id: message.own_client_id(),
            edited_at: message.edited_at.map(TimeText::of),
            deleted_at: message.deleted_at.map(TimeText::of),
            edit_count: message.edit_count,
            created_at: TimeText::of(message.created_at),
            updated_at: TimeText::of(message.updated_at()),
        }
    }
}

/// A room, the same for every viewer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Room)]
pub struct RoomBody<'a> {
    id: &'a str,
    /// `direct`, `group` or `channel`.
    kind: &'static str,
    /// `public` or `private`.
    visibility: &'static str,
    /// `null` for direct rooms.
    #[schema(required = true)]
    name: Option<&'a str>,
    #[schema(required = true)]
    topic: Option<&'a str>,
    created_by: &'a str,
    member_count: u64,
    /// `seq` of the last event of the room's stream.
    last_seq: u64,
    /// `number` of the last message.
    last_number: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: TimeText,
    #[schema(value_type = String, format = DateTime)]
    updated_at: TimeText,
}

impl<'a> RoomBody<'a> {
    /// From a room.
    pub fn of(room: &'a Room) -> Self {
        Self {
            id: room.id.as_str(),
            kind: room.kind.as_str(),
            visibility: room.visibility.as_str(),
            name: room.name.as_deref(),
            topic: room.topic.as_deref(),
            created_by: room.created_by.as_str(),
            member_count: room.member_count,
            last_seq: room.last_seq,
            last_number: room.last_number,
            created_at: TimeText::of(room.created_at),
            updated_at: TimeText::of(room.updated_at),
        }
    }
}

/// The viewer's own standing in a room; all `null` or 0 without one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Standing {
    /// The viewer's rank.
    #[schema(required = true)]
    role: Option<&'static str>,
    /// `invited`, `joined`, `left`, `kicked` or `banned`.
    #[schema(required = true)]
    state: Option<&'static str>,
    /// Messages after the read cursor.
    unread: u64,
    last_read_seq: u64,
    last_read_number: u64,
}

impl Standing {
    fn of(membership: Option<&Membership>, room: &Room) -> Self {
        let number = membership.map_or(0, |m| m.last_read_number);
        Self {
            role: membership.map(|m| m.role.as_str()),
            state: membership.map(|m| m.state.as_str()),
            unread: membership.map_or(0, |_| room.last_number.saturating_sub(number)),
            last_read_seq: membership.map_or(0, |m| m.last_read_seq),
            last_read_number: number,
        }
    }
}

/// A room as one viewer sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = RoomSeen)]
pub struct RoomSeen<'a> {
    #[serde(flatten)]
    room: RoomBody<'a>,
    #[serde(flatten)]
    standing: Standing,
}

impl<'a> RoomSeen<'a> {
    /// From what a use case gave.
    pub fn of(view: &'a RoomView) -> Self {
        Self {
            room: RoomBody::of(&view.room),
            standing: Standing::of(view.membership.as_ref(), &view.room),
        }
    }
}

/// One line of a room list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RoomListItem)]
pub struct RoomLine<'a> {
    #[serde(flatten)]
    room: RoomBody<'a>,
    #[serde(flatten)]
    standing: Standing,
    #[schema(required = true)]
    last_message: Option<MessageView<'a>>,
    /// The other member of a direct room.
    #[schema(required = true)]
    peer: Option<ProfileView<'a>>,
}

impl<'a> RoomLine<'a> {
    /// From a list item.
    pub fn of(item: &'a RoomListItem) -> Self {
        Self {
            room: RoomBody::of(&item.room),
            standing: Standing::of(item.membership.as_ref(), &item.room),
            last_message: item.last_message.as_ref().map(MessageView::of),
            peer: item.peer.as_deref().map(ProfileView::of),
        }
    }
}

/// A membership.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Membership)]
pub struct MembershipView<'a> {
    user_id: &'a str,
    role: &'static str,
    /// `invited`, `joined`, `left`, `kicked` or `banned`.
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    joined_at: TimeText,
    last_read_seq: u64,
    last_read_number: u64,
}

impl<'a> MembershipView<'a> {
    /// From a membership.
    pub fn of(membership: &'a Membership) -> Self {
        Self {
            user_id: membership.user.as_str(),
            role: membership.role.as_str(),
            state: membership.state.as_str(),
            joined_at: TimeText::of(membership.joined_at),
            last_read_seq: membership.last_read_seq,
            last_read_number: membership.last_read_number,
        }
    }
}

/// One line of a member list.
#[derive(Serialize, ToSchema)]
#[schema(as = Member)]
pub struct MemberView<'a> {
    #[serde(flatten)]
    membership: MembershipView<'a>,
    user: ProfileView<'a>,
    /// Whether the user has a live connection.
    online: bool,
}

impl<'a> MemberView<'a> {
    /// From a member.
    pub fn of(member: &'a Member, online: bool) -> Self {
        Self {
            membership: MembershipView::of(&member.membership),
            user: ProfileView::of(&member.profile),
            online,
        }
    }
}

/// Whether somebody is there: `{"userId","status":"online|offline","lastSeen"}`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Presence)]
pub struct PresenceView<'a> {
    user_id: &'a str,
    /// `online` or `offline`.
    status: &'static str,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    last_seen: Option<TimeText>,
}

impl<'a> PresenceView<'a> {
    /// From a user's presence.
    pub fn of(user: &'a UserId, presence: &Presence) -> Self {
        Self {
            user_id: user.as_str(),
            status: presence.status.as_str(),
            last_seen: presence.last_seen.map(TimeText::of),
        }
    }
}
