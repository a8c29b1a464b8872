//! Channels that belong to the chat: what rooms, typing, receipts and presence are to Pusher clients.
//!
//! Names tell what is meant ([`ChatChannel`]), the signature of the app vouches for the user, and the
//! domain decides whether that user may. Users that the house does not know, and tenants other than the
//! app's, make a channel a plain one: a back end that uses these names for its own rooms finds them as
//! they were.

mod company;
mod hearing;
mod presence;
mod refusing;
mod replay;
mod threads;

use std::sync::Arc;
use std::time::Duration;

use mynah_domain::app::App;
use mynah_domain::chat::{Chat, ChatError};
use mynah_domain::permission::{Actor, Operation};
use mynah_domain::room::{MemberState, Profile, Role};
use mynah_domain::{RoomId, TenantId, UserId};
use mynah_hub::{Hub, SessionId, Topic};
use mynah_protocol::pusher::{ChannelName, SocketId};
use serde_json::value::RawValue;

pub use presence::user_info;
pub use refusing::SubscribeRefused;
pub use replay::ReplayRules;
use replay::Replays;
use threads::{Binding, Kind, Lease, pair_of};
pub use threads::{Parts as ThreadParts, Threads};

use crate::dialects::PUSHER;
use crate::health::Health;
use crate::identity::Identity;
use crate::live::Live;
use crate::patience::Patience;
use crate::pusher::names::ChatChannel;
use crate::pusher::policy::{ChannelPolicy, NoAccess, NotGranted, is_staff};
use crate::vocabulary::command::Command;

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

/// Whom the signature of a subscription vouches for, as the house knows the user.
#[derive(Clone)]
struct Person {
    actor: Actor,
    profile: Arc<Profile>,
}

/// What the chat says a channel is, for one subscription.
#[derive(Clone)]
pub struct Claim {
    person: Person,
    /// Kept while somebody is subscribed; channels of one user's own need none.
    lease: Option<Arc<Lease>>,
    /// Whether the channel is new here.
    is_first: bool,
    is_held: bool,
}

impl Claim {
    /// By which the user's sockets are found when the user leaves a room; conversations of two have no end.
    fn own_topic(&self) -> Option<Topic> {
        let link = self.lease.as_ref()?.link();
        (link.kind == Kind::Room).then(|| link.topic_of(&self.person.actor.user))
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("user", &self.person.actor.user).finish_non_exhaustive()
    }
}

/// How long a socket may wait for the store.
const SOCKET_PATIENCE: Duration = Duration::from_secs(10);

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

/// What the chat's channels stand on.
pub struct ChatParts {
    /// Which rooms are channels.
    pub threads: Threads,
    /// Use cases.
    pub chat: Chat,
    /// Typing and presence.
    pub live: Live,
    /// Users.
    pub identity: Arc<Identity>,
    /// What thread keys mean.
    pub policy: ChannelPolicy,
    /// Whether the store answers.
    pub health: Arc<Health>,
    /// What is sent to who comes back; `None`: nothing.
    pub replay: Option<ReplayRules>,
}

struct Inner {
    parts: ChatParts,
    replays: Option<Replays>,
}

/// The chat behind channels; clones share it.
#[derive(Clone)]
pub struct ChatChannels(Arc<Inner>);

/// What a thread key means to somebody who may hear it.
struct Meaning {
    kind: Kind,
    /// `None` as long as the two have not talked.
    room: Option<RoomId>,
    is_in_it: bool,
}

impl ChatChannels {
    /// Opens the chat to channels.
    pub fn new(parts: ChatParts) -> Self {
        let replays = parts.replay.map(|rules| Replays::start(parts.threads.clone(), rules));
        Self(Arc::new(Inner { parts, replays }))
    }

    /// Whether a channel is the chat's, and whether `who` may subscribe then; `None` for a plain
    /// channel. Called after the signature was checked.
    ///
    /// # Errors
    /// [`SubscribeRefused`]
    pub async fn claim(
        &self,
        app: &Arc<App>,
        channel: &ChannelName,
        who: Option<&str>,
    ) -> Result<Option<Claim>, SubscribeRefused> {
        let tenant = app.tenant.as_str();
        let Some(meant) = ChatChannel::parse(channel.as_str(), tenant) else { return Ok(None) };
        if meant.tenant().is_none_or(|named| named != tenant) {
            return Ok(None);
        }
        let Some(person) = self.person(app, who).await? else { return Ok(None) };
        match meant {
            ChatChannel::Thread { key, .. } => {
                self.thread(app, channel, key, person).await.map(Some)
            }
            ChatChannel::Online { .. } => {
                let binding = bind(app, channel, ("", Kind::Online, None));
                let (lease, is_first) = self.0.parts.threads.enter(app, binding);
                Ok(Some(Claim { person, lease: Some(lease), is_first, is_held: false }))
            }
            ChatChannel::Scheduled { user, .. } if user != person.actor.user.as_str() => {
                Err(SubscribeRefused::forbidden("This channel is another user's."))
            }
            ChatChannel::Scheduled { .. }
            | ChatChannel::Notifications { .. }
            | ChatChannel::Tickets { .. }
            | ChatChannel::Whatsapp { .. } => {
                Ok(Some(Claim { person, lease: None, is_first: false, is_held: false }))
            }
        }
    }

