//! What this node's beats say of what it stored.

use std::collections::HashMap;

use crate::cluster::Beat;

/// Each stream is told in so many beats.
const BEATS: u8 = 2;
/// A connection that carries nothing is noticed within so many beats: what was told before them has arrived.
const DOUBTFUL_BEATS: u8 = 30;
/// Streams kept for beats, in parts of a beat. More are stored into only while the broker is down, or by the
/// thousand each second.
const PARTS_MAX: usize = 8;

/// The streams that this node stored into lately.
pub(super) struct Telling {
    streams: HashMap<u64, Told>,
    part_max: usize,
    pos: u64,
    /// The ends of the last two beats that left, the older first; once something was stored.
    ends: Option<[u64; 2]>,
    /// In how many more beats to say that streams were left out.
    lost: u8,
    /// For how many more beats to keep in mind that this was said, in case they do not arrive.
    doubt: u8,
    /// The beat under way, without the parts that were told.
    rest: Option<Beat>,
    pub(super) is_due: bool,
}

struct Told {
    seq: u64,
    beats: u8,
}

impl Telling {
    pub(super) fn new(part_max: usize) -> Self {
        Self {
            streams: HashMap::new(),
            part_max: part_max.max(1),
            pos: 0,
            ends: None,
            lost: 0,
            doubt: 0,
            rest: None,
            is_due: false,
        }
    }

    pub(super) fn stored(&mut self, stream: u64, seq: u64, pos: u64) {
        self.ends.get_or_insert([pos.saturating_sub(1); 2]);
        self.pos = self.pos.max(pos);
        if let Some(told) = self.streams.get_mut(&stream) {
            (told.seq, told.beats) = (told.seq.max(seq), 0);
            return;
        }
        if self.streams.len() >= self.part_max * PARTS_MAX {
            self.streams.clear();
            (self.lost, self.doubt) = (BEATS, DOUBTFUL_BEATS);
        }
        self.streams.insert(stream, Told { seq, beats: 0 });
    }

    /// All that is stored up to here was told of.
    pub(super) fn settled(&mut self, pos: u64) {
        self.ends.get_or_insert([0; 2]);
        self.pos = self.pos.max(pos);
    }

    /// Something may have been stored, nobody knows into which stream.
    pub(super) fn unsure(&mut self) {
        (self.lost, self.doubt) = (BEATS, DOUBTFUL_BEATS);
        self.is_due = true;
    }

    /// Beats that were told may not have arrived. What they named is missed by who compares their ends; that
    /// they were not all is not, and is told again.
    pub(super) fn unsent(&mut self) {
        self.is_due = true;
        if self.doubt > 0 {
            (self.lost, self.doubt) = (BEATS, DOUBTFUL_BEATS);
        }
    }

    /// The next part of the beat; one that is begun when nobody can hear it counts as not told.
    pub(super) fn beat(&mut self, is_heard: bool) -> Beat {
        self.is_due = false;
        let mut beat = self.rest.take().unwrap_or_else(|| self.begin(is_heard));
        if beat.heads.len() > self.part_max {
            let heads = beat.heads.split_off(self.part_max);
            self.rest = Some(Beat { heads, part: beat.part + 1, ..beat });
            beat.more = true;
        }
        beat
    }

    fn begin(&mut self, is_heard: bool) -> Beat {
        let mut heads: Vec<(u64, u64)> =
            self.streams.iter().map(|(stream, told)| (*stream, told.seq)).collect();
        // The same every time, for those who replay a run.
        heads.sort_unstable();
        let beat = Beat {
            pos: self.pos,
            since: self.ends.map_or(0, |[older, _]| older),
            part: 0,
            heads,
            more: false,
            lost: self.lost > 0,
        };
        if is_heard {
            self.lost = self.lost.saturating_sub(1);
            self.doubt = self.doubt.saturating_sub(1);
            self.ends = self.ends.map(|[_, newer]| [newer, self.pos]);
            self.streams.retain(|_, told| {
                told.beats += 1;
                told.beats < BEATS
            });
        }
        beat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stream_is_told_in_two_beats_that_link_up() {
        let mut telling = Telling::new(10);
        assert_eq!(telling.beat(true), Beat::default());
        telling.stored(7, 1, 100);
        telling.stored(7, 2, 103);
        let first = telling.beat(true);
        assert_eq!(
            (first.since, first.pos, first.heads.as_slice()),
            (99, 103, [(7, 2)].as_slice())
        );
        telling.stored(8, 1, 105);
        let second = telling.beat(true);
        assert_eq!((second.since, second.pos, second.heads.len()), (99, 105, 2));
        let third = telling.beat(true);
        assert_eq!(
            (third.since, third.pos, third.heads.as_slice()),
            (103, 105, [(8, 1)].as_slice())
        );
        let fourth = telling.beat(true);
        assert_eq!((fourth.since, fourth.pos, fourth.heads.len()), (105, 105, 0));
    }

    #[test]
    fn an_idle_node_tells_how_far_the_log_is() {
        let mut telling = Telling::new(10);
        telling.settled(500);
        assert_eq!((telling.beat(true).since, telling.beat(true).pos), (0, 500));
        telling.settled(600);
        telling.stored(7, 1, 700);
        let beat = telling.beat(true);
        assert_eq!((beat.since, beat.pos, beat.heads.as_slice()), (500, 700, [(7, 1)].as_slice()));
    }

    #[test]
    fn what_is_told_while_the_broker_is_down_is_told_again() {
        let mut telling = Telling::new(10);
        telling.stored(7, 1, 100);
        for _ in 0..5 {
            assert_eq!(telling.beat(false).heads, [(7, 1)]);
        }
        assert_eq!(telling.beat(true).since, 99);
        assert_eq!(telling.beat(true).since, 99);
        assert_eq!(telling.beat(true).heads, []);
    }

    #[test]
    fn that_a_beat_is_not_all_is_told_until_it_must_have_arrived() {
        let mut telling = Telling::new(10);
        let losses = |telling: &mut Telling, is_heard| {
            (0..40).filter(|_| telling.beat(is_heard).lost).count()
        };
        telling.unsure();
        assert_eq!(losses(&mut telling, false), 40, "nobody hears it");
        assert!(telling.beat(true).lost);
        telling.unsent();
        assert_eq!(losses(&mut telling, true), 2, "once more, as it may not have arrived");
        telling.unsent();
        assert_eq!(losses(&mut telling, true), 0, "that was long ago");
    }

    #[test]
    fn a_long_beat_comes_in_parts_and_a_longer_one_says_that_it_is_not_all() {
        let mut telling = Telling::new(2);
        for stream in 1..=5 {
            telling.stored(stream, 1, stream);
        }
        let parts: Vec<Beat> = (0..3).map(|_| telling.beat(true)).collect();
        let shape: Vec<_> = parts.iter().map(|b| (b.part, b.heads.len(), b.more)).collect();
        assert_eq!(shape, [(0, 2, true), (1, 2, true), (2, 1, false)]);
        for stream in 1..=100 {
            telling.stored(stream, 2, stream + 10);
        }
        let mut lost = 0;
        for _ in 0..100 {
            let beat = telling.beat(true);
            lost += usize::from(beat.lost && !beat.more);
        }
        assert_eq!(lost, 2, "in two beats");
    }
}
