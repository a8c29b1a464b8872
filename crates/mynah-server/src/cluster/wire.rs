//! What nodes say to each other inside an envelope: compact JSON, so that fields may be added.
//!
//! Whatever arrives may be garbage: reading gives `None` then, and the caller counts it.

use std::sync::Arc;

use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::message::{Message, ReadCursor};
use mynah_domain::presence::PresenceStatus;
use mynah_domain::room::Profile;
use mynah_domain::{MessageId, RoomId, SessionFamily, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::vocabulary::field::Presence;

/// What an envelope holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A durable event, whole or as a hint, on the channel of its stream.
    Event = 1,
    /// A beat.
    Beat = 2,
    /// Something that fades, on the channel of what it concerns.
    Told = 3,
    /// Who is where.
    People = 4,
    /// Something every node does.
    Control = 5,
    /// An event of a Pusher channel that is no room.
    Channel = 6,
    /// The sender stops; its lease is given back.
    Goodbye = 7,
}

impl Kind {
    /// Reads the number; `None` for kinds of later versions.
    pub fn from_number(number: u8) -> Option<Self> {
        [
            Self::Event,
            Self::Beat,
            Self::Told,
            Self::People,
            Self::Control,
            Self::Channel,
            Self::Goodbye,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

#[derive(Serialize, Deserialize)]
struct Person {
    id: String,
    username: String,
    name: String,
}

impl Person {
    fn of(profile: &Profile) -> Self {
        let Profile { id, username, name } = profile;
        Self { id: id.to_string(), username: username.clone(), name: name.clone() }
    }

    fn read(self) -> Option<Arc<Profile>> {
        let id = UserId::parse(&self.id).ok()?;
        Some(Arc::new(Profile { id, username: self.username, name: self.name }))
    }
}

/// A new message, which is most of what is said; other facts are hints.
#[derive(Serialize, Deserialize)]
struct NewMessage {
    id: String,
    tenant: String,
    room: String,
    number: u64,
    from: Person,
    kind: String,
    content: String,
    metadata: Option<String>,
    reply_to: Option<String>,
    client_id: Option<String>,
    at: i64,
}

#[derive(Serialize, Deserialize)]
struct EventBody {
    seq: u64,
    pos: u64,
    message: Option<NewMessage>,
}

/// A durable event that another node stored: its place, and itself if it came along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardEvent {
    /// Place in its stream.
    pub seq: u64,
    /// Place in the log.
    pub pos: u64,
    /// The event; `None`: ask the store.
    pub event: Option<Event>,
}

/// Spells an event.
pub fn event(event: &Event) -> Vec<u8> {
    let message = if let Fact::MessageCreated { message } = &event.fact {
        // One that was read back may have been edited since.
        (message.edit_count == 0).then(|| new_message(message))
    } else {
        None
    };
    written(&EventBody { seq: event.seq, pos: event.pos, message })
}

fn new_message(message: &Message) -> NewMessage {
    NewMessage {
        id: message.id.to_string(),
        tenant: message.tenant.to_string(),
        room: message.room.to_string(),
        number: message.number,
        from: Person::of(&message.sender),
        kind: message.kind.clone(),
        content: message.content.clone(),
        metadata: message.metadata.clone(),
        reply_to: message.reply_to.as_ref().map(ToString::to_string),
        client_id: message.client_id.clone(),
        at: message.created_at.0,
    }
}

/// Reads an event that `origin` stored.
pub fn read_event(body: &[u8], origin: u16) -> Option<HeardEvent> {
    let EventBody { seq, pos, message } = serde_json::from_slice(body).ok()?;
    let event = match message {
        Some(message) => Some(created(message, (seq, pos), origin)?),
        None => None,
    };
    Some(HeardEvent { seq, pos, event })
}

fn created(new: NewMessage, (seq, pos): (u64, u64), origin: u16) -> Option<Event> {
    let sender = new.from.read()?;
    let room = RoomId::parse(&new.room).ok()?;
    let tenant = TenantId::parse(&new.tenant).ok()?;
    let reply_to = match new.reply_to {
        Some(id) => Some(MessageId::parse(&id).ok()?),
        None => None,
    };
    let at = Timestamp(new.at);
    let message = Arc::new(Message {
        id: MessageId::parse(&new.id).ok()?,
        tenant: tenant.clone(),
        room: room.clone(),
        seq,
        number: new.number,
        sender: Arc::clone(&sender),
        kind: new.kind,
        content: new.content,
        metadata: new.metadata,
        reply_to,
        client_id: new.client_id,
        edit_count: 0,
        edited_at: None,
        deleted_at: None,
        created_at: at,
    });
    let (stream, actor) = (Stream::Room(room), Some(sender.id.clone()));
    let fact = Fact::MessageCreated { message };
    Some(Event { pos, origin, stream, seq, tenant, actor, at, fact })
}

/// Something that fades.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Somebody types in a room, or has stopped.
    Typing {
        /// Where.
        room: RoomId,
        /// Who.
        who: Arc<Profile>,
        /// Whether.
        is_typing: bool,
    },
    /// A read cursor moved.
    Read(ReadCursor),
    /// A member of a room came or went.
    Presence {
        /// Which room.
        room: RoomId,
        /// The member's tenant.
        tenant: TenantId,
        /// Who, whether, and since when not.
        presence: Presence,
    },
}

#[derive(Serialize, Deserialize)]
enum ToldBody {
    Presence {
        room: String,
        tenant: String,
        user: String,
        on: bool,
        seen: Option<i64>,
    },
    Typing {
        room: String,
        who: Person,
        on: bool,
    },
    Read {
        room: String,
        user: String,
        seq: u64,
        number: u64,
        from: u64,
        message: Option<String>,
        at: i64,
    },
}

impl Told {
    /// Spells it.
    pub fn body(&self) -> Vec<u8> {
        written(&match self {
            Self::Typing { room, who, is_typing } => {
                ToldBody::Typing { room: room.to_string(), who: Person::of(who), on: *is_typing }
            }
            Self::Presence { room, tenant, presence } => ToldBody::Presence {
                room: room.to_string(),
                tenant: tenant.to_string(),
                user: presence.user.to_string(),
                on: presence.status == PresenceStatus::Online,
                seen: presence.last_seen.map(|at| at.0),
            },
            Self::Read(cursor) => ToldBody::Read {
                room: cursor.room.to_string(),
                user: cursor.user.to_string(),
                seq: cursor.seq,
                number: cursor.number,
                from: cursor.from_seq,
                message: cursor.message.as_ref().map(ToString::to_string),
                at: cursor.at.0,
            },
        })
    }

