//! The ports on PostgreSQL: one writer per process with group commit, a pool that reads.
//!
//! Several processes may use one database. Durability: a commit returns when its log is flushed, as
//! `synchronous_commit` demands, which is switched on where it is off. Order: places in the log are given
//! in the order of transaction numbers, so readers of the whole log know how far it is settled; each
//! stream is ordered by the lock of its head. Needs PostgreSQL 13 or newer. The page `docs/postgresql.md`
//! tells which services fit.

mod accounts;
mod apps;
mod batch;
mod connect;
mod creating;
mod db;
mod examine;
mod facts;
mod feed;
mod fence;
mod history;
mod index;
mod journal;
mod lists;
mod members;
mod messages;
mod migrate;
mod nodes;
mod open_error;
mod open_rooms;
mod outbox;
mod params;
mod pool;
mod queue;
mod replica;
mod rooms;
mod rows;
mod search;
mod sessions;
mod sql;
mod statistics;
mod trouble;
mod tx;
mod writer;

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod sql_tests;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use mynah_domain::node::NodeLease;
use mynah_domain::ports::CommitListener;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use examine::{Examined, examine};
pub use open_error::OpenError;

use connect::Connector;
use fence::{Fence, Place};
use pool::Readers;
use queue::WriteQueue;
use replica::Replica;
use trouble::Failure;
use writer::Writer;

/// Connections for what nodes tell of themselves.
const LIVES_MAX: usize = 2;

/// How a [`PostgresStore`] works.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:5432/database?sslmode=require`. Certificates are always verified;
    /// `sslrootcert` names a file of authorities.
    pub url: String,
    /// A streaming replica, for pages of history.
    pub replica_url: Option<String>,
    /// Connections that read; the writer has one more, and nodes two.
    pub pool_max: usize,
    /// How long a statement, a lock or a read may take.
    pub statement_timeout: Duration,
    /// Whether statements are prepared once per connection. Not behind a PgBouncer older than 1.21 in
    /// transaction mode.
    pub prepared_statements: bool,
    /// Writes waiting at most; one more is refused with `Overloaded`.
    pub write_queue_max: usize,
    /// Reads waiting for a connection at most; one more is refused with `Overloaded`.
    pub read_queue_max: usize,
    /// Writes in one commit at most.
    pub batch_max: usize,
    /// How long after the beginning of a commit the next one begins under load, so that writes share
    /// it. A lone write never waits.
    pub gather: Duration,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            url: String::new(),
            replica_url: None,
            pool_max: 16,
            statement_timeout: Duration::from_secs(5),
            prepared_statements: true,
            write_queue_max: 16_384,
            read_queue_max: 16_384,
            batch_max: 1_024,
            gather: Duration::from_millis(5),
        }
    }
}

/// Without the addresses, which hold passwords.
impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresOptions").field("pool_max", &self.pool_max).finish_non_exhaustive()
    }
}

/// What a store has done and what waits, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PostgresStats {
    /// Commits that are on disk.
    pub commits: u64,
    /// Commits without a clear answer.
    pub failed_commits: u64,
    /// Writes taken from the queue, refused ones included.
    pub writes: u64,
    /// Transactions run again because others were in the way or the connection had gone.
    pub repeated: u64,
    /// Times the writer made a new connection.
    pub connects: u64,
    /// Writes in the last batch.
    pub last_batch: u64,
    /// Writes in the largest batch.
    pub largest_batch: u64,
    /// Writes waiting now.
    pub write_queue: usize,
    /// Connections of the pool now.
    pub pool_size: usize,
    /// Connections the pool may have.
    pub pool_max: usize,
    /// Connections of the pool that nobody uses.
    pub pool_idle: usize,
    /// Reads waiting for a connection.
    pub read_queue: usize,
}

