//! The cases of the Autobahn TestSuite that need no clock, against an echo without a network. The
//! suite itself runs against `/echo` of the conformance example.

use bytes::Bytes;
use mynah_protocol::websocket::deflate::{WINDOW_BITS_MAX, compact, compress};
use mynah_protocol::websocket::{
    self, Decoder, Limits, Message, OpCode, Role, encode, encode_close, encode_masked,
};

const MASK: [u8; 4] = [0x12, 0x9A, 0x00, 0xFF];

/// One frame of the fuzzing client; `first` is its first byte as on the wire.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_masked(OpCode::Text, payload, MASK, &mut out);
    out[0] = first;
    out
}

fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x81, payload.as_ref())
}

fn ping(payload: &[u8]) -> Vec<u8> {
    frame(0x89, payload)
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes(), reason].concat())
}

/// What an echo sends for `input` that comes in pieces, and how it ends.
fn answers(input: &[u8], piece: usize, deflate: bool) -> Vec<Message> {
    let limits = Limits { message_bytes_max: 1 << 24, ..Limits::default() };
    let mut decoder = match Decoder::new(Role::Server, limits) {
        decoder if deflate => decoder.with_deflate(),
        decoder => decoder,
    };
    let mut sent = Vec::new();
    for chunk in input.chunks(piece) {
        let result = decoder.feed(&mut chunk.to_vec(), &mut |message| match message {
            Message::Text(text) => encode(OpCode::Text, text.as_bytes(), &mut sent),
            Message::Binary(bytes) => encode(OpCode::Binary, &bytes, &mut sent),
            Message::Ping(payload) => encode(OpCode::Pong, &payload, &mut sent),
            Message::Pong(_) => {}
            Message::Close { code: Some(code), reason } => encode_close(code, &reason, &mut sent),
            Message::Close { code: None, .. } => encode(OpCode::Close, &[], &mut sent),
        });
        if let Err(error) = result {
            encode_close(error.close_code(), "", &mut sent);
            break;
        }
    }
    if deflate && let Some(smaller) = compact(&sent, 0, WINDOW_BITS_MAX) {
        sent = smaller.to_vec();
    }
    let mut client = Decoder::new(Role::Client, limits).with_deflate();
    let mut received = Vec::new();
    client.feed(&mut sent, &mut |message| received.push(message)).expect("valid frames");
    received
}

/// Runs one case whole, in pieces, and octet by octet unless that takes long.
#[track_caller]
fn case(frames: &[Vec<u8>], expected: &[Message]) {
    let input = frames.concat();
    for piece in [input.len(), 997, 2, 1] {
        if piece > 2 || input.len() < 10_000 {
            assert_eq!(answers(&input, piece.max(1), false), expected, "pieces of {piece}");
        }
    }
}

fn said(text: impl Into<String>) -> Message {
    Message::Text(text.into())
}

fn pong(payload: &[u8]) -> Message {
    Message::Pong(Bytes::copy_from_slice(payload))
}

fn closed(code: u16) -> Message {
    Message::Close { code: Some(code), reason: String::new() }
}

#[test]
fn case_1_framing() {
    for len in [0, 125, 126, 127, 128, 65_535, 65_536] {
        case(&[text("*".repeat(len))], &[said("*".repeat(len))]);
        let bytes = vec![0xFE; len];
        case(&[frame(0x82, &bytes)], &[Message::Binary(bytes.into())]);
    }
}

#[test]
fn case_2_pings_and_pongs() {
    for payload in [&b""[..], b"Hello, world!", b"\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF", &[0xFE; 125]] {
        case(&[ping(payload)], &[pong(payload)]);
    }
    case(&[ping(&[0xFE; 126])], &[closed(1002)]);
    case(&[frame(0x8A, b""), frame(0x8A, b"unsolicited")], &[]);
    case(&[frame(0x8A, b"unsolicited"), ping(b"p")], &[pong(b"p")]);
    let pings: Vec<Vec<u8>> = (0..10).map(|index| ping(format!("p{index}").as_bytes())).collect();
    let pongs: Vec<Message> = (0..10).map(|index| pong(format!("p{index}").as_bytes())).collect();
    case(&pings, &pongs);
}

