//! Holding a dialect back and resuming it.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::upheaval::Dice;
use super::*;
use crate::send_queue::Amount;

const ALL: usize = usize::MAX;

#[test]
fn a_held_session_catches_up_without_gap_or_double_in_the_order_over_all_topics() {
    let mut house = House::plain();
    let (id, socket) = house.held(ALL, "a");
    house.shard.subscribe(id, Dialect(0), &Topic::new("b"));
    for (topic, seq) in [("a", 5), ("b", 1), ("a", 6), ("b", 2), ("a", 7)] {
        house.publish(topic, Some(seq), &format!("{topic}{seq}"));
    }
    house.publish("a", None, "note");
    house.flush();
    assert_eq!(socket.text(), "", "kept back");
    assert_eq!((house.stats().kept_frames, house.stats().queued_frames), (6, 6));
    // The caller read the journal up to a6 and b1 meanwhile.
    for text in ["a5", "b1", "a6"] {
        house.send(id, text);
    }
    house.flush();
    assert_eq!(socket.text(), "<a5><b1><a6>", "direct frames pass");
    house.resume(id, &[("a", 6), ("b", 1)]);
    for seq in 6..=8 {
        house.publish("a", Some(seq), &format!("a{seq}"));
    }
    house.flush();
    assert_eq!(socket.text(), "<a5><b1><a6><b2><a7><note><a8>");
    let stats = house.stats();
    assert_eq!((stats.dropped_duplicates, stats.queued_frames, stats.kept_frames), (5, 0, 0));
}

#[test]
fn a_hold_tells_where_the_shard_stood_and_holding_again_tells_the_same() {
    let mut house = House::plain();
    let (id, socket) = house.stream(ALL);
    assert_eq!(house.shard.hold(id, Dialect(1)), Some(0));
    house.shard.start_pos(40);
    house.shard.start_pos(30);
    let at = |pos| Publication { pos: Some(pos), ..publication("room", None, Class::Durable, "x") };
    house.shard.publish(&at(41));
    assert_eq!(house.shard.hold(id, Dialect(0)), Some(41), "nobody had to hear it");
    house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
    house.shard.publish(&at(42));
    assert_eq!(house.shard.hold(id, Dialect(0)), Some(41));
    assert_eq!(house.shard.hold(id, Dialect(1)), Some(0), "each dialect its own");
    house.resume(id, &[]);
    house.flush();
    assert_eq!(socket.text(), "<x>");
    assert_eq!(house.shard.hold(id, Dialect(0)), Some(42), "a new hold");
    house.close(id, None);
    assert_eq!(house.shard.hold(id, Dialect(0)), None);
}

#[test]
fn only_the_held_dialect_is_kept() {
    let mut house = House::plain();
    let (id, socket) = house.held(ALL, "room");
    house.shard.subscribe(id, Dialect(1), &Topic::new("room"));
    let frames = LazyFrames::new(|dialect| Some(frame(&dialect.0.to_string())));
    let publication = publication("room", Some(1), Class::Durable, "");
    house.shard.publish(&Publication { frames, ..publication });
    house.flush();
    assert_eq!(socket.text(), "<1>");
    house.resume(id, &[]);
    house.flush();
    assert_eq!(socket.text(), "<1><0>");
}

#[test]
fn what_a_caller_sent_is_dropped_though_it_comes_after_resuming() {
    let mut house = House::plain();
    let (id, socket) = house.held(ALL, "room");
    house.publish("room", Some(5), "5");
    house.resume(id, &[("room", 9), ("unknown", 3)]);
    house.publish("room", Some(9), "9");
    house.publish("room", Some(10), "10");
    // Without a hold it raises the mark all the same.
    house.resume(id, &[("room", 12)]);
    house.publish("room", Some(12), "12");
    house.publish("room", Some(13), "13");
    house.flush();
    assert_eq!(socket.text(), "<10><13>");
}

