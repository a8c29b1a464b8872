//! Rooms that Pusher clients hear here as channels, and what is said to them there.
//!
//! A link ties one channel of one app to one room, for as long as a socket of this node is subscribed.
//! What happens in the room is then published to the channel's topic as well, in the words of the
//! `thread` vocabulary and with the name that these clients subscribed with: two spellings of one
//! thread key are two links.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use mynah_domain::account::Accounts;
use mynah_domain::app::App;
use mynah_domain::chat::Chat;
use mynah_domain::event::Event;
use mynah_domain::ports::Clock;
use mynah_domain::{AppId, MessageId, RoomId, TenantId, UserId};
use mynah_hub::{
    Class, CloseEach, CloseReason, Frame, Hub, LazyFrames, Publication, SessionId, Topic,
};
use mynah_protocol::pusher::{ChannelName, CloseCode, encode};
use parking_lot::{Mutex, RwLock};

use crate::dialects::Dialects;
use crate::frames;
use crate::pusher::Channels;
use crate::pusher::frames::goodbye;
use crate::vocabulary::Vocabulary;
use crate::vocabulary::field::{Scope, Subject, Thread};

/// Id of the vocabulary that is spoken.
pub(super) const VOCABULARY: &str = "thread";

/// Two users, the lower id first.
pub(super) type Pair = (UserId, UserId);

/// Two users in the order that does not depend on who asks.
pub(super) fn pair_of(one: &UserId, other: &UserId) -> Pair {
    (one.min(other).clone(), one.max(other).clone())
}

/// What threads stand on.
pub struct Parts {
    /// Fan-out.
    pub hub: Hub,
    /// The words.
    pub dialects: Arc<Dialects>,
    /// Rooms and messages.
    pub chat: Chat,
    /// Who users are.
    pub accounts: Accounts,
    /// The channels of all apps.
    pub channels: Channels,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Which rooms are heard as channels; clones share it.
#[derive(Clone)]
pub struct Threads(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: Parts,
    links: RwLock<Links>,
    /// How many links there are, to be asked without the lock.
    count: AtomicUsize,
}

#[derive(Default)]
struct Links {
    by_channel: HashMap<(AppId, Arc<str>), Arc<Link>>,
    by_room: HashMap<RoomId, Vec<Arc<Link>>>,
    /// Of pairs that have not talked yet.
    waiting: HashMap<(TenantId, Pair), Vec<Arc<Link>>>,
    by_user: HashMap<(TenantId, UserId), Vec<Arc<Link>>>,
    /// Lists of everybody who is there.
    lists: HashMap<TenantId, Vec<Arc<Link>>>,
}

/// What a channel is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// The direct room of two users.
    Pair(Pair),
    /// Another room.
    Room,
    /// The list of everybody of the tenant who is there.
    Online,
}

/// A channel that is a room, or the list of who is there.
pub(super) struct Link {
    pub(super) app: Arc<App>,
    pub(super) channel: Arc<str>,
    pub(super) topic: Topic,
    pub(super) key: Box<str>,
    pub(super) kind: Kind,
    /// `None` as long as a pair has not talked.
    room: RwLock<Option<RoomId>>,
    /// Place in the log of the last event that was said in the channel.
    last_pos: AtomicU64,
    /// Subscriptions that stand on it; changed under the lock of [`Links`].
    leases: AtomicUsize,
    /// What must be heard of other nodes for it; changed under the lock of [`Links`].
    pub(super) wanted: Mutex<Vec<Topic>>,
    /// What is said only when what was said before the room was heard here has been.
    pub(super) pending: Mutex<Option<Vec<Event>>>,
}

impl Link {
    /// The room, once there is one.
    pub(super) fn room(&self) -> Option<RoomId> {
        self.room.read().clone()
    }

    /// The two who talk, in a direct room.
    pub(super) fn pair(&self) -> Option<&Pair> {
        match &self.kind {
            Kind::Pair(pair) => Some(pair),
            Kind::Room | Kind::Online => None,
        }
    }

    /// The sockets of one user in the channel.
    pub(super) fn topic_of(&self, user: &UserId) -> Topic {
        Topic::new(format!("{}:u:{user}", self.topic))
    }

    /// Place in the log of the last event that was said in the channel.
    pub(super) fn last_pos(&self) -> u64 {
        self.last_pos.load(Ordering::Acquire)
    }

    fn thread<'a>(&'a self, covered: &'a [MessageId]) -> Thread<'a> {
        let pair = self.pair().map(|(one, other)| (one, other));
        Thread { tenant: &self.app.tenant, key: &self.key, pair, covered }
    }
}

