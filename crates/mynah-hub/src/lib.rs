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
//! * Every queue is bounded (see below). A slow reader never delays another session.
//! * Publications to a session in one dialect keep the order in which they were published over all
//!   topics, also across [`Hub::hold`] and [`Hub::resume`], and none is delivered twice.
//! * [`SessionEvents::closed`] is called exactly once per session, and then, when its place is free,
//!   [`SessionEvents::ended`].
//! * A stream is ended by halves: writing after the last frame, reading at the peer's end or after
//!   [`Limits::linger`]. Closing at once could reset the connection and lose the last frame.
//!
//! # Backpressure
//!
//! Nothing waits without a bound, and what happens at each bound can be seen in [`HubStats`].
//!
//! | who does not keep up | bound | policy | counted in |
//! |---|---|---|---|
//! | a shard | [`HubConfig::command_queue_max`] | the caller waits | - |
//! | a stream that is not read | [`Limits::queue_bytes_max`], [`Limits::queue_frames_max`] | a newer state replaces the waiting one of its key; at the bound states are dropped, then the session ends as slow | `queued_*`, `dropped_ephemeral`, `closed_slow` |
//! | a polling session that does not poll | the same; one answer has [`Limits::poll_bytes_max`] | the same, and its keepalive goes unanswered | the same, `closed_ping_timeout` |
//! | a peer that sends signs of life and reads nothing | the same: each probe waits like any durable frame | the session ends as slow | `closed_slow` |
//! | a peer that asks twice at once | one poll | the session ends | `closed_poll_overlap` |
//! | a caller that holds and does not resume | the same: what is kept counts like what is queued | the same | `kept_*`, `closed_slow` |
//! | a caller that sends much | half of the bounds | [`Hub::drained`] waits | - |
//! | a session in too many topics | [`Limits::subscriptions_max`] | the session ends | `closed_too_many_subscriptions` |
//! | a closed session whose peer takes nothing | [`Limits::linger`] | it is cut off; a slow one's queue goes at once | `sessions` |
//! | too many peers | [`Limits::sessions_max`] | the new one is refused | - |
//!
//! Waiting bytes count for each session that waits for them, though all share one [`Frame`]: real
//! memory is less. `closed_link_failed`, `closed_peer_gone`, `closed_hub_stopped` and
//! `closed_named` count the ends that have other causes.
//!
//! # Entry points
//!
//! [`Hub`] is the cloneable handle; [`Shard`] is its synchronous core, driven by commands and a
//! clock that the caller owns; [`TimerWheel`], [`Leases`] and [`SoftState`] are pure structures.

mod arena;
mod broker;
pub mod cluster;
mod config;
mod frame;
mod hub;
mod interest;
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

pub use broker::{Broker, BrokerEvent, BrokerStats};
pub use config::{Compact, DialectRules, Farewell, HubConfig, Keepalive, Limits, Probing};
pub use frame::{Class, Dialect, Frame};
pub use hub::{AttachError, Hub, UpgradeError};
pub use interest::Interest;
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
