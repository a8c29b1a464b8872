//! Rate limits: how often somebody may do something.
//!
//! Each bucket is a GCRA cell per key (user, address, or both). Cells live in bounded memory: the least
//! recently used go first, and a cell that stood full for a while is dropped because a fresh one says
//! the same.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// Sign-ins per account and address; key `<address> <login>`.
    LoginAccount,
    /// Sign-ins per address.
    LoginAddress,
    /// New accounts per address.
    Register,
    /// Exchanges of refresh tokens per address.
    Refresh,
    /// Messages per user.
    Send,
    /// Typing notices per user.
    Typing,
    /// Joins and new rooms per user.
    Join,
    /// Everything else that changes something, per user.
    Change,
    /// Searches per user.
    Search,
    /// New connections per address.
    Connect,
    /// Refused subscriptions per user, or address of who is nobody; those beyond are answered late.
    Subscribe,
}

impl Bucket {
    /// All buckets.
    pub const ALL: [Self; 11] = [
        Self::LoginAccount,
        Self::LoginAddress,
        Self::Register,
        Self::Refresh,
        Self::Send,
        Self::Typing,
        Self::Join,
        Self::Change,
        Self::Search,
        Self::Connect,
        Self::Subscribe,
    ];

    /// Name in the `RateLimit-Policy` header, and of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoginAccount => "login",
            Self::LoginAddress => "login-address",
            Self::Register => "register",
            Self::Refresh => "refresh",
            Self::Send => "send",
            Self::Typing => "typing",
            Self::Join => "join",
            Self::Change => "change",
            Self::Search => "search",
            Self::Connect => "connect",
            Self::Subscribe => "subscribe",
        }
    }
}

/// How often: `count` times per `window_s` seconds, all at once if wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many times; 0 means without limit.
    pub count: u32,
    /// In how many seconds.
    pub window_s: u32,
}

/// Refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter {
    /// Which limit was hit.
    pub bucket: Bucket,
    /// The limit.
    pub rate: Rate,
    /// When to try again, in milliseconds.
    pub ms: u64,
}

impl RetryAfter {
    /// Whole seconds to wait, at least 1, for the `Retry-After` header.
    pub fn seconds(&self) -> u64 {
        self.ms.div_ceil(1_000).max(1)
    }
}

/// Cells kept per bucket.
const CELLS_MAX: u64 = 100_000;

struct Cells {
    bucket: Bucket,
    rate: Rate,
    quota: Quota,
    cells: Cache<Box<str>, Arc<DefaultDirectRateLimiter>>,
}

/// The limits of one installation.
pub struct RateLimits {
    clock: DefaultClock,
    cells: Vec<Cells>,
}

impl RateLimits {
    /// Limits nothing.
    pub fn off() -> Self {
        Self::with(|_| Rate { count: 0, window_s: 1 })
    }

    /// The limits [`Self::usual`] names.
    pub fn standard() -> Self {
        Self::with(Self::usual)
    }

    /// The usual limit of a bucket (ASVS 6.3.1; messages as seed 003's 200 per minute).
    pub fn usual(bucket: Bucket) -> Rate {
        let (count, window_s) = match bucket {
            Bucket::LoginAccount => (5, 15 * 60),
            Bucket::LoginAddress => (20, 60),
            Bucket::Register => (10, 3_600),
            Bucket::Refresh | Bucket::Typing | Bucket::Search | Bucket::Subscribe => (60, 60),
            Bucket::Send => (200, 60),
            Bucket::Join => (100, 10),
            Bucket::Change => (300, 60),
            Bucket::Connect => (600, 60),
        };
        Rate { count, window_s }
    }

    /// Sets each bucket's limit.
    pub fn with(rate: impl Fn(Bucket) -> Rate) -> Self {
        let cells = Bucket::ALL.into_iter().filter_map(|bucket| Cells::new(bucket, rate(bucket)));
        Self { clock: DefaultClock::default(), cells: cells.collect() }
    }

    /// Counts one use, or refuses it.
    ///
    /// # Errors
    /// [`RetryAfter`] when the bucket of this key is empty; nothing is counted then.
    pub fn check(&self, bucket: Bucket, key: &str) -> Result<(), RetryAfter> {
        let Some(cells) = self.cells.iter().find(|cells| cells.bucket == bucket) else {
            return Ok(());
        };
        let cell = match cells.cells.get(key) {
            Some(cell) => cell,
            None => cells.cells.get_with(key.into(), || Arc::new(RateLimiter::direct(cells.quota))),
        };
        cell.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
            RetryAfter { bucket, rate: cells.rate, ms }
        })
    }
}

impl Cells {
    fn new(bucket: Bucket, rate: Rate) -> Option<Self> {
        let count = NonZeroU32::new(rate.count)?;
        let window = Duration::from_secs(u64::from(rate.window_s.max(1)));
        let quota = Quota::with_period(window / rate.count)?.allow_burst(count);
        let cells = Cache::builder()
            .max_capacity(CELLS_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(window)
            .build();
        Some(Self { bucket, rate, quota, cells })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_its_count_and_then_a_time_to_wait() {
        let limits = RateLimits::standard();
        for _ in 0..5 {
            assert_eq!(limits.check(Bucket::LoginAccount, "1.2.3.4 ada"), Ok(()));
        }
        let refused = limits.check(Bucket::LoginAccount, "1.2.3.4 ada").unwrap_err();
        assert_eq!(refused.rate, Rate { count: 5, window_s: 900 });
        assert!((1..=180).contains(&refused.seconds()), "{refused:?}");
        assert_eq!(limits.check(Bucket::LoginAccount, "1.2.3.4 bob"), Ok(()));
        assert_eq!(limits.check(Bucket::LoginAddress, "1.2.3.4"), Ok(()));
    }

    #[test]
    fn without_limits_everything_passes() {
        let limits = RateLimits::off();
        for _ in 0..1_000 {
            assert_eq!(limits.check(Bucket::Register, "1.2.3.4"), Ok(()));
        }
    }
}
