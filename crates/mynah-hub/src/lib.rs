//! The fan-out engine: it holds connections, knows which session subscribes to which topic, and
//! writes each publication to every subscriber with as few system calls and allocations as it can.
//!
//! It deliberately knows no protocol, no JSON and no domain: a [`Dialect`] is a small number, a
//! [`Frame`] is finished bytes, a [`Topic`] is a routing key.
//!
//! # Invariants
//!
//! * A publication is encoded at most once per dialect, however many sessions and shards there are.
//! * Nothing is allocated per recipient in steady state (`tests/allocation.rs`).
//! * Frames of one session leave in the order in which its shard received them.
//! * Every queue is bounded. Commands: the caller waits. A session's frames: ephemeral ones are
//!   dropped first, and if a durable one still does not fit the session is closed with
//!   [`CloseReason::SlowConsumer`]. A slow reader never delays another session.
//! * [`SessionEvents::closed`] is called exactly once per session, and then, when its place is free,
//!   [`SessionEvents::ended`].
//! * A stream is ended by halves: writing after the last frame, reading at the peer's end or after
//!   [`Limits::linger`]. Closing at once could reset the connection and lose the last frame.
//!
//! # Entry points
//!
//! [`Hub`] is the cloneable handle; [`Shard`] is its synchronous core, driven by commands and a
//! clock that the caller owns; [`TimerWheel`], [`Leases`] and [`SoftState`] are pure structures.

mod arena;
mod config;
mod frame;
mod hub;
mod leases;
mod publication;
mod send_queue;
mod session;
mod shard;
mod socket;
mod soft_state;
mod stats;
mod timer_wheel;
mod topic;

pub use config::{Compact, DialectRules, Farewell, HubConfig, Keepalive, Limits, Probing};
pub use frame::{Class, Dialect, Frame};
pub use hub::{AttachError, Hub, UpgradeError};
pub use leases::{Acquired, Leases};
pub use publication::{LazyFrames, Publication, Topic};
pub use session::{
    Close, CloseEach, CloseReason, DrainedReply, Link, NewSession, PollAnswer, PollReply, Pulse,
    SessionEvents, SessionId,
};
pub use shard::Shard;
pub use socket::{Socket, TcpSocket, WritableList};
pub use soft_state::{SoftState, Touched};
pub use stats::HubStats;
pub use timer_wheel::{TimerKey, TimerWheel};
