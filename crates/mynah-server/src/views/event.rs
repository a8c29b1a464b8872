//! Events and what they say.

use mynah_domain::Timestamp;
use mynah_domain::UserId;
use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::room::{Role, Room};
use serde::Serialize;
use utoipa::ToSchema;

use super::{MessageView, ProfileView, RoomBody};
use crate::time_text::TimeText;

/// An event with its envelope.
///
/// ```json
/// {"id":"evt_<stream>_17","type":"message.created","version":1,"pos":"123","tenantId":"default",
///  "roomId":"…","seq":17,"actorId":"…","at":"2026-11-21T10:00:00.000Z","data":{}}
/// ```
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Event)]
pub struct EventView<'a> {
    id: String,
    #[serde(rename = "type")]
    name: &'static str,
    version: u8,
    /// Place in the whole log, as a text because it may pass 2^53.
    pos: String,
    tenant_id: &'a str,
    /// `null` for events of the user's inbox.
    #[schema(required = true)]
    room_id: Option<&'a str>,
    /// Place in the room's or inbox's stream, without gaps.
    seq: u64,
    #[schema(required = true)]
    actor_id: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    at: TimeText,
    /// As the type says; see the event catalogue.
    #[schema(value_type = Object)]
    data: FactView<'a>,
}

impl<'a> EventView<'a> {
    /// From an event.
    pub fn of(event: &'a Event) -> Self {
        let (stream, room_id) = match &event.stream {
            Stream::Room(room) => (room.as_str(), Some(room.as_str())),
            Stream::User(user) => (user.as_str(), None),
        };
        Self {
            id: format!("evt_{stream}_{}", event.seq),
            name: event.fact.name(),
            version: 1,
            pos: event.pos.to_string(),
            tenant_id: event.tenant.as_str(),
            room_id,
            seq: event.seq,
            actor_id: event.actor.as_ref().map(UserId::as_str),
            at: TimeText::of(event.at),
            data: FactView::of(event),
        }
    }
}

