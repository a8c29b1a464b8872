//! What a node says to the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mynah_domain::node::NodeLease;
use mynah_hub::cluster::Envelope;
use mynah_hub::{Broker, Topic};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::streams;
use super::wire::{Control, Kind, Told};

/// As whom, and until when.
#[derive(Debug, Clone, Copy)]
struct Right {
    slot: u16,
    epoch: u64,
    until: Instant,
}

struct Inner {
    broker: Arc<dyn Broker>,
    right: RwLock<Option<Right>>,
    has_company: AtomicBool,
    unsaid: AtomicU64,
}

/// Speaks on the broker, as long as the node has the right to; clones share it.
#[derive(Clone)]
pub struct Voice(Arc<Inner>);

impl Voice {
    /// On a broker; silent until it may speak.
    pub fn new(broker: Arc<dyn Broker>) -> Self {
        Self(Arc::new(Inner {
            broker,
            right: RwLock::new(None),
            has_company: AtomicBool::new(false),
            unsaid: AtomicU64::new(0),
        }))
    }

    /// Speaks as the holder of a lease, until a moment.
    pub fn speak_as(&self, lease: &NodeLease, until: Instant) {
        *self.0.right.write() = Some(Right { slot: lease.slot, epoch: lease.epoch, until });
    }

    /// Says nothing more until it may speak again.
    pub fn fall_silent(&self) {
        *self.0.right.write() = None;
    }

    /// Whether anybody listens.
    pub fn set_company(&self, has_company: bool) {
        self.0.has_company.store(has_company, Ordering::Relaxed);
    }

    /// How often nothing was said for want of the right to.
    pub fn unsaid(&self) -> u64 {
        self.0.unsaid.load(Ordering::Relaxed)
    }

    /// The broker.
    pub fn broker(&self) -> &Arc<dyn Broker> {
        &self.0.broker
    }

    /// Slot and epoch, while it may speak.
    pub fn own(&self) -> Option<(u16, u64)> {
        let right = (*self.0.right.read())?;
        (Instant::now() < right.until).then_some((right.slot, right.epoch))
    }

    /// Says something on a channel, if there are others; `false` if it had to be kept to itself.
    pub fn say(&self, channel: &Topic, kind: Kind, body: impl FnOnce() -> Vec<u8>) -> bool {
        !self.0.has_company.load(Ordering::Relaxed) || self.send(channel, kind, body())
    }

    /// Says something to all nodes, also to those that are not known yet.
    pub fn call(&self, kind: Kind, body: Vec<u8>) {
        // Who could not speak is heard again with the next beat.
        let _said: bool = self.send(&streams::common(), kind, body);
    }

    /// Tells who hears a channel of something that fades.
    pub fn tell(&self, channel: &Topic, told: &Told) {
        // What fades is not made up for.
        let _said: bool = self.say(channel, Kind::Told, || told.body());
    }

    /// Makes all nodes do something.
    pub fn command(&self, control: &Control) {
        self.call(Kind::Control, control.body());
    }

    fn send(&self, channel: &Topic, kind: Kind, body: Vec<u8>) -> bool {
        let Some((slot, epoch)) = self.own() else {
            self.0.unsaid.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let envelope = Envelope { kind: kind as u8, slot, epoch, body: body.into() };
        self.0.broker.publish(channel, envelope.to_bytes());
        true
    }
}
