//! One process: the real parts, and as little as possible between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use mynah_hub::cluster::{
    Action, Follower, FollowerConfig, Frontier, Item, Peers, People, PeopleConfig,
};
use mynah_hub::{
    BrokerEvent, Class, CloseEach, CloseReason, Dialect, Frame, LazyFrames, Limits, Publication,
    SessionEvents, SessionId, Shard, Topic,
};
use parking_lot::Mutex;

use super::broker::{Change, Said};
use super::clients::Wire;
use super::faults::Sabotage;
use super::store::{Lease, Message, Outcome, Stored};
use super::wire::{Word, line};
use super::world::{LEASE_MS, Question, ROOMS, World, room_of};

mod hearing;
mod people;
mod sessions;
mod storing;

use sessions::tell_client;

const DIALECT: Dialect = Dialect(0);
const BEAT_MS: u64 = 1_000;
const RENEW_MS: u64 = 5_000;
/// Messages that wait for the writer; beyond, the client tries again.
const REQUESTS_MAX: usize = 100;

/// What reaches a process.
pub(super) enum Input {
    Broker(BrokerEvent),
    Subscribed(Vec<Topic>, bool),
    Heads(Vec<(Topic, u64)>),
    HeadsFailed(Vec<Topic>),
    Events { stream: Topic, events: Vec<Stored>, head: u64 },
    EventsFailed(Topic),
    Tick,
    Beat,
    Renew,
    Renewed(Option<bool>),
    Request(Message),
    Committed(Outcome),
    Connect { listener: usize, connection: u64, wire: Wire, since: Vec<(usize, u64)> },
    Gone { listener: usize },
    History { connection: u64, rooms: Option<Vec<(usize, Vec<Stored>)>> },
}

/// Sessions that ended.
#[derive(Default)]
struct Ends(Mutex<Vec<SessionId>>);

impl SessionEvents for Ends {
    fn closed(&self, id: SessionId, _reason: CloseReason) {
        self.0.lock().push(id);
    }
}

struct Session {
    id: SessionId,
    listener: usize,
    connection: u64,
    wire: Wire,
    since: Vec<(usize, u64)>,
    /// Rooms that are not settled.
    waits_for: BTreeSet<usize>,
    tries: u8,
}

