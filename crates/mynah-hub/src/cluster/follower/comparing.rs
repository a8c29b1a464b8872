//! Comparing the heads of all streams with the store's, and what calls for it.

use super::{Comparing, Follower, NEVER, Phase, Step, Timer};

/// A node whose beats are missing for so many beats is thought to be cut off.
const SILENT_BEATS: u64 = 4;

/// Comparisons, counted from 1.
#[derive(Default)]
pub(super) struct Comparisons {
    newest: u64,
    /// Whether the newest is under way.
    is_running: bool,
    /// Another must follow, as something was lost after it began.
    again: bool,
    /// The stream to look at next.
    next: u32,
    /// Streams that it waits for.
    left: usize,
}

impl Comparisons {
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }
}

impl<E> Follower<E> {
    /// The broker carries again.
    pub fn broker_up(&mut self, now: u64) {
        let _: u64 = now;
        self.is_up = true;
        self.telling.unsent();
        self.proof.freeze(self.comparisons.newest + 1);
        self.compare_all();
    }

    /// The broker carries nothing.
    pub fn broker_down(&mut self, now: u64) {
        self.is_up = false;
        self.poll_at = now + self.config.poll_ms;
        self.proof.freeze(NEVER);
        self.compare_all();
    }

    /// Something that others published was lost.
    pub fn missed(&mut self, now: u64) {
        let _: u64 = now;
        if !self.proof.is_frozen_until(NEVER) {
            self.proof.freeze(self.comparisons.newest + 1);
        }
        self.compare_all();
    }

    /// Something that this node published was lost: the next beat must go first.
    pub fn unsent(&mut self, now: u64) {
        let _: u64 = now;
        // While the broker is down nothing is heard before the beat that follows when it is up.
        if self.is_up {
            self.telling.unsent();
        }
    }

    /// The store did not say whether a commit of this node, whose slot this is, succeeded, and by now it has
    /// or never will: heads are compared here, and the next beat, which must go first, has others do so.
    pub fn unsure(&mut self, now: u64, slot: u16) {
        let _: u64 = now;
        self.telling.unsure();
        self.proof.freeze_one(slot, self.comparisons.newest + 1);
        self.compare_all();
    }

    /// A node's lease is over, or another process has its slot.
    pub fn node_gone(&mut self, now: u64, slot: u16) {
        let _: u64 = now;
        self.lost(slot);
    }

    pub(super) fn lost(&mut self, slot: u16) {
        self.proof.gone(slot);
        self.proof.freeze_one(slot, self.comparisons.newest + 1);
        self.compare_all();
    }

    /// Time has passed.
    pub fn tick(&mut self, now: u64) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(now, |timer| due.push(timer));
        for (index, timer) in due.drain(..) {
            match timer {
                Timer::Life => self.life_over(now, index),
                Timer::Read => {
                    let Some(stream) = self.streams.get_mut(index) else { continue };
                    stream.read_timer = None;
                    if stream.is_behind() {
                        self.ask_events(index);
                    }
                }
            }
        }
        self.due = due;
        if self.heads_retry_at.is_some_and(|at| at <= now) {
            self.heads_retry_at = None;
        }
        if self.poll_at <= now {
            self.poll_at = now + self.config.poll_ms;
            let heard_after = now.saturating_sub(self.config.beat_ms * SILENT_BEATS);
            if !self.comparisons.is_running && (!self.is_up || self.proof.is_doubtful(heard_after))
            {
                self.compare_all();
            }
        }
    }

    /// When [`Follower::tick`] should next be called.
    pub fn next_tick(&self) -> Option<u64> {
        [self.wheel.next_tick(), self.heads_retry_at, Some(self.poll_at)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Compares all heads from now on, by the comparison whose number is one more than the newest: what waits
    /// for it must be noted first, as it may end at once.
    pub(super) fn compare_all(&mut self) {
        if self.comparisons.is_running {
            self.comparisons.again = true;
        } else {
            self.begin_comparison();
        }
    }

    fn begin_comparison(&mut self) {
        self.comparisons.newest += 1;
        self.comparisons.is_running = true;
        self.comparisons.next = 0;
        self.comparisons.left = self.streams.len();
        self.proof.comparison_began();
        self.end_comparison_if_done();
    }

    fn end_comparison_if_done(&mut self) {
        if !self.comparisons.is_running || self.comparisons.left > 0 {
            return;
        }
        self.comparisons.is_running = false;
        self.note(Step::Compared(self.comparisons.newest, self.proof.snapshot()));
        if std::mem::take(&mut self.comparisons.again) {
            self.begin_comparison();
        }
    }

    /// Has the next stream of the comparison under way asked for its head; `false` when all are.
    pub(super) fn compare_next(&mut self) -> bool {
        let index = self.comparisons.next;
        if !self.comparisons.is_running || index >= self.streams.end() {
            return false;
        }
        self.comparisons.next += 1;
        let newest = self.comparisons.newest;
        let Some(stream) = self.streams.get(index).filter(|stream| stream.compared < newest) else {
            return true;
        };
        if stream.phase == Phase::Subscribing {
            // Its head is read later anyway.
            self.compared(index);
            return true;
        }
        let asked = if self.ask_head(index) { Comparing::AskedAgain } else { Comparing::Asked };
        if let Some(stream) = self.streams.get_mut(index) {
            stream.comparing = asked;
        }
        true
    }

    /// The head of a stream as the store knows it, asked for after the comparison had come to it.
    pub(super) fn compare(&mut self, index: u32, head: u64) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        if stream.comparing != Comparing::Asked {
            return;
        }
        if stream.delivered >= head {
            self.compared(index);
        } else {
            stream.comparing = Comparing::Behind(head);
        }
    }

    /// The comparison under way is done with a stream.
    pub(super) fn compared(&mut self, index: u32) {
        let newest = self.comparisons.newest;
        let Some(stream) = self.streams.get_mut(index) else { return };
        stream.comparing = Comparing::No;
        let before = std::mem::replace(&mut stream.compared, newest);
        self.uncompared(before);
    }

    /// The comparison under way waits no longer for a stream whose last was this one.
    pub(super) fn uncompared(&mut self, last: u64) {
        if last < self.comparisons.newest && self.comparisons.is_running {
            self.comparisons.left = self.comparisons.left.saturating_sub(1);
            self.end_comparison_if_done();
        }
    }
}
