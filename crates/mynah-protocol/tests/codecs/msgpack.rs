//! Socket.IO packets as MessagePack. Messages of the official parser are in the golden vectors.

use bytes::Bytes;
use mynah_protocol::socket_io::msgpack::{decode, transcode, transcode_with};
use mynah_protocol::socket_io::{Args, DecodeError, Decoder, EventName, Limits, Packet};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A map of an event in `/` whose `data` is `data`.
fn event(data: &[u8]) -> Vec<u8> {
    [b"\x83\xA4type\x02\xA3nsp\xA1/\xA4data", data].concat()
}

/// The JSON text of the one argument whose bytes are `value`.
fn argument(value: &[u8]) -> Result<String, DecodeError> {
    argument_within(value, &Limits::default())
}

fn argument_within(value: &[u8], limits: &Limits) -> Result<String, DecodeError> {
    let packet = decode(&event(&[b"\x92\xA1e", value].concat()), limits)?;
    Ok(args(&packet).joined().to_owned())
}

/// Arguments and attachments of an event or acknowledgement.
fn content(packet: &Packet) -> Option<(&Args, &[Bytes])> {
    match packet {
        Packet::Event { args, attachments, .. } | Packet::Ack { args, attachments, .. } => {
            Some((args, attachments))
        }
        Packet::Connect { .. } | Packet::Disconnect { .. } | Packet::ConnectError { .. } => None,
    }
}

fn args(packet: &Packet) -> &Args {
    content(packet).expect("a packet with arguments").0
}

fn attachments(packet: &Packet) -> &[Bytes] {
    content(packet).expect("a packet with arguments").1
}

/// The bytes of the one argument that is the JSON `text`.
fn written(text: &str) -> Vec<u8> {
    let message = transcode(format!("42[\"e\",{text}]").as_bytes()).expect(text);
    let value = message.strip_prefix(b"\x83\xA4type\x02\xA4data\x92\xA1e").expect(text);
    value.strip_suffix(b"\xA3nsp\xA1/").expect(text).to_vec()
}

