//! Compressed messages (RFC 7692).

use bytes::Bytes;
use mynah_protocol::websocket::deflate::{
    Agreement, WINDOW_BITS_MAX, compact, compress, negotiate, put_compressed,
};
use mynah_protocol::websocket::{
    DecodeError, Decoder, Limits, Message, OpCode, Role, encode, encode_masked, frame_text,
};
use proptest::prelude::*;

fn answer(lines: &[&str]) -> Option<String> {
    negotiate(lines.iter().map(|line| line.as_bytes())).as_ref().map(Agreement::header)
}

const PLAIN: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

fn decode_within(
    frames: &[u8],
    message_bytes_max: usize,
    piece: usize,
) -> Result<Vec<Message>, DecodeError> {
    let limits = Limits { message_bytes_max, ..Limits::default() };
    let mut decoder = Decoder::new(Role::Client, limits).with_deflate();
    let mut messages = Vec::new();
    for chunk in frames.chunks(piece) {
        decoder.feed(&mut chunk.to_vec(), &mut |message| messages.push(message))?;
    }
    Ok(messages)
}

fn decode(frames: &[u8]) -> Result<Vec<Message>, DecodeError> {
    let whole = decode_within(frames, 1_000_000, frames.len().max(1));
    assert_eq!(decode_within(frames, 1_000_000, 1), whole);
    whole
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

#[test]
fn offers_are_answered_without_context_takeover() {
    for lines in [
        &["permessage-deflate"][..],
        &["permessage-deflate; client_max_window_bits"],
        &["permessage-deflate;client_max_window_bits=10"],
        &["permessage-deflate ; server_no_context_takeover\t; client_no_context_takeover"],
        &["Permessage-Deflate; Client_Max_Window_Bits"],
        &["x-webkit-deflate-frame, permessage-deflate"],
        &["foo; bar=\"a\"; baz", "permessage-deflate"],
        &[", ,permessage-deflate,"],
        &["permessage-deflate; server_max_window_bits=8, permessage-deflate"],
        &["permessage-deflate; unknown, permessage-deflate; client_max_window_bits=\"15\""],
    ] {
        assert_eq!(answer(lines).as_deref(), Some(PLAIN), "{lines:?}");
    }
    for bits in 9..=15 {
        for quote in ["", "\""] {
            let line = format!("permessage-deflate; server_max_window_bits={quote}{bits}{quote}");
            let expected = format!("{PLAIN}; server_max_window_bits={bits}");
            assert_eq!(answer(&[&line]), Some(expected));
            let agreement = negotiate([line.as_bytes()]).unwrap();
            assert_eq!(agreement.window_bits(), bits);
        }
    }
    assert_eq!(negotiate([b"permessage-deflate".as_slice()]).unwrap().window_bits(), 15);
}

#[test]
fn offers_we_cannot_keep_are_declined() {
    for line in [
        "",
        "deflate",
        "constructor",
        "permessage-deflate2",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=\"\"",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=+9",
        "permessage-deflate; server_max_window_bits=999999999999999999999",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate;",
        "permessage-deflate; =9",
        "permessage-deflate permessage-deflate",
        "permessage-deflate; client_max_window_bits=\"15",
        "permessage-deflate; client_max_window_bits=\"15\\",
        "permessage-deflate; client_max_window_bits=\"1 5\"",
        "\"permessage-deflate\"",
        "é, permessage-deflate",
    ] {
        assert_eq!(answer(&[line]), None, "{line}");
    }
    assert_eq!(negotiate([b"\xFF".as_slice(), b"permessage-deflate"]), None);
    assert_eq!(negotiate([]), None);
    let long = "permessage-deflate; a=\"\\".repeat(20_000);
    assert_eq!(answer(&[&long]), None);
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 7692 sections 7.2.3.1 to 7.2.3.5.
    for frames in [
        &b"\xC1\x07\xF2\x48\xCD\xC9\xC9\x07\x00"[..],
        b"\x41\x03\xF2\x48\xCD\x80\x04\xC9\xC9\x07\x00",
        b"\xC1\x0B\x00\x05\x00\xFA\xFFHello\x00",
        b"\xC1\x08\xF3\x48\xCD\xC9\xC9\x07\x00\x00",
        b"\xC1\x0D\xF2\x48\x05\x00\x00\x00\xFF\xFF\xCA\xC9\xC9\x07\x00",
    ] {
        assert_eq!(decode(frames), Ok(vec![text("Hello")]), "{frames:x?}");
    }
    assert_eq!(decode(b"\xC2\x01\x00"), Ok(vec![Message::Binary(Bytes::new())]));
    assert_eq!(decode(b"\xC1\x00"), Ok(vec![text("")]));
}

#[test]
fn compressed_and_plain_messages_mix_with_control_frames() {
    let frames = [
        &b"\x41\x03\xF2\x48\xCD"[..],
        b"\x89\x01p",
        b"\x80\x04\xC9\xC9\x07\x00",
        b"\x81\x02hi",
        b"\xC1\x07\xF2\x48\xCD\xC9\xC9\x07\x00",
    ];
    let expected =
        vec![Message::Ping(Bytes::from_static(b"p")), text("Hello"), text("hi"), text("Hello")];
    assert_eq!(decode(&frames.concat()), Ok(expected));
}

#[test]
fn nothing_is_remembered_from_message_to_message() {
    // Section 7.2.3.2: the second message refers to the first.
    let frames = b"\xC1\x07\xF2\x48\xCD\xC9\xC9\x07\x00\xC1\x05\xF2\x00\x11\x00\x00";
    assert_eq!(decode(frames), Err(DecodeError::InvalidDeflate));
}

#[test]
fn the_compression_bit_belongs_on_first_frames_only_and_only_if_agreed() {
    for frames in [
        &b"\x41\x03\xF2\x48\xCD\xC0\x04\xC9\xC9\x07\x00"[..],
        b"\xC9\x00",
        b"\xCA\x00",
        b"\xC8\x00",
        b"\xE1\x00",
        b"\xD1\x00",
        b"\xA1\x00",
    ] {
        assert_eq!(decode(frames), Err(DecodeError::ReservedBits), "{frames:x?}");
    }
    let mut without = Decoder::new(Role::Client, Limits::default());
    let outcome = without.feed(&mut b"\xC1\x07\xF2".to_vec(), &mut |_| {});
    assert_eq!(outcome, Err(DecodeError::ReservedBits));
}

#[test]
fn broken_streams_and_text_are_refused() {
    assert_eq!(decode(b"\xC2\x01\x07"), Err(DecodeError::InvalidDeflate));
    assert_eq!(decode(b"\xC2\x05\x00\x05\x00\x00\x00"), Err(DecodeError::InvalidDeflate));
    assert_eq!(DecodeError::InvalidDeflate.close_code(), 1007);
    let mut frame = Vec::new();
    put_compressed(OpCode::Text, &compress(b"\xC3\x28", WINDOW_BITS_MAX), &mut frame);
    assert_eq!(decode(&frame), Err(DecodeError::InvalidUtf8));
}

#[test]
fn a_bomb_is_stopped_at_the_limit() {
    let zeros = vec![0; 1_000_001];
    let mut bomb = Vec::new();
    put_compressed(OpCode::Binary, &compress(&zeros, WINDOW_BITS_MAX), &mut bomb);
    assert!(bomb.len() < 1100);
    assert_eq!(decode_within(&bomb, 1_000_000, bomb.len()), Err(DecodeError::MessageTooBig));
    assert_eq!(decode_within(&bomb, 1_000_000, 100), Err(DecodeError::MessageTooBig));
    assert_eq!(DecodeError::MessageTooBig.close_code(), 1009);
    let exact = decode_within(&bomb, 1_000_001, bomb.len()).unwrap();
    assert_eq!(exact, [Message::Binary(zeros.into())]);
    assert_eq!(decode_within(&bomb, 0, bomb.len()), Err(DecodeError::MessageTooBig));
    // The declared length counts before anything is inflated.
    let declared = b"\xC2\x7F\x00\x00\x00\x00\x00\x20\x00\x00";
    assert_eq!(decode_within(declared, 1_000_000, 1), Err(DecodeError::MessageTooBig));
}

#[test]
fn a_message_that_does_not_compress_may_still_fill_the_limit() {
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..100_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let mut frame = Vec::new();
    put_compressed(OpCode::Binary, &compress(&noise, 9), &mut frame);
    assert!(frame.len() > noise.len());
    let messages = decode_within(&frame, noise.len(), frame.len());
    assert_eq!(messages, Ok(vec![Message::Binary(noise.into())]));
}

#[test]
fn finished_frames_become_smaller_or_stay() {
    let long = "word ".repeat(300);
    let (frame, _) = frame_text(long.as_bytes());
    let smaller = compact(&frame, 1024, WINDOW_BITS_MAX).unwrap();
    assert!(smaller.len() < 60);
    assert_eq!(smaller[0], 0xC1);
    assert_eq!(decode(&smaller), Ok(vec![text(&long)]));

    assert_eq!(compact(&frame, 1501, WINDOW_BITS_MAX), None);
    assert_eq!(compact(&frame_text(b"ab").0, 0, WINDOW_BITS_MAX), None);
    assert_eq!(compact(&frame[..frame.len() - 1], 0, WINDOW_BITS_MAX), None);
    assert_eq!(compact(b"", 0, WINDOW_BITS_MAX), None);

    let mut several = frame.to_vec();
    encode(OpCode::Ping, b"pppppppppppppppp", &mut several);
    encode(OpCode::Binary, b"x", &mut several);
    encode(OpCode::Binary, &[7; 2000], &mut several);
    let smaller = compact(&several, 1024, WINDOW_BITS_MAX).unwrap();
    assert!(smaller.len() < 120);
    let expected = [
        text(&long),
        Message::Ping(Bytes::from_static(b"pppppppppppppppp")),
        Message::Binary(Bytes::from_static(b"x")),
        Message::Binary(vec![7; 2000].into()),
    ];
    assert_eq!(decode(&smaller), Ok(expected.to_vec()));
    // Already compressed frames are none of ours.
    assert_eq!(compact(&smaller, 0, WINDOW_BITS_MAX), None);
}

#[test]
fn a_server_reads_masked_compressed_frames() {
    let payload = compress("hé".repeat(100).as_bytes(), WINDOW_BITS_MAX);
    let mut frame = Vec::new();
    encode_masked(OpCode::Text, &payload, [1, 2, 3, 4], &mut frame);
    frame[0] |= 0x40;
    let mut decoder = Decoder::new(Role::Server, Limits::default()).with_deflate();
    let mut messages = Vec::new();
    decoder.feed(&mut frame, &mut |message| messages.push(message)).unwrap();
    assert_eq!(messages, [text(&"hé".repeat(100))]);
    assert!(!decoder.is_mid_message());
}

proptest! {
    #[test]
    fn what_was_compressed_is_read_again_in_any_pieces(
        words in prop::collection::vec("[a-e]{1,3}|\\PC{0,8}", 0..150),
        bits in 9u8..=15, piece in 1usize..600, cut in 0usize..500,
    ) {
        let message = words.concat();
        let payload = compress(message.as_bytes(), bits);
        let mut whole = Vec::new();
        put_compressed(OpCode::Text, &payload, &mut whole);
        let expected = Ok(vec![text(&message)]);
        prop_assert_eq!(decode_within(&whole, message.len(), piece), expected.clone());

        // Two fragments, divided anywhere.
        let (first, second) = payload.split_at(cut.min(payload.len()));
        let mut fragments = Vec::new();
        put_compressed(OpCode::Text, first, &mut fragments);
        fragments[0] &= 0x7F;
        encode(OpCode::Continuation, second, &mut fragments);
        prop_assert_eq!(decode_within(&fragments, message.len(), piece), expected);
    }

    #[test]
    fn any_bytes_give_the_same_in_any_pieces_within_the_limit(
        payload in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..40,
    ) {
        let mut frame = Vec::new();
        put_compressed(OpCode::Binary, &payload, &mut frame);
        let whole = decode_within(&frame, 1000, frame.len());
        prop_assert_eq!(&decode_within(&frame, 1000, piece), &whole);
        for message in whole.unwrap_or_default() {
            let Message::Binary(bytes) = message else { return Ok(()) };
            prop_assert!(bytes.len() <= 1000);
        }
    }

    #[test]
    fn any_header_gives_an_answer(line in "[a-z_=;, \"\\\\0-9-]{0,60}") {
        drop(answer(&[&line]));
        drop(answer(&[&format!("permessage-deflate;{line}")]));
    }
}
