//! The bus: hears Node servers, obeys and answers them, and tells them things.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use mynah_hub::{Broker, BrokerEvent, BrokerStats, Topic};
use tokio::sync::{Semaphore, mpsc};
use tracing::{debug, warn};

use super::classic::{self, Channels};
use super::local::{Answers, LocalSockets};
use super::{
    Answer, Arguments, Asker, Emission, Flags, Format, Heard, OWN, Target, sharded, write_event,
};
use crate::redis::{RedisError, RedisOptions, Style, connect_in};

/// How to join.
#[derive(Debug, Clone)]
pub struct SocketIoOptions {
    /// The Redis that the Node servers use; its prefix is not used.
    pub redis: RedisOptions,
    /// `key` of the classic adapter, `channelPrefix` of the sharded one, `key` of the emitter.
    pub key: String,
    /// Namespaces that are joined: `/`, `/chat`.
    pub namespaces: Vec<String>,
    /// How messages are spelled.
    pub format: Format,
    /// `publishOnSpecificResponseChannel` of the classic adapter: answers go to who asked alone.
    pub answers_apart: bool,
}

impl SocketIoOptions {
    /// The defaults of Node's adapter.
    pub fn new(redis: RedisOptions, namespaces: Vec<String>) -> Self {
        let key = "socket.io".to_owned();
        Self { redis, key, namespaces, format: Format::Classic, answers_apart: false }
    }
}

/// Counters of the bus.
#[derive(Debug, Clone, Copy, Default)]
pub struct SocketIoStats {
    /// Its connection.
    pub broker: BrokerStats,
    /// Events for clients heard of others.
    pub broadcasts: u64,
    /// Requests heard of others.
    pub requests: u64,
    /// Answers given.
    pub answers: u64,
    /// Messages that could not be read.
    pub garbage: u64,
}

#[derive(Default)]
struct Counters {
    broadcasts: AtomicU64,
    requests: AtomicU64,
    answers: AtomicU64,
    garbage: AtomicU64,
}

/// Events that wait for acknowledgements at once; beyond, none are waited for.
const WAITING_MAX: usize = 256;
/// Acknowledgements of one event that wait to be told.
const ANSWERS_MAX: usize = 256;
/// Acknowledgements are waited for so long if nothing is said, and never longer than a minute.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const ANSWERS_WITHIN_MAX: Duration = Duration::from_mins(1);

/// A place among Node servers; clones share it. It goes on until [`SocketIoBus::stop`].
#[derive(Clone)]
pub struct SocketIoBus(Arc<Parts>);

struct Parts {
    broker: Arc<dyn Broker>,
    uid: String,
    key: String,
    format: Format,
    answers_apart: bool,
    namespaces: Vec<(String, Channels)>,
    waiting: Arc<Semaphore>,
    counters: Counters,
}

impl SocketIoBus {
    /// Joins, on the current runtime. A Redis that is not there yet is waited for.
    ///
    /// # Errors
    ///
    /// If the url or the certificates cannot be used.
    pub fn join(
        options: &SocketIoOptions,
        local: Arc<dyn LocalSockets>,
    ) -> Result<Self, RedisError> {
        let named =
            |namespace: &String| (namespace.clone(), Channels::new(&options.key, namespace));
        let namespaces: Vec<(String, Channels)> = options.namespaces.iter().map(named).collect();
        let style = match options.format {
            Format::Classic => {
                let patterns = namespaces.iter().map(|(_, channels)| channels.pattern()).collect();
                Style { patterns, ..Style::default() }
            }
            Format::Sharded => Style { is_sharded: true, ..Style::default() },
        };
        let (broker, events) = connect_in(&options.redis, style)?;
        let chance = RandomState::new().hash_one(options.namespaces.len());
        let parts = Parts {
            broker,
            uid: format!("{OWN}{:08x}", chance & 0xFFFF_FFFF),
            key: options.key.clone(),
            format: options.format,
            answers_apart: options.answers_apart,
            namespaces,
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            counters: Counters::default(),
        };
        let bus = Self(Arc::new(parts));
        let listener = Listener { bus: bus.clone(), local };
        tokio::spawn(listener.run(events));
        Ok(bus)
    }

