//! The way to the writer: a bounded queue of writes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mynah_domain::account::{AccountError, NewAccount, User};
use mynah_domain::chat::ChatError;
use mynah_domain::message::{Appended, NewMessage};
use mynah_domain::permission::Guard;
use mynah_domain::ports::StoreError;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::pace::Pace;

use super::batch::{AppendJob, Locks};
use super::creating::CreateJob;
use super::trouble::{Failure, Trouble};
use super::tx::Tx;

/// Texts of messages in one batch at most; one message more may go beyond.
const BATCH_BYTES_MAX: usize = 4 << 20;

type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// One queued write that is no message.
pub(super) trait Job: Send {
    /// Does the work and keeps its outcome. A refusal is an outcome like any other. May be called again
    /// after a failure, in another transaction.
    fn run<'a, 't: 'a>(&'a mut self, tx: &'a mut Tx<'t>) -> Running<'a>;
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
    F: AsyncFn(&mut Tx<'_>) -> Result<R, Trouble<E>> + Send,
{
    fn run<'a, 't: 'a>(&'a mut self, tx: &'a mut Tx<'t>) -> Running<'a> {
        Box::pin(async move {
            self.outcome = Some(match (self.work)(tx).await {
                Ok(done) => Ok(done),
                Err(Trouble::Refused(error)) => Err(error),
                Err(Trouble::Engine(failure)) => return Err(failure),
            });
            Ok(())
        })
    }

    fn fail(&mut self, error: StoreError) {
        self.outcome = Some(Err(error.into()));
    }

    fn answer(self: Box<Self>) {
        let outcome = self.outcome.unwrap_or_else(|| Err(not_run().into()));
        // A caller that went away does not want the answer.
        drop(self.reply.send(outcome));
    }
}

fn not_run() -> StoreError {
    StoreError::Unavailable("the write was not run".to_owned())
}

/// What a write is.
pub(super) enum Task {
    Append(Box<AppendJob>),
    Create(Box<CreateJob>),
    /// What it will lock, as far as that is known, and the work.
    Other(Locks, Box<dyn Job>),
}

/// A queued write.
pub(super) struct Queued {
    pub(super) task: Task,
    since: Instant,
}

impl Queued {
    /// Makes a failure the outcome.
    pub(super) fn fail(&mut self, error: StoreError) {
        match &mut self.task {
            Task::Append(job) => job.fail(ChatError::Store(error)),
            Task::Create(job) => job.fail(AccountError::Store(error)),
            Task::Other(_, job) => job.fail(error),
        }
    }

    /// Tells the caller the outcome.
    pub(super) fn answer(self) {
        match self.task {
            Task::Append(job) => job.answer(ChatError::Store(not_run())),
            Task::Create(job) => job.answer(AccountError::Store(not_run())),
            Task::Other(_, job) => job.answer(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.task {
            Task::Append(job) => job.bytes(),
            Task::Create(_) | Task::Other(..) => 0,
        }
    }

    /// Whether it may store events.
    pub(super) fn emits(&self) -> bool {
        match &self.task {
            Task::Append(_) => true,
            Task::Create(_) => false,
            Task::Other(locks, _) => !matches!(locks, Locks::Nothing),
        }
    }
}

#[derive(Default)]
struct Waiting {
    writes: VecDeque<Queued>,
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
    pub(super) repeated: AtomicU64,
    pub(super) connects: AtomicU64,
    pub(super) last_batch: AtomicU64,
    pub(super) largest_batch: AtomicU64,
}

/// The way to the writer.
pub(super) struct WriteQueue {
    waiting: Mutex<Waiting>,
    filled: Notify,
    length_max: usize,
    pub(super) counters: WriterCounters,
}

impl WriteQueue {
    pub(super) fn new(length_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Notify::new(),
            length_max,
            counters: WriterCounters::default(),
        }
    }

    /// Queues a message now; the future waits for its commit.
    pub(super) fn append(
        &self,
        guard: Guard,
        new: NewMessage,
    ) -> impl Future<Output = Result<Appended, ChatError>> + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.push(Task::Append(Box::new(AppendJob::new(guard, new, reply))));
        async move {
            queued?;
            answer.await.map_err(lost)?
        }
    }

