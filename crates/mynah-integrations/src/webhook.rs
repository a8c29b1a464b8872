//! Delivering what is in the outbox.
//!
//! ```text
//!            ┌ endpoint of app A: lease ► envelope, signed ► POST ► settle
//! outbox ──► ├ endpoint of app A
//!            └ endpoint of app B  …            at most `rounds_max` at once
//! ```
//!
//! Each endpoint (app, url, rule) has its own queue. It is served in *rounds*: some due deliveries are
//! leased and sent, those of one channel in order, different channels side by side. A failure ends the
//! round: what was not tried is given back, and the endpoint rests, longer with each failing round, for a
//! minute at most; then one delivery tries whether it is back. So a dead endpoint costs one call a minute,
//! and when it is back its deliveries come in the order in which they happened.
//!
//! A delivery that failed itself is due again after [`retry_pause_ms`](mynah_domain::outbox::retry_pause_ms);
//! at its first failure after [`WebhookRules::give_up_after`] it becomes a dead letter.

mod course;
mod endpoints;
mod round;
mod scheduler;
mod stats;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mynah_domain::AppId;
use mynah_domain::outbox::{
    DeadLetters, Delivery, DeliveryId, Endpoint, NewDelivery, OutboxBounds,
};
use mynah_domain::ports::{Clock, OutboxStore, StoreError};
use tokio::task::JoinHandle;

use crate::client::Transport;
use endpoints::News;
use scheduler::Scheduler;
pub use stats::AppStats;
use stats::Stats;

/// Makes requests of events: whose they are, how they are spelled and signed is its affair.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// The request that makes these deliveries, all of this endpoint: signed with a key that its app has
    /// now.
    ///
    /// # Errors
    /// [`NotSealed`].
    async fn seal(&self, endpoint: &Endpoint, deliveries: &[Delivery])
    -> Result<Sealed, NotSealed>;
}

/// A request's headers and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// All headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// Why there is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSealed {
    /// Nobody wants these events any more: they become dead letters.
    #[error("{0}")]
    Gone(String),
    /// Not now: like an attempt that failed.
    #[error("{0}")]
    Later(String),
}

/// How deliveries are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookRules {
    /// Whether events of one endpoint that happen within this time travel in one request.
    pub batching: Option<Duration>,
    /// How long a delivery is tried.
    pub give_up_after: Duration,
    /// How long dead letters are kept.
    pub dead_kept_for: Duration,
    /// What an app may have in the outbox.
    pub bounds: OutboxBounds,
    /// Endpoints served at once.
    pub rounds_max: usize,
    /// Endpoints of one app served at once.
    pub rounds_per_app_max: usize,
    /// Time for one call, as the transport keeps it: leases outlast it.
    pub timeout: Duration,
}

impl Default for WebhookRules {
    fn default() -> Self {
        Self {
            batching: None,
            give_up_after: Duration::from_hours(24),
            dead_kept_for: Duration::from_hours(24 * 14),
            bounds: OutboxBounds::default(),
            rounds_max: 64,
            rounds_per_app_max: 8,
            timeout: Duration::from_secs(5),
        }
    }
}

/// What [`Webhooks`] stand on.
#[derive(Clone)]
pub struct WebhookParts {
    /// Where deliveries wait.
    pub store: Arc<dyn OutboxStore>,
    /// How they leave.
    pub transport: Arc<dyn Transport>,
    /// What is sent.
    pub sealer: Arc<dyn Sealer>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// How long the end waits for calls.
const STOP_MAX: Duration = Duration::from_secs(6);

/// The running outbox; cloning copies a handle.
#[derive(Clone)]
pub struct Webhooks(Arc<Inner>);

struct Inner {
    parts: WebhookParts,
    rules: WebhookRules,
    news: News,
    stats: Stats,
    scheduler: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl Webhooks {
    /// Starts delivering what waits in the outbox, and what comes.
    pub fn start(parts: WebhookParts, rules: WebhookRules) -> Self {
        let inner = Arc::new(Inner {
            parts,
            rules,
            news: News::default(),
            stats: Stats::default(),
            scheduler: parking_lot::Mutex::default(),
        });
        let task = tokio::spawn(Scheduler::new(Arc::clone(&inner)).run());
        *inner.scheduler.lock() = Some(task);
        Self(inner)
    }

    /// Keeps deliveries; when this returns they survive a crash.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was kept.
    pub async fn enqueue(&self, deliveries: Vec<NewDelivery>) -> Result<(), StoreError> {
        let mut due: Vec<_> = Vec::with_capacity(1);
        for new in &deliveries {
            if !due.iter().any(|(endpoint, _)| *endpoint == new.endpoint) {
                due.push((new.endpoint.clone(), new.due_at));
            }
        }
        let displaced = self.0.parts.store.enqueue(deliveries, self.0.rules.bounds).await?;
        for (app, count) in displaced {
            tracing::warn!(%app, count, "too many webhook deliveries wait: the oldest were given up");
            self.0.stats.displaced(&app, count);
        }
        self.0.news.due(due);
        Ok(())
    }

    /// Dead letters of an app, or of all apps, by number, after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn dead_letters(
        &self,
        app: Option<&AppId>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.0.parts.store.dead_letters(app, after, limit).await
    }

    /// Tries dead letters again, now; answers how many.
    ///
    /// # Errors
    /// [`StoreError`]; some may wait again then.
    pub async fn revive(&self, which: &DeadLetters) -> Result<u64, StoreError> {
        let revived = self.0.parts.store.revive(which, self.0.parts.clock.now()).await;
        self.0.news.look_again();
        revived
    }

    /// Deletes dead letters; answers how many.
    ///
    /// # Errors
    /// [`StoreError`]; some may be gone then.
    pub async fn discard(&self, which: &DeadLetters) -> Result<u64, StoreError> {
        let discarded = self.0.parts.store.discard(which).await;
        self.0.news.look_again();
        discarded
    }

    /// What was delivered and what waits, by app.
    pub fn stats(&self) -> Vec<AppStats> {
        self.0.stats.all()
    }

    /// Begins nothing more and waits for the calls under way, a few seconds at most: one that takes longer
    /// is cut off and made again after the next start. What waits stays in the outbox.
    pub async fn stop(&self) {
        self.0.news.stop();
        let task = self.0.scheduler.lock().take();
        let Some(mut task) = task else { return };
        match tokio::time::timeout(STOP_MAX, &mut task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the delivery of webhooks had panicked"),
            Err(_) => {
                tracing::warn!("webhook calls were cut off; they are made again");
                task.abort();
            }
        }
    }
}
