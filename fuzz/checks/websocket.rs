//! The frame decoder: no panic, bounded messages, and any split gives the same outcome.
//!
//! Input: one byte for the role, one for the size of the pieces, then the received bytes.

use mynah_protocol::websocket::{DecodeError, Decoder, Limits, Message, Role};

const LIMITS: Limits = Limits { message_bytes_max: 4096, fragments_max: 16 };

fn decode(role: Role, bytes: &[u8], piece: usize) -> (Vec<Message>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new(role, LIMITS);
    let mut messages = Vec::new();
    for chunk in bytes.chunks(piece) {
        let result = decoder.feed(&mut chunk.to_vec(), &mut |message| messages.push(message));
        if result.is_err() {
            assert!(!decoder.is_mid_message());
            return (messages, result);
        }
    }
    (messages, Ok(()))
}

/// Judges one input.
pub(crate) fn check(data: &[u8]) {
    let [role, piece, bytes @ ..] = data else { return };
    let role = if role % 2 == 0 { Role::Server } else { Role::Client };
    let whole = decode(role, bytes, bytes.len().max(1));
    assert_eq!(decode(role, bytes, usize::from(*piece).max(1)), whole);
    for message in whole.0 {
        let (len, max) = match message {
            Message::Text(text) => (text.len(), LIMITS.message_bytes_max),
            Message::Binary(bytes) => (bytes.len(), LIMITS.message_bytes_max),
            Message::Ping(bytes) | Message::Pong(bytes) => (bytes.len(), 125),
            Message::Close { reason, .. } => (reason.len(), 123),
        };
        assert!(len <= max);
    }
}
