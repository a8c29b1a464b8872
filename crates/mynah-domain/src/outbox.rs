//! What is to be told to endpoints outside (webhooks): stored first, delivered afterwards, at least once.
//!
//! A [`Delivery`] is one event for one endpoint. It waits, is leased by whoever delivers it, and leaves
//! the outbox when the endpoint took it. Whoever holds a lease and dies simply does not settle it: the
//! delivery is due again when the lease has run out. What cannot be delivered ends as a dead letter, which
//! people can look at, send again or throw away.

use std::sync::Arc;

use crate::{AppId, Timestamp};

/// Number of a delivery; later ones have higher numbers, and none is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// Where a delivery goes: one webhook of one app.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Whose events and whose keys.
    pub app: AppId,
    /// The url as configured.
    pub url: Arc<str>,
    /// Which of the app's webhooks with this url, from 0: they may differ in headers.
    pub rule: u32,
}

/// One event for one endpoint, to be kept until it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Where to.
    pub endpoint: Endpoint,
    /// Deliveries of one endpoint with the same key are made one after another (a channel's name).
    pub order_key: String,
    /// The event as one JSON object.
    pub event: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// Not to be delivered before.
    pub due_at: Timestamp,
}

/// One event for one endpoint, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// Where to.
    pub endpoint: Endpoint,
    /// See [`NewDelivery::order_key`].
    pub order_key: String,
    /// The event as one JSON object.
    pub event: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// When it began to wait; later than `created_at` if it was a dead letter in between.
    pub queued_at: Timestamp,
    /// Attempts that failed since then.
    pub attempts: u32,
    /// Whether it waits or was given up.
    pub state: DeliveryState,
    /// Why the last attempt failed, or why it was given up.
    pub last_error: Option<String>,
}

/// Whether a delivery waits or was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is due at `next_at`, or being delivered until then.
    Pending {
        /// When it is due.
        next_at: Timestamp,
    },
    /// A dead letter.
    Dead {
        /// Since when.
        at: Timestamp,
    },
}

/// An endpoint that something waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// When the first of its deliveries is due.
    pub next_at: Timestamp,
}

/// Deliveries handed out to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leased {
    /// By time of being due, then in order of their numbers.
    pub deliveries: Vec<Delivery>,
    /// When the first of the endpoint's other deliveries is due; `None` if there is no other.
    pub next_at: Option<Timestamp>,
}

/// What became of a leased delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Which one.
    pub id: DeliveryId,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a leased delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint took it: it leaves the outbox, even if it was given up meanwhile.
    Delivered,
    /// It was not tried after all.
    Released {
        /// When it is due.
        next_at: Timestamp,
    },
    /// An attempt failed.
    Retry {
        /// When to try again.
        next_at: Timestamp,
        /// Why it failed.
        error: String,
    },
    /// The last attempt failed.
    Dead {
        /// Why it failed.
        error: String,
    },
}

/// Some dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetters {
    /// This one, if it is one.
    One(DeliveryId),
    /// Those of an app.
    Of(AppId),
    /// All of them.
    All,
}

/// How much an app may have in the outbox.
///
/// Beyond what may wait, the delivery that waits longest becomes a dead letter; beyond what dead letters
/// may be, the oldest is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxBounds {
    /// Deliveries waiting.
    pub pending_max: u64,
    /// Bytes of the events of those.
    pub pending_bytes_max: u64,
    /// Dead letters.
    pub dead_max: u64,
    /// Bytes of the events of those.
    pub dead_bytes_max: u64,
}

impl Default for OutboxBounds {
    fn default() -> Self {
        Self {
            pending_max: 100_000,
            pending_bytes_max: 256 << 20,
            dead_max: 10_000,
            dead_bytes_max: 64 << 20,
        }
    }
}

/// What an app has in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxCount {
    /// Which app.
    pub app: AppId,
    /// Deliveries waiting or being made.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
}

/// Why a delivery that waited too long became a dead letter.
pub const DISPLACED: &str = "too many deliveries were waiting: the oldest was given up";

/// Pauses after failed attempts, in seconds: five dense minutes, then ever more rarely.
const PAUSES_S: [u32; 16] = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 120, 240, 480, 960, 1_920, 3_600];

/// How long to wait after the `attempts`th failure, in milliseconds: 1, 2, 4 … 60 s for five minutes,
/// doubling up to an hour afterwards, each up to a fifth longer or shorter as `chance` (any number) has
/// it, so that what failed together does not come back together.
pub fn retry_pause_ms(attempts: u32, chance: u32) -> u64 {
    let nth = attempts.saturating_sub(1) as usize;
    let last = PAUSES_S.last().copied().unwrap_or(1);
    let pause_ms = u64::from(PAUSES_S.get(nth).copied().unwrap_or(last)) * 1_000;
    pause_ms * 4 / 5 + pause_ms * 2 / 5 * u64::from(chance) / u64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_five_minutes_are_dense_and_later_pauses_grow_to_an_hour() {
        let usual = |attempts| retry_pause_ms(attempts, u32::MAX / 2).div_ceil(1_000);
        let firsts: Vec<u64> = (1..=7).map(usual).collect();
        assert_eq!(firsts, [1, 2, 4, 8, 16, 32, 60]);
        assert_eq!((1..=10).map(usual).sum::<u64>(), 303);
        assert_eq!((usual(11), usual(16), usual(1_000)), (120, 3_600, 3_600));
    }

    #[test]
    fn pauses_vary_by_a_fifth() {
        assert_eq!((retry_pause_ms(7, 0), retry_pause_ms(7, u32::MAX)), (48_000, 72_000));
        assert_eq!(retry_pause_ms(0, 0), 800);
    }
}
