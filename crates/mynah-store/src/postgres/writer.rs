//! The one thread of a process that writes.
//!
//! It takes whatever queued while the last commit was syncing, runs it as one transaction, commits once,
//! hands the events to the listener and only then answers. Where others were in the way the transaction
//! is run again, at last in halves, so that one faulty write fails alone. A commit without a clear answer
//! is nobody's success.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mynah_domain::ports::{Commit, CommitListener, StoreError};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::pace::Pace;

use super::batch::{self, AppendJob};
use super::connect::Connector;
use super::creating;
use super::db::Db;
use super::fence::Fence;
use super::queue::{Queued, Task, WriteQueue};
use super::rows;
use super::sql;
use super::statistics;
use super::trouble::Failure;
use super::tx::Tx;

/// Places in one block of the log; see `reserve_places` in the schema.
const PLACES: u64 = 4_096;
/// Blocks that one transaction may reserve at most.
const BLOCKS_MAX: u64 = 1 << 16;
/// Times that a transaction is run again because others were in the way.
const TRIES: u32 = 4;
/// First and longest pause after a connection could not be made.
const PAUSE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(1);
/// Commits between two prunings of the heads of the log.
const PRUNE_EVERY: u64 = 512;

/// What the thread works with.
pub(super) struct Writer {
    pub(super) connector: Connector,
    pub(super) queue: Arc<WriteQueue>,
    pub(super) fence: Arc<Fence>,
    pub(super) batch_max: usize,
    pub(super) gather: Duration,
    pub(super) listener: Arc<dyn CommitListener>,
    /// Begins a transaction that hardly waits for locks.
    pub(super) begin_hasty: String,
}

/// Writes that are run as one transaction.
struct Round {
    writes: Vec<Queued>,
    /// Blocks of places to reserve.
    blocks: u64,
    tries: u32,
    /// Whether to wait for locks hardly at all: this round is to find out who holds up a batch.
    hasty: bool,
}

/// How a round ended without success.
enum Stop {
    /// Nothing is stored, for certain.
    Before(Failure),
    /// Nobody knows.
    AtCommit(Failure),
}

/// Ends the queue with its writer, however that ends.
struct Ending<'q>(&'q WriteQueue);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Writer {
    /// Runs until the queue is closed and empty. The listener is called outside the runtime, as it may
    /// block.
    pub(super) fn run(self, runtime: &Runtime) {
        let queue = self.queue.clone();
        let _ending = Ending(&queue);
        let mut line = None;
        let mut pace = Pace::new(self.gather);
        let mut pause = *PAUSE.start();
        let (mut commits, mut young) = (0_u64, statistics::Young::new(self.connector.clone()));
        runtime.spawn(fail_late(self.queue.clone(), self.connector.patience()));
        while runtime.block_on(self.queue.filled()) {
            // Before anything is taken: what waits in the queue meanwhile can still be given up in time.
            if let Err(failure) = runtime.block_on(self.connected(&mut line)) {
                self.fail_waiting(&failure.store_error());
                runtime.block_on(async { tokio::time::sleep(pause).await });
                pause = (pause * 2).min(*PAUSE.end());
                continue;
            }
            pause = *PAUSE.start();
            let batch = runtime.block_on(self.queue.take(self.batch_max, &mut pace));
            let more = self.work(runtime, &mut line, batch);
            young.committed(runtime, more);
            commits += more;
            if commits >= PRUNE_EVERY {
                commits = 0;
                runtime.block_on(prune(line.as_ref()));
            }
        }
    }

