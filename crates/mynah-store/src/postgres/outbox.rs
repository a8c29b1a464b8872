//! The outbox. What an app has in it is counted by triggers, so bounds cost one row to look at. What one node
//! has leased, another passes over.

mod bounds;

use std::collections::HashMap;

use async_trait::async_trait;
use mynah_domain::outbox::{
    DeadLetters, Delivery, DeliveryId, DeliveryState, Endpoint, Leased, NewDelivery, OutboxBounds,
    OutboxCount, Outcome, Settled, Waiting,
};
use mynah_domain::ports::{OutboxStore, StoreError};
use mynah_domain::{AppId, Timestamp};
use tokio_postgres::{Error, Row};

use super::db::Db;
use super::params::{Param, count};
use super::pool::reading;
use super::sql::outbox as sql;
use super::trouble::{Failure, Trouble, inconsistent};
use super::tx::Tx;
use super::{PostgresStore, rows};
use bounds::{keep_dead, keep_pending};

/// Rows that one step of a long change touches at most.
const STEP_ROWS: i64 = 1_000;

type Outcomes<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl OutboxStore for PostgresStore {
    async fn enqueue(
        &self,
        deliveries: Vec<NewDelivery>,
        bounds: OutboxBounds,
    ) -> Result<Vec<(AppId, u64)>, StoreError> {
        let write = async move |tx: &mut Tx<'_>| enqueue(tx.db, &deliveries, bounds).await;
        self.writes.call_quietly(write).await
    }

    async fn waiting(
        &self,
        after: Option<&Endpoint>,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError> {
        reading!(self.reads, db => waiting(db, after, limit))
    }

    async fn lease(
        &self,
        endpoint: &Endpoint,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Leased, StoreError> {
        let endpoint = endpoint.clone();
        let write = async move |tx: &mut Tx<'_>| lease(tx.db, &endpoint, (now, until), limit).await;
        self.writes.call_quietly(write).await
    }

    async fn settle(
        &self,
        settled: Vec<Settled>,
        at: Timestamp,
        bounds: OutboxBounds,
    ) -> Result<(), StoreError> {
        let write = async move |tx: &mut Tx<'_>| settle(tx.db, &settled, at, bounds).await;
        self.writes.call_quietly(write).await
    }

    async fn give_up(
        &self,
        endpoint: &Endpoint,
        before: Timestamp,
        (at, error): (Timestamp, &str),
        bounds: OutboxBounds,
    ) -> Result<u64, StoreError> {
        let (endpoint, error) = (endpoint.clone(), error.to_owned());
        self.in_steps(Change::GiveUp { endpoint, before, at, error, bounds }).await
    }

    async fn dead_letters(
        &self,
        app: Option<&AppId>,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        reading!(self.reads, db => dead_letters(db, app, after, limit))
    }

    async fn revive(&self, which: &DeadLetters, at: Timestamp) -> Result<u64, StoreError> {
        self.in_steps(Change::Revive(which.clone(), at)).await
    }

    async fn discard(&self, which: &DeadLetters) -> Result<u64, StoreError> {
        self.in_steps(Change::Discard(which.clone())).await
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, StoreError> {
        let pruned = self.in_steps(Change::Prune(before)).await?;
        for unused in [sql::OUTBOX_PRUNE_ENDPOINTS, sql::OUTBOX_PRUNE_APPS] {
            self.in_steps(Change::PruneUnused(unused)).await?;
        }
        Ok(pruned)
    }

    async fn counts(&self) -> Result<Vec<OutboxCount>, StoreError> {
        reading!(self.reads, db => counts(db))
    }
}

/// A change of many rows.
#[derive(Clone)]
enum Change {
    GiveUp {
        endpoint: Endpoint,
        before: Timestamp,
        at: Timestamp,
        error: String,
        bounds: OutboxBounds,
    },
    Revive(DeadLetters, Timestamp),
    Discard(DeadLetters),
    Prune(Timestamp),
    PruneUnused(&'static str),
}

impl Change {
    async fn step(&self, db: &Db) -> Outcomes<usize> {
        Ok(match self {
            Self::GiveUp { endpoint, before, at, error, bounds } => {
                give_up(db, endpoint, *before, (*at, error), *bounds).await?
            }
            Self::Revive(which, at) => revive(db, which, *at).await?,
            Self::Discard(which) => discard(db, which).await?,
            Self::Prune(before) => db.run(sql::OUTBOX_PRUNE, &[&before.0, &STEP_ROWS]).await?,
            Self::PruneUnused(statement) => db.run(statement, &[&STEP_ROWS]).await?,
        })
    }
}

impl PostgresStore {
    /// Repeats a change that touches [`STEP_ROWS`] rows at most until one touches fewer, each a write of
    /// its own so that others go on in between.
    async fn in_steps(&self, change: Change) -> Result<u64, StoreError> {
        let mut changed = 0;
        loop {
            let step = change.clone();
            let write = async move |tx: &mut Tx<'_>| step.step(tx.db).await;
            let touched = self.writes.call_quietly(write).await?;
            changed += touched as u64;
            if (touched as i64) < STEP_ROWS {
                return Ok(changed);
            }
        }
    }
}

async fn enqueue(
    db: &Db,
    deliveries: &[NewDelivery],
    bounds: OutboxBounds,
) -> Outcomes<Vec<(AppId, u64)>> {
    let mut places: HashMap<&Endpoint, (i64, i64)> = HashMap::new();
    let mut apps: Vec<(&AppId, i64, Timestamp)> = Vec::new();
    // In one order, so that no two nodes wait for each other.
    let mut endpoints: Vec<&Endpoint> = deliveries.iter().map(|new| &new.endpoint).collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    for endpoint in endpoints {
        places.insert(endpoint, place(db, endpoint).await?);
    }
    let (mut of_apps, mut to, mut keys, mut bytes) = (vec![], vec![], vec![], vec![]);
    let (mut created, mut due, mut events) = (vec![], vec![], vec![]);
    for new in deliveries {
        let Some((app, endpoint)) = places.get(&new.endpoint).copied() else { continue };
        of_apps.push(app);
        to.push(endpoint);
        keys.push(&*new.order_key);
        bytes.push(new.event.len() as i64);
        created.push(new.created_at.0);
        due.push(new.due_at.0);
        events.push(&*new.event);
        if !apps.iter().any(|(_, row, _)| *row == app) {
            apps.push((&new.endpoint.app, app, new.created_at));
        }
    }
    let params: [&dyn Param; 7] = [&of_apps, &to, &keys, &bytes, &created, &due, &events];
    db.run(sql::OUTBOX_ADD, &params).await?;
    let mut displaced = Vec::new();
    for (app, row, at) in apps {
        let count = keep_pending(db, row, at, bounds).await?;
        if count > 0 {
            displaced.push((app.clone(), count));
        }
        keep_dead(db, row, bounds).await?;
    }
    Ok(displaced)
}

fn id(row: &Row) -> Result<i64, Error> {
    row.try_get(0)
}

/// Rows of the endpoint's app and of the endpoint, made if they are not there.
async fn place(db: &Db, endpoint: &Endpoint) -> Outcomes<(i64, i64)> {
    let app = db.first(sql::OUTBOX_APP, &[&endpoint.app.as_str()], id).await?;
    let (name, url, rule) = (endpoint.app.as_str(), &*endpoint.url, i64::from(endpoint.rule));
    let key: [&dyn Param; 3] = [&name, &url, &rule];
    let row = db.first(sql::OUTBOX_ENDPOINT, &key, id).await?;
    let app = app.ok_or_else(|| inconsistent("outbox_apps", &endpoint.app))?;
    Ok((app, row.ok_or_else(|| inconsistent("outbox_endpoints", &endpoint.url))?))
}

async fn waiting(db: &Db, after: Option<&Endpoint>, limit: u32) -> Outcomes<Vec<Waiting>> {
    let (app, url, rule) =
        after.map_or(("", "", -1), |e| (e.app.as_str(), &*e.url, i64::from(e.rule)));
    let most = i64::from(limit);
    let params: [&dyn Param; 4] = [&app, &url, &rule, &most];
    let read = |row: &Row| {
        Ok(Waiting { endpoint: endpoint(row, 0)?, next_at: Timestamp(row.try_get(3)?) })
    };
    Ok(db.all(sql::OUTBOX_WAITING, &params, read).await?)
}

async fn endpoint_row(db: &Db, endpoint: &Endpoint) -> Result<Option<i64>, Failure> {
    let (app, url, rule) = (endpoint.app.as_str(), &*endpoint.url, i64::from(endpoint.rule));
    let params: [&dyn Param; 3] = [&app, &url, &rule];
    db.first(sql::OUTBOX_ENDPOINT_BY_ID, &params, id).await
}

async fn lease(
    db: &Db,
    endpoint: &Endpoint,
    (now, until): (Timestamp, Timestamp),
    limit: u32,
) -> Outcomes<Leased> {
    let Some(row) = endpoint_row(db, endpoint).await? else { return Ok(Leased::default()) };
    let most = i64::from(limit);
    let params: [&dyn Param; 3] = [&row, &now.0, &most];
    let mut deliveries = db.all(sql::OUTBOX_DUE, &params, delivery).await?;
    let leased: Vec<i64> = deliveries.iter().map(|leased| count(leased.id.0)).collect();
    db.run(sql::OUTBOX_LEASE, &[&leased, &until.0]).await?;
    for leased in &mut deliveries {
        leased.state = DeliveryState::Pending { next_at: until };
    }
    let read = |row: &Row| Ok((DeliveryId(rows::count(row, 0)?), Timestamp(row.try_get(1)?)));
    let most = deliveries.len() as i64 + 1;
    let others = db.all(sql::OUTBOX_NEXT, &[&row, &most], read).await?;
    let is_leased = |id| deliveries.iter().any(|d| d.id == id);
    let next = others.into_iter().find(|(id, _)| !is_leased(*id));
    Ok(Leased { deliveries, next_at: next.map(|(_, at)| at) })
}

async fn settle(db: &Db, settled: &[Settled], at: Timestamp, bounds: OutboxBounds) -> Outcomes<()> {
    let (mut delivered, mut buried) = (Vec::new(), Vec::new());
    for Settled { id: which, outcome } in settled {
        let which = count(which.0);
        match outcome {
            Outcome::Delivered => delivered.push(which),
            Outcome::Released { next_at } => {
                db.run(sql::OUTBOX_RELEASE, &[&which, &next_at.0]).await?;
            }
            Outcome::Retry { next_at, error } => {
                db.run(sql::OUTBOX_RETRY, &[&which, &next_at.0, error]).await?;
            }
            Outcome::Dead { error } => {
                let app = db.first(sql::OUTBOX_BURY, &[&which, &at.0, error], id).await?;
                buried.extend(app.filter(|app| !buried.contains(app)));
            }
        }
    }
    if !delivered.is_empty() {
        db.run(sql::OUTBOX_REMOVE, &[&delivered]).await?;
    }
    for app in buried {
        keep_dead(db, app, bounds).await?;
    }
    Ok(())
}

async fn give_up(
    db: &Db,
    endpoint: &Endpoint,
    before: Timestamp,
    (at, error): (Timestamp, &str),
    bounds: OutboxBounds,
) -> Outcomes<usize> {
    let Some(row) = endpoint_row(db, endpoint).await? else { return Ok(0) };
    let params: [&dyn Param; 5] = [&row, &before.0, &at.0, &error, &STEP_ROWS];
    let given_up = db.run(sql::OUTBOX_GIVE_UP, &params).await?;
    if given_up > 0
        && let Some(app) = app_row(db, &endpoint.app).await?
    {
        keep_dead(db, app, bounds).await?;
    }
    Ok(given_up)
}

async fn app_row(db: &Db, app: &AppId) -> Result<Option<i64>, Failure> {
    db.first(sql::OUTBOX_APP_BY_ID, &[&app.as_str()], id).await
}

async fn dead_letters(
    db: &Db,
    app: Option<&AppId>,
    after: Option<DeliveryId>,
    limit: u32,
) -> Outcomes<Vec<Delivery>> {
    let (after, most) = (after.map_or(0, |id| count(id.0)), i64::from(limit));
    let found = match app {
        None => db.all(sql::OUTBOX_DEAD, &[&after, &most], delivery).await,
        Some(app) => {
            let of: [&dyn Param; 3] = [&after, &most, &app.as_str()];
            db.all(sql::OUTBOX_DEAD_OF, &of, delivery).await
        }
    };
    Ok(found?)
}

async fn revive(db: &Db, which: &DeadLetters, at: Timestamp) -> Result<usize, Failure> {
    match which {
        DeadLetters::One(id) => db.run(sql::OUTBOX_REVIVE_ONE, &[&at.0, &count(id.0)]).await,
        DeadLetters::Of(app) => {
            let Some(app) = app_row(db, app).await? else { return Ok(0) };
            db.run(sql::OUTBOX_REVIVE_OF, &[&at.0, &app, &STEP_ROWS]).await
        }
        DeadLetters::All => db.run(sql::OUTBOX_REVIVE, &[&at.0, &STEP_ROWS]).await,
    }
}

async fn discard(db: &Db, which: &DeadLetters) -> Result<usize, Failure> {
    match which {
        DeadLetters::One(id) => db.run(sql::OUTBOX_DISCARD_ONE, &[&count(id.0)]).await,
        DeadLetters::Of(app) => {
            let Some(app) = app_row(db, app).await? else { return Ok(0) };
            db.run(sql::OUTBOX_DISCARD_OF, &[&app, &STEP_ROWS]).await
        }
        DeadLetters::All => db.run(sql::OUTBOX_DISCARD, &[&STEP_ROWS]).await,
    }
}

async fn counts(db: &Db) -> Outcomes<Vec<OutboxCount>> {
    let (mut found, mut after) = (Vec::new(), 0_i64);
    let read = |row: &Row| {
        let app = AppId::trusted(row.try_get::<_, String>(1)?);
        let count = OutboxCount { app, pending: rows::count(row, 2)?, dead: rows::count(row, 3)? };
        Ok((row.try_get::<_, i64>(0)?, count))
    };
    loop {
        let page = db.all(sql::OUTBOX_COUNTS, &[&after, &STEP_ROWS], read).await?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = *last;
        found.extend(page.into_iter().map(|(_, count)| count));
    }
}

fn endpoint(row: &Row, column: usize) -> Result<Endpoint, Error> {
    Ok(Endpoint {
        app: AppId::trusted(row.try_get::<_, String>(column)?),
        url: row.try_get::<_, &str>(column + 1)?.into(),
        rule: row.try_get::<_, i64>(column + 2)? as u32,
    })
}

/// Columns as in the macro `delivery` of `sql.rs`.
fn delivery(row: &Row) -> Result<Delivery, Error> {
    let next_at = Timestamp(row.try_get(9)?);
    let pending = DeliveryState::Pending { next_at };
    let died_at = rows::time_if(row, 10)?;
    Ok(Delivery {
        id: DeliveryId(rows::count(row, 0)?),
        endpoint: endpoint(row, 1)?,
        order_key: row.try_get(4)?,
        event: row.try_get(5)?,
        created_at: Timestamp(row.try_get(6)?),
        queued_at: Timestamp(row.try_get(7)?),
        attempts: row.try_get::<_, i64>(8)? as u32,
        state: died_at.map_or(pending, |at| DeliveryState::Dead { at }),
        last_error: row.try_get(11)?,
    })
}
