//! What happens in channels, for those who want to be told: webhooks.

use std::sync::Arc;

use mynah_domain::app::App;

/// Something that happened in a channel. All but [`Happening::MemberRemoved`] are told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A channel got its first subscription.
    ChannelOccupied {
        /// Its name.
        channel: Arc<str>,
    },
    /// A channel lost its last subscription. Whoever must not be told of a page that is loaded again
    /// waits for some seconds whether [`Happening::ChannelOccupied`] follows.
    ChannelVacated {
        /// Its name.
        channel: Arc<str>,
    },
    /// A user came to a presence channel: the first socket did.
    MemberAdded {
        /// The channel's name.
        channel: Arc<str>,
        /// Who.
        user_id: Arc<str>,
    },
    /// A user left a presence channel: by the last socket's word, or 3 seconds after it was gone, if
    /// none has come since. There is nothing to wait for any more.
    MemberRemoved {
        /// The channel's name.
        channel: Arc<str>,
        /// Who.
        user_id: Arc<str>,
    },
    /// A client sent an event to a channel.
    ClientEvent {
        /// The channel's name.
        channel: Arc<str>,
        /// The event's name, `client-…`.
        event: String,
        /// Its data, as JSON text.
        data: String,
        /// Who sent it, as `123.456`.
        socket_id: String,
        /// The member, on a presence channel.
        user_id: Option<Arc<str>>,
    },
    /// Somebody subscribed to a cache channel that holds no event.
    CacheMiss {
        /// Its name.
        channel: Arc<str>,
    },
    /// How many subscriptions a channel has changed; only of apps with subscription counts, at most
    /// every 5 seconds of channels with more than 100.
    SubscriptionCount {
        /// Its name.
        channel: Arc<str>,
        /// How many.
        count: u64,
    },
}

/// Is told what happens, in order for each channel. Called under a lock: must neither block nor call
/// [`super::Channels`].
pub trait Observer: Send + Sync + 'static {
    /// Something happened in a channel of an app.
    fn happened(&self, app: &Arc<App>, what: Happening);
}
