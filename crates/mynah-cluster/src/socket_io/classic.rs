//! The messages of `createAdapter` of `@socket.io/redis-adapter` 8 and of `@socket.io/redis-emitter` 5; the same since
//! socket.io-redis 6.

use rmpv::Value;

use super::value::{self, get, text};
use super::{
    Answer, Asker, Emission, Flags, Garbage, Heard, Target, data, emission, first, flags, json,
    map, options, target,
};

const SOCKETS: u64 = 0;
const ALL_ROOMS: u64 = 1;
const REMOTE_JOIN: u64 = 2;
const REMOTE_LEAVE: u64 = 3;
const REMOTE_DISCONNECT: u64 = 4;
const REMOTE_FETCH: u64 = 5;
const SERVER_SIDE_EMIT: u64 = 6;
const BROADCAST: u64 = 7;
const BROADCAST_CLIENT_COUNT: u64 = 8;
const BROADCAST_ACK: u64 = 9;

/// An event packet; with binary data it may say the other.
const EVENT: u64 = 2;
const BINARY_EVENT: u64 = 5;

/// Names of channels in one namespace.
#[derive(Debug, Clone)]
pub(super) struct Channels {
    /// Events for clients, and what begins the channel of a room.
    pub(super) broadcast: String,
    pub(super) request: String,
    pub(super) response: String,
}

impl Channels {
    pub(super) fn new(key: &str, namespace: &str) -> Self {
        Self {
            broadcast: format!("{key}#{namespace}#"),
            request: format!("{key}-request#{namespace}#"),
            response: format!("{key}-response#{namespace}#"),
        }
    }

    /// Where an event for these goes.
    pub(super) fn of(&self, target: &Target) -> String {
        match target.rooms.as_slice() {
            [room] => format!("{}{room}#", self.broadcast),
            _ => self.broadcast.clone(),
        }
    }

    /// Pattern of all channels with events for clients.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::with_capacity(self.broadcast.len() + 1);
        for letter in self.broadcast.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('*');
        pattern
    }
}

/// Reads an event for clients: `[uid, {type, data, nsp}, {rooms, except, flags}]`; who sent it. `None` if it
/// is for another namespace.
pub(super) fn broadcast(input: &[u8], namespace: &str) -> Result<Option<(String, Heard)>, Garbage> {
    let Value::Array(items) = value::decode(input)? else { return Err(Garbage) };
    let Ok([uid, packet, options]) = <[Value; 3]>::try_from(items) else { return Err(Garbage) };
    let uid = text(&uid).ok_or(Garbage)?;
    if !is_of(&packet, namespace)? {
        return Ok(None);
    }
    let heard = Heard::Broadcast {
        target: target(Some(&options))?,
        flags: flags(Some(&options)),
        emission: emission(taken(packet, "data"))?,
        asker: None,
    };
    Ok(Some((uid, heard)))
}

/// Whether an event packet belongs to a namespace.
fn is_of(packet: &Value, namespace: &str) -> Result<bool, Garbage> {
    let kind = get(packet, "type").and_then(Value::as_u64);
    if !matches!(kind, Some(EVENT | BINARY_EVENT)) {
        return Err(Garbage);
    }
    let named = get(packet, "nsp").and_then(Value::as_str).unwrap_or("/");
    Ok(named == namespace)
}

fn taken(value: Value, name: &str) -> Option<Value> {
    let Value::Map(members) = value else { return None };
    members.into_iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, member)| member)
}

/// Reads a request; who asks.
pub(super) fn request(input: &[u8], namespace: &str) -> Result<(String, Heard), Garbage> {
    let request = value::decode(input)?;
    let uid = get(&request, "uid").and_then(text).unwrap_or_default();
    let id = get(&request, "requestId").and_then(text);
    let asker = id.map(|request| Asker { uid: uid.clone(), request });
    let kind = get(&request, "type").and_then(Value::as_u64);
    let heard = match (kind, asker) {
        (Some(SOCKETS), Some(asker)) => Heard::Sockets(asker, target(Some(&request))?),
        (Some(ALL_ROOMS), Some(asker)) => Heard::Rooms(asker),
        (Some(REMOTE_FETCH), Some(asker)) => Heard::Fetch(asker, target(get(&request, "opts"))?),
        (Some(kind @ (REMOTE_JOIN | REMOTE_LEAVE | REMOTE_DISCONNECT)), asker) => {
            moving(kind, &request, asker)?
        }
        (Some(SERVER_SIDE_EMIT), asker) => {
            Heard::ServerSide(emission(taken(request, "data"))?, asker)
        }
        (Some(BROADCAST), Some(asker)) => {
            let packet = get(&request, "packet").ok_or(Garbage)?;
            if !is_of(packet, namespace)? {
                return Ok((uid, Heard::Other));
            }
            let options = get(&request, "opts");
            Heard::Broadcast {
                target: target(options)?,
                flags: flags(options),
                emission: emission(get(packet, "data").cloned())?,
                asker: Some(asker),
            }
        }
        (Some(SOCKETS | ALL_ROOMS | REMOTE_FETCH | BROADCAST) | None, _) => return Err(Garbage),
        (Some(_), _) => Heard::Other,
    };
    Ok((uid, heard))
}

