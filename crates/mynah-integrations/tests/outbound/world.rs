//! Webhooks on stores in memory, over a transport that is told what to answer, in paused time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mynah_domain::outbox::{Delivery, Endpoint, NewDelivery, OutboxCount};
use mynah_domain::ports::{Clock, OutboxStore};
use mynah_domain::{AppId, Timestamp};
use mynah_integrations::client::{Answer, Post, PostError, Transport};
use mynah_integrations::webhook::{
    NotSealed, Sealed, Sealer, WebhookParts, WebhookRules, Webhooks,
};
use mynah_testkit::{MemoryStore, Recorder};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// A clock that goes with tokio's paused time.
pub(crate) struct PausedClock(Instant);

const T0: i64 = 1_795_255_200_000;

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp(T0).plus_ms(self.0.elapsed().as_millis() as u64)
    }
}

/// What an endpoint does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Does {
    /// Answers with a status.
    Answer(u16),
    /// Answers 429 and wants to be left alone for so many seconds.
    Busy(u64),
    /// Takes so long, and takes it.
    Slow(Duration),
    /// Never answers; the call ends at its deadline.
    Hang,
    /// Cannot be called at all.
    Refuse(PostError),
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) url: String,
    pub(crate) body: String,
    /// Milliseconds after the world began.
    pub(crate) at_ms: u64,
}

/// Counts, records and answers.
pub(crate) struct Endpoints {
    begin: Instant,
    does: Mutex<BTreeMap<String, Does>>,
    calls: Mutex<Vec<Call>>,
    pub(crate) open: Mutex<(usize, usize)>,
    count: watch::Sender<usize>,
}

#[async_trait]
impl Transport for Endpoints {
    async fn post(&self, request: Post) -> Result<Answer, PostError> {
        {
            let mut open = self.open.lock();
            open.0 += 1;
            open.1 = open.1.max(open.0);
        }
        let url = request.url.to_string();
        let body = String::from_utf8(request.body.to_vec()).expect("text");
        let at_ms = self.begin.elapsed().as_millis() as u64;
        self.calls.lock().push(Call { url: url.clone(), body, at_ms });
        self.count.send_modify(|count| *count += 1);
        let does = self.does.lock().get(&url).cloned().unwrap_or(Does::Answer(200));
        let pass = |time| tokio::time::timeout(time, std::future::pending::<()>());
        let answer = |status| Ok(Answer { status, retry_after_s: None });
        let done = match does {
            Does::Answer(status) => answer(status),
            Does::Busy(s) => Ok(Answer { status: 429, retry_after_s: Some(s) }),
            Does::Slow(time) => {
                drop(pass(time).await);
                answer(200)
            }
            Does::Hang => {
                drop(pass(Duration::from_secs(5)).await);
                Err(PostError::Failed("no answer".to_owned()))
            }
            Does::Refuse(error) => Err(error),
        };
        self.open.lock().0 -= 1;
        done
    }
}

/// `app: event event …`, so that a test sees whose key would sign.
struct Plain {
    /// What to say of an app instead.
    not: Mutex<BTreeMap<String, NotSealed>>,
}

#[async_trait]
impl Sealer for Plain {
    async fn seal(
        &self,
        endpoint: &Endpoint,
        deliveries: &[Delivery],
    ) -> Result<Sealed, NotSealed> {
        let app = endpoint.app.as_str();
        if let Some(not) = self.not.lock().get(app) {
            return Err(not.clone());
        }
        assert!(deliveries.iter().all(|d| d.endpoint == *endpoint), "no others' events");
        let events: Vec<&str> = deliveries.iter().map(|d| d.event.as_str()).collect();
        Ok(Sealed { headers: Vec::new(), body: format!("{app}: {}", events.join(" ")) })
    }
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) endpoints: Arc<Endpoints>,
    pub(crate) webhooks: Webhooks,
    clock: Arc<PausedClock>,
    sealer: Arc<Plain>,
    rules: WebhookRules,
}

