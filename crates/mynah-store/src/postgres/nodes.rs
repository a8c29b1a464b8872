//! Who takes part. These calls have a connection of their own: a lease must be prolonged also while the
//! writer is held up and all readers are busy.

use async_trait::async_trait;
use mynah_domain::node::{NewNode, NodeLease};
use mynah_domain::ports::{NodeStore, StoreError};
use mynah_domain::{NodeId, Timestamp};
use tokio_postgres::{Error, Row};

use super::db::Db;
use super::params::{Param, count};
use super::pool::{answer, reading};
use super::trouble::{Trouble, inconsistent};
use super::{PostgresStore, rows, sql};

/// Slots there are.
const SLOTS: i32 = 1_023;

type Outcome<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl NodeStore for PostgresStore {
    async fn claim(&self, node: &NewNode, ttl_ms: u64) -> Result<NodeLease, StoreError> {
        answer(Box::pin(self.claimed(node, ttl_ms)).await)
    }

    async fn renew(&self, lease: &NodeLease, ttl_ms: u64) -> Result<bool, StoreError> {
        let ttl = count(ttl_ms);
        Ok(answer(self.of_own(sql::nodes::NODE_RENEW, lease, Some(ttl)).await)? == 1)
    }

    async fn release(&self, lease: &NodeLease) -> Result<(), StoreError> {
        answer(self.of_own(sql::nodes::NODE_RELEASE, lease, None).await).map(|_| ())
    }

    async fn nodes(&self) -> Result<Vec<NodeLease>, StoreError> {
        reading!(self.lives, db => async {
            Ok::<_, Trouble<StoreError>>(db.all(sql::nodes::NODES, &[], lease).await?)
        })
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        reading!(self.lives, db => now(db))
    }
}

async fn now(db: &Db) -> Outcome<Timestamp> {
    let now = db.first(sql::nodes::NOW, &[], |row| row.try_get(0).map(Timestamp)).await?;
    Ok(now.ok_or_else(|| inconsistent("nodes", &"time"))?)
}

impl PostgresStore {
    /// Changes a lease if it is still its node's; says how many that were.
    async fn of_own(
        &self,
        statement: &'static str,
        lease: &NodeLease,
        ttl: Option<i64>,
    ) -> Outcome<usize> {
        let db = self.lives.writing().await?;
        let (slot, epoch, id) = (i32::from(lease.slot), count(lease.epoch), lease.id.as_str());
        let mut params: Vec<&dyn Param> = vec![&slot, &epoch, &id];
        params.extend(ttl.as_ref().map(|ttl| ttl as &dyn Param));
        let changed = db.run(statement, &params).await?;
        db.commit().await?;
        Ok(changed)
    }

    async fn claimed(&self, node: &NewNode, ttl_ms: u64) -> Outcome<NodeLease> {
        let db = self.lives.writing().await?;
        db.rows(sql::nodes::NODES_LOCK, &[]).await?;
        let now = now(&db).await?;
        let until = now.plus_ms(ttl_ms).0;
        let id = node.id.as_str();
        let number = |row: &Row| row.try_get::<_, i32>(0);
        let mut slot = db.first(sql::nodes::NODE_SLOT, &[&id], number).await?;
        if slot.is_none() {
            slot = db.first(sql::nodes::NODE_FREE_SLOT, &[&now.0], number).await?;
        }
        let slot = match slot {
            Some(slot) => slot,
            None => db.first(sql::nodes::NODE_LAST_SLOT, &[], number).await?.unwrap_or(0) + 1,
        };
        if slot > SLOTS {
            let full = format!("all {SLOTS} slots of nodes are taken");
            return Err(StoreError::Unavailable(full).into());
        }
        let params: [&dyn Param; 4] = [&slot, &id, &node.address, &until];
        let given = db.first(sql::nodes::NODE_CLAIM, &params, lease).await?;
        db.commit().await?;
        Ok(given.ok_or_else(|| inconsistent("nodes", &slot))?)
    }
}

/// Columns: node, slot, epoch, address.
pub(super) fn lease(row: &Row) -> Result<NodeLease, Error> {
    Ok(NodeLease {
        id: NodeId::trusted(row.try_get::<_, String>(0)?),
        slot: row.try_get::<_, i32>(1)? as u16,
        epoch: rows::count(row, 2)?,
        address: row.try_get(3)?,
    })
}
