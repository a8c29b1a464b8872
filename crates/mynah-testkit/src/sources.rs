//! Time, ids and hashes that a test can foresee.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use mynah_domain::Timestamp;
use mynah_domain::account::AccountError;
use mynah_domain::ports::{Clock, IdSource, PasswordHasher};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Moves it forward.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Sets it.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self::at(Timestamp(1_767_225_600_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Ids that count: `00000000-0000-4000-8000-000000000001`, … Secrets and fingerprints likewise.
#[derive(Debug, Default)]
pub struct CountingIds(AtomicU64);

impl IdSource for CountingIds {
    fn id(&self, _now: Timestamp) -> String {
        let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        format!("00000000-0000-4000-8000-{n:012x}")
    }

    fn secret(&self) -> String {
        let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        format!("secret-{n}")
    }

    fn fingerprint(&self, secret: &str) -> String {
        format!("fingerprint of {secret}")
    }
}

/// "Hashes" by writing `plain:` in front.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlainHasher;

#[async_trait]
impl PasswordHasher for PlainHasher {
    async fn hash(&self, password: String) -> Result<String, AccountError> {
        Ok(format!("plain:{password}"))
    }

    async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, AccountError> {
        Ok(hash.is_some_and(|hash| hash == format!("plain:{password}")))
    }
}
