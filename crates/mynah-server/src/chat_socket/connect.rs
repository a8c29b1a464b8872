//! Somebody connects: words, credentials, and the welcome.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mynah_domain::RoomId;
use mynah_domain::recovery::Place;
use serde_json::value::RawValue;

use super::enter::{self, Entered, Entrance, Seen};
use super::refusing::connect_refused;
use super::turns::Progress;
use super::{Auth, ChatSocket, ChatSockets, Replay, Welcome, catch_up, credentials, missed, now};
use crate::dialects::Speaking;
use crate::engine_io::Peer;
use crate::identity::{Identified, IdentityError};
use crate::recovery::read_offset;
use crate::socket_io::{ConnectRefused, ConnectRequest, Connected};
use crate::system::session_id;
use crate::topics;
use crate::vocabulary::field::{Begun, Failure, Subject};
use crate::vocabulary::inbound::SYNC_ROOMS_MAX;
use crate::vocabulary::namespace::AuthPolicy;

/// Decides on a connection and subscribes it.
pub(super) async fn connect(
    door: &ChatSockets,
    peer: &Peer,
    request: ConnectRequest<'_>,
) -> Result<Connected<ChatSocket>, ConnectRefused> {
    let auth: Auth<'_> =
        request.auth.and_then(|auth| serde_json::from_str(auth).ok()).unwrap_or_default();
    let (speaking, policy) = choose_dialect(door, peer, request, &auth)?;
    let turn = door.turns.take(Progress::New, || peer.is_gone()).await;
    let turn = turn.map_err(|failure| connect_refused(&failure))?;
    let identified = identify(door, peer, &auth).await;
    drop(turn);
    let who = match (identified, policy) {
        (Ok(who), _) => Some(who),
        (Err(IdentityError::Missing), AuthPolicy::Anonymous) => None,
        (Err(error), AuthPolicy::Lazy(_)) if error != IdentityError::Unavailable => None,
        (Err(error), _) => {
            if error != IdentityError::Unavailable {
                door.house.metrics.refused_token("socket");
            }
            return Err(connect_refused(&error.into()));
        }
    };
    let (dialect, wire) = (speaking.dialect(), speaking.wire());
    let mut socket = ChatSocket {
        speaking,
        namespace: request.namespace.into(),
        sid: Box::default(),
        origin: None,
        key: None,
        shown: Place::default(),
        retries: None,
        person: None,
        awaited: None,
        welcome: None,
        is_over: Arc::new(AtomicBool::new(false)),
    };
    let entrance =
        Entrance { peer, dialect, namespace: request.namespace, recovers: wire.recovers() };
    let mut pid_text = None;
    if let Some(who) = who {
        let entered = Box::pin(enter::enter(door, entrance, who, seen(&auth))).await;
        let entered = entered.map_err(|failure| connect_refused(&failure))?;
        pid_text = socket.take_in(door, entrance, entered);
    } else if let AuthPolicy::Lazy(timeout) = policy {
        socket.awaited = Some(credentials::await_them(door, peer, &socket, timeout));
    }
    if socket.sid.is_empty() {
        socket.sid = session_id().into();
    }
    door.show(peer, &socket).await;
    let sid = socket.sid.to_string();
    Ok(Connected { socket, sid, pid: pid_text })
}

impl ChatSocket {
    /// Makes it the socket of somebody who came in; gives the text of the `pid`.
    pub(super) fn take_in(
        &mut self,
        door: &ChatSockets,
        entrance: Entrance<'_>,
        entered: Entered,
    ) -> Option<String> {
        let Entered { person, welcome, pid, retries, shown } = entered;
        let holder = enter::holder(door, entrance, &person.who);
        let text = match (&door.recovery, pid) {
            (Some(recovery), Some(pid)) => Some(recovery.text(&pid, holder)),
            _ => None,
        };
        if let Some(pid) = pid {
            self.sid = pid.socket_id().into();
            self.origin = Some(pid.origin);
            self.key = Some(crate::recovery::SocketKey::of(&pid));
        }
        self.shown = shown;
        self.retries = (!retries.is_empty()).then(|| Box::new(retries));
        self.person = Some(person);
        self.welcome = Some(welcome);
        text
    }
}

