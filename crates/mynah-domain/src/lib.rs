//! The house of Mynah: nouns, rules and use cases of a chat backend, and the ports they need.
//!
//! What this crate deliberately lacks: a runtime, a clock, randomness, serialisation, SQL, HTTP and
//! every wire name. Time and ids arrive through [`ports`]; doors translate their own words into calls
//! here and translate the returned facts back.
//!
//! Invariants:
//! * A use case reads: authorise, check the rules, store in **one atomic step**, return facts.
//! * Every durable change of a room or of a user's inbox is one [`event::Event`] in a [`event::Stream`]
//!   with the next gap-free `seq`.
//! * Authorisation is the one table in [`permission`]; the store evaluates it against the rows it is
//!   about to change, inside the write transaction, through a [`permission::Guard`].
//!
//! Entry points: [`chat::Chat`] (rooms, messages, receipts, catch-up), [`search::MessageSearch`] and
//! [`account::Accounts`] (register, login, refresh, logout, profiles).

pub mod account;
pub mod app;
pub mod chat;
pub mod event;
pub mod id;
pub mod message;
pub mod node;
pub mod outbox;
pub mod page;
pub mod permission;
pub mod ports;
pub mod presence;
pub mod profile;
pub mod recovery;
pub mod room;
pub mod search;
pub mod text;
pub mod time;

pub use id::{AppId, ConnectionId, MessageId, NodeId, RoomId, SessionFamily, TenantId, UserId};
pub use time::Timestamp;
