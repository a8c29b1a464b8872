//! WebSocket frames and the opening handshake (RFC 6455), and the extension [`deflate`].
//!
//! [`Decoder`] turns received bytes into [`Message`]s, [`encode()`] and its companions build
//! frames, [`check_handshake`] judges an upgrade request.

mod decode;
pub mod deflate;
mod encode;
mod frame;
mod handshake;

pub use decode::{DecodeError, Decoder, Limits, Message};
pub use encode::{
    CLOSE_REASON_BYTES_MAX, encode, encode_close, encode_masked, frame_binary, frame_text,
};
pub use handshake::{Handshake, HandshakeError, accept_key, check_handshake, tokens};

/// The side a decoder stands on; it decides the masking rule (RFC 6455 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads client frames: every frame must be masked.
    Server,
    /// Reads server frames: no frame may be masked. For test clients and load drivers.
    Client,
}

/// Frame type, RFC 6455 section 5.2; the value is the one on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum OpCode {
    /// Further fragment of a message.
    Continuation = 0x0,
    /// UTF-8 text.
    Text = 0x1,
    /// Arbitrary bytes.
    Binary = 0x2,
    /// Closing handshake.
    Close = 0x8,
    /// Liveness question.
    Ping = 0x9,
    /// Liveness answer.
    Pong = 0xA,
}

impl OpCode {
    fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// XORs `payload` with the masking key; `offset` is the position of its first byte in the frame.
fn apply_mask(payload: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut wide = [0; 16];
    for (index, byte) in wide.iter_mut().enumerate() {
        let [a, b, c, d] = mask;
        *byte = match (offset as usize).wrapping_add(index) % 4 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
    }
    let (blocks, rest) = payload.as_chunks_mut::<16>();
    let key = u128::from_ne_bytes(wide);
    for block in blocks {
        *block = (u128::from_ne_bytes(*block) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(wide) {
        *byte ^= key;
    }
}
