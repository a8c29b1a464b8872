//! Frames to clients. Each function appends one JSON text, the payload of a WebSocket message.
//!
//! `data` of the server's events is a string that holds JSON, which the clients in Swift, Java,
//! .NET and Dart rely on; exceptions, as Pusher makes them, are errors and refused subscriptions.
//! Raw JSON arguments are not validated.

use serde_json::value::RawValue;

use super::SocketId;
use crate::json::write_string;

/// The first frame: `{"event":"pusher:connection_established",
/// "data":"{\"socket_id\":\"123.456\",\"activity_timeout\":30}"}`.
///
/// A client that has heard nothing for `activity_timeout_s` pings; pusher-js refuses 0.
pub fn connection_established(socket_id: SocketId, activity_timeout_s: u32, out: &mut Vec<u8>) {
    let data =
        format!("{{\"socket_id\":\"{socket_id}\",\"activity_timeout\":{activity_timeout_s}}}");
    put_head(None, "pusher:connection_established", out);
    put_text_data(&data, out);
    out.push(b'}');
}

/// `{"event":"pusher:error","data":{"code":4301,"message":"…"}}`, the code `null` if there is
/// none. The data is an object: pusher-websocket-swift reads nothing else.
pub fn error(code: Option<u16>, message: &str, out: &mut Vec<u8>) {
    put_error(None, code, message, out);
}

/// An error about what a client sent to a channel, whose handlers it reaches: [`error`] with
/// `"channel":"private-a"`, as Soketi sends it.
pub fn channel_error(channel: &str, code: Option<u16>, message: &str, out: &mut Vec<u8>) {
    put_error(Some(channel), code, message, out);
}

fn put_error(channel: Option<&str>, code: Option<u16>, message: &str, out: &mut Vec<u8>) {
    put_head(channel, "pusher:error", out);
    out.extend_from_slice(b",\"data\":{\"code\":");
    match code {
        Some(code) => out.extend_from_slice(code.to_string().as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"message\":");
    write_string(message, out);
    out.extend_from_slice(b"}}");
}

/// `{"event":"pusher:ping","data":"{}"}`; the client answers with a pong.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"event":"pusher:ping","data":"{}"}"#);
}

/// `{"event":"pusher:pong","data":"{}"}`
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"event":"pusher:pong","data":"{}"}"#);
}

/// `{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}`; presence
/// channels name who is there: `presence` comes from [`super::presence::roster`] and makes the
/// data `{"presence":…}`.
pub fn subscription_succeeded(channel: &str, presence: Option<&str>, out: &mut Vec<u8>) {
    put_head(Some(channel), "pusher_internal:subscription_succeeded", out);
    match presence {
        Some(presence) => put_text_data(&format!("{{\"presence\":{presence}}}"), out),
        None => put_text_data("{}", out),
    }
    out.push(b'}');
}

/// Refuses a subscription: `{"event":"pusher:subscription_error","channel":"private-a",
/// "data":{"type":"AuthError","error":"…","status":401}}`. The data is an object, as Soketi
/// sends it.
///
/// `kind` is `AuthError` for whoever lacks a right, `LimitReached` and the like for others.
pub fn subscription_error(channel: &str, kind: &str, error: &str, status: u16, out: &mut Vec<u8>) {
    put_head(Some(channel), "pusher:subscription_error", out);
    out.extend_from_slice(b",\"data\":{\"type\":");
    write_string(kind, out);
    out.extend_from_slice(b",\"error\":");
    write_string(error, out);
    out.extend_from_slice(format!(",\"status\":{status}}}}}").as_bytes());
}

/// The first socket of a user came: `{"event":"pusher_internal:member_added",
/// "channel":"presence-a","data":"{\"user_id\":\"7\",\"user_info\":{}}"}`; `user_info` is `null`
/// if there is none.
pub fn member_added(channel: &str, user_id: &str, user_info: Option<&RawValue>, out: &mut Vec<u8>) {
    let mut data = b"{\"user_id\":".to_vec();
    write_string(user_id, &mut data);
    data.extend_from_slice(b",\"user_info\":");
    data.extend_from_slice(user_info.map_or("null", RawValue::get).as_bytes());
    data.push(b'}');
    put_internal(channel, "pusher_internal:member_added", &data, out);
}

