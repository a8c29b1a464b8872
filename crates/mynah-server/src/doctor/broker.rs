//! The broker: reached, and heard.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mynah_hub::{Broker, BrokerEvent, Topic};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use super::report::{Report, span};
use crate::config::Config;
use crate::system::session_id;
use crate::wiring::broker::{self, Connected};

const AREA: &str = "broker";
/// Time to be connected.
const CONNECT: Duration = Duration::from_secs(8);
/// Time for a message to come back.
const ROUND: Duration = Duration::from_secs(3);
const ROUNDS: u8 = 5;
/// A message that takes longer is told.
const SLOW: Duration = Duration::from_millis(50);

pub(super) async fn check(config: &Config, report: &mut Report) {
    match broker::check(config).and_then(|()| broker::connect(config)) {
        Err(error) => report.wrong(AREA, format!("{error:#}"), "The server refuses to start."),
        Ok(None) if config.store.url.is_empty() => {
            report.skipped(AREA, "none is set; a single node needs none");
        }
        Ok(None) => report.note(
            AREA,
            "none is set, and the data is in PostgreSQL",
            "That is right for one node. Several need the same REDIS_URL or NATS_URL.",
        ),
        Ok(Some(connected)) => {
            let what = if config.cluster.redis_url.is_empty() { "NATS" } else { "Redis" };
            if config.store.url.is_empty() {
                report.note(
                    AREA,
                    format!("{what} is set, and the data is in SQLite"),
                    "Several nodes need PostgreSQL (DATABASE_URL).",
                );
            }
            // Two connections, as of two nodes: some brokers do not tell a publisher its own messages.
            if let Ok(Some(other)) = broker::connect(config) {
                listen(what, connected, other, report).await;
            }
        }
    }
}

async fn listen(
    what: &str,
    (broker, mut events): Connected,
    (publisher, mut its_events): Connected,
    report: &mut Report,
) {
    let both = async { up(&mut events).await && up(&mut its_events).await };
    if !matches!(timeout(CONNECT, both).await, Ok(true)) {
        report.wrong(
            AREA,
            format!("{what} is not reached within {} s", CONNECT.as_secs()),
            "Is it up, is the address right, do user, password and certificates fit, does a firewall stand \
             between? Until it is back, what one node stores reaches the clients of others late.",
        );
        return stop(&[broker, publisher]).await;
    }
    let channel = Topic::new(format!("doctor:{}", session_id()));
    broker.subscribe(vec![channel.clone()]).await;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let begun = Instant::now();
        let payload = Bytes::copy_from_slice(&[round]);
        publisher.publish(&channel, payload.clone());
        match timeout(ROUND, heard(&mut events, &channel, &payload)).await {
            Ok(true) => times.push(begun.elapsed()),
            Ok(false) | Err(_) => break,
        }
    }
    stop(&[broker, publisher]).await;
    times.sort_unstable();
    match times.get(times.len() / 2) {
        Some(median) if times.len() == usize::from(ROUNDS) => {
            let text = format!("{what} brings a message back in {} (median of {ROUNDS})", span(*median));
            if *median > SLOW {
                report.note(AREA, text, "Messages between nodes take at least that long: put it nearer.");
            } else {
                report.ok(AREA, text);
            }
        }
        Some(_) | None => report.wrong(
            AREA,
            format!("{what} is reached, and does not bring back what is published"),
            "Its user needs the rights to publish and to subscribe (Redis: +publish +subscribe +ping and the \
             channels of cluster.prefix; NATS: both permissions for the prefix).",
        ),
    }
}

async fn stop(brokers: &[Arc<dyn Broker>]) {
    for broker in brokers {
        broker.stop().await;
    }
}

async fn up(events: &mut Receiver<BrokerEvent>) -> bool {
    while let Some(event) = events.recv().await {
        if event == BrokerEvent::Up {
            return true;
        }
    }
    false
}

async fn heard(events: &mut Receiver<BrokerEvent>, channel: &Topic, payload: &Bytes) -> bool {
    while let Some(event) = events.recv().await {
        if matches!(&event, BrokerEvent::Message { channel: c, payload: p } if c == channel && p == payload)
        {
            return true;
        }
    }
    false
}