    /// Queues an account.
    pub(super) fn create(
        &self,
        account: NewAccount,
    ) -> impl Future<Output = Result<User, AccountError>> + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.push(Task::Create(Box::new(CreateJob::new(account, reply))));
        async move {
            queued?;
            answer.await.map_err(lost)?
        }
    }

    /// Queues a write that may store events.
    pub(super) fn call<R, E, F>(
        &self,
        locks: Locks,
        work: F,
    ) -> impl Future<Output = Result<R, E>> + use<R, E, F>
    where
        R: Send + 'static,
        E: Send + From<StoreError> + 'static,
        F: AsyncFn(&mut Tx<'_>) -> Result<R, Trouble<E>> + Send + 'static,
    {
        self.queue(locks, work)
    }

    /// Queues a write that stores no events, and needs no place in the log for that.
    pub(super) fn call_quietly<R, E, F>(
        &self,
        work: F,
    ) -> impl Future<Output = Result<R, E>> + use<R, E, F>
    where
        R: Send + 'static,
        E: Send + From<StoreError> + 'static,
        F: AsyncFn(&mut Tx<'_>) -> Result<R, Trouble<E>> + Send + 'static,
    {
        self.queue(Locks::Nothing, work)
    }

    fn queue<R, E, F>(
        &self,
        locks: Locks,
        work: F,
    ) -> impl Future<Output = Result<R, E>> + use<R, E, F>
    where
        R: Send + 'static,
        E: Send + From<StoreError> + 'static,
        F: AsyncFn(&mut Tx<'_>) -> Result<R, Trouble<E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queued = self.push(Task::Other(locks, Box::new(Call { work, outcome: None, reply })));
        async move {
            queued?;
            answer.await.map_err(lost)?
        }
    }

    fn push(&self, task: Task) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock();
        if waiting.ended {
            return Err(StoreError::Ended);
        }
        if waiting.closing {
            return Err(StoreError::Unavailable("the store is closing".to_owned()));
        }
        if waiting.writes.len() >= self.length_max {
            return Err(StoreError::Overloaded);
        }
        waiting.writes.push_back(Queued { task, since: Instant::now() });
        if waiting.writes.len() == 1 {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Fails what has waited longer than `longest`.
    pub(super) fn fail_waiting(&self, longest: Duration, error: &StoreError) {
        let mut failed = Vec::new();
        let mut waiting = self.waiting.lock();
        while waiting.writes.front().is_some_and(|write| write.since.elapsed() >= longest) {
            failed.extend(waiting.writes.pop_front());
        }
        drop(waiting);
        for mut write in failed {
            write.fail(error.clone());
            write.answer();
        }
    }

    /// The writer has ended: refuses what waits and what comes, at once.
    pub(super) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.ended = !waiting.closing;
        let left = std::mem::take(&mut waiting.writes);
        let ended = waiting.ended;
        drop(waiting);
        if ended {
            tracing::error!("the writer of the store has ended; this process must be started anew");
        }
        for mut write in left {
            write.fail(StoreError::Ended);
            write.answer();
        }
    }

    /// Takes no more writes; the writer ends when those queued are done.
    pub(super) fn close(&self) {
        self.waiting.lock().closing = true;
        self.filled.notify_one();
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.lock().writes.len()
    }

    fn is_closing(&self) -> bool {
        self.waiting.lock().closing
    }

    /// Waits until there is something to write; `false` when the queue is closed and empty.
    pub(super) async fn filled(&self) -> bool {
        while self.len() == 0 {
            if self.is_closing() {
                return false;
            }
            self.filled.notified().await;
        }
        true
    }

    /// The next batch: what has queued, and what comes while it gathers.
    pub(super) async fn take(&self, most: usize, pace: &mut Pace) -> Vec<Queued> {
        let before = self.len();
        if !self.is_closing()
            && let Some(until) = pace.gathers_until(before)
        {
            tokio::time::sleep_until(until.into()).await;
            pace.gathered(self.len().saturating_sub(before));
        }
        pace.begin();
        let mut waiting = self.waiting.lock();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most && bytes < BATCH_BYTES_MAX {
            let Some(write) = waiting.writes.pop_front() else { break };
            bytes += write.bytes();
            batch.push(write);
        }
        let size = batch.len() as u64;
        self.counters.last_batch.store(size, Ordering::Relaxed);
        self.counters.largest_batch.fetch_max(size, Ordering::Relaxed);
        self.counters.writes.fetch_add(size, Ordering::Relaxed);
        batch
    }
}

fn lost(_gone: oneshot::error::RecvError) -> StoreError {
    StoreError::Unavailable("the write was given up".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_for_a_writer_that_has_ended_is_refused_and_so_is_what_comes() {
        let queue = WriteQueue::new(8);
        let write = || queue.call_quietly::<(), StoreError, _>(async |_: &mut Tx<'_>| Ok(()));
        let waiting = write();
        queue.abandon();
        assert_eq!(waiting.await, Err(StoreError::Ended));
        assert_eq!(write().await, Err(StoreError::Ended));
        let told = WriteQueue::new(8);
        told.close();
        told.abandon();
        let late = told.call_quietly::<(), StoreError, _>(async |_: &mut Tx<'_>| Ok(()));
        assert!(matches!(late.await, Err(StoreError::Unavailable(_))), "it was told to end");
    }
}
