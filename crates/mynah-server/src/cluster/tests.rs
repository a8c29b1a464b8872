//! Two nodes of one process: a common journal, a bus between them, and sessions that listen.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mynah_cluster::{InProcess, Limits};
use mynah_domain::event::{CatchUp, Event, Fact, Stream};
use mynah_domain::message::Message;
use mynah_domain::node::NodeLease;
use mynah_domain::ports::{Commit, FeedStore, StoreError};
use mynah_domain::room::Profile;
use mynah_domain::{MessageId, NodeId, RoomId, TenantId, Timestamp, UserId};
use mynah_hub::{
    Class, CloseReason, Dialect, Frame, Hub, HubConfig, Link, NewSession, Pulse, SessionEvents,
    SessionId,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::directory::Directory;
use super::interests::Interests;
use super::node::{Inputs, Node, NodeStats, Parts, Word};
use super::voice::Voice;
use super::wire::{Control, Kind, Told};
use crate::dialects::{Dialects, Speaking};
use crate::dispatch::Dispatcher;
use crate::live::Live;
use crate::recovery::Reached;
use crate::test_world::{NOW, World};
use crate::topics;
use crate::vocabulary::Vocabularies;
use crate::wire::Wire;

/// What both nodes have stored.
#[derive(Default)]
struct Journal(Mutex<Vec<Event>>);

impl Journal {
    /// The next message of a room.
    fn append(&self, origin: u16, room: &RoomId) -> Event {
        let mut events = self.0.lock();
        let stream = Stream::Room(room.clone());
        let seq = events.iter().filter(|event| event.stream == stream).count() as u64 + 1;
        let event = message(events.len() as u64 + 1, origin, (room, seq));
        events.push(event.clone());
        event
    }
}

fn message(pos: u64, origin: u16, (room, seq): (&RoomId, u64)) -> Event {
    let sender = Arc::new(Profile {
        id: UserId::trusted("ann"),
        username: "ann".to_owned(),
        name: "Ann".to_owned(),
    });
    let message = Message {
        id: MessageId::trusted(format!("m{pos}")),
        tenant: TenantId::single(),
        room: room.clone(),
        seq,
        number: seq,
        sender: Arc::clone(&sender),
        kind: "text".to_owned(),
        content: format!("content {seq}"),
        metadata: None,
        reply_to: None,
        client_id: None,
        edit_count: 0,
        edited_at: None,
        deleted_at: None,
        created_at: Timestamp(NOW),
    };
    Event {
        pos,
        origin,
        stream: Stream::Room(room.clone()),
        seq,
        tenant: TenantId::single(),
        actor: Some(sender.id.clone()),
        at: Timestamp(NOW),
        fact: Fact::MessageCreated { message: Arc::new(message) },
    }
}

#[async_trait]
impl FeedStore for Journal {
    async fn stream_events(
        &self,
        _tenant: &TenantId,
        stream: &Stream,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError> {
        let events = self.0.lock();
        let all: Vec<_> = events.iter().filter(|event| event.stream == *stream).cloned().collect();
        let head_seq = all.len() as u64;
        let missed = all.into_iter().filter(|event| event.seq > after_seq).take(limit as usize);
        Ok(CatchUp { events: missed.collect(), head_seq, gap: after_seq > head_seq })
    }

    async fn settled_pos(&self) -> Result<u64, StoreError> {
        Ok(self.0.lock().len() as u64)
    }

    async fn heads(&self, streams: &[(TenantId, Stream)]) -> Result<Vec<u64>, StoreError> {
        let events = self.0.lock();
        let head = |stream: &Stream| events.iter().filter(|e| e.stream == *stream).count() as u64;
        Ok(streams.iter().map(|(_, stream)| head(stream)).collect())
    }
}

struct Nobody;

impl SessionEvents for Nobody {
    fn closed(&self, _id: SessionId, _reason: CloseReason) {}
}

/// One node, and how to look at it.
struct House {
    slot: u16,
    hub: Hub,
    voice: Voice,
    journal: Arc<Journal>,
    commits: mpsc::Sender<Commit>,
    words: mpsc::Receiver<Word>,
    stats: Arc<NodeStats>,
    dialect: Dialect,
    _speaking: Speaking,
    _world: Arc<World>,
}

impl House {
    fn new(slot: u16, journal: &Arc<Journal>, bus: &InProcess) -> Self {
        let world = World::new();
        let interests = Interests::default();
        let hub = Hub::watched(HubConfig::default(), Arc::new(interests.clone()));
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), false).unwrap();
        let native = dialects.vocabularies().default_index();
        let [wire, ..] = Wire::ALL;
        let speaking = dialects.speak(native, "/", wire).unwrap();
        let (chat, clock) = (world.house().chat, Arc::clone(&world.clock));
        let live = Live::start(hub.clone(), Arc::clone(&dialects), chat, clock as _, None);
        let dispatcher = Dispatcher {
            hub: hub.clone(),
            dialects,
            live,
            dispatched: Arc::default(),
            relay: None,
            hears_from: None,
            head: watch::channel(0).0,
        };
        let (broker, events) = bus.join(Limits::default());
        let voice = Voice::new(broker);
        let id = NodeId::trusted(format!("n{slot}"));
        let lease = NodeLease { id, slot, epoch: 1, address: String::new() };
        voice.speak_as(&lease, Instant::now() + Duration::from_hours(1));
        let parts = Parts {
            dispatcher,
            voice: voice.clone(),
            directory: Directory::default(),
            interests,
            reached: Reached::default(),
            feed: Arc::clone(journal) as _,
        };
        let (node, words, stats) = Node::new(parts, 0);
        let (commits, queue) = mpsc::channel(64);
        tokio::spawn(node.run(Inputs { commits: queue, broker: events }));
        let (journal, dialect) = (Arc::clone(journal), speaking.dialect());
        Self {
            slot,
            hub,
            voice,
            journal,
            commits,
            words,
            stats,
            dialect,
            _speaking: speaking,
            _world: world,
        }
    }

    /// Stores a message and is told of it.
    async fn say(&self, room: &RoomId) {
        let event = self.journal.append(self.slot, room);
        let (answered, answer) = oneshot::channel();
        let commit = Commit::new(vec![event], move || {
            answered.send(()).ok();
        });
        self.commits.send(commit).await.ok();
        answer.await.unwrap();
    }

    async fn listens(&self, room: &RoomId) -> SessionId {
        let new = NewSession {
            dialect: self.dialect,
            link: Link::Polling,
            events: Arc::new(Nobody),
            pulse: Pulse::default(),
        };
        let id = self.hub.attach(new).await.unwrap();
        self.hub.subscribe(id, self.dialect, topics::room(room)).await;
        id
    }

    /// The `seq`s of what a session heard up to now.
    async fn heard(&self, id: SessionId) -> Vec<u64> {
        let end = Bytes::from_static(b"end");
        self.hub.send(id, Frame::new(end.clone(), end), Class::Durable).await;
        let mut heard = String::new();
        while !heard.ends_with("end") {
            let (reply, answer) = oneshot::channel();
            self.hub.poll(id, reply).await;
            for packet in answer.await.unwrap().packets {
                heard.push_str(std::str::from_utf8(&packet).unwrap());
            }
        }
        let contents = heard.split("content ").skip(1);
        contents.map(|rest| rest.split('"').next().unwrap().parse().unwrap()).collect()
    }
}

