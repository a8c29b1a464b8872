//! Frames of Pusher clients: no panic, limits kept, and what was read is written again alike.
//! What frames carry as text (names, members, sign-ins, signatures) is read as well.

use std::collections::BTreeMap;

use mynah_protocol::pusher::presence::{MemberLimits, parse_channel_data, parse_user_data, roster};
use mynah_protocol::pusher::signature::Auth;
use mynah_protocol::pusher::{
    ChannelKind, ChannelName, ClientFrame, FrameLimits, SocketId, decode, encode,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};

const LIMITS: FrameLimits =
    FrameLimits { depth_max: 16, keys_max: 64, event_name_chars_max: 40, event_bytes_max: 200 };
const MEMBERS: MemberLimits =
    MemberLimits { user_id_chars_max: 20, user_info_bytes_max: 60, watchlist_max: 4 };
const NAME_CHARS_MAX: usize = 40;

/// Judges one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    // Every part alone, so that finding one needs no valid frame around it.
    check_name(text);
    check_member(text);
    check_user(text);
    if let Ok(id) = text.parse::<SocketId>() {
        assert_eq!(id.to_string(), text);
    }
    match decode(text, &LIMITS) {
        Ok(frame) => check_frame(&frame),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_frame(frame: &ClientFrame) {
    let again = match frame {
        ClientFrame::Subscribe { channel, auth, channel_data } => {
            check_name(channel);
            check_auth(auth.as_deref().unwrap_or_default(), channel, channel_data.as_deref());
            if let Some(data) = channel_data {
                check_member(data);
            }
            json!({ "event": "pusher:subscribe",
                "data": { "channel": channel, "auth": auth, "channel_data": channel_data } })
        }
        ClientFrame::Unsubscribe { channel } => {
            json!({ "event": "pusher:unsubscribe", "data": { "channel": channel } })
        }
        ClientFrame::Ping => json!({ "event": "pusher:ping" }),
        ClientFrame::Pong => json!({ "event": "pusher:pong" }),
        ClientFrame::SignIn { auth, user_data } => {
            check_auth(auth, user_data, None);
            check_user(user_data);
            let data = json!({ "auth": auth, "user_data": user_data });
            json!({ "event": "pusher:signin", "data": data.to_string() })
        }
        ClientFrame::ClientEvent { event, channel, data } => {
            assert!(event.starts_with("client-") && event.chars().count() <= 40);
            assert!(data.get().len() <= LIMITS.event_bytes_max);
            let mut out = Vec::new();
            encode::client_event(event, channel, data.get(), Some("7"), &mut out);
            check_again(frame, str::from_utf8(&out).expect("text"));
            return;
        }
        ClientFrame::Unknown { event } => {
            assert!(!event.starts_with("client-") && event != "pusher:subscribe");
            json!({ "event": event })
        }
    };
    check_again(frame, &again.to_string());
}

fn check_again(frame: &ClientFrame, again: &str) {
    let read = decode(again, &LIMITS).expect("what was read can be read again");
    assert_eq!(format!("{read:?}"), format!("{frame:?}"));
}

fn check_name(text: &str) {
    let Ok(name) = ChannelName::parse(text, NAME_CHARS_MAX) else { return };
    assert_eq!(name.as_str(), text);
    let kind = match text {
        _ if text.starts_with("private-encrypted-") => ChannelKind::Encrypted,
        _ if text.starts_with("private-") => ChannelKind::Private,
        _ if text.starts_with("presence-") => ChannelKind::Presence,
        _ if text.starts_with('#') => ChannelKind::User,
        _ => ChannelKind::Public,
    };
    assert_eq!(name.kind(), kind);
    assert_eq!(name.user_id().is_some(), kind == ChannelKind::User);
    assert!(!name.is_cache() || text.contains("cache-"));
}

fn check_auth(auth: &str, text: &str, data: Option<&str>) {
    let Some(auth) = Auth::split(auth) else { return };
    // Nobody who does not know the secret signs anything.
    let id = SocketId::new(1, 2);
    if let Ok(name) = ChannelName::parse(text, NAME_CHARS_MAX) {
        assert!(!auth.signs_channel("a secret", id, &name, data));
    }
    assert!(!auth.signs_user("a secret", id, text));
}

fn check_member(text: &str) {
    let Ok(member) = parse_channel_data(text, &MEMBERS) else { return };
    assert!((1..=20).contains(&member.user_id.chars().count()));
    let listed = roster([(member.user_id.as_str(), member.user_info.as_deref())]);
    // Shallow: `user_info` may hold numbers that no program can represent.
    let listed: BTreeMap<&str, &RawValue> = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["ids"].get(), json!([member.user_id]).to_string());
    let mut out = Vec::new();
    encode::member_added("presence-a", &member.user_id, member.user_info.as_deref(), &mut out);
    let added: Value = serde_json::from_slice(&out).expect("JSON");
    let data = added["data"].as_str().expect("a string");
    let again = parse_channel_data(data, &MEMBERS).expect("a member");
    assert_eq!(format!("{again:?}"), format!("{member:?}"));
}

fn check_user(text: &str) {
    let Ok(user) = parse_user_data(text, &MEMBERS) else { return };
    assert!(user.watchlist.len() <= 4 && user.watchlist.is_sorted());
    assert!(!user.id.is_empty() && !user.watchlist.contains(&String::new()));
    let ids: Vec<&str> = user.watchlist.iter().map(String::as_str).collect();
    let mut out = Vec::new();
    encode::watchlist(&ids, &[user.id.as_str()], &mut out);
    encode::signin_success(text, &mut out);
    let frames = serde_json::Deserializer::from_slice(&out).into_iter::<Value>();
    assert_eq!(frames.filter_map(Result::ok).count(), 2);
}
