//! What a process hears of the others and reads of the store.

use mynah_hub::cluster::{Envelope, Heard, Item};
use mynah_hub::{BrokerEvent, Topic};

use super::super::faults::Sabotage;
use super::super::store::Stored;
use super::super::wire::Word;
use super::super::world::{LEASE_MS, ROOMS, World};
use super::{BEAT_MS, Input, Process, common};

impl Process {
    pub(super) fn broker(&mut self, world: &mut World, event: BrokerEvent) {
        let now = world.now;
        let is_deaf = world.run.sabotage == Sabotage::NoComparing;
        match event {
            BrokerEvent::Message { channel, payload } => {
                for envelope in Envelope::all(payload) {
                    match envelope {
                        Ok(envelope) => self.heard(world, &channel, &envelope),
                        Err(error) => world.fail(format!("a node sent garbage: {error}")),
                    }
                }
            }
            BrokerEvent::Up if !is_deaf || self.started_at + 500 > now => {
                self.follower.broker_up(now);
            }
            BrokerEvent::Up | BrokerEvent::Down | BrokerEvent::Missed if is_deaf => {}
            BrokerEvent::Up => self.follower.broker_up(now),
            BrokerEvent::Down => self.follower.broker_down(now),
            BrokerEvent::Missed => {
                self.missed_at = Some(now);
                self.follower.missed(now);
            }
            BrokerEvent::Unsent => self.follower.unsent(now),
        }
    }

    fn heard(&mut self, world: &mut World, channel: &Topic, envelope: &Envelope) {
        let (now, slot, epoch) = (world.now, envelope.slot, envelope.epoch);
        match self.peers.heard(now, slot, epoch) {
            Heard::Known | Heard::New => {}
            Heard::Returned(_) => self.follower.node_gone(now, slot),
            Heard::Stale | Heard::Ourselves => return,
            Heard::Usurped => {
                self.is_over = true;
                return;
            }
        }
        self.heard_at.insert(slot, now);
        let node = self.node;
        world.note(|_| {
            let word = Word::decode(envelope.kind, &envelope.body);
            format!("node {node} hears of {slot} on {channel}: {word:?}")
        });
        let Some(word) = Word::decode(envelope.kind, &envelope.body) else {
            return world.fail("a node sent what nobody can read".to_owned());
        };
        let sabotage = world.run.sabotage;
        match word {
            Word::Event { seq, pos, message: Some(message) } if sabotage == Sabotage::NoOrder => {
                let stream = channel.clone();
                self.deliver(world, &Item { stream, seq, pos, origin: slot, event: message });
            }
            Word::Event { seq, pos, message } => {
                self.follower.heard(now, slot, channel, seq, pos, message);
            }
            Word::Beat(_) if sabotage == Sabotage::NoComparing => {}
            Word::Beat(beat) => self.follower.beat_heard(now, slot, &beat),
            Word::Digest(digest) => self.people.digest_heard(now, (slot, epoch), &digest),
            Word::Delta(delta) => self.people.delta_heard(now, (slot, epoch), delta),
            Word::Part(_) if sabotage == Sabotage::NoSnapshots => {}
            Word::Part(part) => self.people.part_heard(now, (slot, epoch), part),
            Word::Ask(asked) if asked == self.lease.slot => {
                for part in self.people.snapshot() {
                    self.say(world, &common(), &Word::Part(part));
                }
            }
            Word::Ask(_) => {}
        }
    }

    pub(super) fn events(
        &mut self,
        world: &mut World,
        stream: &Topic,
        events: Vec<Stored>,
        head: u64,
    ) {
        self.reads_out -= 1;
        if world.run.sabotage == Sabotage::NoHealing {
            // As if nothing had been missed.
            let skipped = events.into_iter().map(|stored| stored.seq).max().unwrap_or(head);
            self.follower.events(world.now, stream, Vec::new(), skipped, false);
            return;
        }
        let item = |stored: Stored| Item {
            stream: stream.clone(),
            seq: stored.seq,
            pos: stored.pos,
            origin: stored.origin,
            event: stored.message,
        };
        let items = events.into_iter().map(item).collect();
        self.follower.events(world.now, stream, items, head, false);
    }

    pub(super) fn beat(&mut self, world: &mut World) {
        let now = world.now;
        world.tell(self.node, BEAT_MS, Input::Beat);
        for (slot, epoch) in self.peers.expire(now, LEASE_MS) {
            if world.run.sabotage != Sabotage::NoExpiry {
                self.follower.node_gone(now, slot);
                self.people.expire_node(slot, epoch);
            }
        }
        self.settle_base(world);
        self.tell_heads(world);
        self.say(world, &common(), &Word::Digest(self.people.digest()));
        let stats = self.follower.stats();
        let is_bounded = stats.waiting <= self.config.waiting_all_max as u64
            && stats.streams <= ROOMS as u64
            && self.reads_out <= self.config.reads_max;
        if !is_bounded {
            world.fail(format!("node {} has a queue that is too long: {stats:?}", self.node));
        }
    }

    /// What is delivered of all that may store is delivered of everybody, once the directory has been read
    /// after that.
    fn settle_base(&mut self, world: &mut World) {
        if !self.is_committing && !world.store_is_down() && self.speaks(world) {
            self.follower.stored_up_to(self.lease.slot, world.store.horizon());
        }
        let (looked_at, slots) = &self.directory;
        let Some(delivered) = self.follower.delivered_of(slots) else {
            self.base = None;
            return;
        };
        match self.base {
            Some((since, _)) if *looked_at <= since => return,
            Some((_, base)) => self.follower.raise_base(base),
            None => {}
        }
        self.base = Some((world.now, delivered));
    }

    pub(super) fn tell_heads(&mut self, world: &mut World) {
        self.told_on = world.broker.links[self.node].connections;
        loop {
            let beat = self.follower.beat(self.speaks(world));
            let is_last = !beat.more;
            self.say(world, &common(), &Word::Beat(beat));
            if is_last {
                break;
            }
        }
    }
}
