//! A few threads that read, each with its own connection and short transactions.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mynah_domain::ports::StoreError;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::trouble::{Trouble, store_error};

type Query = Box<dyn FnOnce(&Connection) + Send>;

#[derive(Default)]
struct Waiting {
    queries: VecDeque<Query>,
    closing: bool,
}

/// The way to the readers.
pub(super) struct ReadQueue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    length_max: usize,
}

impl ReadQueue {
    pub(super) fn new(length_max: usize) -> Self {
        Self { waiting: Mutex::default(), filled: Condvar::new(), length_max }
    }

    /// Queues a read now; all its statements see one state of the database.
    pub(super) fn call<R, E, F>(&self, work: F) -> impl Future<Output = Result<R, E>> + use<R, E, F>
    where
        R: Send + 'static,
        E: Send + From<StoreError> + 'static,
        F: FnOnce(&Connection) -> Result<R, Trouble<E>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queued = self.push(Box::new(move |conn| {
            // A caller that went away does not want the answer.
            drop(reply.send(read(conn, work)));
        }));
        async move {
            queued?;
            let lost = |_| StoreError::Unavailable("the read was not finished".into());
            answer.await.map_err(lost)?
        }
    }

    fn push(&self, query: Query) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock();
        if waiting.closing {
            return Err(StoreError::Unavailable("the store is closing".into()));
        }
        if waiting.queries.len() >= self.length_max {
            return Err(StoreError::Overloaded);
        }
        waiting.queries.push_back(query);
        self.filled.notify_one();
        Ok(())
    }

    pub(super) fn close(&self) {
        self.waiting.lock().closing = true;
        self.filled.notify_all();
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.lock().queries.len()
    }

    fn take(&self) -> Option<Query> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(query) = waiting.queries.pop_front() {
                return Some(query);
            }
            if waiting.closing {
                return None;
            }
            self.filled.wait(&mut waiting);
        }
    }
}

fn read<R, E: From<StoreError>>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<R, Trouble<E>>,
) -> Result<R, E> {
    let failed = |error: rusqlite::Error| E::from(store_error(&error));
    conn.execute_batch("BEGIN").map_err(failed)?;
    let outcome = work(conn);
    let ended = conn.execute_batch("COMMIT");
    match outcome {
        Ok(found) => ended.map(|()| found).map_err(failed),
        Err(Trouble::Refused(error)) => Err(error),
        Err(Trouble::Engine(error)) => {
            tracing::error!(%error, "a read failed");
            Err(error.into())
        }
    }
}

/// Runs until the queue is closed and empty.
pub(super) fn run(conn: &Connection, queue: &ReadQueue) {
    while let Some(query) = queue.take() {
        if catch_unwind(AssertUnwindSafe(|| query(conn))).is_err() {
            tracing::error!("a read panicked");
        }
        if !conn.is_autocommit()
            && let Err(error) = conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a read could not be ended");
        }
    }
}
