//! What the database's planner knows of young tables.
//!
//! A table that was just made, or restored, has no statistics: of several indexes that begin with the same column any is
//! as good to the planner, and of a large table it reads a large part for each write. The database looks for such tables
//! once a minute, which at full load is half a million messages; so tables that have grown much are analysed here, early
//! in a node's life and ever more seldom.

use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::connect::Connector;
use super::db;
use super::sql;
use super::trouble::Failure;

/// How long one table may take.
const LONGEST: Duration = Duration::from_mins(1);

/// Looks after tables that grow.
pub(super) struct Young {
    connector: Connector,
    commits: u64,
    running: Option<JoinHandle<()>>,
}

impl Young {
    pub(super) fn new(connector: Connector) -> Self {
        Self { connector, commits: 0, running: None }
    }

    /// Counts commits, and has tables analysed when it is time. Does not wait for it.
    pub(super) fn committed(&mut self, runtime: &Runtime, more: u64) {
        let before = self.commits;
        self.commits += more;
        let is_time = (before + 1..=self.commits).any(db::plans_anew);
        if is_time && self.running.as_ref().is_none_or(JoinHandle::is_finished) {
            self.running = Some(runtime.spawn(look_after(self.connector.clone())));
        }
    }
}

async fn look_after(connector: Connector) {
    if let Err(failure) = analyse(&connector).await {
        // The database does so itself, later.
        let error = failure.store_error();
        tracing::debug!(%error, "tables that have grown could not be analysed");
    }
}

/// Analyses the tables that are several times as large as when that was done last, if ever.
async fn analyse(connector: &Connector) -> Result<(), Failure> {
    let mut db = connector.own().await?;
    db.be_patient(LONGEST);
    let name = |row: &tokio_postgres::Row| row.try_get::<_, String>(0);
    for table in db.all(sql::nodes::TABLES_GROWN, &[], name).await? {
        // One by one, so that no transaction lasts longer than it must; what another node is at is left to it.
        db.batch(&format!("ANALYZE (SKIP_LOCKED) {table}")).await?;
        tracing::debug!(table, "analysed, as it has grown");
    }
    Ok(())
}
