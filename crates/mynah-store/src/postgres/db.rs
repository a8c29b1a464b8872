//! A connection in use, by the writer or for a read.

use std::borrow::Cow;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Object};
use tokio::time::Instant;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row, SimpleQueryMessage};

use super::params::Param;
use super::trouble::Failure;

/// Whose connection it is.
enum Line {
    Own(Box<ClientWrapper>),
    Pooled(Option<Box<Object>>),
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For one statement.
    pub(super) statement: Duration,
    /// For all of them together.
    pub(super) until: Option<Instant>,
}

/// A connection in use. Dropped inside a transaction, it undoes it; dropped after it hung, it is closed.
pub(super) struct Db {
    line: Line,
    prepared: bool,
    patience: Patience,
    in_transaction: AtomicBool,
    is_broken: AtomicBool,
    /// Begins the transaction, together with its first statement.
    opening: Mutex<Option<String>>,
    /// Transactions begun, where a connection is not counted by its pool.
    begun: AtomicU64,
}

impl Db {
    /// The writer's own connection.
    pub(super) fn own(client: ClientWrapper, prepared: bool, patience: Patience) -> Self {
        Self::new(Line::Own(Box::new(client)), prepared, patience)
    }

    /// A connection of a pool.
    pub(super) fn pooled(object: Object, prepared: bool, patience: Patience) -> Self {
        Self::new(Line::Pooled(Some(Box::new(object))), prepared, patience)
    }

    fn new(line: Line, prepared: bool, patience: Patience) -> Self {
        Self {
            line,
            prepared,
            patience,
            in_transaction: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
            opening: Mutex::new(None),
            begun: AtomicU64::new(0),
        }
    }

    /// From now on a statement may take so long.
    pub(super) fn be_patient(&mut self, statement: Duration) {
        self.patience.statement = statement;
    }

    fn client(&self) -> Result<&ClientWrapper, Failure> {
        match &self.line {
            Line::Own(client) => Ok(client),
            Line::Pooled(Some(object)) => Ok(object),
            Line::Pooled(None) => Err(Failure::Lost("it was given back".to_owned())),
        }
    }

    /// Whether nothing more can be asked of it.
    pub(super) fn is_closed(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
            || self.client().map_or(true, |client| client.is_closed())
    }