#[test]
fn a_newer_state_replaces_the_kept_one_and_keeps_its_place_among_durable_frames() {
    let mut house = House::plain();
    let (id, socket) = house.held(ALL, "room");
    house.state("room", 7, "ann types");
    house.publish("room", Some(1), "1");
    house.state("room", 7, "ann stopped");
    house.state("room", 8, "bob types");
    assert_eq!((house.stats().kept_frames, house.stats().dropped_ephemeral), (3, 1));
    house.resume(id, &[]);
    house.flush();
    assert_eq!(socket.text(), "<1><ann stopped><bob types>");
}

#[test]
fn kept_states_go_first_and_then_the_session_as_slow() {
    let limits = Limits { queue_frames_max: 3, ..Limits::default() };
    let mut house = House::new(limits, DialectRules::default());
    let (id, socket) = house.held(ALL, "room");
    house.state("room", 1, "x");
    house.state("room", 2, "y");
    house.publish("room", Some(1), "1");
    house.state("room", 3, "no room");
    assert_eq!(house.stats().dropped_ephemeral, 1);
    house.publish("room", Some(2), "2");
    house.publish("room", Some(3), "3");
    assert_eq!((house.stats().dropped_ephemeral, house.stats().kept_frames), (3, 3));
    assert_eq!(house.ends(), []);
    house.publish("room", Some(4), "4");
    assert_eq!(house.ends(), closed(id, CloseReason::SlowConsumer));
    assert_eq!((socket.text(), socket.shutdowns()), (String::new(), HALF.into()));
    assert_eq!((house.stats().kept_frames, house.stats().kept_bytes), (0, 0));
}

#[test]
fn what_was_kept_goes_with_its_subscription_and_with_the_session() {
    let mut house = House::plain();
    let (id, socket) = house.held(ALL, "a");
    house.shard.subscribe(id, Dialect(0), &Topic::new("b"));
    for topic in ["a", "b"] {
        house.publish(topic, Some(1), topic);
        house.state(topic, 1, "state");
    }
    house.shard.unsubscribe(id, Dialect(0), &Topic::new("a"));
    assert_eq!(house.stats().kept_frames, 2, "the state of b had replaced that of a");
    house.shard.subscribe(id, Dialect(0), &Topic::new("a"));
    house.publish("a", Some(2), "a2");
    house.resume(id, &[]);
    house.flush();
    assert_eq!(socket.text(), "<b><state><a2>");
}

#[test]
fn leaving_all_topics_of_a_dialect_ends_its_hold() {
    let mut house = House::plain();
    let (id, socket) = house.held(ALL, "room");
    house.publish("room", Some(1), "1");
    house.shard.unsubscribe_all(id, Dialect(0));
    assert_eq!((house.stats().kept_frames, house.stats().queued_frames), (0, 0));
    house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
    house.publish("room", Some(2), "2");
    house.flush();
    assert_eq!(socket.text(), "<2>");
    assert!(house.shard.hold(id, Dialect(0)).is_some());
    house.publish("room", Some(3), "3");
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!((house.stats().kept_frames, house.stats().queued_frames), (0, 0));
}

#[test]
fn a_polling_session_is_held_too() {
    let mut house = House::plain();
    let id = house.polling();
    house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
    house.shard.hold(id, Dialect(0));
    let mut answer = house.poll(id);
    house.publish("room", Some(1), "1");
    house.flush();
    assert!(answer.try_recv().is_err());
    house.resume(id, &[]);
    house.flush();
    assert_eq!(packets(&mut answer), ["1"]);
}

const SESSIONS: u64 = 4;
const DIALECTS: u64 = 2;
const TOPICS: u64 = 5;

/// One session in one dialect, with the caller that catches it up.
#[derive(Default)]
struct Listener {
    topics: BTreeSet<u64>,
    /// What was published while it subscribed, unless the subscription ended before it could leave.
    due: BTreeSet<u64>,
    held: bool,
    /// What the hold gave.
    stood: u64,
    /// What the caller read from the journal and has not sent yet; the topics' heads there.
    replay: Option<(VecDeque<u64>, HashMap<u64, u64>)>,
    /// How far it was sent everything: where the hold began, or what was replayed before.
    caught_up: u64,
}

