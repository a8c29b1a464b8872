//! Calls to services outside: webhooks; and connections for diagnosis ([`dial`]).
//!
//! What this crate deliberately lacks: what is told to whom and how it is signed (a [`webhook::Sealer`]
//! makes the request), and any SQL (the outbox is a port).
//!
//! Invariants:
//! * A url that somebody configured leads nowhere inside: the name is resolved once, every address is
//!   judged, and the connection goes to an address that was judged ([`address`], [`client`]).
//! * A call has one deadline for everything; of an answer no more is read than makes the connection good
//!   for the next call.
//! * A delivery leaves the outbox after the endpoint took it, never before: at least once.
//! * What an endpoint does delays its own deliveries only.
//!
//! Entry points: [`client::Client`] and [`webhook::Webhooks::start`].

pub mod address;
pub mod client;
pub mod dial;
pub mod resolve;
pub mod webhook;
