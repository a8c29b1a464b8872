//! Questions to the broker and the store, and the store's answers.

use super::{
    Action, Ask, BACKOFF_MAX_MS, Comparing, Follower, Item, Phase, RELUCTANT_MS, Settled, Step,
    Timer,
};
use crate::Topic;

/// [`Action::ReadHeads`] under way at once.
const HEADS_OUT_MAX: u8 = 2;

impl<E> Follower<E> {
    /// The store's answer to [`Action::ReadHeads`], as it was when asked or later.
    pub fn heads(&mut self, now: u64, heads: Vec<(Topic, u64)>) {
        self.heads_out = self.heads_out.saturating_sub(1);
        self.heads_backoff_ms = 0;
        for (name, head) in heads {
            let Some(index) = self.streams.find(&name) else { continue };
            let Some(is_fresh) = self.head_answered(index) else { continue };
            let Some(stream) = self.streams.get_mut(index) else { continue };
            match stream.phase {
                Phase::Subscribing => continue,
                Phase::Asking => self.settle(now, index, head),
                Phase::Live if head > stream.delivered => {
                    stream.target = stream.target.max(head);
                    stream.urgent = stream.urgent.max(head);
                    if head - stream.delivered > self.config.behind_max {
                        self.resync(now, index, head);
                    } else {
                        self.pursue(now, index);
                    }
                }
                Phase::Live => {}
            }
            if is_fresh {
                self.compare(index, head);
            }
        }
    }

    /// The store did not answer [`Action::ReadHeads`].
    pub fn heads_failed(&mut self, now: u64, streams: &[Topic]) {
        self.heads_out = self.heads_out.saturating_sub(1);
        let first = self.config.retry_ms.max(1);
        self.heads_backoff_ms = (self.heads_backoff_ms * 2).clamp(first, BACKOFF_MAX_MS);
        self.heads_retry_at = Some(now + self.heads_backoff_ms);
        for name in streams {
            let Some(index) = self.streams.find(name) else { continue };
            if self.head_answered(index) == Some(true) {
                self.ask_head(index);
            }
        }
    }

    /// Notes an answer; `Some(true)` if it is to the last question, and if not, it is asked again. `None` if
    /// nothing was asked.
    fn head_answered(&mut self, index: u32) -> Option<bool> {
        let stream = self.streams.get_mut(index)?;
        let was = std::mem::replace(&mut stream.heads, Ask::Idle);
        match was {
            Ask::Out => Some(true),
            Ask::OutAgain => {
                if stream.comparing == Comparing::AskedAgain {
                    stream.comparing = Comparing::Asked;
                }
                self.ask_head(index);
                Some(false)
            }
            Ask::Idle | Ask::Queued => {
                stream.heads = was;
                None
            }
        }
    }

    /// Asks for a head from now on; gives whether an earlier question is still under way.
    pub(super) fn ask_head(&mut self, index: u32) -> bool {
        let Some(stream) = self.streams.get_mut(index) else { return false };
        match stream.heads {
            Ask::Idle => {
                stream.heads = Ask::Queued;
                self.heads.push_back(index);
                false
            }
            Ask::Queued => false,
            Ask::Out | Ask::OutAgain => {
                stream.heads = Ask::OutAgain;
                true
            }
        }
    }

    /// The store's answer to [`Action::ReadEvents`], ascending; `head` is the stream's newest `seq`, `gap`
    /// says that what is missing is not kept any more.
    #[expect(clippy::too_many_arguments, reason = "an answer of the store, item by item")]
    pub fn events(&mut self, now: u64, stream: &Topic, events: Vec<Item<E>>, head: u64, gap: bool) {
        if let Some(index) = self.events_answered(stream) {
            self.take_events(now, index, events, (head, gap));
        }
    }

    /// The store did not answer [`Action::ReadEvents`].
    pub fn events_failed(&mut self, now: u64, stream: &Topic) {
        if let Some(index) = self.events_answered(stream) {
            self.back_off(now, index);
        }
    }

    fn events_answered(&mut self, name: &Topic) -> Option<u32> {
        self.reads_out = self.reads_out.saturating_sub(1);
        let index = self.streams.find(name)?;
        let stream = self.streams.get_mut(index)?;
        if stream.read != Ask::Out {
            return None;
        }
        stream.read = Ask::Idle;
        Some(index)
    }

