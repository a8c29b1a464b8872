//! Compression of messages, the extension permessage-deflate (RFC 7692).
//!
//! [`negotiate`] answers a client's offers, always without context takeover on either side: no
//! connection keeps compressor state between messages, and one compressed frame fits all its
//! recipients. Decoders made by [`super::Decoder::with_deflate`] read compressed messages,
//! [`compact`] compresses finished frames.

mod offer;

pub use offer::{Agreement, WINDOW_BITS_MAX, negotiate};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::encode::put_header;
use super::frame::parse_header;
use super::{DecodeError, OpCode, Role};

/// What every flushed deflate stream ends with; never sent (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// Bytes inflated at once; how far a message may overstep its limit before it is noticed.
const CHUNK_BYTES: usize = 16 * 1024;

/// Most bytes that a message of that many bytes may take when it is sent compressed: deflate adds
/// five bytes to each stored block of at least 4 KiB.
pub(super) fn compressed_bytes_max(message_bytes_max: usize) -> usize {
    message_bytes_max.saturating_add(message_bytes_max / 512).saturating_add(64)
}

/// The message a compressed payload stands for.
pub(super) fn inflate(payload: &[u8], message_bytes_max: usize) -> Result<Vec<u8>, DecodeError> {
    let mut stream = Decompress::new(false);
    let mut message = Vec::new();
    let mut chunk = vec![0; CHUNK_BYTES.min(message_bytes_max.saturating_add(1))];
    for mut rest in [payload, &TAIL] {
        loop {
            let (taken, made) = (stream.total_in(), stream.total_out());
            let status = stream
                .decompress(rest, &mut chunk, FlushDecompress::Sync)
                .ok()
                .ok_or(DecodeError::InvalidDeflate)?;
            let taken = (stream.total_in() - taken) as usize;
            let made = (stream.total_out() - made) as usize;
            rest = rest.get(taken..).unwrap_or_default();
            if message.len() + made > message_bytes_max {
                return Err(DecodeError::MessageTooBig);
            }
            message.extend_from_slice(chunk.get(..made).unwrap_or_default());
            let is_stuck = taken + made == 0;
            match status {
                // A final block; section 7.2.3.4 lets others follow.
                Status::StreamEnd => stream.reset(false),
                Status::Ok | Status::BufError if is_stuck && !rest.is_empty() => {
                    return Err(DecodeError::InvalidDeflate);
                }
                Status::Ok | Status::BufError => {}
            }
            // A filled chunk may have left output behind.
            if rest.is_empty() && made < chunk.len() {
                break;
            }
        }
    }
    Ok(message)
}

/// Compresses a message; the payload of its frame, with a window of 2^`window_bits` bytes, 9 to
/// [`WINDOW_BITS_MAX`].
pub fn compress(message: &[u8], window_bits: u8) -> Vec<u8> {
    let window_bits = window_bits.clamp(9, WINDOW_BITS_MAX);
    let mut stream = Compress::new_with_window_bits(Compression::default(), false, window_bits);
    let mut out = Vec::with_capacity(message.len() / 2 + 64);
    let mut rest = message;
    loop {
        let taken = stream.total_in();
        stream
            .compress_vec(rest, &mut out, FlushCompress::Sync)
            .expect("a stream that was not finished takes any input");
        rest = rest.get((stream.total_in() - taken) as usize..).unwrap_or_default();
        // Spare room shows that the flush is complete.
        if rest.is_empty() && out.len() < out.capacity() {
            break;
        }
        out.reserve(rest.len() / 2 + 64);
    }
    if out.ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
    }
    if out.is_empty() {
        out.push(0);
    }
    out
}

/// Compresses finished frames of a server, one or several: the data messages among them of at
/// least `threshold` bytes that become smaller. `None` if none does, or if the bytes are no whole
/// unfragmented frames.
pub fn compact(frames: &[u8], threshold: usize, window_bits: u8) -> Option<Bytes> {
    let mut out = Vec::new();
    let mut rest = frames;
    let mut is_smaller = false;
    while !rest.is_empty() {
        let (frame, header_len) = parse_header(rest, Role::Client, false).ok()??;
        let end = header_len.checked_add(usize::try_from(frame.payload_len).ok()?)?;
        let (whole, after) = rest.split_at_checked(end)?;
        rest = after;
        let payload = whole.get(header_len..)?;
        let is_data = matches!(frame.opcode, OpCode::Text | OpCode::Binary);
        if is_data && frame.fin && payload.len() >= threshold {
            let compressed = compress(payload, window_bits);
            if compressed.len() < payload.len() {
                put_compressed(frame.opcode, &compressed, &mut out);
                is_smaller = true;
                continue;
            }
        }
        out.extend_from_slice(whole);
    }
    is_smaller.then(|| out.into())
}

/// Appends one whole unmasked frame whose payload was made by [`compress`], e.g.
/// `c1 07 f2 48 cd c9 c9 07 00` for the text `Hello`.
pub fn put_compressed(opcode: OpCode, payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    put_header(opcode, payload.len(), 0, out);
    if let Some(first) = out.get_mut(start) {
        *first |= super::frame::RSV1;
    }
    out.extend_from_slice(payload);
}
