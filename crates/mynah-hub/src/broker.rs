//! What carries bytes from node to node.

use async_trait::async_trait;
use bytes::Bytes;

use crate::Topic;

/// A broker, best effort: what it carries may be lost, never is it changed or shown to other channels'
/// subscribers. Whoever needs more asks the store.
///
/// Messages of one publisher reach one subscriber in the order in which they were published, over all
/// channels, as far as they arrive and nothing is told of a loss ([`BrokerEvent`]). A publisher that
/// subscribes may hear itself.
#[async_trait]
pub trait Broker: Send + Sync + 'static {
    /// Sends to every node that has subscribed, at once and without waiting: what is published while a write
    /// is under way leaves together in the next. What finds the bounded queue full, or no connection, is
    /// dropped, counted and told of by [`BrokerEvent::Unsent`].
    fn publish(&self, channel: &Topic, payload: Bytes);

    /// Hears channels from now on; `true` once the broker has confirmed that what anybody publishes from here
    /// on arrives, `false` if there is no connection: they are subscribed when there is one again, before
    /// [`BrokerEvent::Up`] is told. Channels that are heard already are confirmed at once.
    async fn subscribe(&self, channels: Vec<Topic>) -> bool;

    /// Hears channels no more. What was sent before may still come.
    async fn unsubscribe(&self, channels: Vec<Topic>);

    /// Sends what is queued, at most for a second, and ends the connection.
    async fn stop(&self);

    /// What it did.
    fn stats(&self) -> BrokerStats;
}

/// What a broker tells its node, in order, over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerEvent {
    /// Somebody published.
    Message {
        /// Where.
        channel: Topic,
        /// What.
        payload: Bytes,
    },
    /// There is a connection and all channels are heard: for the first time, or again, and then anything may
    /// have been missed since [`BrokerEvent::Down`].
    Up,
    /// The connection is lost, or does not answer. It is tried again until it comes back.
    Down,
    /// Messages of others were dropped on the way, though there is a connection.
    Missed,
    /// Own publications were dropped, though others may have heard those before and after.
    Unsent,
}

/// Counters of a broker's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BrokerStats {
    /// Whether there is a connection now.
    pub is_up: bool,
    /// Messages given to the connection.
    pub published: u64,
    /// Their bytes.
    pub published_bytes: u64,
    /// Messages dropped before they were sent.
    pub unsent: u64,
    /// Writes to the connection; each carries all that had queued.
    pub writes: u64,
    /// Messages heard.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Messages of others that were dropped for want of room.
    pub missed: u64,
    /// Times a connection was made.
    pub connects: u64,
    /// Channels heard.
    pub channels: u64,
}
