//! The messages of `createShardedAdapter` of `@socket.io/redis-adapter` 8: `{"uid","nsp","type","data"}` as JSON, or as
//! msgpack if binary data is in it.

use rmpv::Value;

use super::value::{self, Garbage, get, text};
use super::{
    Answer, Asker, Emission, Flags, Heard, Target, data, emission, first, flags, json, map,
    options, target,
};

const BROADCAST: u64 = 3;
const SOCKETS_JOIN: u64 = 4;
const SOCKETS_LEAVE: u64 = 5;
const DISCONNECT_SOCKETS: u64 = 6;
const FETCH_SOCKETS: u64 = 7;
const FETCH_SOCKETS_RESPONSE: u64 = 8;
const SERVER_SIDE_EMIT: u64 = 9;
const SERVER_SIDE_EMIT_RESPONSE: u64 = 10;
const BROADCAST_CLIENT_COUNT: u64 = 11;
const BROADCAST_ACK: u64 = 12;
/// The last one there is.
const LAST: u64 = 13;

const EVENT: u64 = 2;
/// Rooms with names of this length are taken for ids of sockets, which have no channel.
const ID_LENGTH: usize = 20;

/// The channel of a namespace: `socket.io#/chat#`.
pub(super) fn channel(key: &str, namespace: &str) -> String {
    format!("{key}#{namespace}#")
}

/// The channel of a room, or of a server's answers.
pub(super) fn channel_of(base: &str, name: &str) -> String {
    format!("{base}{name}#")
}

/// Whether a room has a channel of its own; JavaScript counts UTF-16 units.
pub(super) fn has_channel(room: &str) -> bool {
    room.encode_utf16().count() != ID_LENGTH
}

/// Where an event for these goes.
pub(super) fn channel_for(base: &str, target: &Target) -> String {
    match target.rooms.as_slice() {
        [room] if has_channel(room) => channel_of(base, room),
        _ => base.to_owned(),
    }
}

/// Reads a message; who sent it. `None` if it is for another namespace.
pub(super) fn message(input: &[u8], namespace: &str) -> Result<Option<(String, Heard)>, Garbage> {
    let message = value::decode(input)?;
    let uid = get(&message, "uid").and_then(text).ok_or(Garbage)?;
    if get(&message, "nsp").and_then(Value::as_str) != Some(namespace) {
        return Ok(None);
    }
    let kind = get(&message, "type").and_then(Value::as_u64).ok_or(Garbage)?;
    let empty = Value::Nil;
    let body = get(&message, "data").unwrap_or(&empty);
    let request = get(body, "requestId").and_then(text);
    let asker = request.map(|request| Asker { uid: uid.clone(), request });
    let opts = get(body, "opts");
    let rooms = || value::texts(get(body, "rooms"));
    let heard = match kind {
        BROADCAST => {
            let packet = get(body, "packet").ok_or(Garbage)?;
            Heard::Broadcast {
                target: target(opts)?,
                flags: flags(opts),
                emission: emission(get(packet, "data").cloned())?,
                asker,
            }
        }
        SOCKETS_JOIN => Heard::Join(target(opts)?, rooms()?),
        SOCKETS_LEAVE => Heard::Leave(target(opts)?, rooms()?),
        DISCONNECT_SOCKETS => {
            let is_whole = get(body, "close").and_then(Value::as_bool).unwrap_or_default();
            Heard::Disconnect(target(opts)?, is_whole)
        }
        FETCH_SOCKETS => Heard::Fetch(asker.ok_or(Garbage)?, target(opts)?),
        SERVER_SIDE_EMIT => Heard::ServerSide(emission(get(body, "packet").cloned())?, asker),
        0..=LAST => Heard::Other,
        _ => return Err(Garbage),
    };
    Ok(Some((uid, heard)))
}

fn write(uid: &str, namespace: &str, kind: u64, body: Value) -> Vec<u8> {
    let is_binary = value::has_binary(&body);
    let message = map([
        ("uid", Some(uid.into())),
        ("nsp", Some(namespace.into())),
        ("type", Some(kind.into())),
        ("data", Some(body)),
    ]);
    if is_binary { value::encode(&message) } else { json(message) }
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
    let body = map([("packet", Some(packet)), ("opts", Some(options(target, flags)))]);
    write(uid, namespace, BROADCAST, body)
}

/// Joining, leaving, disconnecting and events between servers; of other things nothing.
pub(super) fn write_request(uid: &str, namespace: &str, what: &Heard) -> Option<Vec<u8>> {
    let names =
        |names: &[String]| Value::Array(names.iter().map(|name| name.as_str().into()).collect());
    let whom = |target: &Target| Some(options(target, Flags::default()));
    let (kind, body) = match what {
        Heard::Join(target, rooms) => {
            (SOCKETS_JOIN, map([("opts", whom(target)), ("rooms", Some(names(rooms)))]))
        }
        Heard::Leave(target, rooms) => {
            (SOCKETS_LEAVE, map([("opts", whom(target)), ("rooms", Some(names(rooms)))]))
        }
        Heard::Disconnect(target, is_whole) => {
            let close = Some((*is_whole).into());
            (DISCONNECT_SOCKETS, map([("opts", whom(target)), ("close", close)]))
        }
        Heard::ServerSide(emission, None) => {
            (SERVER_SIDE_EMIT, map([("packet", Some(data(emission)))]))
        }
        Heard::ServerSide(_, Some(_))
        | Heard::Broadcast { .. }
        | Heard::One(..)
        | Heard::Fetch(..)
        | Heard::Sockets(..)
        | Heard::Rooms(_)
        | Heard::Other => return None,
    };
    Some(write(uid, namespace, kind, body))
}

/// An answer to a request; nothing to what is not asked in this format.
pub(super) fn write_answer(
    uid: &str,
    namespace: &str,
    asker: &Asker,
    answer: &Answer,
) -> Option<Vec<u8>> {
    let request = Some(asker.request.as_str().into());
    let (kind, body) = match answer {
        Answer::Sockets(sockets) => {
            let sockets: Vec<_> = sockets.iter().map(super::LocalSocket::to_json).collect();
            let body = serde_json::json!({ "requestId": asker.request, "sockets": sockets });
            let message = serde_json::json!({
                "uid": uid, "nsp": namespace, "type": FETCH_SOCKETS_RESPONSE, "data": body,
            });
            return Some(message.to_string().into_bytes());
        }
        Answer::Clients(count) => {
            let count = Some((*count as u64).into());
            (BROADCAST_CLIENT_COUNT, map([("requestId", request), ("clientCount", count)]))
        }
        Answer::Acknowledged(arguments) => {
            (BROADCAST_ACK, map([("requestId", request), ("packet", Some(first(arguments)))]))
        }
        Answer::ServerSide(arguments) => {
            let packet = Some(first(arguments));
            (SERVER_SIDE_EMIT_RESPONSE, map([("requestId", request), ("packet", packet)]))
        }
        Answer::Done | Answer::SocketIds(_) | Answer::Rooms(_) => return None,
    };
    Some(write(uid, namespace, kind, body))
}
