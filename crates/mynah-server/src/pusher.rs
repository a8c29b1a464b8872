//! The Pusher door: protocol 7 over WebSocket, channels, presence, client events and sign-in.
//!
//! [`Channels`] is what the rest of the house sees of it: who publishes to channels, asks who is
//! there, or wants to be told what happens. The bytes are `mynah_protocol::pusher`'s, the hub
//! writes them.
//!
//! A channel is a topic `p:APP:CHANNEL` of the hub; all sockets hear it in one dialect, so that an
//! event is encoded once for all of them.

mod channels;
mod chat;
mod happening;
mod policy;

pub use channels::{CachedEvent, ChannelEvent, ChannelInfo, Channels, Traffic};
pub use chat::{ChatChannels, Claim, Ending, Fate, SessionRef, SubscribeRefused};
pub use happening::{Happening, Observer};
pub use policy::{ChannelPolicy, NoAccess, NotGranted};
