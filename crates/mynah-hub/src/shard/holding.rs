//! Keeping publications back while the caller sends what a session missed.

use std::collections::HashMap;

use super::{
    Amount, Class, Dialect, FrameList, Phase, Queued, Session, SessionId, Shard, Socket, Topic,
};

/// The dialects a session holds. A session that holds none has no such box.
#[derive(Default)]
pub(super) struct Holds {
    each: Vec<Hold>,
}

/// What is kept back in one dialect.
struct Hold {
    dialect: Dialect,
    /// The highest `pos` the shard took before the hold began.
    pos: u64,
    /// In the order of arrival.
    kept: FrameList,
    /// Ephemeral frames in `kept`.
    ephemeral: u32,
}

impl<S: Socket> Session<S> {
    fn hold(&mut self, dialect: Dialect) -> Option<&mut Hold> {
        self.holds.as_mut()?.each.iter_mut().find(|hold| hold.dialect == dialect)
    }

    fn take_hold(&mut self, dialect: Dialect) -> Option<Hold> {
        let each = &mut self.holds.as_mut()?.each;
        let index = each.iter().position(|hold| hold.dialect == dialect)?;
        let hold = each.swap_remove(index);
        if each.is_empty() {
            self.holds = None;
        }
        Some(hold)
    }
}

impl<S: Socket> Shard<S> {
    /// Says where the order over all topics stands, for sessions that hold before a publication
    /// comes. Never goes back.
    pub fn start_pos(&mut self, pos: u64) {
        self.last_pos = self.last_pos.max(pos);
    }

    /// Keeps back from now on what is published to the session in `dialect`, and gives the highest
    /// `pos` taken before: what comes after it will be kept. A dialect that is held already stays
    /// so and gives the same `pos` as before. `None` if the session is over.
    pub fn hold(&mut self, id: SessionId, dialect: Dialect) -> Option<u64> {
        let pos = self.last_pos;
        let session = self.open(id)?;
        if let Some(held) = session.hold(dialect) {
            return Some(held.pos);
        }
        let hold = Hold { dialect, pos, kept: FrameList::EMPTY, ephemeral: 0 };
        session.holds.get_or_insert_default().each.push(hold);
        Some(pos)
    }

    /// Ends a hold: what was kept is queued in the order of arrival, except what is not above
    /// `after` of its topic. From then on neither is anything published that is not above it,
    /// whether the dialect was held or not.
    pub fn resume(&mut self, id: SessionId, dialect: Dialect, after: &[(Topic, u64)]) {
        let Some(list) = self.open(id).map(|session| session.topics) else { return };
        let mut sent = HashMap::with_capacity(after.len());
        for (topic, seq) in after {
            let Some(topic) = self.topics.find(topic) else { continue };
            let Some(index) = self.topics.lookup(id.slot, list, (topic, dialect)) else { continue };
            if let Some(subscription) = self.topics.get_mut(index) {
                subscription.last_seq = subscription.last_seq.max(*seq);
                sent.insert(index, *seq);
            }
        }
        let Some(mut hold) = self.session(id.slot).and_then(|s| s.take_hold(dialect)) else {
            return;
        };
        while let Some(queued) = self.frames.pop(&mut hold.kept) {
            self.unkeep(id.slot, Amount::of(&queued.frame));
            let sent = sent.get(&queued.subscription);
            if sent.zip(queued.seq).is_some_and(|(sent, seq)| seq.get() <= *sent) {
                self.stats.dropped_duplicates += 1;
            } else {
                self.enqueue(id.slot, queued);
            }
        }
        self.tell_drained(id.slot);
    }

    /// Queues a publication, or keeps it back if its dialect is held.
    pub(super) fn deliver(&mut self, slot: u32, dialect: Dialect, queued: Queued) {
        if self.session(slot).is_some_and(|session| session.hold(dialect).is_some()) {
            self.keep(slot, dialect, queued);
        } else {
            self.enqueue(slot, queued);
        }
    }

