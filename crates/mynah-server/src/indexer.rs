//! The task that keeps the index of messages near the head of the log.
//!
//! It sleeps until something was stored here or delivered here, and then takes small steps. What is stored is indexed
//! within a second while the store keeps up; behind a burst or at the first start it works through the backlog, and
//! rests four times as long as it worked: sends come first. A node that is told of nothing looks now and then, in case
//! the one that stored something has died.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mynah_domain::ports::{SearchStore, StoreError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// Events of one step.
const STEP_EVENTS: u32 = 200;
/// How long to gather what is stored before a step.
const GATHER: Duration = Duration::from_millis(100);
/// How often to look for what other nodes have stored, and to count what waits.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two steps it rests so many times as long as the first took, and how long at most.
const REST: (u32, Duration) = (4, Duration::from_secs(1));
/// How long to wait after a failure, at first and at most; doubled with each in a row.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// What the indexer has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IndexerStats {
    /// Events that waited when it last counted.
    pub behind: u64,
    /// Events that this process has indexed.
    pub indexed: u64,
    /// Steps that failed.
    pub failures: u64,
}

#[derive(Default)]
struct Counters {
    behind: AtomicU64,
    indexed: AtomicU64,
    failures: AtomicU64,
}

/// The running task.
pub struct Indexer {
    counters: Arc<Counters>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Indexer {
    /// Starts it on the current runtime; `head` changes when something was stored.
    pub fn start(store: Arc<dyn SearchStore>, head: watch::Receiver<u64>) -> Self {
        let counters = Arc::<Counters>::default();
        let work = Work { store, head, counters: Arc::clone(&counters), failures_in_row: 0 };
        Self { counters, task: Mutex::new(Some(tokio::spawn(work.run()))) }
    }

    /// A way to read what it has done, also after its end.
    pub fn watch(&self) -> impl Fn() -> IndexerStats + Send + Sync + use<> {
        let counters = Arc::clone(&self.counters);
        move || IndexerStats {
            behind: counters.behind.load(Ordering::Relaxed),
            indexed: counters.indexed.load(Ordering::Relaxed),
            failures: counters.failures.load(Ordering::Relaxed),
        }
    }

    /// Ends it. A step that runs is done wholly or not at all, and by the next who starts.
    pub async fn stop(&self) {
        let task = self.task.lock().take();
        if let Some(task) = task {
            task.abort();
            if let Err(error) = task.await
                && error.is_panic()
            {
                tracing::error!("the indexer had panicked");
            }
        }
    }
}

impl Drop for Indexer {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

struct Work {
    store: Arc<dyn SearchStore>,
    head: watch::Receiver<u64>,
    counters: Arc<Counters>,
    failures_in_row: u32,
}

impl Work {
    async fn run(mut self) {
        let mut counted = None;
        loop {
            // Marked before the step, so that what is stored meanwhile is not missed.
            self.head.mark_unchanged();
            let begun = Instant::now();
            let is_due = counted.is_none_or(|at: Instant| at.elapsed() >= LOOK_EVERY);
            match self.step(is_due).await {
                Ok(more) => {
                    self.recovered();
                    if is_due {
                        counted = Some(begun);
                    }
                    if more {
                        let (times, most) = REST;
                        tokio::time::sleep((begun.elapsed() * times).min(most)).await;
                    } else if !self.wait().await {
                        return;
                    }
                }
                Err(error) => self.failed(&error).await,
            }
        }
    }

    /// Takes a step; `true` if there is more to do.
    async fn step(&self, counts: bool) -> Result<bool, StoreError> {
        let step = self.store.index_messages(STEP_EVENTS).await?;
        self.counters.indexed.fetch_add(step.events, Ordering::Relaxed);
        if counts {
            let behind = self.store.unindexed().await?;
            self.counters.behind.store(behind, Ordering::Relaxed);
        }
        Ok(step.more)
    }

