//! What a back end is told.

use crate::json::write_string;

/// Header that names the key of [`super::signature::webhook`].
pub const KEY_HEADER: &str = "X-Pusher-Key";

/// Header with the [`super::signature::webhook`] of the body.
pub const SIGNATURE_HEADER: &str = "X-Pusher-Signature";

/// One event of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookEvent<'a> {
    /// `{"name":"channel_occupied","channel":"a"}`: the first subscription.
    ChannelOccupied {
        /// Its name.
        channel: &'a str,
    },
    /// `{"name":"channel_vacated","channel":"a"}`: the last subscription ended.
    ChannelVacated {
        /// Its name.
        channel: &'a str,
    },
    /// `{"name":"cache_miss","channel":"cache-a"}`: a subscriber found nothing.
    CacheMiss {
        /// Its name.
        channel: &'a str,
    },
    /// `{"name":"member_added","channel":"presence-a","user_id":"7"}`
    MemberAdded {
        /// The presence channel.
        channel: &'a str,
        /// Whose first socket came.
        user_id: &'a str,
    },
    /// `{"name":"member_removed","channel":"presence-a","user_id":"7"}`
    MemberRemoved {
        /// The presence channel.
        channel: &'a str,
        /// Whose last socket left.
        user_id: &'a str,
    },
    /// `{"name":"client_event","channel":"presence-a","event":"client-b","data":"{}",
    /// "socket_id":"1.2","user_id":"7"}`
    ClientEvent {
        /// Where it was sent.
        channel: &'a str,
        /// Its name.
        event: &'a str,
        /// Its JSON; goes out as a string.
        data: &'a str,
        /// Who sent it.
        socket_id: &'a str,
        /// The member who sent it, on presence channels.
        user_id: Option<&'a str>,
    },
    /// `{"name":"subscription_count","channel":"a","subscription_count":3}`
    SubscriptionCount {
        /// Its name.
        channel: &'a str,
        /// Subscriptions now.
        count: u64,
    },
}

impl WebhookEvent<'_> {
    /// The name on the wire, which is also that of Soketi's `event_types`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ChannelOccupied { .. } => "channel_occupied",
            Self::ChannelVacated { .. } => "channel_vacated",
            Self::CacheMiss { .. } => "cache_miss",
            Self::MemberAdded { .. } => "member_added",
            Self::MemberRemoved { .. } => "member_removed",
            Self::ClientEvent { .. } => "client_event",
            Self::SubscriptionCount { .. } => "subscription_count",
        }
    }

    /// The channel it is about.
    pub fn channel(&self) -> &str {
        match self {
            Self::ChannelOccupied { channel }
            | Self::ChannelVacated { channel }
            | Self::CacheMiss { channel }
            | Self::MemberAdded { channel, .. }
            | Self::MemberRemoved { channel, .. }
            | Self::ClientEvent { channel, .. }
            | Self::SubscriptionCount { channel, .. } => channel,
        }
    }

    /// The event as JSON. `event_id`, not known to Pusher, lets a receiver recognise an event
    /// that was delivered twice.
    pub fn to_json(&self, event_id: Option<&str>) -> String {
        let mut out = b"{\"name\":".to_vec();
        write_string(self.name(), &mut out);
        put("channel", self.channel(), &mut out);
        match self {
            Self::ChannelOccupied { .. } | Self::ChannelVacated { .. } | Self::CacheMiss { .. } => {
            }
            Self::MemberAdded { user_id, .. } | Self::MemberRemoved { user_id, .. } => {
                put("user_id", user_id, &mut out);
            }
            Self::ClientEvent { event, data, socket_id, user_id, .. } => {
                put("event", event, &mut out);
                put("data", data, &mut out);
                put("socket_id", socket_id, &mut out);
                if let Some(user_id) = user_id {
                    put("user_id", user_id, &mut out);
                }
            }
            Self::SubscriptionCount { count, .. } => {
                out.extend_from_slice(format!(",\"subscription_count\":{count}").as_bytes());
            }
        }
        if let Some(event_id) = event_id {
            put("event_id", event_id, &mut out);
        }
        out.push(b'}');
        String::from_utf8(out).expect("made of strings")
    }
}

/// Body of one delivery: `{"time_ms":1327078148132,"events":[{"name":"channel_occupied",…}]}`.
/// `events` are what [`WebhookEvent::to_json`] gave.
pub fn envelope<'a>(time_ms: u64, events: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = format!("{{\"time_ms\":{time_ms},\"events\":[");
    let start = out.len();
    for event in events {
        if out.len() > start {
            out.push(',');
        }
        out.push_str(event);
    }
    out.push_str("]}");
    out
}

fn put(key: &str, value: &str, out: &mut Vec<u8>) {
    out.push(b',');
    write_string(key, out);
    out.push(b':');
    write_string(value, out);
}
