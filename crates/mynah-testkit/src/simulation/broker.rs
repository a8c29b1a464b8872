//! A broker that keeps the contract of [`mynah_hub::Broker`], and where a run wants it, does not: messages of
//! one node arrive at another in order, as far as they arrive.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mynah_hub::{BrokerEvent, Topic};

use super::node::Input;
use super::world::{Event, NODES, World};

pub(super) struct Broker {
    pub(super) links: Vec<Link>,
    /// When the last message of one node arrives at another.
    last: [[u64; NODES]; NODES],
    /// Places of events that were lost without anybody being told in time.
    pub(super) lost_silently: BTreeSet<u64>,
}

#[derive(Default)]
pub(super) struct Link {
    pub(super) is_up: bool,
    /// Counts how often there was one.
    pub(super) connections: u64,
    /// The node knows that it is down.
    is_told: bool,
    /// Counts how often it was cut.
    generation: u64,
    /// What left after this in a generation is lost.
    cuts: BTreeMap<u64, u64>,
    channels: BTreeSet<Topic>,
    /// When the last change of channels takes effect.
    change_at: u64,
}

/// A message on its way.
pub(super) struct Flight {
    from: usize,
    to: usize,
    generations: (u64, u64),
    sent_at: u64,
    is_lost: bool,
    channel: Topic,
    payload: Bytes,
}

/// What a message is, for those who judge later what its loss excuses.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said {
    /// The event at this place.
    Event(u64),
    /// What this slot has stored.
    Beat(u16),
    Other,
}

/// What a node wants to hear.
pub(super) enum Change {
    Subscribe { channels: Vec<Topic>, life: u64 },
    Unsubscribe { channels: Vec<Topic>, life: u64 },
}

impl Broker {
    pub(super) fn new() -> Self {
        Self {
            links: (0..NODES).map(|_| Link::default()).collect(),
            last: [[0; NODES]; NODES],
            lost_silently: BTreeSet::new(),
        }
    }

    /// A node is gone, and what it wanted to hear.
    pub(super) fn detach(&mut self, node: usize) {
        let link = &mut self.links[node];
        link.is_up = false;
        link.is_told = true;
        link.generation += 1;
        link.channels.clear();
        link.change_at = 0;
    }
}

impl World {
    pub(super) fn publish(&mut self, from: usize, channel: &Topic, payload: &Bytes, said: Said) {
        if !self.broker.links[from].is_up {
            if self.broker.links[from].is_told {
                self.tell(from, 0, Input::Broker(BrokerEvent::Unsent));
            }
            return;
        }
        if self.mishap(self.plan.unsent) {
            // Others of the same commit may follow before the node hears of it.
            self.excuse(said);
            self.tell(from, 0, Input::Broker(BrokerEvent::Unsent));
            return;
        }
        for to in 0..NODES {
            if to != from {
                self.fly((from, to), channel, payload, said);
            }
        }
    }

    /// Nobody can know of an event whose message was lost without a word, nor of any that a beat should have
    /// told when the beat was.
    fn excuse(&mut self, said: Said) {
        let lost = &mut self.broker.lost_silently;
        match said {
            Said::Event(pos) => lost.extend([pos]),
            Said::Beat(slot) => {
                let stored = self.store.rooms.iter().flatten();
                lost.extend(stored.filter(|it| it.origin == slot).map(|it| it.pos));
            }
            Said::Other => {}
        }
    }

