//! When the next commit begins.

use std::time::{Duration, Instant};

/// Spaces commits under load, so that on a fast disk, too, many writes share one.
///
/// A commit costs the same for one write as for thirty, and where syncing takes a fraction of a
/// millisecond a steady stream of writes would be committed one by one. So when writes come faster than
/// one per `gather`, a commit begins at the earliest that long after the one before. Whether waiting
/// pays is seen, not assumed: where it brings no further writes (one sender that waits for each answer)
/// it stops, and is tried again ever more rarely.
pub(crate) struct Pace {
    gather: Duration,
    begun: Instant,
    /// Commits to go until gathering is tried again.
    rest: u32,
    /// How long the next rest is.
    next_rest: u32,
}

/// So many waiting writes need no gathering.
const GATHERED_ENOUGH: usize = 64;
/// Writes that must have come while gathering for it to go on.
const GAIN_MIN: usize = 2;
/// First and longest rest after gathering in vain, in commits.
const REST: std::ops::RangeInclusive<u32> = 32..=8_192;

impl Pace {
    pub(crate) fn new(gather: Duration) -> Self {
        Self { gather, begun: Instant::now(), rest: 0, next_rest: *REST.start() }
    }

    /// Until when to wait for more; `None` to go ahead.
    pub(crate) fn gathers_until(&mut self, waiting: usize) -> Option<Instant> {
        let until = self.begun + self.gather;
        if waiting == 0 || waiting >= GATHERED_ENOUGH || Instant::now() >= until {
            return None;
        }
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        Some(until)
    }

    pub(crate) fn gathered(&mut self, gain: usize) {
        if gain >= GAIN_MIN {
            self.next_rest = *REST.start();
        } else {
            self.rest = self.next_rest;
            self.next_rest = (self.next_rest * 2).min(*REST.end());
        }
    }

    pub(crate) fn begin(&mut self) {
        self.begun = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Duration = Duration::from_hours(1);

    #[test]
    fn the_first_write_after_a_pause_is_not_held_up() {
        let mut pace = Pace::new(Duration::ZERO);
        assert_eq!(pace.gathers_until(1), None, "the last commit began long ago");
    }

    #[test]
    fn gathering_goes_on_while_it_pays_and_rests_ever_longer_while_it_does_not() {
        let mut pace = Pace::new(GATHER);
        for _ in 0..3 {
            assert!(pace.gathers_until(1).is_some());
            pace.gathered(GAIN_MIN);
        }
        for rest in [32, 64, 128] {
            assert!(pace.gathers_until(1).is_some());
            pace.gathered(0);
            for _ in 0..rest {
                assert_eq!(pace.gathers_until(1), None, "a lone sender never waits");
            }
        }
        assert!(pace.gathers_until(1).is_some());
        pace.gathered(GAIN_MIN);
        assert!(pace.gathers_until(1).is_some(), "load is back");
    }

    #[test]
    fn a_full_batch_waits_for_nothing() {
        let mut pace = Pace::new(GATHER);
        assert_eq!(pace.gathers_until(GATHERED_ENOUGH), None);
    }
}
