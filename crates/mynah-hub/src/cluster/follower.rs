//! Streams as this node follows them.

use std::collections::VecDeque;

use super::proof::{NEVER, Proof};
use super::{Beat, Frontier, fingerprint};
use crate::{TimerWheel, Topic};

mod asking;
mod comparing;
mod delivering;
mod stream;
mod telling;

#[cfg(test)]
mod tests;

use comparing::Comparisons;
use stream::{Ask, Comparing, Phase, Settled, Streams};
use telling::Telling;

/// Who waits for a stream goes on after this time, come what may.
const SETTLE_MS: u64 = 10_000;
/// A stream whose question is under way is not forgotten before the answer; it is looked at so often.
const RELUCTANT_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 5_000;

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

/// Times and bounds of a [`Follower`]. What one node stores into more streams than eight parts of a beat hold,
/// within two beats or while the broker is down, is found by comparing all heads.
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
    /// Streams followed, those without subscribers included; the subscribers of one more are told to resync.
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

/// Follows streams: subscribes to them with the broker, brings what is heard into order, reads from the store
/// what was not heard, and delivers each event once. Feed it what happens, then take actions until
/// [`Follower::next_action`] gives none.
///
/// An event whose `seq` is the next is delivered at once. One further on waits for those between, for
/// [`FollowerConfig::gap_wait_ms`], then they are read. What gives no sign of itself is found by beats, which
/// name the heads of all streams that were stored into; and after anything was lost, all heads are compared
/// with the store's.
pub struct Follower<E> {
    config: FollowerConfig,
    streams: Streams<E>,
    steps: VecDeque<Step<E>>,
    subscribing: Vec<u32>,
    unsubscribing: Vec<Topic>,
    heads: VecDeque<u32>,
    heads_out: u8,
    heads_backoff_ms: u64,
    heads_retry_at: Option<u64>,
    reads: VecDeque<u32>,
    reads_out: usize,
    waiting: usize,
    wheel: TimerWheel<(u32, Timer)>,
    due: Vec<(u32, Timer)>,
    proof: Proof,
    comparisons: Comparisons,
    telling: Telling,
    is_up: bool,
    poll_at: u64,
    /// The slots that had leases, as they were told last.
    listed: Vec<u16>,
    stats: FollowerStats,
}

