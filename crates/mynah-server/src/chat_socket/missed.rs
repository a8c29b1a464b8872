//! What a recovered client missed: the events of all it heard, in the order of the log, each once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use mynah_domain::chat::{CATCH_UP_MAX, ChatError};
use mynah_domain::event::{Event, Fact, LogPage, Stream};
use mynah_domain::permission::Actor;
use mynah_domain::recovery::{OPEN_ROOMS_MAX, OpenRoom, Place};
use mynah_domain::room::Room;
use mynah_domain::{ConnectionId, RoomId, UserId};
use mynah_hub::{Dialect, Topic};

use super::enter::Claim;
use super::{ChatSocket, ChatSockets, catch_up, joining, now};
use crate::engine_io::Peer;
use crate::failure;
use crate::recovery::{SocketKey, sent_text};
use crate::topics;
use crate::vocabulary::field::{Failure, Subject};
use crate::vocabulary::tail::Spot;

/// What is sent to a recovered client before it hears live events again.
pub(super) struct Missed {
    pub(super) events: Vec<Event>,
    /// The last event that the client has seen.
    pub(super) seen_last: Option<Event>,
    /// The log was read up to here …
    up_to: u64,
    /// … and each stream with news up to there.
    heads: Vec<(Topic, u64)>,
    /// Rooms whose history the client opened and did not get.
    reopened: Vec<OpenRoom>,
    /// What had been sent before, of later events too, as an offset tells it.
    sent: String,
}

/// The last `seq` of each stream. What is published late of the same events is dropped by it.
fn heads(events: &[Event], own: &Topic) -> Vec<(Topic, u64)> {
    let mut heads: HashMap<&Stream, u64> = HashMap::new();
    for event in events {
        heads.insert(&event.stream, event.seq);
    }
    let topic = |stream: &Stream| match stream {
        Stream::Room(room) => topics::room(room),
        Stream::User(_) => own.clone(),
    };
    heads.into_iter().map(|(stream, seq)| (topic(stream), seq)).collect()
}

/// The log is read from the last event on that the client has seen, or from before it.
fn take_seen(events: &mut Vec<Event>, claim: &Claim) -> Option<Event> {
    let last = events.iter().position(|event| event.pos == claim.seen.place.pos)?;
    Some(events.remove(last))
}

/// Leaves out what the client has got: what its offset covers, and of the stream of the event that it names
/// all that came before it there.
fn leave_out_sent(events: &mut Vec<Event>, claim: &Claim, last: Option<&Event>) {
    events.retain(|event| {
        let before_last =
            last.is_some_and(|last| event.stream == last.stream && event.seq < last.seq);
        !before_last && !claim.seen.covers(event)
    });
}

fn sent_before(claim: &Claim) -> String {
    let sent = claim.seen.sent.as_ref();
    sent.map_or_else(String::new, |sent| sent_text(&sent.frontier, 0, true))
}

