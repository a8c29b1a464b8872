//! Mynah beside Node servers: the messages that `@socket.io/redis-adapter` 8 and `@socket.io/redis-emitter` 5 exchange
//! over Redis, and a bus that joins chosen namespaces.
//!
//! [`SocketIoBus`] hears what Node servers and emitters send, hands it to [`LocalSockets`], which the server implements, answers
//! their requests, and tells them what Mynah says. Reading is total: what cannot be read is counted and skipped.
//!
//! Two formats exist ([`Format`]): *classic* (`createAdapter`; `PSUBSCRIBE` on all of a namespace) and *sharded*
//! (`createShardedAdapter`; Redis 7). They do not mix.
//!
//! Other Mynah nodes on the same bus are told by their ids, which begin with `mynah-`, and left alone: Mynah nodes have a
//! broker of their own.

mod bus;
mod classic;
mod local;
mod sharded;
mod value;

use bytes::Bytes;
use rmpv::Value;
use serde_json::Value as Json;

pub use bus::{SocketIoBus, SocketIoOptions, SocketIoStats};
pub use local::{Answers, Handshake, LocalSocket, LocalSockets};
pub use value::Garbage;

/// How messages are spelled; all servers of a cluster use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `createAdapter(pub, sub)`, and emitters.
    #[default]
    Classic,
    /// `createShardedAdapter(pub, sub)`, with the default subscription mode `dynamic`.
    Sharded,
}

/// Whom something is for: those in any of the rooms, or all if none is named, but nobody in a room of `except`. The id of
/// a socket is also a room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// Names of rooms.
    pub rooms: Vec<String>,
    /// Names of rooms.
    pub except: Vec<String>,
}

impl Target {
    /// One room.
    pub fn room(name: impl Into<String>) -> Self {
        Self { rooms: vec![name.into()], except: Vec::new() }
    }

    /// Whether one who is in these rooms is meant.
    pub fn covers(&self, is_in: impl Fn(&str) -> bool) -> bool {
        let is_named = self.rooms.is_empty() || self.rooms.iter().any(|room| is_in(room));
        is_named && !self.except.iter().any(|room| is_in(room))
    }
}

/// How something is to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// It may be dropped for those who are slow.
    pub is_volatile: bool,
    /// So long acknowledgements are waited for.
    pub timeout_ms: Option<u64>,
}

/// An event with its arguments, or the arguments of an answer: JSON texts, in which `{"_placeholder":true,"num":0}`
/// stands for the first attachment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    /// JSON of each.
    pub json: Vec<String>,
    /// Binary data.
    pub attachments: Vec<Bytes>,
}

impl Arguments {
    /// Without attachments: `["{\"id\":1}"]`.
    pub fn new(json: Vec<String>) -> Self {
        Self { json, attachments: Vec::new() }
    }
}

/// An event: its name and the arguments after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emission {
    /// `newMessage`
    pub event: String,
    /// What the listener is called with.
    pub arguments: Arguments,
}

/// Who asked, to address the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// The server.
    pub uid: String,
    /// Its question.
    pub request: String,
}

/// What another server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// An event for clients.
    Broadcast {
        /// For whom.
        target: Target,
        /// How.
        flags: Flags,
        /// What.
        emission: Emission,
        /// Who wants to know the clients' answers.
        asker: Option<Asker>,
    },
    /// Sockets are to enter rooms.
    Join(Target, Vec<String>),
    /// Sockets are to leave rooms.
    Leave(Target, Vec<String>),
    /// Sockets are to be disconnected; whether with all their namespaces.
    Disconnect(Target, bool),
    /// The same of one socket, in a form of old versions, which is answered: the socket id is the target.
    One(Box<Self>, Asker),
    /// Describe your sockets.
    Fetch(Asker, Target),
    /// Name your sockets in these rooms.
    Sockets(Asker, Target),
    /// Name your rooms.
    Rooms(Asker),
    /// An event between servers; somebody may wait for an answer.
    ServerSide(Emission, Option<Asker>),
    /// A sign of life, an answer to somebody else, or what a later version says.
    Other,
}

/// What this node answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Done,
    Sockets(Vec<LocalSocket>),
    SocketIds(Vec<String>),
    Rooms(Vec<String>),
    /// So many clients were sent the event.
    Clients(usize),
    /// One of them answered.
    Acknowledged(Arguments),
    ServerSide(Arguments),
}

