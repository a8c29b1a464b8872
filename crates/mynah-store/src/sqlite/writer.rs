//! The one thread that writes.
//!
//! Calls wait in a bounded queue. The writer takes whatever queued while the last commit was syncing,
//! runs it as one transaction, commits once, hands the events to the listener and only then answers.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mynah_domain::ports::{Commit, CommitListener, StoreError};
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::pace::Pace;

use super::trouble::{Trouble, store_error};
use super::tx::Tx;

/// How long the writer must have been idle before it folds the write-ahead log into the database.
const IDLE_CHECKPOINT: Duration = Duration::from_millis(500);

/// Size from which the log is folded in under load as well: readers that follow each other closely keep
/// SQLite's own checkpoints from ever starting it anew.
const LOG_BYTES_MAX: u64 = 128 << 20;
/// Batches between two looks at the log's size.
const LOG_LOOK: u64 = 64;

/// One queued write.
trait Job: Send {
    /// Does the work and keeps its outcome. An error means that the engine failed and that the
    /// transaction must be rolled back; a refusal is an outcome like any other.
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError>;
    /// Makes the engine's failure the outcome.
    fn fail(&mut self, error: StoreError);
    /// Tells the caller the outcome.
    fn answer(self: Box<Self>);
}

struct Call<R, E, F> {
    work: F,
    outcome: Option<Result<R, E>>,
    reply: oneshot::Sender<Result<R, E>>,
}

impl<R, E, F> Job for Call<R, E, F>
where
    R: Send,
    E: Send + From<StoreError>,
    F: FnMut(&mut Tx<'_>) -> Result<R, Trouble<E>> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        self.outcome = Some(match (self.work)(tx) {
            Ok(done) => Ok(done),
            Err(Trouble::Refused(error)) => Err(error),
            Err(Trouble::Engine(error)) => return Err(error),
        });
        Ok(())
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>) {
        let stopped = || Err(StoreError::Unavailable("the write was not run".into()).into());
        let outcome = self.outcome.unwrap_or_else(stopped);
        // A caller that went away does not want the answer.
        drop(self.reply.send(outcome));
    }
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    closing: bool,
    /// Whether the writer ended without having been told to.
    ended: bool,
}

/// Counters of the writer, for metrics.
#[derive(Default)]
pub(super) struct WriterCounters {
    pub(super) commits: AtomicU64,
    pub(super) writes: AtomicU64,
    pub(super) failed_commits: AtomicU64,
    pub(super) last_batch: AtomicU64,
    pub(super) largest_batch: AtomicU64,
}

/// The way to the writer.
pub(super) struct WriteQueue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    length_max: usize,
    pub(super) counters: WriterCounters,
}

impl WriteQueue {
    pub(super) fn new(length_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            length_max,
            counters: WriterCounters::default(),
        }
    }

    /// Queues a write now; the future waits for its commit.
    pub(super) fn call<R, E, F>(&self, work: F) -> impl Future<Output = Result<R, E>> + use<R, E, F>
    where
        R: Send + 'static,
        E: Send + From<StoreError> + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<R, Trouble<E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queued = self.push(Box::new(Call { work, outcome: None, reply }));
        async move {
            queued?;
            let lost = |_| StoreError::Unavailable("the write was given up".into());
            answer.await.map_err(lost)?
        }
    }

    fn push(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock();
        if waiting.ended {
            return Err(StoreError::Ended);
        }
        if waiting.closing {
            return Err(StoreError::Unavailable("the store is closing".into()));
        }
        if waiting.jobs.len() >= self.length_max {
            return Err(StoreError::Overloaded);
        }
        waiting.jobs.push_back(job);
        if waiting.jobs.len() == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// The writer has ended: refuses what waits and what comes, at once.
    fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.ended = !waiting.closing;
        let left = std::mem::take(&mut waiting.jobs);
        let ended = waiting.ended;
        drop(waiting);
        if ended {
            tracing::error!("the writer of the store has ended; this process must be started anew");
        }
        for mut job in left {
            job.fail(StoreError::Ended);
            job.answer();
        }
    }

    /// Takes no more writes; the writer ends when those queued are done.
    pub(super) fn close(&self) {
        self.waiting.lock().closing = true;
        self.filled.notify_one();
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.lock().jobs.len()
    }

    /// The next batch; `None` when the queue is closed and empty; an empty batch after idling.
    fn take(
        &self,
        batch: &mut Vec<Box<dyn Job>>,
        most: usize,
        idle: bool,
        pace: &mut Pace,
    ) -> Option<()> {
        let mut waiting = self.waiting.lock();
        while waiting.jobs.is_empty() {
            if waiting.closing {
                return None;
            }
            if !idle {
                self.filled.wait(&mut waiting);
            } else if self.filled.wait_for(&mut waiting, IDLE_CHECKPOINT).timed_out() {
                break;
            }
        }
        if let Some(until) = pace.gathers_until(waiting.jobs.len()) {
            let before = waiting.jobs.len();
            while !waiting.closing && !self.filled.wait_until(&mut waiting, until).timed_out() {}
            pace.gathered(waiting.jobs.len().saturating_sub(before));
        }
        pace.begin();
        let n = waiting.jobs.len().min(most);
        batch.extend(waiting.jobs.drain(..n));
        Some(())
    }
}

