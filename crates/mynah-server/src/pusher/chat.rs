//! Channels that belong to the chat: what a room, typing, receipts and presence are to Pusher clients.
//! This first version has none: every channel is a plain one.

pub mod names;

use std::sync::Arc;

use mynah_domain::app::App;
use mynah_hub::{Hub, SessionId, Topic};
use mynah_protocol::pusher::presence::Member;
use mynah_protocol::pusher::{ChannelName, SocketId};
use serde_json::value::RawValue;

/// A subscribed socket, as the chat sees it.
#[derive(Clone)]
pub struct SessionRef {
    /// Its session in the hub.
    pub id: SessionId,
    /// Its id on the wire.
    pub socket_id: SocketId,
    /// The channel's topic.
    pub topic: Topic,
    /// The hub.
    pub hub: Hub,
}

/// What the chat says a channel is.
#[derive(Debug, Clone)]
pub struct Claim {}

impl Claim {
    /// Whether the socket's Pusher dialect is held from before the subscription until
    /// [`ChatChannels::subscribed`] resumes it.
    pub fn is_held(&self) -> bool {
        false
    }
}

/// Why the chat refuses a subscription; goes into `pusher:subscription_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRefused {
    /// `AuthError` as a rule.
    pub kind: &'static str,
    /// A sentence.
    pub error: String,
    /// As an HTTP status: 403.
    pub status: u16,
}

/// What becomes of a client event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is relayed to the channel, with this JSON text as its data.
    Relay(String),
    /// It goes no further.
    Swallow,
    /// The sender is told why not.
    Refuse(String),
}

/// How a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Unsubscribed.
    Left,
    /// The peer closed the connection.
    ClosedByPeer,
    /// The connection was lost, or ended from our side.
    Lost,
}

/// The chat behind channels; clones share it.
#[derive(Debug, Clone, Default)]
pub struct ChatChannels {}

impl ChatChannels {
    /// Whether a channel is the chat's, and whether `who` may subscribe then. Called after the
    /// signature was checked.
    ///
    /// # Errors
    /// [`SubscribeRefused`]
    pub async fn claim(
        &self,
        _app: &Arc<App>,
        _channel: &ChannelName,
        _who: Option<&Member>,
    ) -> Result<Option<Claim>, SubscribeRefused> {
        Ok(None)
    }

    /// `subscription_succeeded` is on the way: sends what was missed and, if [`Claim::is_held`],
    /// resumes.
    pub async fn subscribed(&self, _session: &SessionRef, _claim: &Claim) {}

    /// Decides on a client event.
    pub async fn client_event(
        &self,
        _session: &SessionRef,
        _claim: &Claim,
        _from: &Member,
        _event: &str,
        data: &RawValue,
    ) -> Fate {
        Fate::Relay(data.get().to_owned())
    }

    /// A socket with this claim showed that it has received what it was sent before: it answered a
    /// ping.
    pub fn heard(&self, _session: &SessionRef, _claim: &Claim) {}

    /// A subscription is over.
    pub async fn ended(&self, _session: &SessionRef, _claim: &Claim, _how: Ending) {}

    /// A socket has signed in as a user.
    pub async fn signed_in(&self, _app: &Arc<App>, _user_id: &str) {}

    /// A socket that had signed in is gone.
    pub async fn signed_out(&self, _app: &Arc<App>, _user_id: &str) {}
}
