//! A person connects: words, credentials, rooms, and what was missed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mynah_domain::RoomId;
use mynah_domain::room::Room;
use mynah_hub::{CloseReason, Dialect, Start, Topic};
use serde_json::value::RawValue;

use super::{Auth, ChatSocket, ChatSockets, Welcome, catch_up, connect_refused, now};
use crate::engine_io::Peer;
use crate::failure;
use crate::identity::Identified;
use crate::socket_io::ConnectRefused;
use crate::system::session_id;
use crate::topics;
use crate::vocabulary::field::{Failure, Subject};
use crate::vocabulary::inbound::SYNC_ROOMS_MAX;

/// How long before its end a client is told that its credentials expire.
const EXPIRY_NOTICE: Duration = Duration::from_secs(30);

/// Decides on a connection and subscribes it.
pub(super) async fn connect(
    door: &ChatSockets,
    peer: &Peer,
    namespace: &str,
    auth: Option<&str>,
) -> Result<ChatSocket, ConnectRefused> {
    let auth: Auth<'_> = auth.and_then(|a| serde_json::from_str(a).ok()).unwrap_or_default();
    let dialect = choose_dialect(door, peer, namespace, &auth)?;
    let who = identify(door, peer, &auth).await?;
    let Some(place) = door.places.take(&who.actor) else {
        return Err(connect_refused(&failure::too_many_connections()));
    };
    let everywhere = door.dialects.vocabulary(dialect).is_some_and(|v| v.auto_join);
    let mut own = vec![(user_topic(&who, everywhere), Start::Live)];
    if let Some(family) = &who.family {
        own.push((topics::sign_in(family), Start::Live));
    }
    // The user's own topic first: a room joined from here on reaches this socket by it.
    peer.hub.subscribe_many(peer.id, dialect, own).await;
    let welcome = match subscribed(door, peer, (dialect, everywhere), &who, &auth).await {
        Ok(welcome) => welcome,
        Err(refused) => {
            peer.hub.unsubscribe_all(peer.id, dialect).await;
            return Err(refused);
        }
    };
    let expiry = watch_expiry(door, peer, dialect, &who);
    Ok(ChatSocket {
        who: Arc::new(who),
        dialect,
        namespace: namespace.into(),
        sid: session_id().into(),
        expiry,
        _place: place,
        typing_in: None,
        is_present: false,
        welcome: Some(Box::new(welcome)),
    })
}

/// What happened to the sign-in and the rooms before this socket heard of such things is asked for.
async fn subscribed(
    door: &ChatSockets,
    peer: &Peer,
    (dialect, everywhere): (Dialect, bool),
    who: &Identified,
    auth: &Auth<'_>,
) -> Result<Welcome, ConnectRefused> {
    if who.family.is_some() {
        identify(door, peer, auth).await?;
    }
    if everywhere {
        subscribe_rooms(door, peer, dialect, who, &read_since(auth)).await
    } else {
        Ok(Welcome { everywhere, rooms: Vec::new(), since: Vec::new() })
    }
}

fn user_topic(who: &Identified, everywhere: bool) -> Topic {
    let actor = &who.actor;
    if everywhere {
        topics::user_everywhere(&actor.tenant, &actor.user)
    } else {
        topics::user_by_room(&actor.tenant, &actor.user)
    }
}

/// The rooms are heard from now on; those the client has seen part of are held until it has the rest.
///
/// A room may be left, and events may pass, between reading the list and being subscribed. If anything was
/// dispatched meanwhile the list is read again: what is committed after that read is heard.
async fn subscribe_rooms(
    door: &ChatSockets,
    peer: &Peer,
    dialect: Dialect,
    who: &Identified,
    since: &HashMap<RoomId, u64>,
) -> Result<Welcome, ConnectRefused> {
    let read = || async {
        let rooms = door.house.chat.joined_rooms(&who.actor).await;
        rooms.map_err(|error| connect_refused(&error.into()))
    };
    let dispatched = door.dispatched.load(Ordering::Acquire);
    let mut rooms = read().await?;
    let start = |room: &Room| match since.get(&room.id) {
        Some(seq) if *seq != room.last_seq => Start::Held,
        Some(_) | None => Start::Live,
    };
    let held = |rooms: &[Arc<Room>]| -> Vec<(RoomId, u64)> {
        let of = |room: &Arc<Room>| Some((room.id.clone(), *since.get(&room.id)?));
        rooms.iter().filter(|room| start(room) == Start::Held).filter_map(of).collect()
    };
    let subscriptions = rooms.iter().map(|room| (topics::room(&room.id), start(room))).collect();
    peer.hub.subscribe_many(peer.id, dialect, subscriptions).await;
    let mut replayed = held(&rooms);
    if door.dispatched.load(Ordering::Acquire) != dispatched {
        let before = std::mem::replace(&mut rooms, read().await?);
        let still: HashSet<&RoomId> = rooms.iter().map(|room| &room.id).collect();
        let gone = before.iter().filter(|room| !still.contains(&room.id));
        let gone: Vec<Topic> = gone.map(|room| topics::room(&room.id)).collect();
        peer.hub.unsubscribe(peer.id, dialect, gone).await;
        let again = rooms.iter().filter(|room| start(room) == Start::Held);
        let again = again.map(|room| (topics::room(&room.id), Start::Held)).collect();
        peer.hub.subscribe_many(peer.id, dialect, again).await;
        let held_before: HashSet<RoomId> = replayed.into_iter().map(|(room, _)| room).collect();
        replayed = held(&rooms);
        let known: HashSet<RoomId> = replayed.iter().map(|(room, _)| room.clone()).collect();
        let left_over =
            rooms.iter().filter(|r| held_before.contains(&r.id) && !known.contains(&r.id));
        replayed.extend(left_over.filter_map(|r| Some((r.id.clone(), *since.get(&r.id)?))));
    }
    Ok(Welcome { everywhere: true, rooms, since: replayed })
}

