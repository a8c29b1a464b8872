//! All channels of the process.

use std::sync::Arc;

use mynah_domain::AppId;
use mynah_domain::app::App;
use mynah_hub::{Class, Hub};
use mynah_protocol::pusher::presence::Member;
use mynah_protocol::pusher::{ChannelName, SocketId};

use super::happening::Observer;

/// An event to publish.
#[derive(Debug, Clone)]
pub struct ChannelEvent {
    /// Where.
    pub channel: ChannelName,
    /// Its name.
    pub name: String,
    /// Its data: the string that the publisher sent, byte for byte; JSON as a rule.
    pub data: String,
    /// Who sent it, if a member of a presence channel did.
    pub user_id: Option<String>,
    /// A socket that does not get it.
    pub except: Option<SocketId>,
    /// See [`mynah_hub::Publication::seq`].
    pub seq: Option<u64>,
    /// See [`mynah_hub::Publication::pos`].
    pub pos: Option<u64>,
    /// What happens to it where a socket does not keep up.
    pub class: Class,
}

impl ChannelEvent {
    /// An event of a back end to everybody in a channel.
    pub fn new(channel: ChannelName, name: String, data: String) -> Self {
        let class = Class::Durable;
        Self { channel, name, data, user_id: None, except: None, seq: None, pos: None, class }
    }
}

/// What is known of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChannelInfo {
    /// Subscriptions of sockets; 0 if it is not occupied.
    pub subscriptions: u64,
    /// Members of a presence channel.
    pub users: Option<u64>,
    /// The event that a cache channel remembers.
    pub cache: Option<CachedEvent>,
}

/// The last event of a cache channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedEvent {
    /// Its name.
    pub name: Arc<str>,
    /// Its data, as published.
    pub data: Arc<str>,
    /// Seconds for which it is remembered yet.
    pub ttl_s: u64,
}

/// What an app's sockets did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Gauge: open sockets.
    pub connected: u64,
    /// Sockets opened.
    pub opened: u64,
    /// Sockets closed.
    pub closed: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Their bytes, without framing.
    pub bytes_in: u64,
    /// Messages sent: one for each socket.
    pub messages_out: u64,
    /// Their bytes, with framing.
    pub bytes_out: u64,
}

struct Inner {
    hub: Hub,
}

/// All channels of the process; clones share them.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

impl Channels {
    /// No channels yet, on this hub.
    pub fn new(hub: Hub) -> Self {
        Self(Arc::new(Inner { hub }))
    }

    /// Publishes to a channel, encoded once; a cache channel remembers it. Events that one caller
    /// publishes one after the other reach each socket in this order.
    pub async fn publish(&self, _app: &Arc<App>, _event: ChannelEvent) {}

    /// What is known of a channel; `None` if nobody has subscribed and nothing is remembered.
    pub fn channel(&self, _app: &AppId, _name: &str) -> Option<ChannelInfo> {
        None
    }

    /// The channels with subscriptions whose names start with `prefix`, without what they remember.
    pub fn occupied(&self, _app: &AppId, _prefix: &str) -> Vec<(String, ChannelInfo)> {
        Vec::new()
    }

    /// The members of a presence channel, in the order in which they came; `None` if nobody is there.
    pub fn members(&self, _app: &AppId, _name: &str) -> Option<Vec<Member>> {
        None
    }

    /// Closes all sockets of a signed-in user with 4009.
    pub async fn terminate_user(&self, _app: &AppId, _user_id: &str) {}

    /// Open sockets of an app.
    pub fn connections(&self, _app: &AppId) -> u64 {
        0
    }

    /// What the sockets of each app did; apps that never had any are missing.
    pub fn traffic(&self) -> Vec<(AppId, Traffic)> {
        Vec::new()
    }

    /// From now on `observer` is told what happens too.
    pub fn observe(&self, _observer: Arc<dyn Observer>) {}

    /// A user is in a presence channel, or there no more, although by another door: counted like a
    /// socket of its own.
    pub async fn house_member(
        &self,
        _app: &Arc<App>,
        _channel: &str,
        _member: Member,
        _is_here: bool,
    ) {
    }

    /// The hub beneath.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }
}