    /// Tells Node servers an event for their clients.
    pub fn emit(&self, namespace: &str, (target, flags): (&Target, Flags), emission: &Emission) {
        let parts = &self.0;
        let channel = match parts.format {
            Format::Classic => Channels::new(&parts.key, namespace).of(target),
            Format::Sharded => {
                sharded::channel_for(&sharded::channel(&parts.key, namespace), target)
            }
        };
        let own = (parts.format, parts.uid.as_str(), namespace);
        self.publish(channel, write_event(own, (target, flags), emission));
    }

    /// Makes sockets of Node servers enter rooms.
    pub fn ask_to_join(&self, namespace: &str, target: Target, rooms: Vec<String>) {
        self.request(namespace, &Heard::Join(target, rooms));
    }

    /// Makes sockets of Node servers leave rooms.
    pub fn ask_to_leave(&self, namespace: &str, target: Target, rooms: Vec<String>) {
        self.request(namespace, &Heard::Leave(target, rooms));
    }

    /// Disconnects sockets of Node servers; `is_whole`: with all their namespaces.
    pub fn ask_to_disconnect(&self, namespace: &str, target: Target, is_whole: bool) {
        self.request(namespace, &Heard::Disconnect(target, is_whole));
    }

    /// An event between servers; no answer comes.
    pub fn emit_server_side(&self, namespace: &str, emission: Emission) {
        self.request(namespace, &Heard::ServerSide(emission, None));
    }

    fn request(&self, namespace: &str, what: &Heard) {
        let parts = &self.0;
        let (channel, payload) = match parts.format {
            Format::Classic => {
                let channel = Channels::new(&parts.key, namespace).request;
                (channel, classic::write_request(&parts.uid, what))
            }
            Format::Sharded => {
                let channel = sharded::channel(&parts.key, namespace);
                (channel, sharded::write_request(&parts.uid, namespace, what))
            }
        };
        if let Some(payload) = payload {
            self.publish(channel, payload);
        }
    }

    /// A room has its first socket here. The sharded format needs to know; `true` once what is sent to the room arrives.
    pub async fn room_opened(&self, namespace: &str, room: &str) -> bool {
        match self.room_channel(namespace, room) {
            Some(channel) => self.0.broker.subscribe(vec![channel]).await,
            None => true,
        }
    }

    /// The last socket left a room.
    pub async fn room_closed(&self, namespace: &str, room: &str) {
        if let Some(channel) = self.room_channel(namespace, room) {
            self.0.broker.unsubscribe(vec![channel]).await;
        }
    }

    fn room_channel(&self, namespace: &str, room: &str) -> Option<Topic> {
        let is_needed = self.0.format == Format::Sharded && sharded::has_channel(room);
        let base = sharded::channel(&self.0.key, namespace);
        is_needed.then(|| Topic::new(sharded::channel_of(&base, room)))
    }

    /// Sends what is queued, at most for a second, and leaves.
    pub async fn stop(&self) {
        self.0.broker.stop().await;
    }

    /// What it did.
    pub fn stats(&self) -> SocketIoStats {
        let counters = &self.0.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SocketIoStats {
            broker: self.0.broker.stats(),
            broadcasts: read(&counters.broadcasts),
            requests: read(&counters.requests),
            answers: read(&counters.answers),
            garbage: read(&counters.garbage),
        }
    }

    fn publish(&self, channel: String, payload: Vec<u8>) {
        self.0.broker.publish(&Topic::new(channel), payload.into());
    }

    fn answer(&self, namespace: &str, asker: &Asker, answer: &Answer) {
        let parts = &self.0;
        let (channel, payload) = match parts.format {
            Format::Classic => {
                let mut channel = Channels::new(&parts.key, namespace).response;
                if parts.answers_apart {
                    channel = format!("{channel}{}#", asker.uid);
                }
                (channel, Some(classic::write_answer(asker, answer)))
            }
            Format::Sharded => {
                let base = sharded::channel(&parts.key, namespace);
                let channel = sharded::channel_of(&base, &asker.uid);
                (channel, sharded::write_answer(&parts.uid, namespace, asker, answer))
            }
        };
        if let Some(payload) = payload {
            parts.counters.answers.fetch_add(1, Ordering::Relaxed);
            self.publish(channel, payload);
        }
    }
}