    /// Reads it.
    pub fn read(body: &[u8]) -> Option<Self> {
        Some(match serde_json::from_slice(body).ok()? {
            ToldBody::Typing { room, who, on } => {
                Self::Typing { room: RoomId::parse(&room).ok()?, who: who.read()?, is_typing: on }
            }
            ToldBody::Presence { room, tenant, user, on, seen } => {
                let status = if on { PresenceStatus::Online } else { PresenceStatus::Offline };
                let user = UserId::parse(&user).ok()?;
                let presence = Presence { user, status, last_seen: seen.map(Timestamp) };
                let room = RoomId::parse(&room).ok()?;
                Self::Presence { room, tenant: TenantId::parse(&tenant).ok()?, presence }
            }
            ToldBody::Read { room, user, seq, number, from, message, at } => {
                let message = match message {
                    Some(id) => Some(MessageId::parse(&id).ok()?),
                    None => None,
                };
                Self::Read(ReadCursor {
                    room: RoomId::parse(&room).ok()?,
                    user: UserId::parse(&user).ok()?,
                    seq,
                    number,
                    from_seq: from,
                    message,
                    at: Timestamp(at),
                    moved: true,
                })
            }
        })
    }
}

/// Something every node does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Ends the connections of a sign-in and refuses its tokens.
    EndSignIn(SessionFamily),
    /// Ends all connections of a user.
    EndUser(TenantId, UserId),
    /// Forgets a user's profile and role.
    ForgetUser(TenantId, UserId),
}

#[derive(Serialize, Deserialize)]
enum ControlBody {
    EndSignIn { family: String },
    EndUser { tenant: String, user: String },
    ForgetUser { tenant: String, user: String },
}

