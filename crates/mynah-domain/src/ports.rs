//! What the house needs from outside, named by need.
//!
//! Rules for every store port:
//! * **Each method is one atomic step.** It either happened wholly and durably when it returns `Ok`, or
//!   not at all.
//! * Lookups return `Ok(None)` for what is not there.
//! * A [`Guard`](crate::permission::Guard) given to a method is checked against the rows inside the same transaction that changes
//!   them; a refusal writes nothing.
//! * `seq`, `number` and `pos` are allotted inside the transaction: gap-free per stream and room, and
//!   ascending in commit order for `pos`.
//! * After the commit the new events go to the [`CommitListener`] in commit order, and with them the
//!   callers' answers: whoever delivers the events lets the callers go on afterwards.

mod accounts;
mod apps;
mod cluster;
mod commit;
mod journal;
mod messages;
mod outbox;
mod rooms;
mod search;

pub use accounts::{AccountStore, PasswordHasher};
pub use apps::AppStore;
pub use cluster::{FeedStore, NodeStore};
pub use commit::{Commit, CommitListener};
pub use journal::JournalStore;
pub use messages::MessageStore;
pub use outbox::OutboxStore;
pub use rooms::{OpenRoomStore, RoomStore};
pub use search::SearchStore;

use crate::Timestamp;

/// A store that could not do what it was asked, for a reason that is not the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room left on the disk (or in the database's quota); reads still work.
    #[error("the storage is full; nothing was written")]
    Full,
    /// More writes are waiting than the bounded queue takes; try again shortly.
    #[error("the storage is overloaded; nothing was written")]
    Overloaded,
    /// The engine failed or is stopping. The text is for the log, not for clients.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
    /// What writes has ended by a fault and does not come back: this process must be started anew. Reads go on.
    #[error("the storage's writer has ended; this process writes no more")]
    Ended,
    /// The place of this node in the cluster is another's, and what it stores would pass for that one's. It is
    /// about to get a new one: try again shortly.
    #[error("another node has this one's place; nothing was written")]
    Fenced,
    /// A stored row contradicts the rules.
    #[error("inconsistent row in {table}: {id}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// Which row, as far as it is known.
        id: String,
    },
}

impl StoreError {
    /// Whether the same question may be answered later.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Full | Self::Overloaded | Self::Ended | Self::Fenced | Self::Unavailable(_) => {
                true
            }
            Self::Inconsistent { .. } => false,
        }
    }
}

/// Wall-clock time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Fresh ids and secrets.
pub trait IdSource: Send + Sync {
    /// An id for a new user, room, message or sign-in; see [`crate::id`].
    fn id(&self, now: Timestamp) -> String;

    /// A secret of 256 random bits as URL-safe text, for refresh tokens.
    fn secret(&self) -> String;

    /// A one-way fingerprint of a secret for storage (SHA-256, hex).
    fn fingerprint(&self, secret: &str) -> String;
}
