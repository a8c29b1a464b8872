//! The clock, and whom it wakes.

use std::collections::{BTreeMap, VecDeque};

use mynah_hub::Topic;

use super::broker::{Broker, Change, Flight};
use super::clients::{Listener, Sender};
use super::dice::Dice;
use super::faults::{Plan, Sabotage};
use super::node::{Input, Process};
use super::store::{Outcome, Store, Transaction};
use super::{Run, check};

mod power;
mod report;

pub use report::{Failure, Report};

pub(super) const NODES: usize = 3;
pub(super) const ROOMS: usize = 4;
pub(super) const LEASE_MS: u64 = 15_000;
const SENDERS: u32 = 4;
const LISTENERS: u32 = 6;
/// As long after that everything may take to be well: a lease, a comparison, and some.
const PATIENCE_MS: u64 = 45_000;
/// No history has more steps, unless it goes in circles.
const STEPS_MAX: u64 = 2_000_000;
/// Messages of the broker that wait for a paused node.
const BACKLOG_MAX: usize = 200;

/// What happens at some time.
pub(super) enum Event {
    Input { node: usize, life: u64, input: Input },
    Arrive(Flight),
    Change { node: usize, change: Change },
    LinkTold(usize),
    LinkUp(usize),
    Commit(Transaction),
    Ask { node: usize, life: u64, question: Question },
    Start(usize),
    Resume(usize),
    Upheaval,
    CutLink(usize),
    Calm,
    Check,
    Send(usize),
    Timeout { sender: usize, attempt: u64 },
    Acked { sender: u32, number: u32 },
    Connect(usize),
    Patience { listener: usize, connection: u64 },
    Read { listener: usize, connection: u64 },
    GoOn(usize),
}

/// What a node asks the store.
pub(super) enum Question {
    Heads(Vec<Topic>),
    Events { stream: Topic, after: u64, limit: u32 },
    History { connection: u64, after: Vec<(usize, u64)> },
    Renew(super::store::Lease),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Off,
    On,
    Paused,
}

pub(super) struct Node {
    pub(super) power: Power,
    pub(super) life: u64,
    pub(super) process: Option<Box<Process>>,
    /// What waits while the node is paused.
    backlog: VecDeque<Input>,
    has_missed: bool,
    /// From when to when it was last cut off, paused or down, with less than 20 s of quiet between.
    pub(super) upset: Option<(u64, u64)>,
}

pub(super) struct World {
    pub(super) run: Run,
    pub(super) now: u64,
    pub(super) dice: Dice,
    pub(super) plan: Plan,
    queue: BTreeMap<(u64, u64), Event>,
    order: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) store: Store,
    pub(super) broker: Broker,
    pub(super) senders: Vec<Sender>,
    pub(super) listeners: Vec<Listener>,
    store_back_at: u64,
    pub(super) is_calm: bool,
    is_over: bool,
    failure: Option<Box<Failure>>,
    trace: Vec<String>,
    pub(super) report: Report,
}

impl World {
    pub(super) fn new(run: Run) -> Self {
        let mut dice = Dice::new(run.seed);
        let plan = Plan::new(&mut dice);
        let node = |_| Node {
            power: Power::Off,
            life: 0,
            process: None,
            backlog: VecDeque::new(),
            has_missed: false,
            upset: None,
        };
        let ignores_client_ids = run.sabotage == Sabotage::NoClientIds;
        let mut world = Self {
            run,
            now: 0,
            plan,
            queue: BTreeMap::new(),
            order: 0,
            nodes: (0..NODES).map(node).collect(),
            store: Store::new(ignores_client_ids),
            broker: Broker::new(),
            senders: (0..SENDERS).map(Sender::new).collect(),
            listeners: (0..LISTENERS).map(|number| Listener::new(number, &mut dice)).collect(),
            store_back_at: 0,
            is_calm: false,
            is_over: false,
            failure: None,
            trace: Vec::new(),
            report: Report::default(),
            dice,
        };
        for node in 0..NODES {
            let at = world.dice.below(300);
            world.after(at, Event::Start(node));
        }
        for sender in 0..SENDERS as usize {
            let at = world.dice.below(500);
            world.after(at, Event::Send(sender));
        }
        for listener in 0..LISTENERS as usize {
            let at = world.dice.below(2_000);
            world.after(at, Event::Connect(listener));
        }
        world.after(world.plan.every_ms, Event::Upheaval);
        world.after(world.plan.active_ms, Event::Calm);
        world
    }

