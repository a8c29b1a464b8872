//! How long to wait before the next attempt.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use super::Timing;

/// Waits that double and differ from node to node, so that many nodes do not come back in step.
pub(crate) struct Retry {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Retry {
    pub(crate) fn new(timing: &Timing) -> Self {
        Self { min: timing.retry_min, max: timing.retry_max, next: timing.retry_min }
    }

    /// A connection lasted.
    pub(crate) fn reset(&mut self) {
        self.next = self.min;
    }

    /// How long to wait now: between a half and the whole of the current step.
    pub(crate) fn wait(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.max);
        // A hasher's keys differ each time; no secret hangs on this.
        let chance = RandomState::new().hash_one(step) % 1024;
        step / 2 + step.mul_f64(chance as f64 / 2048.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_again_after_a_success() {
        let timing = Timing::default();
        let mut retry = Retry::new(&timing);
        let mut longest = Duration::ZERO;
        for round in 0..20 {
            let wait = retry.wait();
            let step = (timing.retry_min * (1 << round.min(10))).min(timing.retry_max);
            assert!(wait >= step / 2 && wait <= step, "{wait:?} of {step:?}");
            longest = longest.max(wait);
        }
        assert!(longest >= timing.retry_max / 2);
        retry.reset();
        assert!(retry.wait() <= timing.retry_min);
    }
}
