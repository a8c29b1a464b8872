//! Who takes part. A file has one process, but a node need not know what its store is.

use async_trait::async_trait;
use mynah_domain::node::{NewNode, NodeLease};
use mynah_domain::ports::{NodeStore, StoreError};
use mynah_domain::{NodeId, Timestamp};
use rusqlite::{Connection, Row};

use super::trouble::{Trouble, inconsistent};
use super::tx::Tx;
use super::{SqliteStore, rows, sql};

/// Slots there are.
const SLOTS: u16 = 1_023;

type Outcome<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl NodeStore for SqliteStore {
    async fn claim(&self, node: &NewNode, ttl_ms: u64) -> Result<NodeLease, StoreError> {
        let node = node.clone();
        self.writes.call(move |tx: &mut Tx<'_>| claim(tx.conn, &node, ttl_ms)).await
    }

    async fn renew(&self, lease: &NodeLease, ttl_ms: u64) -> Result<bool, StoreError> {
        let lease = lease.clone();
        let write = move |tx: &mut Tx<'_>| {
            let until = now(tx.conn)?.plus_ms(ttl_ms).0;
            let params = (lease.slot, lease.epoch.cast_signed(), lease.id.as_str(), until);
            Ok(rows::execute(tx.conn, sql::NODE_RENEW, params)? == 1)
        };
        self.writes.call(write).await
    }

    async fn release(&self, lease: &NodeLease) -> Result<(), StoreError> {
        let lease = lease.clone();
        let write = move |tx: &mut Tx<'_>| {
            let params = (lease.slot, lease.epoch.cast_signed(), lease.id.as_str());
            rows::execute(tx.conn, sql::NODE_RELEASE, params)?;
            Ok(())
        };
        self.writes.call(write).await
    }

    async fn nodes(&self) -> Result<Vec<NodeLease>, StoreError> {
        let read = |conn: &Connection| Ok(rows::all(conn, sql::NODES, [now(conn)?.0], lease)?);
        self.reads.call(read).await
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        self.reads.call(now).await
    }
}

fn now(conn: &Connection) -> Outcome<Timestamp> {
    let now = rows::first(conn, sql::NOW, [], |row| row.get(0).map(Timestamp))?;
    Ok(now.ok_or_else(|| inconsistent("nodes", &"time"))?)
}

fn claim(conn: &Connection, node: &NewNode, ttl_ms: u64) -> Outcome<NodeLease> {
    let now = now(conn)?;
    let until = now.plus_ms(ttl_ms).0;
    let own = rows::first(conn, sql::NODE_SLOT, [node.id.as_str()], |row| row.get::<_, u16>(0))?;
    let slot = match own {
        Some(slot) => Some(slot),
        None => rows::first(conn, sql::NODE_FREE_SLOT, [now.0], |row| row.get(0))?,
    };
    let slot = match slot {
        Some(slot) => slot,
        None => rows::first(conn, sql::NODE_LAST_SLOT, [], |row| row.get::<_, u16>(0))?
            .unwrap_or_default()
            .saturating_add(1),
    };
    if slot > SLOTS {
        return Err(StoreError::Unavailable(format!("all {SLOTS} slots of nodes are taken")).into());
    }
    let params = (slot, node.id.as_str(), &node.address, until);
    let given = rows::first(conn, sql::NODE_CLAIM, params, lease)?;
    Ok(given.ok_or_else(|| inconsistent("nodes", &slot))?)
}

/// Columns: node, slot, epoch, address.
fn lease(row: &Row<'_>) -> Result<NodeLease, rusqlite::Error> {
    Ok(NodeLease {
        id: NodeId::trusted(row.get::<_, String>(0)?),
        slot: row.get(1)?,
        epoch: rows::count(row, 2)?,
        address: row.get(3)?,
    })
}
