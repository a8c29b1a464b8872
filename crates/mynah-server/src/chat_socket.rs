//! The chat behind Socket.IO: connects people, turns their events into commands, and answers in the
//! words of their vocabulary.

mod catch_up;
mod connect;
mod execute;
mod places;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use mynah_domain::ports::Clock;
use mynah_domain::room::Room;
use mynah_domain::{RoomId, Timestamp};
use mynah_hub::{Dialect, Frame, TimerKey};
use mynah_protocol::socket_io;
use serde_json::value::RawValue;

pub use places::Places;

use crate::deadlines::Deadlines;
use crate::dialects::Dialects;
use crate::engine_io::Peer;
use crate::failure;
use crate::frames;
use crate::identity::Identified;
use crate::rate::Bucket;
use crate::socket_io::{ConnectRefused, Incoming, Leaving, Namespaces, Outgoing, Working};
use crate::state::House;
use crate::vocabulary::command::{Command, Violation};
use crate::vocabulary::field::{Failure, Scope, Subject};
use crate::vocabulary::inbound::InboundRule;
use crate::vocabulary::template::Template;
use crate::vocabulary::{UnknownEvent, Vocabulary};

/// The chat's Socket.IO door; clones share it.
#[derive(Clone)]
pub struct ChatSockets(Arc<Parts>);

/// What the door stands on.
pub struct Parts {
    /// The use cases.
    pub house: House,
    /// The words.
    pub dialects: Arc<Dialects>,
    /// How many connections users may have.
    pub places: Places,
    /// How many events the dispatcher has begun to deliver.
    pub dispatched: Arc<AtomicU64>,
    /// Expiry of credentials.
    pub deadlines: Deadlines,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Deref for ChatSockets {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// One connection of a person to a namespace.
pub struct ChatSocket {
    who: Arc<Identified>,
    dialect: Dialect,
    namespace: Box<str>,
    sid: Box<str>,
    expiry: Vec<TimerKey>,
    _place: places::Place,
    /// Whether the user counts as online because of it.
    is_present: bool,
    /// Where a typing notice of this socket may be on.
    typing_in: Option<RoomId>,
    /// Work that follows the CONNECT answer.
    welcome: Option<Box<Welcome>>,
}

/// What a new connection is told once it is connected.
struct Welcome {
    everywhere: bool,
    rooms: Vec<Arc<Room>>,
    since: Vec<(RoomId, u64)>,
}

/// Why there is no command.
enum Unread {
    Unknown(Failure),
    Invalid(Vec<Violation>),
}

impl ChatSockets {
    /// Opens the door.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    fn vocabulary(&self, socket: &ChatSocket) -> &Vocabulary {
        self.dialects
            .vocabulary(socket.dialect)
            .unwrap_or_else(|| self.dialects.default_vocabulary())
    }

    fn read(
        &self,
        socket: &ChatSocket,
        incoming: &Incoming,
    ) -> Result<(&InboundRule, Command), Unread> {
        let vocabulary = self.vocabulary(socket);
        let Some(rule) = vocabulary.inbound(&incoming.event) else {
            return Err(Unread::Unknown(failure::unknown_event(&incoming.event)));
        };
        let arguments: Vec<&str> = incoming.arguments.iter().collect();
        match rule.read(&arguments) {
            Ok(command) => Ok((rule, command)),
            Err(violations) => Err(Unread::Invalid(violations)),
        }
    }

    fn scope<'a>(&'a self, socket: &ChatSocket, subject: Subject<'a>) -> Scope<'a> {
        Scope { subject, at: self.clock.now(), vocabulary: self.vocabulary(socket) }
    }

    fn limit(&self, socket: &ChatSocket, command: &Command) -> Result<(), Failure> {
        let bucket = match command {
            Command::SendMessage { .. } => Bucket::Send,
            Command::Typing { .. } => Bucket::Typing,
            Command::JoinRoom { .. } | Command::CreateRoom { .. } | Command::Sync { .. } => {
                Bucket::Join
            }
            Command::EditMessage { .. }
            | Command::DeleteMessage { .. }
            | Command::LeaveRoom { .. }
            | Command::InviteMember { .. }
            | Command::KickMember { .. }
            | Command::MarkRead { .. }
            | Command::QueryPresence { .. } => Bucket::Change,
            Command::Ping => return Ok(()),
        };
        let limited = self.house.limits.check(bucket, socket.who.actor.user.as_str());
        limited.map_err(|retry| {
            self.house.metrics.limited(retry.bucket.as_str());
            retry.into()
        })
    }

    fn refuse(&self, socket: &ChatSocket, refused: &Refusal, failure: &Failure) -> Outgoing {
        let data = refused.data.as_deref();
        let subject = Subject::Error(failure, &refused.event, data);
        let scope = self.scope(socket, subject);
        let mut outgoing = acknowledge(socket, refused.ack, &scope.vocabulary.error.ack, &scope);
        outgoing.extend(self.dialects.error_frame(socket.dialect, subject, scope.at));
        outgoing
    }
}

/// What is left of an event for its refusal.
struct Refusal {
    event: String,
    ack: Option<u64>,
    data: Option<String>,
}

impl Refusal {
    fn of(incoming: &Incoming) -> Self {
        let data = incoming.arguments.first().filter(|data| data.len() <= 1_024);
        Self { event: incoming.event.clone(), ack: incoming.ack, data: data.map(str::to_owned) }
    }
}

/// The answer to a client that asked for one.
fn acknowledge(
    socket: &ChatSocket,
    id: Option<u64>,
    ack: &Template,
    scope: &Scope<'_>,
) -> Outgoing {
    let Some(id) = id else { return Vec::new() };
    let mut json = Vec::with_capacity(512);
    ack.render(scope, &mut json);
    vec![ack_frame(&socket.namespace, id, &json)]
}

fn ack_frame(namespace: &str, id: u64, json: &[u8]) -> Frame {
    let mut packet = Vec::with_capacity(json.len() + 32);
    let json = std::str::from_utf8(json).unwrap_or("null");
    socket_io::ack(namespace, id, &[json], &mut packet);
    frames::text(&packet)
}

impl Namespaces for ChatSockets {
    type Socket = ChatSocket;