/// What comes out, in order, with what is proven in between.
enum Step<E> {
    Act(Action<E>),
    Deliver { item: Item<E>, in_order: bool, floor: Option<u64> },
    See { origin: u16, pos: u64 },
    Clear { origin: u16, floor: u64 },
    Seeing,
    Compared(u64, Vec<(u16, u64)>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Timer {
    Read,
    Life,
}

impl<E> Follower<E> {
    /// Follows nothing; the broker counts as down until [`Follower::broker_up`].
    pub fn new(config: FollowerConfig, now: u64) -> Self {
        let mut proof = Proof::default();
        proof.freeze(NEVER);
        Self {
            streams: Streams::new(),
            steps: VecDeque::new(),
            subscribing: Vec::new(),
            unsubscribing: Vec::new(),
            heads: VecDeque::new(),
            heads_out: 0,
            heads_backoff_ms: 0,
            heads_retry_at: None,
            reads: VecDeque::new(),
            reads_out: 0,
            waiting: 0,
            wheel: TimerWheel::new(now),
            due: Vec::new(),
            proof,
            comparisons: Comparisons::default(),
            telling: Telling::new(config.beat_streams_max),
            is_up: false,
            poll_at: now + config.poll_ms,
            listed: Vec::new(),
            stats: FollowerStats::default(),
            config,
        }
    }

    /// Everything up to `base` counts as delivered, whoever stored it: told before any stream is wanted, of a
    /// place below which the store takes no more events.
    pub fn start(&mut self, base: u64) {
        self.proof.start(base);
    }

    /// A stream has its first local subscriber. [`Action::Settled`] follows.
    pub fn want(&mut self, now: u64, stream: &Topic) {
        let index = if let Some(index) = self.streams.find(stream) {
            index
        } else if self.streams.len() >= self.config.streams_max {
            self.stats.resyncs += 1;
            self.steps.push_back(Step::Act(Action::Resync(stream.clone())));
            self.steps.push_back(Step::Act(Action::Settled(stream.clone())));
            return;
        } else {
            let index = self.streams.insert(stream, self.comparisons.newest());
            self.subscribing.push(index);
            index
        };
        let Some(known) = self.streams.get_mut(index) else { return };
        known.is_wanted = true;
        if let Some(timer) = known.life_timer.take() {
            self.wheel.cancel(timer);
        }
        if known.settled == Settled::No {
            known.life_timer = Some(self.wheel.insert(now + SETTLE_MS, (index, Timer::Life)));
        } else {
            self.steps.push_back(Step::Act(Action::Settled(stream.clone())));
        }
    }

    /// The last subscriber of a stream went.
    pub fn unwant(&mut self, now: u64, stream: &Topic) {
        let linger_ms = self.config.linger_ms;
        let Some(index) = self.streams.find(stream) else { return };
        let Some(stream) = self.streams.get_mut(index).filter(|stream| stream.is_wanted) else {
            return;
        };
        stream.is_wanted = false;
        if let Some(timer) = stream.life_timer.take() {
            self.wheel.cancel(timer);
        }
        stream.life_timer = Some(self.wheel.insert(now + linger_ms, (index, Timer::Life)));
    }

    /// The broker's answer to [`Action::Subscribe`]. Without its confirmation the streams are read as they
    /// are, and again when the broker is up, which follows.
    pub fn subscribed(&mut self, now: u64, streams: &[Topic], confirmed: bool) {
        // Not confirmed means that there is no connection: until all heads are compared, which is when there
        // is one, no place of others rises, and nothing is heard that could prove too much.
        let _: (u64, bool) = (now, confirmed);
        for name in streams {
            let Some(index) = self.streams.find(name) else { continue };
            let Some(stream) = self.streams.get_mut(index) else { continue };
            if stream.phase == Phase::Subscribing {
                stream.phase = Phase::Asking;
                self.ask_head(index);
            }
        }
    }

    /// This node stored an event. To be told in the order of commits.
    pub fn own(&mut self, now: u64, item: Item<E>) {
        self.proof.is_own(item.origin);
        self.telling.stored(fingerprint(item.stream.as_str()), item.seq, item.pos);
        let Some(index) = self.streams.find(&item.stream) else {
            self.deliver(item, true, None);
            return;
        };
        self.take_own(now, index, item);
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
        let Some(index) = self.streams.find(stream) else {
            self.stats.unknown += 1;
            self.see(from, pos);
            return;
        };
        self.take_heard(now, index, (from, seq, pos), event);
    }

    /// Another node's beat.
    pub fn beat_heard(&mut self, now: u64, from: u16, beat: &Beat) {
        for &(print, seq) in &beat.heads {
            for index in self.streams.with_fingerprint(print) {
                self.take_head_told(now, index, from, seq);
            }
        }
        if self.proof.beat(now, from, beat) {
            self.proof.freeze_one(from, self.comparisons.newest() + 1);
            self.compare_all();
        }
        if !beat.more {
            self.see(from, beat.pos);
        }
    }

    /// What to publish every [`FollowerConfig::beat_ms`]; again at once while [`Beat::more`]. Who has no right
    /// to speak (`may_speak`) learns from it what it would say, and says it when it may.
    pub fn beat(&mut self, may_speak: bool) -> Beat {
        self.telling.beat(self.is_up && may_speak)
    }

    /// Whether a beat must be published before the next event: publications may have been lost, and the
    /// beat lets the others know before they take later ones for all there is.
    pub fn wants_beat(&self) -> bool {
        self.telling.is_due
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<Action<E>> {
        while let Some(step) = self.steps.pop_front() {
            if let Some(action) = self.take_step(step) {
                return Some(action);
            }
        }
        self.next_question()
    }

    fn take_step(&mut self, step: Step<E>) -> Option<Action<E>> {
        match step {
            Step::Act(action) => return Some(action),
            Step::Deliver { item, in_order, floor } => {
                if let Some(floor) = floor {
                    self.proof.clear(item.origin, floor);
                }
                if in_order {
                    self.proof.see(item.origin, item.pos);
                }
                return Some(Action::Deliver(item));
            }
            Step::See { origin, pos } => self.proof.see(origin, pos),
            Step::Clear { origin, floor } => self.proof.clear(origin, floor),
            Step::Seeing => self.proof.seeing(),
            Step::Compared(comparison, proven) => {
                self.proof.comparison_ended(comparison, &proven);
            }
        }
        None
    }

    /// Does what gives no action, once everything before it is done.
    fn note(&mut self, step: Step<E>) {
        if self.steps.is_empty() {
            self.take_step(step);
        } else {
            self.steps.push_back(step);
        }
    }

    fn see(&mut self, origin: u16, pos: u64) {
        self.proof.know(origin, pos);
        self.note(Step::See { origin, pos });
    }

    fn deliver(&mut self, item: Item<E>, in_order: bool, floor: Option<u64>) {
        self.proof.know(item.origin, item.pos);
        self.steps.push_back(Step::Deliver { item, in_order, floor });
    }

    /// All that this node, whose slot this is, stored up to here was given to [`Follower::own`], and it stores
    /// nothing there any more: told in beats, so that others need not take a node that is idle for one that is
    /// not heard.
    pub fn stored_up_to(&mut self, slot: u16, pos: u64) {
        self.telling.settled(pos);
        self.see(slot, pos);
    }

    /// Up to where everything of these nodes is delivered, which are all that have a lease, this one included;
    /// `None` if one of them is not known, or something of a node that is gone is still looked for.
    ///
    /// Who had a lease at the last call and has none is gone, even if nothing was ever heard of it: nobody else
    /// would look for what it stored.
    pub fn delivered_of(&mut self, slots: &[u16]) -> Option<u64> {
        let listed = std::mem::replace(&mut self.listed, slots.to_vec());
        let strangers = self.proof.strangers();
        for slot in listed.into_iter().chain(strangers) {
            if !slots.contains(&slot) {
                self.lost(slot);
            }
        }
        self.proof.low_of(slots)
    }

    /// Everything up to `base` was delivered, whoever stored it: nobody stores there but those of whom that is
    /// known.
    pub fn raise_base(&mut self, base: u64) {
        self.proof.start(base);
    }

    /// What was delivered, up to the last [`Action::Deliver`] taken.
    pub fn frontier(&self) -> &Frontier {
        self.proof.frontier()
    }

    /// What it did.
    pub fn stats(&self) -> FollowerStats {
        FollowerStats {
            streams: self.streams.len() as u64,
            waiting: self.waiting as u64,
            ..self.stats
        }
    }
}
