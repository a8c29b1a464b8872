//! The little WebSocket framing (RFC 6455 section 5.2) and payload search that load and floor need.

use memchr::memmem;

pub(crate) const TEXT: u8 = 1;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The sample key of RFC 6455 section 1.3 and its answer: no need to compute one per connection.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Any mask is as good as another to a server; a fixed one is cheap to apply.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// Marks the stamp inside a message text: `@@<16 hex: send time, ns><8 hex: room>`.
const MARK: &[u8] = b"@@";
/// Length of the message text, as in the measurements of other servers.
pub(crate) const TEXT_BYTES: usize = 100;

/// One whole frame at the head of some bytes.
pub(crate) struct Frame<'a> {
    pub(crate) opcode: u8,
    pub(crate) fin: bool,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) payload: &'a [u8],
    /// Header and payload.
    pub(crate) bytes: usize,
}

/// The first frame of `data`, or `None` while it is incomplete.
pub(crate) fn frame(data: &[u8]) -> Option<Frame<'_>> {
    let (&first, &second) = (data.first()?, data.get(1)?);
    let (length, mut at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(data.get(2..4)?.try_into().ok()?)), 4),
        127 => (u64::from_be_bytes(data.get(2..10)?.try_into().ok()?) as usize, 10),
        short => (usize::from(short), 2),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        mask = Some(data.get(at..at + 4)?.try_into().ok()?);
        at += 4;
    }
    let payload = data.get(at..at.checked_add(length)?)?;
    Some(Frame { opcode: first & 0x0f, fin: first & 0x80 != 0, mask, payload, bytes: at + length })
}

/// Undoes (or applies) masking in place.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    for chunk in payload.chunks_mut(4) {
        for (byte, key) in chunk.iter_mut().zip(mask) {
            *byte ^= key;
        }
    }
}

fn header(opcode: u8, length: usize, mask_bit: u8, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    if length < 126 {
        out.push(mask_bit | length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        out.push(mask_bit | 0x7e);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(mask_bit | 0x7f);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// Appends a client frame.
pub(crate) fn encode_masked(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    header(opcode, payload.len(), 0x80, out);
    out.extend_from_slice(&MASK);
    let at = out.len();
    out.extend_from_slice(payload);
    if let Some(tail) = out.get_mut(at..) {
        unmask(tail, MASK);
    }
}

/// Appends a server frame.
pub(crate) fn encode_plain(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    header(opcode, payload.len(), 0, out);
    out.extend_from_slice(payload);
}

/// Appends the 100-byte message text that carries its send time and room.
pub(crate) fn push_text(at_ns: u64, room: u32, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let start = out.len();
    out.extend_from_slice(MARK);
    let packed = (u128::from(at_ns) << 32) | u128::from(room);
    for place in (0..24).rev() {
        let digit = (packed >> (4 * place)) % 16;
        out.push(DIGITS.get(digit as usize).copied().unwrap_or(b'0'));
    }
    out.resize(start + TEXT_BYTES, b'x');
}

/// The 26 bytes of mark and stamp inside a payload, if it has them.
pub(crate) fn stamp_bytes(payload: &[u8]) -> Option<&[u8]> {
    let at = memmem::find(payload, MARK)?;
    payload.get(at..at + 26)
}

/// Send time and room of a message text.
pub(crate) fn stamp(payload: &[u8]) -> Option<(u64, u32)> {
    let digits = stamp_bytes(payload)?.get(2..)?;
    let mut packed = 0_u128;
    for &byte in digits {
        packed = packed << 4 | u128::from(char::from(byte).to_digit(16)?);
    }
    Some(((packed >> 32) as u64, packed as u32))
}

/// The number right after `name` (such as `"seq":`), wherever it first occurs.
pub(crate) fn number_after(payload: &[u8], name: &[u8]) -> Option<u64> {
    let at = memmem::find(payload, name)? + name.len();
    digits(payload.get(at..)?).map(|(value, _)| value)
}

/// A decimal number at the head of `text` and how many bytes it takes.
pub(crate) fn digits(text: &[u8]) -> Option<(u64, usize)> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let value = text
        .iter()
        .take(length)
        .fold(0_u64, |sum, byte| sum.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')));
    Some((value, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_frame_comes_back() {
        for size in [0, 5, 125, 126, 65_535, 65_536] {
            let payload = vec![b'a'; size];
            let mut bytes = Vec::new();
            encode_masked(TEXT, &payload, &mut bytes);
            assert!(frame(&bytes[..bytes.len() - 1]).is_none());
            let parsed = frame(&bytes).expect("whole frame");
            let mut back = parsed.payload.to_vec();
            unmask(&mut back, parsed.mask.expect("client frames are masked"));
            assert_eq!((back, parsed.bytes), (payload, bytes.len()));
        }
    }

    #[test]
    fn a_stamp_comes_back() {
        let mut text = br#"{"roomId":"r","seq":41,"data":{"seq":41,"content":""#.to_vec();
        push_text(123_456_789_012, 77, &mut text);
        assert_eq!(stamp(&text), Some((123_456_789_012, 77)));
        assert_eq!(number_after(&text, b"\"seq\":"), Some(41));
    }
}