/// All store ports on one PostgreSQL database.
pub struct PostgresStore {
    writes: Arc<WriteQueue>,
    reads: Readers,
    /// For what nodes tell of themselves.
    lives: Readers,
    replica: Option<Replica>,
    fence: Arc<Fence>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl PostgresStore {
    /// Connects, brings the schema up to date and starts the writer.
    ///
    /// `listener` hears of every commit of this process on the writer's thread; while it blocks, nothing
    /// is committed and nobody is answered.
    ///
    /// # Errors
    /// [`OpenError`]; a foreign or newer schema is left as it is.
    pub async fn open(
        options: PostgresOptions,
        listener: Arc<dyn CommitListener>,
    ) -> Result<Arc<Self>, OpenError> {
        let how = (options.statement_timeout, options.prepared_statements);
        let mut connector = Connector::new("store.url", &options.url, how)?.seeking_primary();
        if Box::pin(prepare(&connector)).await? {
            tracing::warn!("synchronous_commit is off in the database; it is switched on for us");
            connector.synchronous();
        }
        let writes = Arc::new(WriteQueue::new(options.write_queue_max));
        let fence = Arc::new(Fence::default());
        let waiting = options.read_queue_max;
        let reads = Readers::new(connector.clone(), (options.pool_max, waiting))?;
        let lives = Readers::new(connector.clone(), (LIVES_MAX, waiting))?;
        let replica = match &options.replica_url {
            Some(url) => {
                let connector = Connector::new("store.replica_url", url, how)?;
                Some(Replica::new(Readers::new(connector, (options.pool_max, waiting))?))
            }
            None => None,
        };
        let begin_hasty = format!("{}; SET LOCAL lock_timeout = 20", connector.begin_write());
        let writer = Writer {
            begin_hasty,
            connector,
            queue: writes.clone(),
            fence: fence.clone(),
            batch_max: options.batch_max.max(1),
            gather: options.gather,
            listener,
        };
        let thread = Mutex::new(Some(start(writer)?));
        Ok(Arc::new(Self { writes, reads, lives, replica, fence, thread }))
    }

    /// What is stored from now on carries the slot of this lease as [`mynah_domain::event::Event::origin`], and is
    /// refused with [`StoreError::Fenced`](mynah_domain::ports::StoreError::Fenced) once the slot was given to
    /// another.
    pub fn take_place(&self, lease: &NodeLease) {
        self.fence.take(Place { slot: lease.slot, epoch: lease.epoch });
    }

    /// Tells when a write was refused because the place is another's, until a new one is taken.
    pub fn fenced(&self) -> watch::Receiver<bool> {
        self.fence.watch()
    }

    /// What the store has done and what waits.
    pub fn stats(&self) -> PostgresStats {
        let counters = &self.writes.counters;
        let pool = self.reads.status();
        PostgresStats {
            commits: counters.commits.load(Ordering::Relaxed),
            failed_commits: counters.failed_commits.load(Ordering::Relaxed),
            writes: counters.writes.load(Ordering::Relaxed),
            repeated: counters.repeated.load(Ordering::Relaxed),
            connects: counters.connects.load(Ordering::Relaxed),
            last_batch: counters.last_batch.load(Ordering::Relaxed),
            largest_batch: counters.largest_batch.load(Ordering::Relaxed),
            write_queue: self.writes.len(),
            pool_size: pool.size,
            pool_max: pool.max_size,
            pool_idle: pool.available,
            read_queue: pool.waiting,
        }
    }

    /// Takes no more writes, finishes those waiting and closes the connections. Closing again does
    /// nothing.
    pub async fn close(&self) {
        self.writes.close();
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let ended = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("the writer had panicked");
            }
        }
        self.reads.close();
        self.lives.close();
        if let Some(replica) = &self.replica {
            replica.close();
        }
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        // The thread ends by itself, which cannot be waited for here.
        self.writes.close();
    }
}

fn start(writer: Writer) -> Result<JoinHandle<()>, OpenError> {
    let refused = |error: std::io::Error| OpenError::Engine { problem: error.to_string() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(refused)?;
    let thread = std::thread::Builder::new().name("store-write".to_owned());
    thread.spawn(move || writer.run(&runtime)).map_err(refused)
}

/// Looks whether the database fits and brings its schema up to date; `true` if commits do not wait for
/// the disk unless they are told to.
async fn prepare(connector: &Connector) -> Result<bool, OpenError> {
    let mut db = connector.own().await.map_err(|failure| unreachable(connector, failure))?;
    let unfit = |problem: String| OpenError::Unfit { place: connector.place(), problem };
    let asked = "SELECT current_setting('server_version_num')::bigint, pg_is_in_recovery(), \
                 current_setting('synchronous_commit'), current_setting('fsync'), \
                 current_setting('server_encoding')";
    let read = |row: &tokio_postgres::Row| {
        let (version, standby) = (row.try_get::<_, i64>(0)?, row.try_get::<_, bool>(1)?);
        let (commits, fsync) = (row.try_get::<_, String>(2)?, row.try_get::<_, String>(3)?);
        Ok((version, standby, commits, fsync, row.try_get::<_, String>(4)?))
    };
    let found = db.first(asked, &[], read).await.map_err(|f| unreachable(connector, f))?;
    let Some((version, standby, commits, fsync, encoding)) = found else {
        return Err(unfit("does not say what it is".to_owned()));
    };
    if version < 130_000 {
        let major = version / 10_000;
        return Err(unfit(format!("is PostgreSQL {major}; 13 or newer is needed")));
    }
    if standby {
        return Err(unfit("is a standby; name the primary in store.url".to_owned()));
    }
    if encoding != "UTF8" {
        return Err(unfit(format!("has the encoding {encoding}; make one with UTF8")));
    }
    if fsync == "off" {
        tracing::error!("fsync is off in PostgreSQL: what is acknowledged may be lost");
    }
    Box::pin(migrate::run(&mut db)).await?;
    Ok(commits == "off")
}

fn unreachable(connector: &Connector, failure: Failure) -> OpenError {
    let problem = match failure {
        Failure::Hung => "no answer in time".to_owned(),
        Failure::Lost(problem) | Failure::Again(problem) | Failure::Locked(problem) => problem,
        other @ (Failure::Places | Failure::Fenced | Failure::Final(_)) => {
            other.store_error().to_string()
        }
    };
    let says = |text: &str| problem.contains(text);
    let hint = if says("28P01") || says("28000") {
        ". Check user and password in store.url; where only encrypted connections are let in, add \
         ?sslmode=require"
    } else if says("3D000") {
        ". Make the database first: CREATE DATABASE … ENCODING 'UTF8'"
    } else {
        ""
    };
    OpenError::Connect { place: connector.place(), problem, hint }
}