    /// Runs a batch, in as many transactions as it takes, and says how many commits that were.
    fn work(&self, runtime: &Runtime, line: &mut Option<Db>, batch: Vec<Queued>) -> u64 {
        let mut rounds = vec![Round { writes: batch, blocks: 1, tries: 0, hasty: false }];
        let mut commits = 0;
        while let Some(round) = rounds.pop() {
            let db = match runtime.block_on(self.connected(line)) {
                Ok(db) => db,
                Err(failure) => {
                    let left = std::iter::once(round).chain(rounds.drain(..).rev());
                    self.fail_all(left, failure);
                    break;
                }
            };
            let done = catch_unwind(AssertUnwindSafe(|| {
                runtime.block_on(self.commit(db, round, &mut rounds))
            }));
            match done {
                Ok(Some(commit)) => {
                    commits += 1;
                    self.tell(commit);
                }
                Ok(None) => {}
                Err(_) => {
                    tracing::error!("a write panicked; its callers are answered as failed");
                    *line = None;
                }
            }
        }
        commits
    }

    /// The connection, made anew if need be.
    async fn connected<'l>(&self, line: &'l mut Option<Db>) -> Result<&'l Db, Failure> {
        if line.as_ref().is_none_or(Db::is_closed) {
            *line = None;
            let made = self.connector.own().await;
            if let Err(failure) = &made {
                tracing::warn!(error = %failure.clone().store_error(), "PostgreSQL is not reachable");
            }
            *line = Some(made?);
            self.queue.counters.connects.fetch_add(1, Ordering::Relaxed);
        }
        line.as_ref().ok_or_else(|| Failure::Lost("no connection".to_owned()))
    }

    fn tell(&self, commit: Commit) {
        if catch_unwind(AssertUnwindSafe(|| self.listener.committed(commit))).is_err() {
            tracing::error!("the commit listener panicked; its events were not passed on");
        }
    }

    /// Runs a round; what is to be run again is added to `rounds`.
    async fn commit(&self, db: &Db, mut round: Round, rounds: &mut Vec<Round>) -> Option<Commit> {
        let stop = match self.transact(db, &mut round).await {
            Ok(events) => {
                self.queue.counters.commits.fetch_add(1, Ordering::Relaxed);
                let writes = round.writes;
                let answer = move || writes.into_iter().for_each(Queued::answer);
                if events.is_empty() {
                    answer();
                    return None;
                }
                return Some(Commit::new(events, answer));
            }
            Err(stop) => stop,
        };
        match stop {
            Stop::AtCommit(failure) => {
                tracing::error!(
                    error = %failure.clone().store_error(), writes = round.writes.len(),
                    "whether a commit is stored is not known; its callers are told that it is not"
                );
                self.queue.counters.failed_commits.fetch_add(1, Ordering::Relaxed);
                self.fail_all([round], failure);
                // What it may have stored must be looked for: nobody was told of it.
                return Some(Commit::unsure(|| {}));
            }
            Stop::Before(failure) => {
                db.roll_back().await;
                self.again(round, failure, rounds);
            }
        }
        None
    }

    /// Decides what becomes of a round of which nothing is stored.
    fn again(&self, mut round: Round, failure: Failure, rounds: &mut Vec<Round>) {
        self.queue.counters.repeated.fetch_add(1, Ordering::Relaxed);
        round.tries += 1;
        let more = match &failure {
            Failure::Places => {
                round.blocks *= 16;
                round.blocks <= BLOCKS_MAX
            }
            Failure::Again(_) => round.tries < TRIES,
            Failure::Lost(_) => round.tries < 2,
            Failure::Locked(_) | Failure::Hung | Failure::Fenced | Failure::Final(_) => false,
        };
        if more {
            rounds.push(round);
            return;
        }
        let is_alone = round.writes.len() <= 1;
        if is_alone || matches!(failure, Failure::Lost(_) | Failure::Hung | Failure::Fenced) {
            self.fail_all([round], failure);
            return;
        }
        let hasty = round.hasty || matches!(failure, Failure::Locked(_));
        let late = round.writes.split_off(round.writes.len() / 2);
        for writes in [late, round.writes] {
            rounds.push(Round { writes, blocks: 1, tries: 0, hasty });
        }
    }

    /// Fails rounds, and what waited behind them too long for a database that does not answer.
    fn fail_all(&self, rounds: impl IntoIterator<Item = Round>, failure: Failure) {
        let is_away = matches!(failure, Failure::Lost(_) | Failure::Hung);
        let error = failure.store_error();
        let mut failed = 0;
        for mut write in rounds.into_iter().flat_map(|round| round.writes) {
            write.fail(error.clone());
            write.answer();
            failed += 1;
        }
        tracing::warn!(%error, writes = failed, "writes failed");
        if is_away {
            self.fail_waiting(&error);
        }
    }

    /// Fails what has waited for long already: the database is known to be away.
    fn fail_waiting(&self, error: &StoreError) {
        self.queue.fail_waiting(self.connector.patience() / 2, error);
    }

    async fn transact(
        &self,
        db: &Db,
        round: &mut Round,
    ) -> Result<Vec<mynah_domain::event::Event>, Stop> {
        let mut tx = self.fill(db, round).await.map_err(Stop::Before)?;
        db.commit().await.map_err(Stop::AtCommit)?;
        Ok(tx.take_events())
    }

    async fn fill<'c>(&self, db: &'c Db, round: &mut Round) -> Result<Tx<'c>, Failure> {
        let blocks = if round.writes.iter().any(Queued::emits) { round.blocks } else { 0 };
        let text = if round.hasty { &self.begin_hasty } else { self.connector.begin_write() };
        let own = self.fence.place();
        let first = db.begin_write(text, blocks).await?;
        let places = first * PLACES..(first + blocks) * PLACES;
        let mut tx = Tx::new(db, own, places);
        let (mut appends, mut accounts, mut others): (Vec<&mut AppendJob>, Vec<_>, Vec<_>) =
            (vec![], vec![], vec![]);
        let mut named = Vec::new();
        for write in &mut round.writes {
            match &mut write.task {
                Task::Append(job) => appends.push(job),
                Task::Create(job) => accounts.push(&mut **job),
                Task::Other(locks, job) => {
                    named.push(&*locks);
                    others.push(job);
                }
            }
        }
        Box::pin(creating::create(&tx, &mut accounts)).await?;
        let rooms = batch::named_rooms(&tx, &named).await?;
        if !appends.is_empty() || !rooms.is_empty() {
            Box::pin(batch::append(&mut tx, &mut appends, rooms)).await?;
        }
        if !others.is_empty() {
            tx.flush_messages().await?;
        }
        for job in others {
            job.run(&mut tx).await?;
        }
        let flushed = Box::pin(tx.flush()).await;
        if matches!(flushed, Err(Failure::Fenced)) {
            self.fence.lose(own);
        }
        flushed.map(|()| tx)
    }
}

