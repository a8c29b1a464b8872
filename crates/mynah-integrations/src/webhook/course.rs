//! The calls of one round, side by side, and what they have seen of the endpoint.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mynah_domain::Timestamp;
use mynah_domain::outbox::{Delivery, Endpoint, Outcome, Settled, retry_pause_ms};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Inner, NotSealed};
use crate::client::{Post, PostError};

/// An endpoint is left alone no longer than this when it asks for it, in seconds.
const ASKED_REST_MAX_S: u64 = 3_600;

/// What a round has seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// A call failed that may succeed later.
    pub(super) has_failed: bool,
    /// Events taken.
    pub(super) delivered: u64,
    /// Why the last of the failed calls failed.
    pub(super) error: Option<String>,
    /// Why something was given up.
    pub(super) given_up: Option<String>,
    /// How long the endpoint wants to be left alone, in seconds.
    pub(super) asked_rest_s: u64,
    /// When the first of those not delivered is due again.
    pub(super) retry_at: Option<Timestamp>,
}

pub(super) struct Course {
    inner: Arc<Inner>,
    endpoint: Endpoint,
    until: Instant,
    seen: Mutex<Seen>,
}

/// Why an attempt failed.
struct Failure {
    text: String,
    /// Whether trying again is of no use.
    is_final: bool,
    retry_after_s: u64,
}

impl Failure {
    fn of(text: String) -> Self {
        Self { text, is_final: false, retry_after_s: 0 }
    }

    fn last(text: String) -> Self {
        Self { is_final: true, ..Self::of(text) }
    }
}

impl Course {
    /// Calls that begin within `lasts`.
    pub(super) fn new(inner: Arc<Inner>, endpoint: Endpoint, lasts: Duration) -> Self {
        Self { inner, endpoint, until: Instant::now() + lasts, seen: Mutex::default() }
    }

    /// What was seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    /// Begins no further call.
    pub(super) fn cut_short(&self) {
        self.seen.lock().has_failed = true;
    }

    /// Sends envelopes one after another, until one fails.
    pub(super) async fn lane(
        self: Arc<Self>,
        lane: Vec<Vec<Delivery>>,
        settle: mpsc::Sender<Vec<Settled>>,
    ) {
        for envelope in lane {
            let goes_on = !self.seen.lock().has_failed
                && Instant::now() < self.until
                && !self.inner.news.is_stopped();
            let settled = if goes_on {
                self.attempt(envelope).await
            } else {
                let now = self.inner.parts.clock.now();
                self.due_again(now);
                released(&envelope, now)
            };
            // The receiver stays until all senders are gone.
            drop(settle.send(settled).await);
        }
    }

    async fn attempt(&self, envelope: Vec<Delivery>) -> Vec<Settled> {
        let (app, count) = (&self.endpoint.app, envelope.len() as u64);
        let failure = match self.send(&envelope).await {
            Ok(()) => {
                self.seen.lock().delivered += count;
                self.inner.stats.delivered(app, count);
                let gone = |d: &Delivery| Settled { id: d.id, outcome: Outcome::Delivered };
                return envelope.iter().map(gone).collect();
            }
            Err(failure) => failure,
        };
        self.inner.stats.failed(app, count);
        let now = self.inner.parts.clock.now();
        let chance = chance();
        let judge = |delivery| self.judge(delivery, &failure, now, chance);
        let settled: Vec<Settled> = envelope.iter().map(judge).collect();
        let dead = settled.iter().filter(|s| matches!(s.outcome, Outcome::Dead { .. })).count();
        let mut seen = self.seen.lock();
        seen.has_failed |= !failure.is_final;
        seen.asked_rest_s = seen.asked_rest_s.max(failure.retry_after_s);
        if dead > 0 {
            self.inner.stats.given_up(app, dead as u64);
            seen.given_up = Some(failure.text.clone());
        }
        seen.error = Some(failure.text);
        settled
    }

    fn judge(
        &self,
        delivery: &Delivery,
        failure: &Failure,
        now: Timestamp,
        chance: u32,
    ) -> Settled {
        let waited = Duration::from_millis(now.since_ms(delivery.queued_at));
        let error = failure.text.clone();
        let outcome = if failure.is_final || waited >= self.inner.rules.give_up_after {
            Outcome::Dead { error }
        } else {
            let pause = retry_pause_ms(delivery.attempts.saturating_add(1), chance);
            let next_at = now.plus_ms(pause.max(failure.retry_after_s.saturating_mul(1_000)));
            self.due_again(next_at);
            Outcome::Retry { next_at, error }
        };
        Settled { id: delivery.id, outcome }
    }

    async fn send(&self, envelope: &[Delivery]) -> Result<(), Failure> {
        let sealed = self.inner.parts.sealer.seal(&self.endpoint, envelope).await;
        let sealed = sealed.map_err(|not| match not {
            NotSealed::Gone(text) => Failure::last(text),
            NotSealed::Later(text) => Failure::of(text),
        })?;
        let url = Arc::clone(&self.endpoint.url);
        let post = Post { url, headers: sealed.headers, body: Bytes::from(sealed.body) };
        match self.inner.parts.transport.post(post).await {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => {
                let is_redirect = (300..400).contains(&answer.status);
                let remark = if is_redirect { "; redirects are not followed" } else { "" };
                let retry_after_s = answer.retry_after_s.unwrap_or(0).min(ASKED_REST_MAX_S);
                let text = format!("answered {}{remark}", answer.status);
                Err(Failure { retry_after_s, ..Failure::of(text) })
            }
            Err(error @ (PostError::Invalid(_) | PostError::Forbidden(_))) => {
                Err(Failure::last(error.to_string()))
            }
            Err(PostError::Failed(text)) => Err(Failure::of(text)),
        }
    }

    fn due_again(&self, at: Timestamp) {
        let mut seen = self.seen.lock();
        seen.retry_at = Some(seen.retry_at.map_or(at, |first| first.min(at)));
    }
}

/// Any number; without the system's randomness pauses are just not spread.
pub(super) fn chance() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

/// The outcome for what was not tried after all.
fn released(envelope: &[Delivery], next_at: Timestamp) -> Vec<Settled> {
    let outcome = Outcome::Released { next_at };
    envelope.iter().map(|d| Settled { id: d.id, outcome: outcome.clone() }).collect()
}
