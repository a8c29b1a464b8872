//! The task that delivers: what this node stored, what it hears of the others, and what was missed.

mod hearing;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mynah_domain::event::Event;
use mynah_domain::ports::{Commit, FeedStore};
use mynah_hub::cluster::{Action, Follower, FollowerConfig, FollowerStats, Item, Peers};
use mynah_hub::{BrokerEvent, CloseEach, CloseReason, Hub, LazyFrames, Topic};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::directory::Directory;
use super::interests::{Interests, Wish};
use super::membership::LEASE;
use super::reading::{Answer, Reader};
use super::streams;
use super::voice::Voice;
use super::wire::{self, Control, Kind, Told};
use crate::dispatch::Dispatcher;
use crate::drain::come_back;
use crate::recovery::{Reached, sent_text};

/// How often a node says that it is there, and what it stored.
const BEAT: Duration = Duration::from_secs(1);
/// How long the database may work on a commit whose answer was lost; a little more than a statement may take.
const UNSURE_FOR: Duration = Duration::from_secs(6);
/// Messages of the broker taken at once.
const MESSAGES_MAX: usize = 256;
/// Words of other nodes that may wait to be acted on; beyond, what fades is dropped.
const WORDS_MAX: usize = 8_192;

/// A word of another node, to be acted on beside the delivery of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Something that fades.
    Told(Told),
    /// Something every node does.
    Control(Control),
    /// An event of a Pusher channel that is no room, as it was spelled.
    Channel(Topic, bytes::Bytes),
    /// Who is where: the sender's slot and epoch, and what it says as it was spelled.
    People((u16, u64), bytes::Bytes),
    /// A node was heard for the first time, or anew.
    NodeCame(u16),
    /// The right of the node with this slot and epoch has run out, and no other has the slot.
    NodeGone(u16, u64),
}

/// Counts what a node hears; read for metrics.
#[derive(Debug, Default)]
pub struct NodeStats {
    /// What could not be read.
    pub garbage: AtomicU64,
    /// What came from nodes whose right is over.
    pub stale: AtomicU64,
    /// Words dropped because too many waited.
    pub dropped_words: AtomicU64,
    /// Other nodes.
    pub peers: AtomicU64,
    /// What the follower counts.
    pub follower: Mutex<FollowerStats>,
}

/// What a node stands on.
pub struct Parts {
    /// Delivers to the hub.
    pub dispatcher: Dispatcher,
    /// Speaks.
    pub voice: Voice,
    /// Who takes part.
    pub directory: Directory,
    /// What sessions here hear.
    pub interests: Interests,
    /// Learns how far delivery is.
    pub reached: Reached,
    /// Where missed events are read.
    pub feed: Arc<dyn FeedStore>,
}

/// What a node listens to.
pub struct Inputs {
    /// What this node stored.
    pub commits: mpsc::Receiver<Commit>,
    /// What the broker brings.
    pub broker: mpsc::Receiver<BrokerEvent>,
}

/// The node.
pub struct Node {
    parts: Parts,
    stats: Arc<NodeStats>,
    follower: Follower<Arc<Event>>,
    peers: Peers,
    /// As whom the peers know it.
    known_as: Option<(u16, u64)>,
    words: mpsc::Sender<Word>,
    reader: Reader,
    answers: mpsc::Receiver<Answer>,
    start: Instant,
    next_beat: Instant,
    /// Connections made and messages dropped when the last beat was told.
    told_on: (u64, u64),
    /// Whether there was no right to tell the last beat.
    was_silent: bool,
    /// Channels that are wanted anew and must be heard from a place in the log on.
    starts: HashMap<Topic, u64>,
    /// What was delivered of all at some moment.
    base: Option<(Instant, u64)>,
    /// When to look once more for what a commit of unknown outcome stored.
    unsure_again: Option<Instant>,
}

