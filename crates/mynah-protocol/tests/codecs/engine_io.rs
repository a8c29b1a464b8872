use bytes::Bytes;
use mynah_protocol::engine_io::{
    DecodeError, OpenPacket, Packet, PacketKind, RequestError, append_packet, decode_open,
    decode_payload, decode_text, encode_binary, encode_text,
};
use proptest::prelude::*;

type Decoded<'a> = Vec<Result<Packet<'a>, DecodeError>>;

fn payload(body: &[u8]) -> Decoded<'_> {
    decode_payload(body, 1000).collect()
}

#[test]
fn every_packet_of_revision_4() {
    for (text, packet, kind) in [
        ("0{}", Packet::Open("{}"), PacketKind::Open),
        ("1", Packet::Close, PacketKind::Close),
        ("2", Packet::Ping(""), PacketKind::Ping),
        ("2probe", Packet::Ping("probe"), PacketKind::Ping),
        ("3", Packet::Pong(""), PacketKind::Pong),
        ("3probe", Packet::Pong("probe"), PacketKind::Pong),
        ("4", Packet::Text(""), PacketKind::Message),
        ("4héllo", Packet::Text("héllo"), PacketKind::Message),
        ("bAQIDBA==", Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])), PacketKind::Message),
        ("bAQIDBA", Packet::Binary(Bytes::from_static(&[1, 2, 3, 4])), PacketKind::Message),
        ("b", Packet::Binary(Bytes::new()), PacketKind::Message),
        ("5", Packet::Upgrade, PacketKind::Upgrade),
        ("6", Packet::Noop, PacketKind::Noop),
    ] {
        assert_eq!(packet.kind(), kind);
        assert_eq!(decode_text(text), Ok(packet), "{text}");
    }
}

#[test]
fn malformed_packets_are_refused() {
    for (text, error) in [
        ("", DecodeError::Empty),
        ("7", DecodeError::UnknownType),
        ("abc", DecodeError::UnknownType),
        ("é", DecodeError::UnknownType),
        ("\0", DecodeError::UnknownType),
        ("1x", DecodeError::PayloadUnexpected),
        ("5probe", DecodeError::PayloadUnexpected),
        ("6 ", DecodeError::PayloadUnexpected),
        ("b!", DecodeError::InvalidBase64),
        ("bA", DecodeError::InvalidBase64),
        ("bAQ_-", DecodeError::InvalidBase64),
    ] {
        assert_eq!(decode_text(text), Err(error), "{text}");
    }
}

#[test]
fn polling_bodies_are_split_at_the_separator() {
    let expected = [
        Ok(Packet::Text("hello")),
        Ok(Packet::Ping("")),
        Ok(Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))),
    ];
    assert_eq!(payload(b"4hello\x1e2\x1ebAQIDBA=="), expected);
    assert_eq!(payload(b""), [Err(DecodeError::Empty)]);
    assert_eq!(payload(b"4a\x1e"), [Ok(Packet::Text("a")), Err(DecodeError::Empty)]);
    assert_eq!(payload(b"\x1e4a"), [Err(DecodeError::Empty)], "ends at the error");
    assert_eq!(payload(b"4a\x1e\xFF"), [Err(DecodeError::InvalidUtf8)]);
    assert_eq!(payload(b"4a\x1eabc\x1e4b"), [Ok(Packet::Text("a")), Err(DecodeError::UnknownType)]);
}

#[test]
fn too_many_packets_are_refused_before_the_first() {
    let body = |packets: usize| vec!["4"; packets].join("\x1e").into_bytes();
    assert_eq!(payload(&body(1000)).len(), 1000);
    assert_eq!(payload(&body(1001)), [Err(DecodeError::TooManyPackets)]);
    // poll/million-empty-packets, CVE-2020-36048
    assert_eq!(payload(&vec![0x1E; 1_000_000]), [Err(DecodeError::TooManyPackets)]);
}

#[test]
fn open_packet_has_exactly_the_five_keys() {
    let open = OpenPacket {
        sid: "lv_VI97HAXpY6yYWAAAC",
        upgrades: &["websocket"],
        ping_interval_ms: 25_000,
        ping_timeout_ms: 20_000,
        max_payload: 1_000_000,
    };
    let mut out = Vec::new();
    open.encode(&mut out);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        text,
        r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
    );
    let Ok(Packet::Open(json)) = decode_text(&text) else { panic!("{text}") };
    let opened = decode_open(json).unwrap();
    assert_eq!((opened.sid.as_str(), opened.ping_interval_ms), (open.sid, 25_000));
    assert_eq!(opened.upgrades, ["websocket"]);

    let mut out = Vec::new();
    OpenPacket { upgrades: &[], ..open }.encode(&mut out);
    assert!(String::from_utf8(out).unwrap().contains(r#""upgrades":[],"#));
    assert_eq!(decode_open("{}"), Err(DecodeError::InvalidOpen));
}

#[test]
fn refusals_have_the_official_texts() {
    use RequestError as E;
    for (error, status, body) in [
        (E::UnknownTransport, 400, r#"{"code":0,"message":"Transport unknown"}"#),
        (E::UnknownSid, 400, r#"{"code":1,"message":"Session ID unknown"}"#),
        (E::BadHandshakeMethod, 400, r#"{"code":2,"message":"Bad handshake method"}"#),
        (E::BadRequest, 400, r#"{"code":3,"message":"Bad request"}"#),
        (E::Forbidden, 403, r#"{"code":4,"message":"Forbidden"}"#),
        (
            E::UnsupportedProtocolVersion,
            400,
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
        ),
    ] {
        assert_eq!((error.http_status(), error.json_body().as_str()), (status, body));
        assert_eq!(error.to_string(), error.message());
    }
}

#[derive(Debug, Clone)]
enum Sent {
    Text(String),
    Binary(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    prop_oneof![
        "[^\u{1e}]{0,30}".prop_map(Sent::Text),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Sent::Binary),
    ]
}

proptest! {
    #[test]
    fn polling_bodies_round_trip(messages in prop::collection::vec(sent(), 1..20)) {
        let mut body = Vec::new();
        for message in &messages {
            let mut packet = Vec::new();
            match message {
                Sent::Text(text) => encode_text(text, &mut packet),
                Sent::Binary(bytes) => encode_binary(bytes, &mut packet),
            }
            append_packet(&packet, &mut body);
        }
        let expected: Decoded<'_> = messages
            .iter()
            .map(|message| Ok(match message {
                Sent::Text(text) => Packet::Text(text),
                Sent::Binary(bytes) => Packet::Binary(Bytes::copy_from_slice(bytes)),
            }))
            .collect();
        prop_assert_eq!(payload(&body), expected);
    }

    #[test]
    fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = payload(&body);
    }
}
