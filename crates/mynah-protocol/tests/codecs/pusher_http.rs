//! Pusher's HTTP bodies, signed requests and webhooks by their rules.

use mynah_protocol::pusher::http::{
    BodyError, EventLimits, Info, app_not_found, decode_batch, decode_event, error_body,
};
use mynah_protocol::pusher::signature::{
    Auth, Request, RequestRefused, body_md5, channel, check_request, of_request, request,
};
use mynah_protocol::pusher::webhook::{WebhookEvent, envelope};
use mynah_protocol::pusher::{ChannelName, ChannelNameError, Query, SocketId};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW_S: i64 = 1_769_862_896;
const KEY: &str = "app-key";
const SECRET: &str = "app-secret";

fn event_error(body: &str) -> BodyError {
    decode_event(body.as_bytes(), &EventLimits::default()).unwrap_err()
}

#[test]
fn events_name_channels_and_carry_text() {
    let event = |body: &str| decode_event(body.as_bytes(), &EventLimits::default()).unwrap();
    let full = event(
        r#"{"name":"n","channels":["a","b","a"],"data":"{\"x\":1}","socket_id":"1.2","info":"cache"}"#,
    );
    let names: Vec<_> = full.channels.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!((full.name.as_str(), full.data.as_str()), ("n", r#"{"x":1}"#));
    assert_eq!(full.socket_id, Some(SocketId::new(1, 2)));
    assert_eq!(full.info, Info { cache: true, ..Info::default() });
    let short = event(r#"{"name":"n","channel":"a","data":"","socket_id":null,"other":1}"#);
    assert_eq!((short.channels.len(), short.data.as_str(), short.socket_id), (1, "", None));
    assert!(short.info.is_empty());
    // Soketi takes any JSON.
    let object = event(r#"{"name":"n","channel":"a","data":{"x": [1]}}"#);
    assert_eq!(object.data, r#"{"x": [1]}"#);
    let listed = event(r#"{"name":"n","channel":"a","data":"","info":["user_count","x"]}"#);
    assert!(listed.info.user_count && !listed.info.subscription_count);
}

#[test]
fn incorrect_bodies_are_refused() {
    for body in [
        "",
        "null",
        "7",
        "[]",
        "{}",
        "{",
        r#"["n","d","a",["a"],"1.2",""]"#,
        r#"{"name":"n","data":""}"#,
        r#"{"name":"n","channels":[],"data":""}"#,
        r#"{"name":"n","channels":null,"data":""}"#,
        r#"{"name":"n","channels":"a","data":""}"#,
        r#"{"name":"n","channels":{"0":"a"},"data":""}"#,
        r#"{"name":"n","channels":7,"data":""}"#,
        r#"{"name":"n","channels":[7],"data":""}"#,
        r#"{"name":"n","channels":[null],"data":""}"#,
        r#"{"name":"n","channel":7,"data":""}"#,
        r#"{"channel":"a","data":""}"#,
        r#"{"name":"","channel":"a","data":""}"#,
        r#"{"name":7,"channel":"a","data":""}"#,
        r#"{"name":"n","channel":"a"}"#,
        r#"{"name":"n","channel":"a","data":null}"#,
        r#"{"name":"n","channel":"a","data":"\ud800"}"#,
        r#"{"name":"n","channel":"a","data":"","info":7}"#,
        &"[".repeat(50_000),
        &format!(r#"{{"data":{}1{}}}"#, "[".repeat(100), "]".repeat(100)),
    ] {
        let error = event_error(body);
        assert_eq!(error, BodyError::Incorrect, "{body}");
        assert_eq!((error.status(), error.to_string().as_str()), (400, INCORRECT));
        let in_batch = decode_batch(body.as_bytes(), &EventLimits::default());
        assert_eq!(in_batch.unwrap_err(), BodyError::Incorrect, "{body}");
    }
    assert_eq!(decode_event(b"\xff", &EventLimits::default()), Err(BodyError::Incorrect));
}

const INCORRECT: &str = "The received data is incorrect";

#[test]
fn limits_are_told_in_words_callers_know() {
    let limits = EventLimits {
        channel_name_chars_max: 3,
        event_channels_max: 2,
        event_name_chars_max: 2,
        event_bytes_max: 512,
        batch_max: 1,
    };
    let event = |body: Value| decode_event(body.to_string().as_bytes(), &limits).unwrap_err();
    for (body, status, message) in [
        (
            json!({ "name": "n", "channels": ["a", "b", "c"], "data": "" }),
            400,
            "Cannot broadcast to more than 2 channels at once",
        ),
        (
            json!({ "name": "nnn", "channel": "a", "data": "" }),
            400,
            "Event name is too long. Maximum allowed size is 2.",
        ),
        (
            json!({ "name": "n", "channel": "a", "data": "x".repeat(513) }),
            413,
            "The event data should be less than 0.5 KB.",
        ),
        (
            json!({ "name": "n", "channel": "aaaa", "data": "" }),
            400,
            "The channel name is longer than the allowed 3 characters.",
        ),
        (
            json!({ "name": "n", "channel": "a", "data": "", "socket_id": "1" }),
            400,
            "Invalid socket id.",
        ),
        (
            json!({ "name": "n", "channel": "a", "data": "", "socket_id": 1.2 }),
            400,
            "Invalid socket id.",
        ),
    ] {
        let error = event(body.clone());
        assert_eq!((error.status(), error.to_string().as_str()), (status, message), "{body}");
    }
    let one = json!({ "name": "n", "channel": "a", "data": "" });
    let batch = |body: Value| decode_batch(body.to_string().as_bytes(), &limits);
    let error = batch(json!({ "batch": [one, one] })).unwrap_err();
    assert_eq!(error.to_string(), "Cannot batch-send more than 1 messages at once");
    assert_eq!(error.status(), 400);
}

#[test]
fn encrypted_events_go_to_one_channel() {
    let to = |channels: Value| {
        event_error(&json!({ "name": "n", "channels": channels, "data": "" }).to_string())
    };
    assert_eq!(to(json!(["private-encrypted-a", "b"])), BodyError::EncryptedWithOthers);
    let invalid = BodyError::Channel(ChannelNameError::Characters);
    assert_eq!(to(json!(["private-encrypted-a", "b c"])), invalid);
    assert_eq!(to(json!([""])), BodyError::Channel(ChannelNameError::Empty));
}

#[test]
fn a_batch_is_taken_whole_or_not() {
    let limits = EventLimits::default();
    let batch = |body: Value| decode_batch(body.to_string().as_bytes(), &limits);
    let one = json!({ "name": "n", "channel": "a", "data": "" });
    assert_eq!(batch(json!({ "batch": [] })).unwrap().len(), 0);
    assert_eq!(batch(json!({ "batch": [one, one] })).unwrap().len(), 2);
    for bad in [json!(null), json!({}), json!([]), json!("a"), json!({ "name": "n", "data": "" })] {
        let refused = batch(json!({ "batch": [one, bad] }));
        assert_eq!(refused.unwrap_err(), BodyError::Incorrect, "{bad}");
    }
    for bad in [json!(null), json!({}), json!("a"), json!(7)] {
        assert_eq!(batch(json!({ "batch": bad })).unwrap_err(), BodyError::Incorrect, "{bad}");
    }
}

#[test]
fn refusals_are_json() {
    let body: Value = serde_json::from_str(&error_body(&app_not_found("a\"b"), 404)).unwrap();
    assert_eq!(body, json!({ "error": "The app a\"b could not be found.", "code": 404 }));
}

/// A query whose signature covers `signed`, and the rest as given.
fn signed(query: &str, signed: &str) -> String {
    format!("{query}&auth_signature={}", of_request(SECRET, signed))
}

fn check(method: &str, path: &str, query: &str, body: &[u8]) -> Result<(), RequestRefused> {
    let query = Query::parse(query);
    check_request(&Request { method, path, query: &query, body }, KEY, SECRET, NOW_S)
}

const AUTH: &str = "auth_key=app-key&auth_timestamp=1769862896&auth_version=1.0";

#[test]
fn the_signature_covers_sorted_and_decoded_values() {
    let query = "B=2&a=%C3%A9+x&auth_signature=00&c[]=1&c[]=2";
    let text = request("post", "/apps/1/events%20", Query::parse(query).pairs());
    assert_eq!(text, "POST\n/apps/1/events%20\na=é x&b=2&c=1,2");
}

#[test]
fn every_way_to_sign_a_list_is_taken() {
    let path = "/apps/1/channels";
    for (sent, covered) in [
        ("info=a,b", "info=a,b"),
        ("info=a%2Cb", "info=a,b"),
        ("info[]=a&info[]=b", "info=a,b"),
        ("info[]=a&info[]=b", "info[]=a&info[]=b"),
        ("info%5B0%5D=a&info%5B1%5D=b", "info=a,b"),
        ("info%5B%5D=a&info%5B%5D=b", "info[]=a&info[]=b"),
        ("info=a&info=b", "info=a,b"),
        ("info=a&info=b", "info=a&info=b"),
        ("info=a%2Cb", "info=a%2Cb"),
        ("info=%C3%A9+%2C", "info=é+%2C"),
    ] {
        let text = format!("GET\n{path}\n{AUTH}&{covered}");
        let query = signed(&format!("{AUTH}&{sent}"), &text);
        assert_eq!(check("GET", path, &query, b""), Ok(()), "{sent} {covered}");
    }
}

#[test]
fn requests_are_refused_for_one_reason_each() {
    let path = "/apps/1/events";
    let body = br#"{"name":"n"}"#;
    let auth = |key: &str, timestamp: &str, version: &str| {
        let md5 = body_md5(body);
        let query = format!(
            "auth_key={key}&auth_timestamp={timestamp}&auth_version={version}&body_md5={md5}"
        );
        let text = format!("POST\n{path}\n{query}");
        signed(&query, &text)
    };
    let now = NOW_S.to_string();
    let good = auth(KEY, &now, "1.0");
    assert_eq!(check("POST", path, &good, body), Ok(()));
    let post = |query: &str| check("POST", path, query, body);
    assert_eq!(post(&auth("other", &now, "1.0")), Err(RequestRefused::Key));
    assert_eq!(post(&auth(KEY, &now, "1.1")), Err(RequestRefused::Version));
    for timestamp in ["0", "1769862295", "1769863497", "", "now", "-1", "9223372036854775808"] {
        assert_eq!(
            post(&auth(KEY, timestamp, "1.0")),
            Err(RequestRefused::Timestamp),
            "{timestamp}"
        );
    }
    for name in ["auth_key", "auth_timestamp", "auth_version", "auth_signature"] {
        let parts = || good.split('&');
        let without: Vec<_> = parts().filter(|part| !part.starts_with(name)).collect();
        assert_eq!(post(&without.join("&")), Err(RequestRefused::Missing(name)));
        let twice: Vec<_> = parts().chain(parts().filter(|part| part.starts_with(name))).collect();
        assert_eq!(post(&twice.join("&")), Err(RequestRefused::Missing(name)));
    }
    assert_eq!(check("POST", path, &good, b"{}"), Err(RequestRefused::BodyMd5));
    assert_eq!(check("POST", path, &good, b""), Err(RequestRefused::BodyMd5));
    assert_eq!(post(&format!("{good}&x=1")), Err(RequestRefused::Signature));
    assert_eq!(check("GET", path, &good, body), Err(RequestRefused::Signature));
    assert_eq!(check("POST", "/apps/2/events", &good, body), Err(RequestRefused::Signature));
    let without_md5 = signed(AUTH, &format!("POST\n{path}\n{AUTH}"));
    assert_eq!(check("POST", path, &without_md5, b""), Ok(()));
    assert_eq!(post(&without_md5), Err(RequestRefused::Missing("body_md5")));
}

#[test]
fn signatures_are_hexadecimal_and_whole() {
    let auth = |text: &'static str| Auth::split(text);
    assert_eq!(auth("a:b:c"), Some(Auth { key: "a", signature: "b:c" }));
    assert_eq!(auth("a"), None);
    let id = SocketId::new(1, 2);
    let name = ChannelName::parse("private-a", 200).unwrap();
    let good = channel(SECRET, id, &name, None);
    let is_good =
        |signature: &str| Auth { key: KEY, signature }.signs_channel(SECRET, id, &name, None);
    assert!(is_good(&good) && !is_good(&good.to_uppercase()));
    let cut = &good[..62];
    for bad in ["", cut, &good[..63], &format!("{good}0"), &format!("{cut}zz"), &format!("{cut}é")]
    {
        assert!(!is_good(bad), "{bad}");
    }
}

#[test]
fn webhooks_tell_what_happened() {
    let channel = "presence-a";
    let event = WebhookEvent::ClientEvent {
        channel,
        event: "client-a",
        data: r#"{"x":"\""}"#,
        socket_id: "1.2",
        user_id: Some("7"),
    };
    let events = [
        (WebhookEvent::ChannelOccupied { channel }, json!({ "name": "channel_occupied" })),
        (WebhookEvent::ChannelVacated { channel }, json!({ "name": "channel_vacated" })),
        (WebhookEvent::CacheMiss { channel }, json!({ "name": "cache_miss" })),
        (
            WebhookEvent::MemberAdded { channel, user_id: "é" },
            json!({ "name": "member_added", "user_id": "é" }),
        ),
        (
            WebhookEvent::MemberRemoved { channel, user_id: "7" },
            json!({ "name": "member_removed", "user_id": "7" }),
        ),
        (
            event,
            json!({
                "name": "client_event", "event": "client-a", "data": r#"{"x":"\""}"#,
                "socket_id": "1.2", "user_id": "7",
            }),
        ),
        (
            WebhookEvent::SubscriptionCount { channel, count: 3 },
            json!({ "name": "subscription_count", "subscription_count": 3 }),
        ),
    ];
    let texts: Vec<_> = events.iter().map(|(event, _)| event.to_json(None)).collect();
    let body = envelope(1_327_078_148_132, texts.iter().map(String::as_str));
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["time_ms"], 1_327_078_148_132_u64);
    for ((event, expected), got) in events.iter().zip(body["events"].as_array().unwrap()) {
        let mut expected = expected.clone();
        expected["channel"] = json!(channel);
        assert_eq!(*got, expected);
        assert_eq!((event.name(), event.channel()), (got["name"].as_str().unwrap(), channel));
    }
    let with_id: Value = serde_json::from_str(&event.to_json(Some("evt_1"))).unwrap();
    assert_eq!(with_id["event_id"], "evt_1");
    assert_eq!(envelope(0, []), r#"{"time_ms":0,"events":[]}"#);
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

proptest! {
    #[test]
    fn what_was_signed_is_accepted_and_nothing_else(
        pairs in prop::collection::btree_map("[a-z]{1,6}", any::<String>(), 0..5),
        body in any::<Vec<u8>>(), flip in 0_usize..64,
    ) {
        let md5 = if body.is_empty() { String::new() } else { body_md5(&body) };
        let mut all = pairs.clone();
        all.insert("auth_key".into(), KEY.into());
        all.insert("auth_timestamp".into(), NOW_S.to_string());
        all.insert("auth_version".into(), "1.0".into());
        if !md5.is_empty() {
            all.insert("body_md5".into(), md5);
        }
        let covered: Vec<_> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = format!("POST\n/apps/1/events\n{}", covered.join("&"));
        // As sent: encoded, in another order.
        let sent: Vec<_> =
            all.iter().rev().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        let query = signed(&sent.join("&"), &text);
        prop_assert_eq!(check("POST", "/apps/1/events", &query, &body), Ok(()));
        let at = query.len() - 1 - flip;
        let other = if query.as_bytes()[at] == b'0' { "1" } else { "0" };
        let mut forged = query;
        forged.replace_range(at..=at, other);
        prop_assert_eq!(
            check("POST", "/apps/1/events", &forged, &body), Err(RequestRefused::Signature)
        );
    }

    #[test]
    fn events_are_read_as_sent(
        name in ".{1,20}", data in any::<String>(),
        channels in prop::collection::btree_set("[A-Za-z0-9_=@,.;-]{1,20}", 1..5),
        high: u64, low: u64,
    ) {
        let socket_id = SocketId::new(high, low);
        prop_assume!(!channels.iter().any(|name| name.starts_with("private-encrypted-")));
        let event = json!({
            "name": name, "data": data, "channels": channels, "socket_id": socket_id.to_string(),
        });
        let limits = EventLimits::default();
        let read = decode_event(event.to_string().as_bytes(), &limits).unwrap();
        let batch = json!({ "batch": [event] }).to_string();
        prop_assert_eq!(&decode_batch(batch.as_bytes(), &limits).unwrap()[0], &read);
        prop_assert_eq!((read.name, read.data, read.socket_id), (name, data, Some(socket_id)));
        let names: Vec<_> = read.channels.iter().map(ToString::to_string).collect();
        prop_assert_eq!(names, channels.into_iter().collect::<Vec<_>>());
    }
}
