//! The chat behind Socket.IO: connects people, turns their events into commands, and answers in the
//! words of their vocabulary.

mod catch_up;
mod connect;
mod credentials;
mod enter;
mod execute;
mod joining;
mod missed;
mod places;
mod present;
mod refusing;
mod retries;
mod turns;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mynah_domain::ports::{Clock, OpenRoomStore};
use mynah_domain::recovery::Place;
use mynah_domain::room::Room;
use mynah_domain::{RoomId, Timestamp};
use mynah_hub::{Dialect, Frame, TimerKey};
use mynah_protocol::socket_io;
use serde_json::value::RawValue;

pub use places::Places;
pub use present::Present;
pub use turns::Turns;

use crate::deadlines::Deadlines;
use crate::dialects::{Dialects, Speaking};
use crate::engine_io::Peer;
use crate::failure;
use crate::identity::{Identified, IdentityError};
use crate::interop::{Arrived, Interop};
use crate::rate::Bucket;
use crate::recovery::{Origin, Recovery, SocketKey};
use crate::socket_io::{
    Acknowledged, ConnectRefused, ConnectRequest, Connected, Incoming, Leaving, Namespaces,
    Outgoing, Working,
};
use crate::state::House;
use crate::vocabulary::command::{Command, Violation};
use crate::vocabulary::field::{Failure, Scope, Subject};
use crate::vocabulary::inbound::InboundRule;
use crate::vocabulary::template::Template;
use crate::vocabulary::{UnknownEvent, Vocabulary};
use crate::wire::Wire;

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
    /// How many ask the store at once to come in.
    pub turns: Turns,
    /// Who is here, for those who come back.
    pub present: Arc<Present>,
    /// Lets clients recover their state; `None` when it is off.
    pub recovery: Option<Recovery>,
    /// Which rooms connections have opened.
    pub open_rooms: Arc<dyn OpenRoomStore>,
    /// How long that is kept of a connection that is gone, in milliseconds.
    pub open_rooms_kept_ms: u64,
    /// How many events the dispatcher has begun to deliver.
    pub dispatched: Arc<AtomicU64>,
    /// Expiry of credentials.
    pub deadlines: Deadlines,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Node servers that are told who is here.
    pub interop: Option<Interop>,
}

impl Deref for ChatSockets {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// One connection to a namespace.
pub struct ChatSocket {
    speaking: Speaking,
    namespace: Box<str>,
    sid: Box<str>,
    /// The same client object, through all its connections; of clients that can recover.
    origin: Option<Origin>,
    key: Option<SocketKey>,
    /// The last place the client was told of in a frame of its own.
    shown: Place,
    /// Sends that may be repeated.
    retries: Option<Box<retries::Retries>>,
    /// Whose it is, once that is known.
    person: Option<Box<Person>>,
    /// The end of the time in which credentials must come.
    awaited: Option<TimerKey>,
    /// Work that follows the CONNECT answer.
    welcome: Option<Box<Welcome>>,
    /// Whether the client was sent away.
    is_over: Arc<AtomicBool>,
}

/// Whose a connection is.
struct Person {
    who: Arc<Identified>,
    expiry: Vec<TimerKey>,
    _place: places::Place,
    /// Whether the user counts as online because of it.
    is_present: bool,
    /// Where a typing notice of this socket may be on.
    typing_in: Option<RoomId>,
}

/// What a new connection is told once it is connected.
struct Welcome {
    rooms: Vec<Arc<Room>>,
    replay: Replay,
}

/// What it missed.
enum Replay {
    /// Of each room what came after a `seq`.
    Since(Vec<(RoomId, u64)>),
    /// Everything since its last connection.
    Missed(Box<missed::Missed>),
}

impl ChatSocket {
    fn dialect(&self) -> Dialect {
        self.speaking.dialect()
    }

    fn wire(&self) -> Wire {
        self.speaking.wire()
    }

    /// Whose it is.
    ///
    /// # Errors
    /// The refusal for those who have not said who they are.
    fn person(&self) -> Result<&Person, Failure> {
        self.person.as_deref().ok_or_else(|| IdentityError::Missing.into())
    }

    /// The name under which its requests are counted.
    fn counted_as(&self, peer: &Peer) -> String {
        match &self.person {
            Some(person) => person.who.actor.user.as_str().to_owned(),
            None => peer.handshake.address.ip().to_string(),
        }
    }
}

impl ChatSockets {
    /// Tells Node servers' side of a socket that is here, and whose it is.
    async fn show(&self, peer: &Peer, socket: &ChatSocket) {
        let Some(interop) = &self.interop else { return };
        let is_secret = |name: &str| matches!(name, "token" | "auth" | "access_token");
        let query = peer.handshake.query.iter().filter(|(name, _)| !is_secret(name));
        let arrived = Arrived {
            namespace: socket.namespace.to_string(),
            sid: socket.sid.to_string(),
            heard: (peer.id, socket.dialect()),
            user: socket.person.as_ref().map(|person| person.who.actor.user.clone()),
            address: peer.handshake.address.ip().to_string(),
            query: query.cloned().collect(),
            at_ms: u64::try_from(self.clock.now().0).unwrap_or_default(),
            is_over: Arc::clone(&socket.is_over),
        };
        interop.came(arrived).await;
    }
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
            .vocabulary(socket.dialect())
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
        Scope::new(subject, self.clock.now(), self.vocabulary(socket))
    }