    async fn patiently<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        let own = Instant::now() + self.patience.statement;
        let until = self.patience.until.map_or(own, |until| until.min(own));
        match tokio::time::timeout_at(until, self.behind_opening(answer)).await {
            Ok(answer) => Ok(answer?),
            Err(_elapsed) => {
                self.is_broken.store(true, Ordering::Relaxed);
                Err(Failure::Hung)
            }
        }
    }

    /// Sends what begins the transaction, if it has not begun, and right behind it what is asked.
    async fn behind_opening<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(text), Line::Pooled(Some(object))) = (opening, &self.line) else {
            return answer.await;
        };
        self.in_transaction.store(true, Ordering::Relaxed);
        let begin = object.batch_execute(&text);
        tokio::try_join!(biased; begin, answer).map(|((), answer)| answer)
    }

    /// What begins a transaction, and now and then has all statements planned anew: a plan made while
    /// tables were small goes on to be used until they are analysed, which may be minutes and a million
    /// messages later.
    fn beginning<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let nth = match &self.line {
            Line::Own(_) => self.begun.fetch_add(1, Ordering::Relaxed),
            Line::Pooled(Some(object)) => Object::metrics(object).recycle_count as u64,
            Line::Pooled(None) => 0,
        };
        if plans_anew(nth) { Cow::Owned(format!("{text}; DISCARD PLANS")) } else { text.into() }
    }

    /// Runs statements without parameters in one go.
    pub(super) async fn batch(&self, text: &str) -> Result<(), Failure> {
        self.patiently(self.client()?.batch_execute(text)).await
    }

    /// Begins a transaction with `text`, which is to end with [`Db::commit`].
    pub(super) async fn begin(&self, text: &str) -> Result<(), Failure> {
        self.in_transaction.store(true, Ordering::Relaxed);
        self.batch(&self.beginning(text)).await
    }

    /// Begins a transaction together with its first statement, without waiting for it alone. It is undone when the
    /// connection is given back.
    pub(super) fn begin_with_first(&self, text: &str) {
        let text = self.beginning(text).into_owned();
        *self.opening.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// Begins a transaction that writes; with `blocks` it gets its places in the log before anything else.
    /// Answers the number of its first block, 0 without.
    pub(super) async fn begin_write(&self, text: &str, blocks: u64) -> Result<u64, Failure> {
        if blocks == 0 {
            self.begin(text).await?;
            return Ok(0);
        }
        self.in_transaction.store(true, Ordering::Relaxed);
        // In one message, so that nothing can come between and no statement has to be known before.
        let text = self.beginning(text);
        let text = format!("{text}; SELECT mynah.reserve_places({blocks}) / 4096");
        let answer = self.patiently(self.client()?.simple_query(&text)).await?;
        let first = answer.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else { return None };
            row.get(0)?.parse().ok()
        });
        first.ok_or_else(|| Failure::Lost("no places in the log were given".to_owned()))
    }

    /// Commits. Whatever is not a clear answer leaves open whether it is stored.
    pub(super) async fn commit(&self) -> Result<(), Failure> {
        let done = self.batch("COMMIT").await;
        self.in_transaction.store(false, Ordering::Relaxed);
        if done.is_err() {
            self.is_broken.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Undoes what the transaction did.
    pub(super) async fn roll_back(&self) {
        if !self.in_transaction.swap(false, Ordering::Relaxed) || self.is_closed() {
            return;
        }
        if self.batch("ROLLBACK").await.is_err() {
            self.is_broken.store(true, Ordering::Relaxed);
        }
    }

    /// The rows of a statement that is bounded by its own words.
    pub(super) async fn rows(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
    ) -> Result<Vec<Row>, Failure> {
        let client = self.client()?;
        if self.prepared {
            let types: Vec<Type> = params.iter().map(|p| p.kind()).collect();
            let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p.sql()).collect();
            let answer = async {
                let statement = client.prepare_typed_cached(sql, &types).await?;
                client.query(&statement, &values).await
            };
            return self.patiently(Box::pin(answer)).await;
        }
        self.rows_planned(sql, params).await
    }

    /// As [`Db::rows`], planned for these parameters and never prepared.
    pub(super) async fn rows_planned(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
    ) -> Result<Vec<Row>, Failure> {
        let typed: Vec<_> = params.iter().map(|p| (p.sql(), p.kind())).collect();
        self.patiently(Box::pin(self.client()?.query_typed(sql, &typed))).await
    }

    /// Runs a statement and says how many rows it changed.
    pub(super) async fn run(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
    ) -> Result<usize, Failure> {
        let client = self.client()?;
        let changed = if self.prepared {
            let types: Vec<Type> = params.iter().map(|p| p.kind()).collect();
            let values: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p.sql()).collect();
            let answer = async {
                let statement = client.prepare_typed_cached(sql, &types).await?;
                client.execute(&statement, &values).await
            };
            self.patiently(Box::pin(answer)).await?
        } else {
            let typed: Vec<_> = params.iter().map(|p| (p.sql(), p.kind())).collect();
            self.patiently(Box::pin(client.execute_typed(sql, &typed))).await?
        };
        Ok(changed as usize)
    }

    /// The first row, if there is one.
    pub(super) async fn first<T>(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
        read: impl FnOnce(&Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Failure> {
        let rows = self.rows(sql, params).await?;
        Ok(rows.first().map(read).transpose()?)
    }

    /// All rows.
    pub(super) async fn all<T>(
        &self,
        sql: &'static str,
        params: &[&dyn Param],
        read: impl FnMut(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Failure> {
        let rows = self.rows(sql, params).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}

/// Whether all is planned anew with the `nth` transaction of a connection: 16, 32, 64, …
pub(super) fn plans_anew(nth: u64) -> bool {
    nth >= 16 && nth.is_power_of_two()
}

impl Drop for Db {
    fn drop(&mut self) {
        let in_transaction = *self.in_transaction.get_mut();
        let is_broken = *self.is_broken.get_mut();
        let Line::Pooled(object) = &mut self.line else { return };
        let Some(object) = object.take() else { return };
        if is_broken {
            drop(Object::take(*object));
        } else if in_transaction {
            // Sent when first polled; nobody waits for the answer. Whoever gets the connection next is
            // behind it in line.
            let mut undo = pin!(object.batch_execute("ROLLBACK"));
            drop(undo.as_mut().poll(&mut Context::from_waker(Waker::noop())));
        }
    }
}