/// Ends the queue with its writer, however that ends.
struct Ending<'q>(&'q WriteQueue);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Runs until the queue is closed and empty.
pub(super) fn run(
    conn: &Connection,
    queue: &WriteQueue,
    (batch_max, gather): (usize, Duration),
    listener: &Arc<dyn CommitListener>,
) {
    let _ending = Ending(queue);
    let mut tx = Tx::new(conn);
    let mut batch = Vec::new();
    let mut pace = Pace::new(gather);
    let mut batches = 0_u64;
    // Whether the log holds commits since it was last folded in.
    let mut log_used = true;
    while queue.take(&mut batch, batch_max, log_used, &mut pace).is_some() {
        if batch.is_empty() {
            fold_log(conn);
            log_used = false;
            continue;
        }
        log_used = true;
        let size = batch.len() as u64;
        queue.counters.last_batch.store(size, Ordering::Relaxed);
        queue.counters.largest_batch.fetch_max(size, Ordering::Relaxed);
        queue.counters.writes.fetch_add(size, Ordering::Relaxed);
        let jobs = std::mem::take(&mut batch);
        for job in work(&mut tx, jobs, queue, listener).err().into_iter().flatten() {
            if let Err(failed) = work(&mut tx, vec![job], queue, listener) {
                failed.into_iter().for_each(Job::answer);
            }
        }
        tx.trim();
        batches += 1;
        if batches.is_multiple_of(LOG_LOOK) && log_bytes(conn) > LOG_BYTES_MAX {
            fold_log(conn);
        }
    }
    fold_log(conn);
}

/// Runs jobs as one transaction and answers them; the listener has the events first. On an error that a
/// single job caused nothing is stored and the jobs come back, failed, to be run again one by one; a
/// commit that fails is every job's outcome.
fn work(
    tx: &mut Tx<'_>,
    mut jobs: Vec<Box<dyn Job>>,
    queue: &WriteQueue,
    listener: &Arc<dyn CommitListener>,
) -> Result<(), Vec<Box<dyn Job>>> {
    let done = catch_unwind(AssertUnwindSafe(|| fill(tx, &mut jobs)))
        .unwrap_or_else(|_| Err(StoreError::Unavailable("a write panicked".into())));
    if let Err(error) = done {
        tracing::error!(%error, jobs = jobs.len(), "a write failed and was rolled back");
        roll_back(tx);
        for job in &mut jobs {
            job.fail(error.clone());
        }
        return Err(jobs);
    }
    if let Err(error) = tx.conn.execute_batch("COMMIT") {
        tracing::error!(%error, jobs = jobs.len(), "a commit failed");
        queue.counters.failed_commits.fetch_add(1, Ordering::Relaxed);
        roll_back(tx);
        let error = store_error(&error);
        for job in &mut jobs {
            job.fail(error.clone());
        }
        jobs.into_iter().for_each(Job::answer);
        return Ok(());
    }
    queue.counters.commits.fetch_add(1, Ordering::Relaxed);
    let events = tx.take_events();
    if events.is_empty() {
        jobs.into_iter().for_each(Job::answer);
        return Ok(());
    }
    let commit = Commit::new(events, move || jobs.into_iter().for_each(Job::answer));
    if catch_unwind(AssertUnwindSafe(|| listener.committed(commit))).is_err() {
        tracing::error!("the commit listener panicked; its events were not passed on");
    }
    Ok(())
}

fn fill(tx: &mut Tx<'_>, jobs: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    tx.conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| store_error(&e))?;
    for job in jobs {
        job.run(tx)?;
    }
    tx.flush()
}

fn roll_back(tx: &mut Tx<'_>) {
    tx.forget();
    if !tx.conn.is_autocommit()
        && let Err(error) = tx.conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a rollback failed");
    }
}

fn log_bytes(conn: &Connection) -> u64 {
    let log = conn.path().map(|path| format!("{path}-wal"));
    log.and_then(|log| std::fs::metadata(log).ok()).map_or(0, |found| found.len())
}

/// Folds the write-ahead log into the database and cuts it to nothing, if no reader is in the way.
fn fold_log(conn: &Connection) {
    let wait = |ms| conn.busy_timeout(Duration::from_millis(ms));
    let folded = wait(20).and_then(|()| {
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0))
    });
    if let Err(error) = folded.and_then(|_| wait(super::connect::BUSY_TIMEOUT_MS)) {
        tracing::warn!(%error, "the write-ahead log could not be folded in");
    }
}