/// Joining, leaving and disconnecting, of many or, as old versions have it, of one.
fn moving(kind: u64, request: &Value, asker: Option<Asker>) -> Result<Heard, Garbage> {
    let made = |target: Target, rooms: Vec<String>| match kind {
        REMOTE_JOIN => Heard::Join(target, rooms),
        REMOTE_LEAVE => Heard::Leave(target, rooms),
        _ => {
            let is_whole = get(request, "close").and_then(Value::as_bool).unwrap_or_default();
            Heard::Disconnect(target, is_whole)
        }
    };
    let options = get(request, "opts");
    if options.is_some_and(|options| !options.is_nil()) {
        return Ok(made(target(options)?, value::texts(get(request, "rooms"))?));
    }
    let socket = get(request, "sid").and_then(text).ok_or(Garbage)?;
    let rooms = get(request, "room").and_then(text).into_iter().collect();
    let one = made(Target::room(socket), rooms);
    Ok(match asker {
        Some(asker) => Heard::One(Box::new(one), asker),
        None => one,
    })
}

/// An event for clients.
pub(super) fn write_broadcast(
    uid: &str,
    namespace: &str,
    (target, flags): (&Target, Flags),
    emission: &Emission,
) -> Vec<u8> {
    let packet = map([
        ("type", Some(EVENT.into())),
        ("data", Some(data(emission))),
        ("nsp", Some(namespace.into())),
    ]);
    value::encode(&Value::Array(vec![uid.into(), packet, options(target, flags)]))
}

/// Joining, leaving, disconnecting and events between servers; of other things nothing.
pub(super) fn write_request(uid: &str, what: &Heard) -> Option<Vec<u8>> {
    let names =
        |names: &[String]| Value::Array(names.iter().map(|name| name.as_str().into()).collect());
    let whom = |target: &Target| Some(options(target, Flags::default()));
    let (kind, opts, rooms, close, data) = match what {
        Heard::Join(target, rooms) => (REMOTE_JOIN, whom(target), Some(names(rooms)), None, None),
        Heard::Leave(target, rooms) => (REMOTE_LEAVE, whom(target), Some(names(rooms)), None, None),
        Heard::Disconnect(target, is_whole) => {
            (REMOTE_DISCONNECT, whom(target), None, Some((*is_whole).into()), None)
        }
        Heard::ServerSide(emission, None) => {
            (SERVER_SIDE_EMIT, None, None, None, Some(data(emission)))
        }
        Heard::ServerSide(_, Some(_))
        | Heard::Broadcast { .. }
        | Heard::One(..)
        | Heard::Fetch(..)
        | Heard::Sockets(..)
        | Heard::Rooms(_)
        | Heard::Other => return None,
    };
    Some(json(map([
        ("uid", Some(uid.into())),
        ("type", Some(kind.into())),
        ("opts", opts),
        ("rooms", rooms),
        ("close", close),
        ("data", data),
    ])))
}

/// An answer to a request.
pub(super) fn write_answer(asker: &Asker, answer: &Answer) -> Vec<u8> {
    let request = Some(asker.request.as_str().into());
    let names = |names: &[String]| {
        Some(Value::Array(names.iter().map(|name| name.as_str().into()).collect()))
    };
    match answer {
        Answer::Done => json(map([("requestId", request)])),
        Answer::SocketIds(ids) => json(map([("requestId", request), ("sockets", names(ids))])),
        Answer::Rooms(rooms) => json(map([("requestId", request), ("rooms", names(rooms))])),
        Answer::Sockets(sockets) => {
            let sockets: Vec<_> = sockets.iter().map(super::LocalSocket::to_json).collect();
            serde_json::json!({ "requestId": asker.request, "sockets": sockets }).to_string().into()
        }
        Answer::Clients(count) => json(map([
            ("type", Some(BROADCAST_CLIENT_COUNT.into())),
            ("requestId", request),
            ("clientCount", Some((*count as u64).into())),
        ])),
        Answer::Acknowledged(arguments) => value::encode(&map([
            ("type", Some(BROADCAST_ACK.into())),
            ("requestId", request),
            ("packet", Some(first(arguments))),
        ])),
        Answer::ServerSide(arguments) => json(map([
            ("type", Some(SERVER_SIDE_EMIT.into())),
            ("requestId", request),
            ("data", Some(first(arguments))),
        ])),
    }
}
