use bytes::Bytes;
use mynah_protocol::engine_io::{self, DecodeError, Packet};
use mynah_protocol::engine_io_v3::{
    Body, decode_binary, decode_binary_payload, decode_payload, decode_text, encode_payload,
};
use proptest::prelude::*;

type Decoded<'a> = Vec<Result<Packet<'a>, DecodeError>>;

fn payload(body: &str) -> Decoded<'_> {
    decode_payload(body.as_bytes(), 1000).collect()
}

fn binary_payload(body: &Bytes) -> Decoded<'_> {
    decode_binary_payload(body, 1000).collect()
}

fn binary(bytes: &'static [u8]) -> Packet<'static> {
    Packet::Binary(Bytes::from_static(bytes))
}

#[test]
fn packets_that_differ_from_revision_4() {
    assert_eq!(decode_text("2probe"), Ok(Packet::Ping("probe")));
    assert_eq!(decode_text("4hello"), Ok(Packet::Text("hello")));
    assert_eq!(decode_text("b4AQIDBA=="), Ok(binary(&[1, 2, 3, 4])));
    assert_eq!(decode_text("bAQIDBA=="), Err(DecodeError::UnknownType));
    assert_eq!(decode_text("b2"), Err(DecodeError::UnknownType));
    assert_eq!(decode_text("b4!"), Err(DecodeError::InvalidBase64));
    assert_eq!(decode_text("b"), Err(DecodeError::UnknownType));
    assert_eq!(decode_text(""), Err(DecodeError::Empty));
    assert_eq!(decode_binary(&Bytes::from_static(&[4, 1, 2])), Ok(binary(&[1, 2])));
    assert_eq!(decode_binary(&Bytes::from_static(&[4])), Ok(binary(&[])));
    assert_eq!(decode_binary(&Bytes::new()), Err(DecodeError::Empty));
    for other in [[0, 1], [b'4', 1], [255, 1]] {
        assert_eq!(decode_binary(&Bytes::from(other.to_vec())), Err(DecodeError::UnknownType));
    }
}

#[test]
fn text_bodies_count_utf16_units() {
    assert_eq!(payload("6:4hello"), [Ok(Packet::Text("hello"))]);
    assert_eq!(
        payload("6:4hello2:4€10:b4AQIDBA==3:4😀1:2"),
        [
            Ok(Packet::Text("hello")),
            Ok(Packet::Text("€")),
            Ok(binary(&[1, 2, 3, 4])),
            Ok(Packet::Text("😀")),
            Ok(Packet::Ping("")),
        ]
    );
    // What the official server passes over, so do we.
    assert_eq!(payload("0:"), []);
    assert_eq!(payload("0:1:3"), [Ok(Packet::Pong(""))]);
    assert_eq!(payload("007:4hello!"), [Ok(Packet::Text("hello!"))]);
}

#[test]
fn hostile_text_bodies_are_refused() {
    for (body, error) in [
        ("", DecodeError::Empty),
        ("abc", DecodeError::InvalidLength),
        (":4a", DecodeError::InvalidLength),
        ("2", DecodeError::InvalidLength),
        ("-1:4a", DecodeError::InvalidLength),
        ("1e1:4aaaaaaaaa", DecodeError::InvalidLength),
        ("0x2:4a", DecodeError::InvalidLength),
        (" 2:4a", DecodeError::InvalidLength),
        ("3:4a", DecodeError::InvalidLength),
        ("2:4😀", DecodeError::InvalidLength),
        ("99999999999:4a", DecodeError::InvalidLength),
        ("9999999999:4a", DecodeError::InvalidLength),
        ("00000000002:4a", DecodeError::InvalidLength),
        ("€:4a", DecodeError::InvalidLength),
        ("1:7", DecodeError::UnknownType),
        ("2:5x", DecodeError::PayloadUnexpected),
    ] {
        assert_eq!(payload(body), [Err(error)], "{body}");
    }
    assert_eq!(payload("2:4ajunk"), [Ok(Packet::Text("a")), Err(DecodeError::InvalidLength)]);
    let not_utf8 = decode_payload(b"2:4\xFF", 9).collect::<Vec<_>>();
    assert_eq!(not_utf8, [Err(DecodeError::InvalidUtf8)]);
}

#[test]
fn hostile_binary_bodies_are_refused() {
    for (body, error) in [
        (&[][..], DecodeError::Empty),
        (&[0], DecodeError::InvalidLength),
        (&[0, 255], DecodeError::InvalidLength),
        (&[0, 1], DecodeError::InvalidLength),
        (&[0, 2, 255, b'4'], DecodeError::InvalidLength),
        (&[0, 10, 255, b'4'], DecodeError::InvalidLength),
        (&[0, 0, 255], DecodeError::Empty),
        (&[1, 0, 255], DecodeError::Empty),
        (&[1, 1, 255, 2], DecodeError::UnknownType),
        (&[2, 1, 255, 4], DecodeError::UnknownType),
        (&[0, 1, 255, 0xFF], DecodeError::InvalidUtf8),
        (&[1, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 255, 4], DecodeError::InvalidLength),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255, 4], DecodeError::InvalidLength),
    ] {
        assert_eq!(binary_payload(&Bytes::copy_from_slice(body)), [Err(error)], "{body:?}");
    }
}

