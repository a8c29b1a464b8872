//! Subscribing, publishing, holding back and releasing.

use super::{
    Amount, CloseEach, CloseReason, Dialect, FrameList, Publication, Queued, SessionId, Shard,
    Socket, Start, Topic,
};

impl<S: Socket> Shard<S> {
    /// Subscribes a session in one dialect; again is harmless, and [`Start::Held`] holds a live
    /// subscription.
    pub fn subscribe(&mut self, id: SessionId, dialect: Dialect, topic: &Topic, start: Start) {
        let Some(list) = self.open(id).map(|session| session.topics) else { return };
        let found = self.topics.find(topic);
        let known = found.and_then(|t| self.topics.lookup(id.slot, list, (t, dialect)));
        let index = if let Some(index) = known {
            index
        } else {
            if list.len as usize >= self.limits.subscriptions_max {
                self.end(id.slot, CloseReason::TooManySubscriptions);
                return;
            }
            let Some(session) =
                self.slots.get_mut(id.slot as usize).and_then(|s| s.session.as_mut())
            else {
                return;
            };
            self.topics.add(id.slot, &mut session.topics, (topic, dialect))
        };
        if start == Start::Held
            && let Some(subscription) = self.topics.get_mut(index)
        {
            subscription.held.get_or_insert(FrameList::EMPTY);
        }
    }

    /// Ends a subscription; what it held back is dropped.
    pub fn unsubscribe(&mut self, id: SessionId, dialect: Dialect, topic: &Topic) {
        let Some(list) = self.open(id).map(|session| session.topics) else { return };
        if let Some(topic) = self.topics.find(topic)
            && let Some(index) = self.topics.lookup(id.slot, list, (topic, dialect))
        {
            self.remove_subscription(id.slot, index);
        }
    }

    /// Ends all subscriptions of a session in one dialect; what they held back is dropped.
    pub fn unsubscribe_all(&mut self, id: SessionId, dialect: Dialect) {
        let Some(mut index) = self.open(id).map(|session| session.topics.first) else { return };
        while let Some(subscription) = self.topics.get_mut(index) {
            let next = subscription.next_topic();
            if subscription.dialect == dialect {
                self.remove_subscription(id.slot, index);
            }
            index = next;
        }
    }

    /// Makes a held subscription live: kept publications above `after_seq` (and those without a
    /// `seq`) are queued in order, the others dropped. From then on a publication is delivered
    /// only if its `seq` is above the last delivered.
    pub fn release(&mut self, id: SessionId, dialect: Dialect, topic: &Topic, after_seq: u64) {
        let Some(list) = self.open(id).map(|session| session.topics) else { return };
        let Some(topic) = self.topics.find(topic) else { return };
        let Some(index) = self.topics.lookup(id.slot, list, (topic, dialect)) else { return };
        let Some(subscription) = self.topics.get_mut(index) else { return };
        let mut held = subscription.held.take().unwrap_or(FrameList::EMPTY);
        let mut last_seq = subscription.last_seq.max(after_seq);
        subscription.last_seq = last_seq;
        while let Some(queued) = self.frames.pop(&mut held) {
            if let Some(session) = self.session(id.slot) {
                session.waiting.take(Amount::of(&queued.frame));
            }
            match queued.seq {
                Some(seq) if seq <= last_seq => {
                    self.stats.dropped_duplicates += 1;
                    continue;
                }
                Some(seq) => last_seq = seq,
                None => {}
            }
            self.enqueue(id.slot, queued);
        }
        // Gone if a queued frame ended the session.
        if let Some(subscription) = self.topics.get_mut(index)
            && subscription.session == id.slot
        {
            subscription.last_seq = last_seq;
        }
    }

    /// Queues a publication for every subscriber of its topic.
    pub fn publish(&mut self, publication: &Publication) {
        self.stats.publications += 1;
        let Some(topic) = self.topics.find(&publication.topic) else { return };
        self.topics.begin_walk(topic);
        // A full queue may end the session and with it this subscription and any other.
        while let Some((member, subscription)) = self.topics.walk_on() {
            let (slot, dialect) = (subscription.session, subscription.dialect);
            if subscription.held.is_some() {
                self.hold(member, (slot, dialect), publication);
                continue;
            }
            if let Some(seq) = publication.seq {
                if seq <= subscription.last_seq {
                    self.stats.dropped_duplicates += 1;
                    continue;
                }
                subscription.last_seq = seq;
            }
            if let Some(queued) = self.spell((slot, dialect), publication) {
                self.enqueue(slot, queued);
            }
        }
    }

    /// Ends every session of a topic except one.
    pub fn close_topic(&mut self, topic: &Topic, close: &CloseEach, except: Option<SessionId>) {
        let Some(topic) = self.topics.find(topic) else { return };
        self.topics.begin_walk(topic);
        while let Some((_, subscription)) = self.topics.walk_on() {
            let slot = subscription.session;
            let id = self.id_of(slot);
            if except != Some(id) {
                self.close_in_dialect(slot, close);
            }
        }
    }

    /// Subscribes every session of `of` to `topic`, live, in the dialect it hears `of` in.
    pub fn subscribe_members(&mut self, of: &Topic, topic: &Topic) {
        self.for_members(of, |shard, id, dialect| {
            shard.subscribe(id, dialect, topic, Start::Live);
        });
    }

    /// Ends the subscription to `topic` of every session of `of`.
    pub fn unsubscribe_members(&mut self, of: &Topic, topic: &Topic) {
        self.for_members(of, |shard, id, dialect| shard.unsubscribe(id, dialect, topic));
    }

    /// How many subscriptions a topic has; a session counts once per dialect.
    pub fn members(&self, topic: &Topic) -> usize {
        self.topics.find(topic).map_or(0, |topic| self.topics.members(topic) as usize)
    }

    fn for_members(&mut self, of: &Topic, mut act: impl FnMut(&mut Self, SessionId, Dialect)) {
        let Some(of) = self.topics.find(of) else { return };
        self.topics.begin_walk(of);
        while let Some((_, subscription)) = self.topics.walk_on() {
            let (slot, dialect) = (subscription.session, subscription.dialect);
            let id = self.id_of(slot);
            act(self, id, dialect);
        }
    }

    /// The publication in a subscription's dialect; `None` if it has no spelling or is the exception.
    fn spell(&self, (slot, dialect): (u32, Dialect), publication: &Publication) -> Option<Queued> {
        if publication.except.is_some_and(|id| id.slot == slot && id == self.id_of(slot)) {
            return None;
        }
        let frame = publication.frames.get(dialect)?.clone();
        Some(Queued { frame, class: publication.class, seq: publication.seq })
    }

    /// Keeps a publication back. It counts towards the session's bounds.
    fn hold(
        &mut self,
        subscription: u32,
        (slot, dialect): (u32, Dialect),
        publication: &Publication,
    ) {
        let Some(queued) = self.spell((slot, dialect), publication) else { return };
        let more = Amount::of(&queued.frame);
        if !self.make_room(slot, more, queued.class) {
            return;
        }
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        if let Some(held) = self.topics.get_mut(subscription).and_then(|s| s.held.as_mut()) {
            session.waiting.add(more);
            self.frames.push(held, queued);
        }
    }

    /// Removes a subscription and drops what it held back.
    pub(super) fn remove_subscription(&mut self, slot: u32, subscription: u32) {
        let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut())
        else {
            return;
        };
        if let Some(mut held) = self.topics.remove(&mut session.topics, subscription) {
            let dropped = self.frames.clear(&mut held, false);
            session.waiting.take(dropped);
        }
    }
}
