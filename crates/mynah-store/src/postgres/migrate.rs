//! Numbered migrations, each one transaction.
//!
//! Every transaction first takes the same lock, so of several nodes that start at once one migrates and
//! the others wait. What an interrupted one did is undone by the database.

use std::time::Duration;

use super::db::Db;
use super::open_error::OpenError;
use super::rows;
use super::trouble::Failure;

struct Migration {
    name: &'static str,
    sql: &'static str,
}

/// Migration n is the nth entry. Applied ones are never changed: their checksum is stored.
const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_init", sql: include_str!("../../migrations/postgres/0001_init.sql") },
    Migration { name: "0002_log", sql: include_str!("../../migrations/postgres/0002_log.sql") },
    Migration {
        name: "0003_search",
        sql: include_str!("../../migrations/postgres/0003_search.sql"),
    },
];

/// How long to wait for another node before saying so once more.
const WAIT: Duration = Duration::from_secs(5);
/// How long a migration may take.
const LONGEST: Duration = Duration::from_hours(1);

const TRY_LOCK: &str = "SELECT pg_try_advisory_xact_lock(5570193308531703)";
const LOCK: &str = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(5570193308531703)) l";
const BOOK: &str = "SELECT count(*), count(*) FILTER (WHERE c.relname = 'migrations') \
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                    WHERE n.nspname = 'mynah' AND c.relkind = 'r'";
const OPEN_BOOK: &str = "CREATE SCHEMA IF NOT EXISTS mynah; \
                         CREATE TABLE mynah.migrations (version integer PRIMARY KEY, \
                         name text NOT NULL, checksum text NOT NULL, \
                         applied_at timestamptz NOT NULL DEFAULT now())";
const APPLIED: &str = "SELECT version::bigint, checksum FROM mynah.migrations ORDER BY version";
const ENTER: &str = "INSERT INTO mynah.migrations (version, name, checksum) VALUES ($1, $2, $3)";
/// Heads that a newer transaction than there is yet has written: the database is a copy of another
/// server's. All of it is settled.
const SETTLE_COPY: &str = "UPDATE mynah.log_heads SET xid = '3'::xid8 \
                           WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())";
/// A copy whose sequence lags behind its rows must not give places again.
const CATCH_UP: &str = "SELECT setval('mynah.log_blocks', h.block) \
                        FROM (SELECT max(pos) / 4096 AS block FROM mynah.log_heads) h, \
                        mynah.log_blocks s WHERE h.block > s.last_value";

/// Newest schema version this binary knows.
pub(super) fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// FNV-1a of the text, line endings aside: it has to notice an edit, not an attacker.
fn checksum(text: &str) -> String {
    let bytes = text.bytes().filter(|b| *b != b'\r');
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn refused(failure: Failure) -> OpenError {
    OpenError::Engine { problem: failure.store_error().to_string() }
}

/// Brings the schema to the newest version, and makes a copy of another server's database usable.
pub(super) async fn run(db: &mut Db) -> Result<(), OpenError> {
    db.be_patient(LONGEST);
    while step(db).await? {}
    Ok(())
}

/// One transaction; `true` if there may be more to do.
async fn step(db: &Db) -> Result<bool, OpenError> {
    begin(db).await?;
    let more = work(db).await;
    if more.is_err() {
        db.roll_back().await;
        return more;
    }
    db.commit().await.map_err(refused)?;
    more
}

/// Begins a transaction under the lock.
async fn begin(db: &Db) -> Result<(), OpenError> {
    let text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0; \
                SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'";
    db.begin(text).await.map_err(refused)?;
    let free = db.first(TRY_LOCK, &[], |row| row.try_get::<_, bool>(0)).await;
    if free.map_err(refused)? == Some(true) {
        return Ok(());
    }
    tracing::info!("another node brings the schema up to date; waiting for it");
    let mut said = tokio::time::interval_at(tokio::time::Instant::now() + WAIT, WAIT);
    let mut lock = std::pin::pin!(db.rows(LOCK, &[]));
    loop {
        tokio::select! {
            locked = &mut lock => return locked.map(|_| ()).map_err(refused),
            _ = said.tick() => tracing::info!("still waiting for the schema"),
        }
    }
}

async fn work(db: &Db) -> Result<bool, OpenError> {
    let counted = db.first(BOOK, &[], |row| Ok((rows::count(row, 0)?, rows::count(row, 1)?))).await;
    let (tables, books) = counted.map_err(refused)?.unwrap_or_default();
    if books == 0 {
        if tables > 0 {
            return Err(OpenError::NotMynah);
        }
        db.batch(OPEN_BOOK).await.map_err(refused)?;
    }
    let applied = db.all(APPLIED, &[], |row| Ok((rows::count(row, 0)?, row.try_get(1)?))).await;
    let applied: Vec<(u64, String)> = applied.map_err(refused)?;
    let found = applied.last().map_or(0, |(version, _)| *version as u32);
    if found > known() {
        return Err(OpenError::Newer { found, known: known() });
    }
    for ((version, stored), migration) in applied.iter().zip(MIGRATIONS) {
        if *stored != checksum(migration.sql) {
            return Err(OpenError::Altered { version: *version as u32 });
        }
    }
    let Some(migration) = MIGRATIONS.get(found as usize) else {
        db.batch(&format!("{SETTLE_COPY}; {CATCH_UP}")).await.map_err(refused)?;
        return Ok(false);
    };
    let number = found + 1;
    tracing::info!(version = number, name = migration.name, "migrating the schema");
    db.batch(migration.sql).await.map_err(refused)?;
    let (name, sum) = (migration.name, checksum(migration.sql));
    let entry = db.run(ENTER, &[&number.cast_signed(), &name, &sum]).await;
    entry.map_err(refused)?;
    tracing::info!(version = number, name = migration.name, "schema migrated");
    Ok(true)
}
