//! Who subscribes to what: topics, sessions and the subscriptions between them.
//!
//! A subscription is one small entry that is threaded into two lists, the members of its topic and
//! the topics of its session, so that joining and leaving cost the same whatever the sizes. It is
//! found by walking the session's list while that is short, by a map once it is long.

use std::collections::HashMap;

use crate::arena::{Arena, NIL};
use crate::{Dialect, Topic};

/// From this many topics on a session's subscriptions are also in the map.
const WALKED_MAX: u32 = 16;

/// One byte with only one value: the others mark a vacant place of the arena, which would
/// otherwise be eight bytes larger.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Taken {
    Yes = 1,
}

/// One session in one topic.
pub(crate) struct Subscription {
    pub(crate) session: u32,
    pub(crate) topic: u32,
    /// In which spelling; one session may hear a topic in several.
    pub(crate) dialect: Dialect,
    /// Never read.
    _taken: Taken,
    /// The highest `seq` delivered or kept back.
    pub(crate) last_seq: u64,
    next_member: u32,
    previous_member: u32,
    next_topic: u32,
    previous_topic: u32,
}

impl Subscription {
    /// The next subscription of the same session.
    pub(crate) fn next_topic(&self) -> u32 {
        self.next_topic
    }
}

struct TopicState {
    name: Topic,
    first: u32,
    members: u32,
}

/// The subscriptions of one session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopicList {
    pub(crate) first: u32,
    pub(crate) len: u32,
}

impl TopicList {
    pub(crate) const EMPTY: Self = Self { first: NIL, len: 0 };
}

/// All topics of a shard.
pub(crate) struct Topics {
    names: HashMap<Topic, u32>,
    topics: Arena<TopicState>,
    subscriptions: Arena<Subscription>,
    /// (session, topic, dialect) → subscription, for sessions with many.
    wide: HashMap<(u32, u32, Dialect), u32>,
    /// What the walk under way comes to next; see [`Topics::begin_walk`].
    walk: u32,
}

