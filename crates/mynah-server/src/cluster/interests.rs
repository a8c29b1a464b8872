//! Which channels this node must hear, from what its sessions subscribe to.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moka::sync::Cache;
use mynah_domain::SessionFamily;
use mynah_hub::{Interest, Topic};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::streams;
use crate::topics;

/// How long somebody waits for a channel at most; what is missed then is found by the next comparison.
const PATIENCE: Duration = Duration::from_secs(12);

/// Places remembered at most, and for how long: connections follow at once, if there are any.
const STARTS_MAX: u64 = 10_000;
const START_FOR: Duration = Duration::from_secs(10);

/// A channel is wanted, or no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Somebody here hears it.
    Want(Topic),
    /// Nobody does any more.
    Unwant(Topic),
}

impl Wish {
    /// The channel that is wanted.
    pub fn wanted(&self) -> Option<&Topic> {
        match self {
            Self::Want(channel) => Some(channel),
            Self::Unwant(_) => None,
        }
    }
}

#[derive(Default)]
struct State {
    /// Who wants each channel: a topic counts once per shard.
    wanted: HashMap<Topic, u32>,
    /// What the node was told to hear.
    told: HashSet<Topic>,
    /// What the node has not been told of yet.
    changed: HashSet<Topic>,
    /// Wanted, and not yet heard from everywhere.
    unsettled: HashSet<Topic>,
    /// Sign-ins with sockets here.
    sign_ins: HashMap<SessionFamily, u32>,
}

/// Counts wishes; clones share the count.
#[derive(Clone)]
pub struct Interests {
    /// From where in the log on channels are to be heard whose listeners are here already.
    starts: Cache<Topic, u64>,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    settled: Arc<Notify>,
}

impl Default for Interests {
    fn default() -> Self {
        let starts = Cache::builder().max_capacity(STARTS_MAX).time_to_live(START_FOR).build();
        Self { starts, state: Arc::default(), changed: Arc::default(), settled: Arc::default() }
    }
}

impl Interests {
    /// Connections that are here are about to hear a channel, and must miss nothing after this place in the
    /// log.
    pub fn start_after(&self, channel: Topic, pos: u64) {
        self.starts.entry(channel).or_insert(pos);
    }

    /// The place after which a channel that is now wanted must be heard, if there is one.
    pub(super) fn take_start(&self, channel: &Topic) -> Option<u64> {
        self.starts.remove(channel)
    }

    /// A channel is wanted once more.
    pub fn want(&self, channel: Topic) {
        let mut state = self.state.lock();
        let count = state.wanted.entry(channel.clone()).or_default();
        *count += 1;
        if *count == 1 {
            if !state.told.contains(&channel) {
                state.unsettled.insert(channel.clone());
            }
            state.changed.insert(channel);
            self.changed.notify_one();
        }
    }

    /// A channel is wanted once less.
    pub fn unwant(&self, channel: &Topic) {
        let mut state = self.state.lock();
        let Some(count) = state.wanted.get_mut(channel) else { return };
        *count -= 1;
        if *count == 0 {
            state.wanted.remove(channel);
            state.changed.insert(channel.clone());
            self.changed.notify_one();
        }
    }

    /// Waits for a change of what is wanted, then gives all that changed since the last time: at most as much
    /// as was ever wanted at once.
    pub async fn wishes(&self) -> Vec<Wish> {
        loop {
            let told = self.changed.notified();
            tokio::pin!(told);
            // Before looking, so that nothing is told in between.
            told.as_mut().enable();
            let wishes = self.take();
            if !wishes.is_empty() {
                return wishes;
            }
            told.await;
        }
    }

    fn take(&self) -> Vec<Wish> {
        let mut state = self.state.lock();
        let changed = std::mem::take(&mut state.changed);
        let wish = |channel: Topic| {
            if state.wanted.contains_key(&channel) {
                state.told.insert(channel.clone()).then_some(Wish::Want(channel))
            } else {
                state.unsettled.remove(&channel);
                state.told.remove(&channel).then_some(Wish::Unwant(channel))
            }
        };
        changed.into_iter().filter_map(wish).collect()
    }

    /// The sign-ins that have sockets here.
    pub fn sign_ins(&self) -> Vec<SessionFamily> {
        self.state.lock().sign_ins.keys().cloned().collect()
    }

