//! What the official Pusher libraries write and how pusher-js takes what is written here,
//! captured by `tests/golden/capture-pusher.mjs` and `capture_pusher.py`.

use mynah_protocol::pusher::http::{EventLimits, decode_batch, decode_event};
use mynah_protocol::pusher::presence::{MemberLimits, parse_channel_data, parse_user_data, roster};
use mynah_protocol::pusher::signature::{self, Auth, Request, RequestRefused, check_request};
use mynah_protocol::pusher::{
    ChannelKind, ChannelName, ClientFrame, FrameLimits, Query, SocketId, decode, encode,
    protocol_version,
};
use serde_json::Value;
use serde_json::value::RawValue;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../golden/pusher.json")).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value}"))
}

struct App {
    key: String,
    secret: String,
    socket_id: SocketId,
    now_s: i64,
}

fn app(vectors: &Value) -> App {
    let app = &vectors["app"];
    App {
        key: text(app, "key").to_owned(),
        secret: text(app, "secret").to_owned(),
        socket_id: text(app, "socket_id").parse().unwrap(),
        now_s: app["now_s"].as_i64().unwrap(),
    }
}

#[test]
fn requests_of_the_server_library_are_signed() {
    let vectors = vectors();
    let app = app(&vectors);
    for case in vectors["requests"].as_array().unwrap() {
        let query = Query::parse(text(case, "query"));
        let (method, path) = (text(case, "method"), text(case, "path"));
        let body = text(case, "body").as_bytes();
        let request = Request { method, path, query: &query, body };
        let check = |request, now_s| check_request(request, &app.key, &app.secret, now_s);
        assert_eq!(check(&request, app.now_s), Ok(()), "{case}");
        assert_eq!(check(&request, app.now_s + 600), Ok(()));
        assert_eq!(check(&request, app.now_s - 600), Ok(()));
        assert_eq!(check(&request, app.now_s + 601), Err(RequestRefused::Timestamp));
        assert_eq!(check(&request, app.now_s - 601), Err(RequestRefused::Timestamp));
        let other = Request { path: "/apps/8/events", ..request };
        assert_eq!(check(&other, app.now_s), Err(RequestRefused::Signature), "{case}");
        let other = Request { method: "PUT", ..request };
        assert_eq!(check(&other, app.now_s), Err(RequestRefused::Signature), "{case}");
        let foreign = check_request(&request, &app.key, "other", app.now_s);
        assert_eq!(foreign, Err(RequestRefused::Signature));
        if !body.is_empty() {
            let other = Request { body: b"{}  ", ..request };
            assert_eq!(check(&other, app.now_s), Err(RequestRefused::BodyMd5));
        }
    }
}

#[test]
fn requests_of_the_python_library_are_signed() {
    let vectors: Value =
        serde_json::from_str(include_str!("../golden/pusher-python.json")).unwrap();
    let (key, secret) = (text(&vectors["app"], "key"), text(&vectors["app"], "secret"));
    for case in vectors["requests"].as_array().unwrap() {
        let query = Query::parse(text(case, "query"));
        let now_s = query.get("auth_timestamp").unwrap().parse().unwrap();
        let (method, path) = (text(case, "method"), text(case, "path"));
        let body = text(case, "body").as_bytes();
        let request = Request { method, path, query: &query, body };
        assert_eq!(check_request(&request, key, secret, now_s), Ok(()), "{case}");
        let limits = EventLimits::default();
        match path.rsplit('/').next().unwrap() {
            "events" => drop(decode_event(body, &limits).unwrap()),
            "batch_events" => drop(decode_batch(body, &limits).unwrap()),
            _ => {}
        }
    }
}

