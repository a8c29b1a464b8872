//! How a database is, for a doctor: nothing is changed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mynah_domain::node::NodeLease;
use tokio_postgres::Row;

use super::connect::Connector;
use super::db::Db;
use super::open_error::OpenError;
use super::trouble::Failure;
use super::{PostgresOptions, migrate, nodes, sql, unreachable};

/// Rounds of which the quickest counts.
const ROUNDS: u8 = 5;

const SETTINGS: &str = "SELECT current_setting('server_version_num')::bigint, \
                        current_setting('server_version'), pg_is_in_recovery(), \
                        current_setting('synchronous_commit'), current_setting('fsync'), \
                        current_setting('server_encoding'), \
                        current_setting('max_connections')::bigint";
const TABLES: &str = "SELECT to_regclass('mynah.migrations') IS NOT NULL, \
                      to_regclass('mynah.nodes') IS NOT NULL";
const SCHEMA: &str = "SELECT coalesce(max(version), 0)::bigint FROM mynah.migrations";

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Where, without secrets: host, port, database.
    pub place: String,
    /// Version as a number, e.g. 150006.
    pub version: u64,
    /// Version as the database tells it.
    pub version_text: String,
    /// Whether it only follows another one.
    pub is_standby: bool,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
    /// `fsync`.
    pub fsync: String,
    /// `server_encoding`.
    pub encoding: String,
    /// Connections it takes in all.
    pub connections_max: u64,
    /// Version of the schema; `None` before the first start.
    pub schema: Option<u32>,
    /// The version that this binary brings it to.
    pub schema_newest: u32,
    /// How long a question and its answer take at best.
    pub latency: Duration,
    /// How far its time of day is ahead of this machine's, in milliseconds.
    pub clock_ahead_ms: i64,
    /// Nodes that live.
    pub nodes: Vec<NodeLease>,
}

/// Looks at the database that the options name.
///
/// # Errors
/// [`OpenError`] when it cannot be reached or asked.
pub async fn examine(options: &PostgresOptions) -> Result<Examined, OpenError> {
    let how = (options.statement_timeout, options.prepared_statements);
    let connector = Connector::new("store.url", &options.url, how)?.seeking_primary();
    let found = Box::pin(found(&connector)).await;
    found.map_err(|failure| unreachable(&connector, failure))
}

async fn found(connector: &Connector) -> Result<Examined, Failure> {
    let db = connector.own().await?;
    let settings = db.rows(SETTINGS, &[]).await?;
    let tables = db.first(TABLES, &[], |row| Ok((row.try_get(0)?, row.try_get(1)?))).await?;
    let (has_schema, has_nodes): (bool, bool) = tables.unwrap_or_default();
    let mut schema = None;
    if has_schema {
        schema = db.first(SCHEMA, &[], |row| row.try_get::<_, i64>(0)).await?;
    }
    let mut nodes = Vec::new();
    if has_nodes {
        nodes = db.all(sql::nodes::NODES, &[], nodes::lease).await?;
    }
    let (latency, clock_ahead_ms) = clock(&db).await?;
    let row = settings.first();
    let text = |at: usize| row.and_then(|row: &Row| row.try_get::<_, String>(at).ok());
    let number = |at: usize| row.and_then(|row: &Row| row.try_get::<_, i64>(at).ok());
    Ok(Examined {
        place: connector.place(),
        version: number(0).unwrap_or(0).cast_unsigned(),
        version_text: text(1).unwrap_or_default(),
        is_standby: row.and_then(|row| row.try_get(2).ok()).unwrap_or(false),
        synchronous_commit: text(3).unwrap_or_default(),
        fsync: text(4).unwrap_or_default(),
        encoding: text(5).unwrap_or_default(),
        connections_max: number(6).unwrap_or(0).cast_unsigned(),
        schema: schema.map(|version| version as u32),
        schema_newest: migrate::known(),
        latency,
        clock_ahead_ms,
        nodes,
    })
}

/// How quick the quickest round was, and by how much the database's clock is ahead in it.
async fn clock(db: &Db) -> Result<(Duration, i64), Failure> {
    let mut best = (Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let theirs = db.first(sql::nodes::NOW, &[], |row| row.try_get::<_, i64>(0)).await?;
        let took = begun.elapsed();
        let ours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ours = ours.saturating_sub(took / 2).as_millis() as i64;
        if took < best.0 {
            best = (took, theirs.unwrap_or(ours) - ours);
        }
    }
    Ok(best)
}
