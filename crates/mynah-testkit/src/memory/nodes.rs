//! Who takes part.

use std::time::SystemTime;

use async_trait::async_trait;
use mynah_domain::node::{NewNode, NodeLease};
use mynah_domain::ports::{NodeStore, StoreError};
use mynah_domain::{NodeId, Timestamp};

use super::{MemoryStore, State};

/// Slots there are.
const SLOTS: u16 = 1_023;

/// Slot n is the nth entry, from 1 on.
pub(super) struct Slot {
    node: Option<NodeId>,
    address: String,
    epoch: u64,
    expires_at: Timestamp,
}

#[async_trait]
impl NodeStore for MemoryStore {
    async fn claim(&self, node: &NewNode, ttl_ms: u64) -> Result<NodeLease, StoreError> {
        self.write(|state| state.claim(node, ttl_ms))?
    }

    async fn renew(&self, lease: &NodeLease, ttl_ms: u64) -> Result<bool, StoreError> {
        self.write(|state| {
            let Some(slot) = state.held(lease) else { return false };
            slot.expires_at = now().plus_ms(ttl_ms);
            true
        })
    }

    async fn release(&self, lease: &NodeLease) -> Result<(), StoreError> {
        self.write(|state| {
            if let Some(slot) = state.held(lease) {
                slot.node = None;
                slot.expires_at = Timestamp(0);
            }
        })
    }

    async fn nodes(&self) -> Result<Vec<NodeLease>, StoreError> {
        self.read(|state| {
            let slots = state.slots.iter().zip(1..);
            let alive = slots.filter(|(slot, _)| slot.expires_at > now());
            alive.filter_map(|(slot, n)| slot.lease(n)).collect()
        })
    }

    async fn time(&self) -> Result<Timestamp, StoreError> {
        self.read(|_| now())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(since.expect("later than 1970").as_millis() as i64)
}

impl Slot {
    fn lease(&self, slot: u16) -> Option<NodeLease> {
        let id = self.node.clone()?;
        Some(NodeLease { id, slot, epoch: self.epoch, address: self.address.clone() })
    }
}

impl State {
    /// The slot of a lease that is still its node's.
    fn held(&mut self, lease: &NodeLease) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(lease.slot).checked_sub(1)?)?;
        (slot.epoch == lease.epoch && slot.node.as_ref() == Some(&lease.id)).then_some(slot)
    }

    fn claim(&mut self, node: &NewNode, ttl_ms: u64) -> Result<NodeLease, StoreError> {
        let own = self.slots.iter().position(|s| s.node.as_ref() == Some(&node.id));
        let free = || self.slots.iter().position(|s| s.expires_at <= now());
        let index = own.or_else(free).unwrap_or(self.slots.len());
        if index >= usize::from(SLOTS) {
            return Err(StoreError::Unavailable("all slots of nodes are taken".to_owned()));
        }
        let slot = Slot {
            node: Some(node.id.clone()),
            address: node.address.clone(),
            epoch: self.slots.get(index).map_or(0, |slot| slot.epoch) + 1,
            expires_at: now().plus_ms(ttl_ms),
        };
        let lease = slot.lease(index as u16 + 1).expect("it has a node");
        if index == self.slots.len() {
            self.slots.push(slot);
        } else {
            self.slots[index] = slot;
        }
        Ok(lease)
    }
}
