//! What a node tells all others every second, and how it is spelled.

use super::varint;

/// Stands for a stream's name in beats: FNV-1a, 64 bits. `fingerprint("")` is `0xcbf29ce484222325`.
pub fn fingerprint(name: &str) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// What a node has stored lately. Made by [`super::Follower::beat`], told on a channel that all nodes hear,
/// and taken by [`super::Follower::beat_heard`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beat {
    /// The newest event this node stored; 0 if none since it started.
    pub pos: u64,
    /// The beat's parts together name every stream into which it stored events after this place, up to
    /// `pos`. Who has not heard all up to here has missed a beat.
    pub since: u64,
    /// Counts the parts of one beat from 0.
    pub part: u32,
    /// [`fingerprint`] of the stream's name, and the newest `seq` that this node stored in it.
    pub heads: Vec<(u64, u64)>,
    /// Another part follows.
    pub more: bool,
    /// More streams were stored into than fit: compare all heads.
    pub lost: bool,
}

/// Why bytes are no beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BeatError {
    /// They end in the middle, or go on after the end.
    #[error("a beat of the wrong length")]
    Length,
    /// A number does not fit.
    #[error("a number in a beat is too large")]
    Number,
    /// Flags that this version does not know.
    #[error("unknown flags in a beat")]
    Flags,
}

const MORE: u8 = 1;
const LOST: u8 = 2;

impl Beat {
    /// Appends the beat: a byte of flags, then varints `since`, `pos - since`, `part`, the number of heads,
    /// and of each head 8 bytes of fingerprint and its `seq`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push((u8::from(self.more) * MORE) | (u8::from(self.lost) * LOST));
        varint::put(self.since, out);
        varint::put(self.pos.wrapping_sub(self.since), out);
        varint::put(u64::from(self.part), out);
        varint::put(self.heads.len() as u64, out);
        for (stream, seq) in &self.heads {
            out.extend_from_slice(&stream.to_le_bytes());
            varint::put(*seq, out);
        }
    }

    /// Reads what [`Beat::encode`] wrote.
    ///
    /// # Errors
    /// [`BeatError`] for anything else. Nothing is reserved beyond the size of the input.
    pub fn decode(mut input: &[u8]) -> Result<Self, BeatError> {
        let input = &mut input;
        let (&flags, rest) = input.split_first().ok_or(BeatError::Length)?;
        if flags & !(MORE | LOST) != 0 {
            return Err(BeatError::Flags);
        }
        *input = rest;
        let mut number = || varint::take(input).ok_or(BeatError::Number);
        let since = number()?;
        let pos = since.wrapping_add(number()?);
        let part = number()?.try_into().map_err(|_too_large| BeatError::Number)?;
        let len = number()?;
        // A head takes 9 bytes at least.
        if len > input.len() as u64 / 9 {
            return Err(BeatError::Length);
        }
        let mut heads = Vec::with_capacity(len as usize);
        for _ in 0..len {
            let (stream, rest) = input.split_first_chunk().ok_or(BeatError::Length)?;
            *input = rest;
            heads
                .push((u64::from_le_bytes(*stream), varint::take(input).ok_or(BeatError::Number)?));
        }
        if !input.is_empty() {
            return Err(BeatError::Length);
        }
        Ok(Self { pos, since, part, heads, more: flags & MORE != 0, lost: flags & LOST != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_fnv_1a() {
        assert_eq!(fingerprint(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fingerprint("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn beats_come_back_and_garbage_does_not() {
        let beat = Beat {
            pos: 70_000,
            since: 69_000,
            part: 3,
            heads: vec![(fingerprint("r:1"), 5), (u64::MAX, u64::MAX), (0, 0)],
            more: true,
            lost: false,
        };
        let mut bytes = Vec::new();
        beat.encode(&mut bytes);
        assert_eq!(Beat::decode(&bytes), Ok(beat));
        for end in 0..bytes.len() {
            Beat::decode(&bytes[..end]).expect_err("cut short");
        }
        bytes.push(0);
        assert_eq!(Beat::decode(&bytes), Err(BeatError::Length));
        assert_eq!(Beat::decode(&[4, 0, 0, 0, 0]), Err(BeatError::Flags));
        let huge = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(Beat::decode(&huge), Err(BeatError::Length), "nothing is reserved");
    }
}
