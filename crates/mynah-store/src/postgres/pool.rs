//! Connections that read.

use deadpool_postgres::{Pool, PoolError, Status};
use mynah_domain::ports::StoreError;

use super::connect::Connector;
use super::db::Db;
use super::open_error::OpenError;
use super::trouble::{Failure, Trouble};

/// A bounded pool. Connections that broke are replaced when they are needed.
pub(super) struct Readers {
    connector: Connector,
    pool: Pool,
    waiting_max: usize,
}

impl Readers {
    pub(super) fn new(
        connector: Connector,
        (most, waiting_max): (usize, usize),
    ) -> Result<Self, OpenError> {
        let pool = connector.pool(most)?;
        Ok(Self { connector, pool, waiting_max })
    }

    pub(super) fn status(&self) -> Status {
        self.pool.status()
    }

    pub(super) fn close(&self) {
        self.pool.close();
    }

    async fn db(&self) -> Result<Db, Failure> {
        if self.pool.status().waiting > self.waiting_max {
            return Err(Failure::Final(StoreError::Overloaded));
        }
        let object = Box::pin(self.pool.get()).await.map_err(|error| match error {
            PoolError::Backend(error) => Failure::from(error),
            PoolError::Timeout(_) => Failure::Hung,
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Failure::Final(StoreError::Unavailable(error.to_string()))
            }
        })?;
        Ok(self.connector.borrowed(object))
    }

    /// A connection whose statements all see one state of the database.
    pub(super) async fn snapshot(&self) -> Result<Db, Failure> {
        let db = self.db().await?;
        db.begin_with_first(self.connector.begin_read());
        Ok(db)
    }

    /// A connection with a transaction of its own that writes.
    pub(super) async fn writing(&self) -> Result<Db, Failure> {
        let db = self.db().await?;
        db.begin(self.connector.begin_write()).await?;
        Ok(db)
    }
}

/// Times that a read is tried again: of a pool whose connections the server ended all may be stale.
const AGAIN_MAX: u32 = 3;

/// Whether a read is to be tried once more: the connection had ended before it was asked.
pub(super) fn try_again<R, E>(outcome: &Result<R, Trouble<E>>, tries: u32) -> bool {
    tries < AGAIN_MAX && matches!(outcome, Err(Trouble::Engine(Failure::Lost(_))))
}

/// The answer of a read.
pub(super) fn answer<R, E: From<StoreError>>(outcome: Result<R, Trouble<E>>) -> Result<R, E> {
    match outcome {
        Ok(found) => Ok(found),
        Err(Trouble::Refused(error)) => Err(error),
        Err(Trouble::Engine(failure)) => {
            let error = failure.store_error();
            tracing::warn!(%error, "a read failed");
            Err(error.into())
        }
    }
}

/// Runs a read on one state of the database: `reading!(pool, db => look(db, …))`.
macro_rules! reading {
    ($pool:expr, $db:ident => $work:expr) => {{
        let mut tries = 0;
        loop {
            let outcome = match $pool.snapshot().await {
                Ok(connection) => {
                    let $db = &connection;
                    Box::pin($work).await
                }
                Err(failure) => Err(failure.into()),
            };
            if !$crate::postgres::pool::try_again(&outcome, tries) {
                break $crate::postgres::pool::answer(outcome);
            }
            tries += 1;
        }
    }};
}
pub(super) use reading;
