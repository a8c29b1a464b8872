//! Webhooks: from what happens in channels to the outbox, and from there to an app's back end.
//!
//! ```text
//! Channels ──happened()──► queue ──► teller: rules, 3 s of patience ──► outbox ──► endpoints
//! ```
//!
//! `happened` is called under a lock and only puts the happening into a bounded queue. When the queue is
//! full (the disk does not keep up), what comes is lost: counted, and said in the log. Once a delivery is
//! in the outbox it survives a crash; what is between the happening and the outbox (some milliseconds, and
//! 3 seconds for `channel_vacated`) does not.

pub mod command;
mod figures;
mod queue;
mod sealer;
mod teller;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use mynah_domain::ports::{Clock, IdSource, OutboxStore};
use mynah_integrations::address::Reach;
use mynah_integrations::client::{Client, ClientOptions, Transport};
use mynah_integrations::resolve::SystemResolver;
use mynah_integrations::webhook::{WebhookParts, WebhookRules, Webhooks};
use tokio::task::JoinHandle;

use self::queue::Queue;
use self::sealer::PusherSealer;
use self::teller::Teller;
use super::happening::Observer;
use crate::apps::Apps;
use crate::config::pusher::PusherWebhooksConfig;
use crate::metrics::Metrics;

/// What webhooks stand on.
#[derive(Clone)]
pub struct PusherWebhookParts {
    /// Where deliveries wait.
    pub store: Arc<dyn OutboxStore>,
    /// Whose they are, with which keys.
    pub apps: Apps,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Ids of events.
    pub ids: Arc<dyn IdSource>,
}

/// Running webhooks.
pub struct PusherWebhooks {
    webhooks: Webhooks,
    queue: Arc<Queue>,
    teller: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl PusherWebhooks {
    /// Starts telling, also what is left in the outbox from before. Reads the system's certificates.
    pub fn start(config: &PusherWebhooksConfig, parts: PusherWebhookParts) -> Self {
        let options = ClientOptions {
            reach: Reach { private: config.allow_private_addresses },
            timeout: Duration::from_millis(config.timeout_ms),
        };
        let client = Client::new(options, Arc::new(SystemResolver));
        Self::over(config, parts, Arc::new(client))
    }

    /// Like [`PusherWebhooks::start`], over another transport.
    pub(crate) fn over(
        config: &PusherWebhooksConfig,
        parts: PusherWebhookParts,
        transport: Arc<dyn Transport>,
    ) -> Self {
        let batching = config.batching.then(|| Duration::from_millis(config.batching_ms));
        let rules = WebhookRules {
            batching,
            give_up_after: Duration::from_secs(config.give_up_after_s),
            timeout: Duration::from_millis(config.timeout_ms),
            ..WebhookRules::default()
        };
        let PusherWebhookParts { store, apps, clock, ids } = parts;
        let sealer = Arc::new(PusherSealer::new(apps, Arc::clone(&clock)));
        let outbox = WebhookParts { store, transport, sealer, clock: Arc::clone(&clock) };
        let webhooks = Webhooks::start(outbox, rules);
        let (queue, happenings) = Queue::new(clock);
        let queue = Arc::new(queue);
        let teller = Teller::new(webhooks.clone(), Arc::clone(&queue), ids, batching);
        let teller = tokio::spawn(teller.run(happenings));
        Self { webhooks, queue, teller: parking_lot::Mutex::new(Some(teller)) }
    }

    /// Who is to be told what happens.
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::clone(&self.queue) as Arc<dyn Observer>
    }

    /// Shows operators how deliveries fare.
    pub fn watch(&self, metrics: &Metrics) {
        let (webhooks, queue) = (self.webhooks.clone(), Arc::clone(&self.queue));
        metrics.add_collector(figures::figures(webhooks, queue));
    }

    /// At the end, when no more sockets are there and the store still is: what has happened is put into
    /// the outbox, calls under way end. What waits there is delivered after the next start.
    pub async fn stop(&self) {
        self.queue.close();
        let teller = self.teller.lock().take();
        if let Some(teller) = teller
            && teller.await.is_err()
        {
            tracing::error!("telling webhooks had panicked");
        }
        self.webhooks.stop().await;
    }
}
