use bytes::Bytes;
use mynah_protocol::websocket::{
    DecodeError, Decoder, Limits, Message, OpCode, Role, encode, encode_close, encode_masked,
    frame_binary, frame_text,
};
use proptest::prelude::*;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

type Outcome = (Vec<Message>, Result<(), DecodeError>);

fn decoder(role: Role, limits: Limits) -> Decoder {
    Decoder::new(role, limits)
}

fn feed(decoder: &mut Decoder, bytes: &[u8]) -> Outcome {
    let mut messages = Vec::new();
    let result = decoder.feed(&mut bytes.to_vec(), &mut |message| messages.push(message));
    (messages, result)
}

/// What a server makes of `bytes`, given all at once.
fn serve(bytes: &[u8]) -> Outcome {
    feed(&mut decoder(Role::Server, Limits::default()), bytes)
}

fn serve_in_pieces(bytes: &[u8], piece: usize, limits: Limits) -> Outcome {
    let mut decoder = decoder(Role::Server, limits);
    let mut all = Vec::new();
    for chunk in bytes.chunks(piece) {
        let (messages, result) = feed(&mut decoder, chunk);
        all.extend(messages);
        if result.is_err() {
            return (all, result);
        }
    }
    (all, Ok(()))
}

/// A masked frame with any first byte.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_masked(OpCode::Text, payload, MASK, &mut frame);
    frame[0] = first;
    frame
}