pub(super) struct Process {
    node: usize,
    lease: Lease,
    /// Until then it may speak.
    speaks_until: u64,
    asked_to_renew_at: u64,
    started_at: u64,
    shard: Shard<Wire>,
    ends: Arc<Ends>,
    follower: Follower<Message>,
    config: FollowerConfig,
    peers: Peers,
    pub(super) people: People<u32>,
    /// What was told of people.
    pub(super) seen_elsewhere: BTreeSet<u32>,
    /// Who is here, with how many sessions, since when.
    pub(super) users: BTreeMap<u32, (u32, u64)>,
    heard_at: BTreeMap<u16, u64>,
    sessions: BTreeMap<u64, Session>,
    /// Ended, and their sockets not shut yet.
    ending: Vec<Session>,
    interest: [u32; ROOMS],
    unsettled: BTreeSet<usize>,
    requests: Vec<Message>,
    is_committing: bool,
    tick_at: u64,
    reads_out: usize,
    /// The connection on which heads were told last.
    told_on: u64,
    eager: Frontier,
    /// When the slots of all nodes were read, and which.
    directory: (u64, Vec<u16>),
    /// When it was told that messages of others were lost.
    missed_at: Option<u64>,
    /// What was delivered of all at some time.
    base: Option<(u64, u64)>,
    pub(super) is_over: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as for any key")]
fn print(key: &u32) -> u64 {
    (u64::from(*key) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn common() -> Topic {
    Topic::new("all")
}

impl Process {
    pub(super) fn new(world: &mut World, node: usize, lease: Lease) -> Self {
        let config = if world.dice.chance(500) {
            FollowerConfig::default()
        } else {
            FollowerConfig {
                linger_ms: 1_000,
                waiting_max: 4,
                waiting_all_max: 8,
                behind_max: 40,
                beat_streams_max: 2,
                page: 5,
                heads_max: 2,
                reads_max: 2,
                ..FollowerConfig::default()
            }
        };
        let limits = Limits { queue_frames_max: 300, ..Limits::default() };
        let mut follower = Follower::new(config.clone(), world.now);
        follower.start(world.store.horizon());
        let people = PeopleConfig { part_keys_max: 2, ..PeopleConfig::default() };
        let life = world.nodes[node].life;
        world.change_channels(node, Change::Subscribe { channels: vec![common()], life });
        world.tell(node, BEAT_MS, Input::Beat);
        world.tell(node, RENEW_MS, Input::Renew);
        Self {
            node,
            lease,
            speaks_until: world.now + LEASE_MS,
            asked_to_renew_at: 0,
            started_at: world.now,
            shard: Shard::new(0, limits, Arc::new([]), None, Arc::default()),
            ends: Arc::default(),
            follower,
            config,
            peers: Peers::new(lease.slot, lease.epoch),
            people: People::new(people, print),
            seen_elsewhere: BTreeSet::new(),
            users: BTreeMap::new(),
            heard_at: BTreeMap::new(),
            sessions: BTreeMap::new(),
            ending: Vec::new(),
            interest: [0; ROOMS],
            unsettled: BTreeSet::new(),
            requests: Vec::new(),
            is_committing: false,
            tick_at: u64::MAX,
            reads_out: 0,
            told_on: 0,
            eager: Frontier::default(),
            directory: (world.now, world.store.slots(world.now)),
            missed_at: None,
            base: None,
            is_over: false,
        }
    }

    pub(super) fn take(&mut self, world: &mut World, input: Input) {
        let now = world.now;
        self.note(world, &input);
        match input {
            Input::Broker(event) => self.broker(world, event),
            Input::Subscribed(channels, confirmed) => {
                self.follower.subscribed(now, &channels, confirmed);
            }
            Input::Heads(heads) => self.follower.heads(now, heads),
            Input::HeadsFailed(streams) => self.follower.heads_failed(now, &streams),
            Input::Events { stream, events, head } => self.events(world, &stream, events, head),
            Input::EventsFailed(stream) => {
                self.reads_out -= 1;
                self.follower.events_failed(now, &stream);
            }
            Input::Tick => {
                self.tick_at = u64::MAX;
                self.follower.tick(now);
                self.people.tick(now);
            }
            Input::Beat => self.beat(world),
            Input::Renew => {
                world.tell(self.node, RENEW_MS, Input::Renew);
                self.asked_to_renew_at = now;
                world.ask(self.node, Question::Renew(self.lease));
            }
            Input::Renewed(Some(true)) => {
                self.speaks_until = self.asked_to_renew_at + LEASE_MS;
                if !world.store_is_down() {
                    self.directory = (now, world.store.slots(now));
                }
            }
            Input::Renewed(Some(false)) => self.is_over = true,
            Input::Renewed(None) => {}
            Input::Request(message) => self.request(world, message),
            Input::Committed(outcome) => self.committed(world, outcome),
            Input::Connect { listener, connection, wire, since } => {
                self.connect(world, (listener, connection), wire, since);
            }
            Input::Gone { listener } => {
                let gone = self.sessions.values().find(|it| it.listener == listener);
                if let Some(id) = gone.filter(|it| it.wire.0.lock().is_shut).map(|it| it.id) {
                    self.shard.detach(id, CloseReason::PeerGone);
                }
            }
            Input::History { connection, rooms } => self.history(world, connection, rooms),
        }
    }

    fn note(&self, world: &mut World, input: &Input) {
        let node = self.node;
        match input {
            Input::Broker(event) => {
                if !matches!(event, BrokerEvent::Message { .. }) {
                    world.note(|_| format!("node {node} is told {event:?}"));
                }
            }
            Input::Heads(heads) => world.note(|_| format!("node {node} reads heads {heads:?}")),
            Input::EventsFailed(_) | Input::HeadsFailed(_) => {
                world.note(|_| format!("node {node}: the store fails"));
            }
            Input::Events { stream, events, head } => world.note(|_| {
                format!("node {node} reads {} events of {stream} up to {head}", events.len())
            }),
            Input::Tick
            | Input::Beat
            | Input::Subscribed(..)
            | Input::Renew
            | Input::Renewed(_)
            | Input::Request(_)
            | Input::Committed(_)
            | Input::Connect { .. }
            | Input::Gone { .. }
            | Input::History { .. } => {}
        }
    }

    fn speaks(&self, world: &World) -> bool {
        world.now < self.speaks_until && !self.is_over
    }

    fn say(&mut self, world: &mut World, channel: &Topic, word: &Word) {
        if self.speaks(world) {
            let said = match word {
                Word::Event { pos, .. } => Said::Event(*pos),
                Word::Beat(_) => Said::Beat(self.lease.slot),
                Word::Digest(_) | Word::Delta(_) | Word::Part(_) | Word::Ask(_) => Said::Other,
            };
            world.publish(self.node, channel, &word.encode(self.lease), said);
        } else {
            // When it may speak again, heads go first.
            self.follower.unsent(world.now);
            // Nobody can know meanwhile who is there.
            world.upset(self.node);
        }
    }

    fn act(&mut self, world: &mut World) {
        while let Some(action) = self.follower.next_action() {
            if !matches!(action, Action::Deliver(_)) {
                let node = self.node;
                world.note(|_| format!("node {node}: {action:?}"));
            }
            let life = world.nodes[self.node].life;
            match action {
                Action::Subscribe(channels) => {
                    world.change_channels(self.node, Change::Subscribe { channels, life });
                }
                Action::Unsubscribe(channels) => {
                    world.change_channels(self.node, Change::Unsubscribe { channels, life });
                }
                Action::ReadHeads(streams) => world.ask(self.node, Question::Heads(streams)),
                Action::ReadEvents { stream, after, limit } => {
                    self.reads_out += 1;
                    world.ask(self.node, Question::Events { stream, after, limit });
                }
                Action::Deliver(item) => self.deliver(world, &item),
                Action::Resync(stream) => {
                    world.report.resyncs += 1;
                    let node = self.node;
                    world.note(|_| format!("node {node} resyncs {stream}"));
                    let reason = CloseReason::Named("too far behind");
                    self.shard.close_topic(&stream, &CloseEach { reason, last: None }, None);
                }
                Action::Settled(stream) => self.settled(world, room_of(&stream)),
            }
        }
    }

    fn deliver(&mut self, world: &mut World, item: &Item<Message>) {
        let node = self.node;
        world.note(|_| {
            format!(
                "node {node} delivers {} {} ({}:{})",
                item.stream, item.seq, item.origin, item.pos
            )
        });
        self.eager.raise(item.origin, item.pos);
        if self.shard.members(&item.stream) == 0 {
            return;
        }
        let is_eager = world.run.sabotage == Sabotage::EagerFrontier;
        let place = if is_eager { &self.eager } else { self.follower.frontier() };
        let stored =
            Stored { message: item.event, seq: item.seq, pos: item.pos, origin: item.origin };
        let bytes: Bytes = line(&stored, Some(place));
        let frame = Frame::stream_only(bytes);
        self.shard.publish(&Publication {
            topic: item.stream.clone(),
            seq: Some(item.seq),
            pos: None,
            class: Class::Durable,
            except: None,
            frames: LazyFrames::new(move |_| Some(frame.clone())),
        });
    }

    /// Does what follows from an input, and has clients read.
    pub(super) fn finish(&mut self, world: &mut World) {
        self.act(world);
        self.shard.advance(world.now);
        self.shard.take_writable();
        while self.shard.flush(64) {}
        self.end_sessions(world);
        self.act(world);
        self.tell_people(world);
        for session in self.sessions.values().chain(&self.ending) {
            tell_client(world, session);
        }
        self.ending.retain(|session| !session.wire.0.lock().is_shut);
        let people_at = self.people.next_tick();
        let shard_at = self.shard.next_deadline();
        let next = [self.follower.next_tick(), people_at, shard_at].into_iter().flatten().min();
        if let Some(at) = next.filter(|at| *at < self.tick_at) {
            self.tick_at = at.max(world.now + 1);
            world.tell(self.node, self.tick_at - world.now, Input::Tick);
        }
    }

    /// Events that came from the store as they were not heard.
    pub(super) fn healed(&self) -> u64 {
        self.follower.stats().healed
    }

    /// The process dies. What its sockets took may still arrive.
    pub(super) fn end(self, keeps_bytes: bool) -> Vec<(usize, u64)> {
        let mut told = Vec::new();
        for session in self.sessions.into_values().chain(self.ending) {
            let mut cable = session.wire.0.lock();
            cable.is_shut = true;
            if !keeps_bytes {
                cable.out.clear();
            }
            told.push((session.listener, session.connection));
        }
        told
    }
}