    /// Waits until something was stored here, or may have been elsewhere; `false` when nothing will be any more.
    async fn wait(&mut self) -> bool {
        match timeout(LOOK_EVERY, self.head.changed()).await {
            Ok(Ok(())) => {
                tokio::time::sleep(GATHER).await;
                true
            }
            Ok(Err(_gone)) => false,
            Err(_elapsed) => true,
        }
    }

    async fn failed(&mut self, error: &StoreError) {
        self.counters.failures.fetch_add(1, Ordering::Relaxed);
        if self.failures_in_row == 0 {
            tracing::warn!(%error, "messages cannot be indexed; trying again until they can");
        }
        let (first, most) = RETRY;
        let wait = first.saturating_mul(1 << self.failures_in_row.min(10)).min(most);
        self.failures_in_row += 1;
        tokio::time::sleep(wait).await;
    }

    fn recovered(&mut self) {
        if self.failures_in_row > 0 {
            tracing::info!(failures = self.failures_in_row, "messages are indexed again");
            self.failures_in_row = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use mynah_domain::chat::ChatError;
    use mynah_domain::permission::Guard;
    use mynah_domain::search::{Indexed, Matches, Wanted};
    use tokio::sync::mpsc;

    use super::*;

    /// Answers steps as it is told, and tells when each was taken.
    struct Script {
        answers: Mutex<VecDeque<Result<Indexed, StoreError>>>,
        taken: mpsc::Sender<Instant>,
    }

    #[async_trait]
    impl SearchStore for Script {
        async fn find_messages(&self, _: Guard, _: &Wanted) -> Result<Matches, ChatError> {
            Ok(Matches { messages: Vec::new(), next: None })
        }

        async fn index_messages(&self, _limit: u32) -> Result<Indexed, StoreError> {
            self.taken.send(Instant::now()).await.expect("somebody listens");
            self.answers.lock().pop_front().unwrap_or(Ok(Indexed::default()))
        }

        async fn unindexed(&self) -> Result<u64, StoreError> {
            Ok(self.answers.lock().len() as u64)
        }
    }

    fn scripted(
        answers: impl IntoIterator<Item = Result<Indexed, StoreError>>,
    ) -> (Indexer, watch::Sender<u64>, mpsc::Receiver<Instant>) {
        let (taken, steps) = mpsc::channel(100);
        let store = Script { answers: Mutex::new(answers.into_iter().collect()), taken };
        let (head, heads) = watch::channel(0);
        (Indexer::start(Arc::new(store), heads), head, steps)
    }

    #[tokio::test(start_paused = true)]
    async fn a_backlog_is_worked_through_and_then_waited_for_more() {
        let more = Ok(Indexed { events: 200, more: true });
        let last = Ok(Indexed { events: 7, more: false });
        let (indexer, head, mut steps) = scripted([more.clone(), more, last]);
        let begun = steps.recv().await.expect("taken");
        for _ in 0..2 {
            assert_eq!(steps.recv().await, Some(begun), "at once");
        }
        tokio::time::advance(Duration::from_millis(300)).await;
        head.send_replace(1);
        let woken = steps.recv().await.expect("taken") - begun;
        assert_eq!(woken, Duration::from_millis(300) + GATHER, "woken by what was stored");
        let looked = steps.recv().await.expect("taken") - begun;
        assert_eq!(looked, woken + LOOK_EVERY, "others may have stored");
        let stats = indexer.watch();
        assert_eq!(stats(), IndexerStats { behind: 0, indexed: 407, failures: 0 });
        indexer.stop().await;
        assert_eq!(steps.recv().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_is_asked_ever_more_seldom() {
        let down = || Err(StoreError::Unavailable("down".into()));
        let (indexer, _head, mut steps) = scripted((0..10).map(|_| down()));
        let mut last = steps.recv().await.expect("taken");
        let mut waits = Vec::new();
        for _ in 0..10 {
            let next = steps.recv().await.expect("taken");
            waits.push((next - last).as_millis());
            last = next;
        }
        assert_eq!(
            waits,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]
        );
        steps.recv().await.expect("taken");
        assert_eq!(indexer.watch()().failures, 10);
        drop(indexer);
        assert_eq!(steps.recv().await, None);
    }
}