/// What happened, without the envelope.
#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum FactView<'a> {
    /// `message.created`, `message.updated`.
    Message(Box<MessageView<'a>>),
    /// `room.created`, `room.updated`.
    Room(Box<RoomBody<'a>>),
    /// `message.deleted`.
    MessageDeleted {
        /// Which.
        message_id: &'a str,
        /// Its number.
        number: u64,
        /// Where.
        room_id: &'a str,
        /// By whom.
        deleted_by: Option<&'a str>,
        /// When.
        deleted_at: TimeText,
    },
    /// `member.joined`.
    Joined {
        /// Where.
        room_id: &'a str,
        /// Who.
        user_id: &'a str,
        /// Who, readable.
        user: ProfileView<'a>,
        /// With which rank.
        role: &'static str,
    },
    /// `member.invited`.
    Invited {
        /// Where.
        room_id: &'a str,
        /// Who.
        user_id: &'a str,
        /// Who, readable.
        user: ProfileView<'a>,
        /// Rank after joining.
        role: &'static str,
        /// By whom.
        by: Option<&'a str>,
    },
    /// `member.left`.
    Left {
        /// Where.
        room_id: &'a str,
        /// Who.
        user_id: &'a str,
        /// `left`, `kicked`, `banned` or `deleted`.
        reason: &'static str,
        /// By whom.
        by: Option<&'a str>,
    },
    /// `member.role_changed`.
    RoleChanged {
        /// Where.
        room_id: &'a str,
        /// Whose.
        user_id: &'a str,
        /// The new rank.
        role: &'static str,
        /// By whom.
        by: Option<&'a str>,
    },
    /// `room.deleted`.
    RoomDeleted {
        /// Which.
        room_id: &'a str,
    },
    /// `room.added`.
    RoomAdded {
        /// The room.
        room: Box<RoomBody<'a>>,
        /// The user's rank there.
        role: &'static str,
        /// The other member of a direct room.
        peer: Option<ProfileView<'a>>,
    },
    /// `room.removed`.
    RoomRemoved {
        /// Which.
        room_id: &'a str,
        /// `left`, `kicked`, `banned` or `deleted`.
        reason: &'static str,
    },
    /// `room.invited`.
    RoomInvited {
        /// The room.
        room: Box<RoomBody<'a>>,
        /// By whom.
        by: Option<&'a str>,
    },
}

impl<'a> FactView<'a> {
    /// From an event.
    pub fn of(event: &'a Event) -> Self {
        let by = event.actor.as_ref().map(UserId::as_str);
        match &event.fact {
            Fact::MessageCreated { message } | Fact::MessageUpdated { message } => {
                Self::Message(Box::new(MessageView::of(message)))
            }
            Fact::RoomCreated { room } | Fact::RoomUpdated { room } => Self::Room(boxed(room)),
            Fact::MessageDeleted { room, message, number, created_seq: _ } => {
                Self::MessageDeleted {
                    message_id: message.as_str(),
                    number: *number,
                    room_id: room.as_str(),
                    deleted_by: by,
                    deleted_at: at(event.at),
                }
            }
            Fact::MemberJoined { room, member, role } => Self::Joined {
                room_id: room.as_str(),
                user_id: member.id.as_str(),
                user: ProfileView::of(member),
                role: role.as_str(),
            },
            Fact::MemberInvited { room, member } => Self::Invited {
                room_id: room.as_str(),
                user_id: member.id.as_str(),
                user: ProfileView::of(member),
                role: Role::Member.as_str(),
                by,
            },
            Fact::MemberLeft { room, user, departure } => Self::Left {
                room_id: room.as_str(),
                user_id: user.as_str(),
                reason: departure.as_str(),
                by,
            },
            Fact::MemberRoleChanged { room, user, role } => Self::RoleChanged {
                room_id: room.as_str(),
                user_id: user.as_str(),
                role: role.as_str(),
                by,
            },
            Fact::RoomDeleted { room } => Self::RoomDeleted { room_id: room.as_str() },
            Fact::RoomAdded { room, role, peer } => Self::RoomAdded {
                room: boxed(room),
                role: role.as_str(),
                peer: peer.as_deref().map(ProfileView::of),
            },
            Fact::RoomRemoved { room, departure } => {
                Self::RoomRemoved { room_id: room.as_str(), reason: departure.as_str() }
            }
            Fact::RoomInvited { room } => Self::RoomInvited { room: boxed(room), by },
        }
    }
}

fn boxed(room: &Room) -> Box<RoomBody<'_>> {
    Box::new(RoomBody::of(room))
}