#[test]
fn too_many_packets_end_the_body() {
    let text = "1:2".repeat(11);
    let packets: Decoded<'_> = decode_payload(text.as_bytes(), 10).collect();
    assert_eq!(packets.len(), 11);
    assert_eq!(packets[10], Err(DecodeError::TooManyPackets));
    let empty = "0:".repeat(500_000);
    let packets: Decoded<'_> = decode_payload(empty.as_bytes(), 1000).collect();
    assert_eq!(packets, [Err(DecodeError::TooManyPackets)]);
    let bytes = Bytes::from([0, 1, 255, b'2'].repeat(11));
    let packets: Decoded<'_> = decode_binary_payload(&bytes, 10).collect();
    assert_eq!(packets[10..], [Err(DecodeError::TooManyPackets)]);
}

#[test]
fn answers_are_spelled_for_the_client() {
    let packets: [&[u8]; 3] = [b"4hello", "4€\u{1e}bAQIDBA==".as_bytes(), b"3"];
    let packets = || packets.iter().copied();
    assert_eq!(
        encode_payload(packets(), false),
        Body::Text("6:4hello2:4€10:b4AQIDBA==1:3".to_owned())
    );
    let raw = [
        &[0, 6, 255][..],
        b"4hello",
        &[0, 4, 255],
        "4€".as_bytes(),
        &[1, 5, 255, 4, 1, 2, 3, 4, 0, 1, 255, b'3'],
    ];
    assert_eq!(encode_payload(packets(), true), Body::Binary(raw.concat()));
    // Without a binary packet, text is what every client reads.
    let text: [&[u8]; 1] = [b"6"];
    assert_eq!(encode_payload(text.iter().copied(), true), Body::Text("1:6".to_owned()));
    assert_eq!(encode_payload([].into_iter(), true), Body::Text("0:".to_owned()));
}

#[derive(Debug, Clone)]
enum Said {
    Text(String),
    Binary(Vec<u8>),
}

fn said() -> impl Strategy<Value = Vec<Said>> {
    let one = prop_oneof![
        "[^\u{1e}]{0,40}".prop_map(Said::Text),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(Said::Binary),
    ];
    prop::collection::vec(one, 1..12)
}

proptest! {
    #[test]
    fn what_is_written_is_read(said in said(), raw: bool) {
        let packets: Vec<Vec<u8>> = said.iter().map(|one| {
            let mut packet = Vec::new();
            match one {
                Said::Text(text) => engine_io::encode_text(text, &mut packet),
                Said::Binary(bytes) => engine_io::encode_binary(bytes, &mut packet),
            }
            packet
        }).collect();
        let expected: Vec<_> = said.iter().map(|one| Ok(match one {
            Said::Text(text) => Packet::Text(text),
            Said::Binary(bytes) => Packet::Binary(bytes.clone().into()),
        })).collect();
        match encode_payload(packets.iter().map(Vec::as_slice), raw) {
            Body::Text(body) => prop_assert_eq!(payload(&body), expected),
            Body::Binary(body) => {
                let body = Bytes::from(body);
                prop_assert_eq!(binary_payload(&body), expected);
            }
        }
    }

    #[test]
    fn no_body_is_too_strange(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let text: Decoded<'_> = decode_payload(&body, 8).collect();
        prop_assert!(text.len() <= 9);
        let body = Bytes::from(body);
        let binary: Decoded<'_> = decode_binary_payload(&body, 8).collect();
        prop_assert!(binary.len() <= 9);
    }

    #[test]
    fn almost_right_bodies_are_read_or_refused(
        body in prop::collection::vec(
            prop::sample::select(vec![0, 1, 2, 4, 9, 255, b'0', b'1', b'4', b':', b'b', 0xC3, 0xA9]),
            0..60,
        ),
    ) {
        let good = |packets: &Decoded<'_>| packets.iter().rev().skip(1).all(Result::is_ok);
        prop_assert!(good(&decode_payload(&body, 8).collect()), "an error is the last item");
        let body = Bytes::from(body);
        prop_assert!(good(&decode_binary_payload(&body, 8).collect()), "an error is the last item");
    }
}