/// Two that know each other.
async fn two(bus: &InProcess) -> [House; 2] {
    let journal = Arc::<Journal>::default();
    let houses = [House::new(1, &journal, bus), House::new(2, &journal, bus)];
    pass(2_100).await;
    houses
}

/// Lets time pass, in which everybody gets a turn.
async fn pass(ms: u64) {
    for _ in 0..ms / 100 {
        tokio::time::advance(Duration::from_millis(100)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

fn room() -> RoomId {
    RoomId::trusted("lobby")
}

#[tokio::test(start_paused = true)]
async fn what_either_stores_the_sessions_of_both_hear_in_one_order() {
    let [one, two] = two(&InProcess::new()).await;
    let (here, there) = (one.listens(&room()).await, two.listens(&room()).await);
    for n in 0..10 {
        [&one, &two][n % 2].say(&room()).await;
    }
    pass(500).await;
    let all: Vec<u64> = (1..=10).collect();
    assert_eq!(one.heard(here).await, all);
    assert_eq!(two.heard(there).await, all);
}

#[tokio::test(start_paused = true)]
async fn what_was_said_while_the_bus_was_cut_is_heard_afterwards_once() {
    let bus = InProcess::new();
    let [one, two] = two(&bus).await;
    let (here, there) = (one.listens(&room()).await, two.listens(&room()).await);
    one.say(&room()).await;
    pass(200).await;
    bus.cut();
    for n in 0..6 {
        [&one, &two][n % 2].say(&room()).await;
    }
    pass(200).await;
    let mut own = one.heard(here).await;
    assert!(own.len() >= 6, "its own go on, and what came between is read: {own:?}");
    bus.mend();
    pass(2_000).await;
    two.say(&room()).await;
    pass(500).await;
    own.extend(one.heard(here).await);
    assert_eq!(own, (1..=8).collect::<Vec<_>>());
    assert_eq!(two.heard(there).await, (1..=8).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_cut_for_long_the_store_is_asked() {
    let bus = InProcess::new();
    let [one, two] = two(&bus).await;
    let there = two.listens(&room()).await;
    bus.cut();
    one.say(&room()).await;
    pass(6_000).await;
    assert_eq!(two.heard(there).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_listeners_hears_nothing_of_a_room() {
    let [one, two] = two(&InProcess::new()).await;
    let there = two.listens(&RoomId::trusted("elsewhere")).await;
    let before = two.voice.broker().stats().received;
    for _ in 0..50 {
        one.say(&room()).await;
    }
    pass(100).await;
    let beats = two.voice.broker().stats().received - before;
    assert!(beats < 10, "{beats} messages");
    assert!(two.heard(there).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn words_reach_the_others_and_garbage_is_counted() {
    let [one, mut two] = two(&InProcess::new()).await;
    let there = two.listens(&room()).await;
    let (tenant, user) = (TenantId::single(), UserId::trusted("ann"));
    let control = Control::EndUser(tenant, user);
    one.voice.command(&control);
    let typing = Told::Typing {
        room: room(),
        who: Arc::new(Profile {
            id: UserId::trusted("ann"),
            username: String::new(),
            name: String::new(),
        }),
        is_typing: true,
    };
    one.voice.tell(&topics::room(&room()), &typing);
    let broker = one.voice.broker();
    for garbage in
        ["", "My", "GET / HTTP/1.1\r\n\r\n", "My\u{1}\u{1}garbage in a frame that is long enough"]
    {
        broker.publish(&topics::room(&room()), Bytes::from_static(garbage.as_bytes()));
    }
    pass(100).await;
    let mut words = Vec::new();
    while let Ok(word) = two.words.try_recv() {
        words.push(word);
    }
    assert_eq!(words, [Word::NodeCame(1), Word::Control(control), Word::Told(typing)]);
    assert!(two.stats.garbage.load(std::sync::atomic::Ordering::Relaxed) >= 2);
    one.say(&room()).await;
    pass(100).await;
    assert_eq!(two.heard(there).await, [1], "it goes on");
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_lease_is_over_says_nothing() {
    let [one, two] = two(&InProcess::new()).await;
    let there = two.listens(&room()).await;
    one.voice.fall_silent();
    let before = one.voice.broker().stats().published;
    one.say(&room()).await;
    pass(1_000).await;
    assert_eq!(one.voice.broker().stats().published, before);
    assert!(one.voice.unsaid() > 0);
    pass(20_000).await;
    assert_eq!(two.heard(there).await, [1], "it is missed, and then found in the store");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_says_goodbye_is_gone_at_once() {
    let [one, mut two] = two(&InProcess::new()).await;
    one.voice.call(Kind::Goodbye, Vec::new());
    one.voice.fall_silent();
    pass(200).await;
    let mut words = Vec::new();
    while let Ok(word) = two.words.try_recv() {
        words.push(word);
    }
    assert!(words.contains(&Word::NodeGone(1, 1)), "{words:?}");
    assert_eq!(two.stats.peers.load(std::sync::atomic::Ordering::Relaxed), 0);
}
