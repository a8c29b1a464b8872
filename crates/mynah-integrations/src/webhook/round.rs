//! One round: some deliveries of one endpoint.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use mynah_domain::Timestamp;
use mynah_domain::outbox::{Delivery, Endpoint, Leased, Settled, retry_pause_ms};
use mynah_domain::ports::StoreError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Inner;
use super::course::{Course, Seen, chance};
use super::endpoints::{Health, RoundEnd};

/// Deliveries of one round at most.
const DELIVERIES_MAX: u32 = 32;
/// Calls of one round at once.
const LANES: u64 = 4;
/// A round begins no further call after this time.
const ROUND_MAX: Duration = Duration::from_secs(10);
/// What a lease outlasts the last call by.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// Events of one envelope, in bytes; a single larger event goes alone.
const ENVELOPE_BYTES_MAX: usize = 512 << 10;
/// An endpoint rests no longer than this, in milliseconds, unless it asks for it.
const REST_MAX_MS: u64 = 60_000;
/// Failing rounds after which an endpoint counts as down.
const DOWN_AFTER: u32 = 5;
/// How long an endpoint is left alone after something failed here, in milliseconds.
const TROUBLE_REST_MS: u64 = 10_000;

/// After a round of which nothing is known: leases run out, the endpoint is looked at again.
pub(super) fn unknown(now: Timestamp, health: Health) -> RoundEnd {
    let later = now.plus_ms(TROUBLE_REST_MS);
    RoundEnd { next_at: Some(later), health, rest_until: Some(later) }
}

/// One round of one endpoint.
pub(super) struct Round {
    inner: Arc<Inner>,
    endpoint: Endpoint,
    health: Health,
}

impl Round {
    pub(super) fn new(inner: Arc<Inner>, endpoint: Endpoint, health: Health) -> Self {
        Self { inner, endpoint, health }
    }

    pub(super) async fn run(self) -> RoundEnd {
        let leased = match self.lease().await {
            Ok(leased) => leased,
            Err(error) => {
                tracing::warn!(%error, "due webhook deliveries could not be read");
                return unknown(self.now(), self.health);
            }
        };
        let next_at = leased.next_at;
        if leased.deliveries.is_empty() {
            return RoundEnd { next_at, health: self.health, rest_until: None };
        }
        let course = Course::new(Arc::clone(&self.inner), self.endpoint.clone(), ROUND_MAX);
        let course = Arc::new(course);
        let (settle, settled) = mpsc::channel(64);
        let mut calls = JoinSet::new();
        for lane in self.lanes(leased.deliveries) {
            calls.spawn(Arc::clone(&course).lane(lane, settle.clone()));
        }
        drop(settle);
        let kept = self.settle(&course, settled).await;
        while let Some(call) = calls.join_next().await {
            if let Err(error) = call {
                tracing::error!(%error, app = %self.endpoint.app, "a webhook call panicked");
                return unknown(self.now(), self.health);
            }
        }
        if let Err(error) = kept {
            tracing::warn!(%error, "what became of webhook deliveries could not be kept");
            return unknown(self.now(), self.health);
        }
        let seen = course.seen();
        self.conclude(next_at, seen).await
    }

    fn now(&self) -> Timestamp {
        self.inner.parts.clock.now()
    }

    async fn lease(&self) -> Result<Leased, StoreError> {
        let rules = &self.inner.rules;
        let now = self.now();
        // What is due within the batching time travels along.
        let due = rules.batching.map_or(now, |together| now.plus_ms(together.as_millis() as u64));
        let lasts = ROUND_MAX + rules.timeout + LEASE_MARGIN;
        let until = now.plus_ms(lasts.as_millis() as u64);
        let is_trial = self.health.failing > 0 && rules.batching.is_none();
        let limit = if is_trial { 1 } else { DELIVERIES_MAX };
        self.inner.parts.store.lease(&self.endpoint, due, until, limit).await
    }

    /// What is sent side by side; each lane is a sequence of envelopes.
    fn lanes(&self, deliveries: Vec<Delivery>) -> Vec<Vec<Vec<Delivery>>> {
        if self.inner.rules.batching.is_some() {
            return vec![envelopes(deliveries)];
        }
        let mut lanes: Vec<Vec<Vec<Delivery>>> = (0..LANES).map(|_| Vec::new()).collect();
        for delivery in deliveries {
            let mut hasher = DefaultHasher::new();
            delivery.order_key.hash(&mut hasher);
            let lane = lanes.get_mut((hasher.finish() % LANES) as usize);
            lane.expect("there are so many lanes").push(vec![delivery]);
        }
        lanes.retain(|lane| !lane.is_empty());
        lanes
    }

