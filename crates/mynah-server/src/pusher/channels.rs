//! All channels of the process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mynah_domain::AppId;
use mynah_domain::app::App;
use mynah_hub::{
    Class, CloseEach, CloseReason, Frame, Hub, LazyFrames, Publication, SessionId, Topic,
};
use mynah_protocol::pusher::presence::Member;
use mynah_protocol::pusher::{ChannelKind, ChannelName, CloseCode, SocketId};
use parking_lot::RwLock;
use tokio::time::Instant;

use super::cache::{Cache, Kept};
use super::chores::Chores;
use super::frames;
use super::happening::Observer;
use super::joining::Gates;
use super::leaving::Chore;
use super::registry::{AppState, Throughout};
use super::socket_ids::SocketIds;
use super::traffic::Traffic;
use crate::apps::Limits;
use crate::config::PusherConfig;
use crate::dialects::PUSHER;

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

    fn fades(&self) -> bool {
        matches!(self.class, Class::Ephemeral { .. })
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

/// A subscription, as its owner keeps it.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) topic: Topic,
    /// Who is a member by it, of a presence channel.
    pub(super) user_id: Option<Arc<str>>,
}

struct Inner {
    hub: Hub,
    config: PusherConfig,
    apps: RwLock<HashMap<AppId, Arc<AppState>>>,
    shared: Arc<Throughout>,
    gates: Gates,
    cache: Cache,
    chores: Arc<Chores<Chore>>,
    tickets: AtomicU64,
    ids: SocketIds,
    hasher: RandomState,
    start: Instant,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.chores.end();
    }
}

/// All channels of the process; clones share them.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

impl Channels {
    /// No channels yet, on this hub, and the task that does what is due later.
    pub fn new(hub: Hub, config: &PusherConfig) -> Self {
        let chores = Chores::new();
        let channels = Self(Arc::new(Inner {
            hub,
            config: config.clone(),
            apps: RwLock::default(),
            shared: Arc::default(),
            gates: Gates::new(),
            cache: Cache::new(Duration::from_secs(config.cache_ttl_s)),
            chores: Arc::clone(&chores),
            tickets: AtomicU64::new(0),
            ids: SocketIds::new(),
            hasher: RandomState::new(),
            start: Instant::now(),
        }));
        tokio::spawn(work(chores, Arc::downgrade(&channels.0)));
        channels
    }

    /// Publishes to a channel, encoded once; a cache channel remembers it. Events that one caller
    /// publishes one after the other reach each socket in this order.
    pub async fn publish(&self, app: &Arc<App>, event: ChannelEvent) {
        let except = event.except.map(|id| self.0.ids.session(id));
        if event.channel.is_cache() {
            let app = self.app(app);
            let topic = app.topic(event.channel.as_str());
            let passed = self.0.gates.pass(topic.as_str()).await;
            let frame = frames::event(&event);
            self.0.cache.keep(topic, Kept::of(&event, frame.clone()));
            let kept = Some((event.name.as_str(), event.data.as_str()));
            let place = (&app.id, &event.channel);
            self.spread(place, &frame, (event.except, event.fades()), kept);
            self.deliver(&app, &event, frame, except).await;
            drop(passed);
            return;
        }
        let here = self.known(&app.id).filter(|app| app.is_occupied(event.channel.as_str()));
        if here.is_none() && self.others().is_none() {
            return;
        }
        let frame = frames::event(&event);
        self.spread((&app.id, &event.channel), &frame, (event.except, event.fades()), None);
        if let Some(app) = here {
            self.deliver(&app, &event, frame, except).await;
        }
    }

    async fn deliver(
        &self,
        app: &AppState,
        event: &ChannelEvent,
        frame: Frame,
        except: Option<SessionId>,
    ) {
        let Some((topic, sockets)) = app.audience(event.channel.as_str()) else { return };
        app.counters.sent(sockets, frame.len());
        let &ChannelEvent { seq, pos, class, .. } = event;
        let frames = LazyFrames::new(move |_| Some(frame.clone()));
        self.0.hub.publish(Publication { topic, seq, pos, class, except, frames }).await;
    }

