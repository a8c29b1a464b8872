//! Credentials of a live connection: shown late, replaced, expiring.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mynah_domain::Timestamp;
use mynah_hub::{CloseReason, Dialect, Frame, TimerKey};
use mynah_protocol::socket_io;

use super::enter::{self, Entrance, Seen};
use super::{ChatSocket, ChatSockets, Person, connect, now};
use crate::engine_io::Peer;
use crate::failure;
use crate::identity::Identified;
use crate::topics;
use crate::vocabulary::field::{Failure, Subject};
use crate::vocabulary::namespace::EndBy;

/// How long before its end a client is told that its credentials expire.
const EXPIRY_NOTICE: Duration = Duration::from_secs(30);

/// A token as clients write it: `Bearer eyJ…` or `eyJ…`.
pub(super) fn bare(token: &str) -> &str {
    token.strip_prefix("Bearer ").unwrap_or(token).trim()
}

/// Announces the end of the credentials, then ends the connection so that the client library
/// reconnects and asks its page for fresh ones.
pub(super) fn watch_expiry(
    door: &ChatSockets,
    peer: &Peer,
    dialect: Dialect,
    who: &Identified,
) -> Vec<TimerKey> {
    let left = Duration::from_millis(who.expires_at.since_ms(now(door)));
    let mut keys = Vec::with_capacity(2);
    let at = who.expires_at;
    if left > EXPIRY_NOTICE {
        let (door_then, peer_then) = (door.clone(), peer.clone());
        keys.push(door.deadlines.after(left.saturating_sub(EXPIRY_NOTICE), move || async move {
            let spoken = (Subject::Expiring(at), None);
            let now = now(&door_then);
            let frame = door_then.dialects.frame(dialect, "session.expiring", spoken, now);
            if let Some(frame) = frame {
                peer_then.send(frame).await;
            }
        }));
    }
    let (door_then, peer) = (door.clone(), peer.clone());
    keys.push(door.deadlines.after(left, move || async move {
        if let Some(frame) = farewell(&door_then, dialect) {
            peer.send(frame).await;
        }
        peer.end(CloseReason::Named("credentials expired")).await;
    }));
    keys
}

/// What goes before the end of a connection that shall come back: nothing for stock clients, a DISCONNECT packet
/// for front ends that come back only after one.
pub(super) fn farewell(door: &ChatSockets, dialect: Dialect) -> Option<Frame> {
    let (_, namespace) = door.dialects.link(dialect)?;
    let rule = door.dialects.vocabulary(dialect)?.namespace(&namespace)?;
    match rule.end_by {
        EndBy::Transport => None,
        EndBy::Disconnect => disconnect(door, dialect),
    }
}

/// The DISCONNECT packet of a dialect's namespace.
fn disconnect(door: &ChatSockets, dialect: Dialect) -> Option<Frame> {
    let (wire, namespace) = door.dialects.link(dialect)?;
    let mut packet = Vec::new();
    socket_io::disconnect(&namespace, &mut packet);
    Some(wire.frame(&packet))
}

/// Puts a client out that does not authenticate in time: the error event, then DISCONNECT.
pub(super) fn await_them(
    door: &ChatSockets,
    peer: &Peer,
    socket: &ChatSocket,
    timeout: Duration,
) -> TimerKey {
    let (door_then, peer) = (door.clone(), peer.clone());
    let dialect = socket.dialect();
    let is_over = Arc::clone(&socket.is_over);
    door.deadlines.after(timeout, move || async move {
        if is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        let failure = failure::not_authenticated_in_time();
        refuse(&door_then, &peer, dialect, &failure).await;
        if let Some(frame) = disconnect(&door_then, dialect) {
            peer.send(frame).await;
        }
    })
}

async fn refuse(door: &ChatSockets, peer: &Peer, dialect: Dialect, failure: &Failure) {
    let subject = Subject::Error(failure, "authenticate", None);
    let frame = door.dialects.frame(dialect, "connection.error", (subject, None), now(door));
    if let Some(frame) = frame {
        peer.send(frame).await;
    }
}

/// A token shown on a live connection: the first one lets its user in, a later one must be of the same user
/// and takes the place of the former. Gives the end of its life.
///
/// # Errors
/// What is wrong with it; nothing has changed then. Without an identity the client is told by an event, too.
pub(super) async fn authenticate(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    (token, claimed): (&str, Option<&str>),
) -> Result<Timestamp, Failure> {
    let outcome = verify(door, socket, (token, claimed)).await;
    let who = match outcome {
        Ok(who) => who,
        Err(failure) => {
            door.house.metrics.refused_token("socket");
            if socket.person.is_none() {
                refuse(door, peer, socket.dialect(), &failure).await;
            }
            return Err(failure);
        }
    };
    let expires_at = who.expires_at;
    match socket.person.take() {
        Some(person) => socket.person = Some(replace(door, peer, socket, person, who).await),
        None => come_in(door, peer, socket, who).await?,
    }
    Ok(expires_at)
}

async fn verify(
    door: &ChatSockets,
    socket: &ChatSocket,
    (token, claimed): (&str, Option<&str>),
) -> Result<Identified, Failure> {
    let who = door.house.identity.verify(bare(token)).await?;
    let another = socket.person.as_ref().is_some_and(|person| {
        let now = &person.who.actor;
        now.tenant != who.actor.tenant || now.user != who.actor.user
    });
    if another || claimed.is_some_and(|claimed| claimed != who.actor.user.as_str()) {
        return Err(failure::another_users_token());
    }
    Ok(who)
}

/// The same person with newer credentials.
async fn replace(
    door: &ChatSockets,
    peer: &Peer,
    socket: &ChatSocket,
    mut person: Box<Person>,
    who: Identified,
) -> Box<Person> {
    let dialect = socket.dialect();
    for key in person.expiry.drain(..) {
        door.deadlines.cancel(key);
    }
    person.expiry = watch_expiry(door, peer, dialect, &who);
    if person.who.family != who.family {
        if let Some(family) = &who.family {
            peer.hub.subscribe(peer.id, dialect, topics::sign_in(family)).await;
        }
        if let Some(family) = &person.who.family {
            peer.hub.unsubscribe(peer.id, dialect, vec![topics::sign_in(family)]).await;
        }
    }
    person.who = Arc::new(who);
    person
}

async fn come_in(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    who: Identified,
) -> Result<(), Failure> {
    let namespace = socket.namespace.clone();
    let entrance =
        Entrance { peer, dialect: socket.dialect(), namespace: &namespace, recovers: false };
    let entered = Box::pin(enter::enter(door, entrance, who, Seen::default())).await?;
    if let Some(deadline) = socket.awaited.take() {
        door.deadlines.cancel(deadline);
    }
    socket.take_in(door, entrance, entered);
    door.show(peer, socket).await;
    if socket.is_over.load(Ordering::Acquire) {
        // Its time ran out meanwhile, and it has been told so.
        peer.hub.unsubscribe_all(peer.id, socket.dialect()).await;
        return Err(failure::not_authenticated_in_time());
    }
    if let Some(welcome) = socket.welcome.take() {
        Box::pin(connect::welcome(door, peer, socket, *welcome)).await;
    }
    Ok(())
}
