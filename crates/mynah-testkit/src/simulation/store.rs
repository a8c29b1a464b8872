//! The store that all nodes share: rooms whose events are counted without gap, one writer per node whose
//! commits take a while and may fail, and leases.

use std::collections::BTreeMap;

use super::world::{LEASE_MS, ROOMS};

/// A message as its sender names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Message {
    pub(super) sender: u32,
    pub(super) number: u32,
    pub(super) room: usize,
}

/// A message as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) message: Message,
    pub(super) seq: u64,
    pub(super) pos: u64,
    pub(super) origin: u16,
}

/// A node's right to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) slot: u16,
    pub(super) epoch: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) node: usize,
    pub(super) life: u64,
    pub(super) lease: Lease,
    /// Each with the place that was set aside for it when the transaction began: transactions of several
    /// nodes overlap.
    pub(super) messages: Vec<(Message, u64)>,
}

/// What became of a transaction.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Of each message: how it is stored, and whether it was before.
    Committed(Vec<(Stored, bool)>),
    /// Nothing was stored.
    Failed,
    /// Something may have been.
    Unknown,
    /// Nothing was stored, as another has the slot.
    Fenced,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) rooms: [Vec<Stored>; ROOMS],
    by_client_id: BTreeMap<Message, Stored>,
    places: u64,
    /// The first place of each transaction that has not ended, by node and life.
    open: BTreeMap<(usize, u64), u64>,
    leases: BTreeMap<u16, (usize, u64, u64)>,
    ignores_client_ids: bool,
}

impl Store {
    pub(super) fn new(ignores_client_ids: bool) -> Self {
        Self { ignores_client_ids, ..Self::default() }
    }

    pub(super) fn begin(
        &mut self,
        node: usize,
        life: u64,
        messages: Vec<Message>,
        lease: Lease,
    ) -> Transaction {
        self.open.insert((node, life), self.places + 1);
        let mut place = || {
            self.places += 1;
            self.places
        };
        let messages = messages.into_iter().map(|message| (message, place())).collect();
        Transaction { node, life, lease, messages }
    }

    /// All places up to here belong to transactions that have ended.
    pub(super) fn horizon(&self) -> u64 {
        self.open.values().min().map_or(self.places, |first| first - 1)
    }

    pub(super) fn abort(&mut self, transaction: &Transaction) {
        self.open.remove(&(transaction.node, transaction.life));
    }

    pub(super) fn commit(&mut self, transaction: &Transaction) -> Outcome {
        self.abort(transaction);
        let Lease { slot, epoch } = transaction.lease;
        if self.leases.get(&slot).is_none_or(|lease| lease.1 != epoch) {
            return Outcome::Fenced;
        }
        let mut stored = Vec::new();
        for &(message, pos) in &transaction.messages {
            if let Some(before) =
                self.by_client_id.get(&message).filter(|_| !self.ignores_client_ids)
            {
                stored.push((*before, true));
                continue;
            }
            let room = &mut self.rooms[message.room];
            let event = Stored { message, seq: room.len() as u64 + 1, pos, origin: slot };
            room.push(event);
            self.by_client_id.insert(message, event);
            stored.push((event, false));
        }
        Outcome::Committed(stored)
    }

    /// A node that comes with its name gets the slot it had.
    pub(super) fn claim(&mut self, now: u64, node: usize, is_named: bool) -> Lease {
        let own = self.leases.iter().find(|(_, lease)| is_named && lease.0 == node).map(|it| *it.0);
        let is_free = |slot: &u16| self.leases.get(slot).is_none_or(|lease| lease.2 <= now);
        let slot = own.or_else(|| (1..=1_023).find(is_free)).unwrap_or(1);
        let epoch = self.leases.get(&slot).map_or(1, |lease| lease.1 + 1);
        self.leases.insert(slot, (node, epoch, now + LEASE_MS));
        Lease { slot, epoch }
    }

    pub(super) fn renew(&mut self, now: u64, lease: Lease) -> bool {
        let Some(held) = self.leases.get_mut(&lease.slot).filter(|held| held.1 == lease.epoch)
        else {
            return false;
        };
        held.2 = now + LEASE_MS;
        true
    }

    /// The slots whose leases have not run out.
    pub(super) fn slots(&self, now: u64) -> Vec<u16> {
        let held = self.leases.iter().filter(|(_, lease)| lease.2 > now);
        held.map(|(slot, _)| *slot).collect()
    }

    pub(super) fn head(&self, room: usize) -> u64 {
        self.rooms[room].len() as u64
    }

    pub(super) fn events(&self, room: usize, after: u64, limit: usize) -> Vec<Stored> {
        self.rooms[room].iter().skip(after as usize).take(limit).copied().collect()
    }
}
