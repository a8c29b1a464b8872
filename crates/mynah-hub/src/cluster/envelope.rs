//! The frame around everything that nodes send each other.

use bytes::{Buf as _, Bytes};

/// One frame: `My`, version, kind, sender's slot, sender's epoch, length of the body, body; numbers are
/// little-endian. 18 bytes before the body.
///
/// Several may follow each other in one payload. A body belongs to its kind, and kinds to the caller, who
/// skips those it does not know: they are a newer node's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the body is.
    pub kind: u8,
    /// The sender's slot.
    pub slot: u16,
    /// The sender's epoch: how often its slot was taken.
    pub epoch: u64,
    /// What is said.
    pub body: Bytes,
}

/// Why bytes are no envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It does not begin as one.
    #[error("no envelope")]
    Magic,
    /// It is one of a version that is not understood.
    #[error("an envelope of version {0}")]
    Version(u8),
    /// It ends before its body does.
    #[error("an envelope cut short")]
    Short,
}

const MAGIC: [u8; 2] = *b"My";
const VERSION: u8 = 1;
const HEADER: usize = 18;

impl Envelope {
    /// Appends the frame. A body of 4 GiB or more cannot be sent; the broker's limits are far below.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(HEADER + self.body.len());
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.push(self.kind);
        out.extend_from_slice(&self.slot.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&(self.body.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.body);
    }

    /// The frame alone, as a payload.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::new();
        self.encode(&mut out);
        out.into()
    }

    /// Takes one frame off the front. The body is a part of the payload: nothing is copied.
    ///
    /// # Errors
    /// [`EnvelopeError`] if it does not begin with a frame; what is left then has no meaning.
    pub fn decode(payload: &mut Bytes) -> Result<Self, EnvelopeError> {
        let header = payload.first_chunk::<HEADER>();
        let Some(&[m, y, version, kind, s0, s1, epoch @ .., l0, l1, l2, l3]) = header else {
            return Err(if payload.starts_with(&MAGIC) {
                EnvelopeError::Short
            } else {
                EnvelopeError::Magic
            });
        };
        if [m, y] != MAGIC {
            return Err(EnvelopeError::Magic);
        }
        if version != VERSION {
            return Err(EnvelopeError::Version(version));
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if payload.len() - HEADER < len {
            return Err(EnvelopeError::Short);
        }
        payload.advance(HEADER);
        let body = payload.split_to(len);
        let slot = u16::from_le_bytes([s0, s1]);
        Ok(Self { kind, slot, epoch: u64::from_le_bytes(epoch), body })
    }

    /// All frames of a payload, in order, up to the first that is none.
    pub fn all(payload: Bytes) -> Envelopes {
        Envelopes(payload)
    }
}

/// The frames of a payload: [`Envelope::all`].
#[derive(Debug, Clone)]
pub struct Envelopes(Bytes);

impl Iterator for Envelopes {
    type Item = Result<Envelope, EnvelopeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let frame = Envelope::decode(&mut self.0);
        if frame.is_err() {
            self.0.clear();
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(kind: u8, body: &'static str) -> Envelope {
        Envelope { kind, slot: 513, epoch: u64::MAX - 1, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn frames_follow_each_other_and_come_back() {
        let frames = [envelope(1, "hello"), envelope(200, ""), envelope(2, "you")];
        let mut bytes = Vec::new();
        for frame in &frames {
            frame.encode(&mut bytes);
        }
        let read: Result<Vec<_>, _> = Envelope::all(bytes.clone().into()).collect();
        assert_eq!(read.unwrap(), frames);
        for end in 0..bytes.len() {
            // The whole ones before the cut are read; never a panic.
            for frame in Envelope::all(Bytes::copy_from_slice(&bytes[..end])).flatten() {
                assert!(frames.contains(&frame));
            }
        }
    }

    #[test]
    fn garbage_is_named() {
        let read = |bytes: &[u8]| Envelope::decode(&mut Bytes::copy_from_slice(bytes)).unwrap_err();
        assert_eq!(read(b""), EnvelopeError::Magic);
        assert_eq!(read(b"GET / HTTP/1.1\r\nHost: a"), EnvelopeError::Magic);
        let mut whole = envelope(1, "hello").to_bytes().to_vec();
        assert_eq!(read(&whole[..10]), EnvelopeError::Short);
        assert_eq!(read(&whole[..20]), EnvelopeError::Short);
        whole[14..18].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&whole), EnvelopeError::Short, "nothing is reserved");
        whole[2] = 9;
        assert_eq!(read(&whole), EnvelopeError::Version(9));
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut state = 1_u64;
        for len in 0..2_000_usize {
            let mut bytes = b"My\x01".to_vec();
            bytes.resize_with(3 + len % 64, || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) as u8
            });
            assert!(Envelope::all(bytes.into()).count() <= 5);
        }
    }
}