#[test]
fn case_3_reserved_bits() {
    case(&[frame(0x91, b"hi")], &[closed(1002)]);
    case(&[text("a"), frame(0xA1, b"hi"), ping(b"")], &[said("a"), closed(1002)]);
    case(&[text("a"), frame(0xB1, b"hi"), ping(b"")], &[said("a"), closed(1002)]);
    case(&[text("a"), frame(0xC1, b"hi"), ping(b"")], &[said("a"), closed(1002)]);
    for first in [0xD2, 0xE9, 0xF8] {
        case(&[frame(first, b"")], &[closed(1002)]);
    }
}

#[test]
fn case_4_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        case(&[frame(0x80 | opcode, b"")], &[closed(1002)]);
        case(&[text("a"), frame(0x80 | opcode, b"x"), ping(b"")], &[said("a"), closed(1002)]);
    }
}

#[test]
fn case_5_fragments() {
    let (one, two) = (frame(0x01, b"fragment1"), frame(0x80, b"fragment2"));
    let whole = said("fragment1fragment2");
    case(&[frame(0x09, b"a"), frame(0x80, b"b")], &[closed(1002)]);
    case(&[frame(0x0A, b"a"), frame(0x80, b"b")], &[closed(1002)]);
    case(&[one.clone(), two.clone()], std::slice::from_ref(&whole));
    case(&[one.clone(), ping(b"p"), two.clone()], &[pong(b"p"), whole]);
    // Continuations without a beginning.
    case(&[two.clone(), text("hi")], &[closed(1002)]);
    case(&[frame(0x00, b"x"), text("hi")], &[closed(1002)]);
    case(&[one.clone(), two.clone(), two.clone()], &[said("fragment1fragment2"), closed(1002)]);
    // A message inside another.
    case(&[one.clone(), text("fragment2")], &[closed(1002)]);
    case(&[one, frame(0x01, b"x"), two], &[closed(1002)]);
    let frames = [
        frame(0x01, b"fragment1"),
        frame(0x00, b"fragment2"),
        ping(b"pongme 1!"),
        frame(0x00, b"fragment3"),
        frame(0x00, b"fragment4"),
        ping(b"pongme 2!"),
        frame(0x80, b"fragment5"),
    ];
    let message = said("fragment1fragment2fragment3fragment4fragment5");
    case(&frames, &[pong(b"pongme 1!"), pong(b"pongme 2!"), message]);
}

#[test]
fn case_6_utf8_handling() {
    case(&[frame(0x01, b""), frame(0x00, b""), frame(0x80, b"")], &[said("")]);
    case(&[frame(0x01, b""), frame(0x00, b"middle"), frame(0x80, b"")], &[said("middle")]);
    let greek = "Hello-µ@ßöäüàá-UTF-8!!";
    case(&[text(greek)], &[said(greek)]);
    let octets: Vec<Vec<u8>> = greek.bytes().map(|byte| frame(0x00, &[byte])).collect();
    case(&[&[frame(0x01, b"")], &octets[..], &[frame(0x80, b"")]].concat(), &[said(greek)]);
    for valid in [
        "\u{0}",
        "\u{7F}",
        "\u{80}",
        "\u{7FF}",
        "\u{800}",
        "\u{D7FF}",
        "\u{E000}",
        "\u{FFFD}",
        "\u{FFFE}",
        "\u{FFFF}",
        "\u{10000}",
        "\u{1FFFE}",
        "\u{10FFFE}",
        "\u{10FFFF}",
        "κόσμε",
        "퟿",
    ] {
        case(&[text(valid)], &[said(valid)]);
    }
    for invalid in [
        &b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited"[..],
        b"\xCE",
        b"\xE1\xBD",
        b"\x80",
        b"\xBF",
        b"\x80\xBF\x80",
        b"\xC0 ",
        b"\xFE",
        b"\xFF",
        b"\xC0\xAF",
        b"\xE0\x80\xAF",
        b"\xF0\x80\x80\xAF",
        b"\xF8\x80\x80\x80\xAF",
        b"\xC1\xBF",
        b"\xE0\x9F\xBF",
        b"\xF0\x8F\xBF\xBF",
        b"\xC0\x80",
        b"\xED\xA0\x80",
        b"\xED\xBF\xBF",
        b"\xED\xA0\x80\xED\xB0\x80",
        b"\xF4\x90\x80\x80",
        b"\xF5\x80\x80\x80",
        b"\xF8\x88\x80\x80\x80",
        b"\xFC\x84\x80\x80\x80\x80",
        b"\xF4\x8F\xBF",
    ] {
        case(&[text(invalid)], &[closed(1007)]);
        let (head, tail) = invalid.split_at(invalid.len() / 2);
        case(&[frame(0x01, head), frame(0x80, tail)], &[closed(1007)]);
    }
}