/// Publications numbered over all topics and per topic, and sessions that come and go.
struct World {
    house: House,
    dice: Dice,
    /// By `pos`, from 1: topic and `seq`.
    journal: Vec<(u64, u64)>,
    /// How far the shard was told; the journal may be ahead.
    published: u64,
    sessions: Vec<(SessionId, FakeSocket)>,
    listeners: HashMap<(u64, u64), Listener>,
}

fn name(topic: u64) -> Topic {
    Topic::new(topic.to_string())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut house = House::plain();
        let sessions = (0..SESSIONS).map(|_| house.stream(ALL)).collect();
        let mut listeners = HashMap::new();
        for session in 0..SESSIONS {
            for dialect in 0..DIALECTS {
                listeners.insert((session, dialect), Listener::default());
            }
        }
        Self { house, dice: Dice(seed), journal: Vec::new(), published: 0, sessions, listeners }
    }

    fn write_journal(&mut self) {
        let topic = self.dice.roll(TOPICS);
        let seq = 1 + self.journal.iter().filter(|(of, _)| *of == topic).count() as u64;
        self.journal.push((topic, seq));
    }

    /// Publishes the next entry of the journal.
    fn publish(&mut self) {
        let Some(&(topic, seq)) = self.journal.get(self.published as usize) else { return };
        self.published += 1;
        let pos = self.published;
        for listener in self.listeners.values_mut().filter(|l| l.topics.contains(&topic)) {
            listener.due.insert(pos);
        }
        let frames = LazyFrames::new(move |to| Some(frame(&format!("{}:{pos}", to.0))));
        let publication = publication(name(topic).as_str(), Some(seq), Class::Durable, "");
        self.house.shard.publish(&Publication { pos: Some(pos), frames, ..publication });
    }

    fn publish_all(&mut self) {
        while self.published < self.journal.len() as u64 {
            self.publish();
        }
    }

    /// Reads the journal up to some place not below where the shard stood.
    fn read_journal(&mut self, who: (u64, u64)) {
        let listener = self.listeners.get_mut(&who).unwrap();
        let stood = listener.stood;
        let head = stood + self.dice.roll(1 + self.journal.len() as u64 - stood);
        let head = head.max(listener.caught_up);
        let (mut replay, mut heads) = (VecDeque::new(), HashMap::new());
        for (pos, (topic, seq)) in (1..=head).zip(&self.journal) {
            if listener.topics.contains(topic) {
                heads.insert(*topic, *seq);
                if pos > listener.caught_up {
                    replay.push_back(pos);
                }
            }
        }
        listener.caught_up = head;
        listener.replay = Some((replay, heads));
    }

    fn send_some(&mut self, who: (u64, u64), most: usize) -> bool {
        let id = self.sessions[who.0 as usize].0;
        let (replay, _) = self.listeners.get_mut(&who).unwrap().replay.as_mut().unwrap();
        for pos in replay.drain(..most.min(replay.len())) {
            self.house.shard.send(id, frame(&format!("{}:{pos}", who.1)), Class::Durable);
        }
        replay.is_empty()
    }

    fn resume(&mut self, who: (u64, u64)) {
        let id = self.sessions[who.0 as usize].0;
        let listener = self.listeners.get_mut(&who).unwrap();
        listener.held = false;
        let (_, heads) = listener.replay.take().unwrap();
        let after: Vec<_> = heads.into_iter().map(|(topic, seq)| (name(topic), seq)).collect();
        self.house.shard.resume(id, Dialect(who.1 as u8), &after);
    }

    fn step(&mut self) {
        let who = (self.dice.roll(SESSIONS), self.dice.roll(DIALECTS));
        let (id, dialect) = (self.sessions[who.0 as usize].0, Dialect(who.1 as u8));
        let topic = self.dice.roll(TOPICS);
        match self.dice.roll(20) {
            0..=4 => return self.write_journal(),
            5..=9 => return self.publish(),
            // Who subscribes to what the shard has yet to be told gets that in its order only.
            10 | 11 => self.publish_all(),
            12 => return self.house.flush(),
            _ => {}
        }
        let listener = self.listeners.get_mut(&who).unwrap();
        match self.dice.roll(9) {
            0..=2 if self.published == self.journal.len() as u64 => {
                listener.topics.insert(topic);
                self.house.shard.subscribe(id, dialect, &name(topic));
            }
            3 => {
                listener.topics.remove(&topic);
                if listener.held {
                    // Kept ones go with it, though a replay may send them yet.
                    listener.due.retain(|pos| self.journal[*pos as usize - 1].0 != topic);
                }
                self.house.shard.unsubscribe(id, dialect, &name(topic));
            }
            4 if self.dice.roll(8) == 0 => {
                if listener.held {
                    listener.due.clear();
                }
                let (due, caught_up) = (std::mem::take(&mut listener.due), listener.caught_up);
                *listener = Listener { due, caught_up, ..Listener::default() };
                self.house.shard.unsubscribe_all(id, dialect);
            }
            5 => {
                let stood = self.house.shard.hold(id, dialect).expect("nobody ends it");
                if !listener.held {
                    assert_eq!(stood, self.published);
                    (listener.held, listener.stood) = (true, stood);
                    listener.caught_up = listener.caught_up.max(stood);
                }
                assert_eq!(stood, listener.stood);
            }
            6 if listener.held && listener.replay.is_none() => self.read_journal(who),
            7 | 8 if listener.replay.is_some() => {
                let most = self.dice.roll(4) as usize;
                if self.send_some(who, most) {
                    self.resume(who);
                }
            }
            _ => {}
        }
    }

    /// Every listener's numbers as they left.
    fn check(&self, seed: u64) -> usize {
        let mut sum = 0;
        for (&(session, dialect), listener) in &self.listeners {
            let text = self.sessions[session as usize].1.text();
            let numbers: Vec<u64> = text
                .split(['<', '>'])
                .filter_map(|frame| frame.strip_prefix(&format!("{dialect}:")))
                .map(|pos| pos.parse().unwrap())
                .collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "seed {seed}: {numbers:?}");
            let numbers = numbers.into_iter().collect();
            let missing: Vec<_> = listener.due.difference(&numbers).collect();
            assert!(missing.is_empty(), "seed {seed}: {missing:?} of {text}");
            sum += numbers.len();
        }
        sum
    }
}

