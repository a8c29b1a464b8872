//! The ports on SQLite: one writer with group commit, a few readers, one file.
//!
//! Durability: write-ahead log with `synchronous=FULL`, so a commit returns after `fsync`. Order: the
//! writer is one thread, so commit order is call order is `pos` order. A second process is kept out by
//! a lock file beside the database.

mod accounts;
mod apps;
mod backup;
mod connect;
mod examine;
mod facts;
mod feed;
mod history;
mod journal;
mod lists;
mod members;
mod messages;
mod migrate;
mod nodes;
mod open_rooms;
mod outbox;
mod readers;
mod rooms;
mod rows;
mod search;
mod sessions;
mod sql;
mod trouble;
mod tx;
mod writer;

#[cfg(test)]
mod plan_tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use mynah_domain::ports::{AppStore, Commit, CommitListener, OutboxStore};
use parking_lot::Mutex;
use rusqlite::Connection;

pub use backup::{BackedUp, BackupError, CopyStep, Restored, back_up, restore};
pub use connect::{FILE_NAME, OpenError};
pub use examine::{Examined, examine};

use readers::ReadQueue;
use writer::WriteQueue;

/// How a [`SqliteStore`] works.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Threads that read.
    pub readers: usize,
    /// Writes waiting at most; one more is refused with `Overloaded`.
    pub write_queue_max: usize,
    /// Reads waiting at most; one more is refused with `Overloaded`.
    pub read_queue_max: usize,
    /// Writes in one commit at most.
    pub batch_max: usize,
    /// How long after the beginning of a commit the next one begins under load, so that writes share
    /// it. A lone write never waits.
    pub gather: Duration,
    /// Largest database, in pages of 4 KiB; beyond it writes are refused with `Full`.
    pub pages_max: Option<u32>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 3,
            write_queue_max: 16_384,
            read_queue_max: 16_384,
            batch_max: 1_024,
            gather: Duration::from_millis(5),
            pages_max: None,
        }
    }
}

/// What a store has done and what waits, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Commits that are on disk.
    pub commits: u64,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Writes taken from the queue, refused ones included.
    pub writes: u64,
    /// Writes in the last batch.
    pub last_batch: u64,
    /// Writes in the largest batch.
    pub largest_batch: u64,
    /// Writes waiting now.
    pub write_queue: usize,
    /// Reads waiting now.
    pub read_queue: usize,
    /// Size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
}

/// All store ports on one SQLite file.
pub struct SqliteStore {
    writes: Arc<WriteQueue>,
    reads: Arc<ReadQueue>,
    file: PathBuf,
    threads: Mutex<Vec<JoinHandle<()>>>,
    // Keeps other processes out while the store lives.
    lock: Mutex<Option<File>>,
}

impl SqliteStore {
    /// Opens or makes a database, brings its schema up to date and starts its threads.
    ///
    /// `path` is a folder (the file is then [`FILE_NAME`] inside it) or a file ending in `.sqlite3` or
    /// `.db`. `listener` hears of every commit on the writer's thread; while it blocks, nothing is
    /// committed and nobody is answered.
    ///
    /// # Errors
    /// [`OpenError`]; a foreign or newer file is left as it is.
    pub fn open(
        path: impl AsRef<Path>,
        options: &SqliteOptions,
        listener: Arc<dyn CommitListener>,
    ) -> Result<Arc<Self>, OpenError> {
        let file = connect::file_in(path.as_ref())?;
        connect::inspect(&file)?;
        let lock = connect::lock(&file)?;
        let engine = |source| OpenError::Engine { path: file.clone(), source };
        let mut conn = connect::writer(&file, options).map_err(engine)?;
        migrate::run(&file, &mut conn)?;
        Self::run(&file, conn, options, (Some(lock), listener))
    }

    fn run(
        file: &Path,
        conn: Connection,
        options: &SqliteOptions,
        (lock, listener): (Option<File>, Arc<dyn CommitListener>),
    ) -> Result<Arc<Self>, OpenError> {
        let engine = |source| OpenError::Engine { path: file.to_owned(), source };
        let writes = Arc::new(WriteQueue::new(options.write_queue_max));
        let reads = Arc::new(ReadQueue::new(options.read_queue_max));
        let store = Arc::new(Self {
            writes: writes.clone(),
            reads: reads.clone(),
            file: file.to_owned(),
            threads: Mutex::default(),
            lock: Mutex::new(lock),
        });
        for n in 0..options.readers.max(1) {
            let conn = connect::reader(file).map_err(engine)?;
            let queue = reads.clone();
            store.start(format!("store-read-{n}"), move || readers::run(&conn, &queue))?;
        }
        let pace = (options.batch_max.max(1), options.gather);
        store.start("store-write".to_owned(), move || {
            writer::run(&conn, &writes, pace, &listener);
        })?;
        Ok(store)
    }

    /// The apps of a database, also while a server has it open: for commands beside a running server.
    ///
    /// Nothing but apps and the outbox may be changed past the server, which remembers rooms and users. A database that
    /// is not there is made; one that no server has open is brought up to date.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Older`] when a server of an earlier release has it open.
    pub fn open_apps(path: impl AsRef<Path>) -> Result<Arc<dyn AppStore>, OpenError> {
        Ok(Self::open_beside(path.as_ref())?)
    }