    /// Keeps what became of deliveries, as they come, several at once under load.
    async fn settle(
        &self,
        course: &Course,
        mut settled: mpsc::Receiver<Vec<Settled>>,
    ) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        let mut some = Vec::new();
        while settled.recv_many(&mut some, 64).await > 0 {
            let all: Vec<Settled> = some.drain(..).flatten().collect();
            let kept =
                self.inner.parts.store.settle(all, self.now(), self.inner.rules.bounds).await;
            if kept.is_err() {
                outcome = kept;
                // What was delivered comes again: no more of it.
                course.cut_short();
            }
        }
        outcome
    }

    async fn conclude(self, next_at: Option<Timestamp>, seen: Seen) -> RoundEnd {
        let (now, health) = (self.now(), self.health);
        let next_at = [next_at, seen.retry_at].into_iter().flatten().min();
        let is_reported = health.is_reported;
        if let Some(error) = seen.given_up.as_ref().filter(|_| !is_reported) {
            tracing::warn!(app = %self.endpoint.app, endpoint = %self.shown(), %error,
                "webhook deliveries are given up: see `mynah webhook list`");
        }
        let is_reported = is_reported || seen.given_up.is_some();
        if !seen.has_failed {
            if seen.delivered == 0 {
                return RoundEnd {
                    next_at,
                    health: Health { failing: 0, is_reported },
                    rest_until: None,
                };
            }
            if health.is_reported {
                tracing::info!(app = %self.endpoint.app, endpoint = %self.shown(),
                    "the webhook endpoint takes deliveries again");
            }
            let is_reported = seen.given_up.is_some();
            return RoundEnd {
                next_at,
                health: Health { failing: 0, is_reported },
                rest_until: None,
            };
        }
        // Whoever takes others is there: it is some deliveries that it does not take.
        let failing = if seen.delivered > 0 { 1 } else { health.failing.saturating_add(1) };
        let mut health = Health { failing, is_reported };
        if failing >= DOWN_AFTER {
            if !is_reported {
                tracing::warn!(app = %self.endpoint.app, endpoint = %self.shown(),
                    error = seen.error.as_deref().unwrap_or("unknown"),
                    "the webhook endpoint takes nothing: deliveries wait");
                health.is_reported = true;
            }
            self.give_up_old(now).await;
        }
        let pause = retry_pause_ms(failing, chance()).min(REST_MAX_MS);
        let asked = seen.asked_rest_s.saturating_mul(1_000);
        RoundEnd { next_at, health, rest_until: Some(now.plus_ms(pause.max(asked))) }
    }

    /// Of an endpoint that is down: what is older than deliveries are tried.
    async fn give_up_old(&self, now: Timestamp) {
        let after = self.inner.rules.give_up_after.as_millis() as i64;
        let before = Timestamp(now.0.saturating_sub(after));
        let why = (now, "the endpoint took nothing for too long");
        let store = &self.inner.parts.store;
        match store.give_up(&self.endpoint, before, why, self.inner.rules.bounds).await {
            Ok(0) => {}
            Ok(count) => {
                self.inner.stats.given_up(&self.endpoint.app, count);
                tracing::warn!(app = %self.endpoint.app, endpoint = %self.shown(), count,
                    "webhook deliveries were given up");
            }
            Err(error) => tracing::warn!(%error, "old webhook deliveries could not be given up"),
        }
    }

    /// The url for the log, without what may be a secret.
    fn shown(&self) -> &str {
        self.endpoint.url.split(['?', '#']).next().unwrap_or_default()
    }
}

/// Deliveries as envelopes, in order.
fn envelopes(deliveries: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut envelopes: Vec<Vec<Delivery>> = Vec::new();
    let mut bytes = 0;
    for delivery in deliveries {
        bytes += delivery.event.len();
        match envelopes.last_mut() {
            Some(last) if bytes <= ENVELOPE_BYTES_MAX => last.push(delivery),
            Some(_) | None => {
                bytes = delivery.event.len();
                envelopes.push(vec![delivery]);
            }
        }
    }
    envelopes
}