    /// Keeps a publication back. It counts towards the session's bounds, and a newer state replaces
    /// the kept one of the same key.
    fn keep(&mut self, slot: u32, dialect: Dialect, queued: Queued) {
        let more = Amount::of(&queued.frame);
        let Some(session) = self.session(slot) else { return };
        if session.phase == Phase::Closing || !session.speaks(&queued.frame) {
            return;
        }
        if let Class::Ephemeral { key } = queued.class {
            let replaced = self.drop_kept_where(
                slot,
                |hold| hold.dialect == dialect,
                |kept| kept.class == Class::Ephemeral { key },
            );
            self.stats.dropped_ephemeral += u64::from(replaced.frames);
        }
        if !self.make_room(slot, more, queued.class) {
            return;
        }
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        let ephemeral = u32::from(queued.class != Class::Durable);
        let Some(hold) = session.hold(dialect) else { return };
        hold.ephemeral += ephemeral;
        self.frames.push(&mut hold.kept, queued);
        session.waiting.add(more);
        self.stats.kept_frames += u64::from(more.frames);
        self.stats.kept_bytes += u64::from(more.bytes);
    }

    /// Makes room by dropping all kept states.
    pub(super) fn drop_kept_ephemeral(&mut self, slot: u32) {
        let dropped = self.drop_kept_where(
            slot,
            |hold| hold.ephemeral > 0,
            |kept| kept.class != Class::Durable,
        );
        self.stats.dropped_ephemeral += u64::from(dropped.frames);
    }

    /// Drops what was kept of one subscription.
    pub(super) fn drop_kept_of(&mut self, slot: u32, subscription: u32) {
        let Some(of) = self.topics.get_mut(subscription).map(|of| of.dialect) else { return };
        let dropped = self.drop_kept_where(
            slot,
            |hold| hold.dialect == of,
            |kept| kept.subscription == subscription,
        );
        if dropped.frames > 0 {
            self.tell_drained(slot);
        }
    }

    /// Ends the hold of a dialect without sending what was kept.
    pub(super) fn end_hold(&mut self, slot: u32, dialect: Dialect) {
        let Some(mut hold) = self.session(slot).and_then(|s| s.take_hold(dialect)) else { return };
        let dropped = self.frames.clear(&mut hold.kept, false);
        self.unkeep(slot, dropped);
        self.tell_drained(slot);
    }

    /// Ends all holds of a session without sending what was kept.
    pub(super) fn drop_kept(&mut self, slot: u32) {
        let Some(holds) = self.session(slot).and_then(|session| session.holds.take()) else {
            return;
        };
        for mut hold in holds.each {
            let dropped = self.frames.clear(&mut hold.kept, false);
            self.unkeep(slot, dropped);
        }
    }

    fn drop_kept_where(
        &mut self,
        slot: u32,
        in_hold: impl Fn(&Hold) -> bool,
        unwanted: impl Fn(&Queued) -> bool,
    ) -> Amount {
        let mut sum = Amount::default();
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return sum;
        };
        let Some(holds) = session.holds.as_mut() else { return sum };
        for hold in holds.each.iter_mut().filter(|hold| in_hold(hold)) {
            let ephemeral = std::cell::Cell::new(0);
            let dropped = self.frames.remove_where(&mut hold.kept, false, |kept| {
                let unwanted = unwanted(kept);
                if unwanted && kept.class != Class::Durable {
                    ephemeral.set(ephemeral.get() + 1);
                }
                unwanted
            });
            hold.ephemeral -= ephemeral.get();
            sum.add(dropped);
        }
        self.unkeep(slot, sum);
        sum
    }

    /// Takes `less` off what the session and the shard keep.
    fn unkeep(&mut self, slot: u32, less: Amount) {
        self.stats.kept_frames -= u64::from(less.frames);
        self.stats.kept_bytes -= u64::from(less.bytes);
        if let Some(session) = self.session(slot) {
            session.waiting.take(less);
        }
    }
}
