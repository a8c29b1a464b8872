//! Dated marks of a read cursor, packed into one column.
//!
//! A mark says "at `at` the cursor came to `seq`". Oldest first; of each the differences to the one
//! before, as variable-length numbers (seven bits a byte, lowest first; times zigzag). A full set takes
//! some 300 bytes instead of 1,024: read cursors move with every message sent, and the pages they lie on
//! are most of what a commit writes.

use mynah_domain::Timestamp;
use mynah_domain::message::RECEIPT_MARKS_MAX;

/// One dated move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
}

/// Adds a move. Moves of one millisecond are one mark; beyond the limit the oldest mark is merged into
/// the one after it.
pub(crate) fn push(marks: &mut Vec<Mark>, mark: Mark) {
    match marks.last_mut() {
        Some(last) if last.at == mark.at => last.seq = mark.seq,
        Some(_) | None => marks.push(mark),
    }
    if marks.len() > RECEIPT_MARKS_MAX {
        marks.remove(0);
    }
}

/// When the cursor first covered `seq`, as far as the marks tell.
pub(crate) fn covered_at(marks: &[Mark], seq: u64) -> Option<Timestamp> {
    marks.iter().find(|m| m.seq >= seq).map(|m| m.at)
}

/// Packs marks into bytes.
pub(crate) fn encode(marks: &[Mark], out: &mut Vec<u8>) {
    out.clear();
    let (mut seq, mut at) = (0_u64, 0_i64);
    for mark in marks {
        put(out, mark.seq.wrapping_sub(seq));
        let step = mark.at.0.wrapping_sub(at);
        put(out, ((step << 1) ^ (step >> 63)).cast_unsigned());
        (seq, at) = (mark.seq, mark.at.0);
    }
}

/// Unpacks what [`encode`] made; a torn tail is left out.
pub(crate) fn decode(bytes: &[u8]) -> Vec<Mark> {
    let mut rest = bytes.iter();
    let (mut seq, mut at) = (0_u64, 0_i64);
    let next = || {
        let (forward, step) = (take(&mut rest)?, take(&mut rest)?);
        seq = seq.wrapping_add(forward);
        at = at.wrapping_add((step >> 1).cast_signed() ^ -(step & 1).cast_signed());
        Some(Mark { seq, at: Timestamp(at) })
    };
    std::iter::from_fn(next).collect()
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take(bytes: &mut std::slice::Iter<'_, u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_packing_and_stay_bounded() {
        let mut marks = Vec::new();
        for i in 0..200_u64 {
            push(&mut marks, Mark { seq: i + 1, at: Timestamp(i as i64 - 50) });
        }
        assert_eq!(marks.len(), RECEIPT_MARKS_MAX);
        let mut bytes = Vec::new();
        encode(&marks, &mut bytes);
        assert_eq!(decode(&bytes), marks);
        let half = decode(&bytes[..bytes.len() / 2]);
        assert!(marks.starts_with(&half), "a torn tail is left out");
        assert_eq!(covered_at(&marks, 1), Some(marks[0].at), "older marks are merged");
        assert_eq!(covered_at(&marks, 201), None);
    }

    #[test]
    fn extreme_marks_survive_packing() {
        let extremes = [(1, i64::MIN), (u64::MAX, i64::MAX), (5, -1), (5, 0)];
        let marks = extremes.map(|(seq, at)| Mark { seq, at: Timestamp(at) });
        let mut bytes = Vec::new();
        encode(&marks, &mut bytes);
        assert_eq!(decode(&bytes), marks);
    }
}