    pub(super) fn run(mut self) -> Result<Report, Box<Failure>> {
        self.note(|world| format!("{:?}", world.plan));
        while let Some(((at, _), event)) = self.queue.pop_first() {
            self.now = at;
            self.report.steps += 1;
            self.take(event);
            if let Some(mut failure) = self.failure.take() {
                failure.trace = self.trace;
                return Err(failure);
            }
            if self.is_over {
                break;
            }
            if self.report.steps > STEPS_MAX {
                self.fail("it does not come to an end".to_owned());
            }
        }
        for place in &self.nodes {
            self.report.healed += place.process.as_ref().map_or(0, |process| process.healed());
        }
        self.report.stored = self.store.rooms.iter().map(|room| room.len() as u64).sum();
        Ok(self.report)
    }

    pub(super) fn fail(&mut self, what: String) {
        let (seed, at_ms) = (self.run.seed, self.now);
        self.failure
            .get_or_insert_with(|| Box::new(Failure { seed, at_ms, what, trace: Vec::new() }));
    }

    pub(super) fn note(&mut self, text: impl FnOnce(&Self) -> String) {
        if self.run.is_traced {
            let text = text(self);
            self.trace.push(format!("{:>6} {text}", self.now));
        }
    }

    pub(super) fn after(&mut self, ms: u64, event: Event) {
        self.order += 1;
        self.queue.insert((self.now + ms, self.order), event);
    }

    pub(super) fn tell(&mut self, node: usize, ms: u64, input: Input) {
        let life = self.nodes[node].life;
        self.after(ms, Event::Input { node, life, input });
    }