/// The task that hears.
struct Listener {
    bus: SocketIoBus,
    local: Arc<dyn LocalSockets>,
}

impl Listener {
    async fn run(self, mut events: mpsc::Receiver<BrokerEvent>) {
        let parts = &self.bus.0;
        let channels =
            parts.namespaces.iter().flat_map(|(namespace, channels)| match parts.format {
                Format::Classic => vec![Topic::new(channels.request.as_str())],
                Format::Sharded => {
                    let base = sharded::channel(&parts.key, namespace);
                    let own = sharded::channel_of(&base, &parts.uid);
                    vec![Topic::new(base), Topic::new(own)]
                }
            });
        // Heard as soon as there is a connection.
        let _is_up_already = parts.broker.subscribe(channels.collect()).await;
        while let Some(event) = events.recv().await {
            match event {
                BrokerEvent::Message { channel, payload } => {
                    self.message(channel.as_str(), &payload).await;
                }
                BrokerEvent::Missed => {
                    warn!("more came from Socket.IO servers than can be handled");
                }
                BrokerEvent::Unsent => warn!("messages to Socket.IO servers were dropped"),
                BrokerEvent::Up | BrokerEvent::Down => {}
            }
        }
    }

    async fn message(&self, channel: &str, payload: &Bytes) {
        let found = match self.bus.0.format {
            Format::Classic => self.read_classic(channel, payload),
            Format::Sharded => self.read_sharded(channel, payload),
        };
        match found {
            Ok(Some((namespace, uid, heard))) if !uid.starts_with(OWN) => {
                self.obey(namespace, heard).await;
            }
            Ok(_) => {}
            Err(super::Garbage) => {
                self.bus.0.counters.garbage.fetch_add(1, Ordering::Relaxed);
                debug!(channel, bytes = payload.len(), "not a message of a Socket.IO server");
            }
        }
    }

