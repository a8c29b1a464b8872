//! Who is served when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mynah_domain::Timestamp;
use mynah_domain::outbox::Endpoint;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Inner;
use super::endpoints::{Endpoints, Health, RoundEnd};
use super::round::{self, Round};

/// How often the outbox is looked through for what nobody told of: a command beside the server may have
/// revived dead letters.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How often what waits is counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How often old dead letters are deleted.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
/// Endpoints read at once.
const PAGE: u32 = 500;

pub(super) struct Scheduler {
    inner: Arc<Inner>,
    endpoints: Endpoints,
    rounds: JoinSet<RoundEnd>,
    /// Whom each task serves, and how that one fared at its beginning.
    served: HashMap<Id, (Endpoint, Health)>,
}

impl Scheduler {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let endpoints = Endpoints::default();
        Self { inner, endpoints, rounds: JoinSet::new(), served: HashMap::new() }
    }

    pub(super) async fn run(mut self) {
        let (mut look, mut count, mut prune) =
            (every(LOOK_EVERY), every(COUNT_EVERY), every(PRUNE_EVERY));
        let inner = Arc::clone(&self.inner);
        while !inner.news.is_stopped() {
            for (endpoint, at) in inner.news.take_due() {
                self.endpoints.waits(endpoint, at);
            }
            self.begin_rounds();
            let next = self.next_wake();
            tokio::select! {
                () = inner.news.told() => {
                    if inner.news.take_look_again() {
                        self.look().await;
                        self.count().await;
                    }
                }
                Some(ended) = self.rounds.join_next_with_id() => self.end(ended),
                () = tokio::time::sleep_until(next) => {}
                _ = look.tick() => self.look().await,
                _ = count.tick() => self.count().await,
                _ = prune.tick() => self.prune().await,
            }
        }
        while self.rounds.join_next().await.is_some() {}
    }

    fn begin_rounds(&mut self) {
        let now = self.inner.parts.clock.now();
        for (endpoint, health) in self.endpoints.take_ready(now, &self.inner.rules) {
            let round = Round::new(Arc::clone(&self.inner), endpoint.clone(), health);
            let task = self.rounds.spawn(round.run());
            self.served.insert(task.id(), (endpoint, health));
        }
    }

    fn end(&mut self, ended: Result<(Id, RoundEnd), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((endpoint, before)) = self.served.remove(&id) else { return };
        let end = ended.map_or_else(
            |error| {
                tracing::error!(%error, app = %endpoint.app, "delivering webhooks panicked");
                round::unknown(self.inner.parts.clock.now(), before)
            },
            |(_, end)| end,
        );
        self.endpoints.done(&endpoint, before, end);
    }

    /// When somebody is to be served next. Who is ready and got no place waits for one who ends.
    fn next_wake(&self) -> Instant {
        let now = self.inner.parts.clock.now();
        let next = self.endpoints.next_ready(now).map(|at| Duration::from_millis(at.since_ms(now)));
        Instant::now() + next.map_or(LOOK_EVERY, |wait| wait.min(LOOK_EVERY))
    }

    async fn look(&mut self) {
        self.endpoints.tidy();
        let mut after: Option<Endpoint> = None;
        loop {
            let page = match self.inner.parts.store.waiting(after.as_ref(), PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    tracing::warn!(%error, "the outbox could not be read");
                    return;
                }
            };
            let is_last = page.len() < PAGE as usize;
            after = page.last().map(|waiting| waiting.endpoint.clone());
            for waiting in page {
                self.endpoints.waits(waiting.endpoint, waiting.next_at);
            }
            if is_last {
                return;
            }
        }
    }

    async fn count(&self) {
        match self.inner.parts.store.counts().await {
            Ok(counts) => self.inner.stats.counted(&counts),
            Err(error) => tracing::warn!(%error, "the outbox could not be counted"),
        }
    }

    async fn prune(&self) {
        let kept_ms = self.inner.rules.dead_kept_for.as_millis() as i64;
        let now = self.inner.parts.clock.now();
        let before = Timestamp(now.0.saturating_sub(kept_ms));
        match self.inner.parts.store.prune(before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old dead letters of webhooks were deleted"),
            Err(error) => tracing::warn!(%error, "old dead letters could not be deleted"),
        }
    }
}

fn every(time: Duration) -> Interval {
    let mut ticks = interval(time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