    /// Sends a frame to everybody in a topic.
    pub(super) async fn fan_out(
        &self,
        topic: &Topic,
        frame: Frame,
        class: Class,
        except: Option<SessionId>,
    ) {
        let frames = LazyFrames::new(move |_| Some(frame.clone()));
        let topic = topic.clone();
        let publication = Publication { topic, seq: None, pos: None, class, except, frames };
        self.0.hub.publish(publication).await;
    }

    /// What is known here of a channel; `None` if nobody has subscribed and nothing is remembered.
    pub fn channel(&self, app: &AppId, name: &str) -> Option<ChannelInfo> {
        let known = self.known(app);
        let here = known.as_ref().and_then(|app| app.with_channel(name, |channel| info(channel)));
        let cache = known.and_then(|app| self.0.cache.get(&app.topic(name)));
        let cache = cache.map(|kept| kept.event(Duration::from_secs(self.0.config.cache_ttl_s)));
        let is_known = here.as_ref().is_some_and(|here| here.subscriptions > 0) || cache.is_some();
        is_known.then(|| ChannelInfo { cache, ..here.unwrap_or_default() })
    }

    /// The channels with subscriptions here whose names start with `prefix`, without what they remember.
    pub fn occupied(&self, app: &AppId, prefix: &str) -> Vec<(String, ChannelInfo)> {
        let mut found = Vec::new();
        if let Some(app) = self.known(app) {
            app.each_occupied(|name, channel| {
                if name.starts_with(prefix) {
                    found.push((name.to_owned(), info(channel)));
                }
            });
        }
        found
    }

    /// The members of a presence channel on all nodes: in the order in which they came here, or were known
    /// here to be elsewhere; `None` if nobody is there.
    pub fn members(&self, app: &AppId, name: &str) -> Option<Vec<Member>> {
        let here = self.known(app).and_then(|app| {
            app.with_channel(name, |channel| channel.presence.as_ref().map(|here| here.all()))
        });
        let members = here.flatten().unwrap_or_else(|| self.listed_elsewhere(app, name));
        (!members.is_empty()).then_some(members)
    }

    /// Closes all sockets of a signed-in user with 4009, on every node.
    pub async fn terminate_user(&self, app: &AppId, user_id: &str) {
        self.terminate_elsewhere(app, user_id);
        self.terminate_here(app, user_id).await;
    }

    pub(super) async fn terminate_here(&self, app: &AppId, user_id: &str) {
        let Some(app) = self.known(app) else { return };
        let last = LazyFrames::new(|_| Some(frames::goodbye(CloseCode::Unauthorised)));
        let reason = CloseReason::Named("connections terminated");
        let close = CloseEach { reason, last: Some(last) };
        self.0.hub.close_topic(&app.user_topic(user_id), close, None).await;
    }

    /// Open sockets of an app here.
    pub fn connections(&self, app: &AppId) -> u64 {
        self.known(app).map_or(0, |app| app.counters.connected())
    }

    /// What the sockets of each app did; apps that never had any are missing.
    pub fn traffic(&self) -> Vec<(AppId, Traffic)> {
        let apps = self.0.apps.read();
        apps.values().map(|app| (app.id.clone(), app.counters.read())).collect()
    }