    fn fly(&mut self, (from, to): (usize, usize), channel: &Topic, payload: &Bytes, said: Said) {
        if self.mishap(self.plan.silent_drop) {
            self.note(|_| format!("lost {from} -> {to} {channel} {said:?}"));
            self.excuse(said);
            return;
        }
        let is_lost = self.mishap(self.plan.told_drop);
        let most = if self.mishap(self.plan.delay) { 300 } else { 4 };
        let at = (self.now + self.dice.between(0, most)).max(self.broker.last[from][to]);
        self.broker.last[from][to] = at;
        let links = &self.broker.links;
        let flight = || Flight {
            from,
            to,
            generations: (links[from].generation, links[to].generation),
            sent_at: self.now,
            is_lost,
            channel: channel.clone(),
            payload: payload.clone(),
        };
        let (first, second) = (flight(), flight());
        self.after(at - self.now, Event::Arrive(first));
        if self.mishap(self.plan.double) {
            let ms = self.dice.between(0, 300);
            self.after(at - self.now + ms, Event::Arrive(second));
        }
    }

    pub(super) fn arrive(&mut self, flight: Flight) {
        let (sender, receiver) = (&self.broker.links[flight.from], &self.broker.links[flight.to]);
        let was_cut =
            sender.cuts.get(&flight.generations.0).is_some_and(|at| flight.sent_at >= *at);
        let is_there = receiver.is_up
            && receiver.generation == flight.generations.1
            && receiver.channels.contains(&flight.channel);
        if was_cut || !is_there {
            return;
        }
        let event = if flight.is_lost {
            BrokerEvent::Missed
        } else {
            BrokerEvent::Message { channel: flight.channel, payload: flight.payload }
        };
        self.tell(flight.to, 0, Input::Broker(event));
    }

    /// Changes take effect in the order in which they were asked for.
    pub(super) fn change_channels(&mut self, node: usize, change: Change) {
        let ms = self.dice.between(0, 20);
        let link = &mut self.broker.links[node];
        link.change_at = link.change_at.max(self.now + ms);
        let after = link.change_at - self.now;
        self.after(after, Event::Change { node, change });
    }

    pub(super) fn change(&mut self, node: usize, change: Change) {
        let current = self.nodes[node].life;
        let link = &mut self.broker.links[node];
        match change {
            Change::Subscribe { channels, life } if life == current => {
                link.channels.extend(channels.iter().cloned());
                let is_confirmed = link.is_up;
                let ms = self.dice.between(0, 10);
                self.tell(node, ms, Input::Subscribed(channels, is_confirmed));
            }
            Change::Unsubscribe { channels, life } if life == current => {
                link.channels.retain(|channel| !channels.contains(channel));
            }
            Change::Subscribe { .. } | Change::Unsubscribe { .. } => {}
        }
    }

    /// Cuts a node off, which it notices after a while, and after another is there again.
    pub(super) fn cut_link(&mut self, node: usize, notices: (u64, u64), returns: (u64, u64)) {
        let ago = self.dice.between(0, 20);
        let cut_at = self.now.saturating_sub(ago);
        let link = &mut self.broker.links[node];
        if !link.is_up {
            return;
        }
        link.is_up = false;
        link.is_told = false;
        link.cuts.insert(link.generation, cut_at);
        link.generation += 1;
        self.upset(node);
        self.note(|_| format!("node {node} is cut off"));
        let told = self.dice.between(notices.0, notices.1);
        let up = told + self.dice.between(returns.0, returns.1);
        self.after(told, Event::LinkTold(node));
        self.after(up, Event::LinkUp(node));
    }

    pub(super) fn link_told(&mut self, node: usize) {
        let link = &mut self.broker.links[node];
        if !link.is_up && !link.is_told {
            link.is_told = true;
            self.tell(node, 0, Input::Broker(BrokerEvent::Down));
        }
    }

    pub(super) fn link_up(&mut self, node: usize) {
        let is_on = self.nodes[node].process.is_some();
        let link = &mut self.broker.links[node];
        if is_on && !link.is_up {
            if let Some((_, until)) = &mut self.nodes[node].upset {
                *until = self.now;
            }
            link.is_up = true;
            link.is_told = false;
            link.connections += 1;
            self.note(|_| format!("node {node} is connected"));
            self.tell(node, 0, Input::Broker(BrokerEvent::Up));
        }
    }
}