    fn read_classic(&self, channel: &str, payload: &Bytes) -> Read<'_> {
        for (namespace, channels) in &self.bus.0.namespaces {
            if channel == channels.request {
                let (uid, heard) = classic::request(payload, namespace)?;
                return Ok(Some((namespace, uid, heard)));
            }
            let Some(room) = channel.strip_prefix(&channels.broadcast) else { continue };
            if is_own(payload) {
                return Ok(None);
            }
            let room = room.strip_suffix('#').unwrap_or(room);
            if !room.is_empty() && !self.local.has_room(namespace, room) {
                return Ok(None);
            }
            let heard = classic::broadcast(payload, namespace)?;
            return Ok(heard.map(|(uid, heard)| (namespace.as_str(), uid, heard)));
        }
        Ok(None)
    }

    fn read_sharded(&self, channel: &str, payload: &Bytes) -> Read<'_> {
        for (namespace, channels) in &self.bus.0.namespaces {
            if channel.starts_with(&channels.broadcast) {
                let heard = sharded::message(payload, namespace)?;
                return Ok(heard.map(|(uid, heard)| (namespace.as_str(), uid, heard)));
            }
        }
        Ok(None)
    }

    async fn obey(&self, namespace: &str, heard: Heard) {
        let counters = &self.bus.0.counters;
        let counter = match &heard {
            Heard::Other => return,
            Heard::Broadcast { asker: None, .. } => &counters.broadcasts,
            Heard::Broadcast { asker: Some(_), .. }
            | Heard::Join(..)
            | Heard::Leave(..)
            | Heard::Disconnect(..)
            | Heard::One(..)
            | Heard::Fetch(..)
            | Heard::Sockets(..)
            | Heard::Rooms(_)
            | Heard::ServerSide(..) => &counters.requests,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        match heard {
            Heard::Broadcast { target, flags, emission, asker } => {
                let emission = Arc::new(emission);
                match asker {
                    None => self.local.emit(namespace, &target, emission, flags).await,
                    Some(asker) => self.ask(namespace, (target, flags), emission, asker).await,
                }
            }
            Heard::One(what, asker) => self.one(namespace, *what, &asker).await,
            Heard::Fetch(asker, target) => {
                let sockets = self.local.sockets(namespace, &target).await;
                self.bus.answer(namespace, &asker, &Answer::Sockets(sockets));
            }
            Heard::Sockets(asker, target) => {
                let sockets = self.local.sockets(namespace, &target).await;
                let ids = sockets.into_iter().map(|socket| socket.id).collect();
                self.bus.answer(namespace, &asker, &Answer::SocketIds(ids));
            }
            Heard::Rooms(asker) => {
                let rooms = self.local.rooms(namespace).await;
                self.bus.answer(namespace, &asker, &Answer::Rooms(rooms));
            }
            Heard::ServerSide(emission, asker) => {
                let answer = self.local.server_side(namespace, Arc::new(emission)).await;
                if let Some(asker) = asker {
                    self.bus.answer(namespace, &asker, &Answer::ServerSide(answer));
                }
            }
            other @ (Heard::Join(..) | Heard::Leave(..) | Heard::Disconnect(..) | Heard::Other) => {
                self.change(namespace, other).await;
            }
        }
    }

    async fn change(&self, namespace: &str, what: Heard) {
        match what {
            Heard::Join(target, rooms) => self.local.join(namespace, &target, &rooms).await,
            Heard::Leave(target, rooms) => self.local.leave(namespace, &target, &rooms).await,
            Heard::Disconnect(target, is_whole) => {
                self.local.disconnect(namespace, &target, is_whole).await;
            }
            Heard::Broadcast { .. }
            | Heard::One(..)
            | Heard::Fetch(..)
            | Heard::Sockets(..)
            | Heard::Rooms(_)
            | Heard::ServerSide(..)
            | Heard::Other => {}
        }
    }

    /// Only who has the socket answers.
    async fn one(&self, namespace: &str, what: Heard, asker: &Asker) {
        let (Heard::Join(target, _) | Heard::Leave(target, _) | Heard::Disconnect(target, _)) =
            &what
        else {
            return;
        };
        let is_here = target.rooms.iter().any(|socket| self.local.has_room(namespace, socket));
        if is_here {
            self.change(namespace, what).await;
            self.bus.answer(namespace, asker, &Answer::Done);
        }
    }

    /// Sends an event that clients acknowledge, and passes on what they say.
    async fn ask(
        &self,
        namespace: &str,
        (target, flags): (Target, Flags),
        emission: Arc<Emission>,
        asker: Asker,
    ) {
        let Ok(place) = Arc::clone(&self.bus.0.waiting).try_acquire_owned() else {
            self.local.emit(namespace, &target, emission, flags).await;
            self.bus.answer(namespace, &asker, &Answer::Clients(0));
            return;
        };
        let (answers, answered): (Answers, _) = mpsc::channel(ANSWERS_MAX);
        let asked = self.local.emit_with_ack(namespace, (&target, flags), emission, answers).await;
        self.bus.answer(namespace, &asker, &Answer::Clients(asked));
        let within = flags.timeout_ms.map_or(ANSWERS_WITHIN, Duration::from_millis);
        let (bus, namespace) = (self.bus.clone(), namespace.to_owned());
        tokio::spawn(async move {
            let pass_on = pass_on(&bus, &namespace, &asker, answered, asked);
            // Who has not answered by then is not waited for by anybody.
            drop(tokio::time::timeout(within.min(ANSWERS_WITHIN_MAX), pass_on).await);
            drop(place);
        });
    }
}

async fn pass_on(
    bus: &SocketIoBus,
    namespace: &str,
    asker: &Asker,
    mut answered: mpsc::Receiver<Arguments>,
    asked: usize,
) {
    for _ in 0..asked {
        let Some(arguments) = answered.recv().await else { return };
        bus.answer(namespace, asker, &Answer::Acknowledged(arguments));
    }
}

/// Namespace, who said it, and what.
type Read<'a> = Result<Option<(&'a str, String, Heard)>, super::Garbage>;

/// Whether a classic event is of a Mynah node, told by its first bytes: a list of three, and a short string.
fn is_own(payload: &[u8]) -> bool {
    matches!(payload, [0x93, 0xA0..=0xBF, rest @ ..] if rest.starts_with(OWN.as_bytes()))
}
