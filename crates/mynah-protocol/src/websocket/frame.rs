//! Frame headers and control frames, RFC 6455 sections 5.2 and 5.5.

use bytes::Bytes;

use super::{DecodeError, Message, OpCode, Role};

/// Longest frame header: 2 bytes, 8 bytes of length, 4 bytes of masking key.
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// Marks a compressed message on its first frame, RFC 7692 section 6.
pub(super) const RSV1: u8 = 0x40;

/// A frame header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) fin: bool,
    /// The first frame of a compressed message.
    pub(super) compressed: bool,
    pub(super) opcode: OpCode,
    pub(super) mask: [u8; 4],
    pub(super) payload_len: u64,
}

/// Reads a frame header from the start of `bytes`, failing on the first byte that is wrong;
/// `None` if more bytes are needed. Messages may be compressed if `deflate` was agreed on.
pub(super) fn parse_header(
    bytes: &[u8],
    role: Role,
    deflate: bool,
) -> Result<Option<(Frame, usize)>, DecodeError> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    let fin = first & 0x80 != 0;
    let compressed = first & 0x70 == RSV1;
    if first & 0x70 != 0 && !(compressed && deflate) {
        return Err(DecodeError::ReservedBits);
    }
    let bits = first & 0x0F;
    let opcode = OpCode::from_bits(bits).ok_or(DecodeError::UnknownOpCode(bits))?;
    if compressed && (opcode.is_control() || opcode == OpCode::Continuation) {
        return Err(DecodeError::ReservedBits);
    }
    if opcode.is_control() && !fin {
        return Err(DecodeError::ControlFragmented);
    }

    let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
    let masked = second & 0x80 != 0;
    match (role, masked) {
        (Role::Server, false) => return Err(DecodeError::MaskMissing),
        (Role::Client, true) => return Err(DecodeError::MaskUnexpected),
        (Role::Server, true) | (Role::Client, false) => {}
    }
    let short = second & 0x7F;
    if opcode.is_control() && short > 125 {
        return Err(DecodeError::ControlTooLong);
    }

    let (payload_len, rest, length_bytes) = match short {
        126 => {
            let Some((raw, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let length = u64::from(u16::from_be_bytes(*raw));
            if length < 126 {
                return Err(DecodeError::LengthEncoding);
            }
            (length, rest, 2)
        }
        127 => {
            let Some((raw, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let length = u64::from_be_bytes(*raw);
            if length >> 16 == 0 || length >> 63 != 0 {
                return Err(DecodeError::LengthEncoding);
            }
            (length, rest, 8)
        }
        short => (u64::from(short), rest, 0),
    };
    let (mask, mask_bytes) = match (masked, rest.first_chunk()) {
        (false, _) => ([0; 4], 0),
        (true, Some(mask)) => (*mask, 4),
        (true, None) => return Ok(None),
    };
    let frame = Frame { fin, compressed, opcode, mask, payload_len };
    Ok(Some((frame, 2 + length_bytes + mask_bytes)))
}

/// The message of a whole control frame.
pub(super) fn control_message(opcode: OpCode, payload: &[u8]) -> Result<Message, DecodeError> {
    match opcode {
        OpCode::Ping => Ok(Message::Ping(Bytes::copy_from_slice(payload))),
        OpCode::Pong => Ok(Message::Pong(Bytes::copy_from_slice(payload))),
        OpCode::Close | OpCode::Continuation | OpCode::Text | OpCode::Binary => {
            close_message(payload)
        }
    }
}

fn close_message(payload: &[u8]) -> Result<Message, DecodeError> {
    if payload.is_empty() {
        return Ok(Message::Close { code: None, reason: String::new() });
    }
    let (code, reason) = payload.split_first_chunk().ok_or(DecodeError::CloseInvalid)?;
    let code = u16::from_be_bytes(*code);
    if !is_sendable_close_code(code) {
        return Err(DecodeError::CloseInvalid);
    }
    let reason = std::str::from_utf8(reason).ok().ok_or(DecodeError::InvalidUtf8)?;
    Ok(Message::Close { code: Some(code), reason: reason.to_owned() })
}

/// Codes allowed on the wire: RFC 6455 section 7.4 and the registered 1012–1014.
fn is_sendable_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