    fn limit(&self, peer: &Peer, socket: &ChatSocket, command: &Command) -> Result<(), Failure> {
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
            | Command::Authenticate { .. }
            | Command::QueryPresence { .. } => Bucket::Change,
            Command::Ping => return Ok(()),
        };
        let limited = self.house.limits.check(bucket, &socket.counted_as(peer));
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
        outgoing.extend(self.dialects.error_frame(socket.dialect(), subject, scope.at));
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
    vec![ack_frame(socket.wire(), &socket.namespace, id, &json)]
}

fn ack_frame(wire: Wire, namespace: &str, id: u64, json: &[u8]) -> Frame {
    let mut packet = Vec::with_capacity(json.len() + 32);
    let json = std::str::from_utf8(json).unwrap_or("null");
    socket_io::ack(namespace, id, &[json], &mut packet);
    wire.frame(&packet)
}

impl Namespaces for ChatSockets {
    type Socket = ChatSocket;

    async fn connect(
        &self,
        peer: &Peer,
        request: ConnectRequest<'_>,
    ) -> Result<Connected<ChatSocket>, ConnectRefused> {
        Box::pin(connect::connect(self, peer, request)).await
    }

    async fn welcome(&self, peer: &Peer, socket: &mut ChatSocket) {
        if let Some(welcome) = socket.welcome.take() {
            Box::pin(connect::welcome(self, peer, socket, *welcome)).await;
        }
    }

    fn begin(
        &self,
        peer: &Peer,
        socket: &mut ChatSocket,
        incoming: Incoming,
    ) -> Result<Working, Incoming> {
        let is_known = socket.person.is_some();
        if !is_known || !self.is_send(socket, &incoming) || !incoming.attachments.is_empty() {
            return Err(incoming);
        }
        let Ok((_, Command::SendMessage { room, draft })) = self.read(socket, &incoming) else {
            return Err(incoming);
        };
        let command = Command::SendMessage { room, draft };
        if let Err(failure) = self.limit(peer, socket, &command) {
            let outgoing = self.refuse(socket, &Refusal::of(&incoming), &failure);
            return Ok(Box::pin(std::future::ready(outgoing)));
        }
        let Command::SendMessage { room, draft } = command else { return Err(incoming) };
        execute::send(self, socket, &incoming, room, draft).map_err(|_anonymous| incoming)
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
        if let Err(failure) = self.limit(peer, socket, &command) {
            return self.refuse(socket, &refusal, &failure);
        }
        let ack = rule.ack.clone();
        match Box::pin(execute::execute(self, peer, socket, command)).await {
            Ok(reply) => reply.outgoing(self, socket, incoming.ack, &ack),
            Err(failure) => self.refuse(socket, &refusal, &failure),
        }
    }

    fn acknowledged(&self, peer: &Peer, socket: &ChatSocket, answer: Acknowledged) {
        if let Some(interop) = &self.interop {
            interop.acknowledged((peer.id, socket.dialect()), answer);
        }
    }

    async fn disconnect(&self, peer: &Peer, socket: ChatSocket, leaving: Leaving) {
        if let Some(interop) = &self.interop {
            interop.went(&socket.namespace, &socket.sid).await;
        }
        if let Some(deadline) = socket.awaited {
            self.deadlines.cancel(deadline);
        }
        if leaving == Leaving::Namespace {
            peer.hub.unsubscribe_all(peer.id, socket.dialect()).await;
        }
        if let Some(key) = socket.key {
            self.present.leave(key, peer.id);
        }
        let Some(person) = socket.person else { return };
        for key in &person.expiry {
            self.deadlines.cancel(*key);
        }
        if let Some(room) = &person.typing_in {
            self.house.live.typing(&person.who.profile, room, false).await;
        }
        if person.is_present {
            self.house.live.went(&person.who.actor);
        }
    }

    fn is_over(&self, socket: &ChatSocket) -> bool {
        socket.is_over.load(Ordering::Acquire)
    }

    fn farewell(&self, socket: &ChatSocket) -> Option<Frame> {
        credentials::farewell(self, socket.dialect())
    }
}

/// JSON of an auth payload, member by member.
type Auth<'a> = std::collections::HashMap<std::borrow::Cow<'a, str>, &'a RawValue>;

fn now(door: &ChatSockets) -> Timestamp {
    door.clock.now()
}

#[cfg(test)]
mod tests;