#[test]
fn case_6_4_invalid_utf8_fails_at_the_byte_that_shows_it() {
    let good = "κόσμε".as_bytes();
    let bad = b"\xF4\x90\x80\x80";
    // The message is never completed, and of the bad sequence two bytes are enough.
    case(&[frame(0x01, good), frame(0x00, &bad[..2])], &[closed(1007)]);
    case(&[frame(0x01, good), frame(0x00, &bad[..1])], &[]);
    let mut cut = frame(0x81, &[good, bad, good].concat());
    cut.truncate(6 + good.len() + 2);
    case(&[cut], &[closed(1007)]);
}

#[test]
fn case_7_closing() {
    let goodbye = Message::Close { code: Some(1000), reason: "bye".to_owned() };
    case(&[text("a"), close(1000, b"bye")], &[said("a"), goodbye.clone()]);
    case(&[close(1000, b"bye"), close(1000, b"again")], std::slice::from_ref(&goodbye));
    case(&[close(1000, b"bye"), ping(b"p"), text("late")], std::slice::from_ref(&goodbye));
    case(&[frame(0x01, b"one"), close(1000, b"bye"), frame(0x80, b"two")], &[goodbye]);
    case(&[frame(0x88, b"")], &[Message::Close { code: None, reason: String::new() }]);
    case(&[frame(0x88, b"a")], &[closed(1002)]);
    case(&[close(1000, b"")], &[closed(1000)]);
    let longest = "*".repeat(123);
    let expected = Message::Close { code: Some(1000), reason: longest.clone() };
    case(&[close(1000, longest.as_bytes())], &[expected]);
    case(&[close(1000, &[b'*'; 124])], &[closed(1002)]);
    case(&[close(1000, b"\xCE\xBA\xED\xA0\x80")], &[closed(1007)]);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        case(&[close(code, b"")], &[closed(code)]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        case(&[close(code, b"")], &[closed(1002)]);
    }
}

#[test]
fn case_9_and_10_long_messages_and_many_fragments() {
    let long = "*".repeat(256 * 1024);
    case(&[text(&long)], &[said(long.clone())]);
    let fragments = |len: usize| {
        let mut frames: Vec<Vec<u8>> =
            long.as_bytes().chunks(len).map(|chunk| frame(0x00, chunk)).collect();
        frames[0][0] = 0x01;
        frames.push(frame(0x80, b""));
        frames
    };
    for len in [64, 256, 1024, 1300, 65_536] {
        case(&fragments(len), &[said(long.clone())]);
    }
}

#[test]
fn case_12_compressed_messages() {
    let mut state = 7_u32;
    for len in [0, 16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072] {
        let words: String = (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                char::from(b'a' + (state >> 29) as u8)
            })
            .collect();
        for bits in [9, 12, 15] {
            let payload = compress(words.as_bytes(), bits);
            let whole = frame(0xC1, &payload);
            let mut fragments: Vec<Vec<u8>> =
                payload.chunks(1 + len / 8).map(|chunk| frame(0x00, chunk)).collect();
            fragments[0][0] = 0x41;
            fragments.push(frame(0x80, b""));
            for input in [whole, fragments.concat()] {
                let expected = [said(words.clone())];
                assert_eq!(answers(&input, input.len(), true), expected);
                assert_eq!(answers(&input, 997, true), expected);
                let answer = answers(&input, input.len(), false);
                assert_eq!(answer, [closed(1002)], "nothing was agreed");
            }
        }
    }
}

#[test]
fn a_reason_is_cut_where_a_character_ends() {
    let mut out = Vec::new();
    encode_close(1000, &"é".repeat(62), &mut out);
    assert_eq!(out.len(), 2 + 2 + 122);
    assert!(out.len() <= 4 + websocket::CLOSE_REASON_BYTES_MAX);
}
