//! What a process stores and tells the others of.

use mynah_hub::cluster::Item;

use super::super::faults::Sabotage;
use super::super::store::{Message, Outcome, Stored};
use super::super::wire::Word;
use super::super::world::{Event, World, topic_of};
use super::{Process, REQUESTS_MAX};

impl Process {
    pub(super) fn request(&mut self, world: &mut World, message: Message) {
        if world.run.sabotage == Sabotage::AckBeforeCommit {
            Self::ack(world, message);
        }
        if self.requests.len() < REQUESTS_MAX {
            self.requests.push(message);
        }
        self.begin(world);
    }

    /// The writer takes all that has queued.
    fn begin(&mut self, world: &mut World) {
        if self.is_committing || self.requests.is_empty() || !self.speaks(world) {
            return;
        }
        self.is_committing = true;
        let life = world.nodes[self.node].life;
        let messages = std::mem::take(&mut self.requests);
        let transaction = world.store.begin(self.node, life, messages, self.lease);
        let most = if world.mishap(world.plan.store_slow) { 1_500 } else { 25 };
        let ms = world.dice.between(1, most);
        world.after(ms, Event::Commit(transaction));
    }

    pub(super) fn committed(&mut self, world: &mut World, outcome: Outcome) {
        self.is_committing = false;
        match outcome {
            Outcome::Committed(messages) => {
                for (stored, was_there) in messages {
                    if !was_there {
                        self.stored(world, stored);
                    }
                    Self::ack(world, stored.message);
                }
            }
            Outcome::Failed => {}
            Outcome::Unknown => self.follower.unsure(world.now, self.lease.slot),
            Outcome::Fenced => self.is_over = true,
        }
        self.begin(world);
    }

    fn stored(&mut self, world: &mut World, stored: Stored) {
        let Stored { message, seq, pos, origin } = stored;
        let stream = topic_of(message.room);
        // A connection that the node was not told of yet may be a new one.
        let connection = world.broker.links[self.node].connections;
        if self.follower.wants_beat() || self.told_on != connection {
            self.tell_heads(world);
        }
        let is_hint = world.mishap(world.plan.hints);
        let said = Word::Event { seq, pos, message: (!is_hint).then_some(message) };
        self.say(world, &stream, &said);
        self.follower.own(world.now, Item { stream, seq, pos, origin, event: message });
        self.act(world);
    }

    fn ack(world: &mut World, message: Message) {
        let ms = world.dice.between(1, 5);
        world.after(ms, Event::Acked { sender: message.sender, number: message.number });
    }
}