#[test]
fn every_interleaving_delivers_each_publication_once_in_order_over_all_topics() {
    let (mut delivered, mut repeated) = (0, 0);
    for seed in 1..=300_u64 {
        let mut world = World::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        for _ in 0..500 {
            world.step();
        }
        let all: Vec<_> = world.listeners.keys().copied().collect();
        for who in all {
            if world.listeners[&who].held {
                if world.listeners[&who].replay.is_none() {
                    world.read_journal(who);
                }
                assert!(world.send_some(who, ALL));
                world.resume(who);
            }
        }
        world.publish_all();
        world.house.flush();
        for (id, _) in &world.sessions {
            let session = world.house.shard.session(id.slot).unwrap();
            assert!(session.holds.is_none(), "the box is gone");
            assert_eq!(session.waiting, Amount::default());
        }
        delivered += world.check(seed);
        repeated += world.house.stats().dropped_duplicates;
        assert_eq!((world.house.stats().kept_frames, world.house.ends()), (0, vec![]));
    }
    assert!(delivered > 50_000 && repeated > 1_000, "too easy: {delivered}, {repeated}");
}

#[test]
fn a_mark_tells_what_was_queued_before_it() {
    let mut house = House::plain();
    let (id, socket) = house.subscribed(1_000, "room");
    house.shard.start_pos(6);
    assert_eq!(house.shard.send_mark(id, frame("a")), Some(6));
    let told = Publication { pos: Some(7), ..publication("room", Some(1), Class::Durable, "one") };
    house.shard.publish(&told);
    assert_eq!(house.shard.send_mark(id, frame("b")), Some(7));
    house.flush();
    assert_eq!(socket.text(), "<a><one><b>");
    house.shard.hold(id, Dialect(0));
    assert_eq!(house.shard.send_mark(id, frame("c")), None, "what is kept would come after it");
    house.resume(id, &[]);
    house.close(id, None);
    assert_eq!(house.shard.send_mark(id, frame("c")), None);
    assert_eq!(socket.text(), "<a><one><b>");
}
