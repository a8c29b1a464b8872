//! A person comes in: a place, what is heard from now on, and what was missed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use mynah_domain::RoomId;
use mynah_domain::recovery::{LogEpoch, Place};
use mynah_domain::room::Room;
use mynah_hub::{Close, CloseReason, Dialect, SessionId, Topic};

use super::missed::{self, Missed};
use super::retries::Retries;
use super::turns::Progress;
use super::{ChatSockets, Person, Replay, Welcome, credentials, now};
use crate::engine_io::Peer;
use crate::failure;
use crate::frames;
use crate::identity::Identified;
use crate::recovery::{Holder, Offset, Pid, Recovery, SocketKey};
use crate::topics;
use crate::vocabulary::field::Failure;

/// Where somebody comes in.
#[derive(Clone, Copy)]
pub(super) struct Entrance<'a> {
    pub(super) peer: &'a Peer,
    pub(super) dialect: Dialect,
    pub(super) namespace: &'a str,
    /// Whether the client's library can recover.
    pub(super) recovers: bool,
}

/// What a client says it has seen.
#[derive(Default)]
pub(super) struct Seen {
    /// The last `seq`, per room.
    pub(super) since: HashMap<RoomId, u64>,
    /// The `pid` and the offset of its last connection.
    pub(super) pid: Option<String>,
    pub(super) offset: Option<Offset>,
    /// The life of the log in which it saw all that, if it says.
    pub(super) epoch: Option<String>,
}

/// A `seq` that no stream reaches: whoever has seen it is told to read anew.
const BEYOND_ALL: u64 = i64::MAX as u64;

/// What was seen, per room, in the log that is now: in another one, the numbers named other events.
pub(super) fn seen_in(
    epoch: LogEpoch,
    named: Option<&str>,
    since: impl IntoIterator<Item = (RoomId, u64)>,
) -> impl Iterator<Item = (RoomId, u64)> {
    let is_this = epoch.is_of(named);
    since.into_iter().map(move |(room, seq)| (room, if is_this { seq } else { BEYOND_ALL }))
}

/// Somebody who came in.
pub(super) struct Entered {
    pub(super) person: Box<Person>,
    pub(super) welcome: Box<Welcome>,
    pub(super) pid: Option<Pid>,
    pub(super) retries: Retries,
    /// The last place the client has been told.
    pub(super) shown: Place,
}

/// A `pid` that is good, and up to where its holder has seen everything.
#[derive(Clone)]
pub(super) struct Claim {
    pub(super) pid: Pid,
    pub(super) seen: Offset,
}

/// Subscribes a person and finds out what was missed. Nothing stays behind on failure.
pub(super) async fn enter(
    door: &ChatSockets,
    entrance: Entrance<'_>,
    who: Identified,
    mut seen: Seen,
) -> Result<Entered, Failure> {
    let Entrance { peer, dialect, .. } = entrance;
    let epoch = door.house.log_epoch();
    seen.since = seen_in(epoch, seen.epoch.as_deref(), seen.since).collect();
    let claim = claim(door, entrance, &who, &seen);
    // The same client object: its old connection is over for it, whether its state is recovered or not.
    let before = claim.as_ref().and_then(|claim| door.present.take(SocketKey::of(&claim.pid)));
    if let Some(before) = before {
        end(peer, before).await;
    }
    let place = door.places.take(&who.actor, before.is_some());
    let place = place.ok_or_else(failure::too_many_connections)?;
    if let Some(claim) = &claim {
        missed::until_delivered(door, claim).await;
    }
    let turn = door.turns.take(Progress::Begun, || peer.is_gone()).await?;
    // Up to here everything was before this connection: read before anything is heard.
    let start = door.house.reached.low().unwrap_or_else(|| *door.house.head.borrow());
    // Nothing is heard before the client knows from where on it hears.
    peer.hub.hold(peer.id, dialect).await;
    let outcome = subscribed(door, entrance, &who, (claim.as_ref(), &seen)).await;
    drop(turn);
    let (rooms, replay) = match outcome {
        Ok(subscribed) => subscribed,
        Err(failure) => {
            peer.hub.unsubscribe_all(peer.id, dialect).await;
            return Err(failure);
        }
    };
    let recovered = claim.as_ref().filter(|_| matches!(replay, Replay::Missed(_)));
    let pid = door.recovery.as_ref().filter(|_| entrance.recovers).map(|_| match recovered {
        Some(claim) => claim.pid,
        None => Recovery::issue(claim.as_ref().map(|claim| claim.pid.origin), start, now(door)),
    });
    if let Some(pid) = pid {
        let opens_rooms = !hears_everywhere(door, dialect);
        let beside = door.present.enter(SocketKey::of(&pid), peer.id, opens_rooms);
        if let Some(beside) = beside {
            end(peer, beside).await;
        }
    }
    let retries = match (&replay, pid) {
        (Replay::Missed(missed), Some(pid)) => missed.retries(pid.origin),
        _ => Retries::default(),
    };
    let shown = recovered.map_or(Place { pos: start, nth: 0 }, |claim| claim.seen.place);
    let expiry = credentials::watch_expiry(door, peer, dialect, &who);
    let person =
        Person { who: Arc::new(who), expiry, _place: place, is_present: false, typing_in: None };
    let welcome = Welcome { rooms, replay };
    let (person, welcome) = (Box::new(person), Box::new(welcome));
    Ok(Entered { person, welcome, pid, retries, shown })
}