    async fn connect(
        &self,
        peer: &Peer,
        namespace: &str,
        auth: Option<&str>,
    ) -> Result<(ChatSocket, String), ConnectRefused> {
        let socket = Box::pin(connect::connect(self, peer, namespace, auth)).await?;
        let sid = socket.sid.to_string();
        Ok((socket, sid))
    }

    async fn welcome(&self, peer: &Peer, socket: &mut ChatSocket) {
        if let Some(welcome) = socket.welcome.take() {
            Box::pin(connect::welcome(self, peer, socket, *welcome)).await;
        }
    }

    fn begin(
        &self,
        _peer: &Peer,
        socket: &mut ChatSocket,
        incoming: Incoming,
    ) -> Result<Working, Incoming> {
        if !self.is_send(socket, &incoming) || !incoming.attachments.is_empty() {
            return Err(incoming);
        }
        let Ok((_, Command::SendMessage { room, draft })) = self.read(socket, &incoming) else {
            return Err(incoming);
        };
        let command = Command::SendMessage { room, draft };
        if let Err(failure) = self.limit(socket, &command) {
            let outgoing = self.refuse(socket, &Refusal::of(&incoming), &failure);
            return Ok(Box::pin(std::future::ready(outgoing)));
        }
        let Command::SendMessage { room, draft } = command else { return Err(incoming) };
        Ok(execute::send(self, socket, &incoming, room, draft))
    }

    async fn event(&self, peer: &Peer, socket: &mut ChatSocket, incoming: Incoming) -> Outgoing {
        let refusal = Refusal::of(&incoming);
        if !incoming.attachments.is_empty() {
            return self.refuse(socket, &refusal, &failure::binary());
        }
        let (rule, command) = match self.read(socket, &incoming) {
            Ok(read) => read,
            Err(Unread::Invalid(violations)) => {
                return self.refuse(socket, &refusal, &failure::invalid(violations));
            }
            Err(Unread::Unknown(failure)) => {
                let silent = self.vocabulary(socket).unknown_event == UnknownEvent::Silent;
                if silent && incoming.ack.is_none() {
                    return Vec::new();
                }
                return self.refuse(socket, &refusal, &failure);
            }
        };
        if let Err(failure) = self.limit(socket, &command) {
            return self.refuse(socket, &refusal, &failure);
        }
        let ack = rule.ack.clone();
        match Box::pin(execute::execute(self, peer, socket, command)).await {
            Ok(reply) => reply.outgoing(self, socket, incoming.ack, &ack),
            Err(failure) => self.refuse(socket, &refusal, &failure),
        }
    }

    async fn disconnect(&self, peer: &Peer, socket: ChatSocket, leaving: Leaving) {
        for key in &socket.expiry {
            self.deadlines.cancel(*key);
        }
        if let Some(room) = &socket.typing_in {
            self.house.live.typing(&socket.who.profile, room, false).await;
        }
        if leaving == Leaving::Namespace {
            peer.hub.unsubscribe_all(peer.id, socket.dialect).await;
        }
        if socket.is_present {
            self.house.live.went(&socket.who.actor);
        }
    }
}

/// A CONNECT that cannot be accepted, for people and programs.
fn connect_refused(failure: &Failure) -> ConnectRefused {
    let code = serde_json::Value::from(failure.code);
    let text = serde_json::Value::from(failure.text.as_str());
    let data = format!("{{\"statusCode\":{},\"code\":{code},\"message\":{text}}}", failure.status);
    let message =
        if failure.status == 401 { "Unauthorized".to_owned() } else { failure.text.clone() };
    ConnectRefused { message, data: Some(data) }
}

/// JSON of an auth payload, member by member.
type Auth<'a> = std::collections::HashMap<std::borrow::Cow<'a, str>, &'a RawValue>;

fn now(door: &ChatSockets) -> Timestamp {
    door.clock.now()
}
