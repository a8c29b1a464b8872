//! The figures that everybody who looks is sent: made and encoded once, and only while somebody looks.

use std::sync::Arc;
use std::time::Duration;

use mynah_domain::Timestamp;
use mynah_domain::ports::Clock;
use mynah_hub::{Class, Dialect, Frame, Hub, LazyFrames, Publication, Topic};
use mynah_protocol::socket_io;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::crowd::{Crowd, NamespaceFigures};
use super::tally::{AggregatedEvent, Reading, Tally};
use crate::dialects::RESERVED_DIALECTS_FROM;
use crate::engine_io::Traffic;
use crate::wire::Wire;

/// How often the counters are read: what is counted per second needs no less.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Every how manieth time the figures are sent. The UI calls a server unhealthy that is silent for 10 s.
const SEND_EACH: u32 = 2;
/// Of the figures that wait for a slow looker only the newest are kept.
const CLASS: Class = Class::Ephemeral { key: u64::MAX - 1 };

/// The dialects of the admin namespace: the last ones, which no vocabulary gets.
pub(super) fn dialect(wire: Wire) -> Dialect {
    Dialect((RESERVED_DIALECTS_FROM + wire.index()) as u8)
}

fn wire(dialect: Dialect) -> Wire {
    let [usual, ..] = Wire::ALL;
    let index = usize::from(dialect.0).checked_sub(RESERVED_DIALECTS_FROM);
    index.and_then(|index| Wire::ALL.get(index).copied()).unwrap_or(usual)
}

/// What everybody who looks hears.
pub(super) fn topic() -> Topic {
    Topic::new("admin")
}

/// One event of the admin namespace in the spelling of a dialect.
pub(super) fn spell(dialect: Dialect, namespace: &str, event: &str, json: &str) -> Frame {
    let mut packet = Vec::with_capacity(json.len() + 64);
    socket_io::event(namespace, None, event, &[json], &mut packet);
    wire(dialect).frame(&packet)
}

/// `server_stats`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerStats<'a> {
    server_id: &'a str,
    hostname: &'a str,
    pid: u32,
    /// In seconds.
    uptime: f64,
    clients_count: u64,
    polling_clients_count: u64,
    namespaces: Vec<NamespaceFigures>,
    aggregated_events: Vec<AggregatedEvent>,
}

/// What the figures are made from.
pub(super) struct Board {
    pub(super) namespace: Box<str>,
    pub(super) hub: Hub,
    pub(super) traffic: Traffic,
    pub(super) crowd: Crowd,
    pub(super) clock: Arc<dyn Clock>,
    hostname: String,
    started: Timestamp,
    watch: Mutex<Watch>,
}

#[derive(Default)]
struct Watch {
    lookers: usize,
    is_running: bool,
    tally: Tally,
}

/// Somebody who looks, until this is dropped.
pub(super) struct Looking(Arc<Board>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.watch.lock().lookers -= 1;
    }
}

impl Board {
    pub(super) fn new(
        namespace: &str,
        (hub, traffic): (Hub, Traffic),
        crowd: Crowd,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let started = clock.now();
        Arc::new(Self {
            namespace: namespace.into(),
            hub,
            traffic,
            crowd,
            clock,
            hostname,
            started,
            watch: Mutex::default(),
        })
    }

    /// Somebody begins to look; the first one starts the clock.
    pub(super) fn look(self: &Arc<Self>) -> Looking {
        let mut watch = self.watch.lock();
        watch.lookers += 1;
        if !watch.is_running {
            watch.is_running = true;
            watch.tally.restart(self.read());
            tokio::spawn(run(Arc::clone(self)));
        }
        Looking(Arc::clone(self))
    }

    fn read(&self) -> Reading {
        Reading::of(&self.traffic.totals(), &self.hub.stats())
    }

    /// Notes the last second; `false` when nobody looks any more.
    fn note(&self) -> bool {
        let mut watch = self.watch.lock();
        watch.is_running = watch.lookers > 0;
        if watch.is_running {
            // The middle of what passed since the last time lies in the second that is meant.
            let middle = self.clock.now().0 - NOTE_EVERY.as_millis() as i64 / 2;
            watch.tally.note(middle - middle.rem_euclid(1_000), self.read());
        }
        watch.is_running
    }

    fn figures(&self, aggregated_events: Vec<AggregatedEvent>) -> String {
        let totals = self.traffic.totals();
        let stats = ServerStats {
            server_id: &self.hostname,
            hostname: &self.hostname,
            pid: std::process::id(),
            uptime: self.clock.now().since_ms(self.started) as f64 / 1_000.0,
            clients_count: totals.open(),
            polling_clients_count: totals.polling,
            namespaces: self.crowd.figures(),
            aggregated_events,
        };
        serde_json::to_string(&stats).unwrap_or_default()
    }

    /// The figures of now, without what happened: that goes to everybody once.
    pub(super) fn now(&self, dialect: Dialect) -> Frame {
        spell(dialect, &self.namespace, "server_stats", &self.figures(Vec::new()))
    }

    async fn send(&self) {
        let happened = self.watch.lock().tally.take();
        let json = self.figures(happened);
        let namespace = self.namespace.clone();
        let frames =
            LazyFrames::new(move |dialect| Some(spell(dialect, &namespace, "server_stats", &json)));
        let publication = Publication {
            topic: topic(),
            seq: None,
            pos: None,
            class: CLASS,
            except: None,
            frames,
        };
        self.hub.publish(publication).await;
    }
}

async fn run(board: Arc<Board>) {
    let mut ticks = interval_at(Instant::now() + NOTE_EVERY, NOTE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut noted = 0_u32;
    loop {
        ticks.tick().await;
        if !board.note() {
            return;
        }
        noted = noted.wrapping_add(1);
        if noted.is_multiple_of(SEND_EACH) {
            board.send().await;
        }
    }
}