    pub(super) fn ask_events(&mut self, index: u32) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        if stream.read == Ask::Idle {
            stream.read = Ask::Queued;
            self.reads.push_back(index);
            self.stats.gaps += 1;
        }
    }

    /// The next question to the broker or the store.
    pub(super) fn next_question(&mut self) -> Option<Action<E>> {
        let at_once = self.config.heads_max.max(1);
        if !self.unsubscribing.is_empty() {
            let rest = self.unsubscribing.split_off(at_once.min(self.unsubscribing.len()));
            return Some(Action::Unsubscribe(std::mem::replace(&mut self.unsubscribing, rest)));
        }
        if !self.subscribing.is_empty() {
            let rest = self.subscribing.split_off(at_once.min(self.subscribing.len()));
            let begun = std::mem::replace(&mut self.subscribing, rest);
            return Some(Action::Subscribe(self.names(&begun)));
        }
        self.next_heads(at_once).or_else(|| self.next_events())
    }

    fn names(&self, indices: &[u32]) -> Vec<Topic> {
        let name = |index: &u32| Some(self.streams.get(*index)?.name.clone());
        indices.iter().filter_map(name).collect()
    }

    fn next_heads(&mut self, at_once: usize) -> Option<Action<E>> {
        if self.heads_out >= HEADS_OUT_MAX || self.heads_retry_at.is_some() {
            return None;
        }
        while self.heads.len() < at_once && self.compare_next() {}
        let mut asked = Vec::new();
        while asked.len() < at_once
            && let Some(index) = self.heads.pop_front()
        {
            if let Some(stream) = self.streams.get_mut(index).filter(|s| s.heads == Ask::Queued) {
                stream.heads = Ask::Out;
                asked.push(index);
            }
        }
        if asked.is_empty() {
            return None;
        }
        self.heads_out += 1;
        Some(Action::ReadHeads(self.names(&asked)))
    }

    fn next_events(&mut self) -> Option<Action<E>> {
        while self.reads_out < self.config.reads_max
            && let Some(index) = self.reads.pop_front()
        {
            let Some(stream) = self.streams.get_mut(index).filter(|s| s.read == Ask::Queued) else {
                continue;
            };
            if !stream.is_behind() {
                stream.read = Ask::Idle;
                continue;
            }
            stream.read = Ask::Out;
            self.reads_out += 1;
            let gap = stream.gap().and_then(|gap| u32::try_from(gap).ok()).filter(|gap| *gap > 0);
            let limit = gap.map_or(self.config.page, |gap| gap.min(self.config.page)).max(1);
            let (stream, after) = (stream.name.clone(), stream.delivered);
            return Some(Action::ReadEvents { stream, after, limit });
        }
        None
    }

    /// A stream's time has come: those who wait for it go on, or it is followed no more.
    pub(super) fn life_over(&mut self, now: u64, index: u32) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        stream.life_timer = None;
        if stream.is_wanted {
            if stream.settled == Settled::No {
                stream.settled = Settled::Blind;
                self.proof.blind();
                self.steps.push_back(Step::Act(Action::Settled(stream.name.clone())));
            }
            return;
        }
        let is_asking = stream.phase == Phase::Subscribing
            || stream.heads != Ask::Idle
            || stream.read != Ask::Idle;
        if is_asking {
            // The answer must not be taken for one to a later question.
            stream.life_timer = Some(self.wheel.insert(now + RELUCTANT_MS, (index, Timer::Life)));
        } else {
            self.unfollow(index);
        }
    }

    fn unfollow(&mut self, index: u32) {
        let Some(stream) = self.streams.remove(index) else { return };
        self.uncompared(stream.compared);
        if let Some(timer) = stream.read_timer {
            self.wheel.cancel(timer);
        }
        if stream.settled == Settled::Blind {
            self.note(Step::Seeing);
        }
        if let Some(waiting) = stream.waiting {
            self.waiting -= waiting.items.len();
            self.clear(*waiting);
        }
        self.unsubscribing.push(stream.name);
    }
}