impl Topics {
    pub(crate) fn new() -> Self {
        Self {
            names: HashMap::new(),
            topics: Arena::new(),
            subscriptions: Arena::new(),
            wide: HashMap::new(),
            walk: NIL,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    pub(crate) fn name(&self, topic: u32) -> Option<&Topic> {
        self.topics.get(topic).map(|topic| &topic.name)
    }

    pub(crate) fn find(&self, name: &Topic) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Begins a walk over a topic's members; one before it is over. Whatever is removed meanwhile,
    /// [`Topics::walk_on`] meets each member that is still there once, and none that is added.
    pub(crate) fn begin_walk(&mut self, topic: u32) {
        self.walk = self.first_member(topic);
    }

    /// The next member of the walk and its index.
    pub(crate) fn walk_on(&mut self) -> Option<(u32, &mut Subscription)> {
        let index = self.walk;
        let subscription = self.subscriptions.get_mut(index)?;
        self.walk = subscription.next_member;
        Some((index, subscription))
    }

    /// The first subscription of a topic, or [`NIL`].
    fn first_member(&self, topic: u32) -> u32 {
        self.topics.get(topic).map_or(NIL, |topic| topic.first)
    }

    /// How many subscriptions a topic has; a session counts once per dialect.
    pub(crate) fn members(&self, topic: u32) -> u32 {
        self.topics.get(topic).map_or(0, |topic| topic.members)
    }

    pub(crate) fn get_mut(&mut self, subscription: u32) -> Option<&mut Subscription> {
        self.subscriptions.get_mut(subscription)
    }

    /// The subscription of a session to a topic in a dialect.
    pub(crate) fn lookup(
        &self,
        session: u32,
        list: TopicList,
        (topic, dialect): (u32, Dialect),
    ) -> Option<u32> {
        if list.len > WALKED_MAX {
            return self.wide.get(&(session, topic, dialect)).copied();
        }
        let mut index = list.first;
        while let Some(subscription) = self.subscriptions.get(index) {
            if subscription.topic == topic && subscription.dialect == dialect {
                return Some(index);
            }
            index = subscription.next_topic;
        }
        None
    }

    /// Adds a subscription that must not be there yet.
    pub(crate) fn add(
        &mut self,
        session: u32,
        list: &mut TopicList,
        (name, dialect): (&Topic, Dialect),
    ) -> u32 {
        let topic = self.find(name).unwrap_or_else(|| {
            let state = TopicState { name: name.clone(), first: NIL, members: 0 };
            let index = self.topics.insert(state);
            self.names.insert(name.clone(), index);
            index
        });
        let next_member = self.first_member(topic);
        let index = self.subscriptions.insert(Subscription {
            session,
            topic,
            dialect,
            _taken: Taken::Yes,
            last_seq: 0,
            next_member,
            previous_member: NIL,
            next_topic: list.first,
            previous_topic: NIL,
        });
        if let Some(after) = self.subscriptions.get_mut(next_member) {
            after.previous_member = index;
        }
        if let Some(after) = self.subscriptions.get_mut(list.first) {
            after.previous_topic = index;
        }
        if let Some(state) = self.topics.get_mut(topic) {
            state.first = index;
            state.members += 1;
        }
        *list = TopicList { first: index, len: list.len + 1 };
        if list.len == WALKED_MAX + 1 {
            self.map_all(session, *list);
        } else if list.len > WALKED_MAX {
            self.wide.insert((session, topic, dialect), index);
        }
        index
    }

    /// Removes a subscription and, with its last one, the topic, whose name is given then.
    pub(crate) fn remove(&mut self, list: &mut TopicList, subscription: u32) -> Option<Topic> {
        let gone = self.subscriptions.remove(subscription)?;
        if self.walk == subscription {
            self.walk = gone.next_member;
        }
        if list.len > WALKED_MAX {
            self.wide.remove(&(gone.session, gone.topic, gone.dialect));
        }
        if list.len == WALKED_MAX + 1 {
            self.unmap_all(gone.session, list.first);
            self.unmap_all(gone.session, gone.next_topic);
        }
        let vacated = self.unlink_member(&gone);
        if let Some(after) = self.subscriptions.get_mut(gone.next_topic) {
            after.previous_topic = gone.previous_topic;
        }
        match self.subscriptions.get_mut(gone.previous_topic) {
            Some(before) => before.next_topic = gone.next_topic,
            None => list.first = gone.next_topic,
        }
        list.len -= 1;
        vacated
    }

    fn unlink_member(&mut self, gone: &Subscription) -> Option<Topic> {
        if let Some(after) = self.subscriptions.get_mut(gone.next_member) {
            after.previous_member = gone.previous_member;
        }
        let before = self.subscriptions.get_mut(gone.previous_member);
        let is_first = before.is_none();
        if let Some(before) = before {
            before.next_member = gone.next_member;
        }
        let state = self.topics.get_mut(gone.topic)?;
        if is_first {
            state.first = gone.next_member;
        }
        state.members -= 1;
        if state.members > 0 {
            return None;
        }
        let vacated = self.topics.remove(gone.topic)?;
        self.names.remove(&vacated.name);
        Some(vacated.name)
    }

    fn map_all(&mut self, session: u32, list: TopicList) {
        let mut index = list.first;
        while let Some(subscription) = self.subscriptions.get(index) {
            self.wide.insert((session, subscription.topic, subscription.dialect), index);
            index = subscription.next_topic;
        }
    }

    /// Takes the subscriptions from `index` on out of the map.
    fn unmap_all(&mut self, session: u32, mut index: u32) {
        while let Some(subscription) = self.subscriptions.get(index) {
            self.wide.remove(&(session, subscription.topic, subscription.dialect));
            index = subscription.next_topic;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(topics: &Topics, name: &str) -> Vec<u32> {
        let Some(topic) = topics.find(&Topic::new(name)) else { return Vec::new() };
        let mut index = topics.first_member(topic);
        let mut out = Vec::new();
        while let Some(subscription) = topics.subscriptions.get(index) {
            out.push(subscription.session);
            index = subscription.next_member;
        }
        assert_eq!(out.len(), topics.members(topic) as usize);
        out.sort_unstable();
        out
    }

    #[test]
    fn a_topic_lives_as_long_as_it_has_members() {
        let mut topics = Topics::new();
        let mut lists = [TopicList::EMPTY; 3];
        let name = Topic::new("room");
        let added: Vec<u32> = (0..3)
            .map(|session| topics.add(session, &mut lists[session as usize], (&name, Dialect(0))))
            .collect();
        assert_eq!(members(&topics, "room"), [0, 1, 2]);
        topics.remove(&mut lists[1], added[1]);
        assert_eq!(members(&topics, "room"), [0, 2]);
        topics.remove(&mut lists[0], added[0]);
        topics.remove(&mut lists[2], added[2]);
        assert_eq!(members(&topics, "room"), [] as [u32; 0]);
        assert_eq!((topics.len(), topics.subscriptions()), (0, 0));
    }

    #[test]
    fn a_walk_outlives_the_members_it_has_met_and_those_it_has_not() {
        let mut topics = Topics::new();
        let mut lists = [TopicList::EMPTY; 6];
        let name = Topic::new("room");
        let added: Vec<u32> = (0..5)
            .map(|session| topics.add(session, &mut lists[session as usize], (&name, Dialect(0))))
            .collect();
        topics.begin_walk(topics.find(&name).unwrap());
        let mut met = Vec::new();
        while let Some(session) = topics.walk_on().map(|(_, subscription)| subscription.session) {
            met.push(session);
            if session == 3 {
                // Itself, the next and the one after; the newcomer takes a freed place.
                for gone in [3, 2, 1] {
                    topics.remove(&mut lists[gone], added[gone]);
                }
                topics.add(5, &mut lists[5], (&name, Dialect(0)));
            }
        }
        assert_eq!(met, [4, 3, 0]);
        assert_eq!(members(&topics, "room"), [0, 4, 5]);
    }

    #[test]
    fn subscriptions_are_found_below_and_above_the_map_bound() {
        let mut topics = Topics::new();
        let mut list = TopicList::EMPTY;
        let names: Vec<Topic> = (0..40).map(|i| Topic::new(format!("t{i}"))).collect();
        let found = |topics: &Topics, list, name: &Topic| {
            topics.find(name).and_then(|topic| topics.lookup(7, list, (topic, Dialect(0))))
        };
        for (i, name) in names.iter().enumerate() {
            assert_eq!(found(&topics, list, name), None);
            topics.add(7, &mut list, (name, Dialect(0)));
            for known in &names[..=i] {
                assert!(found(&topics, list, known).is_some());
            }
        }
        // Every third first, so that removals meet both ends and the middle of the list.
        for i in (0..40).step_by(3).chain((0..40).filter(|i| i % 3 != 0)) {
            let subscription = found(&topics, list, &names[i]).unwrap();
            topics.remove(&mut list, subscription);
            assert_eq!(found(&topics, list, &names[i]), None);
            for name in &names {
                assert_eq!(topics.find(name).is_some(), found(&topics, list, name).is_some());
            }
        }
        assert_eq!(list.len, 0);
        assert!(topics.wide.is_empty());
    }
}
