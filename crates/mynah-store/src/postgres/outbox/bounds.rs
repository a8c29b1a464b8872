//! What an app may have in the outbox.

use mynah_domain::Timestamp;
use mynah_domain::outbox::{DISPLACED, OutboxBounds};
use tokio_postgres::Row;

use super::Outcomes;
use crate::postgres::db::Db;
use crate::postgres::params::Param;
use crate::postgres::rows;
use crate::postgres::sql::outbox as sql;
use crate::postgres::trouble::inconsistent;

/// What an app has in the outbox.
struct Size {
    pending: u64,
    pending_bytes: u64,
    dead: u64,
    dead_bytes: u64,
}

async fn size(db: &Db, app: i64) -> Outcomes<Size> {
    let read = |row: &Row| {
        Ok(Size {
            pending: rows::count(row, 0)?,
            pending_bytes: rows::count(row, 1)?,
            dead: rows::count(row, 2)?,
            dead_bytes: rows::count(row, 3)?,
        })
    };
    let found = db.first(sql::OUTBOX_SIZE, &[&app], read).await?;
    Ok(found.ok_or_else(|| inconsistent("outbox_apps", &app))?)
}

pub(super) async fn keep_pending(
    db: &Db,
    app: i64,
    at: Timestamp,
    bounds: OutboxBounds,
) -> Outcomes<u64> {
    let mut displaced = 0;
    loop {
        let size = size(db, app).await?;
        let fits =
            size.pending <= bounds.pending_max && size.pending_bytes <= bounds.pending_bytes_max;
        let params: [&dyn Param; 3] = [&app, &at.0, &DISPLACED];
        if fits || db.run(sql::OUTBOX_DISPLACE, &params).await? == 0 {
            return Ok(displaced);
        }
        displaced += 1;
    }
}

pub(super) async fn keep_dead(db: &Db, app: i64, bounds: OutboxBounds) -> Outcomes<()> {
    loop {
        let size = size(db, app).await?;
        let fits = size.dead <= bounds.dead_max && size.dead_bytes <= bounds.dead_bytes_max;
        if fits || db.run(sql::OUTBOX_FORGET_OLDEST, &[&app]).await? == 0 {
            return Ok(());
        }
    }
}
