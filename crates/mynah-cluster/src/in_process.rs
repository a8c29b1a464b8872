//! A broker between the nodes of one process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::{Context, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use mynah_hub::{Broker, BrokerEvent, BrokerStats, Topic};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::Limits;
use crate::carrier::{Counters, Teller};

/// A bus without a network: what one node publishes is in the others' inboxes when `publish` returns, in the same order
/// for all. As with Redis a node that subscribes hears itself too.
///
/// It can be cut and mended, which is told as by a real broker. Bounded like the others; that something was
/// missed is told with the next event of anybody.
#[derive(Clone, Default)]
pub struct InProcess {
    bus: Arc<Mutex<Bus>>,
}

#[derive(Default)]
struct Bus {
    is_cut: bool,
    nodes: HashMap<u64, Node>,
    joined: u64,
}

struct Node {
    heard: HashSet<Topic>,
    teller: Teller,
    counters: Arc<Counters>,
    unsent: u64,
    /// It was told that publications are dropped.
    is_dropping: bool,
}

impl InProcess {
    /// A bus without nodes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A node's end of it.
    pub fn join(&self, limits: Limits) -> (Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>) {
        let counters = Arc::<Counters>::default();
        let (mut teller, events) = Teller::new(limits, Arc::clone(&counters));
        let mut bus = self.bus.lock();
        let state = if bus.is_cut { BrokerEvent::Down } else { BrokerEvent::Up };
        counters.set_up(state == BrokerEvent::Up);
        teller.tell(state);
        bus.joined += 1;
        let id = bus.joined;
        let node = Node { heard: HashSet::new(), teller, counters, unsent: 0, is_dropping: false };
        bus.nodes.insert(id, node);
        drop(bus);
        (Arc::new(End { bus: Arc::clone(&self.bus), id }), events)
    }

    /// Nothing arrives any more; all nodes are told.
    pub fn cut(&self) {
        self.turn(true);
    }

    /// It works again, with what each has subscribed to; all nodes are told.
    pub fn mend(&self) {
        self.turn(false);
    }

    fn turn(&self, is_cut: bool) {
        let mut bus = self.bus.lock();
        if std::mem::replace(&mut bus.is_cut, is_cut) == is_cut {
            return;
        }
        for node in bus.nodes.values_mut() {
            node.counters.set_up(!is_cut);
            node.is_dropping = false;
            node.tell(if is_cut { BrokerEvent::Down } else { BrokerEvent::Up });
        }
    }
}

impl Node {
    fn tell(&mut self, event: BrokerEvent) {
        self.teller.tell(event);
        self.teller.poll(&mut Context::from_waker(Waker::noop()));
    }
}

struct End {
    bus: Arc<Mutex<Bus>>,
    id: u64,
}

#[async_trait]
impl Broker for End {
    fn publish(&self, channel: &Topic, payload: Bytes) {
        let mut bus = self.bus.lock();
        let is_cut = bus.is_cut;
        let Some(own) = bus.nodes.get_mut(&self.id) else { return };
        if is_cut {
            own.unsent += 1;
            if !std::mem::replace(&mut own.is_dropping, true) {
                own.tell(BrokerEvent::Unsent);
            }
            return;
        }
        own.counters.published(1, payload.len());
        for node in bus.nodes.values_mut() {
            node.teller.poll(&mut Context::from_waker(Waker::noop()));
            if node.heard.contains(channel) {
                node.teller.message(channel.clone(), payload.clone());
            }
        }
    }

    async fn subscribe(&self, channels: Vec<Topic>) -> bool {
        let mut bus = self.bus.lock();
        let is_cut = bus.is_cut;
        let Some(own) = bus.nodes.get_mut(&self.id) else { return false };
        own.heard.extend(channels);
        !is_cut
    }

    async fn unsubscribe(&self, channels: Vec<Topic>) {
        if let Some(own) = self.bus.lock().nodes.get_mut(&self.id) {
            for channel in channels {
                own.heard.remove(&channel);
            }
        }
    }

    async fn stop(&self) {
        self.bus.lock().nodes.remove(&self.id);
    }

    fn stats(&self) -> BrokerStats {
        let bus = self.bus.lock();
        let Some(own) = bus.nodes.get(&self.id) else { return BrokerStats::default() };
        BrokerStats { unsent: own.unsent, channels: own.heard.len() as u64, ..own.counters.stats() }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.bus.lock().nodes.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(channel: &str, payload: &'static str) -> BrokerEvent {
        BrokerEvent::Message { channel: Topic::new(channel), payload: payload.into() }
    }

    fn told(events: &mut mpsc::Receiver<BrokerEvent>) -> Vec<BrokerEvent> {
        std::iter::from_fn(|| events.try_recv().ok()).collect()
    }

    #[tokio::test]
    async fn a_node_hears_what_it_subscribed_to_and_itself() {
        let bus = InProcess::new();
        let (ann, mut to_ann) = bus.join(Limits::default());
        let (bob, mut to_bob) = bus.join(Limits::default());
        assert!(ann.subscribe(vec![Topic::new("r:1"), Topic::new("r:2")]).await);
        bob.publish(&Topic::new("r:1"), "one".into());
        ann.publish(&Topic::new("r:2"), "two".into());
        ann.publish(&Topic::new("r:3"), "nobody".into());
        ann.unsubscribe(vec![Topic::new("r:1")]).await;
        bob.publish(&Topic::new("r:1"), "late".into());
        assert_eq!(
            told(&mut to_ann),
            [BrokerEvent::Up, message("r:1", "one"), message("r:2", "two")]
        );
        assert_eq!(told(&mut to_bob), [BrokerEvent::Up]);
        let stats = ann.stats();
        assert_eq!((stats.published, stats.received, stats.channels), (2, 2, 1));
    }

    #[tokio::test]
    async fn a_cut_is_told_and_forgets_no_subscription() {
        let bus = InProcess::new();
        let (ann, mut to_ann) = bus.join(Limits::default());
        let (bob, _to_bob) = bus.join(Limits::default());
        bus.cut();
        assert!(!ann.subscribe(vec![Topic::new("r:1")]).await);
        ann.publish(&Topic::new("r:1"), "lost".into());
        ann.publish(&Topic::new("r:1"), "lost".into());
        bus.mend();
        bob.publish(&Topic::new("r:1"), "heard".into());
        assert_eq!(
            told(&mut to_ann),
            [
                BrokerEvent::Up,
                BrokerEvent::Down,
                BrokerEvent::Unsent,
                BrokerEvent::Up,
                message("r:1", "heard")
            ]
        );
        assert_eq!(ann.stats().unsent, 2);
    }

    #[tokio::test]
    async fn who_stops_hears_nothing_more() {
        let bus = InProcess::new();
        let (ann, mut to_ann) = bus.join(Limits::default());
        let (bob, _to_bob) = bus.join(Limits::default());
        ann.subscribe(vec![Topic::new("r:1")]).await;
        ann.stop().await;
        bob.publish(&Topic::new("r:1"), "late".into());
        assert_eq!(told(&mut to_ann), [BrokerEvent::Up]);
        assert!(to_ann.is_closed());
    }
}
