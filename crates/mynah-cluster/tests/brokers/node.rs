//! A node's end of a broker, for tests.

use std::sync::Arc;
use std::time::Duration;

use mynah_cluster::nats::{self, NatsOptions};
use mynah_cluster::redis::{self, RedisOptions};
use mynah_cluster::{Limits, Timing};
use mynah_hub::{Broker, BrokerEvent, Topic};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::servers::PATIENCE;

/// Tries again soon, and waits for answers as long as a busy machine may take.
pub(crate) fn short() -> Timing {
    Timing {
        ping_interval: Duration::from_millis(200),
        ping_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        retry_min: Duration::from_millis(10),
        retry_max: Duration::from_millis(100),
    }
}

/// And notices soon that nothing is answered any more.
pub(crate) fn alert() -> Timing {
    Timing { ping_timeout: Duration::from_secs(2), ..short() }
}

pub(crate) struct Node {
    pub(crate) broker: Arc<dyn Broker>,
    pub(crate) events: mpsc::Receiver<BrokerEvent>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Redis,
    Nats,
}

impl Node {
    pub(crate) fn new(kind: Kind, port: u16) -> Self {
        Self::with(kind, &format!("127.0.0.1:{port}"), Limits::default(), short())
    }

    pub(crate) fn with(kind: Kind, place: &str, limits: Limits, timing: Timing) -> Self {
        match kind {
            Kind::Redis => {
                let url = format!("redis://{place}");
                Self::redis(&RedisOptions { limits, timing, ..RedisOptions::new(url) })
            }
            Kind::Nats => {
                let url = format!("nats://{place}");
                Self::nats(&NatsOptions { limits, timing, ..NatsOptions::new(url) })
            }
        }
    }

    pub(crate) fn redis(options: &RedisOptions) -> Self {
        let (broker, events) = redis::connect(options).unwrap();
        Self { broker, events }
    }

    pub(crate) fn nats(options: &NatsOptions) -> Self {
        let (broker, events) = nats::connect(options).unwrap();
        Self { broker, events }
    }

    pub(crate) async fn next(&mut self) -> BrokerEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event comes").expect("it goes on")
    }

    pub(crate) async fn expect(&mut self, event: BrokerEvent) {
        assert_eq!(self.next().await, event);
    }

    pub(crate) async fn until(&mut self, event: BrokerEvent) {
        while self.next().await != event {}
    }

    pub(crate) async fn up(kind: Kind, port: u16) -> Self {
        let mut node = Self::new(kind, port);
        node.expect(BrokerEvent::Up).await;
        node
    }

    pub(crate) async fn hear(&self, channels: &[&str]) -> bool {
        let channels = channels.iter().map(|&channel| Topic::new(channel)).collect();
        timeout(PATIENCE, self.broker.subscribe(channels)).await.expect("an answer comes")
    }

    pub(crate) fn say(&self, channel: &str, payload: impl Into<bytes::Bytes>) {
        self.broker.publish(&Topic::new(channel), payload.into());
    }
}

pub(crate) fn message(channel: &str, payload: impl Into<bytes::Bytes>) -> BrokerEvent {
    BrokerEvent::Message { channel: Topic::new(channel), payload: payload.into() }
}