    /// These channels are heard from everywhere now. Who waits is woken once for all of them: in a storm as many wait
    /// as there are channels.
    pub fn settle<'c>(&self, channels: impl IntoIterator<Item = &'c Topic>) {
        let mut state = self.state.lock();
        let before = state.unsettled.len();
        for channel in channels {
            state.unsettled.remove(channel);
        }
        if state.unsettled.len() < before {
            self.settled.notify_waiters();
        }
    }

    /// Whether all that are wanted of these are heard from everywhere.
    fn are_settled(&self, channels: &[Topic]) -> bool {
        let state = self.state.lock();
        state.unsettled.is_empty() || !channels.iter().any(|c| state.unsettled.contains(c))
    }

    /// Waits until these channels are heard from everywhere; `false` if they are not within a bounded time.
    pub async fn heard(&self, channels: &[Topic]) -> bool {
        let waiting = async {
            loop {
                let told = self.settled.notified();
                tokio::pin!(told);
                // Before looking, so that nothing is told in between.
                told.as_mut().enable();
                if self.are_settled(channels) {
                    return;
                }
                told.await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        if !in_time {
            tracing::warn!(
                "a channel could not be subscribed to in time; it is compared with the store later"
            );
        }
        in_time
    }
}

#[async_trait]
impl Interest for Interests {
    fn gained(&self, topic: &Topic) {
        if let Some(family) = topics::read_sign_in(topic) {
            *self.state.lock().sign_ins.entry(family).or_default() += 1;
        } else if let Some(channel) = streams::feeding(topic) {
            self.want(channel);
        }
    }

    fn lost(&self, topic: &Topic) {
        if let Some(family) = topics::read_sign_in(topic) {
            let sign_ins = &mut self.state.lock().sign_ins;
            let left = sign_ins.get_mut(&family).map(|count| {
                *count -= 1;
                *count
            });
            if left == Some(0) {
                sign_ins.remove(&family);
            }
        } else if let Some(channel) = streams::feeding(topic) {
            self.unwant(&channel);
        }
    }

    async fn settled(&self, topics: &[Topic]) -> bool {
        let channels: Vec<Topic> = topics.iter().filter_map(streams::feeding).collect();
        channels.is_empty() || self.heard(&channels).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::new(name)
    }

    #[test]
    fn a_channel_is_wanted_as_long_as_anybody_wants_it() {
        let interests = Interests::default();
        interests.gained(&topic("u:1:t:ann"));
        interests.gained(&topic("v:1:t:ann"));
        interests.gained(&topic("f:family"));
        let inbox = topic("i:1:t:ann");
        assert_eq!(interests.take(), [Wish::Want(inbox.clone())]);
        interests.lost(&topic("u:1:t:ann"));
        assert_eq!(interests.take(), [], "still wanted by the other topic");
        interests.lost(&topic("v:1:t:ann"));
        assert_eq!(interests.take(), [Wish::Unwant(inbox)]);
        assert_eq!(interests.sign_ins(), [SessionFamily::trusted("family")]);
        interests.lost(&topic("f:family"));
        assert!(interests.sign_ins().is_empty());
    }

    #[test]
    fn what_came_and_went_in_between_is_no_change() {
        let interests = Interests::default();
        let room = topic("r:1");
        interests.gained(&room);
        interests.lost(&room);
        assert_eq!(interests.take(), []);
        interests.gained(&room);
        assert_eq!(interests.take(), [Wish::Want(room.clone())]);
        interests.settle([&room]);
        interests.lost(&room);
        interests.gained(&room);
        assert_eq!(interests.take(), []);
        assert!(interests.are_settled(&[room]), "it is heard all the time");
    }

    #[tokio::test(start_paused = true)]
    async fn who_subscribes_waits_until_it_is_heard() {
        let interests = Interests::default();
        let rooms = [topic("r:1"), topic("r:2")];
        for room in &rooms {
            interests.gained(room);
        }
        let waiter = interests.clone();
        let waiting = tokio::spawn(async move { waiter.settled(&rooms).await });
        interests.settle([&topic("r:1")]);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        interests.settle([&topic("r:2")]);
        assert!(waiting.await.unwrap());
        let before = tokio::time::Instant::now();
        assert!(interests.settled(&[topic("r:unknown"), topic("f:x")]).await);
        assert_eq!(before.elapsed(), Duration::ZERO, "nothing to wait for");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let interests = Interests::default();
        interests.gained(&topic("r:1"));
        let before = tokio::time::Instant::now();
        assert!(!interests.settled(&[topic("r:1")]).await);
        assert!(before.elapsed() >= PATIENCE);
    }
}
