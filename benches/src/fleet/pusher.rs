//! The Pusher protocol as its clients speak it, and its HTTP API as a back end calls it.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use memchr::memmem;
use mynah_protocol::pusher::{ChannelName, SocketId, signature};

use super::Draft;
use crate::wire;

/// The app that Mynah has by itself while nobody sets any: id, key and secret.
const APP: (&str, &str, &str) = ("app-id", "app-key", "app-secret");
const CHANNEL_CHARS_MAX: usize = 200;

/// Request target of a socket.
pub(crate) const TARGET: &str = "/app/app-key?protocol=7&client=bench&version=1";
/// Name of the events that are measured, without `client-`.
const EVENT: &str = "message";

/// A socket and its channels.
pub(crate) struct Subscriber {
    channels: Vec<String>,
    confirmed: usize,
}

/// What a text meant.
pub(crate) enum Heard {
    /// Nothing to be counted.
    Little,
    /// All channels are subscribed.
    Ready,
    /// An event of the load, with the number its sender gave it.
    Event(Option<u64>),
    /// Something that must not happen.
    Trouble,
}

impl Subscriber {
    pub(crate) fn new(channels: Vec<String>) -> Self {
        Self { channels, confirmed: 0 }
    }

    /// Takes a text; what is to be answered is appended to `out`.
    pub(crate) fn hear(&mut self, text: &[u8], out: &mut Vec<u8>) -> Heard {
        let event = text.strip_prefix(br#"{"event":""#).unwrap_or_default();
        let is = |name: &[u8]| event.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"\""));
        if is(b"message") || is(b"client-message") {
            // Data of a back end is a text within the text.
            let seq = wire::number_after(text, br#"\"seq\":"#);
            return Heard::Event(seq.or_else(|| wire::number_after(text, br#""seq":"#)));
        }
        if is(b"pusher:connection_established") {
            let Some(socket_id) = socket_id(text) else { return Heard::Trouble };
            for channel in &self.channels {
                wire::encode_masked(wire::TEXT, subscribe(channel, socket_id).as_bytes(), out);
            }
            return Heard::Little;
        }
        if is(b"pusher:ping") {
            wire::encode_masked(wire::TEXT, br#"{"event":"pusher:pong","data":{}}"#, out);
            return Heard::Little;
        }
        if is(b"pusher_internal:subscription_succeeded") {
            self.confirmed += 1;
            return if self.confirmed == self.channels.len() {
                Heard::Ready
            } else {
                Heard::Little
            };
        }
        Heard::Trouble
    }

    /// Appends one client event.
    pub(crate) fn compose(draft: &Draft<'_>, room: u32, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
        let Draft { room_id, seq, at_ns, .. } = draft;
        scratch.clear();
        // Writing to a vector cannot fail.
        drop(write!(
            scratch,
            r#"{{"event":"client-{EVENT}","channel":"{room_id}","data":{{"seq":{seq},"content":""#
        ));
        wire::push_text(*at_ns, room, scratch);
        scratch.extend_from_slice(br#""}}"#);
        wire::encode_masked(wire::TEXT, scratch, out);
    }
}

fn socket_id(text: &[u8]) -> Option<SocketId> {
    let name = br#"\"socket_id\":\""#;
    let rest = text.get(memmem::find(text, name)? + name.len()..)?;
    let id = rest.get(..memmem::find(rest, b"\\\"")?)?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

/// A subscription, signed if the channel wants it.
fn subscribe(channel: &str, socket_id: SocketId) -> String {
    let (_, key, secret) = APP;
    let name = ChannelName::parse(channel, CHANNEL_CHARS_MAX).ok();
    let auth = name.filter(|name| name.kind().is_signed()).map_or_else(String::new, |name| {
        let signed = signature::channel(secret, socket_id, &name, None);
        format!(r#","auth":"{key}:{signed}""#)
    });
    format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"{auth}}}}}"#)
}

/// A kept connection of a back end; answers come in the order of the calls.
#[derive(Default)]
pub(crate) struct Caller {
    unanswered: VecDeque<u64>,
}

/// One answer of the HTTP API.
pub(crate) struct Answer<'a> {
    /// What was sent; `None` for the first, which only shows that somebody is there.
    pub(crate) draft: Option<u64>,
    pub(crate) is_ok: bool,
    pub(crate) text: &'a [u8],
    /// Bytes taken.
    pub(crate) bytes: usize,
}

impl Caller {
    /// Appends one signed `POST /apps/ID/events`.
    pub(crate) fn compose(
        &mut self,
        draft: &Draft<'_>,
        room: u32,
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) {
        let Draft { id, room_id, seq, at_ns, .. } = draft;
        self.unanswered.push_back(*id);
        scratch.clear();
        // Writing to a vector cannot fail.
        drop(write!(
            scratch,
            r#"{{"name":"{EVENT}","channel":"{room_id}","data":"{{\"seq\":{seq},\"content\":\""#
        ));
        wire::push_text(*at_ns, room, scratch);
        scratch.extend_from_slice(br#"\"}"}"#);
        let (app, key, secret) = APP;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let path = format!("/apps/{app}/events");
        let md5 = signature::body_md5(scratch);
        let query = format!("auth_key={key}&auth_timestamp={now}&auth_version=1.0&body_md5={md5}");
        // All of it is plain: what is signed is what is sent.
        let signed = signature::of_request(secret, &format!("POST\n{path}\n{query}"));
        drop(write!(
            out,
            "POST {path}?{query}&auth_signature={signed} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            scratch.len()
        ));
        out.extend_from_slice(scratch);
    }

    /// The answer at the head of some bytes, or `None` while it is incomplete.
    pub(crate) fn answer<'a>(&mut self, data: &'a [u8], is_first: bool) -> Option<Answer<'a>> {
        let head = memmem::find(data, b"\r\n\r\n")? + 4;
        let (head_text, rest) = data.split_at_checked(head)?;
        let lower = head_text.to_ascii_lowercase();
        let length = wire::number_after(&lower, b"content-length: ").unwrap_or(0) as usize;
        let text = rest.get(..length)?;
        let draft = if is_first { None } else { self.unanswered.pop_front() };
        let is_ok = head_text.starts_with(b"HTTP/1.1 200");
        Some(Answer { draft, is_ok, text: if is_ok { text } else { data }, bytes: head + length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_subscribes_with_a_signature_where_one_is_wanted() {
        let mut subscriber = Subscriber::new(vec!["a".to_owned(), "private-b".to_owned()]);
        let mut out = Vec::new();
        let established = br#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":30}"}"#;
        assert!(matches!(subscriber.hear(established, &mut out), Heard::Little));
        let mut sent = Vec::new();
        let mut rest = &out[..];
        while let Some(frame) = wire::frame(rest) {
            let mut payload = frame.payload.to_vec();
            wire::unmask(&mut payload, frame.mask.expect("masked"));
            sent.push(String::from_utf8(payload).expect("text"));
            rest = &rest[frame.bytes..];
        }
        assert_eq!(sent[0], r#"{"event":"pusher:subscribe","data":{"channel":"a"}}"#);
        assert!(sent[1].contains(r#""channel":"private-b","auth":"app-key:"#), "{}", sent[1]);
        let done =
            br#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}"#;
        assert!(matches!(subscriber.hear(done, &mut out), Heard::Little));
        assert!(matches!(subscriber.hear(done, &mut out), Heard::Ready));
        for text in [
            &br#"{"event":"message","channel":"a","data":"{\"seq\":7}"}"#[..],
            br#"{"event":"client-message","channel":"private-b","data":{"seq":7}}"#,
        ] {
            assert!(matches!(subscriber.hear(text, &mut out), Heard::Event(Some(7))));
        }
        assert!(matches!(
            subscriber.hear(br#"{"event":"pusher:error"}"#, &mut out),
            Heard::Trouble
        ));
    }

    #[test]
    fn answers_are_taken_one_by_one() {
        let mut caller = Caller::default();
        let (mut scratch, mut out) = (Vec::new(), Vec::new());
        for id in [3, 4] {
            let draft = Draft { id, room_id: "a", nonce: 0, seq: 1, at_ns: 5 };
            caller.compose(&draft, 0, &mut scratch, &mut out);
        }
        assert!(out.starts_with(b"POST /apps/app-id/events?auth_key=app-key&auth_timestamp="));
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".as_slice();
        let bad = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbad".as_slice();
        let both = [ok, bad].concat();
        assert!(caller.answer(&both[..30], false).is_none());
        let first = caller.answer(&both, false).expect("whole");
        assert_eq!((first.draft, first.is_ok, first.bytes), (Some(3), true, ok.len()));
        let second = caller.answer(&both[first.bytes..], false).expect("whole");
        assert_eq!((second.draft, second.is_ok, second.bytes), (Some(4), false, bad.len()));
    }
}