/// Reads what came over a channel with events for clients; who sent it. `None` if it is for another namespace.
///
/// # Errors
/// [`Garbage`]
pub fn read_event(
    format: Format,
    input: &[u8],
    namespace: &str,
) -> Result<Option<(String, Heard)>, Garbage> {
    match format {
        Format::Classic => classic::broadcast(input, namespace),
        Format::Sharded => sharded::message(input, namespace),
    }
}

/// Reads a request in the classic format; who asks. In the sharded one requests come like events.
///
/// # Errors
/// [`Garbage`]
pub fn read_request(input: &[u8], namespace: &str) -> Result<(String, Heard), Garbage> {
    classic::request(input, namespace)
}

/// Writes an event for clients.
pub fn write_event(
    (format, uid, namespace): (Format, &str, &str),
    (target, flags): (&Target, Flags),
    emission: &Emission,
) -> Vec<u8> {
    match format {
        Format::Classic => classic::write_broadcast(uid, namespace, (target, flags), emission),
        Format::Sharded => sharded::write_broadcast(uid, namespace, (target, flags), emission),
    }
}

/// Ids of Mynah nodes on the bus begin so.
const OWN: &str = "mynah-";

/// Takes name and arguments out of `["event", …]`.
fn emission(data: Option<Value>) -> Result<Emission, Garbage> {
    let Some(Value::Array(mut items)) = data else { return Err(Garbage) };
    if items.is_empty() {
        return Err(Garbage);
    }
    let event = value::text(&items.remove(0)).ok_or(Garbage)?;
    let arguments = arguments(items)?;
    Ok(Emission { event, arguments })
}

fn arguments(items: Vec<Value>) -> Result<Arguments, Garbage> {
    let mut attachments = Vec::new();
    let mut json = Vec::with_capacity(items.len());
    for item in items {
        json.push(value::into_json(item, &mut attachments)?.to_string());
    }
    Ok(Arguments { json, attachments })
}

/// Arguments as values; what is no JSON is null.
fn values(arguments: &Arguments) -> Vec<Value> {
    let read = |text: &String| {
        let json: Json = serde_json::from_str(text).unwrap_or_default();
        value::from_json(&json, &arguments.attachments, DEPTH_MAX).unwrap_or(Value::Nil)
    };
    arguments.json.iter().map(read).collect()
}

const DEPTH_MAX: usize = 64;

/// `["event", …]`
fn data(emission: &Emission) -> Value {
    let mut items = vec![Value::from(emission.event.as_str())];
    items.extend(values(&emission.arguments));
    Value::Array(items)
}

/// The first argument of an answer, which is the only one that counts.
fn first(arguments: &Arguments) -> Value {
    values(arguments).into_iter().next().unwrap_or(Value::Nil)
}

fn target(options: Option<&Value>) -> Result<Target, Garbage> {
    let options = options.ok_or(Garbage)?;
    let rooms = value::texts(value::get(options, "rooms"))?;
    let except = value::texts(value::get(options, "except"))?;
    Ok(Target { rooms, except })
}

fn flags(options: Option<&Value>) -> Flags {
    let flags = options.and_then(|options| value::get(options, "flags"));
    let flag = |name: &str| flags.and_then(|flags| value::get(flags, name));
    Flags {
        is_volatile: flag("volatile").and_then(Value::as_bool).unwrap_or_default(),
        timeout_ms: flag("timeout").and_then(Value::as_u64),
    }
}

/// `{"rooms":[…],"except":[…],"flags":{…}}`
fn options(target: &Target, flags: Flags) -> Value {
    let names =
        |names: &[String]| Value::Array(names.iter().map(|name| name.as_str().into()).collect());
    let mut members: Vec<(Value, Value)> = Vec::new();
    if flags.is_volatile {
        members.push(("volatile".into(), true.into()));
    }
    if let Some(timeout_ms) = flags.timeout_ms {
        members.push(("timeout".into(), timeout_ms.into()));
    }
    Value::Map(vec![
        ("rooms".into(), names(&target.rooms)),
        ("except".into(), names(&target.except)),
        ("flags".into(), Value::Map(members)),
    ])
}

/// A map of what is there.
fn map<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
    Value::Map(there.collect())
}

/// JSON of a value without binary data.
fn json(value: Value) -> Vec<u8> {
    let json = value::into_json(value, &mut Vec::new()).unwrap_or_default();
    json.to_string().into_bytes()
}
