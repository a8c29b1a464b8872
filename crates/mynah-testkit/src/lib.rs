//! Doubles and suites for tests: never a normal dependency.
//!
//! * [`memory::MemoryStore`]: every store port as plain collections, slow and obvious. It is the model
//!   that real stores are compared with.
//! * [`sources`]: a clock that stands still until told, ids that count, a hasher that does not hash.
//! * [`simulation`]: three nodes on one clock, with faults that a seed decides.
//! * [`conformance`]: what the ports promise, as tests that any store can be put through.
//! * [`proxy`]: a TCP proxy that loses, delays, cuts and limits what passes through it.
//! * [`programs`]: PostgreSQL, Redis, NATS and Mynah, started on free ports, killed, paused and restarted.

#![expect(clippy::indexing_slicing, reason = "a double or suite may stop its test")]

pub mod conformance;
pub mod memory;
pub mod programs;
pub mod proxy;
pub mod recorder;
pub mod simulation;
pub mod sources;

pub use memory::MemoryStore;
pub use recorder::Recorder;
pub use sources::{CountingIds, ManualClock, PlainHasher};
