//! What a client missed, in order, each event once.

use std::time::Duration;

use mynah_domain::RoomId;
use mynah_domain::chat::{CATCH_UP_MAX, ChatError};
use mynah_domain::event::{Event, Fact};
use mynah_domain::permission::{Actor, Denied};
use mynah_domain::recovery::LogEpoch;
use mynah_hub::CloseReason;

use super::enter::seen_in;
use super::{ChatSocket, ChatSockets, now};
use crate::engine_io::Peer;
use crate::topics;
use crate::vocabulary::field::Subject;

/// Frames sent before looking whether the connection keeps up.
pub(super) const PACE_FRAMES: usize = 64;
/// How long a connection may take for that; below the time in which a ping must be answered.
const PACE_TIME_MAX: Duration = Duration::from_secs(15);

/// The store could not say what was missed.
const UNREADABLE: CloseReason = CloseReason::Named("what was missed could not be read");

/// Sends the events of a room after `since` while the connection is held, no faster than it takes them; gives
/// the head up to which the room is told. `None` when the connection is over or does not hear the room.
pub(super) async fn replay(
    door: &ChatSockets,
    peer: &Peer,
    socket: &ChatSocket,
    (room, since): (&RoomId, u64),
) -> Option<u64> {
    let actor = &socket.person.as_ref()?.who.actor;
    let caught = door.house.chat.catch_up(actor, room, since, CATCH_UP_MAX).await;
    match caught {
        Ok(caught) if !caught.gap && last_seq(&caught.events, since) == caught.head_seq => {
            for page in caught.events.chunks(PACE_FRAMES) {
                if !keeps_up(peer).await {
                    return None;
                }
                for event in page {
                    let (spoken, name) = ((Subject::Event(event), None), event.fact.name());
                    let frame = door.dialects.frame(socket.dialect(), name, spoken, event.at);
                    if let Some(frame) = frame {
                        peer.send(frame).await;
                    }
                }
            }
            Some(caught.head_seq)
        }
        Ok(_) => resync(door, peer, socket, room).await,
        Err(ChatError::Denied(_)) => {
            peer.hub.unsubscribe(peer.id, socket.dialect(), vec![topics::room(room)]).await;
            None
        }
        Err(error) => {
            tracing::warn!(%room, %error, "catching up failed");
            resync(door, peer, socket, room).await
        }
    }
}

/// Waits until most of what was sent is on its way; `false` when the session is over. A peer that takes too
/// long is ended: it comes back with what it has got, and goes on from there.
pub(super) async fn keeps_up(peer: &Peer) -> bool {
    if let Ok(alive) = tokio::time::timeout(PACE_TIME_MAX, peer.hub.drained(peer.id)).await {
        return alive;
    }
    peer.end(CloseReason::SlowConsumer).await;
    false
}

fn last_seq(events: &[Event], since: u64) -> u64 {
    events.last().map_or(since, |event| event.seq)
}

/// Tells the client that its picture of a room cannot be completed by events: read it anew; gives the head that it is
/// told of, as whatever is before comes with that reading. If that cannot be told either, the connection ends: it comes
/// back, and no hole stays unnoticed.
async fn resync(
    door: &ChatSockets,
    peer: &Peer,
    socket: &ChatSocket,
    room: &RoomId,
) -> Option<u64> {
    let person = socket.person.as_ref()?;
    let Ok(view) = door.house.chat.room(&person.who.actor, room).await else {
        peer.end(UNREADABLE).await;
        return None;
    };
    let spoken = (Subject::Room(&view.room), None);
    if let Some(frame) = door.dialects.frame(socket.dialect(), "room.resync", spoken, now(door)) {
        peer.send(frame).await;
    }
    Some(view.room.last_seq)
}

/// What a `sync` request is answered with.
pub(super) struct Synced {
    pub(super) events: Vec<Event>,
    pub(super) next: Vec<(RoomId, u64)>,
    pub(super) gaps: Vec<RoomId>,
    pub(super) epoch: LogEpoch,
}

/// Most bytes of message texts in one answer.
const SYNC_TEXT_BYTES_MAX: usize = 256 * 1024;

/// Reads what was missed of several rooms, at most a page in all; `next` says where to go on.
pub(super) async fn sync(
    door: &ChatSockets,
    actor: &Actor,
    (since, named): (Vec<(RoomId, u64)>, Option<String>),
) -> Result<Synced, ChatError> {
    let epoch = door.house.log_epoch();
    let mut synced = Synced { events: Vec::new(), next: Vec::new(), gaps: Vec::new(), epoch };
    let mut bytes_left = SYNC_TEXT_BYTES_MAX;
    for (room, seq) in seen_in(epoch, named.as_deref(), since) {
        let places = CATCH_UP_MAX.saturating_sub(synced.events.len() as u32);
        if places == 0 || bytes_left == 0 {
            synced.next.push((room, seq));
            continue;
        }
        match door.house.chat.catch_up(actor, &room, seq, places).await {
            Ok(caught) if caught.gap => {
                synced.next.push((room.clone(), caught.head_seq));
                synced.gaps.push(room);
            }
            Ok(caught) => {
                let mut next = seq;
                for event in caught.events {
                    if bytes_left == 0 {
                        break;
                    }
                    bytes_left = bytes_left.saturating_sub(text_bytes(&event));
                    next = event.seq;
                    synced.events.push(event);
                }
                synced.next.push((room, next));
            }
            // Rooms the client has left meanwhile, or that never were: nothing can be told.
            Err(ChatError::Denied(Denied::Hidden | Denied::NotMember | Denied::Banned)) => {
                synced.gaps.push(room);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(synced)
}

fn text_bytes(event: &Event) -> usize {
    if let Fact::MessageCreated { message } | Fact::MessageUpdated { message } = &event.fact {
        return message.content.len() + message.metadata.as_ref().map_or(0, String::len);
    }
    0
}