    /// How long a socket waits for an answer. The frames behind it wait as well.
    pub fn patience(&self) -> Patience {
        Patience::new(&self.0.parts.health, SOCKET_PATIENCE)
    }

    /// Whether the store is known to be away.
    pub async fn store_is_away(&self) -> bool {
        self.0.parts.health.store_trouble().await.is_some()
    }

    async fn person(
        &self,
        app: &App,
        who: Option<&str>,
    ) -> Result<Option<Person>, SubscribeRefused> {
        let Some(Ok(user)) = who.map(UserId::parse) else { return Ok(None) };
        let found = self.0.parts.identity.user(&app.tenant, &user).await?;
        Ok(found.map(|(profile, role)| Person {
            actor: Actor { tenant: app.tenant.clone(), user, role },
            profile,
        }))
    }

    async fn thread(
        &self,
        app: &Arc<App>,
        channel: &ChannelName,
        key: &str,
        person: Person,
    ) -> Result<Claim, SubscribeRefused> {
        let Meaning { kind, room, is_in_it } = self.meaning(&person.actor, key).await?;
        let talks = match &kind {
            Kind::Pair(pair) if room.is_none() => Some(pair.clone()),
            Kind::Pair(_) | Kind::Room | Kind::Online => None,
        };
        let threads = &self.0.parts.threads;
        let (lease, is_first) = threads.enter(app, bind(app, channel, (key, kind, room)));
        threads.heard(lease.link()).await;
        // The two may have begun to talk between the question and the link.
        if let Some((one, other)) = talks
            && let Some(room) = self.room_of(&app.tenant, &one, &other).await?
        {
            threads.bind(&app.tenant, (one, other), &room);
            threads.heard(lease.link()).await;
        }
        let is_held = is_in_it && self.0.replays.is_some();
        Ok(Claim { person, lease: Some(lease), is_first, is_held })
    }

    /// What a thread key means to a user who may hear it.
    async fn meaning(&self, actor: &Actor, key: &str) -> Result<Meaning, SubscribeRefused> {
        match self.0.parts.policy.pair(&actor.tenant, key).await {
            Ok((one, other)) => self.conversation(actor, one, other).await,
            Err(NotGranted::NoAccess(NoAccess::NotYours)) => self.room(actor, key).await,
            Err(NotGranted::NoAccess(reason)) => {
                Err(SubscribeRefused::forbidden(reason.to_string()))
            }
            Err(NotGranted::Store(error)) => Err(ChatError::Store(error).into()),
        }
    }

    async fn conversation(
        &self,
        actor: &Actor,
        one: UserId,
        other: UserId,
    ) -> Result<Meaning, SubscribeRefused> {
        let room = self.room_of(&actor.tenant, &one, &other).await?;
        let is_in_it = [&one, &other].contains(&&actor.user);
        match &room {
            Some(room) => drop(self.0.parts.chat.may(actor, Operation::WatchThread, room).await?),
            None if is_in_it || is_staff(actor) => {}
            None => return Err(SubscribeRefused::no_member()),
        }
        Ok(Meaning { kind: Kind::Pair(pair_of(&one, &other)), room, is_in_it })
    }

    async fn room_of(
        &self,
        tenant: &TenantId,
        one: &UserId,
        other: &UserId,
    ) -> Result<Option<RoomId>, ChatError> {
        let one = Actor { tenant: tenant.clone(), user: one.clone(), role: Role::Member };
        let view = self.0.parts.chat.direct_room(&one, other).await?;
        Ok(view.map(|view| view.room.id.clone()))
    }

    /// The key may be a room's id instead.
    async fn room(&self, actor: &Actor, key: &str) -> Result<Meaning, SubscribeRefused> {
        let Ok(room) = RoomId::parse(key) else {
            return Err(SubscribeRefused::no_member());
        };
        let view = self.0.parts.chat.may(actor, Operation::ReadHistory, &room).await?;
        let is_in_it = view.membership.is_some_and(|m| m.state == MemberState::Joined);
        Ok(Meaning { kind: Kind::Room, room: Some(room), is_in_it })
    }

    /// Before a socket with this claim is subscribed; [`ChatChannels::subscribed`] must follow.
    pub async fn entering(&self, session: &SessionRef, claim: &Claim) {
        if let Some(own) = claim.own_topic() {
            session.hub.subscribe(session.id, PUSHER, own).await;
        }
        if let Some(replays) = self.0.replays.as_ref().filter(|_| claim.is_held) {
            replays.hold(session.id, &session.hub).await;
        }
    }

