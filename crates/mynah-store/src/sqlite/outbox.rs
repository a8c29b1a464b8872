//! The outbox. What an app has in it is counted by triggers, so bounds cost one row to look at.

use std::collections::HashMap;

use async_trait::async_trait;
use mynah_domain::outbox::{
    DISPLACED, DeadLetters, Delivery, DeliveryId, DeliveryState, Endpoint, Leased, NewDelivery,
    OutboxBounds, OutboxCount, Outcome, Settled, Waiting,
};
use mynah_domain::ports::{OutboxStore, StoreError};
use mynah_domain::{AppId, Timestamp};
use rusqlite::{Connection, Row};

use super::trouble::{Trouble, inconsistent};
use super::tx::Tx;
use super::{SqliteStore, rows, sql};

/// Rows that one step of a long change touches at most.
const STEP_ROWS: i64 = 1_000;

type Outcomes<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl OutboxStore for SqliteStore {
    async fn enqueue(
        &self,
        deliveries: Vec<NewDelivery>,
        bounds: OutboxBounds,
    ) -> Result<Vec<(AppId, u64)>, StoreError> {
        self.writes.call(move |tx: &mut Tx<'_>| enqueue(tx.conn, &deliveries, bounds)).await
    }

    async fn waiting(
        &self,
        after: Option<&Endpoint>,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError> {
        let after = after.cloned();
        self.reads.call(move |conn| waiting(conn, after.as_ref(), limit)).await
    }

    async fn lease(
        &self,
        endpoint: &Endpoint,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Leased, StoreError> {
        let endpoint = endpoint.clone();
        let write = move |tx: &mut Tx<'_>| lease(tx.conn, &endpoint, (now, until), limit);
        self.writes.call(write).await
    }

    async fn settle(
        &self,
        settled: Vec<Settled>,
        at: Timestamp,
        bounds: OutboxBounds,
    ) -> Result<(), StoreError> {
        self.writes.call(move |tx: &mut Tx<'_>| settle(tx.conn, &settled, at, bounds)).await
    }

    async fn give_up(
        &self,
        endpoint: &Endpoint,
        before: Timestamp,
        (at, error): (Timestamp, &str),
        bounds: OutboxBounds,
    ) -> Result<u64, StoreError> {
        self.in_steps(|| {
            let (endpoint, error) = (endpoint.clone(), error.to_owned());
            move |conn: &Connection| give_up(conn, &endpoint, before, (at, &error), bounds)
        })
        .await
    }

    async fn dead_letters(
        &self,
        app: Option<&AppId>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let app = app.cloned();
        let after = after.map_or(0, |id| id.0.cast_signed());
        let read = move |conn: &Connection| {
            let found = match &app {
                None => rows::all(conn, sql::OUTBOX_DEAD, (after, limit), delivery),
                Some(app) => {
                    let of = (after, limit, app.as_str());
                    rows::all(conn, sql::OUTBOX_DEAD_OF, of, delivery)
                }
            };
            Ok(found?)
        };
        self.reads.call(read).await
    }

    async fn revive(&self, which: &DeadLetters, at: Timestamp) -> Result<u64, StoreError> {
        let change = || {
            let which = which.clone();
            move |conn: &Connection| revive(conn, &which, at)
        };
        self.in_steps(change).await
    }

    async fn discard(&self, which: &DeadLetters) -> Result<u64, StoreError> {
        let change = || {
            let which = which.clone();
            move |conn: &Connection| discard(conn, &which)
        };
        self.in_steps(change).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        let change = || {
            move |conn: &Connection| {
                Ok(rows::execute(conn, sql::OUTBOX_PRUNE, (before.0, STEP_ROWS))?)
            }
        };
        let pruned = self.in_steps(change).await?;
        for unused in [sql::OUTBOX_PRUNE_ENDPOINTS, sql::OUTBOX_PRUNE_APPS] {
            let change = || move |conn: &Connection| Ok(rows::execute(conn, unused, [STEP_ROWS])?);
            self.in_steps(change).await?;
        }
        Ok(pruned)
    }

    async fn counts(&self) -> Result<Vec<OutboxCount>, StoreError> {
        self.reads.call(counts).await
    }
}

impl SqliteStore {
    /// Repeats a change that touches [`STEP_ROWS`] rows at most until one touches fewer, each a write of
    /// its own so that others go on in between.
    async fn in_steps<C, F>(&self, change: C) -> Result<u64, StoreError>
    where
        C: Fn() -> F,
        F: FnMut(&Connection) -> Outcomes<usize> + Send + 'static,
    {
        let mut changed = 0;
        loop {
            let mut step = change();
            let touched = self.writes.call(move |tx: &mut Tx<'_>| step(tx.conn)).await?;
            changed += touched as u64;
            if (touched as i64) < STEP_ROWS {
                return Ok(changed);
            }
        }
    }
}

fn enqueue(
    conn: &Connection,
    deliveries: &[NewDelivery],
    bounds: OutboxBounds,
) -> Outcomes<Vec<(AppId, u64)>> {
    let mut places: HashMap<&Endpoint, (i64, i64)> = HashMap::new();
    let mut apps: Vec<(&AppId, i64, Timestamp)> = Vec::new();
    for new in deliveries {
        let (app, endpoint) = if let Some(place) = places.get(&new.endpoint) {
            *place
        } else {
            let place = place(conn, &new.endpoint)?;
            places.insert(&new.endpoint, place);
            place
        };
        let bytes = new.event.len() as i64;
        let times = (new.created_at.0, new.due_at.0);
        let values = (app, endpoint, &new.order_key, bytes, times.0, times.1, &new.event);
        rows::execute(conn, sql::OUTBOX_ADD, values)?;
        if !apps.iter().any(|(_, row, _)| *row == app) {
            apps.push((&new.endpoint.app, app, new.created_at));
        }
    }
    let mut displaced = Vec::new();
    for (app, row, at) in apps {
        let count = keep_pending(conn, row, at, bounds)?;
        if count > 0 {
            displaced.push((app.clone(), count));
        }
        keep_dead(conn, row, bounds)?;
    }
    Ok(displaced)
}

/// Rows of the endpoint's app and of the endpoint, made if they are not there.
fn place(conn: &Connection, endpoint: &Endpoint) -> Outcomes<(i64, i64)> {
    let app = rows::first(conn, sql::OUTBOX_APP, [endpoint.app.as_str()], |r| r.get(0))?;
    let key = (endpoint.app.as_str(), &*endpoint.url, endpoint.rule);
    let row = rows::first(conn, sql::OUTBOX_ENDPOINT, key, |r| r.get(0))?;
    let app = app.ok_or_else(|| inconsistent("outbox_apps", &endpoint.app))?;
    Ok((app, row.ok_or_else(|| inconsistent("outbox_endpoints", &endpoint.url))?))
}

/// What an app has in the outbox.
struct Size {
    pending: u64,
    pending_bytes: u64,
    dead: u64,
    dead_bytes: u64,
}

fn size(conn: &Connection, app: i64) -> Outcomes<Size> {
    let found = rows::first(conn, sql::OUTBOX_SIZE, [app], |row| {
        Ok(Size {
            pending: rows::count(row, 0)?,
            pending_bytes: rows::count(row, 1)?,
            dead: rows::count(row, 2)?,
            dead_bytes: rows::count(row, 3)?,
        })
    })?;
    Ok(found.ok_or_else(|| inconsistent("outbox_apps", &app))?)
}

fn keep_pending(conn: &Connection, app: i64, at: Timestamp, bounds: OutboxBounds) -> Outcomes<u64> {
    let mut displaced = 0;
    loop {
        let size = size(conn, app)?;
        let fits =
            size.pending <= bounds.pending_max && size.pending_bytes <= bounds.pending_bytes_max;
        if fits || rows::execute(conn, sql::OUTBOX_DISPLACE, (app, at.0, DISPLACED))? == 0 {
            return Ok(displaced);
        }
        displaced += 1;
    }
}

fn keep_dead(conn: &Connection, app: i64, bounds: OutboxBounds) -> Outcomes<()> {
    loop {
        let size = size(conn, app)?;
        let fits = size.dead <= bounds.dead_max && size.dead_bytes <= bounds.dead_bytes_max;
        if fits || rows::execute(conn, sql::OUTBOX_FORGET_OLDEST, [app])? == 0 {
            return Ok(());
        }
    }
}

fn waiting(conn: &Connection, after: Option<&Endpoint>, limit: u32) -> Outcomes<Vec<Waiting>> {
    let (app, url, rule) =
        after.map_or(("", "", -1), |e| (e.app.as_str(), &*e.url, i64::from(e.rule)));
    let found = rows::all(conn, sql::OUTBOX_WAITING, (app, url, rule, limit), |row| {
        Ok(Waiting { endpoint: endpoint(row, 0)?, next_at: Timestamp(row.get(3)?) })
    })?;
    Ok(found)
}

fn endpoint_row(conn: &Connection, endpoint: &Endpoint) -> Outcomes<Option<i64>> {
    let key = (endpoint.app.as_str(), &*endpoint.url, endpoint.rule);
    Ok(rows::first(conn, sql::OUTBOX_ENDPOINT_BY_ID, key, |r| r.get(0))?)
}

fn lease(
    conn: &Connection,
    endpoint: &Endpoint,
    (now, until): (Timestamp, Timestamp),
    limit: u32,
) -> Outcomes<Leased> {
    let Some(row) = endpoint_row(conn, endpoint)? else { return Ok(Leased::default()) };
    let mut deliveries = rows::all(conn, sql::OUTBOX_DUE, (row, now.0, limit), delivery)?;
    for leased in &mut deliveries {
        rows::execute(conn, sql::OUTBOX_LEASE, (leased.id.0.cast_signed(), until.0))?;
        leased.state = DeliveryState::Pending { next_at: until };
    }
    let others = (row, deliveries.len() as i64 + 1);
    let others = rows::all(conn, sql::OUTBOX_NEXT, others, |row| {
        Ok((DeliveryId(rows::count(row, 0)?), Timestamp(row.get(1)?)))
    })?;
    let is_leased = |id| deliveries.iter().any(|d| d.id == id);
    let next = others.into_iter().find(|(id, _)| !is_leased(*id));
    Ok(Leased { deliveries, next_at: next.map(|(_, at)| at) })
}

fn settle(
    conn: &Connection,
    settled: &[Settled],
    at: Timestamp,
    bounds: OutboxBounds,
) -> Outcomes<()> {
    let mut buried = Vec::new();
    for Settled { id, outcome } in settled {
        let id = id.0.cast_signed();
        match outcome {
            Outcome::Delivered => {
                rows::execute(conn, sql::OUTBOX_REMOVE, [id])?;
            }
            Outcome::Released { next_at } => {
                rows::execute(conn, sql::OUTBOX_RELEASE, (id, next_at.0))?;
            }
            Outcome::Retry { next_at, error } => {
                rows::execute(conn, sql::OUTBOX_RETRY, (id, next_at.0, error))?;
            }
            Outcome::Dead { error } => {
                let app = rows::first(conn, sql::OUTBOX_BURY, (id, at.0, error), |r| r.get(0))?;
                buried.extend(app.filter(|app| !buried.contains(app)));
            }
        }
    }
    for app in buried {
        keep_dead(conn, app, bounds)?;
    }
    Ok(())
}

fn give_up(
    conn: &Connection,
    endpoint: &Endpoint,
    before: Timestamp,
    (at, error): (Timestamp, &str),
    bounds: OutboxBounds,
) -> Outcomes<usize> {
    let Some(row) = endpoint_row(conn, endpoint)? else { return Ok(0) };
    let params = (row, before.0, at.0, error, STEP_ROWS);
    let given_up = rows::execute(conn, sql::OUTBOX_GIVE_UP, params)?;
    if given_up > 0
        && let Some(app) = app_row(conn, &endpoint.app)?
    {
        keep_dead(conn, app, bounds)?;
    }
    Ok(given_up)
}

fn app_row(conn: &Connection, app: &AppId) -> Outcomes<Option<i64>> {
    Ok(rows::first(conn, sql::OUTBOX_APP_BY_ID, [app.as_str()], |r| r.get(0))?)
}

fn revive(conn: &Connection, which: &DeadLetters, at: Timestamp) -> Outcomes<usize> {
    let changed = match which {
        DeadLetters::One(id) => {
            rows::execute(conn, sql::OUTBOX_REVIVE_ONE, (at.0, id.0.cast_signed()))
        }
        DeadLetters::Of(app) => {
            let Some(app) = app_row(conn, app)? else { return Ok(0) };
            rows::execute(conn, sql::OUTBOX_REVIVE_OF, (at.0, app, STEP_ROWS))
        }
        DeadLetters::All => rows::execute(conn, sql::OUTBOX_REVIVE, (at.0, STEP_ROWS)),
    };
    Ok(changed?)
}

fn discard(conn: &Connection, which: &DeadLetters) -> Outcomes<usize> {
    let changed = match which {
        DeadLetters::One(id) => rows::execute(conn, sql::OUTBOX_DISCARD_ONE, [id.0.cast_signed()]),
        DeadLetters::Of(app) => {
            let Some(app) = app_row(conn, app)? else { return Ok(0) };
            rows::execute(conn, sql::OUTBOX_DISCARD_OF, (app, STEP_ROWS))
        }
        DeadLetters::All => rows::execute(conn, sql::OUTBOX_DISCARD, [STEP_ROWS]),
    };
    Ok(changed?)
}

fn counts(conn: &Connection) -> Outcomes<Vec<OutboxCount>> {
    let (mut found, mut after) = (Vec::new(), 0_i64);
    loop {
        let page = rows::all(conn, sql::OUTBOX_COUNTS, (after, STEP_ROWS), |row| {
            let app = AppId::trusted(row.get::<_, String>(1)?);
            let count =
                OutboxCount { app, pending: rows::count(row, 2)?, dead: rows::count(row, 3)? };
            Ok((row.get::<_, i64>(0)?, count))
        })?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = *last;
        found.extend(page.into_iter().map(|(_, count)| count));
    }
}

fn endpoint(row: &Row<'_>, column: usize) -> Result<Endpoint, rusqlite::Error> {
    Ok(Endpoint {
        app: AppId::trusted(row.get::<_, String>(column)?),
        url: row.get::<_, String>(column + 1)?.into(),
        rule: row.get(column + 2)?,
    })
}

/// Columns as in the macro `delivery` of `sql.rs`.
fn delivery(row: &Row<'_>) -> Result<Delivery, rusqlite::Error> {
    let died_at = row.get::<_, Option<i64>>(10)?;
    let next_at = Timestamp(row.get(9)?);
    let pending = DeliveryState::Pending { next_at };
    Ok(Delivery {
        id: DeliveryId(rows::count(row, 0)?),
        endpoint: endpoint(row, 1)?,
        order_key: row.get(4)?,
        event: row.get(5)?,
        created_at: Timestamp(row.get(6)?),
        queued_at: Timestamp(row.get(7)?),
        attempts: row.get(8)?,
        state: died_at.map_or(pending, |at| DeliveryState::Dead { at: Timestamp(at) }),
        last_error: row.get(11)?,
    })
}