impl Node {
    /// Puts a node together that delivers what is stored after `base`, a place in the log; what others say beside
    /// events comes out of the receiver, in order.
    pub fn new(parts: Parts, base: u64) -> (Self, mpsc::Receiver<Word>, Arc<NodeStats>) {
        let (words, heard) = mpsc::channel(WORDS_MAX);
        let (reader, answers) =
            Reader::new(Arc::clone(&parts.feed), Arc::clone(parts.voice.broker()));
        let stats = Arc::<NodeStats>::default();
        let now = Instant::now();
        let mut follower = Follower::new(FollowerConfig::default(), 0);
        follower.start(base);
        let node = Self {
            follower,
            peers: Peers::new(0, 0),
            known_as: None,
            words,
            reader,
            answers,
            start: now,
            next_beat: now,
            told_on: (0, 0),
            was_silent: true,
            starts: HashMap::new(),
            base: None,
            unsure_again: None,
            stats: Arc::clone(&stats),
            parts,
        };
        (node, heard, stats)
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Runs until the store's committer is gone.
    pub async fn run(mut self, mut inputs: Inputs) {
        let mut messages = Vec::with_capacity(MESSAGES_MAX);
        self.reader.subscribe(vec![streams::common()]);
        loop {
            let due = self.follower.next_tick().map(|at| self.start + Duration::from_millis(at));
            let wake = due.map_or(self.next_beat, |due| due.min(self.next_beat));
            tokio::select! {
                commit = inputs.commits.recv() => match commit {
                    Some(commit) => self.committed(commit).await,
                    None => return,
                },
                taken = inputs.broker.recv_many(&mut messages, MESSAGES_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    for event in messages.drain(..) {
                        self.broker(event);
                    }
                }
                wishes = self.parts.interests.wishes() => self.wish(wishes),
                Some(answer) = self.answers.recv() => {
                    if let Answer::Settled(pos) = answer {
                        self.settled(pos, &mut inputs.commits).await;
                    } else {
                        self.answer(answer);
                    }
                }
                () = sleep_until(wake) => {}
            }
            let now = self.now();
            self.follower.tick(now);
            if self.unsure_again.is_some_and(|at| at <= Instant::now()) {
                self.unsure_again = None;
                self.unsure();
            }
            if self.follower.wants_beat() || Instant::now() >= self.next_beat {
                self.beat();
            }
            self.act().await;
        }
    }

    async fn committed(&mut self, mut commit: Commit) {
        let now = self.now();
        let mut last = None;
        if commit.is_unsure() {
            self.unsure();
            self.unsure_again = Some(Instant::now() + UNSURE_FOR);
        }
        for event in commit.take_events() {
            let channel = streams::channel_of(&event);
            self.tell_first();
            if !self.parts.voice.say(&channel, Kind::Event, || wire::event(&event)) {
                self.follower.unsent(now);
            }
            last = Some(event.pos);
            let (seq, pos, origin) = (event.seq, event.pos, event.origin);
            let event = Arc::new(event);
            self.follower.own(now, Item { stream: channel, seq, pos, origin, event });
        }
        self.act().await;
        // Publications are on their way: the callers' acknowledgements join them in one write.
        drop(commit);
        if let Some(pos) = last {
            self.parts.dispatcher.reached(pos);
        }
    }

    /// On a new connection, or after something could not be sent or must not be said, others learn first what they may have missed:
    /// an event that is heard proves those before it.
    fn tell_first(&mut self) {
        let broker = self.parts.voice.broker().stats();
        let is_anew = (broker.connects, broker.unsent) != self.told_on
            || (self.was_silent && self.parts.voice.own().is_some());
        if broker.is_up && (is_anew || self.follower.wants_beat()) {
            self.beat();
        }
    }

    /// Something may have been stored of which the store did not tell: everybody compares.
    fn unsure(&mut self) {
        let now = self.now();
        if let Some((slot, _)) = self.parts.voice.own() {
            self.follower.unsure(now, slot);
            // Before anything else is said.
            self.beat();
        }
    }

    fn wish(&mut self, wishes: Vec<Wish>) {
        let now = self.now();
        for wish in wishes {
            match wish {
                Wish::Want(channel) => {
                    if let Some(after) = self.parts.interests.take_start(&channel) {
                        self.starts.insert(channel.clone(), after);
                    }
                    self.follower.want(now, &channel);
                }
                Wish::Unwant(channel) => self.follower.unwant(now, &channel),
            }
        }
    }

    fn answer(&mut self, answer: Answer) {
        let now = self.now();
        match answer {
            Answer::Subscribed(channels, confirmed) => {
                self.follower.subscribed(now, &channels, confirmed);
            }
            Answer::Heads { heads, further } => {
                self.follower.heads(now, heads);
                let slot = self.known_as.map_or(0, |(slot, _)| slot);
                for (stream, head) in further {
                    self.follower.heard(now, slot, &stream, head, 0, None);
                }
            }
            Answer::HeadsFailed(channels) => self.follower.heads_failed(now, &channels),
            Answer::Events { stream, events, head, gap } => {
                let items = events.into_iter().map(|event| item(&stream, event)).collect();
                self.follower.events(now, &stream, items, head, gap);
            }
            Answer::EventsFailed(stream) => self.follower.events_failed(now, &stream),
            Answer::Settled(_) => {}
        }
    }

    /// What this node stored up to here is in the queue, or was taken from it.
    async fn settled(&mut self, pos: u64, commits: &mut mpsc::Receiver<Commit>) {
        while let Ok(commit) = commits.try_recv() {
            self.committed(commit).await;
        }
        if let Some((slot, _)) = self.parts.voice.own() {
            self.follower.stored_up_to(slot, pos);
        }
        self.raise_base();
    }

    /// What is delivered of all nodes that may store is delivered of everybody. A node that began to store
    /// before a moment is in the directory that was read after it.
    fn raise_base(&mut self) {
        let Some((looked_at, slots)) = self.parts.directory.slots() else { return };
        let Some(delivered) = self.follower.delivered_of(&slots) else {
            self.base = None;
            return;
        };
        match self.base {
            Some((since, base)) if looked_at > since => {
                self.follower.raise_base(base);
                self.base = Some((Instant::now(), delivered));
            }
            Some(_) => {}
            None => self.base = Some((Instant::now(), delivered)),
        }
    }

    fn beat(&mut self) {
        self.next_beat = Instant::now() + BEAT;
        let broker = self.parts.voice.broker().stats();
        self.told_on = (broker.connects, broker.unsent);
        let now = self.now();
        for (slot, epoch) in self.peers.expire(now, LEASE.as_millis() as u64) {
            self.lost(now, slot);
            self.pass(Some(Word::NodeGone(slot, epoch)));
        }
        let own = self.parts.voice.own();
        self.was_silent = own.is_none();
        if let Some((slot, epoch)) = own
            && self.known_as != own
        {
            // Under a new right everything is compared: who knows what was missed while there was none.
            self.peers = Peers::new(slot, epoch);
            self.known_as = own;
            self.follower.missed(now);
            self.count_peers();
        }
        loop {
            let beat = self.follower.beat(own.is_some());
            let mut body = Vec::new();
            beat.encode(&mut body);
            self.parts.voice.call(Kind::Beat, body);
            if !beat.more {
                break;
            }
        }
        self.reader.settled();
        self.parts.reached.advance(self.follower.frontier());
        *self.stats.follower.lock() = self.follower.stats();
    }

    async fn act(&mut self) {
        let mut settled = Vec::new();
        while let Some(action) = self.follower.next_action() {
            match action {
                Action::Subscribe(channels) => self.reader.subscribe(channels),
                Action::Unsubscribe(channels) => self.reader.unsubscribe(channels),
                Action::ReadHeads(channels) => {
                    let start = |channel: &Topic| self.starts.remove_entry(channel);
                    let starts = channels.iter().filter_map(start).collect();
                    self.reader.heads(channels, starts);
                }
                Action::ReadEvents { stream, after, limit } => {
                    self.reader.events(stream, after, limit);
                }
                Action::Deliver(item) => {
                    let (pos, origin) = (item.pos, item.origin);
                    let sent = sent_text(self.follower.frontier(), origin, false).into();
                    self.parts.dispatcher.deliver(item.event, &sent).await;
                    // Not before: who reads it takes what it covers for sent.
                    self.parts.reached.advance(self.follower.frontier());
                    self.parts.dispatcher.reached(pos);
                }
                Action::Resync(channel) => resync(&self.parts.dispatcher.hub, &channel).await,
                Action::Settled(channel) => {
                    // Events from before are not dispatched here: who read a list of rooms before reads it again.
                    self.parts.dispatcher.dispatched.fetch_add(1, Ordering::AcqRel);
                    settled.push(channel);
                }
            }
        }
        self.parts.interests.settle(&settled);
    }
}

fn item(stream: &Topic, event: Event) -> Item<Arc<Event>> {
    let (seq, pos, origin) = (event.seq, event.pos, event.origin);
    Item { stream: stream.clone(), seq, pos, origin, event: Arc::new(event) }
}

/// Ends the sessions that hear a channel, in the style their libraries connect again from: they then ask for
/// what they missed, each at its own pace.
async fn resync(hub: &Hub, channel: &Topic) {
    tracing::warn!(%channel, "too much was missed to be delivered at once: its listeners connect again");
    let last = LazyFrames::new(|dialect| Some(come_back(dialect)));
    let reason = CloseReason::Named("too far behind");
    for topic in streams::fed_by(channel) {
        let close = CloseEach { reason, last: Some(Arc::clone(&last)) };
        hub.close_topic(&topic, close, None).await;
    }
}
