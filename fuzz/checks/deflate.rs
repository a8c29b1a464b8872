//! Compressed messages: no panic, messages within the limit, any split gives the same outcome, what
//! was compressed is read again, and any header has an answer.
//!
//! Input: one byte for the size of the window, one for the size of the pieces, then received frames.

use mynah_protocol::websocket::deflate::{compact, compress, negotiate, put_compressed};
use mynah_protocol::websocket::{DecodeError, Decoder, Limits, Message, OpCode, Role};

const LIMITS: Limits = Limits { message_bytes_max: 4096, fragments_max: 16 };

type Outcome = (Vec<Message>, Result<(), DecodeError>);

fn decode(bytes: &[u8], piece: usize) -> Outcome {
    let mut decoder = Decoder::new(Role::Client, LIMITS).with_deflate();
    let mut messages = Vec::new();
    for chunk in bytes.chunks(piece) {
        let result = decoder.feed(&mut chunk.to_vec(), &mut |message| messages.push(message));
        if result.is_err() {
            return (messages, result);
        }
    }
    (messages, Ok(()))
}

/// Judges one input.
pub(crate) fn check(data: &[u8]) {
    let [bits, piece, bytes @ ..] = data else { return };
    let (bits, piece) = (9 + bits % 7, usize::from(*piece).max(1));
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, piece), whole);
    for message in whole.0 {
        let len = match message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) | Message::Ping(bytes) | Message::Pong(bytes) => bytes.len(),
            Message::Close { reason, .. } => reason.len(),
        };
        assert!(len <= LIMITS.message_bytes_max);
    }

    let mut frame = Vec::new();
    put_compressed(OpCode::Binary, &compress(bytes, bits), &mut frame);
    if bytes.len() <= LIMITS.message_bytes_max {
        let expected = vec![Message::Binary(bytes.to_vec().into())];
        assert_eq!(decode(&frame, frame.len()), (expected, Ok(())));
    }
    if let Some(smaller) = compact(bytes, 0, bits) {
        assert!(smaller.len() < bytes.len());
    }
    if let Some(agreement) = negotiate(bytes.split(|byte| *byte == b'\n')) {
        let header = agreement.header();
        assert_eq!(negotiate([header.as_bytes()]), Some(agreement));
    }
}