/// The last socket of a user left: `{"event":"pusher_internal:member_removed",
/// "channel":"presence-a","data":"{\"user_id\":\"7\"}"}`.
pub fn member_removed(channel: &str, user_id: &str, out: &mut Vec<u8>) {
    let mut data = b"{\"user_id\":".to_vec();
    write_string(user_id, &mut data);
    data.push(b'}');
    put_internal(channel, "pusher_internal:member_removed", &data, out);
}

/// A cache channel remembers nothing: `{"event":"pusher:cache_miss","channel":"cache-a"}`.
pub fn cache_miss(channel: &str, out: &mut Vec<u8>) {
    put_head(Some(channel), "pusher:cache_miss", out);
    out.push(b'}');
}

/// `{"event":"pusher_internal:subscription_count","channel":"a",
/// "data":"{\"subscription_count\":3}"}`
pub fn subscription_count(channel: &str, count: u64, out: &mut Vec<u8>) {
    let data = format!("{{\"subscription_count\":{count}}}");
    put_internal(channel, "pusher_internal:subscription_count", data.as_bytes(), out);
}

/// `{"event":"pusher:signin_success","data":"{\"user_data\":\"{\\\"id\\\":\\\"7\\\"}\"}"}`;
/// `user_data` is what the client sent.
pub fn signin_success(user_data: &str, out: &mut Vec<u8>) {
    let mut data = b"{\"user_data\":".to_vec();
    write_string(user_data, &mut data);
    data.push(b'}');
    put_head(None, "pusher:signin_success", out);
    put_text_data(&String::from_utf8_lossy(&data), out);
    out.push(b'}');
}

/// Who of a user's watchlist came and went: `{"event":"pusher_internal:watchlist_events",
/// "data":"{\"events\":[{\"name\":\"online\",\"user_ids\":[\"7\"]}]}"}`; an empty list is left
/// out.
pub fn watchlist(online: &[&str], offline: &[&str], out: &mut Vec<u8>) {
    let mut data = b"{\"events\":[".to_vec();
    let start = data.len();
    for (name, ids) in [("online", online), ("offline", offline)] {
        if ids.is_empty() {
            continue;
        }
        if data.len() > start {
            data.push(b',');
        }
        data.extend_from_slice(format!("{{\"name\":\"{name}\",\"user_ids\":[").as_bytes());
        for (index, id) in ids.iter().enumerate() {
            if index > 0 {
                data.push(b',');
            }
            write_string(id, &mut data);
        }
        data.extend_from_slice(b"]}");
    }
    data.extend_from_slice(b"]}");
    put_head(None, "pusher_internal:watchlist_events", out);
    put_text_data(&String::from_utf8_lossy(&data), out);
    out.push(b'}');
}

/// An event of a back end: `{"event":"greeting","channel":"a","data":"{\"text\":\"hi\"}"}`.
///
/// `data` reaches the client's handler byte for byte (parsed, if it is JSON); `user_id` names the
/// member a presence channel's event comes from. Without a channel the event goes to sockets.
pub fn event(
    channel: Option<&str>,
    event: &str,
    data: &str,
    user_id: Option<&str>,
    out: &mut Vec<u8>,
) {
    put_head(channel, event, out);
    put_text_data(data, out);
    put_user_id(user_id, out);
    out.push(b'}');
}

/// An event of another client: `{"event":"client-typing","channel":"presence-a","data":{},
/// "user_id":"7"}`; `data` is the sender's JSON, `user_id` given on presence channels.
pub fn client_event(
    event: &str,
    channel: &str,
    data: &str,
    user_id: Option<&str>,
    out: &mut Vec<u8>,
) {
    put_head(Some(channel), event, out);
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(data.as_bytes());
    put_user_id(user_id, out);
    out.push(b'}');
}

fn put_head(channel: Option<&str>, event: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"event\":");
    write_string(event, out);
    if let Some(channel) = channel {
        out.extend_from_slice(b",\"channel\":");
        write_string(channel, out);
    }
}

fn put_text_data(data: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"data\":");
    write_string(data, out);
}

fn put_user_id(user_id: Option<&str>, out: &mut Vec<u8>) {
    if let Some(user_id) = user_id {
        out.extend_from_slice(b",\"user_id\":");
        write_string(user_id, out);
    }
}

fn put_internal(channel: &str, event: &str, data: &[u8], out: &mut Vec<u8>) {
    put_head(Some(channel), event, out);
    put_text_data(&String::from_utf8_lossy(data), out);
    out.push(b'}');
}
