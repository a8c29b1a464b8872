//! What Node servers want of our sockets.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use mynah_cluster::socket_io::{
    Answers, Arguments, Emission, Flags, Handshake, LocalSocket, LocalSockets, Target,
};
use mynah_domain::{RoomId, TenantId, UserId};
use mynah_hub::{Class, Close, CloseReason, Dialect, Frame, LazyFrames, Publication, Topic};
use mynah_protocol::socket_io::{self, BinaryHead};
use serde_json::json;

use super::{Arrived, Heard, Interop, send_away};
use crate::dialects::Dialects;
use crate::frames;
use crate::topics;
use crate::wire::Wire;

/// Why a socket was ended.
const SENT_AWAY: CloseReason = CloseReason::Named("disconnected by another server");

/// What may be dropped and replaces nothing has a key of its own.
static LAST_KEY: AtomicU64 = AtomicU64::new(0);

fn class(flags: Flags) -> Class {
    if flags.is_volatile {
        Class::Ephemeral { key: LAST_KEY.fetch_add(1, Ordering::Relaxed) }
    } else {
        Class::Durable
    }
}

/// Frames of an event in each dialect of a namespace.
fn frames_of(
    dialects: &Arc<Dialects>,
    namespace: &str,
    (emission, id): (Arc<Emission>, Option<u64>),
) -> Arc<LazyFrames> {
    let (dialects, namespace) = (Arc::clone(dialects), namespace.to_owned());
    LazyFrames::new(move |dialect| {
        let (wire, theirs) = dialects.link(dialect)?;
        (*theirs == namespace).then(|| frame(wire, &namespace, &emission, id))
    })
}

fn frame(wire: Wire, namespace: &str, emission: &Emission, id: Option<u64>) -> Frame {
    let Arguments { json, attachments } = &emission.arguments;
    let mut arguments: Vec<&str> = json.iter().map(String::as_str).collect();
    // Clients that recover take a last argument that is a string for their place in the log.
    if wire.recovers() && arguments.last().is_some_and(|last| last.starts_with('"')) {
        arguments.push("null");
    }
    let mut packet = Vec::new();
    if attachments.is_empty() {
        socket_io::event(namespace, id, &emission.event, &arguments, &mut packet);
        return wire.frame(&packet);
    }
    let head = BinaryHead { nsp: namespace, id, attachments: attachments.len() };
    socket_io::binary_event(head, &emission.event, &arguments, &mut packet);
    wire.frame_with(&packet, attachments)
}

impl Interop {
    /// The topic of a name, if it is that of a conversation or a user.
    fn topics(&self, name: &str) -> Vec<Topic> {
        if let Some(room) = self.0.names.room(name) {
            return vec![topics::room(&room)];
        }
        let tenant = TenantId::single();
        let user = self.0.names.user(name);
        user.map_or_else(Vec::new, |user| {
            vec![topics::user_everywhere(&tenant, &user), topics::user_by_room(&tenant, &user)]
        })
    }

    /// The only topic that a target means, so that one publication reaches all.
    fn topic_of(&self, namespace: &str, target: &Target) -> Option<Topic> {
        let ([name], []) = (target.rooms.as_slice(), target.except.as_slice()) else { return None };
        {
            let sockets = self.0.sockets.lock();
            let is_other = sockets.get(namespace, name).is_some();
            if is_other || sockets.in_room(namespace, name).is_some() {
                return None;
            }
        }
        self.0.names.room(name).map(|room| topics::room(&room))
    }

    /// Connections that a name means.
    async fn named(&self, namespace: &str, name: &str) -> HashSet<Heard> {
        let mut found = HashSet::new();
        {
            let sockets = self.0.sockets.lock();
            let put_there = sockets.in_room(namespace, name);
            let ids = put_there.into_iter().flatten().map(String::as_str).chain([name]);
            found.extend(ids.filter_map(|id| Some(sockets.get(namespace, id)?.arrived.heard)));
        }
        for topic in self.topics(name) {
            let subscribers = self.0.hub.subscribers(&topic).await;
            let sockets = self.0.sockets.lock();
            let ours =
                subscribers.into_iter().filter(|heard| sockets.find(namespace, *heard).is_some());
            found.extend(ours);
        }
        found
    }

    /// Connections that are meant.
    async fn meant(&self, namespace: &str, target: &Target) -> HashSet<Heard> {
        let mut meant = HashSet::new();
        if target.rooms.is_empty() {
            let sockets = self.0.sockets.lock();
            meant.extend(sockets.all(namespace).map(|known| known.arrived.heard));
        }
        for name in &target.rooms {
            meant.extend(self.named(namespace, name).await);
        }
        for name in &target.except {
            for heard in self.named(namespace, name).await {
                meant.remove(&heard);
            }
        }
        meant
    }

    /// Ids of sockets that are meant.
    async fn ids(&self, namespace: &str, target: &Target) -> Vec<String> {
        let meant = self.meant(namespace, target).await;
        let sockets = self.0.sockets.lock();
        let id = |heard| Some(sockets.find(namespace, heard)?.arrived.sid.clone());
        meant.into_iter().filter_map(id).collect()
    }

    async fn send(&self, meant: &HashSet<Heard>, frames: &LazyFrames, class: Class) {
        for (session, dialect) in meant {
            if let Some(frame) = frames.get(*dialect) {
                self.0.hub.send(*session, frame.clone(), class).await;
            }
        }
    }