/// Ends a connection whose place in the world another one takes.
async fn end(peer: &Peer, old: SessionId) {
    let last = Some(frames::close(1000, ""));
    let reason = CloseReason::Named("taken over by a new connection");
    peer.hub.close(old, Close { reason, last }).await;
}

/// Whether connections of a dialect hear all rooms of their user.
pub(super) fn hears_everywhere(door: &ChatSockets, dialect: Dialect) -> bool {
    door.dialects.vocabulary(dialect).is_some_and(|vocabulary| vocabulary.auto_join)
}

/// For whom a `pid` is made.
pub(super) fn holder<'a>(
    door: &'a ChatSockets,
    entrance: Entrance<'a>,
    who: &'a Identified,
) -> Holder<'a> {
    let vocabulary = door.dialects.vocabulary(entrance.dialect);
    Holder {
        tenant: &who.actor.tenant,
        user: &who.actor.user,
        namespace: entrance.namespace,
        vocabulary: vocabulary.map_or("", |vocabulary| &vocabulary.id),
        epoch: door.house.log_epoch(),
    }
}

/// The client's claim, if its `pid` is good. What it says to have seen of earlier connections is older than
/// the start of this one.
fn claim(
    door: &ChatSockets,
    entrance: Entrance<'_>,
    who: &Identified,
    seen: &Seen,
) -> Option<Claim> {
    let recovery = door.recovery.as_ref().filter(|_| entrance.recovers)?;
    let pid = recovery.read(seen.pid.as_deref()?, holder(door, entrance, who))?;
    let start = Offset { place: Place { pos: pid.start, nth: 0 }, sent: None };
    let later = seen.offset.clone().filter(|offset| offset.place >= start.place);
    Some(Claim { pid, seen: later.unwrap_or(start) })
}

type Subscribed = (Vec<Arc<Room>>, Replay);

/// The user's own topic first: a room joined from here on reaches this socket by it. What happened to the
/// sign-in and the rooms before this socket heard of such things is asked for afterwards.
async fn subscribed(
    door: &ChatSockets,
    entrance: Entrance<'_>,
    who: &Identified,
    (claim, seen): (Option<&Claim>, &Seen),
) -> Result<Subscribed, Failure> {
    let Entrance { peer, dialect, .. } = entrance;
    let everywhere = hears_everywhere(door, dialect);
    let mut own = vec![user_topic(who, everywhere)];
    own.extend(who.family.as_ref().map(topics::sign_in));
    if !peer.hub.subscribe_many(peer.id, dialect, own).await {
        return Err(failure::not_heard_yet());
    }
    if let Some(family) = &who.family {
        door.house.identity.still_alive(family).await?;
    }
    if everywhere {
        let rooms = subscribe_rooms(door, peer, dialect, who).await?;
        if let Some(claim) = claim
            && let Some(missed) =
                missed::everywhere(door, &who.actor, claim, (&seen.since, &rooms)).await?
        {
            return Ok((rooms, Replay::Missed(Box::new(missed))));
        }
        let since = behind(&rooms, &seen.since);
        return Ok((rooms, Replay::Since(since)));
    }
    if let Some(claim) = claim {
        let missed = missed::of_open_rooms(door, (peer, dialect), &who.actor, claim).await?;
        if let Some(missed) = missed {
            return Ok((Vec::new(), Replay::Missed(Box::new(missed))));
        }
    }
    Ok((Vec::new(), Replay::Since(Vec::new())))
}

fn behind(rooms: &[Arc<Room>], since: &HashMap<RoomId, u64>) -> Vec<(RoomId, u64)> {
    let of = |room: &Arc<Room>| {
        let seq = *since.get(&room.id)?;
        (seq != room.last_seq).then(|| (room.id.clone(), seq))
    };
    rooms.iter().filter_map(of).collect()
}

fn user_topic(who: &Identified, everywhere: bool) -> Topic {
    let actor = &who.actor;
    if everywhere {
        topics::user_everywhere(&actor.tenant, &actor.user)
    } else {
        topics::user_by_room(&actor.tenant, &actor.user)
    }
}

/// All rooms of the user are heard from now on.
///
/// A room may be left, and events may pass, between reading the list and being subscribed. If anything was
/// dispatched meanwhile the list is read again: what is committed after that read is heard.
async fn subscribe_rooms(
    door: &ChatSockets,
    peer: &Peer,
    dialect: Dialect,
    who: &Identified,
) -> Result<Vec<Arc<Room>>, Failure> {
    let of = |rooms: &[Arc<Room>]| rooms.iter().map(|room| topics::room(&room.id)).collect();
    let dispatched = door.dispatched.load(Ordering::Acquire);
    let rooms = door.house.chat.joined_rooms(&who.actor).await?;
    if !peer.hub.subscribe_many(peer.id, dialect, of(&rooms)).await {
        // Whom nobody may hear yet the list would keep as it is now.
        return Err(failure::not_heard_yet());
    }
    if door.dispatched.load(Ordering::Acquire) == dispatched {
        return Ok(rooms);
    }
    let again = door.house.chat.joined_rooms(&who.actor).await?;
    let still: HashSet<&RoomId> = again.iter().map(|room| &room.id).collect();
    let gone = rooms.iter().filter(|room| !still.contains(&room.id));
    let gone = gone.map(|room| topics::room(&room.id)).collect();
    peer.hub.unsubscribe(peer.id, dialect, gone).await;
    Ok(again)
}

impl Missed {
    fn retries(&self, origin: crate::recovery::Origin) -> Retries {
        Retries::of_missed(
            origin,
            (self.seen_last.as_ref(), &self.events),
            std::time::Instant::now(),
        )
    }
}
