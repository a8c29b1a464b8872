//! Three nodes, their store, their broker and their clients on one thread and one simulated clock.
//!
//! Each node is a real [`mynah_hub::Shard`], [`Follower`](mynah_hub::cluster::Follower),
//! [`Peers`](mynah_hub::cluster::Peers) and [`People`](mynah_hub::cluster::People) in a shell as thin as it
//! can be; store, broker and sockets are models that keep their contracts, and little else. A seed decides
//! everything: which faults come and when, how long each message takes, what clients do. So whatever goes
//! wrong can be had again.
//!
//! While it runs: every client gets the events of its rooms in order, without hole or repeat, and no frontier
//! covers what a session that it was told to has not got. When the faults are over: every acknowledged
//! message is stored once, every client has what the store has, and every node knows who is present.

mod broker;
mod check;
mod clients;
mod dice;
mod faults;
mod node;
mod store;
mod wire;
mod world;

pub use faults::Sabotage;
pub use world::{Failure, Report};

/// What to run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run {
    /// Decides everything.
    pub seed: u64,
    /// A fault of the product, to see that it is found.
    pub sabotage: Sabotage,
    /// Whether to write down what happens.
    pub is_traced: bool,
}

/// Runs one history to its end.
///
/// # Errors
/// [`Failure`]: what went wrong first, and when.
pub fn run(run: Run) -> Result<Report, Box<Failure>> {
    world::World::new(run).run()
}