fn error_of(bytes: &[u8]) -> DecodeError {
    serve(bytes).1.expect_err("must be refused")
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

#[test]
fn vectors_of_rfc_6455_section_5_7() {
    let masked_hello = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    assert_eq!(serve(&masked_hello), (vec![text("Hello")], Ok(())));
    let mut encoded = Vec::new();
    encode_masked(OpCode::Text, b"Hello", MASK, &mut encoded);
    assert_eq!(encoded, masked_hello);

    let mut client = decoder(Role::Client, Limits::default());
    let hello = [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F];
    assert_eq!(feed(&mut client, &hello), (vec![text("Hello")], Ok(())));
    let fragments = [0x01, 0x03, 0x48, 0x65, 0x6C, 0x80, 0x02, 0x6C, 0x6F];
    assert_eq!(feed(&mut client, &fragments), (vec![text("Hello")], Ok(())));
    let ping = [0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F];
    assert_eq!(feed(&mut client, &ping).0, [Message::Ping(Bytes::from_static(b"Hello"))]);
    let mut out = Vec::new();
    encode(OpCode::Text, b"Hello", &mut out);
    assert_eq!(out, hello);
}

#[test]
fn encoded_lengths_are_minimal() {
    for (len, header) in [
        (0, vec![0x82, 0]),
        (125, vec![0x82, 125]),
        (126, vec![0x82, 126, 0, 126]),
        (0xFFFF, vec![0x82, 126, 0xFF, 0xFF]),
        (0x1_0000, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let payload = vec![7; len];
        let (frame, header_len) = frame_binary(&payload);
        assert_eq!(frame.slice(..header_len), header);
        assert_eq!(frame.slice(header_len..), payload);
        let mut out = b"before".to_vec();
        encode(OpCode::Binary, &payload, &mut out);
        assert_eq!(&out[6..], &frame);
        let received = feed(&mut decoder(Role::Client, Limits::default()), &frame);
        assert_eq!(received, (vec![Message::Binary(payload.into())], Ok(())));
    }
    assert_eq!(frame_text(b"hi"), (Bytes::from_static(b"\x81\x02hi"), 2));
}

#[test]
fn frame_rules_are_enforced() {
    for bits in [0x40, 0x20, 0x10, 0x70] {
        assert_eq!(error_of(&raw(0x81 | bits, b"x")), DecodeError::ReservedBits);
        assert_eq!(error_of(&[0x81 | bits]), DecodeError::ReservedBits, "on the first byte");
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        assert_eq!(error_of(&[0x80 | opcode]), DecodeError::UnknownOpCode(opcode));
    }
    assert_eq!(error_of(&[0x81, 0x01, b'x']), DecodeError::MaskMissing);
    let masked = raw(0x81, b"x");
    let client = feed(&mut decoder(Role::Client, Limits::default()), &masked);
    assert_eq!(client.1, Err(DecodeError::MaskUnexpected));
    for opcode in [0x08, 0x09, 0x0A] {
        assert_eq!(error_of(&[opcode, 0x80]), DecodeError::ControlFragmented);
        assert_eq!(error_of(&[0x80 | opcode, 0xFE]), DecodeError::ControlTooLong);
        assert_eq!(error_of(&[0x80 | opcode, 0xFF]), DecodeError::ControlTooLong);
    }
    assert_eq!(error_of(&[0x81, 0xFE, 0, 125, 0, 0, 0, 0]), DecodeError::LengthEncoding);
    let not_minimal = [0x81, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0];
    assert_eq!(error_of(&not_minimal), DecodeError::LengthEncoding);
    let top_bit = [0x81, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(error_of(&top_bit), DecodeError::LengthEncoding);
}

#[test]
fn fragments_are_joined_around_control_frames() {
    let bytes = [
        raw(0x01, b"a"),
        raw(0x89, b"p"),
        raw(0x00, b""),
        raw(0x8A, b""),
        raw(0x80, b"b"),
        raw(0x82, b"c"),
    ]
    .concat();
    let expected = vec![
        Message::Ping(Bytes::from_static(b"p")),
        Message::Pong(Bytes::new()),
        text("ab"),
        Message::Binary(Bytes::from_static(b"c")),
    ];
    assert_eq!(serve(&bytes), (expected.clone(), Ok(())));
    assert_eq!(serve_in_pieces(&bytes, 1, Limits::default()), (expected, Ok(())));

    assert_eq!(error_of(&raw(0x80, b"x")), DecodeError::ContinuationUnexpected);
    let interrupted = [raw(0x01, b"a"), raw(0x81, b"b")].concat();
    assert_eq!(error_of(&interrupted), DecodeError::MessageInterrupted);
    let after_end = [raw(0x01, b"a"), raw(0x80, b"b"), raw(0x80, b"c")].concat();
    assert_eq!(serve(&after_end), (vec![text("ab")], Err(DecodeError::ContinuationUnexpected)));
}

#[test]
fn utf8_is_checked_over_fragments_and_as_early_as_possible() {
    let word = "κόσμε😀".as_bytes();
    for cut in 0..=word.len() {
        let bytes = [raw(0x01, &word[..cut]), raw(0x80, &word[cut..])].concat();
        assert_eq!(serve(&bytes).0, [text("κόσμε😀")]);
    }
    // The third byte can no longer become valid: refused before the frame is complete.
    for early in [&b"\xCE\xBA\xED\xA0"[..], b"ok\xF4\x90", b"\xC0", b"\xFF"] {
        let declared = [early, &[b'x'; 20]].concat();
        let frame = raw(0x01, &declared);
        let so_far = frame.len() - 20;
        let (_, result) = serve_in_pieces(&frame[..so_far], 1, Limits::default());
        assert_eq!(result, Err(DecodeError::InvalidUtf8));
    }
    assert_eq!(error_of(&raw(0x81, b"\xE2\x82")), DecodeError::InvalidUtf8, "cut off at the end");
    let unfinished = [raw(0x01, b"\xE2\x82"), raw(0x80, b"")].concat();
    assert_eq!(error_of(&unfinished), DecodeError::InvalidUtf8);
    assert_eq!(error_of(&raw(0x81, b"\xE2\x82")).close_code(), 1007);
}

#[test]
fn close_frames_are_checked_and_end_the_stream() {
    let close = |payload: &[u8]| serve(&raw(0x88, payload));
    let empty = Message::Close { code: None, reason: String::new() };
    assert_eq!(close(b""), (vec![empty], Ok(())));
    let normal = Message::Close { code: Some(1000), reason: "bye ☃".to_owned() };
    assert_eq!(close(&[&[0x03, 0xE8], "bye ☃".as_bytes()].concat()), (vec![normal], Ok(())));
    assert_eq!(close(b"\x03").1, Err(DecodeError::CloseInvalid));
    for code in [0u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        assert_eq!(close(&code.to_be_bytes()).1, Err(DecodeError::CloseInvalid), "{code}");
    }
    for code in [1000u16, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(close(&code.to_be_bytes()).1, Ok(()), "{code}");
    }
    assert_eq!(close(b"\x03\xE8\xFF").1, Err(DecodeError::InvalidUtf8));

    let mut server = decoder(Role::Server, Limits::default());
    let bytes = [raw(0x01, b"half"), raw(0x88, b""), vec![0xFF, 0xFF]].concat();
    let (messages, result) = feed(&mut server, &bytes);
    assert_eq!((messages.len(), result), (1, Ok(())));
    assert_eq!(feed(&mut server, &raw(0x81, b"late")), (vec![], Ok(())));
    assert!(!server.is_mid_message());
}

#[test]
fn encoded_close_fits_a_control_frame() {
    let mut out = Vec::new();
    encode_close(1008, &"é".repeat(100), &mut out);
    assert_eq!(out.len(), 2 + 2 + 122, "cut at a character");
    let (messages, result) = feed(&mut decoder(Role::Client, Limits::default()), &out);
    assert_eq!(result, Ok(()));
    assert_eq!(messages, [Message::Close { code: Some(1008), reason: "é".repeat(61) }]);
}

#[test]
fn size_is_refused_on_the_header_alone() {
    let limits = Limits { message_bytes_max: 1000, fragments_max: 8 };
    let exact = raw(0x82, &[0; 1000]);
    assert_eq!(serve_in_pieces(&exact, 7, limits).0.len(), 1);
    let header = &raw(0x82, &[0; 1001])[..8];
    assert_eq!(feed(&mut decoder(Role::Server, limits), header).1, Err(DecodeError::MessageTooBig));
    let huge = [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0];
    let error = serve(&huge).1.expect_err("declares 2^63 bytes");
    assert_eq!((error, error.close_code()), (DecodeError::MessageTooBig, 1009));

    let first = raw(0x02, &[0; 600]);
    let second = &raw(0x80, &[0; 401])[..8];
    let sum = feed(&mut decoder(Role::Server, limits), &[&first, second].concat());
    assert_eq!(sum.1, Err(DecodeError::MessageTooBig));
}

#[test]
fn fragment_floods_end() {
    let limits = Limits { message_bytes_max: 1000, fragments_max: 8 };
    let flood = |payload: &[u8]| {
        let bytes = [raw(0x02, payload), raw(0x00, payload).repeat(7)].concat();
        let mut server = decoder(Role::Server, limits);
        assert_eq!(feed(&mut server, &bytes), (vec![], Ok(())));
        assert_eq!(feed(&mut server, &raw(0x00, payload)).1, Err(DecodeError::TooManyFragments));
        assert!(!server.is_mid_message(), "what was buffered is gone");
        assert_eq!(feed(&mut server, b"x").1, Err(DecodeError::TooManyFragments), "stays failed");
    };
    flood(b"");
    flood(b"x");
}

#[test]
fn an_idle_decoder_holds_nothing() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
    let mut server = decoder(Role::Server, Limits::default());
    let frame = raw(0x81, b"hello");
    for piece in [1, 3, frame.len()] {
        for chunk in frame.chunks(piece) {
            assert_eq!(feed(&mut server, chunk).1, Ok(()));
        }
        assert!(!server.is_mid_message());
    }
}

#[test]
fn messages_before_an_error_are_delivered() {
    let bytes = [raw(0x81, b"one"), raw(0xC1, b"two"), raw(0x81, b"three")].concat();
    assert_eq!(serve(&bytes), (vec![text("one")], Err(DecodeError::ReservedBits)));
}

/// Frames that are mostly, but not always, legal in their order.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        4 => Just(0x81u8), 2 => Just(0x82), 2 => Just(0x01), 1 => Just(0x02), 2 => Just(0x00),
        2 => Just(0x80), 1 => Just(0x89), 1 => Just(0x8A), 1 => Just(0x88), 1 => any::<u8>(),
    ];
    let payload = prop_oneof![
        3 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => prop::collection::vec(Just(b'a'), 120..130),
    ];
    prop::collection::vec((first, payload).prop_map(|(first, payload)| raw(first, &payload)), 0..12)
        .prop_map(|frames| frames.concat())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_result(bytes in frames(), cuts in prop::collection::vec(1usize..60, 1..40)) {
        let limits = Limits { message_bytes_max: 256, fragments_max: 3 };
        let whole = feed(&mut decoder(Role::Server, limits), &bytes);
        let mut server = decoder(Role::Server, limits);
        let mut messages = Vec::new();
        let mut result = Ok(());
        let mut rest = &bytes[..];
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() || result.is_err() {
                break;
            }
            let (chunk, after) = rest.split_at(cut.min(rest.len()));
            let (some, outcome) = feed(&mut server, chunk);
            messages.extend(some);
            result = outcome;
            rest = after;
        }
        prop_assert_eq!(&(messages, result), &whole);
        prop_assert_eq!(&serve_in_pieces(&bytes, 1, limits), &whole);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(serve(&bytes));
        drop(feed(&mut decoder(Role::Client, Limits::default()), &bytes));
    }

    #[test]
    fn masked_frames_round_trip(payload in prop::collection::vec(any::<u8>(), 0..400), mask: [u8; 4], piece in 1usize..50) {
        let mut frame = Vec::new();
        encode_masked(OpCode::Binary, &payload, mask, &mut frame);
        let received = serve_in_pieces(&frame, piece, Limits::default());
        prop_assert_eq!(received, (vec![Message::Binary(payload.into())], Ok(())));
    }
}
