//! The Pusher codec by its rules: names, frames, members.

use mynah_protocol::pusher::presence::{
    MemberError, MemberLimits, parse_channel_data, parse_user_data, roster,
};
use mynah_protocol::pusher::{
    ChannelKind, ChannelName, ChannelNameError, ClientFrame, CloseCode, FrameError, FrameLimits,
    Query, SocketId, decode, encode, protocol_version,
};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

fn refused(text: &str) -> FrameError {
    decode(text, &FrameLimits::default()).unwrap_err()
}

fn accepted(text: &str) -> ClientFrame {
    decode(text, &FrameLimits::default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn written(encode: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    encode(&mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn socket_ids_have_one_spelling() {
    let id = SocketId::new(7, u64::MAX);
    assert_eq!(id.to_string(), "7.18446744073709551615");
    assert_eq!(id.to_string().parse(), Ok(id));
    for text in
        ["", ".", "1", "1.", ".1", "1.2.3", "01.2", "1.02", "+1.2", "1.2 ", "a.1", "1,2", "1.-2"]
    {
        assert!(text.parse::<SocketId>().is_err(), "{text}");
    }
    assert!("1.18446744073709551616".parse::<SocketId>().is_err());
    assert!(format!("1.{}", "1".repeat(1000)).parse::<SocketId>().is_err());
}

#[test]
fn the_prefix_at_the_start_tells_the_kind() {
    for (name, kind, is_cache) in [
        ("a", ChannelKind::Public, false),
        ("my-private-room", ChannelKind::Public, false),
        ("my-cache-x", ChannelKind::Public, false),
        ("Private-a", ChannelKind::Public, false),
        ("private", ChannelKind::Public, false),
        ("cache-a", ChannelKind::Public, true),
        ("private-a", ChannelKind::Private, false),
        ("private-x-encrypted-a", ChannelKind::Private, false),
        ("private-x-cache-a", ChannelKind::Private, false),
        ("private-cache-a", ChannelKind::Private, true),
        ("private-cache-encrypted-a", ChannelKind::Private, true),
        ("private-encrypted-a", ChannelKind::Encrypted, false),
        ("private-encrypted-cache-a", ChannelKind::Encrypted, true),
        ("presence-a", ChannelKind::Presence, false),
        ("presence-private-a", ChannelKind::Presence, false),
        ("presence-cache-a", ChannelKind::Presence, true),
        ("#server-to-user-cache-a", ChannelKind::User, false),
        ("A-Z_=@,.;9", ChannelKind::Public, false),
    ] {
        let channel = ChannelName::parse(name, 200).unwrap();
        assert_eq!((channel.kind(), channel.is_cache()), (kind, is_cache), "{name}");
        assert_eq!(channel.as_str(), name);
    }
    let user = ChannelName::of_user("é 7", 200).unwrap();
    assert_eq!((user.kind(), user.user_id()), (ChannelKind::User, Some("é 7")));
    let takes = [ChannelKind::Private, ChannelKind::Presence];
    assert!(takes.iter().all(|kind| kind.takes_client_events() && kind.is_signed()));
    for kind in [ChannelKind::Public, ChannelKind::Encrypted, ChannelKind::User] {
        assert!(!kind.takes_client_events());
    }
}

#[test]
fn other_names_are_refused() {
    assert_eq!(ChannelName::parse("", 9), Err(ChannelNameError::Empty));
    assert_eq!(ChannelName::parse("#server-to-user-", 9), Err(ChannelNameError::Empty));
    let long = Err(ChannelNameError::TooLong { chars_max: 9 });
    assert!(ChannelName::parse("123456789", 9).is_ok());
    assert_eq!(ChannelName::parse("1234567890", 9), long);
    assert!(ChannelName::of_user("ééééééééé", 9).is_ok());
    assert_eq!(ChannelName::of_user("éééééééééé", 9), long);
    for name in ["a b", "a/b", "#a", "é", "a\n", "a:b", "#server-to-user-a\u{0}", "a\u{0}"] {
        assert_eq!(ChannelName::parse(name, 200), Err(ChannelNameError::Characters), "{name}");
    }
}

#[test]
fn data_may_be_an_object_or_a_string_that_holds_one() {
    for text in [
        r#"{"event":"pusher:subscribe","data":{"channel":"private-a","auth":"K:S"}}"#,
        r#"{"event":"pusher:subscribe","data":"{\"channel\":\"private-a\",\"auth\":\"K:S\"}"}"#,
        r#" {"data":{"auth":"K:S","x":[],"channel":"private-a"},"event":"pusher:subscribe"} "#,
    ] {
        let ClientFrame::Subscribe { channel, auth, channel_data } = accepted(text) else {
            panic!("{text}")
        };
        assert_eq!(channel, "private-a");
        assert_eq!((auth.as_deref(), channel_data), (Some("K:S"), None));
    }
    for text in [
        r#"{"event":"pusher:subscribe","data":{"channel":"a"}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"a","auth":"","channel_data":""}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"a","auth":null,"channel_data":null}}"#,
    ] {
        let ClientFrame::Subscribe { auth, channel_data, .. } = accepted(text) else {
            panic!("{text}")
        };
        assert_eq!((auth, channel_data), (None, None));
    }
    let text = r#"{"event":"pusher:unsubscribe","data":"{\"channel\":\"a\"}"}"#;
    assert!(matches!(accepted(text), ClientFrame::Unsubscribe { channel } if channel == "a"));
    let text = r#"{"event":"pusher:signin","data":"{\"auth\":\"K:S\",\"user_data\":\"{}\"}"}"#;
    assert!(matches!(accepted(text), ClientFrame::SignIn { user_data, .. } if user_data == "{}"));
}

#[test]
fn pings_need_no_data() {
    for data in ["", r#","data":{}"#, r#","data":"{}""#, r#","data":null"#, r#","data":[1]"#] {
        let ping = format!(r#"{{"event":"pusher:ping"{data}}}"#);
        assert!(matches!(accepted(&ping), ClientFrame::Ping), "{ping}");
        let pong = format!(r#"{{"event":"pusher:pong"{data}}}"#);
        assert!(matches!(accepted(&pong), ClientFrame::Pong), "{pong}");
    }
}

#[test]
fn malformed_frames_are_refused_with_a_sentence() {
    for (text, error) in [
        ("", FrameError::NotAnObject),
        ("null", FrameError::NotAnObject),
        ("7", FrameError::NotAnObject),
        ("[]", FrameError::NotAnObject),
        (r#"["pusher:ping",null,null]"#, FrameError::NotAnObject),
        ("{", FrameError::NotAnObject),
        (r#"{"event":"pusher:ping"}{"#, FrameError::NotAnObject),
        (r#"{"event":"a","event":"b"}"#, FrameError::NotAnObject),
        ("{}", FrameError::NoEvent),
        (r#"{"event":7}"#, FrameError::NoEvent),
        (r#"{"event":{"a":1}}"#, FrameError::NoEvent),
        (r#"{"event":"\ud800"}"#, FrameError::NoEvent),
        (r#"{"event":"pusher:subscribe"}"#, FrameError::NoData),
        (r#"{"event":"pusher:subscribe","data":null}"#, FrameError::NoData),
        (r#"{"event":"pusher:subscribe","data":7}"#, FrameError::NoData),
        (r#"{"event":"pusher:subscribe","data":["a"]}"#, FrameError::NoData),
        (r#"{"event":"pusher:subscribe","data":"a"}"#, FrameError::NoData),
        (r#"{"event":"pusher:subscribe","data":"\"{}\""}"#, FrameError::NoData),
        (r#"{"event":"pusher:subscribe","data":{}}"#, FrameError::NoChannel),
        (r#"{"event":"pusher:subscribe","data":{"channel":7}}"#, FrameError::NoChannel),
        (r#"{"event":"pusher:subscribe","data":{"channel":null}}"#, FrameError::NoChannel),
        (r#"{"event":"pusher:unsubscribe","data":{"channel":[]}}"#, FrameError::NoChannel),
        (
            r#"{"event":"pusher:subscribe","data":{"channel":"a","auth":7}}"#,
            FrameError::InvalidAuth,
        ),
        (
            r#"{"event":"pusher:subscribe","data":{"channel":"a","channel_data":{}}}"#,
            FrameError::InvalidAuth,
        ),
        (r#"{"event":"pusher:signin"}"#, FrameError::InvalidSignIn),
        (r#"{"event":"pusher:signin","data":{}}"#, FrameError::InvalidSignIn),
        (r#"{"event":"pusher:signin","data":{"auth":"K:S"}}"#, FrameError::InvalidSignIn),
        (
            r#"{"event":"pusher:signin","data":{"auth":"K:S","user_data":{"id":"7"}}}"#,
            FrameError::InvalidSignIn,
        ),
        (r#"{"event":"client-a","data":{}}"#, FrameError::ClientEventNoChannel),
        (r#"{"event":"client-a","channel":7}"#, FrameError::ClientEventNoChannel),
    ] {
        assert_eq!(refused(text), error, "{text}");
        assert!(!error.to_string().is_empty());
    }
    assert_eq!(FrameError::InvalidSignIn.code(), Some(4009));
    assert_eq!(FrameError::ClientEventNoChannel.code(), Some(4301));
    assert_eq!(FrameError::NotAnObject.code(), None);
}

#[test]
fn depth_and_size_are_bounded() {
    assert_eq!(refused(&"[".repeat(50_000)), FrameError::TooDeep);
    assert_eq!(refused(&r#"{"a":"#.repeat(50_000)), FrameError::TooDeep);
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deep = format!(r#"{{"event":"client-a","channel":"a","data":{}}}"#, nested(20_000));
    assert_eq!(refused(&deep), FrameError::TooDeep);
    let inner = serde_json::to_string(&nested(20_000)).unwrap();
    let hidden = format!(r#"{{"event":"pusher:subscribe","data":{inner}}}"#);
    assert_eq!(refused(&hidden), FrameError::TooDeep);
    let keys: Vec<_> = (0..10_001).map(|key| format!("\"{key}\":0")).collect();
    assert_eq!(refused(&format!("{{{}}}", keys.join(","))), FrameError::TooManyKeys);

    let limits =
        FrameLimits { event_name_chars_max: 9, event_bytes_max: 4, ..FrameLimits::default() };
    let judge = |text: &str| decode(text, &limits).map(drop);
    let event = |name: &str, data: &str| {
        format!(r#"{{"event":"{name}","channel":"private-a","data":{data}}}"#)
    };
    assert_eq!(judge(&event("client-éé", "\"ab\"")), Ok(()));
    let error = FrameError::EventNameTooLong { chars_max: 9 };
    assert_eq!(judge(&event("client-ééé", "1")), Err(error));
    assert_eq!(error.code(), Some(4301));
    assert_eq!(error.to_string(), "Event name is too long. Maximum allowed size is 9.");
    let error = FrameError::EventDataTooLarge { bytes_max: 4 };
    assert_eq!(judge(&event("client-a", "\"abc\"")), Err(error));
    let error = FrameError::EventDataTooLarge { bytes_max: 102_400 };
    assert_eq!(error.to_string(), "The event data should be less than 100 KB.");
}

#[test]
fn only_names_that_start_with_client_are_client_events() {
    for name in [
        "pusher:client-x",
        "pusher_internal:client-x",
        "my-client-x",
        "Client-x",
        "pusher:error",
        "pusher_internal:subscription_succeeded",
        "",
    ] {
        let text = format!(r#"{{"event":"{name}","channel":"private-a","data":{{}}}}"#);
        let ClientFrame::Unknown { event } = accepted(&text) else { panic!("{name}") };
        assert_eq!(event, name);
    }
}

#[test]
fn the_version_is_a_number_up_to_7() {
    let version = |query: &str| protocol_version(&Query::parse(query));
    assert_eq!(version("protocol=7&client=js"), Ok(7));
    assert_eq!(version("client=js&protocol=5"), Ok(5));
    assert_eq!(version(""), Err(CloseCode::NoVersion));
    for query in ["protocol", "protocol=", "protocol=a", "protocol=7.0", "protocol=-1"] {
        assert_eq!(version(query), Err(CloseCode::BadVersion), "{query}");
    }
    for query in ["protocol=0", "protocol=8", "protocol=999999999"] {
        assert_eq!(version(query), Err(CloseCode::UnsupportedVersion), "{query}");
    }
    assert_eq!(CloseCode::UnsupportedVersion.code(), 4007);
}

#[test]
fn queries_are_decoded() {
    let query = Query::parse("a=1&b=%C3%A9+%2B&a=2&&c&d=%&e=%4&f=%zz&g=%FF&%68=i=j");
    let pairs: Vec<_> = query.pairs().collect();
    let expected = [
        ("a", "1"),
        ("b", "é +"),
        ("a", "2"),
        ("c", ""),
        ("d", "%"),
        ("e", "%4"),
        ("f", "%zz"),
        ("g", "\u{fffd}"),
        ("h", "i=j"),
    ];
    assert_eq!(pairs, expected);
    assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((query.get("a"), query.get("z")), (Some("1"), None));
}

#[test]
fn members_have_an_id_of_text_or_number() {
    let member = |text: &str| parse_channel_data(text, &MemberLimits::default());
    for (text, id) in [
        (r#"{"user_id":"7"}"#, "7"),
        (r#"{"user_id":7}"#, "7"),
        (r#"{"user_id":-7.50}"#, "-7.50"),
        (r#"{"user_id":9007199254740993,"user_info":null}"#, "9007199254740993"),
        (r#"{"user_id":"\u00e9 \"x\"","other":[[]]}"#, "é \"x\""),
    ] {
        let member = member(text).unwrap();
        assert_eq!(member.user_id, id);
        assert!(member.user_info.is_none());
    }
    let with_info = member(r#"{"user_id":"7","user_info":{ "a": [1] }}"#).unwrap();
    assert_eq!(with_info.user_info.unwrap().get(), r#"{ "a": [1] }"#);
    for (text, error) in [
        ("", MemberError::NotAnObject),
        ("null", MemberError::NotAnObject),
        (r#"["7"]"#, MemberError::NotAnObject),
        (&"[".repeat(50_000), MemberError::NotAnObject),
        ("{}", MemberError::NoUser),
        (r#"{"user_id":null}"#, MemberError::NoUser),
        (r#"{"user_id":""}"#, MemberError::NoUser),
        (r#"{"user_id":true}"#, MemberError::NoUser),
        (r#"{"user_id":["7"]}"#, MemberError::NoUser),
        (r#"{"user_id":"a\u0000"}"#, MemberError::InvalidUser),
        (&format!(r#"{{"user_id":"{}"}}"#, "é".repeat(201)), MemberError::InvalidUser),
        (&format!(r#"{{"user_id":{}}}"#, "1".repeat(201)), MemberError::InvalidUser),
    ] {
        assert_eq!(member(text).unwrap_err(), error, "{text}");
    }
    let large = format!(r#"{{"user_id":"7","user_info":"{}"}}"#, "a".repeat(2_047));
    let error = member(&large).unwrap_err();
    assert_eq!(error.to_string(), "The maximum size for a channel member is 2 KB.");
}

#[test]
fn users_have_an_id_and_watch_others() {
    let user = |text: &str| parse_user_data(text, &MemberLimits::default());
    let watching = user(r#"{"id":"7","user_info":{},"watchlist":["9","8",9]}"#).unwrap();
    assert_eq!((watching.id.as_str(), watching.watchlist), ("7", vec!["8".into(), "9".into()]));
    assert_eq!(user(r#"{"id":"7","watchlist":null}"#).unwrap().id, "7");
    for text in [
        "{}",
        r#"{"id":7}"#,
        r#"{"id":null}"#,
        r#"{"id":""}"#,
        r#"{"id":{}}"#,
        r#"{"user_id":"7"}"#,
    ] {
        assert_eq!(user(text).unwrap_err(), MemberError::NoUser, "{text}");
    }
    for watchlist in ["7", "\"7\"", "{}", "[null]", "[[]]", "[\"\"]"] {
        let text = format!(r#"{{"id":"7","watchlist":{watchlist}}}"#);
        assert_eq!(user(&text).unwrap_err(), MemberError::InvalidWatchlist, "{text}");
    }
    let many: Vec<_> = (0..101).map(|id| id.to_string()).collect();
    let text = format!(r#"{{"id":"7","watchlist":[{}]}}"#, many.join(","));
    assert_eq!(user(&text).unwrap_err(), MemberError::WatchlistTooLong { ids_max: 100 });
}

#[test]
fn empty_lists_are_well_formed() {
    assert_eq!(roster([]), r#"{"ids":[],"hash":{},"count":0}"#);
    let watchlist = |online: &[&str], offline: &[&str]| {
        written(|out| encode::watchlist(online, offline, out))["data"].clone()
    };
    assert_eq!(watchlist(&[], &[]), json!(r#"{"events":[]}"#));
    let offline = r#"{"events":[{"name":"offline","user_ids":["7"]}]}"#;
    assert_eq!(watchlist(&[], &["7"]), json!(offline));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn subscriptions_are_read_as_sent(
        channel in any::<String>(), auth in ".{1,20}", data in ".{1,20}", is_doubled: bool,
    ) {
        let inner = json!({ "channel": channel, "auth": auth, "channel_data": data });
        let data_sent = if is_doubled { json!(inner.to_string()) } else { inner };
        let text = json!({ "event": "pusher:subscribe", "data": data_sent }).to_string();
        let ClientFrame::Subscribe { channel: c, auth: a, channel_data: d } = accepted(&text) else {
            panic!("{text}")
        };
        prop_assert_eq!((c, a, d), (channel, Some(auth), Some(data)));
    }

    #[test]
    fn client_events_reach_others_as_sent(
        name in ".{0,20}", channel in any::<String>(), value in json_value(),
        user_id in proptest::option::of(any::<String>()),
    ) {
        let sent = json!({ "event": format!("client-{name}"), "channel": channel, "data": value });
        let ClientFrame::ClientEvent { event, channel, data } = accepted(&sent.to_string()) else {
            panic!("{sent}")
        };
        let user = user_id.as_deref();
        let got = written(|out| encode::client_event(&event, &channel, data.get(), user, out));
        let mut expected = sent;
        if let Some(user_id) = &user_id {
            expected["user_id"] = json!(user_id);
        }
        prop_assert_eq!(got, expected);
    }

    #[test]
    fn events_carry_their_data_byte_for_byte(
        channel in any::<String>(), name in any::<String>(), data in any::<String>(),
    ) {
        let got = written(|out| encode::event(Some(&channel), &name, &data, None, out));
        prop_assert_eq!(got, json!({ "event": name, "channel": channel, "data": data }));
    }

    #[test]
    fn members_are_listed_as_they_are(
        members in prop::collection::btree_map(any::<String>(), proptest::option::of(json_value()), 0..9),
    ) {
        let raw: Vec<_> = members
            .iter()
            .map(|(id, info)| (id, info.as_ref().map(|i| RawValue::from_string(i.to_string()).unwrap())))
            .collect();
        let listed = roster(raw.iter().map(|(id, info)| (id.as_str(), info.as_deref())));
        let listed: Value = serde_json::from_str(&listed).unwrap();
        let ids: Vec<_> = members.keys().collect();
        prop_assert_eq!(listed, json!({ "ids": ids, "hash": members, "count": members.len() }));
        for (id, info) in raw {
            let added = written(|out| encode::member_added("presence-a", id, info.as_deref(), out));
            let data: Value = serde_json::from_str(added["data"].as_str().unwrap()).unwrap();
            prop_assert_eq!(data, json!({ "user_id": id, "user_info": members[id] }));
        }
    }

    #[test]
    fn no_text_is_too_odd(text in r#"(\{"(event|data|channel)":|"pusher:(subscribe|signin)"|"client-a"|"\{\}"|[\[\]{},:"\\]|null|7){0,12}"#) {
        drop(decode(&text, &FrameLimits::default()));
        drop(parse_channel_data(&text, &MemberLimits::default()));
        drop(parse_user_data(&text, &MemberLimits::default()));
    }

    #[test]
    fn socket_ids_survive_their_spelling(high: u64, low: u64) {
        let id = SocketId::new(high, low);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }
}