fn at(at: Timestamp) -> TimeText {
    TimeText::of(at)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mynah_domain::event::Departure;
    use mynah_domain::message::Message;
    use mynah_domain::room::{Profile, RoomKind, Visibility};
    use mynah_domain::{MessageId, RoomId, TenantId};
    use serde_json::{Value, json};

    use super::*;

    const AT: Timestamp = Timestamp(1_795_255_200_000);

    fn room() -> Arc<Room> {
        Arc::new(Room {
            id: RoomId::trusted("r"),
            tenant: TenantId::single(),
            kind: RoomKind::Direct,
            visibility: Visibility::Private,
            name: None,
            topic: None,
            created_by: UserId::trusted("a"),
            member_count: 2,
            last_seq: 3,
            last_number: 1,
            created_at: AT,
            updated_at: AT,
            deleted_at: None,
        })
    }

    fn bob() -> Arc<Profile> {
        let (username, name) = ("bob".to_owned(), "Bob".to_owned());
        Arc::new(Profile { id: UserId::trusted("b"), username, name })
    }

    fn data(fact: Fact) -> Value {
        let event = Event {
            origin: 0,
            pos: 9,
            stream: Stream::User(UserId::trusted("b")),
            seq: 4,
            tenant: TenantId::single(),
            actor: Some(UserId::trusted("a")),
            at: AT,
            fact,
        };
        let written = serde_json::to_value(EventView::of(&event)).unwrap();
        assert_eq!(written["id"], "evt_b_4");
        assert_eq!(written["type"], event.fact.name());
        assert_eq!((&written["roomId"], &written["pos"]), (&Value::Null, &json!("9")));
        written["data"].clone()
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn every_fact_is_written_as_the_catalogue_says() {
        let at = "2026-11-21T10:00:00.000Z";
        let (room_id, user) = (RoomId::trusted("r"), UserId::trusted("b"));
        let profile = json!({"id": "b", "username": "bob", "name": "Bob"});
        let room_json = json!({"id": "r", "kind": "direct", "visibility": "private", "name": null,
            "topic": null, "createdBy": "a", "memberCount": 2, "lastSeq": 3, "lastNumber": 1,
            "createdAt": at, "updatedAt": at});
        let message = Arc::new(Message {
            id: MessageId::trusted("m"),
            tenant: TenantId::single(),
            room: room_id.clone(),
            seq: 3,
            number: 1,
            sender: bob(),
            kind: "text".to_owned(),
            content: "hi".to_owned(),
            metadata: Some("not JSON".to_owned()),
            reply_to: None,
            client_id: None,
            edit_count: 0,
            edited_at: None,
            deleted_at: None,
            created_at: AT,
        });
        let message_json = json!({"id": "m", "roomId": "r", "seq": 3, "number": 1,
            "senderId": "b", "sender": profile, "kind": "text", "content": "hi",
            "metadata": "not JSON", "replyToId": null, "clientId": null, "editedAt": null,
            "deletedAt": null, "editCount": 0, "createdAt": at, "updatedAt": at});
        let (room, member) = (room(), bob());
        for (fact, written) in [
            (Fact::RoomCreated { room: Arc::clone(&room) }, room_json.clone()),
            (Fact::RoomUpdated { room: Arc::clone(&room) }, room_json.clone()),
            (Fact::RoomDeleted { room: room_id.clone() }, json!({"roomId": "r"})),
            (Fact::MessageCreated { message: Arc::clone(&message) }, message_json.clone()),
            (Fact::MessageUpdated { message }, message_json),
            (
                Fact::MessageDeleted {
                    room: room_id.clone(),
                    message: MessageId::trusted("m"),
                    number: 1,
                    created_seq: 3,
                },
                json!({"messageId": "m", "number": 1, "roomId": "r", "deletedBy": "a",
                    "deletedAt": at}),
            ),
            (
                Fact::MemberJoined {
                    room: room_id.clone(),
                    member: Arc::clone(&member),
                    role: Role::Guest,
                },
                json!({"roomId": "r", "userId": "b", "user": profile, "role": "guest"}),
            ),
            (
                Fact::MemberInvited { room: room_id.clone(), member: Arc::clone(&member) },
                json!({"roomId": "r", "userId": "b", "user": profile, "role": "member",
                    "by": "a"}),
            ),
            (
                Fact::MemberLeft {
                    room: room_id.clone(),
                    user: user.clone(),
                    departure: Departure::Kicked,
                },
                json!({"roomId": "r", "userId": "b", "reason": "kicked", "by": "a"}),
            ),
            (
                Fact::MemberRoleChanged { room: room_id.clone(), user, role: Role::Admin },
                json!({"roomId": "r", "userId": "b", "role": "admin", "by": "a"}),
            ),
            (
                Fact::RoomAdded { room: Arc::clone(&room), role: Role::Member, peer: Some(member) },
                json!({"room": room_json, "role": "member", "peer": profile}),
            ),
            (
                Fact::RoomRemoved { room: room_id, departure: Departure::Left },
                json!({"roomId": "r", "reason": "left"}),
            ),
            (Fact::RoomInvited { room }, json!({"room": room_json, "by": "a"})),
        ] {
            let name = fact.name();
            assert_eq!(data(fact), written, "{name}");
        }
    }
}