/// Keeps a link.
pub(super) struct Lease {
    link: Arc<Link>,
    threads: Threads,
}

impl Lease {
    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.threads.leave(&self.link);
    }
}

/// A channel and the room it is.
pub(super) struct Binding<'a> {
    pub(super) channel: &'a ChannelName,
    pub(super) topic: Topic,
    pub(super) key: &'a str,
    pub(super) kind: Kind,
    pub(super) room: Option<RoomId>,
}

impl Threads {
    /// No links yet.
    pub fn new(parts: Parts) -> Self {
        let links = RwLock::default();
        Self(Arc::new(Inner { parts, links, count: AtomicUsize::new(0) }))
    }

    /// The words spoken in channels.
    pub(super) fn vocabulary(&self) -> Option<&Vocabulary> {
        let all = self.0.parts.dialects.vocabularies();
        all.get(all.find(VOCABULARY)?)
    }

    /// Ties a channel to its room. The second lease says whether the link was new.
    pub(super) fn enter(&self, app: &Arc<App>, binding: Binding<'_>) -> (Arc<Lease>, bool) {
        let channel = binding.channel.shared();
        let mut links = self.0.links.write();
        let known = links.by_channel.get(&(app.id.clone(), Arc::clone(&channel))).cloned();
        let is_new = known.is_none();
        let link = known.unwrap_or_else(|| {
            let link = Arc::new(Link {
                app: Arc::clone(app),
                channel,
                topic: binding.topic,
                key: binding.key.into(),
                kind: binding.kind,
                room: RwLock::new(None),
                last_pos: AtomicU64::new(0),
                leases: AtomicUsize::new(0),
                wanted: Mutex::default(),
                pending: Mutex::default(),
            });
            links.add(&link);
            link
        });
        if let Some(room) = &binding.room {
            links.bind(&link, room);
        }
        self.want(&link);
        link.leases.fetch_add(1, Ordering::Relaxed);
        self.0.count.store(links.by_channel.len(), Ordering::Release);
        drop(links);
        (Arc::new(Lease { link, threads: self.clone() }), is_new)
    }

    fn leave(&self, link: &Arc<Link>) {
        let mut links = self.0.links.write();
        if link.leases.fetch_sub(1, Ordering::Relaxed) == 1 {
            links.remove(link);
            self.unwant(link);
            // Under the lock: whoever comes next shows who is there anew.
            self.0.parts.channels.empty_house(&link.app.id, &link.channel);
        }
        self.0.count.store(links.by_channel.len(), Ordering::Release);
    }

