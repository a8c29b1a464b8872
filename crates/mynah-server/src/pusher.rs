//! The Pusher door: protocol 7 over WebSocket, channels, presence, client events and sign-in.
//!
//! [`Channels`] is what the rest of the house sees of it: who publishes to channels, asks who is
//! there, or wants to be told what happens. The bytes are `mynah_protocol::pusher`'s, the hub
//! writes them.
//!
//! A channel is a topic `p:APP:CHANNEL` of the hub; all sockets hear it in one dialect, so that an
//! event is encoded once for all of them.

pub mod api;
mod cache;
mod channels;
mod chat;
mod chores;
mod client_events;
mod company;
mod door;
pub(crate) mod exposition;
mod frames;
mod happening;
mod joining;
mod leaving;
mod memory;
mod names;
mod people;
mod policy;
mod presence;
pub(crate) mod probes;
mod registry;
mod sign_in;
mod socket;
mod socket_ids;
mod soketi_metrics;
mod subscribing;
#[cfg(test)]
mod tests;
mod traffic;
pub mod webhooks;

pub use channels::{CachedEvent, ChannelEvent, ChannelInfo, Channels};
pub use chat::{
    ChatChannels, ChatParts, Claim, Ending, Fate, ReplayRules, SessionRef, SubscribeRefused,
    ThreadParts, Threads, user_info,
};
pub use company::Company;
pub use door::{Door, DoorOptions, DoorParts, PUSHER_RULES, pusher_rules};
pub use happening::{Happening, Observer};
pub(crate) use memory::MemoryGauge;
pub use names::{ChatChannel, pairs, peers};
pub use policy::{ChannelPolicy, NoAccess, NotGranted};
pub(crate) use probes::Probes;
pub(crate) use soketi_metrics::SoketiMetrics;
pub use traffic::Traffic;

/// The hub's topic of a channel.
pub(crate) fn topic(app: &mynah_domain::AppId, channel: &str) -> mynah_hub::Topic {
    mynah_hub::Topic::new(format!("p:{app}:{channel}"))
}

/// The last frame of sockets that are closed because the server goes: they come back, after a moment.
pub(crate) fn restarting() -> mynah_hub::Frame {
    frames::goodbye(mynah_protocol::pusher::CloseCode::OverCapacity)
}
