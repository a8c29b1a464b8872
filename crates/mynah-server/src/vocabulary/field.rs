//! The fields that payload templates may name, and where their values come from.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a table of field × subject pairs: every other pair has no value"
)]

use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::message::{History, Message, ReadCursor};
use mynah_domain::presence::PresenceStatus;
use mynah_domain::recovery::LogEpoch;
use mynah_domain::room::{Profile, Role, Room};
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};
use serde_json::value::RawValue;

use super::Vocabulary;
use super::command::Violation;
use crate::time_text;

mod table;

pub use table::{FIELDS, Field, Group, List};

/// Who is online, as an entry of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whose.
    pub user: UserId,
    /// Online or not.
    pub status: PresenceStatus,
    /// When the user was last online, if that is known and past.
    pub last_seen: Option<Timestamp>,
}

/// A refusal in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status of the same refusal at the REST door.
    pub status: u16,
    /// Machine word, e.g. `NOT_A_MEMBER`.
    pub code: &'static str,
    /// Sentence for people.
    pub text: String,
    /// What is wrong with the input, if that is the reason.
    pub violations: Vec<Violation>,
    /// When trying again makes sense, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

/// What a template speaks about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A durable event.
    Event(&'a Event),
    /// A message in an answer or list.
    Message(&'a Message),
    /// A stored send.
    Sent(&'a Message, bool),
    /// A room in an answer or list.
    Room(&'a Room),
    /// A room's id alone.
    InRoom(&'a RoomId),
    /// A user's standing in a room.
    Standing(&'a RoomId, &'a UserId),
    /// A typing notice.
    Typing(&'a RoomId, &'a Profile, bool),
    /// A presence notice.
    Presence(&'a Presence),
    /// A list of them.
    Presences(&'a [Presence]),
    /// A read cursor.
    Read(&'a ReadCursor),
    /// A connection that is ready: its id, whose, its rooms, and what it begins with.
    Ready(&'a str, &'a Profile, &'a [std::sync::Arc<Room>], Begun),
    /// A connection whose credentials end soon.
    Expiring(Timestamp),
    /// A connection that ends, and why.
    Closing(&'a str),
    /// A page of a room's messages.
    History(&'a RoomId, &'a History),
    /// What was missed: events, next `seq` per room, rooms whose log cannot tell, and which log.
    Sync(&'a [Event], &'a [(RoomId, u64)], &'a [RoomId], LogEpoch),
    /// A refusal of an event with this name and data.
    Error(&'a Failure, &'a str, Option<&'a str>),
    /// Nothing but success.
    Done,
}

/// What a connection begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Whether it goes on where another ended.
    pub recovered: bool,
    /// The life of the log that its numbers belong to.
    pub epoch: LogEpoch,
}

/// A subject together with what surrounds it.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// What is spoken about.
    pub subject: Subject<'a>,
    /// Now.
    pub at: Timestamp,
    /// The vocabulary rendering it.
    pub vocabulary: &'a Vocabulary,
    /// The thread in which it is said, for vocabularies that name rooms by thread keys.
    pub thread: Option<Thread<'a>>,
}

/// A room as the clients of one channel know it.
#[derive(Debug, Clone, Copy)]
pub struct Thread<'a> {
    /// Whose installation.
    pub tenant: &'a TenantId,
    /// Its key as these clients spell it, `ann--bob`.
    pub key: &'a str,
    /// The two who talk, in a direct room.
    pub pair: Option<(&'a UserId, &'a UserId)>,
    /// Messages newly covered by the cursor that is spoken about, newest last.
    pub covered: &'a [MessageId],
}

impl Thread<'_> {
    /// The other of the two.
    fn beside(&self, user: &UserId) -> Option<&UserId> {
        match self.pair? {
            (one, other) if one == user => Some(other),
            (one, other) if other == user => Some(one),
            _ => None,
        }
    }
}

impl<'a> Scope<'a> {
    /// What is said outside of threads.
    pub fn new(subject: Subject<'a>, at: Timestamp, vocabulary: &'a Vocabulary) -> Self {
        Self { subject, at, vocabulary, thread: None }
    }

    fn with(&self, subject: Subject<'a>) -> Self {
        Self { subject, ..*self }
    }

    /// Walks a list.
    pub fn each(&self, list: List, on: &mut dyn FnMut(&Scope<'a>)) {
        match (list, self.subject) {
            (List::HistoryMessages, Subject::History(_, history)) => {
                history.items.iter().rev().for_each(|m| on(&self.with(Subject::Message(m))));
            }
            (List::SessionRooms, Subject::Ready(_, _, rooms, _)) => {
                for room in rooms {
                    on(&self.with(Subject::Room(room)));
                }
            }
            (List::SyncEvents, Subject::Sync(events, ..)) => {
                let spelled = events.iter().filter(|e| self.vocabulary.spells(e.fact.name()));
                spelled.for_each(|e| on(&self.with(Subject::Event(e))));
            }
            (List::PresenceUsers, Subject::Presences(users)) => {
                for presence in users {
                    on(&self.with(Subject::Presence(presence)));
                }
            }
            _ => {}
        }
    }

    /// Writes the outbound spelling's first argument for the event in scope.
    pub fn write_event_argument(&self, out: &mut Vec<u8>) {
        let spelling = self.event().and_then(|e| self.vocabulary.outbound(e.fact.name()));
        match spelling.and_then(|s| s.arguments.first()) {
            Some(template) => template.render(self, out),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Writes the outbound spelling's name for the event in scope.
    pub fn write_event_name(&self, out: &mut Vec<u8>) {
        let spelling = self.event().and_then(|e| self.vocabulary.outbound(e.fact.name()));
        string(spelling.map_or("", |s| &s.event), out);
    }

    fn event(&self) -> Option<&'a Event> {
        if let Subject::Event(event) = self.subject { Some(event) } else { None }
    }

    fn fact(&self) -> Option<&'a Fact> {
        self.event().map(|e| &e.fact)
    }

    fn message(&self) -> Option<&'a Message> {
        if let Subject::Message(message) | Subject::Sent(message, _) = self.subject {
            return Some(message);
        }
        match self.fact()? {
            Fact::MessageCreated { message } | Fact::MessageUpdated { message } => Some(message),
            _ => None,
        }
    }

    fn room(&self) -> Option<&'a Room> {
        match (self.subject, self.fact()) {
            (Subject::Room(room), _) => Some(room),
            (
                _,
                Some(
                    Fact::RoomCreated { room }
                    | Fact::RoomUpdated { room }
                    | Fact::RoomAdded { room, .. }
                    | Fact::RoomInvited { room },
                ),
            ) => Some(room),
            _ => None,
        }
    }

    fn profile(&self) -> Option<&'a Profile> {
        match (self.subject, self.fact()) {
            (Subject::Typing(_, profile, _) | Subject::Ready(_, profile, ..), _) => Some(profile),
            (_, Some(Fact::MemberJoined { member, .. } | Fact::MemberInvited { member, .. })) => {
                Some(member)
            }
            (_, Some(Fact::RoomAdded { peer: Some(peer), .. })) => Some(peer),
            _ => None,
        }
    }

    fn room_id(&self) -> Option<&'a RoomId> {
        match self.subject {
            Subject::InRoom(id)
            | Subject::Standing(id, _)
            | Subject::Typing(id, _, _)
            | Subject::History(id, _) => Some(id),
            Subject::Read(cursor) => Some(&cursor.room),
            Subject::Event(event) => match (&event.stream, &event.fact) {
                (Stream::Room(id), _) | (_, Fact::RoomRemoved { room: id, .. }) => Some(id),
                _ => self.room().map(|r| &r.id),
            },
            _ => self.room().map(|r| &r.id).or_else(|| self.message().map(|m| &m.room)),
        }
    }

    /// Whose inbox the event is in.
    fn inbox_owner(&self) -> Option<&'a UserId> {
        match &self.event()?.stream {
            Stream::User(user) => Some(user),
            Stream::Room(_) => None,
        }
    }

    fn deleted(&self) -> Option<(&'a MessageId, u64, u64)> {
        match (self.subject, self.fact()) {
            (_, Some(Fact::MessageDeleted { message, number, created_seq, .. })) => {
                Some((message, *number, *created_seq))
            }
            (Subject::Message(m), _) => Some((&m.id, m.number, m.seq)),
            _ => None,
        }
    }

    /// Appends a field's value as JSON; `false`, with nothing appended, when it has none.
    pub fn write(&self, field: Field, out: &mut Vec<u8>) -> bool {
        self.write_event(field, out)
            .or_else(|| self.write_message(field, out))
            .or_else(|| self.write_room(field, out))
            .or_else(|| self.write_people(field, out))
            .or_else(|| self.write_session(field, out))
            .or_else(|| self.write_thread(field, out))
            .is_some()
    }

    /// Who did what is spoken about.
    fn doer(&self) -> Option<&'a UserId> {
        match self.subject {
            Subject::Read(cursor) => Some(&cursor.user),
            _ => self.message().map(|m| &m.sender.id).or(self.profile().map(|p| &p.id)),
        }
    }

    fn write_thread(&self, field: Field, out: &mut Vec<u8>) -> Option<()> {
        let thread = self.thread.as_ref()?;
        match field {
            Field::ThreadKey => string(thread.key, out),
            Field::ThreadTenantId => string(thread.tenant.as_str(), out),
            Field::ThreadRecipientId => string(thread.beside(self.doer()?)?.as_str(), out),
            Field::ReadMessageIds => strings(thread.covered.iter().map(MessageId::as_str), out),
            _ => return None,
        }
        Some(())
    }

    fn write_event(&self, field: Field, out: &mut Vec<u8>) -> Option<()> {
        let event = self.event()?;
        match field {
            Field::EventId => {
                let stream = match &event.stream {
                    Stream::Room(id) => id.as_str(),
                    Stream::User(id) => id.as_str(),
                };
                string(&format!("evt_{stream}_{}", event.seq), out);
            }
            Field::EventType => string(event.fact.name(), out),
            Field::EventPos => string(&event.pos.to_string(), out),
            Field::EventSeq => number(event.seq, out),
            Field::EventAt => time_text::json(event.at, out),
            Field::EventActorId => string(event.actor.as_ref()?.as_str(), out),
            Field::EventTenantId => string(event.tenant.as_str(), out),
            Field::EventRoomId => match &event.stream {
                Stream::Room(id) => string(id.as_str(), out),
                Stream::User(_) => return None,
            },
            _ => return None,
        }
        Some(())
    }

    fn write_message(&self, field: Field, out: &mut Vec<u8>) -> Option<()> {
        match field {
            Field::DeletedId => string(self.deleted()?.0.as_str(), out),
            Field::DeletedNumber => number(self.deleted()?.1, out),
            Field::DeletedSeq => number(self.deleted()?.2, out),
            Field::SentReplayed => {
                let Subject::Sent(_, replayed) = self.subject else { return None };
                boolean(replayed, out);
            }
            _ => {
                let m = self.message()?;
                match field {
                    Field::MessageId => string(m.id.as_str(), out),
                    Field::MessageRoomId => string(m.room.as_str(), out),
                    Field::MessageSeq => number(m.seq, out),
                    Field::MessageNumber => number(m.number, out),
                    Field::MessageSenderId => string(m.sender.id.as_str(), out),
                    Field::MessageSenderUsername => string(&m.sender.username, out),
                    Field::MessageSenderName => string(&m.sender.name, out),
                    Field::MessageKind => string(&m.kind, out),
                    Field::MessageContent => string(&m.content, out),
                    Field::MessageMetadata => verbatim(m.metadata.as_ref()?, out),
                    Field::MessageReplyToId => string(m.reply_to.as_ref()?.as_str(), out),
                    Field::MessageClientId => string(m.own_client_id()?, out),
                    Field::MessageEditCount => number(u64::from(m.edit_count), out),
                    Field::MessageIsEdited => boolean(m.edited_at.is_some(), out),
                    Field::MessageEditedAt => time_text::json(m.edited_at?, out),
                    Field::MessageDeletedAt => time_text::json(m.deleted_at?, out),
                    Field::MessageCreatedAt => time_text::json(m.created_at, out),
                    Field::MessageUpdatedAt => time_text::json(m.updated_at(), out),
                    _ => return None,
                }
            }
        }
        Some(())
    }

    fn write_room(&self, field: Field, out: &mut Vec<u8>) -> Option<()> {
        if field == Field::InRoomId {
            string(self.room_id()?.as_str(), out);
            return Some(());
        }
        let room = self.room()?;
        match field {
            Field::RoomId => string(room.id.as_str(), out),
            Field::RoomKind => string(room.kind.as_str(), out),
            Field::RoomVisibility => string(room.visibility.as_str(), out),
            Field::RoomName => string(room.name.as_ref()?, out),
            Field::RoomTopic => string(room.topic.as_ref()?, out),
            Field::RoomCreatedBy => string(room.created_by.as_str(), out),
            Field::RoomMemberCount => number(room.member_count, out),
            Field::RoomLastSeq => number(room.last_seq, out),
            Field::RoomLastNumber => number(room.last_number, out),
            Field::RoomCreatedAt => time_text::json(room.created_at, out),
            Field::RoomUpdatedAt => time_text::json(room.updated_at, out),
            Field::MemberRole => match self.fact()? {
                Fact::RoomAdded { role, .. } => string(role.as_str(), out),
                _ => return None,
            },
            _ => return None,
        }
        Some(())
    }

    fn write_people(&self, field: Field, out: &mut Vec<u8>) -> Option<()> {
        match (field, self.subject, self.fact()) {
            (Field::UserUsername, _, _) => string(&self.profile()?.username, out),
            (Field::UserName, _, _) => string(&self.profile()?.name, out),
            (Field::MemberUserId, Subject::Standing(_, user), _)
            | (
                Field::MemberUserId,
                _,
                Some(Fact::MemberLeft { user, .. } | Fact::MemberRoleChanged { user, .. }),
            ) => string(user.as_str(), out),
            (Field::MemberUserId, _, Some(Fact::RoomAdded { .. } | Fact::RoomRemoved { .. })) => {
                string(self.inbox_owner()?.as_str(), out);
            }
            (Field::UserId | Field::MemberUserId, _, _) => string(self.profile()?.id.as_str(), out),
            (
                Field::MemberRole,
                _,
                Some(Fact::MemberJoined { role, .. } | Fact::MemberRoleChanged { role, .. }),
            ) => string(role.as_str(), out),
            (Field::MemberRole, _, Some(Fact::MemberInvited { .. })) => {
                string(Role::Member.as_str(), out);
            }
            (
                Field::MemberReason,
                _,
                Some(Fact::MemberLeft { departure, .. } | Fact::RoomRemoved { departure, .. }),
            ) => string(departure.as_str(), out),
            (Field::TypingIsTyping, Subject::Typing(_, _, is_typing), _) => boolean(is_typing, out),
            (Field::PresenceUserId, Subject::Presence(p), _) => string(p.user.as_str(), out),
            (Field::PresenceStatus, Subject::Presence(p), _) => string(p.status.as_str(), out),
            (Field::PresenceIsOnline, Subject::Presence(p), _) => {
                boolean(p.status == PresenceStatus::Online, out);
            }
            (Field::PresenceLastSeen, Subject::Presence(p), _) => {
                time_text::json(p.last_seen?, out);
            }
            (Field::ReadUserId, Subject::Read(c), _) => string(c.user.as_str(), out),
            (Field::ReadSeq, Subject::Read(c), _) => number(c.seq, out),
            (Field::ReadNumber, Subject::Read(c), _) => number(c.number, out),
            (Field::ReadMessageId, Subject::Read(c), _) => {
                string(c.message.as_ref()?.as_str(), out);
            }
            (Field::ReadAt, Subject::Read(c), _) => time_text::json(c.at, out),
            _ => return None,
        }
        Some(())
    }

    fn write_session(&self, field: Field, out: &mut Vec<u8>) -> Option<()> {
        match (field, self.subject) {
            (Field::Now, _) => time_text::json(self.at, out),
            (Field::SessionId, Subject::Ready(sid, ..)) => string(sid, out),
            (Field::SessionRecovered, Subject::Ready(.., begun)) => boolean(begun.recovered, out),
            (Field::SessionEpoch, Subject::Ready(.., begun)) => epoch(begun.epoch, out),
            (Field::SessionExpiresAt, Subject::Expiring(at)) => time_text::json(at, out),
            (Field::SessionReason, Subject::Closing(reason)) => string(reason, out),
            (Field::HistoryHasMore, Subject::History(_, h)) => boolean(h.has_older, out),
            (Field::HistorySeq, Subject::History(_, h)) => number(h.head_seq, out),
            (Field::SyncNext, Subject::Sync(_, next, ..)) => {
                out.push(b'{');
                for (i, (room, seq)) in next.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    string(room.as_str(), out);
                    out.push(b':');
                    number(*seq, out);
                }
                out.push(b'}');
            }
            (Field::SyncGaps, Subject::Sync(_, _, gaps, _)) => {
                strings(gaps.iter().map(RoomId::as_str), out);
            }
            (Field::SyncEpoch, Subject::Sync(.., log)) => epoch(log, out),
            (Field::ErrorText, Subject::Error(e, _, _)) => string(&e.text, out),
            (Field::ErrorCode, Subject::Error(e, _, _)) => string(e.code, out),
            (Field::ErrorStatus, Subject::Error(e, _, _)) => number(u64::from(e.status), out),
            (Field::ErrorMessages, Subject::Error(e, _, _)) if e.violations.is_empty() => {
                strings(std::iter::once(e.text.as_str()), out);
            }
            (Field::ErrorMessages, Subject::Error(e, _, _)) => {
                strings(e.violations.iter().map(|v| v.message.as_str()), out);
            }
            (Field::ErrorMessage, Subject::Error(e, _, _)) if e.violations.is_empty() => {
                string(&e.text, out);
            }
            (Field::ErrorMessage, Subject::Error(e, _, _)) => {
                strings(e.violations.iter().map(|v| v.message.as_str()), out);
            }
            (Field::ErrorEvent, Subject::Error(_, event, _)) => string(event, out),
            (Field::ErrorRetryAfterMs, Subject::Error(e, _, _)) => number(e.retry_after_ms?, out),
            (Field::ErrorData, Subject::Error(_, _, data)) => {
                out.extend_from_slice(data?.as_bytes());
            }
            _ => return None,
        }
        Some(())
    }
}

/// Appends a JSON string.
pub fn string(text: &str, out: &mut Vec<u8>) {
    // Writing into a Vec cannot fail.
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"\"\"");
    }
}

/// Appends JSON as the client gave it. Only an import can have stored something else; as a text it
/// breaks no frame.
fn verbatim(json: &str, out: &mut Vec<u8>) {
    match serde_json::from_str::<&RawValue>(json) {
        Ok(raw) => out.extend_from_slice(raw.get().as_bytes()),
        Err(_) => string(json, out),
    }
}

fn epoch(epoch: LogEpoch, out: &mut Vec<u8>) {
    string(&epoch.to_string(), out);
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, text) in texts.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(text, out);
    }
    out.push(b']');
}

fn number(value: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut rest = value;
    let mut start = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (rest % 10) as u8;
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

fn boolean(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}
