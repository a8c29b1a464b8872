//! Durable stores behind the ports of `mynah-domain`.
//!
//! What this crate deliberately lacks: rules (they are the domain's; a store only asks the guard it was
//! given), wire names, HTTP, and any SQL outside the adapters.
//!
//! Invariants:
//! * One thread writes. What queued while the last commit was syncing becomes the next commit.
//! * Nothing is answered, and no listener hears of it, before the commit is on disk.
//! * Every statement is in one registry and none of them reads a table from end to end.
//!
//! Entry points: [`sqlite::SqliteStore::open`]; [`soketi::read_apps`] for an import.

mod app_json;
mod facts;
mod marks;
mod pace;
pub mod postgres;
mod search;
pub mod soketi;
pub mod sqlite;
mod standing;
mod tls;

pub use facts::unreadable_events;

// So that a test inside may share what the tests beside the crate use.
#[cfg(test)]
extern crate self as mynah_store;
