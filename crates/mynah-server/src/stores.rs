//! The store behind the ports, whichever engine it is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::StoreConfig;
use mynah_domain::node::NodeLease;
use mynah_domain::ports::{
    AccountStore, AppStore, CommitListener, FeedStore, JournalStore, MessageStore, NodeStore,
    OpenRoomStore, OutboxStore, RoomStore, SearchStore,
};
use mynah_store::postgres::{PostgresOptions, PostgresStats, PostgresStore};
use mynah_store::sqlite::{SqliteOptions, SqliteStore, StoreStats};
use tokio::sync::watch;

/// Every store port, all of one engine; cloning copies handles only.
#[derive(Clone)]
pub struct Stores {
    /// Accounts and sign-ins.
    pub accounts: Arc<dyn AccountStore>,
    /// Rooms and memberships.
    pub rooms: Arc<dyn RoomStore>,
    /// Messages, revisions and read cursors.
    pub messages: Arc<dyn MessageStore>,
    /// The journal.
    pub journal: Arc<dyn JournalStore>,
    /// Rooms that connections have opened.
    pub open_rooms: Arc<dyn OpenRoomStore>,
    /// Apps and their keys.
    pub apps: Arc<dyn AppStore>,
    /// What is to be told outside.
    pub outbox: Arc<dyn OutboxStore>,
    /// Streams, for those who deliver them.
    pub feed: Arc<dyn FeedStore>,
    /// Who takes part.
    pub nodes: Arc<dyn NodeStore>,
    /// The index of messages.
    pub search: Arc<dyn SearchStore>,
    engine: Engine,
}

#[derive(Clone)]
enum Engine {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

/// What a store has done and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineStats {
    /// SQLite's.
    Sqlite(StoreStats),
    /// PostgreSQL's.
    Postgres(PostgresStats),
}

/// How the PostgreSQL that is set is used.
pub(crate) fn postgres_options(config: &StoreConfig) -> PostgresOptions {
    let replica = &config.replica_url;
    PostgresOptions {
        url: config.url.expose().to_owned(),
        replica_url: (!replica.is_empty()).then(|| replica.expose().to_owned()),
        pool_max: config.pool_max,
        statement_timeout: Duration::from_millis(config.statement_timeout_ms),
        prepared_statements: config.prepared_statements,
        ..PostgresOptions::default()
    }
}

impl Stores {
    /// Opens the store that a configuration names.
    ///
    /// # Errors
    /// What is wrong with the address, the folder or the database, and what to do.
    pub async fn open(
        config: &StoreConfig,
        data_dir: &Path,
        listener: Arc<dyn CommitListener>,
    ) -> anyhow::Result<Self> {
        if config.url.is_empty() {
            return Self::sqlite(data_dir, listener);
        }
        let store = PostgresStore::open(postgres_options(config), listener).await?;
        Ok(Self::of(&store, Engine::Postgres(Arc::clone(&store))))
    }

    /// Opens the SQLite database in a folder.
    ///
    /// # Errors
    /// What is wrong with the folder or the database, and what to do.
    fn sqlite(data_dir: &Path, listener: Arc<dyn CommitListener>) -> anyhow::Result<Self> {
        let store = SqliteStore::open(data_dir, &SqliteOptions::default(), listener)?;
        Ok(Self::of(&store, Engine::Sqlite(Arc::clone(&store))))
    }

    fn of<S>(store: &Arc<S>, engine: Engine) -> Self
    where
        S: AccountStore
            + RoomStore
            + MessageStore
            + JournalStore
            + OpenRoomStore
            + AppStore
            + OutboxStore
            + FeedStore
            + NodeStore
            + SearchStore
            + 'static,
    {
        Self {
            accounts: Arc::clone(store) as _,
            rooms: Arc::clone(store) as _,
            messages: Arc::clone(store) as _,
            journal: Arc::clone(store) as _,
            open_rooms: Arc::clone(store) as _,
            apps: Arc::clone(store) as _,
            outbox: Arc::clone(store) as _,
            feed: Arc::clone(store) as _,
            nodes: Arc::clone(store) as _,
            search: Arc::clone(store) as _,
            engine,
        }
    }

    /// Whether other nodes may use it at the same time.
    pub fn is_common(&self) -> bool {
        match &self.engine {
            Engine::Sqlite(_) => false,
            Engine::Postgres(_) => true,
        }
    }

    /// What it stores from now on carries the slot of this lease, and is refused once that is another's.
    pub fn take_place(&self, lease: &NodeLease) {
        match &self.engine {
            Engine::Sqlite(_) => {}
            Engine::Postgres(store) => store.take_place(lease),
        }
    }

    /// Tells when a write was refused because the slot is another's.
    pub fn fenced(&self) -> watch::Receiver<bool> {
        match &self.engine {
            // A file has one process.
            Engine::Sqlite(_) => watch::channel(false).1,
            Engine::Postgres(store) => store.fenced(),
        }
    }

    /// What the store has done and what waits, without holding it; `None` once it is gone.
    pub fn watch(&self) -> Box<dyn Fn() -> Option<EngineStats> + Send + Sync> {
        match &self.engine {
            Engine::Sqlite(store) => {
                let store = Arc::downgrade(store);
                Box::new(move || store.upgrade().map(|store| EngineStats::Sqlite(store.stats())))
            }
            Engine::Postgres(store) => {
                let store = Arc::downgrade(store);
                Box::new(move || store.upgrade().map(|store| EngineStats::Postgres(store.stats())))
            }
        }
    }

    /// Finishes what was begun and lets go of the files.
    pub async fn close(self) {
        let store = match self.engine {
            Engine::Sqlite(store) => store,
            Engine::Postgres(store) => return store.close().await,
        };
        if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
            tracing::error!(%error, "the store could not be closed properly");
        }
    }
}