/// Fails what has waited as long as it may take by itself, if nothing was committed lately: a long queue that moves
/// on is waited for.
async fn fail_late(queue: Arc<WriteQueue>, longest: Duration) {
    let error = StoreError::Unavailable("PostgreSQL does not answer".to_owned());
    let (mut commits, mut moved_at) = (0, Instant::now());
    loop {
        tokio::time::sleep(longest / 20).await;
        let now = queue.counters.commits.load(Ordering::Relaxed);
        if std::mem::replace(&mut commits, now) != now {
            moved_at = Instant::now();
        }
        if moved_at.elapsed() >= longest / 2 {
            queue.fail_waiting(longest, &error);
        }
    }
}

/// Forgets heads of the log that nobody needs.
async fn prune(line: Option<&Db>) {
    let Some(db) = line.filter(|db| !db.is_closed()) else { return };
    let settled = db.first(sql::journal::LOG_HEAD, &[], |row| rows::count(row, 0)).await;
    let pruned = match settled {
        Ok(Some(head)) => {
            let head = super::params::count(head);
            db.run(sql::journal::LOG_HEADS_PRUNE, &[&head]).await.map(|_| ())
        }
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    if let Err(failure) = pruned {
        tracing::warn!(error = %failure.store_error(), "heads of the log could not be pruned");
    }
}
