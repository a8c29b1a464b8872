//! What is to be done later: one task for all channels.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Chores of one kind, done one after the other in the order in which they are due.
pub(super) struct Chores<C> {
    waiting: Mutex<BinaryHeap<Reverse<Due<C>>>>,
    changed: Notify,
    is_over: AtomicBool,
}

struct Due<C> {
    at: Instant,
    /// Chores of the same moment keep their order.
    number: u64,
    what: C,
}

impl<C> Due<C> {
    fn place(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<C> PartialEq for Due<C> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<C> Eq for Due<C> {}

impl<C> PartialOrd for Due<C> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<C> Ord for Due<C> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

impl<C> Chores<C> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            waiting: Mutex::new(BinaryHeap::new()),
            changed: Notify::new(),
            is_over: AtomicBool::new(false),
        })
    }

    /// Puts a chore on the list; `number` grows with each.
    pub(super) fn add(&self, at: Instant, number: u64, what: C) {
        let mut waiting = self.waiting.lock();
        let is_next = waiting.peek().is_none_or(|Reverse(next)| at < next.at);
        waiting.push(Reverse(Due { at, number, what }));
        drop(waiting);
        if is_next {
            self.changed.notify_one();
        }
    }

    /// Nothing more is to be done.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.waiting.lock().clear();
        self.changed.notify_one();
    }

    /// Waits for the next chore; `None` at the end.
    pub(super) async fn next(&self) -> Option<C> {
        loop {
            if self.is_over.load(Ordering::Acquire) {
                return None;
            }
            match self.take_due() {
                Ok(what) => return Some(what),
                Err(Some(at)) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => {}
                        () = self.changed.notified() => {}
                    }
                }
                Err(None) => self.changed.notified().await,
            }
        }
    }

    /// A chore that is due, or when the next one is.
    fn take_due(&self) -> Result<C, Option<Instant>> {
        let mut waiting = self.waiting.lock();
        match waiting.peek() {
            Some(Reverse(next)) if next.at > Instant::now() => Err(Some(next.at)),
            Some(_) => waiting.pop().map(|Reverse(due)| due.what).ok_or(None),
            None => {
                // What a storm needed is not kept.
                waiting.shrink_to(1_024);
                Err(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn chores_are_done_when_they_are_due_and_in_order() {
        let chores = Chores::new();
        let begin = Instant::now();
        chores.add(begin + Duration::from_secs(3), 1, "late");
        chores.add(begin + Duration::from_secs(1), 2, "soon");
        chores.add(begin + Duration::from_secs(1), 3, "then");
        assert_eq!(chores.next().await, Some("soon"));
        assert_eq!(chores.next().await, Some("then"));
        assert_eq!(begin.elapsed().as_secs(), 1);
        assert_eq!(chores.next().await, Some("late"));
        assert_eq!(begin.elapsed().as_secs(), 3);
        chores.end();
        assert_eq!(chores.next().await, None);
    }
}
