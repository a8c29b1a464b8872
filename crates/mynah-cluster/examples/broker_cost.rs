//! What a message costs on a node that publishes it and on one that hears it, in microseconds of processor time.
//!
//! `broker_cost redis|nats HOST:PORT [MESSAGES]`. The broker itself is another process and not counted. *Alone*: each message
//! is awaited at the other end before the next; *together*: up to 1,000 are under way.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use mynah_cluster::nats::{self, NatsOptions};
use mynah_cluster::redis::{self, RedisOptions};
use mynah_hub::{Broker, BrokerEvent, Topic};
use tokio::sync::mpsc;

type Node = (Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>);

const PAYLOAD: &[u8] = &[b'x'; 200];
const UNDER_WAY: u64 = 1000;

fn connect(kind: &str, place: &str) -> Node {
    match kind {
        "nats" => nats::connect(&NatsOptions::new(format!("nats://{place}"))).expect("a url"),
        _ => redis::connect(&RedisOptions::new(format!("redis://{place}"))).expect("a url"),
    }
}

async fn up((_, events): &mut Node) {
    while events.recv().await.expect("it goes on") != BrokerEvent::Up {}
}

async fn heard(events: &mut mpsc::Receiver<BrokerEvent>, count: u64) {
    let mut left = count;
    while left > 0 {
        match events.recv().await.expect("it goes on") {
            BrokerEvent::Message { .. } => left -= 1,
            other @ (BrokerEvent::Up
            | BrokerEvent::Down
            | BrokerEvent::Missed
            | BrokerEvent::Unsent) => println!("{other:?}"),
        }
    }
}

/// Processor time of this process.
fn used() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after = text.rsplit(')').next().unwrap_or_default();
    let mut fields = after.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((ticks() + ticks()) * 10)
}

async fn run(name: &str, publisher: &Node, listener: &mut Node, (count, at_once): (u64, u64)) {
    let topic = Topic::new("r:1");
    let is_heard = listener.0.stats().channels > 0;
    let (before, began) = (used(), Instant::now());
    let start = publisher.0.stats();
    let mut sent = 0;
    while sent < count {
        let now = at_once.min(count - sent);
        for _ in 0..now {
            publisher.0.publish(&topic, PAYLOAD.into());
        }
        sent += now;
        if is_heard {
            heard(&mut listener.1, now).await;
        } else {
            while publisher.0.stats().published < start.published + sent {
                tokio::task::yield_now().await;
            }
        }
    }
    let (used, took) = (used().saturating_sub(before), began.elapsed());
    let each = used.as_secs_f64() * 1e6 / count as f64;
    let writes = publisher.0.stats().writes - start.writes;
    let per_second = count as f64 / took.as_secs_f64();
    println!("{name:<28} {each:6.2} us/message {per_second:9.0}/s {writes:8} writes");
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let kind = words.next().unwrap_or_else(|| "redis".to_owned());
    let place = words.next().unwrap_or_else(|| "127.0.0.1:6379".to_owned());
    let count: u64 = words.next().and_then(|word| word.parse().ok()).unwrap_or(500_000);
    let (mut publisher, mut listener) = (connect(&kind, &place), connect(&kind, &place));
    up(&mut publisher).await;
    up(&mut listener).await;
    println!("{kind}, messages of {} bytes", PAYLOAD.len());
    listener.0.subscribe(vec![Topic::new("r:1")]).await;
    run("both ends, together", &publisher, &mut listener, (count, UNDER_WAY)).await;
    run("both ends, alone", &publisher, &mut listener, (count / 20, 1)).await;
    listener.0.unsubscribe(vec![Topic::new("r:1")]).await;
    // Confirmed when the next is.
    listener.0.subscribe(vec![Topic::new("r:2")]).await;
    listener.0.unsubscribe(vec![Topic::new("r:2")]).await;
    while listener.0.stats().channels > 0 {
        tokio::task::yield_now().await;
    }
    run("publisher alone, together", &publisher, &mut listener, (count, UNDER_WAY)).await;
}
