//! State that is not history: who types, who is online. Best effort, bounded, healing by itself.
//!
//! Leases are the truth about this node's users; who is on other nodes is known from [`Crowd`]. A user is
//! online while any node has the user.

mod company;

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use moka::sync::Cache;
use mynah_domain::chat::Chat;
use mynah_domain::message::ReadCursor;
use mynah_domain::permission::Actor;
use mynah_domain::ports::Clock;
use mynah_domain::presence::{
    ANNOUNCED_ROOM_MEMBERS_MAX, OFFLINE_GRACE_MS, PresenceStatus, TYPING_REFRESH_MIN_MS,
    TYPING_TTL_MS,
};
use mynah_domain::room::{Profile, Role, Room};
use mynah_domain::{RoomId, TenantId, Timestamp, UserId};
use mynah_hub::{
    Acquired, Class, Dialect, Frame, Hub, LazyFrames, Leases, Publication, SessionId, SoftState,
    Topic, Touched,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::cluster::people::Crowd;
use crate::cluster::voice::Voice;
use crate::cluster::wire::Told;
use crate::dialects::Dialects;
use crate::relay::Relay;
use crate::topics;
use crate::vocabulary::field::Subject;

pub use crate::vocabulary::field::Presence;

/// Users whose presence is tracked at most; later ones show as offline.
const USERS_MAX: usize = 1_000_000;
/// Typing notices at once at most; later ones are not shown.
const TYPING_MAX: usize = 100_000;
/// Users whose last moment online is remembered.
const LAST_SEEN_MAX: u64 = 100_000;
/// Typing notices are shown in rooms of at most this many members.
const TYPING_ROOM_MEMBERS_MAX: u64 = 1_000;
/// Rooms whose size is remembered.
const ROOM_SIZES_MAX: u64 = 10_000;
/// How long the size of a room is remembered.
const ROOM_SIZE_FOR: Duration = Duration::from_secs(30);
/// Comings and goings that may wait to be announced; later ones are not announced.
const ANNOUNCEMENTS_MAX: usize = 4_096;
/// How long what another node told may be ahead of what is known here: the end of a dead node's lease is
/// noticed by each in its own second.
const DOUBT_MS: u64 = 5_000;
/// So much of it is kept at most; the rest is not shown.
const DOUBTFUL_MAX: usize = 4_096;
/// How often fading state is looked at.
const TICK: Duration = Duration::from_millis(250);

type Person = (TenantId, UserId);
type TypingKey = (RoomId, UserId);

struct State {
    online: Leases<Person>,
    typing: SoftState<TypingKey>,
    /// Whose notices are on.
    typists: HashMap<TypingKey, Typist>,
    /// What other nodes told that is not so here yet.
    doubtful: VecDeque<Doubtful>,
}

/// A coming or going that another node told before this one knew.
struct Doubtful {
    until: u64,
    room: RoomId,
    tenant: TenantId,
    presence: Presence,
}

/// Somebody who types, and the socket that need not hear it.
struct Typist {
    who: Arc<Profile>,
    origin: Option<SessionId>,
}

/// Somebody came or went.
struct Announcement {
    actor: Actor,
    status: PresenceStatus,
    /// The rooms, if they are at hand.
    rooms: Option<Vec<Arc<Room>>>,
    /// Whether another node tells the rooms.
    is_others: bool,
}

impl Announcement {
    /// This node tells everybody.
    fn new(actor: Actor, status: PresenceStatus) -> Self {
        Self { actor, status, rooms: None, is_others: false }
    }
}

struct Inner {
    state: Mutex<State>,
    last_seen: Cache<Person, Timestamp>,
    room_sizes: Cache<RoomId, u64>,
    announcements: mpsc::Sender<Announcement>,
    unannounced: AtomicU64,
    hub: Hub,
    dialects: Arc<Dialects>,
    chat: Chat,
    clock: Arc<dyn Clock>,
    relay: Option<Arc<dyn Relay>>,
    /// The way to the other nodes, if there are any.
    voice: OnceLock<Voice>,
    /// Who is on the other nodes, likewise.
    crowd: OnceLock<Crowd>,
    start: Instant,
}

/// Handle on the live state; clones share it.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

impl Live {
    /// Starts with nobody there, and the tasks that let state fade and announce who came and went.
    pub fn start(
        hub: Hub,
        dialects: Arc<Dialects>,
        chat: Chat,
        clock: Arc<dyn Clock>,
        relay: Option<Arc<dyn Relay>>,
    ) -> Self {
        let state = Mutex::new(State {
            online: Leases::new(0, OFFLINE_GRACE_MS, USERS_MAX),
            typing: SoftState::new(0, TYPING_TTL_MS, TYPING_REFRESH_MIN_MS, TYPING_MAX),
            typists: HashMap::new(),
            doubtful: VecDeque::new(),
        });
        let last_seen = Cache::new(LAST_SEEN_MAX);
        let room_sizes =
            Cache::builder().max_capacity(ROOM_SIZES_MAX).time_to_live(ROOM_SIZE_FOR).build();
        let (announcements, queue) = mpsc::channel(ANNOUNCEMENTS_MAX);
        let live = Self(Arc::new(Inner {
            state,
            last_seen,
            room_sizes,
            announcements,
            unannounced: AtomicU64::new(0),
            hub,
            dialects,
            chat,
            clock,
            relay,
            voice: OnceLock::new(),
            crowd: OnceLock::new(),
            start: Instant::now(),
        }));
        tokio::spawn(fade(live.clone()));
        tokio::spawn(announce(live.clone(), queue));
        live
    }

    /// Another node tells of something that fades.
    pub async fn heard(&self, told: Told) {
        match told {
            Told::Typing { room, who, is_typing } => {
                self.show_typing(None, &who, &room, is_typing).await;
            }
            Told::Read(cursor) => self.show_read(&cursor).await,
            Told::Presence { room, tenant, presence } => {
                self.presence_told(Doubtful {
                    until: self.now() + DOUBT_MS,
                    room,
                    tenant,
                    presence,
                })
                .await;
            }
        }
    }

    fn now(&self) -> u64 {
        self.0.start.elapsed().as_millis() as u64
    }

    /// How many comings and goings were not announced because too many waited.
    pub fn unannounced(&self) -> u64 {
        self.0.unannounced.load(Ordering::Relaxed)
    }

    /// Announces that somebody types, or has stopped; not in rooms of more than 1,000 members.
    pub async fn typing(&self, who: &Arc<Profile>, room: &RoomId, is_typing: bool) {
        self.typing_from(None, who, room, is_typing).await;
    }

    /// The same, from a socket that need not hear itself.
    pub async fn typing_from(
        &self,
        origin: Option<SessionId>,
        who: &Arc<Profile>,
        room: &RoomId,
        is_typing: bool,
    ) {
        if is_typing && !self.has_at_most(TYPING_ROOM_MEMBERS_MAX, room, &who.id).await {
            return;
        }
        if self.show_typing(origin, who, room, is_typing).await {
            let who = Arc::clone(who);
            self.tell(room, || Told::Typing { room: room.clone(), who, is_typing });
        }
    }

    /// Shows this node's sockets that somebody types; whether they were told.
    async fn show_typing(
        &self,
        origin: Option<SessionId>,
        who: &Arc<Profile>,
        room: &RoomId,
        is_typing: bool,
    ) -> bool {
        let key = (room.clone(), who.id.clone());
        let (heard, began) = {
            let mut state = self.0.state.lock();
            if is_typing {
                let touched = state.typing.touch(key.clone(), self.now());
                let heard = matches!(touched, Touched::Started | Touched::Refreshed);
                if heard {
                    state.typists.insert(key, Typist { who: Arc::clone(who), origin });
                }
                (heard, None)
            } else {
                let began = state.typists.remove(&key).and_then(|typist| typist.origin);
                (state.typing.stop(&key), began)
            }
        };
        if heard {
            // Who was not told of the beginning is not told of the end.
            self.announce_typing(origin.or(began), who, room, is_typing).await;
        }
        heard
    }

    /// A message ends its author's typing notice.
    pub async fn sent(&self, room: &RoomId, who: &Arc<Profile>) {
        if !self.0.state.lock().typists.is_empty() {
            // Other nodes hear of the message too.
            self.show_typing(None, who, room, false).await;
        }
    }

    async fn announce_typing(
        &self,
        except: Option<SessionId>,
        who: &Arc<Profile>,
        room: &RoomId,
        is_typing: bool,
    ) {
        if let Some(relay) = &self.0.relay {
            relay.typing(except, room, who, is_typing).await;
        }
        let key = fingerprint(&("typing", room, &who.id));
        let (who, id) = (Arc::clone(who), room.clone());
        self.publish(topics::room(room), "typing", (key, except), move |dialects, dialect, at| {
            dialects.frame(dialect, "typing", (Subject::Typing(&id, &who, is_typing), None), at)
        })
        .await;
    }

    /// Whether a room, as a member sees it, is not larger; `false` when that cannot be known.
    async fn has_at_most(&self, members: u64, room: &RoomId, seen_by: &UserId) -> bool {
        if let Some(size) = self.0.room_sizes.get(room) {
            return size <= members;
        }
        let actor = Actor { tenant: TenantId::single(), user: seen_by.clone(), role: Role::Member };
        let Ok(view) = self.0.chat.room(&actor, room).await else { return false };
        self.0.room_sizes.insert(room.clone(), view.room.member_count);
        view.room.member_count <= members
    }

    /// Announces that a read cursor moved: to the room, or only to the reader's own sockets in rooms of
    /// more than [`ANNOUNCED_ROOM_MEMBERS_MAX`] members.
    pub async fn read_moved(&self, cursor: &ReadCursor) {
        if cursor.moved {
            self.show_read(cursor).await;
            self.tell(&cursor.room, || Told::Read(cursor.clone()));
        }
    }

    /// Shows this node's sockets that a read cursor moved.
    async fn show_read(&self, cursor: &ReadCursor) {
        if let Some(relay) = &self.0.relay {
            relay.read_moved(cursor).await;
        }
        let key = fingerprint(&("read", &cursor.room, &cursor.user));
        let (room, user) = (&cursor.room, &cursor.user);
        let topics = if self.has_at_most(ANNOUNCED_ROOM_MEMBERS_MAX, room, user).await {
            vec![topics::room(room)]
        } else {
            let tenant = TenantId::single();
            vec![topics::user_everywhere(&tenant, user), topics::user_by_room(&tenant, user)]
        };
        for topic in topics {
            let cursor = cursor.clone();
            self.publish(topic, "receipt.read", (key, None), move |dialects, dialect, at| {
                dialects.frame(dialect, "receipt.read", (Subject::Read(&cursor), None), at)
            })
            .await;
        }
    }

    /// Whether a user is there now, on any node.
    pub fn presence(&self, tenant: &TenantId, user: &UserId) -> Presence {
        let person = (tenant.clone(), user.clone());
        let online = self.0.state.lock().online.is_present(&person) || self.is_elsewhere(&person);
        let status = if online { PresenceStatus::Online } else { PresenceStatus::Offline };
        let last_seen = if online { None } else { self.0.last_seen.get(&person) };
        Presence { user: user.clone(), status, last_seen }
    }

    /// Users of a tenant who are there now, at most `users_max`.
    pub fn online(&self, tenant: &TenantId, users_max: usize) -> Vec<UserId> {
        let here: Vec<UserId> = {
            let state = self.0.state.lock();
            let of_tenant = state.online.present().filter(|(theirs, _)| theirs == tenant);
            of_tenant.map(|(_, user)| user.clone()).take(users_max).collect()
        };
        self.with_others(tenant, here, users_max)
    }

    /// A connection of a user began; `rooms` are the user's, if they are at hand.
    pub fn came(&self, actor: &Actor, rooms: Option<Vec<Arc<Room>>>) {
        let person = (actor.tenant.clone(), actor.user.clone());
        let is_first = {
            let mut state = self.0.state.lock();
            let is_new = state.online.acquire(person.clone()) == Acquired::Online;
            is_new && self.came_here(person)
        };
        if is_first {
            let announcement = Announcement::new(actor.clone(), PresenceStatus::Online);
            self.enqueue(Announcement { rooms, ..announcement });
        }
    }

    fn enqueue(&self, announcement: Announcement) {
        if self.0.announcements.try_send(announcement).is_err() {
            self.0.unannounced.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection of a user ended.
    pub fn went(&self, actor: &Actor) {
        let person = (actor.tenant.clone(), actor.user.clone());
        let now = self.now();
        if self.0.state.lock().online.release(&person, now) {
            self.0.last_seen.insert(person, self.0.clock.now());
        }
    }

    async fn announce_presence(&self, announcement: Announcement) {
        let Announcement { actor, status, rooms, is_others } = announcement;
        let rooms = match rooms {
            _ if is_others => Vec::new(),
            Some(rooms) => rooms,
            None => self.0.chat.joined_rooms(&actor).await.unwrap_or_default(),
        };
        // What has changed since is announced by itself, after this.
        let presence = self.presence(&actor.tenant, &actor.user);
        if presence.status != status {
            return;
        }
        if let Some(relay) = &self.0.relay {
            relay.presence(&actor, &presence).await;
        }
        let presence = Arc::new(presence);
        for room in rooms.iter().filter(|r| r.member_count <= ANNOUNCED_ROOM_MEMBERS_MAX) {
            self.show_presence(&room.id, &presence).await;
            self.tell(&room.id, || Told::Presence {
                room: room.id.clone(),
                tenant: actor.tenant.clone(),
                presence: presence.as_ref().clone(),
            });
        }
    }

    /// Shows this node's sockets in a room that a member came or went.
    async fn show_presence(&self, room: &RoomId, presence: &Arc<Presence>) {
        let key = fingerprint(&("presence", &presence.user));
        let presence = Arc::clone(presence);
        self.publish(topics::room(room), "presence", (key, None), move |all, dialect, at| {
            all.frame(dialect, "presence", (Subject::Presence(&presence), None), at)
        })
        .await;
    }

    async fn publish(
        &self,
        topic: Topic,
        fact: &'static str,
        (key, origin): (u64, Option<SessionId>),
        encode: impl Fn(&Dialects, Dialect, Timestamp) -> Option<Frame> + Send + Sync + 'static,
    ) {
        let (dialects, at) = (Arc::clone(&self.0.dialects), self.0.clock.now());
        debug_assert!(dialects.vocabularies().iter().any(|v| v.spells(fact)), "{fact} is a fact");
        let frames = LazyFrames::new(move |dialect| encode(&dialects, dialect, at));
        let class = Class::Ephemeral { key };
        let publication =
            Publication { topic, seq: None, pos: None, class, except: origin, frames };
        self.0.hub.publish(publication).await;
    }
}

/// A key under which newer state replaces older state in a queue.
fn fingerprint(parts: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// Announces one after the other, so that what comes later is also said later.
async fn announce(live: Live, mut queue: mpsc::Receiver<Announcement>) {
    while let Some(announcement) = queue.recv().await {
        live.announce_presence(announcement).await;
    }
}

async fn fade(live: Live) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let now = live.now();
        live.look_at_doubtful(now).await;
        let (gone, silent) = {
            let mut state = live.0.state.lock();
            let mut gone = state.online.expire(now);
            gone.retain(|person| live.went_here(person));
            let silent = state.typing.expire(now);
            let silent: Vec<_> = silent
                .into_iter()
                .filter_map(|key| state.typists.remove(&key).map(|typist| (key.0, typist)))
                .collect();
            (gone, silent)
        };
        for (room, Typist { who, origin }) in silent {
            live.announce_typing(origin, &who, &room, false).await;
        }
        for (tenant, user) in gone {
            let actor = Actor { tenant, user, role: Role::Member };
            live.enqueue(Announcement::new(actor, PresenceStatus::Offline));
        }
    }
}

#[cfg(test)]
mod tests;
