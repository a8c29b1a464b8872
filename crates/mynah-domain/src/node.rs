//! The nodes of an installation: who may speak, and since when.

use crate::NodeId;

/// A node that asks to take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNode {
    /// Its name: given by the operator, else made at each start.
    pub id: NodeId,
    /// Where other nodes reach it, as `10.0.0.5:4000`.
    pub address: String,
}

/// A node's right to speak, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLease {
    /// The node.
    pub id: NodeId,
    /// Its small number, from 1 on: the [`crate::event::Event::origin`] of what it stores. No two nodes with
    /// a lease have the same; 0 is a store's only writer.
    pub slot: u16,
    /// Counts how often the slot was taken: whoever speaks with a smaller one speaks no more.
    pub epoch: u64,
    /// Where other nodes reach it.
    pub address: String,
}
