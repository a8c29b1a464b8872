//! Subscribing and publishing.

use std::num::NonZeroU64;

use super::{
    Close, CloseEach, CloseReason, Dialect, Publication, Queued, SessionId, Shard, Socket, Topic,
};

impl<S: Socket> Shard<S> {
    /// Subscribes a session in one dialect; again is harmless.
    pub fn subscribe(&mut self, id: SessionId, dialect: Dialect, topic: &Topic) {
        let Some(list) = self.open(id).map(|session| session.topics) else { return };
        let found = self.topics.find(topic);
        if found.and_then(|t| self.topics.lookup(id.slot, list, (t, dialect))).is_some() {
            return;
        }
        if list.len as usize >= self.limits.subscriptions_max {
            self.end(id.slot, CloseReason::TooManySubscriptions);
            return;
        }
        if let Some(session) = self.slots.get_mut(id.slot as usize).and_then(|s| s.session.as_mut())
        {
            self.topics.add(id.slot, &mut session.topics, (topic, dialect));
        }
        if found.is_none()
            && let Some(interest) = &self.interest
        {
            interest.gained(topic);
        }
    }

    /// Ends a subscription; what was kept back of it is dropped.
    pub fn unsubscribe(&mut self, id: SessionId, dialect: Dialect, topic: &Topic) {
        let Some(list) = self.open(id).map(|session| session.topics) else { return };
        if let Some(topic) = self.topics.find(topic)
            && let Some(index) = self.topics.lookup(id.slot, list, (topic, dialect))
        {
            self.remove_subscription(id.slot, index);
        }
    }

    /// Ends all subscriptions of a session in one dialect, and the hold if it is held; what was kept
    /// back is dropped.
    pub fn unsubscribe_all(&mut self, id: SessionId, dialect: Dialect) {
        let Some(mut index) = self.open(id).map(|session| session.topics.first) else { return };
        self.end_hold(id.slot, dialect);
        while let Some(subscription) = self.topics.get_mut(index) {
            let next = subscription.next_topic();
            if subscription.dialect == dialect {
                self.remove_subscription(id.slot, index);
            }
            index = next;
        }
    }

    /// Queues a publication for every subscriber of its topic, or keeps it back.
    pub fn publish(&mut self, publication: &Publication) {
        self.stats.publications += 1;
        self.start_pos(publication.pos.unwrap_or(0));
        let Some(topic) = self.topics.find(&publication.topic) else { return };
        self.topics.begin_walk(topic);
        // A full queue may end the session and with it this subscription and any other.
        while let Some((member, subscription)) = self.topics.walk_on() {
            let (slot, dialect) = (subscription.session, subscription.dialect);
            if let Some(seq) = publication.seq {
                if seq <= subscription.last_seq {
                    self.stats.dropped_duplicates += 1;
                    continue;
                }
                subscription.last_seq = seq;
            }
            if let Some(queued) = self.spell(member, (slot, dialect), publication) {
                self.deliver(slot, dialect, queued);
            }
        }
    }

    /// Ends every session of a topic except one, with the last frame of the dialect it hears the topic in.
    pub fn close_topic(&mut self, topic: &Topic, close: &CloseEach, except: Option<SessionId>) {
        let Some(topic) = self.topics.find(topic) else { return };
        self.topics.begin_walk(topic);
        while let Some((_, subscription)) = self.topics.walk_on() {
            let (slot, dialect) = (subscription.session, subscription.dialect);
            let id = self.id_of(slot);
            if except != Some(id) {
                let Close { reason, last } = close.in_dialect(dialect);
                self.end_with(slot, reason, last);
            }
        }
    }

    /// Subscribes every session of `of` to `topic` in the dialect it hears `of` in.
    pub fn subscribe_members(&mut self, of: &Topic, topic: &Topic) {
        self.for_members(of, |shard, id, dialect| shard.subscribe(id, dialect, topic));
    }

    /// Ends the subscription to `topic` of every session of `of`.
    pub fn unsubscribe_members(&mut self, of: &Topic, topic: &Topic) {
        self.for_members(of, |shard, id, dialect| shard.unsubscribe(id, dialect, topic));
    }

    /// How many subscriptions a topic has; a session counts once per dialect.
    pub fn members(&self, topic: &Topic) -> usize {
        self.topics.find(topic).map_or(0, |topic| self.topics.members(topic) as usize)
    }

    /// Who subscribes to a topic, and in which dialect.
    pub fn subscribers(&mut self, topic: &Topic) -> Vec<(SessionId, Dialect)> {
        let mut found = Vec::new();
        self.for_members(topic, |_, id, dialect| found.push((id, dialect)));
        found
    }

    /// What a session subscribes to in one dialect.
    pub fn subscriptions(&mut self, id: SessionId, dialect: Dialect) -> Vec<Topic> {
        let mut found = Vec::new();
        let Some(mut index) = self.open(id).map(|session| session.topics.first) else {
            return found;
        };
        while let Some(subscription) = self.topics.get_mut(index) {
            let (next, topic) = (subscription.next_topic(), subscription.topic);
            if subscription.dialect == dialect {
                found.extend(self.topics.name(topic).cloned());
            }
            index = next;
        }
        found
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
    fn spell(
        &self,
        subscription: u32,
        (slot, dialect): (u32, Dialect),
        publication: &Publication,
    ) -> Option<Queued> {
        if publication.except.is_some_and(|id| id.slot == slot && id == self.id_of(slot)) {
            return None;
        }
        let frame = publication.frames.get(dialect)?.clone();
        let seq = publication.seq.and_then(NonZeroU64::new);
        Some(Queued { frame, class: publication.class, subscription, seq })
    }

    /// Removes a subscription and drops what was kept back of it.
    pub(super) fn remove_subscription(&mut self, slot: u32, subscription: u32) {
        self.drop_kept_of(slot, subscription);
        if let Some(session) = self.slots.get_mut(slot as usize).and_then(|s| s.session.as_mut()) {
            let vacated = self.topics.remove(&mut session.topics, subscription);
            if let Some((interest, topic)) = self.interest.as_ref().zip(vacated) {
                interest.lost(&topic);
            }
        }
    }
}