/// Tells a connected client that it is ready, and what it missed; then the others that it is there.
pub(super) async fn welcome(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    welcome: Welcome,
) {
    let ready = Subject::Ready(&socket.sid, &socket.who.profile, &welcome.rooms);
    if let Some(frame) = door.dialects.frame(socket.dialect, "connection.ready", ready, now(door)) {
        peer.send(frame).await;
    }
    for (room, seq) in welcome.since {
        catch_up::replay(door, peer, socket, &room, seq).await;
    }
    socket.is_present = true;
    door.house.live.came(&socket.who.actor, welcome.everywhere.then_some(welcome.rooms));
}

/// The vocabulary named by `auth.dialect` or `?dialect=`, else the default one, else the one that is
/// spoken in the namespace.
fn choose_dialect(
    door: &ChatSockets,
    peer: &Peer,
    namespace: &str,
    auth: &Auth<'_>,
) -> Result<Dialect, ConnectRefused> {
    let dialects = &door.dialects;
    let Some(first) = dialects.first_in(namespace) else {
        return Err(ConnectRefused { message: "Invalid namespace".to_owned(), data: None });
    };
    let wish = text(auth, "dialect");
    let wish = wish.as_deref().or_else(|| peer.handshake.query_value("dialect"));
    let vocabulary = match wish {
        None => dialects.vocabularies().default_index(),
        Some(id) => dialects.vocabularies().find(id).ok_or_else(|| unknown_dialect(door, id))?,
    };
    let chosen = dialects.find(vocabulary, namespace).or_else(|| dialects.find(first, namespace));
    chosen.ok_or_else(|| ConnectRefused { message: "Invalid namespace".to_owned(), data: None })
}

fn unknown_dialect(door: &ChatSockets, id: &str) -> ConnectRefused {
    let known: Vec<&str> = door.dialects.vocabularies().iter().map(|v| v.id.as_str()).collect();
    let shown: String = id.chars().take(32).collect();
    connect_refused(&Failure {
        status: 400,
        code: "UNKNOWN_DIALECT",
        text: format!("unknown dialect {shown:?}; known: {}", known.join(", ")),
        violations: Vec::new(),
        retry_after_ms: None,
    })
}

/// The first credentials found: `auth.token`, the bearer header, `?token=`.
async fn identify(
    door: &ChatSockets,
    peer: &Peer,
    auth: &Auth<'_>,
) -> Result<Identified, ConnectRefused> {
    let from_auth = text(auth, "token");
    let token = from_auth
        .as_deref()
        .or(peer.handshake.authorization.as_deref())
        .or_else(|| peer.handshake.query_value("token"))
        .unwrap_or("");
    let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
    door.house.identity.verify(token).await.map_err(|error| {
        door.house.metrics.refused_token("socket");
        connect_refused(&error.into())
    })
}

fn text(auth: &Auth<'_>, key: &str) -> Option<String> {
    auth.get(key).and_then(|raw: &&RawValue| serde_json::from_str(raw.get()).ok())
}

/// `auth.since`: the last `seq` seen, per room.
fn read_since(auth: &Auth<'_>) -> HashMap<RoomId, u64> {
    let raw = auth.get("since").map_or("{}", |raw| raw.get());
    let since: HashMap<String, serde_json::Value> = serde_json::from_str(raw).unwrap_or_default();
    since
        .into_iter()
        .filter_map(|(room, seq)| Some((RoomId::parse(&room).ok()?, seq.as_u64()?)))
        .take(SYNC_ROOMS_MAX)
        .collect()
}

/// Announces the end of the credentials, then ends the connection so that the client library
/// reconnects and asks its page for fresh ones.
fn watch_expiry(
    door: &ChatSockets,
    peer: &Peer,
    dialect: Dialect,
    who: &Identified,
) -> Vec<mynah_hub::TimerKey> {
    let left = Duration::from_millis(who.expires_at.since_ms(now(door)));
    let mut keys = Vec::with_capacity(2);
    let at = who.expires_at;
    if left > EXPIRY_NOTICE {
        let (door_then, peer_then) = (door.clone(), peer.clone());
        keys.push(door.deadlines.after(left.saturating_sub(EXPIRY_NOTICE), move || async move {
            let subject = Subject::Expiring(at);
            let now = now(&door_then);
            let frame = door_then.dialects.frame(dialect, "session.expiring", subject, now);
            if let Some(frame) = frame {
                peer_then.send(frame).await;
            }
        }));
    }
    let peer = peer.clone();
    keys.push(door.deadlines.after(left, move || async move {
        peer.end(CloseReason::Named("credentials expired")).await;
    }));
    keys
}
