//! From happenings to deliveries.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use mynah_domain::outbox::{Endpoint, NewDelivery};
use mynah_domain::ports::IdSource;
use mynah_domain::{AppId, Timestamp};
use mynah_integrations::webhook::Webhooks;
use mynah_protocol::pusher::webhook::WebhookEvent;
use tokio::time::Instant;

use super::queue::{Happenings, Queue, Told, kind_of};
use crate::pusher::happening::Happening;

/// A channel that is occupied again within this time was never vacated.
const PATIENCE: Duration = Duration::from_secs(3);
/// Vacated channels watched at once; one more is told at once.
const VACATED_MAX: usize = 100_000;
/// Happenings taken at once.
const TAKEN_MAX: usize = 512;
/// Pauses before the store is asked again.
const STORE_PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

type Channel = (AppId, Arc<str>);

/// The task that tells.
pub(super) struct Teller {
    webhooks: Webhooks,
    queue: Arc<Queue>,
    ids: Arc<dyn IdSource>,
    batching: Option<Duration>,
    vacated: Vacated,
}

impl Teller {
    pub(super) fn new(
        webhooks: Webhooks,
        queue: Arc<Queue>,
        ids: Arc<dyn IdSource>,
        batching: Option<Duration>,
    ) -> Self {
        Self { webhooks, queue, ids, batching, vacated: Vacated::default() }
    }

    /// Runs until the queue is closed and empty.
    pub(super) async fn run(mut self, mut happenings: Happenings) {
        let mut taken = Vec::new();
        loop {
            let next = self.vacated.next_due();
            let is_closed = tokio::select! {
                biased;
                count = happenings.queue.recv_many(&mut taken, TAKEN_MAX) => count == 0,
                () = until(next) => false,
                _ = happenings.closed.wait_for(|closed| *closed) => true,
            };
            let mut deliveries = Vec::new();
            for told in std::mem::take(&mut taken) {
                self.queue.taken(&told);
                if let Some(told) = self.vacated.weigh(told) {
                    self.deliveries(&told, &mut deliveries);
                }
            }
            for gone in if is_closed { self.vacated.all() } else { self.vacated.take_due() } {
                self.deliveries(&gone, &mut deliveries);
            }
            self.store(deliveries).await;
            if is_closed {
                return;
            }
        }
    }

    /// One delivery for each of the app's webhooks that covers it.
    fn deliveries(&self, told: &Told, deliveries: &mut Vec<NewDelivery>) {
        let (kind, channel) = kind_of(&told.what);
        let mut event: Option<String> = None;
        for (number, rule) in told.app.webhooks.iter().enumerate() {
            if !rule.covers(kind, channel) {
                continue;
            }
            let earlier = told.app.webhooks.iter().take(number);
            let nth = earlier.filter(|other| other.url == rule.url).count();
            let event =
                event.get_or_insert_with(|| spelled(&told.what, &self.ids.id(told.at))).clone();
            deliveries.push(NewDelivery {
                endpoint: Endpoint {
                    app: told.app.id.clone(),
                    url: rule.url.as_str().into(),
                    rule: u32::try_from(nth).unwrap_or(u32::MAX),
                },
                order_key: channel.to_string(),
                event,
                created_at: told.at,
                due_at: told.at.plus_ms(self.batching.map_or(0, |ms| ms.as_millis() as u64)),
            });
        }
    }

    async fn store(&self, deliveries: Vec<NewDelivery>) {
        if deliveries.is_empty() {
            return;
        }
        let count = deliveries.len() as u64;
        for pause in STORE_PAUSES {
            match self.webhooks.enqueue(deliveries.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, count, "webhooks could not be stored yet"),
            }
            tokio::time::sleep(pause).await;
        }
        if let Err(error) = self.webhooks.enqueue(deliveries).await {
            self.queue.lose(count, &error.to_string());
        }
    }
}

async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// The event as it is sent: `{"name":"member_added","channel":…,"user_id":…,"event_id":…}`.
fn spelled(what: &Happening, id: &str) -> String {
    let event = match what {
        Happening::ChannelOccupied { channel } => WebhookEvent::ChannelOccupied { channel },
        Happening::ChannelVacated { channel } => WebhookEvent::ChannelVacated { channel },
        Happening::CacheMiss { channel } => WebhookEvent::CacheMiss { channel },
        Happening::MemberAdded { channel, user_id } => {
            WebhookEvent::MemberAdded { channel, user_id }
        }
        Happening::MemberRemoved { channel, user_id } => {
            WebhookEvent::MemberRemoved { channel, user_id }
        }
        Happening::ClientEvent { channel, event, data, socket_id, user_id } => {
            let user_id = user_id.as_deref();
            WebhookEvent::ClientEvent { channel, event, data, socket_id, user_id }
        }
        Happening::SubscriptionCount { channel, count } => {
            WebhookEvent::SubscriptionCount { channel, count: *count }
        }
    };
    event.to_json(Some(id))
}

/// Channels that were vacated a short while ago.
#[derive(Default)]
struct Vacated {
    waiting: HashMap<Channel, (u64, Told)>,
    /// In the order in which patience ends; entries of channels occupied again stay until then.
    order: VecDeque<(Instant, u64, Channel)>,
    last: u64,
}

impl Vacated {
    /// What is to be told of a happening now.
    fn weigh(&mut self, told: Told) -> Option<Told> {
        let is_vacated = match &told.what {
            Happening::ChannelVacated { .. } => true,
            Happening::ChannelOccupied { .. } => false,
            Happening::MemberAdded { .. }
            | Happening::MemberRemoved { .. }
            | Happening::ClientEvent { .. }
            | Happening::CacheMiss { .. }
            | Happening::SubscriptionCount { .. } => return Some(told),
        };
        let channel = (told.app.id.clone(), Arc::clone(kind_of(&told.what).1));
        if !is_vacated {
            // Somebody is back in time: nothing has happened.
            return if self.waiting.remove(&channel).is_some() { None } else { Some(told) };
        }
        if self.order.len() >= VACATED_MAX {
            return Some(told);
        }
        self.last += 1;
        self.order.push_back((Instant::now() + PATIENCE, self.last, channel.clone()));
        self.waiting.insert(channel, (self.last, told));
        None
    }

    fn next_due(&self) -> Option<Instant> {
        self.order.front().map(|(due, ..)| *due)
    }

    /// Channels that stayed vacated.
    fn take_due(&mut self) -> Vec<Told> {
        let now = Instant::now();
        let mut gone = Vec::new();
        while let Some((due, number, channel)) = self.order.pop_front() {
            if due > now {
                self.order.push_front((due, number, channel));
                break;
            }
            if self.waiting.get(&channel).is_some_and(|(latest, _)| *latest == number)
                && let Some((_, told)) = self.waiting.remove(&channel)
            {
                gone.push(told);
            }
        }
        gone
    }

    /// All of them, at the end.
    fn all(&mut self) -> Vec<Told> {
        self.order.clear();
        let mut all: Vec<(u64, Told)> = self.waiting.drain().map(|(_, told)| told).collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, told)| told).collect()
    }
}

/// When the last of some deliveries happened, as envelopes say it.
pub(super) fn time_ms(happened: impl Iterator<Item = Timestamp>) -> u64 {
    happened.max().map_or(0, |at| at.0.max(0).cast_unsigned())
}