    /// From now on `observer` is told what happens too.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.0.shared.observers.add(observer);
    }

    /// A user is in a presence channel, or there no more, although by another door: counted like one
    /// more socket, however often it is said. Such members are not refused at the ceiling; whoever goes
    /// may come back within 3 seconds unnoticed, as sockets may. Other channels have no members.
    pub async fn house_member(&self, app: &Arc<App>, channel: &str, member: Member, is_here: bool) {
        let app = self.app(app);
        let Ok(name) = ChannelName::parse(channel, usize::MAX) else { return };
        if name.kind() != ChannelKind::Presence {
            return;
        }
        if is_here {
            // Only for want of room for one more channel; the log has it then.
            drop(self.join_presence(&app, &name, (None, member)).await);
        } else {
            self.house_member_went(&app, &name, &member.user_id);
        }
    }

    /// Nobody is in a presence channel by another door any more.
    pub fn empty_house(&self, app: &AppId, channel: &str) {
        let (Some(app), Ok(name)) = (self.known(app), ChannelName::parse(channel, usize::MAX))
        else {
            return;
        };
        let members = app.with_channel(name.as_str(), |channel| {
            channel.presence.as_ref().map(|presence| presence.at_home()).unwrap_or_default()
        });
        for user_id in members.unwrap_or_default() {
            self.house_member_went(&app, &name, &user_id);
        }
    }

    /// The hub beneath.
    pub fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// The settings.
    pub(super) fn config(&self) -> &PusherConfig {
        &self.0.config
    }

    /// An app's state, which begins here.
    pub(super) fn app(&self, app: &Arc<App>) -> Arc<AppState> {
        let limits = |app: &App| Limits::of(app, &self.0.config);
        if let Some(known) = self.known(&app.id) {
            known.renew(app, limits);
            return known;
        }
        let mut apps = self.0.apps.write();
        let state = apps
            .entry(app.id.clone())
            .or_insert_with(|| AppState::new(app, limits(app), &self.0.shared));
        Arc::clone(state)
    }

    pub(super) fn known(&self, app: &AppId) -> Option<Arc<AppState>> {
        self.0.apps.read().get(app).cloned()
    }

    /// What all apps share.
    pub(super) fn shared(&self) -> &Throughout {
        &self.0.shared
    }

    /// What cache channels remember.
    pub(super) fn cache(&self) -> &Cache {
        &self.0.cache
    }

    pub(super) fn gates(&self) -> &Gates {
        &self.0.gates
    }

    /// The id of a session on the wire.
    pub(super) fn socket_id(&self, id: SessionId) -> SocketId {
        self.0.ids.of(id)
    }

    /// The session behind an id on the wire.
    pub(super) fn session(&self, id: SocketId) -> SessionId {
        self.0.ids.session(id)
    }

    /// The last event of a cache channel, ready to be sent.
    pub(super) fn cached_frame(&self, topic: &Topic) -> Option<Frame> {
        self.0.cache.get(topic).map(|kept| kept.frame.clone())
    }

    /// A number no other absence has.
    pub(super) fn ticket(&self) -> u64 {
        self.0.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Does something later.
    pub(super) fn later(&self, wait: Duration, chore: Chore) {
        self.0.chores.add(Instant::now() + wait, self.ticket(), chore);
    }

    /// The second that runs, since the start.
    pub(super) fn second(&self) -> u32 {
        self.0.start.elapsed().as_secs() as u32
    }

    /// A subscription ends.
    pub(super) async fn unsubscribe(&self, socket: SessionId, subscription: &Subscription) {
        let topics = vec![subscription.topic.clone()];
        self.0.hub.unsubscribe(socket, PUSHER, topics).await;
    }

    /// A key under which newer state of a topic replaces older state in a queue.
    pub(super) fn fingerprint(&self, topic: &Topic) -> u64 {
        self.0.hasher.hash_one(topic)
    }
}

fn info(channel: &super::registry::Channel) -> ChannelInfo {
    let users = channel.presence.as_ref().map(|presence| presence.len() as u64);
    ChannelInfo { subscriptions: channel.sockets, users, cache: None }
}

async fn work(chores: Arc<Chores<Chore>>, channels: Weak<Inner>) {
    while let Some(chore) = chores.next().await {
        let Some(channels) = channels.upgrade() else { return };
        Channels(channels).do_chore(chore).await;
    }
}
