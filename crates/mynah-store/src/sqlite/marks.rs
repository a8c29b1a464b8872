//! Dated marks of a read cursor, packed into one column.
//!
//! A mark says "at `at` the cursor came to `seq`". Sixteen bytes each, big-endian, oldest first.

use mynah_domain::Timestamp;
use mynah_domain::message::RECEIPT_MARKS_MAX;

/// One dated move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
}

/// Adds a move. Moves of one millisecond are one mark; beyond the limit the oldest mark is merged into
/// the one after it.
pub(super) fn push(marks: &mut Vec<Mark>, mark: Mark) {
    match marks.last_mut() {
        Some(last) if last.at == mark.at => last.seq = mark.seq,
        Some(_) | None => marks.push(mark),
    }
    if marks.len() > RECEIPT_MARKS_MAX {
        marks.remove(0);
    }
}

/// When the cursor first covered `seq`, as far as the marks tell.
pub(super) fn covered_at(marks: &[Mark], seq: u64) -> Option<Timestamp> {
    marks.iter().find(|m| m.seq >= seq).map(|m| m.at)
}

/// Packs marks into bytes.
pub(super) fn encode(marks: &[Mark], out: &mut Vec<u8>) {
    out.clear();
    for mark in marks {
        out.extend_from_slice(&mark.seq.to_be_bytes());
        out.extend_from_slice(&mark.at.0.to_be_bytes());
    }
}

/// Unpacks what [`encode`] made; a torn tail is left out.
pub(super) fn decode(bytes: &[u8]) -> Vec<Mark> {
    let (chunks, _) = bytes.as_chunks::<16>();
    chunks
        .iter()
        .map(|chunk| {
            let whole = u128::from_be_bytes(*chunk);
            Mark { seq: (whole >> 64) as u64, at: Timestamp(whole as u64 as i64) }
        })
        .collect()
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
        assert_eq!(covered_at(&marks, 1), Some(marks[0].at), "older marks are merged");
        assert_eq!(covered_at(&marks, 201), None);
    }
}