    /// So many times in a thousand, and never once the faults are over.
    pub(super) fn mishap(&mut self, per_mille: u64) -> bool {
        let happens = !self.is_calm && self.dice.chance(per_mille);
        self.report.mishaps += u64::from(happens);
        happens
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Input { node, life, input } => self.input(node, life, input),
            Event::Arrive(flight) => self.arrive(flight),
            Event::Change { node, change } => self.change(node, change),
            Event::LinkTold(node) => self.link_told(node),
            Event::LinkUp(node) => self.link_up(node),
            Event::Commit(transaction) => self.commit(&transaction),
            Event::Ask { node, life, question } => self.answer(node, life, question),
            Event::Start(node) => self.start(node),
            Event::Resume(node) => self.resume(node),
            Event::Upheaval => {
                if !self.is_calm {
                    self.upheaval();
                    let pause = self.plan.every_ms;
                    let ms = self.dice.between(pause / 2, pause * 2);
                    self.after(ms, Event::Upheaval);
                }
            }
            Event::CutLink(node) => {
                if !self.is_calm {
                    self.cut_link(node, (0, 500), (50, 600));
                }
            }
            Event::Calm => self.calm(),
            Event::Check => self.check(),
            Event::Send(sender) => self.send_next(sender),
            Event::Timeout { sender, attempt } => self.send_timed_out(sender, attempt),
            Event::Acked { sender, number } => self.acked(sender, number),
            Event::Connect(listener) => self.connect(listener),
            Event::Patience { listener, connection } => self.lose_patience(listener, connection),
            Event::Read { listener, connection } => self.read(listener, connection),
            Event::GoOn(listener) => self.go_on(listener),
        }
    }

    /// Something reaches a node, now or when its pause is over.
    fn input(&mut self, node: usize, life: u64, input: Input) {
        let place = &mut self.nodes[node];
        if place.life != life {
            return;
        }
        match place.power {
            Power::Off => return,
            Power::Paused => {
                let is_message = matches!(input, Input::Broker(_));
                if is_message && place.backlog.len() >= BACKLOG_MAX {
                    if !place.has_missed {
                        place.has_missed = true;
                        place.backlog.push_back(Input::Broker(mynah_hub::BrokerEvent::Missed));
                    }
                } else {
                    place.backlog.push_back(input);
                }
                return;
            }
            Power::On => {}
        }
        let Some(mut process) = place.process.take() else { return };
        process.take(self, input);
        process.finish(self);
        let is_fenced = process.is_over;
        self.nodes[node].process = Some(process);
        if is_fenced {
            self.note(|_| format!("node {node} finds its slot taken"));
            self.stop(node);
            self.after(100, Event::Start(node));
        }
    }

    pub(super) fn store_is_down(&self) -> bool {
        self.now < self.store_back_at
    }

    fn check(&mut self) {
        let wrong = check::what_is_wrong(self);
        self.report.settled_ms = self.now - self.plan.active_ms;
        match wrong {
            None => self.is_over = true,
            Some(what) if self.report.settled_ms > PATIENCE_MS => self.fail(what),
            Some(_) => self.after(100, Event::Check),
        }
    }

    /// A transaction reaches the store's disk, or does not.
    fn commit(&mut self, transaction: &Transaction) {
        let is_down = self.store_is_down();
        let fails = is_down || self.mishap(self.plan.commit_fails);
        let (outcome, after) = if !fails {
            (self.store.commit(transaction), self.dice.between(0, 4))
        } else if self.dice.chance(500) {
            if self.dice.chance(500) {
                let outcome = self.store.commit(transaction);
                self.note(|_| format!("a commit of unknown outcome: {outcome:?}"));
            } else {
                self.store.abort(transaction);
            }
            (Outcome::Unknown, self.dice.between(10, 1_500))
        } else {
            self.store.abort(transaction);
            (Outcome::Failed, self.dice.between(0, 300))
        };
        let (node, life) = (transaction.node, transaction.life);
        self.after(after, Event::Input { node, life, input: Input::Committed(outcome) });
    }

    /// A node asks the store, which looks after a while, and answers after another.
    pub(super) fn ask(&mut self, node: usize, question: Question) {
        let life = self.nodes[node].life;
        let most = if self.mishap(self.plan.store_slow) { 700 } else { 8 };
        let ms = self.dice.between(0, most);
        self.after(ms, Event::Ask { node, life, question });
    }

    fn answer(&mut self, node: usize, life: u64, question: Question) {
        let fails = self.store_is_down() || self.mishap(self.plan.store_fails);
        let store = &mut self.store;
        let input = match question {
            Question::Heads(streams) if fails => Input::HeadsFailed(streams),
            Question::Heads(streams) => {
                let head = |stream: Topic| {
                    let head = store.head(room_of(&stream));
                    (stream, head)
                };
                Input::Heads(streams.into_iter().map(head).collect())
            }
            Question::Events { stream, .. } if fails => Input::EventsFailed(stream),
            Question::Events { stream, after, limit } => {
                let room = room_of(&stream);
                let events = store.events(room, after, limit as usize);
                Input::Events { stream, events, head: store.head(room) }
            }
            Question::History { connection, .. } if fails => {
                Input::History { connection, rooms: None }
            }
            Question::History { connection, after } => {
                let read =
                    |(room, after): (usize, u64)| (room, store.events(room, after, usize::MAX));
                Input::History { connection, rooms: Some(after.into_iter().map(read).collect()) }
            }
            Question::Renew(_) if fails => Input::Renewed(None),
            Question::Renew(lease) => Input::Renewed(Some(store.renew(self.now, lease))),
        };
        let ms = self.dice.between(0, 5);
        self.after(ms, Event::Input { node, life, input });
    }
}

pub(super) fn topic_of(room: usize) -> Topic {
    Topic::new(format!("r:{room}"))
}

pub(super) fn room_of(topic: &Topic) -> usize {
    topic.as_str().strip_prefix("r:").and_then(|room| room.parse().ok()).unwrap_or(0)
}
