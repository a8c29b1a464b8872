//! A person connects: words, credentials, rooms, and what was missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mynah_domain::RoomId;
use mynah_domain::room::Room;
use mynah_hub::{CloseReason, Dialect, Start, Topic};
use serde_json::value::RawValue;

use super::{Auth, ChatSocket, ChatSockets, Welcome, catch_up, connect_refused, now};
use crate::engine_io::Peer;
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
    let everywhere = door.dialects.vocabulary(dialect).is_some_and(|v| v.auto_join);
    let since = read_since(&auth);
    let mut own = vec![(user_topic(&who, everywhere), Start::Live)];
    if let Some(family) = &who.family {
        own.push((topics::sign_in(family), Start::Live));
    }
    // The user's own topic first: a room joined from here on reaches this socket by it.
    peer.hub.subscribe_many(peer.id, dialect, own).await;
    let rooms = if everywhere {
        let rooms = door.house.chat.joined_rooms(&who.actor).await;
        rooms.map_err(|error| connect_refused(&error.into()))?
    } else {
        Vec::new()
    };
    let welcome = subscribe_rooms(peer, dialect, rooms, since).await;
    door.house.live.came(&who.actor, everywhere.then(|| welcome.rooms.clone()));
    let expiry = watch_expiry(door, peer, dialect, &who);
    Ok(ChatSocket {
        who: Arc::new(who),
        dialect,
        namespace: namespace.into(),
        sid: session_id().into(),
        expiry,
        typing_in: None,
        welcome: everywhere.then(|| Box::new(welcome)),
    })
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
async fn subscribe_rooms(
    peer: &Peer,
    dialect: Dialect,
    rooms: Vec<Arc<Room>>,
    since: HashMap<RoomId, u64>,
) -> Welcome {
    let start = |room: &Room| match since.get(&room.id) {
        Some(_) => Start::Held,
        None => Start::Live,
    };
    let subscriptions = rooms.iter().map(|room| (topics::room(&room.id), start(room))).collect();
    peer.hub.subscribe_many(peer.id, dialect, subscriptions).await;
    let since = rooms.iter().filter_map(|r| Some((r.id.clone(), *since.get(&r.id)?))).collect();
    Welcome { rooms, since }
}

/// Tells a connected client that it is ready, and what it missed.
pub(super) async fn welcome(
    door: &ChatSockets,
    peer: &Peer,
    socket: &ChatSocket,
    welcome: Welcome,
) {
    let ready = Subject::Ready(&socket.sid, &socket.who.profile, &welcome.rooms);
    if let Some(frame) = door.dialects.frame(socket.dialect, "connection.ready", ready, now(door)) {
        peer.send(frame).await;
    }
    for (room, seq) in welcome.since {
        catch_up::replay(door, peer, socket, &room, seq).await;
    }
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
        Some(id) => match dialects.vocabularies().find(id) {
            Some(index) => index,
            None => {
                let known: Vec<&str> =
                    dialects.vocabularies().iter().map(|v| v.id.as_str()).collect();
                let shown: String = id.chars().take(32).collect();
                return Err(connect_refused(&Failure {
                    status: 400,
                    code: "UNKNOWN_DIALECT",
                    text: format!("unknown dialect {shown:?}; known: {}", known.join(", ")),
                    violations: Vec::new(),
                    retry_after_ms: None,
                }));
            }
        },
    };
    let chosen = dialects.find(vocabulary, namespace).or_else(|| dialects.find(first, namespace));
    chosen.ok_or_else(|| ConnectRefused { message: "Invalid namespace".to_owned(), data: None })
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
    let since: HashMap<String, u64> = serde_json::from_str(raw).unwrap_or_default();
    since
        .into_iter()
        .take(SYNC_ROOMS_MAX)
        .filter_map(|(room, seq)| Some((RoomId::parse(&room).ok()?, seq)))
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

/// Ends what a connection to a namespace hears, when the session lives on.
pub(super) async fn unsubscribe(door: &ChatSockets, peer: &Peer, socket: &ChatSocket) {
    let everywhere = door.dialects.vocabulary(socket.dialect).is_some_and(|v| v.auto_join);
    let mut left = vec![user_topic(&socket.who, everywhere)];
    left.extend(socket.who.family.as_ref().map(topics::sign_in));
    if let Ok(rooms) = door.house.chat.joined_rooms(&socket.who.actor).await {
        left.extend(rooms.iter().map(|room| topics::room(&room.id)));
    }
    peer.hub.unsubscribe(peer.id, socket.dialect, left).await;
}