#[test]
fn bodies_of_the_server_library_are_read() {
    let vectors = vectors();
    let limits = EventLimits::default();
    let mut events = Vec::new();
    for case in vectors["requests"].as_array().unwrap() {
        let body = text(case, "body").as_bytes();
        match text(case, "path").rsplit('/').next().unwrap() {
            "events" => events.push(decode_event(body, &limits).unwrap()),
            "batch_events" => events.extend(decode_batch(body, &limits).unwrap()),
            _ => {}
        }
    }
    let names: Vec<_> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["greeting", "é€😀", "e", "e", "note", "one", "two"]);
    let data: Vec<_> = events.iter().map(|event| event.data.as_str()).collect();
    assert_eq!(data[..3], [r#"{"text":"hi"}"#, "a \"text\" \\ \u{2028}", "[1,2.5,null]"]);
    assert!(data[3].contains("ciphertext"));
    let channels = |index: usize| -> Vec<&str> {
        events[index].channels.iter().map(ChannelName::as_str).collect()
    };
    assert_eq!(channels(1), ["a", "private-b"]);
    assert_eq!(channels(4), ["#server-to-user-7"]);
    assert_eq!(events[4].channels[0].user_id(), Some("7"));
    assert_eq!(events[1].socket_id, Some(SocketId::new(123, 456)));
    assert!(events[2].info.user_count && events[2].info.subscription_count);
    assert!(events[6].info.cache && !events[6].info.user_count);
}

#[test]
fn subscriptions_and_sign_ins_of_the_server_library_are_signed() {
    let vectors = vectors();
    let App { key, secret, socket_id, .. } = app(&vectors);
    let limits = MemberLimits::default();
    let z = ChannelName::parse("private-z", 200).unwrap();
    let mut members = Vec::new();
    for case in vectors["channels"].as_array().unwrap() {
        let channel = &ChannelName::parse(text(case, "channel"), 200).unwrap();
        let auth = Auth::split(text(case, "auth")).unwrap();
        let data = case["channel_data"].as_str();
        assert_eq!(auth.key, key);
        assert!(auth.signs_channel(&secret, socket_id, channel, data), "{case}");
        assert_eq!(signature::channel(&secret, socket_id, channel, data), auth.signature);
        let other = SocketId::new(1, 2);
        assert!(!auth.signs_channel(&secret, other, channel, data));
        assert!(!auth.signs_channel("other", socket_id, channel, data));
        assert!(!auth.signs_channel(&secret, socket_id, &z, data));
        assert!(!auth.signs_channel(&secret, socket_id, channel, Some("{}")));
        assert!(!auth.signs_user(&secret, socket_id, data.unwrap_or_default()));
        members.extend(data.map(|data| parse_channel_data(data, &limits).unwrap().user_id));
    }
    assert_eq!(members, ["7", "7", "é"]);
    let mut watched = Vec::new();
    for case in vectors["users"].as_array().unwrap() {
        let (data, auth) = (text(case, "user_data"), Auth::split(text(case, "auth")).unwrap());
        assert!(auth.signs_user(&secret, socket_id, data), "{case}");
        assert_eq!(signature::user(&secret, socket_id, data), auth.signature);
        assert!(!auth.signs_user(&secret, SocketId::new(1, 2), data));
        watched.push(parse_user_data(data, &limits).unwrap().watchlist);
    }
    assert_eq!(watched, [vec![], vec!["8".to_owned(), "9".to_owned()]]);
    let webhook = &vectors["webhook"];
    let signed = signature::webhook(&secret, text(webhook, "body").as_bytes());
    assert_eq!(signed, text(webhook, "signature"));
}

#[test]
fn frames_of_pusher_js_are_read() {
    let vectors = vectors();
    let App { key, secret, socket_id, .. } = app(&vectors);
    let (_, query) = text(&vectors, "url").split_once('?').unwrap();
    assert_eq!(protocol_version(&Query::parse(query)), Ok(7));
    let mut seen = Vec::new();
    for sent in vectors["sent"].as_array().unwrap() {
        let sent = sent.as_str().unwrap();
        let frame = decode(sent, &FrameLimits::default()).unwrap();
        seen.push(match frame {
            ClientFrame::Subscribe { channel, auth, channel_data } => {
                let name = ChannelName::parse(&channel, 200).unwrap();
                let kind = name.kind();
                assert_eq!(auth.is_some(), kind.is_signed(), "{sent}");
                assert_eq!(channel_data.is_some(), kind == ChannelKind::Presence, "{sent}");
                if let Some(auth) = auth {
                    let auth = Auth::split(&auth).unwrap();
                    assert_eq!(auth.key, key);
                    let data = channel_data.as_deref();
                    assert!(auth.signs_channel(&secret, socket_id, &name, data), "{sent}");
                }
                format!("+{channel}")
            }
            ClientFrame::Unsubscribe { channel } => format!("-{channel}"),
            ClientFrame::Ping => "ping".to_owned(),
            ClientFrame::Pong => "pong".to_owned(),
            ClientFrame::SignIn { auth, user_data } => {
                let auth = Auth::split(&auth).unwrap();
                assert!(auth.signs_user(&secret, socket_id, &user_data));
                parse_user_data(&user_data, &MemberLimits::default()).unwrap().id
            }
            ClientFrame::ClientEvent { event, channel, data } => {
                format!("{event} {channel} {}", data.get())
            }
            ClientFrame::Unknown { event } => panic!("{event}"),
        });
    }
    assert_eq!(
        seen,
        [
            "ping",
            "7",
            "+a",
            "+cache-a",
            "+private-a",
            "+private-b",
            "+presence-a",
            "+private-encrypted-a",
            "+#server-to-user-7",
            r#"client-typing private-b {"on":true,"é":"\u0000"}"#,
            "client-nothing presence-a null",
            r#"client-text presence-a "text""#,
            "-a",
            "pong",
        ]
    );
}

fn written(encode: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    encode(&mut out);
    String::from_utf8(out).unwrap()
}

/// How the vectors show that pusher-js understood each of these frames: the client connected,
/// signed in and answered the ping, or what it told its user is beside the frame.
#[test]
fn frames_are_as_pusher_js_took_them() {
    let vectors = vectors();
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let (ada, eve) = (raw(r#"{"name":"Ada"}"#), raw(r#"{"name":"Eve"}"#));
    let here = roster([("7", Some(&*ada)), ("é", None)]);
    let answers = [
        written(|out| encode::connection_established(SocketId::new(123, 456), 1, out)),
        written(|out| encode::signin_success(r#"{"id":"7"}"#, out)),
        written(encode::pong),
        written(encode::ping),
    ];
    assert_eq!(Value::from(answers.to_vec()), vectors["answers"]);
    let frames = [
        written(|out| encode::error(Some(4301), "Client event rejected.", out)),
        written(|out| encode::error(None, "é", out)),
        written(|out| encode::subscription_succeeded("a", None, out)),
        written(|out| encode::subscription_succeeded("presence-a", Some(&here), out)),
        written(|out| encode::subscription_error("private-a", "AuthError", "No.", 401, out)),
        written(|out| encode::member_added("presence-a", "8", Some(&eve), out)),
        written(|out| encode::member_added("presence-a", "9", None, out)),
        written(|out| encode::member_removed("presence-a", "8", out)),
        written(|out| encode::cache_miss("cache-a", out)),
        written(|out| encode::subscription_count("a", 3, out)),
        written(|out| encode::event(Some("a"), "greeting", r#"{"text":"\"é\""}"#, None, out)),
        written(|out| encode::event(Some("a"), "greeting", "no JSON", None, out)),
        written(|out| encode::event(Some("a"), "greeting", "\"7\"", None, out)),
        written(|out| encode::event(Some("presence-a"), "greeting", "{}", Some("7"), out)),
        written(|out| {
            let data = r#"{"on":[true]}"#;
            encode::client_event("client-typing", "presence-a", data, Some("7"), out);
        }),
        written(|out| {
            encode::client_event("client-typing", "private-b", "\"text\"", None, out);
        }),
        written(|out| encode::watchlist(&["8", "é"], &["9"], out)),
        written(|out| encode::event(Some("#server-to-user-7"), "note", r#"{"n":1}"#, None, out)),
    ];
    let reactions = vectors["reactions"].as_array().unwrap();
    let captured: Vec<_> = reactions.iter().map(|reaction| text(reaction, "frame")).collect();
    assert_eq!(frames.to_vec(), captured);
    for reaction in reactions {
        assert!(!reaction["heard"].as_array().unwrap().is_empty(), "{reaction}");
    }
}
