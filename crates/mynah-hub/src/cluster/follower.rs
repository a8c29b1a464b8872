//! Streams as this node follows them.

use std::collections::VecDeque;

use super::{Beat, Frontier};
use crate::Topic;

/// Place of an event in a stream, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<E> {
    /// The stream.
    pub stream: Topic,
    /// Its place in the stream: 1, 2, 3 without gap.
    pub seq: u64,
    /// Its place among what its origin stored, rising.
    pub pos: u64,
    /// The slot of the node that stored it.
    pub origin: u16,
    /// What happened.
    pub event: E,
}

/// Times and bounds of a [`Follower`].
#[derive(Debug, Clone)]
pub struct FollowerConfig {
    /// How long an event waits for those before it that were not heard yet, before the store is read.
    pub gap_wait_ms: u64,
    /// A stream is still followed that long after its last subscriber went.
    pub linger_ms: u64,
    /// How often beats are told and heard.
    pub beat_ms: u64,
    /// Heads are read so often while the broker is down, or a node's beats are missing.
    pub poll_ms: u64,
    /// The first wait after the store failed; it doubles up to 5 s.
    pub retry_ms: u64,
    /// Streams followed; at the bound those without subscribers go, then a new one's subscribers are told to
    /// resync.
    pub streams_max: usize,
    /// Events waiting in one stream; beyond, they are read from the store later.
    pub waiting_max: usize,
    /// Events waiting in all streams, likewise.
    pub waiting_all_max: usize,
    /// A stream further behind than this is not read: its subscribers are told to resync.
    pub behind_max: u64,
    /// Streams in one part of a beat.
    pub beat_streams_max: usize,
    /// Events asked for at once.
    pub page: u32,
    /// Streams in one [`Action::ReadHeads`] and [`Action::Subscribe`].
    pub heads_max: usize,
    /// [`Action::ReadEvents`] under way at once.
    pub reads_max: usize,
}

impl Default for FollowerConfig {
    fn default() -> Self {
        Self {
            gap_wait_ms: 50,
            linger_ms: 10_000,
            beat_ms: 1_000,
            poll_ms: 5_000,
            retry_ms: 100,
            streams_max: 200_000,
            waiting_max: 256,
            waiting_all_max: 65_536,
            behind_max: 5_000,
            beat_streams_max: 4_096,
            page: 500,
            heads_max: 1_000,
            reads_max: 16,
        }
    }
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<E> {
    /// Hear these streams' channels; answered by [`Follower::subscribed`].
    Subscribe(Vec<Topic>),
    /// Hear them no more. A later [`Action::Subscribe`] must reach the broker after it.
    Unsubscribe(Vec<Topic>),
    /// Read the newest `seq` of each; answered by [`Follower::heads`] or [`Follower::heads_failed`].
    ReadHeads(Vec<Topic>),
    /// Read events; answered by [`Follower::events`] or [`Follower::events_failed`].
    ReadEvents {
        /// Of this stream.
        stream: Topic,
        /// After this `seq`.
        after: u64,
        /// At most so many.
        limit: u32,
    },
    /// The stream's next event. [`Follower::frontier`] covers it from now on.
    Deliver(Item<E>),
    /// More is missing than can be told by events: end the stream's subscribers, so that they come back and
    /// ask.
    Resync(Topic),
    /// The stream is followed: who waits for it may read its history now, nothing falls between. Told at
    /// least once for each [`Follower::want`].
    Settled(Topic),
}

/// Counters and gauges of a [`Follower`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FollowerStats {
    /// Streams followed.
    pub streams: u64,
    /// Events that wait for others.
    pub waiting: u64,
    /// Times that the store was asked for events that were not heard.
    pub gaps: u64,
    /// Events delivered that came from the store.
    pub healed: u64,
    /// Events that had been delivered before.
    pub doubles: u64,
    /// Streams whose subscribers were told to resync.
    pub resyncs: u64,
    /// Events of streams that are not followed.
    pub unknown: u64,
}

/// Follows streams; see the crate's page on clusters. Feed it what happens, then take actions until
/// [`Follower::next_action`] gives none.
pub struct Follower<E> {
    config: FollowerConfig,
    actions: VecDeque<Action<E>>,
    frontier: Frontier,
    stats: FollowerStats,
}

impl<E> Follower<E> {
    /// Follows nothing; the broker counts as down until [`Follower::broker_up`].
    pub fn new(config: FollowerConfig, now: u64) -> Self {
        let _: u64 = now;
        Self {
            config,
            actions: VecDeque::new(),
            frontier: Frontier::default(),
            stats: FollowerStats::default(),
        }
    }