#[test]
fn scalars_become_json() {
    for (value, expected) in [
        (&b"\x00"[..], "0"),
        (b"\x7F", "127"),
        (b"\xE0", "-32"),
        (b"\xFF", "-1"),
        (b"\xC0", "null"),
        (b"\xC2", "false"),
        (b"\xC3", "true"),
        (b"\xCC\xFF", "255"),
        (b"\xCC\x01", "1"),
        (b"\xCD\xFF\xFF", "65535"),
        (b"\xCE\xFF\xFF\xFF\xFF", "4294967295"),
        (b"\xCF\x00\x20\x00\x00\x00\x00\x00\x01", "9007199254740993"),
        (b"\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "18446744073709551615"),
        (b"\xD0\x80", "-128"),
        (b"\xD0\x05", "5"),
        (b"\xD1\x80\x00", "-32768"),
        (b"\xD2\x80\x00\x00\x00", "-2147483648"),
        (b"\xD3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808"),
        (b"\xCA\x3F\x00\x00\x00", "0.5"),
        (b"\xCB\x3F\xF8\x00\x00\x00\x00\x00\x00", "1.5"),
        (b"\xCB\x40\x14\x00\x00\x00\x00\x00\x00", "5"),
        (b"\xCB\x80\x00\x00\x00\x00\x00\x00\x00", "0"),
        (b"\xCB\x7F\xF0\x00\x00\x00\x00\x00\x00", "null"),
        (b"\xCB\xFF\xF0\x00\x00\x00\x00\x00\x00", "null"),
        (b"\xCB\x7F\xF8\x00\x00\x00\x00\x00\x00", "null"),
        (b"\xCA\x7F\xC0\x00\x00", "null"),
        (b"\xA0", r#""""#),
        (b"\xA2\"\n", r#""\"\n""#),
        (b"\xD9\x02\xC3\xA9", "\"é\""),
        (b"\xDA\x00\x01a", r#""a""#),
        (b"\xDB\x00\x00\x00\x01a", r#""a""#),
        (b"\x90", "[]"),
        (b"\xDC\x00\x02\x01\x02", "[1,2]"),
        (b"\xDD\x00\x00\x00\x01\xC0", "[null]"),
        (b"\x80", "{}"),
        (b"\xDE\x00\x01\xA1a\x01", r#"{"a":1}"#),
        (b"\xDF\x00\x00\x00\x01\xA1a\x01", r#"{"a":1}"#),
    ] {
        assert_eq!(argument(value).as_deref(), Ok(expected), "{value:x?}");
    }
}

#[test]
fn extensions_become_what_json_stringify_makes_of_them() {
    for (value, expected) in [
        (&b"\xD4\x00\x00"[..], "null"),
        (b"\x92\xD4\x00\x00\x01", "[null,1]"),
        (b"\x83\xA1a\xD4\x00\x00\xA1b\x01\xA1c\xD4\x00\x00", r#"{"b":1}"#),
        (b"\x81\xA1a\xD4\x00\x00", "{}"),
        (b"\xD7\x00\x00\x00\x00\x00\x00\x00\x00\x00", r#""1970-01-01T00:00:00.000Z""#),
        (b"\xD7\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", r#""1969-12-31T23:59:59.999Z""#),
        (b"\xD7\x00\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "null"),
        (b"\xD6\xFF\x00\x00\x00\x01", r#""1970-01-01T00:00:01.000Z""#),
        (b"\xD7\xFF\xEE\x6B\x27\xFC\x00\x00\x00\x01", r#""1970-01-01T00:00:01.999Z""#),
        (
            b"\xC7\x0C\xFF\x00\x1E\x84\x80\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
            r#""1969-12-31T23:59:59.002Z""#,
        ),
        (b"\xC7\x0C\xFF\x00\x00\x00\x00\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "null"),
    ] {
        assert_eq!(argument(value).as_deref(), Ok(expected), "{value:x?}");
    }
}

#[test]
fn binary_values_become_attachments() {
    let data = b"\x93\xA1e\x81\xA1f\xC4\x02\x01\x02\xC7\x08\x00ABCDEFGH";
    let packet = decode(&event(data), &Limits::default()).unwrap();
    assert_eq!(
        args(&packet).iter().collect::<Vec<_>>(),
        [r#"{"f":{"_placeholder":true,"num":0}}"#, r#"{"_placeholder":true,"num":1}"#]
    );
    assert_eq!(attachments(&packet), [&b"\x01\x02"[..], b"ABCDEFGH"]);

    let empty = decode(&event(b"\x92\xA1e\xC4\x00"), &Limits::default()).unwrap();
    assert_eq!(attachments(&empty), [Bytes::new()]);
}

#[test]
fn an_object_that_only_looks_like_a_placeholder_is_data_unless_something_is_attached() {
    let lookalike = b"\x82\xAC_placeholder\xC3\xA3num\x07";
    assert_eq!(argument(lookalike).as_deref(), Ok(r#"{"_placeholder":true,"num":7}"#));
    let data = [&b"\x93\xA1e\xC4\x01\x01"[..], lookalike].concat();
    assert_eq!(decode(&event(&data), &Limits::default()), Err(DecodeError::InvalidPlaceholder));
}

#[test]
fn packets_of_every_type() {
    let limits = Limits::default();
    let data = |head: &[u8], value: &[u8]| [head, b"\xA3nsp\xA2/a\xA4data", value].concat();
    let connect = |value: &[u8]| decode(&data(b"\x83\xA4type\x00", value), &limits);
    let auth =
        |auth: Option<&str>| Packet::Connect { nsp: "/a".into(), auth: auth.map(Into::into) };
    assert_eq!(connect(b"\xD4\x00\x00"), Ok(auth(None)));
    assert_eq!(connect(b"\xC0"), Ok(auth(None)));
    assert_eq!(connect(b"\x81\xA1t\x01"), Ok(auth(Some(r#"{"t":1}"#))));
    assert!(matches!(connect(b"\x90"), Err(DecodeError::InvalidPayload(_))));
    assert_eq!(connect(b"\x81\xA1t\xC4\x00"), Err(DecodeError::TooManyAttachments));

    let disconnect = |value: &[u8]| decode(&data(b"\x83\xA4type\x01", value), &limits);
    assert_eq!(disconnect(b"\xD4\x00\x00"), Ok(Packet::Disconnect { nsp: "/a".into() }));
    assert_eq!(disconnect(b"\x80"), Err(DecodeError::Payload));
    let bare = decode(b"\x82\xA3nsp\xA1/\xA4type\x01", &limits);
    assert_eq!(bare, Ok(Packet::Disconnect { nsp: "/".into() }));

    let ack = decode(&data(b"\x84\xA4type\x03\xA2id\xCC\xC8", b"\x91\x01"), &limits).unwrap();
    assert!(matches!(ack, Packet::Ack { id: 200, .. }));
    assert_eq!(args(&ack).joined(), "1");
    let ack = decode(&data(b"\x83\xA4type\x03", b"\x91\x01"), &limits);
    assert_eq!(ack, Err(DecodeError::AckId));

    let refusal = |value: &[u8]| decode(&data(b"\x83\xA4type\x04", value), &limits);
    let error = |data: &str| Packet::ConnectError { nsp: "/a".into(), data: data.into() };
    assert_eq!(refusal(b"\xA1x"), Ok(error(r#""x""#)));
    assert_eq!(refusal(b"\x81\xA1m\xA1x"), Ok(error(r#"{"m":"x"}"#)));
    assert_eq!(refusal(b"\xC0"), Err(DecodeError::Payload));

    let options = b"\x85\xA4type\x02\xA7options\x81\xA8compress\xC3\xA2id\xD4\x00\x00";
    let Packet::Event { id, event, .. } = decode(&data(options, b"\x91\xA1e"), &limits).unwrap()
    else {
        panic!("an event")
    };
    assert_eq!((id, event), (None, EventName::Text("e".into())));
    let number = decode(&data(b"\x83\xA4type\x02", b"\x91\xCB\x40\x1E\0\0\0\0\0\0"), &limits);
    assert!(
        matches!(number, Ok(Packet::Event { event: EventName::Number(n), .. }) if &*n == "7.5")
    );
}

#[test]
fn malformed_packets_are_refused() {
    let head = b"\x83\xA4type\x02\xA3nsp\xA1/\xA4data".len();
    for (message, expected) in [
        (&b""[..], DecodeError::InvalidPayload(0)),
        (b"\x90", DecodeError::InvalidPayload(1)),
        (b"\xC1", DecodeError::InvalidPayload(1)),
        (b"\x80", DecodeError::Namespace),
        (b"\x81\xA3nsp\xA1/", DecodeError::UnknownType),
        (b"\x81\x01\x01", DecodeError::InvalidPayload(2)),
        (b"\x82\xA4type\x05\xA3nsp\xA1/", DecodeError::UnknownType),
        (b"\x82\xA4type\xA12\xA3nsp\xA1/", DecodeError::UnknownType),
        (b"\x82\xA4type\xFF\xA3nsp\xA1/", DecodeError::UnknownType),
        (b"\x82\xA4type\x01\xA3nsp\xC0", DecodeError::Namespace),
        (b"\x82\xA4type\x01\xA3nsp\xA0", DecodeError::Namespace),
        (b"\x82\xA4type\x01\xA3nsp\xA1a", DecodeError::Namespace),
        (b"\x82\xA4type\x01\xA3nsp\xA3/,a", DecodeError::Namespace),
        (b"\x83\xA4type\x01\xA3nsp\xA1/\xA2id\x01", DecodeError::AckId),
        (b"\x83\xA4type\x01\xA4type\x01\xA3nsp\xA1/", DecodeError::InvalidPayload(12)),
        (b"\x82\xA4type\x01\xA3nsp\xA1/\x00", DecodeError::InvalidPayload(13)),
        (b"\xDF\xFF\xFF\xFF\xFF\xA4type", DecodeError::InvalidPayload(5)),
    ] {
        assert_eq!(decode(message, &Limits::default()), Err(expected), "{message:x?}");
    }
    for (data, expected) in [
        (&b"\xC0"[..], DecodeError::Payload),
        (b"\x80", DecodeError::InvalidPayload(head + 1)),
        (b"\x90", DecodeError::EventName),
        (b"\x91\xC0", DecodeError::EventName),
        (b"\x91\x80", DecodeError::EventName),
        (b"\x91\xCB\x7F\xF8\0\0\0\0\0\0", DecodeError::EventName),
        (b"\x91\xAAdisconnect", DecodeError::ReservedEvent),
        (b"\x91\xA1", DecodeError::InvalidPayload(head + 2)),
        (b"\x91\xA1\xFF", DecodeError::InvalidPayload(head + 3)),
        (b"\x92\xA1e\x81\x01\x02", DecodeError::InvalidPayload(head + 5)),
        (b"\x92\xA1e\x81\xC4\x01a\x02", DecodeError::InvalidPayload(head + 7)),
        (b"\x92\xA1e\xD4\x01\x00", DecodeError::InvalidPayload(head + 6)),
        (b"\x92\xA1e\xD5\x00\x00\x00", DecodeError::InvalidPayload(head + 7)),
        (b"\x92\xA1e\xC7\x03\xFFabc", DecodeError::InvalidPayload(head + 9)),
        (b"\x92\xA1e\xD7\xFF\xEE\x6B\x28\x00\0\0\0\0", DecodeError::InvalidPayload(head + 13)),
        (b"\x92\xA1e\xDD\xFF\xFF\xFF\xFF", DecodeError::InvalidPayload(head + 8)),
        (b"\x92\xA1e\xDF\x80\x00\x00\x00", DecodeError::InvalidPayload(head + 8)),
        (b"\x92\xA1e\xC6\xFF\xFF\xFF\xFF", DecodeError::InvalidPayload(head + 8)),
    ] {
        assert_eq!(decode(&event(data), &Limits::default()), Err(expected), "{data:x?}");
    }
}

#[test]
fn every_limit_holds() {
    let limits = Limits {
        attachments_max: 2,
        args_max: 2,
        depth_max: 3,
        keys_max: 2,
        message_bytes_max: 40,
    };
    let whole = |data: &[u8]| decode(&event(data), &limits).map(drop);
    assert_eq!(whole(b"\x93\xA1e\x01\x02"), Ok(()));
    assert_eq!(whole(b"\x94\xA1e\x01\x02\x03"), Err(DecodeError::TooManyArgs));
    // The list of arguments is the first level.
    assert_eq!(argument_within(b"\x91\x91\x01", &limits).as_deref(), Ok("[[1]]"));
    assert_eq!(argument_within(b"\x91\x91\x90", &limits), Err(DecodeError::TooDeep));
    assert_eq!(whole(b"\x93\xA1e\x81\xA1a\x01\x81\xA1b\x01"), Ok(()));
    assert_eq!(
        whole(b"\x93\xA1e\x81\xA1a\x01\x82\xA1b\x01\xA1c\x01"),
        Err(DecodeError::TooManyKeys)
    );
    // 38 letters and two quotes.
    let text = |len: u8| [&[0xD9, len][..], &vec![b'a'; usize::from(len)]].concat();
    assert!(argument_within(&text(38), &limits).is_ok());
    assert_eq!(argument_within(&text(39), &limits), Err(DecodeError::PayloadTooBig));

    let limits = Limits { message_bytes_max: 100, ..limits };
    let binary = |lens: &[u8]| {
        let mut data = vec![0x90 | (1 + lens.len() as u8), 0xA1, b'e'];
        for len in lens {
            data.extend([0xC4, *len]);
            data.extend(vec![0; usize::from(*len)]);
        }
        decode(&event(&data), &Limits { args_max: 9, ..limits }).map(drop)
    };
    assert_eq!(binary(&[50, 50]), Ok(()));
    assert_eq!(binary(&[50, 51]), Err(DecodeError::AttachmentsTooBig));
    assert_eq!(binary(&[1, 1, 1]), Err(DecodeError::TooManyAttachments));

    let deep = vec![0x91; 1_000_000];
    let limits = Limits { depth_max: u32::MAX, ..Limits::default() };
    assert_eq!(argument_within(&[&deep[..], &[0]].concat(), &limits), Err(DecodeError::TooDeep));
    let ignored = [&b"\x83\xA4type\x01\xA3nsp\xA1/\xA1x"[..], &deep, &[0]].concat();
    assert!(decode(&ignored, &limits).is_ok());
}

#[test]
fn json_numbers_take_the_shortest_form() {
    for (text, expected) in [
        ("0", &b"\x00"[..]),
        ("-0", b"\x00"),
        ("-0.0", b"\x00"),
        ("127", b"\x7F"),
        ("128", b"\xCC\x80"),
        ("256", b"\xCD\x01\x00"),
        ("65536", b"\xCE\x00\x01\x00\x00"),
        ("4294967296", b"\xCF\x00\x00\x00\x01\x00\x00\x00\x00"),
        ("9007199254740993", b"\xCF\x00\x20\x00\x00\x00\x00\x00\x01"),
        ("18446744073709551615", b"\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
        ("18446744073709551616", b"\xCB\x43\xF0\x00\x00\x00\x00\x00\x00"),
        ("-1", b"\xFF"),
        ("-32", b"\xE0"),
        ("-33", b"\xD0\xDF"),
        ("-129", b"\xD1\xFF\x7F"),
        ("-32769", b"\xD2\xFF\xFF\x7F\xFF"),
        ("-2147483649", b"\xD3\xFF\xFF\xFF\xFF\x7F\xFF\xFF\xFF"),
        ("-9223372036854775808", b"\xD3\x80\x00\x00\x00\x00\x00\x00\x00"),
        ("-9223372036854775809", b"\xD3\x80\x00\x00\x00\x00\x00\x00\x00"),
        ("5.0", b"\x05"),
        ("1e3", b"\xCD\x03\xE8"),
        ("0.5", b"\xCB\x3F\xE0\x00\x00\x00\x00\x00\x00"),
        ("-1.5", b"\xCB\xBF\xF8\x00\x00\x00\x00\x00\x00"),
        ("5e-324", b"\xCB\x00\x00\x00\x00\x00\x00\x00\x01"),
        ("1e400", b"\xCB\x7F\xF0\x00\x00\x00\x00\x00\x00"),
    ] {
        assert_eq!(written(text), expected, "{text}");
    }
}

#[test]
fn json_texts_lose_their_escapes() {
    for (text, expected) in [
        (r#""""#, "\u{A0}"),
        (r#""a\"\\\/\b\f\n\r\t""#, "\u{A9}a\"\\/\u{8}\u{C}\n\r\t"),
        (r#""\u00e9""#, "\u{A2}é"),
        (r#""\ud83d\ude00""#, "\u{A4}😀"),
        (r#""\ud83d""#, "\u{A3}\u{FFFD}"),
        (r#""\ude00x""#, "\u{A4}\u{FFFD}x"),
        (r#""\ud83d\u0041""#, "\u{A4}\u{FFFD}A"),
        (r#""\ud83dA""#, "\u{A4}\u{FFFD}A"),
    ] {
        let mut characters = expected.chars();
        let mut bytes = vec![characters.next().unwrap() as u8];
        bytes.extend_from_slice(characters.as_str().as_bytes());
        assert_eq!(written(text), bytes, "{text}");
    }
}

#[test]
fn lengths_take_the_shortest_form() {
    let text = |len: usize| written(&format!("\"{}\"", "a".repeat(len)));
    assert_eq!(text(31)[..1], [0xBF]);
    assert_eq!(text(32)[..2], [0xD9, 32]);
    assert_eq!(text(255)[..2], [0xD9, 255]);
    assert_eq!(text(256)[..3], [0xDA, 1, 0]);
    assert_eq!(text(65_536)[..5], [0xDB, 0, 1, 0, 0]);
    let list = |len: usize| written(&json!(vec![1; len]).to_string());
    assert_eq!(list(15)[..2], [0x9F, 1]);
    assert_eq!(list(16)[..4], [0xDC, 0, 16, 1]);
    assert_eq!(list(65_536)[..6], [0xDD, 0, 1, 0, 0, 1]);
    let object = |len: usize| {
        let entries: serde_json::Map<String, Value> =
            (0..len).map(|key| (format!("{key:05}"), json!(1))).collect();
        written(&Value::Object(entries).to_string())
    };
    assert_eq!(object(15)[..2], [0x8F, 0xA5]);
    assert_eq!(object(16)[..4], [0xDE, 0, 16, 0xA5]);
    assert_eq!(object(65_536)[..6], [0xDF, 0, 1, 0, 0, 0xA5]);
}

#[test]
fn what_is_no_finished_packet_is_not_transcoded() {
    for packet in [
        "",
        "2",
        "3probe",
        "4",
        "47",
        "42",
        "42{}",
        "42[\"e\",]",
        "40[]",
        "42[7e4224]",
        "42[\"\\ud800\"]",
    ] {
        assert_eq!(transcode(packet.as_bytes()), None, "{packet}");
    }
    assert_eq!(transcode(b"42[\"\xFF\"]"), None);
    let one = r#"451-["e",{"_placeholder":true,"num":0}]"#;
    assert_eq!(transcode(one.as_bytes()), None);
    assert_eq!(transcode_with(one.as_bytes(), &[Bytes::new(), Bytes::new()]), None);
    assert_eq!(transcode_with(br#"42["e"]"#, &[Bytes::new()]), None);
    assert_eq!(transcode(b"454000540005-[\"e\"]"), None);
}

#[test]
fn attachments_take_the_place_of_their_placeholders() {
    let packet = br#"452-/a,3["e",{"num":1,"_placeholder":true},[{"_placeholder":true,"num":0}],{"_placeholder":false,"num":0}]"#;
    let message =
        transcode_with(packet, &[Bytes::from_static(b"A"), Bytes::from_static(b"BB")]).unwrap();
    let data = b"\x94\xA1e\xC4\x02BB\x91\xC4\x01A\x82\xAC_placeholder\xC2\xA3num\x00";
    let expected = [b"\x84\xA4type\x02\xA4data", &data[..], b"\xA2id\x03\xA3nsp\xA2/a"].concat();
    assert_eq!(message, expected);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-300i64..70_000).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 60, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::hash_map(".{0,8}", inner, 0..20)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Equal as JavaScript sees it: numbers by their value, of which serde_json may miss the last bits.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (Some(x), Some(y)) = (a.as_f64(), b.as_f64()) else { return false };
            a == b || (x - y).abs() <= 4.0 * x.abs() * f64::EPSILON
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #[test]
    fn a_transcoded_packet_is_the_packet(
        name in "[a-z]{1,40}", id in prop::option::of(0u64..=1 << 53),
        values in prop::collection::vec(value(), 0..6), in_main in any::<bool>(),
    ) {
        let list: Vec<Value> = std::iter::once(Value::from(name)).chain(values).collect();
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let text = format!("2{}{id}{}", if in_main { "" } else { "/chat," }, Value::from(list));
        let limits = Limits { depth_max: 128, message_bytes_max: 10_000_000, ..Limits::default() };
        let Ok(Some(expected)) = Decoder::new(limits).text(&text) else {
            // Reserved names; all else is a packet.
            return Ok(());
        };
        let message = transcode(format!("4{text}").as_bytes()).unwrap();
        let found = decode(&message, &limits).unwrap();
        let parse = |packet: &Packet| -> Vec<Value> {
            args(packet).iter().map(|arg| serde_json::from_str(arg).unwrap()).collect()
        };
        prop_assert!(alike(&Value::from(parse(&found)), &Value::from(parse(&expected))));
        let (Packet::Event { nsp, id, event, .. }, Packet::Event { nsp: n, id: i, event: e, .. }) =
            (&found, &expected) else { panic!("events") };
        prop_assert_eq!((nsp, id, event), (n, i, e));
        // Its own JSON gives the same bytes again.
        let joined = args(&found).joined();
        let mut again = Vec::new();
        mynah_protocol::socket_io::event(nsp, *id, event.as_str(), &[joined], &mut again);
        prop_assert_eq!(transcode(&again), Some(message));
    }

    #[test]
    fn any_bytes_give_a_packet_within_the_limits_or_an_error(
        data in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let limits = Limits {
            attachments_max: 2, args_max: 3, depth_max: 4, keys_max: 5, message_bytes_max: 200,
        };
        if let Ok(packet) = decode(&event(&data), &limits) {
            prop_assert!(args(&packet).len() <= 3);
            prop_assert!(args(&packet).joined().len() <= 200);
            for arg in args(&packet).iter() {
                prop_assert!(serde_json::from_str::<Value>(arg).is_ok());
            }
        }
        if let Err(DecodeError::InvalidPayload(at)) = decode(&data, &limits) {
            prop_assert!(at <= data.len());
        }
    }

    #[test]
    fn a_cut_message_is_refused(cut in 0usize..200, values in prop::collection::vec(value(), 0..4)) {
        let list: Vec<Value> = std::iter::once(Value::from("e")).chain(values).collect();
        let message = transcode(format!("42{}", Value::from(list)).as_bytes()).unwrap();
        let cut = cut % message.len();
        prop_assert!(decode(&message[..cut], &Limits::default()).is_err());
    }
}