impl Control {
    /// Spells it.
    pub fn body(&self) -> Vec<u8> {
        let names = |tenant: &TenantId, user: &UserId| (tenant.to_string(), user.to_string());
        written(&match self {
            Self::EndSignIn(family) => ControlBody::EndSignIn { family: family.to_string() },
            Self::EndUser(tenant, user) => {
                let (tenant, user) = names(tenant, user);
                ControlBody::EndUser { tenant, user }
            }
            Self::ForgetUser(tenant, user) => {
                let (tenant, user) = names(tenant, user);
                ControlBody::ForgetUser { tenant, user }
            }
        })
    }

    /// Reads it.
    pub fn read(body: &[u8]) -> Option<Self> {
        let names = |tenant: &str, user: &str| {
            Some((TenantId::parse(tenant).ok()?, UserId::parse(user).ok()?))
        };
        Some(match serde_json::from_slice(body).ok()? {
            ControlBody::EndSignIn { family } => {
                Self::EndSignIn(SessionFamily::parse(&family).ok()?)
            }
            ControlBody::EndUser { tenant, user } => {
                let (tenant, user) = names(&tenant, &user)?;
                Self::EndUser(tenant, user)
            }
            ControlBody::ForgetUser { tenant, user } => {
                let (tenant, user) = names(&tenant, &user)?;
                Self::ForgetUser(tenant, user)
            }
        })
    }
}

fn written(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> Message {
        Message {
            id: MessageId::trusted("m1"),
            tenant: TenantId::single(),
            room: RoomId::trusted("r1"),
            seq: 7,
            number: 5,
            sender: Arc::new(Profile {
                id: UserId::trusted("ann"),
                username: "ann".to_owned(),
                name: "Ann \"A\"".to_owned(),
            }),
            kind: "text".to_owned(),
            content: "hé\u{0}llo \u{1f600}".to_owned(),
            metadata: Some(r#"{"a":1}"#.to_owned()),
            reply_to: Some(MessageId::trusted("m0")),
            client_id: Some("c".to_owned()),
            edit_count: 0,
            edited_at: None,
            deleted_at: None,
            created_at: Timestamp(9),
        }
    }

    fn event_of(message: Message) -> Event {
        Event {
            pos: 70,
            origin: 3,
            stream: Stream::Room(message.room.clone()),
            seq: message.seq,
            tenant: message.tenant.clone(),
            actor: Some(message.sender.id.clone()),
            at: message.created_at,
            fact: Fact::MessageCreated { message: Arc::new(message) },
        }
    }

    #[test]
    fn a_new_message_arrives_as_it_was_stored() {
        let stored = event_of(message());
        let heard = read_event(&event(&stored), 3).unwrap();
        assert_eq!(heard, HeardEvent { seq: 7, pos: 70, event: Some(stored) });
    }

    #[test]
    fn other_facts_are_hints() {
        let mut deleted = event_of(message());
        deleted.fact = Fact::RoomDeleted { room: RoomId::trusted("r1") };
        let heard = read_event(&event(&deleted), 3).unwrap();
        assert_eq!(heard, HeardEvent { seq: 7, pos: 70, event: None });
    }

    #[test]
    fn what_fades_and_what_all_do_arrive_as_they_were_said() {
        let typing = Told::Typing {
            room: RoomId::trusted("r1"),
            who: Arc::clone(&message().sender),
            is_typing: true,
        };
        assert_eq!(Told::read(&typing.body()), Some(typing));
        let (room, user) = (RoomId::trusted("r1"), UserId::trusted("ann"));
        let presence =
            Presence { user, status: PresenceStatus::Offline, last_seen: Some(Timestamp(5)) };
        let went = Told::Presence { room, tenant: TenantId::single(), presence };
        assert_eq!(Told::read(&went.body()), Some(went));
        let (tenant, user) = (TenantId::single(), UserId::trusted("ann"));
        for control in [
            Control::EndSignIn(SessionFamily::trusted("f")),
            Control::EndUser(tenant.clone(), user.clone()),
            Control::ForgetUser(tenant, user),
        ] {
            assert_eq!(Control::read(&control.body()), Some(control));
        }
    }

    proptest! {
        #[test]
        fn garbage_is_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
            for body in [bytes.as_slice(), text.as_bytes()] {
                prop_assert!(read_event(body, 1).is_none());
                prop_assert!(Told::read(body).is_none());
                prop_assert!(Control::read(body).is_none());
            }
        }
    }
}
