//! Limits of an app's calls: fixed windows of one second, as Soketi's.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use mynah_domain::Timestamp;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");

/// What was used in the current second: its number in the upper half, the points in the lower.
#[derive(Debug, Default)]
pub(super) struct Window(AtomicU64);

/// What remains of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) limit: u32,
    pub(super) remaining: u32,
}

/// More than the window holds was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    left: Left,
    /// When the next window begins.
    ms: u64,
}

impl Left {
    /// Writes `X-RateLimit-Limit` and `X-RateLimit-Remaining`.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
    }
}

impl Full {
    /// Whole seconds to wait, as HTTP wants them (Soketi writes fractions).
    pub(super) fn retry_after_s(self) -> u64 {
        self.ms.div_ceil(1_000).max(1)
    }

    pub(super) fn left(self) -> Left {
        self.left
    }
}

impl Window {
    /// Takes points out of the current second. What does not fit is refused whole and takes nothing, so
    /// that a batch that is too large does not shut out the calls after it.
    ///
    /// # Errors
    /// [`Full`] with what remains.
    pub(super) fn take(&self, now: Timestamp, points: u32, limit: u32) -> Result<Left, Full> {
        let second = now.0.div_euclid(1_000) as u32;
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let used = if (seen >> 32) as u32 == second { seen as u32 } else { 0 };
            let remaining = limit.saturating_sub(used);
            let Some(after) = remaining.checked_sub(points) else {
                let ms = 1_000 - now.0.rem_euclid(1_000) as u64;
                return Err(Full { left: Left { limit, remaining }, ms });
            };
            let next = u64::from(second) << 32 | u64::from(used.saturating_add(points));
            match self.0.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(Left { limit, remaining: after }),
                Err(current) => seen = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_its_points_and_the_next_begins_anew() {
        let window = Window::default();
        let at = |ms: i64| Timestamp(1_700_000_000_000 + ms);
        assert_eq!(window.take(at(0), 3, 5), Ok(Left { limit: 5, remaining: 2 }));
        let full = window.take(at(250), 3, 5).unwrap_err();
        assert_eq!(full, Full { left: Left { limit: 5, remaining: 2 }, ms: 750 });
        assert_eq!(full.retry_after_s(), 1);
        assert_eq!(window.take(at(999), 2, 5), Ok(Left { limit: 5, remaining: 0 }));
        assert!(window.take(at(999), 1, 5).is_err());
        assert_eq!(window.take(at(1_000), 5, 5), Ok(Left { limit: 5, remaining: 0 }));
    }

    #[test]
    fn what_never_fits_takes_nothing() {
        let window = Window::default();
        assert!(window.take(Timestamp(0), 6, 5).is_err());
        assert_eq!(window.take(Timestamp(0), 5, 5), Ok(Left { limit: 5, remaining: 0 }));
    }

    #[test]
    fn a_limit_that_was_lowered_counts_at_once() {
        let window = Window::default();
        assert!(window.take(Timestamp(0), 5, 5).is_ok());
        assert_eq!(window.take(Timestamp(1), 1, 3).unwrap_err().left().remaining, 0);
    }

    #[test]
    fn a_clock_before_the_epoch_is_a_clock() {
        let window = Window::default();
        assert!(window.take(Timestamp(-1), 1, 1).is_ok());
        assert_eq!(window.take(Timestamp(-1), 1, 1).unwrap_err().ms, 1);
    }
}