    /// Everything up to `base` counts as delivered, whoever stored it: told before any stream is wanted, of a
    /// place below which the store takes no more events.
    pub fn start(&mut self, base: u64) {
        self.frontier.raise_base(base);
    }

    /// A stream has its first local subscriber. [`Action::Settled`] follows.
    pub fn want(&mut self, now: u64, stream: &Topic) {
        let _: u64 = now;
        self.actions.push_back(Action::Settled(stream.clone()));
    }

    /// The last subscriber of a stream went.
    pub fn unwant(&mut self, now: u64, stream: &Topic) {
        let _: (u64, &Topic) = (now, stream);
    }

    /// The broker's answer to [`Action::Subscribe`].
    pub fn subscribed(&mut self, now: u64, streams: &[Topic], confirmed: bool) {
        let _: (u64, &[Topic], bool) = (now, streams, confirmed);
    }

    /// The store's answer to [`Action::ReadHeads`], as it was when asked or later.
    pub fn heads(&mut self, now: u64, heads: Vec<(Topic, u64)>) {
        let _: u64 = now;
        drop(heads);
    }

    /// The store did not answer [`Action::ReadHeads`].
    pub fn heads_failed(&mut self, now: u64, streams: &[Topic]) {
        let _: (u64, &[Topic]) = (now, streams);
    }

    /// The store's answer to [`Action::ReadEvents`], ascending; `head` is the stream's newest `seq`, `gap`
    /// says that what is missing is not kept any more.
    #[expect(clippy::too_many_arguments, reason = "an answer of the store, item by item")]
    pub fn events(&mut self, now: u64, stream: &Topic, events: Vec<Item<E>>, head: u64, gap: bool) {
        let _: (u64, &Topic, u64, bool) = (now, stream, head, gap);
        drop(events);
    }

    /// The store did not answer [`Action::ReadEvents`].
    pub fn events_failed(&mut self, now: u64, stream: &Topic) {
        let _: (u64, &Topic) = (now, stream);
    }

    /// This node stored an event. To be told in the order of commits.
    pub fn own(&mut self, now: u64, item: Item<E>) {
        let _: u64 = now;
        self.actions.push_back(Action::Deliver(item));
    }

    /// Another node stored an event; without `event` it must be read.
    #[expect(
        clippy::too_many_arguments,
        reason = "called for every event: nothing is put together for streams that nobody follows"
    )]
    pub fn heard(
        &mut self,
        now: u64,
        from: u16,
        stream: &Topic,
        seq: u64,
        pos: u64,
        event: Option<E>,
    ) {
        let _: u64 = now;
        if let Some(event) = event {
            let stream = stream.clone();
            self.actions.push_back(Action::Deliver(Item { stream, seq, pos, origin: from, event }));
        }
    }

    /// Another node's beat.
    pub fn beat_heard(&mut self, now: u64, from: u16, beat: &Beat) {
        let _: (u64, u16, &Beat) = (now, from, beat);
    }

    /// What to publish every [`FollowerConfig::beat_ms`]; again at once while [`Beat::more`].
    pub fn beat(&mut self, now: u64) -> Beat {
        let _: u64 = now;
        Beat::default()
    }

    /// Whether a beat must be published before the next event: publications may have been lost, and the
    /// beat lets the others know before they take later ones for all there is.
    pub fn wants_beat(&self) -> bool {
        false
    }

    /// The broker carries again.
    pub fn broker_up(&mut self, now: u64) {
        let _: u64 = now;
    }

    /// The broker carries nothing.
    pub fn broker_down(&mut self, now: u64) {
        let _: u64 = now;
    }

    /// Something that others published was lost.
    pub fn missed(&mut self, now: u64) {
        let _: u64 = now;
    }

    /// Something that this node published was lost.
    pub fn unsent(&mut self, now: u64) {
        let _: u64 = now;
    }

    /// A node's lease is over, or another process has its slot.
    pub fn node_gone(&mut self, now: u64, slot: u16) {
        let _: (u64, u16) = (now, slot);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        let _: u64 = now;
    }

    /// When [`Follower::tick`] should next be called.
    pub fn next_tick(&self) -> Option<u64> {
        None
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<Action<E>> {
        self.actions.pop_front()
    }

    /// What was delivered, up to the last [`Action::Deliver`] taken.
    pub fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    /// What it did.
    pub fn stats(&self) -> FollowerStats {
        let _: &FollowerConfig = &self.config;
        self.stats
    }
}