pub(crate) fn endpoint(app: &str, url: &str) -> Endpoint {
    Endpoint { app: AppId::trusted(app), url: url.into(), rule: 0 }
}

impl World {
    pub(crate) fn new(rules: WebhookRules) -> Self {
        let store = MemoryStore::new(Recorder::new());
        let endpoints = Arc::new(Endpoints {
            begin: Instant::now(),
            does: Mutex::default(),
            calls: Mutex::default(),
            open: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let clock = Arc::new(PausedClock(Instant::now()));
        let sealer = Arc::new(Plain { not: Mutex::default() });
        let parts = WebhookParts {
            store: Arc::clone(&store) as Arc<dyn OutboxStore>,
            transport: Arc::clone(&endpoints) as Arc<dyn Transport>,
            sealer: Arc::clone(&sealer) as Arc<dyn Sealer>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
        };
        let webhooks = Webhooks::start(parts, rules);
        Self { store, endpoints, webhooks, clock, sealer, rules }
    }

    /// Another process on the same store.
    pub(crate) fn restarted(self) -> Self {
        let parts = WebhookParts {
            store: Arc::clone(&self.store) as Arc<dyn OutboxStore>,
            transport: Arc::clone(&self.endpoints) as Arc<dyn Transport>,
            sealer: Arc::clone(&self.sealer) as Arc<dyn Sealer>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        };
        let webhooks = Webhooks::start(parts, self.rules);
        Self { webhooks, ..self }
    }

    pub(crate) fn does(&self, url: &str, does: Does) {
        self.endpoints.does.lock().insert(url.to_owned(), does);
    }

    pub(crate) fn not_sealed(&self, app: &str, not: Option<NotSealed>) {
        let mut all = self.sealer.not.lock();
        match not {
            Some(not) => drop(all.insert(app.to_owned(), not)),
            None => drop(all.remove(app)),
        }
    }

    pub(crate) fn new_delivery(&self, endpoint: &Endpoint, event: &str) -> NewDelivery {
        let now = self.clock.now();
        let batching = self.rules.batching.map_or(0, |time| time.as_millis() as u64);
        NewDelivery {
            endpoint: endpoint.clone(),
            // "channel1/event" is of channel1.
            order_key: event.split('/').next().unwrap_or_default().to_owned(),
            event: event.to_owned(),
            created_at: now,
            due_at: now.plus_ms(batching),
        }
    }

    pub(crate) async fn tell(&self, endpoint: &Endpoint, events: &[&str]) {
        let all = events.iter().map(|event| self.new_delivery(endpoint, event)).collect();
        self.webhooks.enqueue(all).await.expect("kept");
    }

    /// All calls, once there are so many.
    pub(crate) async fn calls(&self, count: usize) -> Vec<Call> {
        let mut counted = self.endpoints.count.subscribe();
        let reached = counted.wait_for(|now| *now >= count);
        let day = Duration::from_hours(24);
        let in_time = tokio::time::timeout(day, reached).await.is_ok();
        let calls = self.endpoints.calls.lock().clone();
        assert!(in_time, "{count} calls expected: {calls:?}");
        calls
    }

    pub(crate) async fn bodies(&self, count: usize) -> Vec<String> {
        self.calls(count).await.into_iter().map(|call| call.body).collect()
    }

    /// Lets time pass.
    pub(crate) async fn pass(&self, time: Duration) {
        drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
    }

    /// What is in the outbox, in all: waiting and dead.
    pub(crate) async fn left(&self) -> (u64, u64) {
        let counts: Vec<OutboxCount> = self.store.counts().await.expect("read");
        (counts.iter().map(|c| c.pending).sum(), counts.iter().map(|c| c.dead).sum())
    }

    pub(crate) async fn dead(&self) -> Vec<Delivery> {
        self.webhooks.dead_letters(None, None, 1_000).await.expect("read")
    }
}