    /// The outbox of a database, also while a server has it open, which remembers nothing of it: for
    /// commands beside a running server. Otherwise like [`SqliteStore::open_apps`].
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Older`] when a server of an earlier release has it open.
    pub fn open_outbox(path: impl AsRef<Path>) -> Result<Arc<dyn OutboxStore>, OpenError> {
        Ok(Self::open_beside(path.as_ref())?)
    }

    fn open_beside(path: &Path) -> Result<Arc<Self>, OpenError> {
        let file = connect::file_in(path)?;
        connect::inspect(&file)?;
        let options = SqliteOptions { readers: 1, ..SqliteOptions::default() };
        let open = || {
            let opened = connect::writer(&file, &options);
            opened.map_err(|source| OpenError::Engine { path: file.clone(), source })
        };
        let conn = match connect::lock(&file) {
            Ok(lock) => {
                let mut conn = open()?;
                migrate::run(&file, &mut conn)?;
                drop(lock);
                conn
            }
            Err(OpenError::InUse { .. }) => {
                let conn = open()?;
                migrate::check_current(&file, &conn)?;
                conn
            }
            Err(error) => return Err(error),
        };
        Self::run(&file, conn, &options, (None, Arc::new(Nobody)))
    }

    fn start(&self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let thread = std::thread::Builder::new().name(name).spawn(run);
        let thread =
            thread.map_err(|source| OpenError::File { path: self.file.clone(), source })?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Takes no more calls, finishes those waiting, folds the log into the file and lets go of it.
    /// Blocks until done; call it from a thread that may block. Closing again does nothing.
    pub fn close(&self) {
        self.writes.close();
        self.reads.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        let own = std::thread::current().id();
        // The last handle may be dropped by a store thread itself, which cannot wait for its own end.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != own) {
            if thread.join().is_err() {
                tracing::error!("a store thread had panicked");
            }
        }
        drop(self.lock.lock().take());
    }

    /// What the store has done and what waits.
    pub fn stats(&self) -> StoreStats {
        let counters = &self.writes.counters;
        let mut wal = self.file.as_os_str().to_owned();
        wal.push("-wal");
        StoreStats {
            commits: counters.commits.load(Ordering::Relaxed),
            failed_commits: counters.failed_commits.load(Ordering::Relaxed),
            writes: counters.writes.load(Ordering::Relaxed),
            last_batch: counters.last_batch.load(Ordering::Relaxed),
            largest_batch: counters.largest_batch.load(Ordering::Relaxed),
            write_queue: self.writes.len(),
            read_queue: self.reads.len(),
            wal_bytes: std::fs::metadata(wal).map_or(0, |m| m.len()),
        }
    }
}

/// Hears of nothing: apps and deliveries are no events.
struct Nobody;

impl CommitListener for Nobody {
    fn committed(&self, _commit: Commit) {}
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use mynah_domain::ports::{JournalStore, StoreError};

    use mynah_testkit::conformance::Subject;

    use super::journal::{log_page, room_head};
    use super::trouble::Trouble;
    use super::tx::Tx;
    use super::{SqliteOptions, SqliteStore, rows, sql};

    /// A commit between two statements of a read is not seen by the second.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_read_sees_one_state_whatever_is_committed_meanwhile() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let heard = mynah_testkit::Recorder::new();
        let store = SqliteStore::open(folder.path(), &SqliteOptions::default(), heard.clone());
        let store = store.expect("opened");
        let s = Subject::new(store.clone(), heard, ());
        let ada = s.user("ada").await;
        let room = s.group(&ada, &[], "r").await;
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go_on, goes_on) = std::sync::mpsc::sync_channel(1);
        let viewer = ada.clone();
        let read = store.reads.call(move |conn| {
            let head = super::journal::head_pos(conn)?;
            begun.send(()).expect("somebody waits");
            goes_on.recv().expect("told to go on");
            let rooms = |user| Ok(rows::all(conn, sql::ROOMS_NEWS, (user, 0), room_head)?);
            Ok::<_, Trouble<StoreError>>((head, log_page(conn, &viewer, (0, 2), rooms)?))
        });
        begins.await.expect("begun");
        let said = s.say(&ada, &room, "meanwhile").await;
        go_on.send(()).expect("it waits");
        let (head, page) = read.await.expect("read");
        assert_eq!((page.next, page.events.len(), page.more), (head, 2, false));
        let next = store.events_for(&ada, page.next, 2).await.expect("read");
        let seqs: Vec<u64> = next.events.iter().map(|e| e.seq).collect();
        assert_eq!((seqs, next.next), (vec![said.seq], head + 1));
    }

    #[tokio::test]
    async fn a_panic_inside_a_write_or_read_is_that_callers_error() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let heard = mynah_testkit::Recorder::new();
        let store = SqliteStore::open(folder.path(), &SqliteOptions::default(), heard);
        let store = store.expect("opened");
        let faulty = |tx: &mut Tx<'_>| -> Result<(), Trouble<StoreError>> {
            rows::execute(tx.conn, sql::PROBE_WRITE, [])?;
            panic!("on purpose")
        };
        let (panicked, probed) = tokio::join!(store.writes.call(faulty), store.probe());
        assert!(matches!(panicked, Err(StoreError::Unavailable(_))), "{panicked:?}");
        assert_eq!(probed, Ok(()));
        let read = store.reads.call::<(), StoreError, _>(|_| panic!("on purpose")).await;
        assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
        for _ in 0..8 {
            assert_eq!(store.probe().await, Ok(()), "each reader still reads");
        }
        let count = |conn: &rusqlite::Connection| {
            Ok::<_, Trouble<StoreError>>(rows::first(conn, sql::PROBE_READ, [], |r| {
                r.get::<_, i64>(0)
            })?)
        };
        assert_eq!(store.reads.call(count).await, Ok(Some(9)), "the panicked write left nothing");
    }
}