    /// `subscription_succeeded` is on the way: sends what was missed, and what was kept back since
    /// [`ChatChannels::entering`].
    pub async fn subscribed(&self, session: &SessionRef, claim: &Claim) {
        let live = &self.0.parts.live;
        live.came(&claim.person.actor, None);
        let Some(lease) = &claim.lease else { return };
        if let Some(replays) = self.0.replays.as_ref().filter(|_| claim.is_held) {
            replays.enter(session.id, &session.hub, lease, &claim.person.actor).await;
        }
        if claim.is_first {
            let (threads, live) = (self.0.parts.threads.clone(), live.clone());
            let lease = Arc::clone(lease);
            tokio::spawn(async move { threads.populate(lease.link(), &live).await });
        }
    }

    /// Decides on a client event: what the vocabulary knows becomes a command of the user, everything
    /// else is relayed as it is.
    pub async fn client_event(
        &self,
        session: &SessionRef,
        claim: &Claim,
        event: &str,
        data: &RawValue,
    ) -> Fate {
        let as_it_is = || Fate::Relay(data.get().to_owned());
        let rule = self.0.parts.threads.vocabulary().and_then(|words| words.inbound(event));
        let (Some(rule), Some(lease)) = (rule, &claim.lease) else { return as_it_is() };
        let Some(room) = lease.link().room() else {
            // Nobody else can hear it before there is a room.
            return match with_user(data, &claim.person.actor.user) {
                Some(data) => Fate::Relay(data),
                None => Fate::Refuse("The data must be an object.".to_owned()),
            };
        };
        let place = serde_json::json!({ "roomId": room.as_str() }).to_string();
        let command = match rule.read(&[data.get(), &place]) {
            Ok(command) => command,
            Err(violations) => {
                let all: Vec<String> = violations.into_iter().map(|v| v.message).collect();
                return Fate::Refuse(all.join("; "));
            }
        };
        let Command::Typing { room, is_typing } = command else { return as_it_is() };
        let Person { actor, profile } = &claim.person;
        match self.0.parts.chat.may(actor, Operation::ShowTyping, &room).await {
            Ok(_) => {
                let live = &self.0.parts.live;
                live.typing_from(Some(session.id), profile, &room, is_typing).await;
                Fate::Swallow
            }
            Err(error) => Fate::Refuse(SubscribeRefused::from(error).to_string()),
        }
    }

    /// A socket answered a WebSocket ping.
    pub fn ponged(&self, session: SessionId, payload: &[u8]) {
        if let Some(replays) = &self.0.replays {
            replays.ponged(session, payload);
        }
    }

    /// A subscription is over.
    pub async fn ended(&self, session: &SessionRef, claim: &Claim, how: Ending) {
        let live = &self.0.parts.live;
        live.went(&claim.person.actor);
        let Some(lease) = &claim.lease else { return };
        if let Some(own) = claim.own_topic() {
            session.hub.unsubscribe(session.id, PUSHER, vec![own]).await;
        }
        if let Some(replays) = self.0.replays.as_ref().filter(|_| claim.is_held) {
            replays.ended(session.id, lease.link(), how != Ending::Left);
        }
        if let Some(room) = lease.link().room() {
            live.typing(&claim.person.profile, &room, false).await;
        }
    }

    /// A socket has signed in as a user, who counts as online if the house knows the user; the answer
    /// is to be given to [`ChatChannels::signed_out`].
    ///
    /// # Errors
    /// [`SubscribeRefused`]
    pub async fn signed_in(
        &self,
        app: &Arc<App>,
        user_id: &str,
    ) -> Result<Option<Actor>, SubscribeRefused> {
        let Some(person) = self.person(app, Some(user_id)).await? else { return Ok(None) };
        self.0.parts.live.came(&person.actor, None);
        Ok(Some(person.actor))
    }

    /// A socket that had signed in is gone.
    pub fn signed_out(&self, actor: &Actor) {
        self.0.parts.live.went(actor);
    }
}

fn bind<'a>(
    app: &App,
    channel: &'a ChannelName,
    (key, kind, room): (&'a str, Kind, Option<RoomId>),
) -> Binding<'a> {
    let topic = crate::pusher::topic(&app.id, channel.as_str());
    Binding { channel, topic, key, kind, room }
}

/// The data of a client's event with the user who really sent it.
fn with_user(data: &RawValue, user: &UserId) -> Option<String> {
    let mut data: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(data.get()).ok()?;
    data.insert("userId".to_owned(), user.as_str().into());
    Some(serde_json::Value::Object(data).to_string())
}

#[cfg(test)]
mod tests;