    /// A socket as others see it: conversations that it hears are rooms of it.
    async fn describe(&self, arrived: Arrived, put_into: BTreeSet<String>) -> LocalSocket {
        let (session, dialect) = arrived.heard;
        let mut rooms = put_into;
        rooms.insert(arrived.sid.clone());
        for topic in self.0.hub.subscriptions(session, dialect).await {
            if let Some(room) = topic.as_str().strip_prefix("r:") {
                rooms.insert(self.0.names.of_room(&RoomId::trusted(room)));
            }
        }
        rooms.extend(arrived.user.as_ref().and_then(|user| self.0.names.of_user(user)));
        let user = arrived.user.as_ref().map(UserId::as_str);
        LocalSocket {
            id: arrived.sid,
            rooms: rooms.into_iter().collect(),
            data: json!({ "userId": user }),
            handshake: Handshake {
                headers: BTreeMap::new(),
                query: arrived.query.into_iter().collect(),
                address: arrived.address,
                is_secure: false,
                issued_ms: arrived.at_ms,
                time: String::new(),
                url: String::new(),
                auth: json!({}),
            },
        }
    }

    fn disconnect_packet(&self, dialect: Dialect) -> Option<Frame> {
        let (wire, namespace) = self.0.dialects.link(dialect)?;
        let mut packet = Vec::new();
        socket_io::disconnect(&namespace, &mut packet);
        Some(wire.frame(&packet))
    }
}

#[async_trait]
impl LocalSockets for Interop {
    fn has_room(&self, namespace: &str, room: &str) -> bool {
        let sockets = self.0.sockets.lock();
        let is_known = sockets.get(namespace, room).is_some();
        let is_entered = sockets.in_room(namespace, room).is_some();
        is_known
            || is_entered
            || self.0.names.room(room).is_some()
            || self.0.names.user(room).is_some()
    }

    async fn emit(&self, namespace: &str, target: &Target, emission: Arc<Emission>, flags: Flags) {
        let frames = frames_of(&self.0.dialects, namespace, (emission, None));
        let class = class(flags);
        if let Some(topic) = self.topic_of(namespace, target) {
            let publication =
                Publication { topic, seq: None, pos: None, class, except: None, frames };
            self.0.hub.publish(publication).await;
        } else {
            let meant = self.meant(namespace, target).await;
            self.send(&meant, &frames, class).await;
        }
    }

    async fn emit_with_ack(
        &self,
        namespace: &str,
        (target, flags): (&Target, Flags),
        emission: Arc<Emission>,
        answers: Answers,
    ) -> usize {
        let meant = self.meant(namespace, target).await;
        if meant.is_empty() {
            return 0;
        }
        let id = self.expect(meant.clone(), answers);
        let frames = frames_of(&self.0.dialects, namespace, (emission, Some(id)));
        self.send(&meant, &frames, class(flags)).await;
        meant.len()
    }

    async fn sockets(&self, namespace: &str, target: &Target) -> Vec<LocalSocket> {
        let meant = self.meant(namespace, target).await;
        let known: Vec<(Arrived, BTreeSet<String>)> = {
            let sockets = self.0.sockets.lock();
            let of = |heard| sockets.find(namespace, heard);
            let found = meant.into_iter().filter_map(of);
            found.map(|known| (known.arrived.clone(), known.rooms.clone())).collect()
        };
        let mut described = Vec::with_capacity(known.len());
        for (arrived, rooms) in known {
            described.push(self.describe(arrived, rooms).await);
        }
        described
    }

    async fn rooms(&self, namespace: &str) -> Vec<String> {
        let sockets = self.sockets(namespace, &Target::default()).await;
        let rooms: BTreeSet<String> = sockets.into_iter().flat_map(|socket| socket.rooms).collect();
        rooms.into_iter().collect()
    }

    async fn join(&self, namespace: &str, target: &Target, rooms: &[String]) {
        let mut opened = Vec::new();
        for id in self.ids(namespace, target).await {
            let mut sockets = self.0.sockets.lock();
            opened.extend(rooms.iter().filter(|room| sockets.enter(namespace, &id, room)));
        }
        let Some(bus) = self.0.bus.get() else { return };
        for room in opened {
            bus.room_opened(namespace, room).await;
        }
    }

    async fn leave(&self, namespace: &str, target: &Target, rooms: &[String]) {
        let mut closed = Vec::new();
        for id in self.ids(namespace, target).await {
            let mut sockets = self.0.sockets.lock();
            closed.extend(rooms.iter().filter(|room| sockets.leave(namespace, &id, room)).cloned());
        }
        self.forget(namespace, closed).await;
    }

    async fn disconnect(&self, namespace: &str, target: &Target, is_whole: bool) {
        let meant = self.meant(namespace, target).await;
        for (session, dialect) in meant {
            let is_over = {
                let sockets = self.0.sockets.lock();
                let known = sockets.find(namespace, (session, dialect));
                known.map(|known| Arc::clone(&known.arrived.is_over))
            };
            if !is_over.is_some_and(|is_over| send_away(&is_over)) {
                continue;
            }
            self.0.hub.unsubscribe_all(session, dialect).await;
            if let Some(frame) = self.disconnect_packet(dialect) {
                self.0.hub.send(session, frame, Class::Durable).await;
            }
            if is_whole {
                let last = Some(frames::close(1000, ""));
                self.0.hub.close(session, Close { reason: SENT_AWAY, last }).await;
            }
        }
    }

    /// Mynah listens to no events between servers.
    async fn server_side(&self, _namespace: &str, _emission: Arc<Emission>) -> Arguments {
        Arguments::default()
    }
}
