//! Callers that are refused again and again.
//!
//! A front end that takes a refusal for a mishap asks again at once. The answer must stay what it is, so it
//! comes late: from the 61st refusal within a minute on, one second after it was found. Only refusals
//! count and only refusals wait; what a caller may have it gets at once all the same. At most 1,000 callers
//! wait; beyond them answers go out at once, which is cheap, rather than pile up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::rate::{Bucket, RateLimits};

const PAUSE: Duration = Duration::from_secs(1);
const WAITING_MAX: usize = 1_000;

/// A refusal that is one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Late {
    /// When to ask again, in seconds; for `Retry-After`.
    pub retry_after_s: u64,
}

pub(super) struct Refusals {
    limits: Arc<RateLimits>,
    waiting: Semaphore,
}

impl Refusals {
    pub(super) fn new(limits: Arc<RateLimits>) -> Self {
        Self { limits, waiting: Semaphore::new(WAITING_MAX) }
    }

    /// Notes a refusal; waits if there were too many.
    pub(super) async fn note(&self, caller: &str) -> Option<Late> {
        let wait = self.limits.check(Bucket::Subscribe, caller).err()?;
        if let Ok(_turn) = self.waiting.try_acquire() {
            tokio::time::sleep(PAUSE).await;
        }
        Some(Late { retry_after_s: wait.seconds() })
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_again_and_again_waits() {
        let refusals = Refusals::new(Arc::new(RateLimits::standard()));
        let start = Instant::now();
        for _ in 0..60 {
            assert_eq!(refusals.note("ada").await, None);
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(refusals.note("ada").await.is_some());
        assert_eq!(start.elapsed(), PAUSE);
        assert_eq!(refusals.note("bo").await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_a_bounded_number_waits() {
        let refusals = Refusals::new(Arc::new(RateLimits::standard()));
        for _ in 0..60 {
            refusals.note("ada").await;
        }
        let all = refusals.waiting.acquire_many(WAITING_MAX as u32).await.unwrap();
        let start = Instant::now();
        assert!(refusals.note("ada").await.is_some());
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(all);
    }
}
