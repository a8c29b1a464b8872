//! Frame builders; every frame is final and unfragmented.

use bytes::Bytes;

use super::{OpCode, apply_mask};

/// Longest close reason in bytes: a control frame holds 125 bytes, two of them the code.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Appends one whole unmasked (server) frame, e.g. `81 02 68 69` for the text `hi`.
///
/// The caller keeps control payloads within 125 bytes.
pub fn encode(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(header_len(payload.len()) + payload.len());
    put_header(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

/// Appends one whole masked (client) frame; for test clients and load drivers.
pub fn encode_masked(opcode: OpCode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.reserve(header_len(payload.len()) + 4 + payload.len());
    put_header(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(out.get_mut(start..).unwrap_or_default(), mask, 0);
}

/// Appends an unmasked close frame. `reason` is cut to 123 bytes at a character boundary.
pub fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let end = reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX);
    let reason = reason.get(..end).unwrap_or_default();
    put_header(OpCode::Close, 2 + reason.len(), 0, out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// A finished unmasked text frame and the length of its header, so that
/// `frame.slice(header_len..)` is the payload in the same memory. `payload` is UTF-8.
pub fn frame_text(payload: &[u8]) -> (Bytes, usize) {
    frame(OpCode::Text, payload)
}

/// Like [`frame_text`] for a binary message.
pub fn frame_binary(payload: &[u8]) -> (Bytes, usize) {
    frame(OpCode::Binary, payload)
}

fn frame(opcode: OpCode, payload: &[u8]) -> (Bytes, usize) {
    let mut out = Vec::with_capacity(header_len(payload.len()) + payload.len());
    put_header(opcode, payload.len(), 0, &mut out);
    out.extend_from_slice(payload);
    let header_len = out.len() - payload.len();
    (Bytes::from(out), header_len)
}

/// Header bytes of an unmasked frame.
fn header_len(payload_len: usize) -> usize {
    match payload_len {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

pub(super) fn put_header(opcode: OpCode, payload_len: usize, mask_bit: u8, out: &mut Vec<u8>) {
    out.push(0x80 | opcode as u8);
    match payload_len {
        0..=125 => out.push(mask_bit | payload_len as u8),
        126..=0xFFFF => {
            out.push(mask_bit | 0x7E);
            out.extend_from_slice(&(payload_len as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 0x7F);
            out.extend_from_slice(&(payload_len as u64).to_be_bytes());
        }
    }
}
