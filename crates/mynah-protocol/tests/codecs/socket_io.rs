use bytes::Bytes;
use mynah_protocol::socket_io::{
    self, BinaryHead, DecodeError, Decoder, EventName, Limits, Packet, placeholder,
};
use proptest::prelude::*;
use serde_json::Value;

fn decode(text: &str) -> Result<Option<Packet>, DecodeError> {
    Decoder::new(Limits::default()).text(text)
}

fn packet(text: &str) -> Packet {
    decode(text).expect(text).expect("complete without attachments")
}

fn error(text: &str) -> DecodeError {
    decode(text).expect_err(text)
}

/// Namespace, id, event name and arguments of an event.
fn event(packet: &Packet) -> (&str, Option<u64>, &str, Vec<&str>) {
    let Packet::Event { nsp, id, event, args, .. } = packet else { panic!("{packet:?}") };
    (nsp, *id, event.as_str(), args.iter().collect())
}

fn attachments(packet: &Packet) -> &[Bytes] {
    let (Packet::Event { attachments, .. } | Packet::Ack { attachments, .. }) = packet else {
        panic!("{packet:?}")
    };
    attachments
}

/// The Socket.IO part of what an encoder appended.
fn sent(encode: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    encode(&mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix('4').expect("an Engine.IO message").to_owned()
}

#[test]
fn connect_and_disconnect_with_and_without_comma() {
    for (text, nsp, auth) in [
        ("0", "/", None),
        ("0{}", "/", Some("{}")),
        ("0/,", "/", None),
        ("0/chat", "/chat", None),
        ("0/chat,", "/chat", None),
        (r#"0{"token":"123"}"#, "/", Some(r#"{"token":"123"}"#)),
        (r#"0/a/b,{"token":"a,b"}"#, "/a/b", Some(r#"{"token":"a,b"}"#)),
    ] {
        let expected = Packet::Connect { nsp: nsp.to_owned().into(), auth: auth.map(Into::into) };
        assert_eq!(packet(text), expected, "{text}");
    }
    for (text, nsp) in [("1", "/"), ("1/chat", "/chat"), ("1/chat,", "/chat")] {
        assert_eq!(packet(text), Packet::Disconnect { nsp: nsp.to_owned().into() });
        assert_eq!(packet(text).nsp(), nsp);
    }
}

#[test]
fn events_of_the_specification() {
    assert_eq!(
        event(&packet(r#"2["message",1,"2",{"3":[true]}]"#)),
        ("/", None, "message", vec!["1", "\"2\"", r#"{"3":[true]}"#])
    );
    assert_eq!(
        event(&packet(r#"2/admin,456["project:delete",123]"#)),
        ("/admin", Some(456), "project:delete", vec!["123"])
    );
    assert_eq!(event(&packet(r#"2["foo"]"#)), ("/", None, "foo", vec![]));
    assert_eq!(event(&packet(" 2[ \"a\\u0062\" , 1 ,\n[ 2 ] ] ".trim_start())).2, "ab");
    assert_eq!(event(&packet("2[ \"a\" , 1 ,\n[ 2 ] ] ")).3, ["1", "[ 2 ]"]);
    assert_eq!(event(&packet(r#"2[""]"#)).2, "");
    let Packet::Event { event, .. } = packet("2[7,1]") else { panic!() };
    assert_eq!(event, EventName::Number("7".into()));
}

#[test]
fn args_are_raw_json_slices() {
    let Packet::Event { args, .. } = packet(r#"2["a", {"x":1.0} , "y" ]"#) else { panic!() };
    assert_eq!(
        (args.len(), args.get(0), args.get(1), args.get(2)),
        (2, Some(r#"{"x":1.0}"#), Some("\"y\""), None)
    );
    assert_eq!(args.joined(), r#"{"x":1.0} , "y""#);
    let Packet::Event { args, .. } = packet(r#"2["a",[1,2]]"#) else { panic!() };
    assert_eq!((args.len(), args.first(), args.get(1)), (1, Some("[1,2]"), None));
    let Packet::Event { args, .. } = packet(r#"2["a"]"#) else { panic!() };
    assert_eq!((args.len(), args.first(), args.is_empty()), (0, None, true));
}

#[test]
fn acks_of_the_specification() {
    let Packet::Ack { nsp, id, args, .. } = packet("3/admin,456[]") else { panic!() };
    assert_eq!((&*nsp, id, args.len()), ("/admin", 456, 0));
    let Packet::Ack { id, args, .. } = packet("39007199254740992[1,{}]") else { panic!() };
    assert_eq!((id, args.iter().collect::<Vec<_>>()), (1 << 53, vec!["1", "{}"]));
    assert_eq!(error("39007199254740993[]"), DecodeError::AckId);
    assert_eq!(error(&format!("3{}[]", "9".repeat(100_000))), DecodeError::AckId);
    assert_eq!(error("3[]"), DecodeError::AckId);
    assert_eq!(error("312"), DecodeError::Payload);
    assert_eq!(error("312{}"), DecodeError::InvalidPayload(3));
}

#[test]
fn malformed_packets_are_refused() {
    use DecodeError as E;
    for (text, expected) in [
        ("", E::UnknownType),
        ("abc", E::UnknownType),
        ("7", E::UnknownType),
        ("é", E::UnknownType),
        ("0[]", E::InvalidPayload(1)),
        ("0null", E::InvalidPayload(1)),
        ("0\"x\"", E::InvalidPayload(1)),
        ("0{", E::InvalidPayload(2)),
        ("0{}x", E::InvalidPayload(3)),
        ("01{}", E::AckId),
        ("1{}", E::Payload),
        ("17", E::AckId),
        ("1/chat,x", E::Payload),
        ("2", E::Payload),
        ("2{}", E::InvalidPayload(1)),
        ("2[]", E::EventName),
        ("2[null]", E::EventName),
        ("2[[\"a\"]]", E::EventName),
        (r#"2[{"toString":"x"}]"#, E::EventName),
        (r#"2["\ud800"]"#, E::EventName),
        (r#"2abc["message"]"#, E::InvalidPayload(1)),
        (r#"2 ["message"]"#, E::InvalidPayload(1)),
        (r#"2-1["message"]"#, E::InvalidPayload(1)),
        (r#"21.5["message"]"#, E::InvalidPayload(2)),
        (r#"2["message""#, E::InvalidPayload(11)),
        (r#"2["message",]"#, E::InvalidPayload(12)),
        (r#"2["message"]]"#, E::InvalidPayload(12)),
        (r#"2["message" 1]"#, E::InvalidPayload(12)),
        (r#"2/chat["message"]"#, E::Payload),
        (r#"2/chat,["message",NaN]"#, E::InvalidPayload(18)),
        ("4", E::Payload),
        ("4[]", E::InvalidPayload(1)),
    ] {
        assert_eq!(error(text), expected, "{text}");
    }
}

#[test]
fn reserved_names_are_refused_also_when_escaped() {
    for name in
        ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"]
    {
        assert_eq!(error(&format!("2[\"{name}\"]")), DecodeError::ReservedEvent);
        assert_eq!(error(&format!("51-[\"{name}\"]")), DecodeError::ReservedEvent);
    }
    assert_eq!(error(r#"2["\u0064isconnect"]"#), DecodeError::ReservedEvent);
    // CVE-2024-38355: `error` is an ordinary name
    assert_eq!(event(&packet(r#"2["error",1]"#)).2, "error");
}

#[test]
fn hostile_json_is_refused_by_the_scan() {
    let nested = |levels: usize| format!("2[\"a\",{}{}]", "[".repeat(levels), "]".repeat(levels));
    assert!(decode(&nested(63)).is_ok(), "the array of arguments is level 1");
    assert_eq!(error(&nested(64)), DecodeError::TooDeep);
    assert_eq!(error(&nested(400_000)), DecodeError::TooDeep);
    assert_eq!(error(&format!("0{}", "{\"a\":".repeat(100_000))), DecodeError::TooDeep);

    let many = |count: usize| format!("2[\"a\"{}]", ",0".repeat(count));
    assert!(decode(&many(64)).is_ok());
    assert_eq!(error(&many(65)), DecodeError::TooManyArgs);
    assert_eq!(error(&many(50_000)), DecodeError::TooManyArgs);

    let keys = |count: usize| {
        let members = (0..count).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(",");
        format!("2[\"a\",{{{members}}}]")
    };
    assert!(decode(&keys(10_000)).is_ok());
    assert_eq!(error(&keys(10_001)), DecodeError::TooManyKeys);
}

#[test]
fn binary_packets_are_reassembled() {
    let mut decoder = Decoder::new(Limits::default());
    let head = r#"52-/chat,9["m",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]"#;
    assert_eq!(decoder.text(head), Ok(None));
    assert!(decoder.is_mid_packet());
    assert_eq!(decoder.binary(Bytes::from_static(b"one")), Ok(None));
    let packet = decoder.binary(Bytes::from_static(b"two")).unwrap().unwrap();
    assert_eq!(
        event(&packet),
        (
            "/chat",
            Some(9),
            "m",
            vec![r#"{"_placeholder":true,"num":1}"#, r#"[{"_placeholder":true,"num":0}]"#]
        )
    );
    assert_eq!(attachments(&packet), ["one", "two"]);
    assert!(!decoder.is_mid_packet());

    assert_eq!(decoder.text(r#"61-7[{"_placeholder":true,"num":0}]"#), Ok(None));
    let ack = decoder.binary(Bytes::from_static(b"x")).unwrap().unwrap();
    assert!(matches!(ack, Packet::Ack { id: 7, .. }));
    assert_eq!(attachments(&ack), ["x"]);
    assert!(decoder.text("2[\"next\"]").unwrap().is_some());
}

#[test]
fn attachments_out_of_order_are_refused() {
    let binary = |decoder: &mut Decoder| decoder.binary(Bytes::from_static(b"x"));
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(binary(&mut decoder), Err(DecodeError::AttachmentUnexpected));
    decoder.text("52-[\"m\"]").unwrap();
    binary(&mut decoder).unwrap();
    assert_eq!(decoder.text("2[\"m\"]"), Err(DecodeError::AttachmentMissing));
    assert!(!decoder.is_mid_packet(), "what was held is gone");
    // zero attachments must not leave the decoder waiting
    assert_eq!(decoder.text("50-[\"m\"]"), Err(DecodeError::AttachmentCount));
    assert_eq!(binary(&mut decoder), Err(DecodeError::AttachmentUnexpected));
}

#[test]
fn attachment_counts_are_checked() {
    use DecodeError as E;
    for (text, expected) in [
        ("5[\"m\"]".to_owned(), E::AttachmentCount),
        ("5-[\"m\"]".to_owned(), E::AttachmentCount),
        ("5-1-[\"m\"]".to_owned(), E::AttachmentCount),
        ("51[\"m\"]".to_owned(), E::AttachmentCount),
        ("51.0-[\"m\"]".to_owned(), E::AttachmentCount),
        ("5".to_owned(), E::AttachmentCount),
        ("51".to_owned(), E::AttachmentCount),
        ("60-1[]".to_owned(), E::AttachmentCount),
        ("511-[\"m\"]".to_owned(), E::TooManyAttachments),
        ("54294967297-[\"m\"]".to_owned(), E::TooManyAttachments),
        // CVE-2020-36049: a long count is not even read
        (format!("5{}", "1".repeat(100_000)), E::TooManyAttachments),
        (format!("5{}-[\"m\"]", "1".repeat(100_000)), E::TooManyAttachments),
    ] {
        assert_eq!(error(&text), expected, "{}", &text[..text.len().min(20)]);
    }
    assert_eq!(decode("510-[\"m\"]"), Ok(None));
}

#[test]
fn attachments_are_limited_in_sum() {
    let mut decoder = Decoder::new(Limits { message_bytes_max: 10, ..Limits::default() });
    decoder.text("52-[\"m\"]").unwrap();
    assert_eq!(decoder.binary(Bytes::from_static(b"123456")), Ok(None));
    assert_eq!(decoder.binary(Bytes::from_static(b"12345")), Err(DecodeError::AttachmentsTooBig));
    decoder.text("52-[\"m\"]").unwrap();
    assert_eq!(decoder.binary(Bytes::from_static(b"123456")), Ok(None));
    assert!(decoder.binary(Bytes::from_static(b"1234")).unwrap().is_some());
}

#[test]
fn placeholders_must_refer_to_an_attachment() {
    // CVE-2022-2421
    for num in [
        "\"splice\"",
        "1",
        "-1",
        "0.5",
        "null",
        "true",
        "[0]",
        "{}",
        "1e400",
        "99999999999999999999",
    ] {
        let json = format!("51-[\"m\",{{\"_placeholder\":true,\"num\":{num}}}]");
        assert_eq!(error(&json), DecodeError::InvalidPlaceholder, "{num}");
    }
    for arg in [
        r#"{"_placeholder":true}"#,
        r#"{"a":[{"num":3,"_placeholder":true}]}"#,
        r#"{"\u005fplaceholder":true,"num":1}"#,
        r#"{"_placeholder":false,"num":0,"_placeholder":true,"num":1}"#,
    ] {
        assert_eq!(error(&format!("51-[\"m\",{arg}]")), DecodeError::InvalidPlaceholder, "{arg}");
        assert!(decode(&format!("2[\"m\",{arg}]")).is_ok(), "data in a plain event: {arg}");
    }
    for arg in [
        r#"{"_placeholder":true,"num":0,"more":1}"#,
        r#"{"_placeholder":"true","num":9}"#,
        r#"{"num":9}"#,
        "1",
    ] {
        assert_eq!(decode(&format!("51-[\"m\",{arg}]")), Ok(None), "{arg}");
    }
}

#[test]
fn encoders_write_the_documented_shapes() {
    let text = |encode: &dyn Fn(&mut Vec<u8>)| {
        let mut out = b"kept ".to_vec();
        encode(&mut out);
        String::from_utf8(out).unwrap().strip_prefix("kept ").unwrap().to_owned()
    };
    let nsp = "/chat";
    assert_eq!(text(&|out| socket_io::connect("/", "s1", None, out)), r#"40{"sid":"s1"}"#);
    assert_eq!(
        text(&|out| socket_io::connect(nsp, "s1", Some("p1"), out)),
        r#"40/chat,{"sid":"s1","pid":"p1"}"#
    );
    assert_eq!(text(&|out| socket_io::connect_request("/", None, out)), "40");
    assert_eq!(
        text(&|out| socket_io::connect_request(nsp, Some(r#"{"a":1}"#), out)),
        r#"40/chat,{"a":1}"#
    );
    assert_eq!(
        text(&|out| socket_io::connect_error("/x", "Invalid namespace", None, out)),
        r#"44/x,{"message":"Invalid namespace"}"#
    );
    assert_eq!(
        text(&|out| socket_io::connect_error("/", "a \"b\"", Some(r#"{"code":1}"#), out)),
        r#"44{"message":"a \"b\"","data":{"code":1}}"#
    );
    assert_eq!(text(&|out| socket_io::disconnect("/", out)), "41");
    assert_eq!(text(&|out| socket_io::disconnect(nsp, out)), "41/chat,");
    assert_eq!(text(&|out| socket_io::event("/", None, "hi", &[], out)), r#"42["hi"]"#);
    assert_eq!(
        text(&|out| socket_io::event(nsp, Some(7), "a\"b", &["1", "", "2,3"], out)),
        r#"42/chat,7["a\"b",1,2,3]"#
    );
    assert_eq!(text(&|out| socket_io::ack("/", 0, &[], out)), "430[]");
    assert_eq!(text(&|out| socket_io::ack(nsp, 12, &["", "1", "{}"], out)), "43/chat,12[1,{}]");
    assert_eq!(socket_io::event_prefix("/", "m"), r#"42["m""#);
    assert_eq!(socket_io::event_prefix(nsp, "m"), r#"42/chat,["m""#);
    let head = BinaryHead { nsp, id: Some(3), attachments: 1 };
    let arg = placeholder(0);
    assert_eq!(
        text(&|out| socket_io::binary_event(head, "m", &[&arg], out)),
        r#"451-/chat,3["m",{"_placeholder":true,"num":0}]"#
    );
    assert_eq!(
        text(&|out| socket_io::binary_ack(head, &[&arg], out)),
        r#"461-/chat,3[{"_placeholder":true,"num":0}]"#
    );
}

#[test]
fn refusals_are_read_by_clients() {
    let refused = packet(&sent(|out| socket_io::connect_error("/x", "no", None, out)));
    let expected = Packet::ConnectError { nsp: "/x".into(), data: r#"{"message":"no"}"#.into() };
    assert_eq!(refused, expected);
    assert!(matches!(packet("4\"text\""), Packet::ConnectError { .. }));
}

#[test]
fn an_idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 40, "{}", size_of::<Decoder>());
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[^,]{1,12}"]
}

fn ack_id() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..=socket_io::ACK_ID_MAX)
}

proptest! {
    #[test]
    fn events_round_trip(
        nsp in namespace(), id in ack_id(), name in any::<String>(),
        args in prop::collection::vec(json(), 0..5),
    ) {
        prop_assume!(!socket_io::is_reserved_event(&name));
        let args: Vec<String> = args.iter().map(Value::to_string).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let received = packet(&sent(|out| socket_io::event(&nsp, id, &name, &args, out)));
        prop_assert_eq!(event(&received), (nsp.as_str(), id, name.as_str(), args.clone()));

        // What a relay does: the arguments again as one piece.
        let Packet::Event { args: raw, .. } = &received else { panic!() };
        let again = packet(&sent(|out| socket_io::event(&nsp, id, &name, &[raw.joined()], out)));
        prop_assert_eq!(&again, &received);
        let prefix = socket_io::event_prefix(&nsp, &name);
        let whole = sent(|out| socket_io::event(&nsp, None, &name, &args, out));
        let expected: String = std::iter::once("").chain(args).collect::<Vec<_>>().join(",");
        prop_assert_eq!(whole, format!("{}{expected}]", &prefix[1..]));
    }

    #[test]
    fn acks_round_trip(
        nsp in namespace(), id in 0..=socket_io::ACK_ID_MAX, args in prop::collection::vec(json(), 0..5),
    ) {
        let args: Vec<String> = args.iter().map(Value::to_string).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let Packet::Ack { nsp: got_nsp, id: got_id, args: got, attachments } =
            packet(&sent(|out| socket_io::ack(&nsp, id, &args, out))) else { panic!() };
        prop_assert_eq!((&*got_nsp, got_id), (nsp.as_str(), id));
        prop_assert_eq!(got.iter().collect::<Vec<_>>(), args);
        prop_assert!(attachments.is_empty());
    }

    #[test]
    fn binary_events_round_trip(
        nsp in namespace(), id in ack_id(),
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..10),
    ) {
        let placeholders: Vec<String> = (0..data.len()).rev().map(placeholder).collect();
        let args: Vec<&str> = placeholders.iter().map(String::as_str).collect();
        let head = BinaryHead { nsp: &nsp, id, attachments: data.len() };
        let mut decoder = Decoder::new(Limits::default());
        let text = sent(|out| socket_io::binary_event(head, "m", &args, out));
        prop_assert_eq!(decoder.text(&text), Ok(None));
        let mut received = None;
        for part in &data {
            prop_assert!(received.is_none());
            received = decoder.binary(Bytes::copy_from_slice(part)).unwrap();
        }
        let received = received.expect("complete after the last attachment");
        prop_assert_eq!(event(&received), (nsp.as_str(), id, "m", args));
        prop_assert_eq!(attachments(&received), &data[..]);
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        drop(decode(&text));
    }

    #[test]
    fn nearly_valid_text_never_panics(text in r#"[0-6][0-9]{0,2}-?(/[a-z]{0,3})?,?[0-9]{0,18}[\[{]?["a\\\],:{}0-9 ]{0,20}[\]}]?"#) {
        drop(decode(&text));
    }
}