/// Tells a connected client that it is ready, and what it missed; then the others that it is there.
pub(super) async fn welcome(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    welcome: Welcome,
) {
    let Some(person) = &socket.person else { return };
    let who = Arc::clone(&person.who);
    let Welcome { rooms, replay } = welcome;
    let recovered = matches!(replay, Replay::Missed(_));
    let begun = Begun { recovered, epoch: door.house.log_epoch() };
    let ready = Subject::Ready(&socket.sid, &who.profile, &rooms, begun);
    let frame = door.dialects.frame(socket.dialect(), "connection.ready", (ready, None), now(door));
    if let Some(frame) = frame {
        peer.send(frame).await;
    }
    match replay {
        Replay::Missed(missed) => missed::replay(door, peer, socket, *missed).await,
        Replay::Since(since) => {
            // What the client has up to these heads may not have come to this node yet: it hears it no more.
            let heads = rooms.iter().map(|room| (topics::room(&room.id), room.last_seq));
            let mut told: Vec<_> = heads.collect();
            for (room, seq) in since {
                let head = catch_up::replay(door, peer, socket, (&room, seq)).await;
                told.extend(head.map(|head| (topics::room(&room), head)));
            }
            peer.hub.resume(peer.id, socket.dialect(), told).await;
        }
    }
    let everywhere = enter::hears_everywhere(door, socket.dialect());
    if let Some(person) = &mut socket.person {
        person.is_present = true;
    }
    door.house.live.came(&who.actor, everywhere.then_some(rooms));
}

/// The vocabulary named by `auth.dialect` or `?dialect=`, else the default one, else the one that is
/// spoken in the namespace.
fn choose_dialect(
    door: &ChatSockets,
    peer: &Peer,
    request: ConnectRequest<'_>,
    auth: &Auth<'_>,
) -> Result<(Speaking, AuthPolicy), ConnectRefused> {
    let (dialects, namespace) = (&door.dialects, request.namespace);
    let invalid = || ConnectRefused::told("Invalid namespace".to_owned(), None);
    let first = dialects.first_in(namespace).ok_or_else(invalid)?;
    let wish = text(auth, "dialect");
    let wish = wish.as_deref().or_else(|| peer.handshake.query_value("dialect"));
    let wished = match wish {
        None => dialects.vocabularies().default_index(),
        Some(id) => dialects.vocabularies().find(id).ok_or_else(|| unknown_dialect(door, id))?,
    };
    let spoken = [wished, first].into_iter().find_map(|vocabulary| {
        dialects.rule(vocabulary, namespace).map(|rule| (vocabulary, rule.auth))
    });
    let (vocabulary, policy) = spoken.ok_or_else(invalid)?;
    let speaking = dialects.speak(vocabulary, namespace, request.wire).map_err(|error| {
        connect_refused(&Failure {
            status: 503,
            code: "TOO_MANY_NAMESPACES",
            text: error.to_string(),
            violations: Vec::new(),
            retry_after_ms: Some(60_000),
        })
    })?;
    Ok((speaking, policy))
}

fn unknown_dialect(door: &ChatSockets, id: &str) -> ConnectRefused {
    let known: Vec<&str> = door.dialects.vocabularies().iter().map(|v| v.id.as_str()).collect();
    let shown: String = id.chars().take(64).collect();
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
) -> Result<Identified, IdentityError> {
    let from_auth = text(auth, "token");
    let token = from_auth
        .as_deref()
        .or(peer.handshake.authorization.as_deref())
        .or_else(|| peer.handshake.query_value("token"))
        .unwrap_or("");
    door.house.identity.verify(credentials::bare(token)).await
}

fn text(auth: &Auth<'_>, key: &str) -> Option<String> {
    auth.get(key).and_then(|raw: &&RawValue| serde_json::from_str(raw.get()).ok())
}

/// `auth.since`, `auth.pid`, `auth.offset` and `auth.epoch`.
fn seen(auth: &Auth<'_>) -> Seen {
    let offset = text(auth, "offset");
    Seen {
        since: read_since(auth),
        pid: text(auth, "pid"),
        offset: offset.as_deref().and_then(read_offset),
        epoch: text(auth, "epoch"),
    }
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
