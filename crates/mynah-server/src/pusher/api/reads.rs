//! Looking: channels, one channel, its users.

use std::collections::BTreeMap;

use mynah_protocol::pusher::http::{Info, NOT_PRESENCE};
use mynah_protocol::pusher::presence::Member;
use mynah_protocol::pusher::{ChannelKind, ChannelName};
use serde::Serialize;
use serde_json::value::RawValue;

use super::admit::Caller;
use super::refusal::Refusal;
use super::windows::Left;
use super::{Answer, PusherApi};
use crate::pusher::{CachedEvent, ChannelInfo};

const PRESENCE: &str = "presence-";

/// What is told of a channel: `{"occupied":true,"subscription_count":3,"user_count":2}`.
#[derive(Serialize, Default)]
pub(super) struct Attributes {
    #[serde(skip_serializing_if = "Option::is_none")]
    occupied: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscription_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<Cache>,
}

/// `{"data":"…","ttl":60}`, or null where nothing is remembered.
#[derive(Serialize)]
#[serde(transparent)]
struct Cache(Option<Cached>);

#[derive(Serialize)]
struct Cached {
    data: String,
    ttl: u64,
}

impl From<CachedEvent> for Cached {
    fn from(event: CachedEvent) -> Self {
        Self { data: event.data.as_ref().to_owned(), ttl: event.ttl_s }
    }
}

impl Attributes {
    /// Those asked for that the channel can have.
    pub(super) fn asked(channel: &ChannelName, info: Info, known: &ChannelInfo) -> Self {
        let is_presence = channel.kind() == ChannelKind::Presence;
        Self::of(info, is_presence, known)
    }

    fn of(info: Info, is_presence: bool, known: &ChannelInfo) -> Self {
        Self {
            subscription_count: info.subscription_count.then_some(known.subscriptions),
            user_count: (info.user_count && is_presence).then(|| known.users.unwrap_or(0)),
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
struct Occupied {
    channels: BTreeMap<String, Attributes>,
}

#[derive(Serialize)]
struct Users<'a> {
    users: Vec<User<'a>>,
}

#[derive(Serialize)]
struct User<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_info: Option<&'a RawValue>,
}

impl PusherApi {
    /// `GET /apps/ID/channels?filter_by_prefix=presence-&info=user_count`. With `info` a channel has what was
    /// asked for, as Pusher's; without, what Soketi tells of each.
    pub(super) async fn occupied(
        &self,
        caller: &Caller,
        left: Option<Left>,
    ) -> Result<Answer, Refusal> {
        let query = caller.query();
        let prefix = query.get("filter_by_prefix").unwrap_or_default();
        let info = query.get("info").map(Info::parse);
        if info.is_some_and(|info| info.user_count) && !prefix.starts_with(PRESENCE) {
            let text = "user_count may only be requested with a filter_by_prefix of presence-.";
            return Err(Refusal::bad(text));
        }
        let found = self.channels.occupied_everywhere(&caller.app.id, prefix).await.into_iter();
        let channels = found.map(|(name, known)| {
            let is_presence = name.starts_with(PRESENCE);
            let attributes = match info {
                Some(info) => Attributes::of(info, is_presence, &known),
                None => Attributes {
                    occupied: Some(true),
                    subscription_count: Some(known.subscriptions),
                    ..Attributes::default()
                },
            };
            (name, attributes)
        });
        Ok(Answer::new(&Occupied { channels: channels.collect() }, left))
    }

    /// `GET /apps/ID/channels/NAME?info=user_count,subscription_count,cache`; without `info` what Soketi tells.
    pub(super) async fn channel(
        &self,
        caller: &Caller,
        left: Option<Left>,
    ) -> Result<Answer, Refusal> {
        let channel = named(caller)?;
        let query = caller.query();
        let is_presence = channel.kind() == ChannelKind::Presence;
        let all = Info { subscription_count: true, user_count: is_presence, cache: false };
        let info = query.get("info").map_or(all, Info::parse);
        if info.user_count && !is_presence {
            return Err(Refusal::bad("user_count may only be requested of presence channels."));
        }
        if info.cache && !channel.is_cache() {
            return Err(Refusal::bad("cache may only be requested of cache channels."));
        }
        let known = self.channels.channel_everywhere(&caller.app.id, channel.as_str()).await;
        let known = known.unwrap_or_default();
        let mut attributes = Attributes::of(info, is_presence, &known);
        attributes.occupied = Some(known.subscriptions > 0);
        attributes.cache = info.cache.then(|| Cache(known.cache.map(Cached::from)));
        Ok(Answer::new(&attributes, left))
    }

    /// `GET /apps/ID/channels/NAME/users`, with `with_user_info=1` also what they brought along.
    pub(super) fn users(&self, caller: &Caller, left: Option<Left>) -> Result<Answer, Refusal> {
        let channel = named(caller)?;
        if channel.kind() != ChannelKind::Presence {
            return Err(Refusal::bad(NOT_PRESENCE));
        }
        let with_info = caller.query().get("with_user_info") == Some("1");
        let members = self.channels.members(&caller.app.id, channel.as_str()).unwrap_or_default();
        let user = |member| user(member, with_info);
        Ok(Answer::new(&Users { users: members.iter().map(user).collect() }, left))
    }
}

fn user(member: &Member, with_info: bool) -> User<'_> {
    User { id: &member.user_id, user_info: member.user_info.as_deref().filter(|_| with_info) }
}

fn named(caller: &Caller) -> Result<ChannelName, Refusal> {
    let name = ChannelName::parse(&caller.subject, caller.limits.channel_name_chars_max);
    name.map_err(|error| Refusal::bad(error.to_string()))
}