/// Waits until this node has delivered what the client was sent by another, so that none of it comes again: what
/// it hears from then on, and the offsets of that, go on from there. Between nodes that hear each other this takes
/// as long as a message; a node that is further behind is not waited for.
pub(super) async fn until_delivered(door: &ChatSockets, claim: &Claim) {
    for wait in LOOKS_MS {
        if door.house.reached.covers(&claim.seen) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
}

/// Waits between two looks at what others, or slow transactions, hold back.
const LOOKS_MS: [u64; 8] = [5, 10, 20, 50, 100, 200, 400, 800];

/// A page that tells all there is, up to what this node has delivered: what comes later is kept back for the
/// connection. `None` if the log cannot tell it all, or not soon.
async fn whole<F>(door: &ChatSockets, read: impl Fn() -> F) -> Result<Option<LogPage>, ChatError>
where
    F: Future<Output = Result<LogPage, ChatError>>,
{
    let delivered = *door.house.head.borrow();
    for wait in LOOKS_MS {
        let page = read().await?;
        if page.next >= delivered || page.more {
            return Ok((!page.gap && !page.more).then_some(page));
        }
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }
    Ok(None)
}

/// What a connection missed that hears all `rooms` of its user; `None` when the log cannot tell it all.
pub(super) async fn everywhere(
    door: &ChatSockets,
    actor: &Actor,
    claim: &Claim,
    (since, rooms): (&HashMap<RoomId, u64>, &[Arc<Room>]),
) -> Result<Option<Missed>, ChatError> {
    let after = claim.seen.floor().saturating_sub(1);
    let read = || door.house.chat.events_for(actor, after, Some(CATCH_UP_MAX));
    let Some(LogPage { mut events, next, .. }) = whole(door, read).await? else { return Ok(None) };
    let seen_last = take_seen(&mut events, claim);
    let heads = heads(&events, &topics::user_everywhere(&actor.tenant, &actor.user));
    let events = heard_by(&actor.user, events);
    let Some(mut events) = beyond(since, rooms, events) else { return Ok(None) };
    leave_out_sent(&mut events, claim, seen_last.as_ref());
    let sent = sent_before(claim);
    Ok(Some(Missed { events, up_to: next, heads, seen_last, reopened: Vec::new(), sent }))
}

/// What of the events a client has not got that counts per room: it knows better than its place, because what is
/// replayed by `since` tells no place. `None` if it lacks more than the events, which then is asked for by `since`.
fn beyond(
    since: &HashMap<RoomId, u64>,
    rooms: &[Arc<Room>],
    events: Vec<Event>,
) -> Option<Vec<Event>> {
    let mut reached = since.clone();
    let mut kept = Vec::with_capacity(events.len());
    for event in events {
        if let Stream::Room(room) = &event.stream
            && let Some(seq) = reached.get_mut(room)
        {
            if event.seq <= *seq {
                continue;
            }
            if event.seq != *seq + 1 {
                return None;
            }
            *seq = event.seq;
        }
        kept.push(event);
    }
    let lacks = |room: &Arc<Room>| reached.get(&room.id).is_some_and(|seq| *seq < room.last_seq);
    (!rooms.iter().any(lacks)).then_some(kept)
}

/// Leaves out what happened in a room before the user came in: a live connection heard the room from then on.
fn heard_by(user: &UserId, events: Vec<Event>) -> Vec<Event> {
    let mut inside: HashMap<RoomId, bool> = HashMap::new();
    for event in &events {
        if let (Stream::Room(room), Some(came)) = (&event.stream, coming(user, &event.fact)) {
            // Who comes in first was out before.
            inside.entry(room.clone()).or_insert(!came);
        }
    }
    let mut heard = Vec::with_capacity(events.len());
    for event in events {
        let Stream::Room(room) = &event.stream else {
            heard.push(event);
            continue;
        };
        let Some(inside) = inside.get_mut(room) else {
            heard.push(event);
            continue;
        };
        let change = coming(user, &event.fact);
        let was_inside = *inside;
        if let Some(came) = change {
            *inside = came;
        }
        if was_inside || *inside {
            heard.push(event);
        }
    }
    heard
}

/// Whether the user comes into the room with an event, or goes.
fn coming(user: &UserId, fact: &Fact) -> Option<bool> {
    if let Fact::MemberJoined { member, .. } = fact {
        return (member.id == *user).then_some(true);
    }
    if let Fact::MemberLeft { user: gone, .. } = fact {
        return (gone == user).then_some(false);
    }
    None
}

/// What a connection missed that hears the rooms it has opened; they are heard again when this returns.
/// `None`, with nothing subscribed, when the log cannot tell it all.
pub(super) async fn of_open_rooms(
    door: &ChatSockets,
    (peer, dialect): (&Peer, Dialect),
    actor: &Actor,
    claim: &Claim,
) -> Result<Option<Missed>, Failure> {
    let connection = connection_id(claim);
    let open = door.open_rooms.open_rooms(&connection, actor).await?;
    let age = now(door).since_ms(claim.pid.issued_at);
    let forgotten = open.is_empty() && age >= door.open_rooms_kept_ms;
    if forgotten || open.len() >= OPEN_ROOMS_MAX {
        // Which rooms it had opened is no longer known.
        return Ok(None);
    }
    let shows = door.dialects.vocabulary(dialect).is_some_and(|v| v.spells("room.history"));
    let (reopened, open): (Vec<_>, Vec<_>) =
        open.into_iter().partition(|room| shows && room.shown > claim.seen.place);
    let topics = open.iter().map(|open| topics::room(&open.room)).collect();
    if !peer.hub.subscribe_many(peer.id, dialect, topics).await {
        return Err(failure::not_heard_yet());
    }
    let rooms: Vec<RoomId> = open.iter().map(|open| open.room.clone()).collect();
    let after = claim.seen.floor().saturating_sub(1);
    let read = || door.house.chat.events_of(actor, &rooms, after, CATCH_UP_MAX);
    let Some(LogPage { mut events, next, .. }) = whole(door, read).await? else {
        let topics = rooms.iter().map(topics::room).collect();
        peer.hub.unsubscribe(peer.id, dialect, topics).await;
        return Ok(None);
    };
    let seen_last = take_seen(&mut events, claim);
    let heads = heads(&events, &topics::user_by_room(&actor.tenant, &actor.user));
    let shown: HashMap<&RoomId, u64> =
        open.iter().map(|open| (&open.room, open.after_seq)).collect();
    events.retain(|event| match &event.stream {
        Stream::Room(room) => shown.get(room).is_some_and(|after| event.seq > *after),
        Stream::User(_) => true,
    });
    leave_out_sent(&mut events, claim, seen_last.as_ref());
    let sent = sent_before(claim);
    Ok(Some(Missed { events, seen_last, up_to: next, heads, reopened, sent }))
}

/// How the store knows a connection.
pub(super) fn connection_id(claim: &Claim) -> ConnectionId {
    ConnectionId::trusted(SocketKey::of(&claim.pid).to_string())
}

/// Sends what was missed, no faster than the connection takes it, then lets the live events through.
pub(super) async fn replay(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    missed: Missed,
) {
    let dialect = socket.dialect();
    for page in missed.events.chunks(catch_up::PACE_FRAMES) {
        if !catch_up::keeps_up(peer).await {
            return;
        }
        for event in page {
            let place = Place { pos: event.pos, nth: 0 };
            let spoken = (Subject::Event(event), Some(Spot { place, sent: &missed.sent }));
            let frame = door.dialects.frame(dialect, event.fact.name(), spoken, event.at);
            if let Some(frame) = frame {
                peer.send(frame).await;
            }
        }
    }
    let seen = std::mem::replace(&mut socket.shown, Place { pos: missed.up_to, nth: 0 });
    socket.shown = socket.shown.max(seen);
    let mut told = missed.heads;
    for open in missed.reopened {
        match joining::show_again(door, peer, socket, (&open, seen)).await {
            Ok(head) => told.push((topics::room(&open.room), head)),
            Err(failure) => {
                let room = &open.room;
                tracing::warn!(%room, code = failure.code, "a room could not be opened again");
            }
        }
    }
    peer.hub.resume(peer.id, dialect, told).await;
}

#[cfg(test)]
mod tests;