    /// Two users have got a room.
    pub(super) fn bind(&self, tenant: &TenantId, pair: Pair, room: &RoomId) {
        if self.is_empty() {
            return;
        }
        let mut links = self.0.links.write();
        let waiting = links.waiting.get(&(tenant.clone(), pair)).cloned();
        for link in waiting.unwrap_or_default() {
            links.bind(&link, room);
            self.begin(&link, room);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.count.load(Ordering::Acquire) == 0
    }

    /// The channels that are a room.
    pub(super) fn of_room(&self, room: &RoomId) -> Vec<Arc<Link>> {
        if self.is_empty() {
            return Vec::new();
        }
        self.0.links.read().by_room.get(room).cloned().unwrap_or_default()
    }

    /// The channels of threads in which a user talks.
    pub(super) fn of_user(&self, tenant: &TenantId, user: &UserId) -> Vec<Arc<Link>> {
        if self.is_empty() {
            return Vec::new();
        }
        let key = (tenant.clone(), user.clone());
        self.0.links.read().by_user.get(&key).cloned().unwrap_or_default()
    }

    /// The lists of who is there.
    pub(super) fn lists(&self, tenant: &TenantId) -> Vec<Arc<Link>> {
        if self.is_empty() {
            return Vec::new();
        }
        self.0.links.read().lists.get(tenant).cloned().unwrap_or_default()
    }

    /// The finished frame of a fact in a channel; `None` when the vocabulary has no word for it.
    pub(super) fn frame(
        &self,
        link: &Link,
        fact: &str,
        subject: Subject<'_>,
        (from, covered): (Option<&UserId>, &[MessageId]),
    ) -> Option<Frame> {
        let vocabulary = self.vocabulary()?;
        let rule = vocabulary.outbound(fact)?;
        let scope = Scope {
            thread: Some(link.thread(covered)),
            ..Scope::new(subject, self.0.parts.clock.now(), vocabulary)
        };
        let mut data = Vec::with_capacity(512);
        match rule.arguments.first() {
            Some(template) => template.render(&scope, &mut data),
            None => data.extend_from_slice(b"{}"),
        }
        let data = String::from_utf8(data).ok()?;
        let mut json = Vec::with_capacity(data.len() + 160);
        if rule.event.starts_with("client-") {
            let from = from.map(UserId::as_str);
            encode::client_event(&rule.event, &link.channel, &data, from, &mut json);
        } else {
            encode::event(Some(&link.channel), &rule.event, &data, None, &mut json);
        }
        Some(frames::text(&json))
    }

    /// Says an event in the channels that are its room.
    pub(super) async fn say(&self, room: &RoomId, event: &Event) {
        for link in self.of_room(room) {
            if !link.is_put_off(event) {
                self.say_in(&link, event).await;
            }
        }
    }

    pub(super) async fn say_in(&self, link: &Link, event: &Event) {
        let frame = self.frame(link, event.fact.name(), Subject::Event(event), (None, &[]));
        let Some(frame) = frame else { return };
        link.last_pos.store(event.pos, Ordering::Release);
        let place = (Some(event.seq), Class::Durable);
        self.publish(link, place, None, frame).await;
    }

    /// Closes the sockets that hear a room of which they are no members any more: those of a user, or
    /// all. Their clients come back, and are refused.
    pub(super) async fn part(&self, room: &RoomId, user: Option<&UserId>) {
        for link in self.of_room(room).iter().filter(|link| link.kind == Kind::Room) {
            let topic = user.map_or_else(|| link.topic.clone(), |user| link.topic_of(user));
            let last = LazyFrames::new(|_| Some(goodbye(CloseCode::OverCapacity)));
            let reason = CloseReason::Named("not a member any more");
            let close = CloseEach { reason, last: Some(last) };
            self.0.parts.hub.close_topic(&topic, close, None).await;
        }
    }

    pub(super) async fn publish(
        &self,
        link: &Link,
        (seq, class): (Option<u64>, Class),
        except: Option<SessionId>,
        frame: Frame,
    ) {
        let frames = LazyFrames::new(move |_| Some(frame.clone()));
        // Without a place in the log: the room's own topic, which comes after, tells it.
        let topic = link.topic.clone();
        let publication = Publication { topic, seq, pos: None, class, except, frames };
        self.0.parts.hub.publish(publication).await;
    }
}

impl Links {
    fn add(&mut self, link: &Arc<Link>) {
        let tenant = &link.app.tenant;
        self.by_channel.insert((link.app.id.clone(), Arc::clone(&link.channel)), Arc::clone(link));
        match &link.kind {
            Kind::Pair(pair) => {
                for user in [&pair.0, &pair.1] {
                    let key = (tenant.clone(), user.clone());
                    self.by_user.entry(key).or_default().push(Arc::clone(link));
                }
                let key = (tenant.clone(), pair.clone());
                self.waiting.entry(key).or_default().push(Arc::clone(link));
            }
            Kind::Online => {
                self.lists.entry(tenant.clone()).or_default().push(Arc::clone(link));
            }
            Kind::Room => {}
        }
    }

    fn bind(&mut self, link: &Arc<Link>, room: &RoomId) {
        let mut bound = link.room.write();
        if bound.is_some() {
            return;
        }
        *bound = Some(room.clone());
        drop(bound);
        self.by_room.entry(room.clone()).or_default().push(Arc::clone(link));
        if let Some(pair) = link.pair() {
            drop_from(&mut self.waiting, &(link.app.tenant.clone(), pair.clone()), link);
        }
    }

    fn remove(&mut self, link: &Arc<Link>) {
        self.by_channel.remove(&(link.app.id.clone(), Arc::clone(&link.channel)));
        if let Some(room) = link.room() {
            drop_from(&mut self.by_room, &room, link);
        }
        let tenant = &link.app.tenant;
        match &link.kind {
            Kind::Pair(pair) => {
                drop_from(&mut self.waiting, &(tenant.clone(), pair.clone()), link);
                for user in [&pair.0, &pair.1] {
                    drop_from(&mut self.by_user, &(tenant.clone(), user.clone()), link);
                }
            }
            Kind::Online => drop_from(&mut self.lists, tenant, link),
            Kind::Room => {}
        }
    }
}

fn drop_from<K: std::hash::Hash + Eq>(
    map: &mut HashMap<K, Vec<Arc<Link>>>,
    key: &K,
    link: &Arc<Link>,
) {
    let Some(links) = map.get_mut(key) else { return };
    links.retain(|known| !Arc::ptr_eq(known, link));
    if links.is_empty() {
        map.remove(key);
    }
}
