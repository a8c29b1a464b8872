//! What several nodes that share one store owe each other, without I/O: time is given in milliseconds,
//! what is to be done comes out as actions.
//!
//! The broker only hints. What is delivered here is what the store holds, in the order of each stream and
//! once, whatever the broker loses, doubles or delays.
//!
//! * [`Follower`]: orders what is heard of streams, finds what was missed, and says by [`Frontier`] what was
//!   delivered.
//! * [`Beat`]: what each node tells every second, so that silence is no proof of nothing missed.
//! * [`Peers`]: which nodes are there, and which of them speak with a right that is over.
//! * [`People`]: who is present on which node.
//! * [`Envelope`]: the frame around everything that is sent.
//!
//! # What the shell owes
//!
//! * One owner feeds a follower in the order in which things happen: commits, what the broker tells, answers.
//! * Who hears an event takes all that its node stored before it for told. So a beat goes before the next event
//!   whenever something that was said may be lost: if [`Follower::wants_beat`] says so, and also if
//!   [`crate::BrokerStats::connects`] or [`crate::BrokerStats::unsent`] changed since the last beat, as a
//!   connection may be new before anybody is told.
//! * What is not published for want of the right to speak counts as [`Follower::unsent`].
//! * A commit whose outcome the store did not tell is told by [`Follower::unsure`], once it is certain that it
//!   has happened or never will.
//! * [`Action::Subscribe`] and [`Action::Unsubscribe`] reach the broker in order.
//!
//! The simulation in the testkit (`simulation`) breaks all else.

mod beat;
mod envelope;
mod follower;
mod frontier;
mod peers;
mod people;
mod proof;
mod varint;

pub use beat::{Beat, BeatError, fingerprint};
pub use envelope::{Envelope, EnvelopeError, Envelopes};
pub use follower::{Action, Follower, FollowerConfig, FollowerStats, Item};
pub use frontier::Frontier;
pub use peers::{Heard, Peers};
pub use people::{Delta, Digest, Part, People, PeopleAction, PeopleConfig};
