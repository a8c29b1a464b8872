//! What a client missed, in order, each event once.

use mynah_domain::RoomId;
use mynah_domain::chat::ChatError;
use mynah_domain::event::Event;
use mynah_domain::permission::Denied;

use super::{ChatSocket, ChatSockets, now};
use crate::engine_io::Peer;
use crate::topics;
use crate::vocabulary::field::Subject;

/// Sends the events of a held room after `since`, then lets the live ones through.
pub(super) async fn replay(
    door: &ChatSockets,
    peer: &Peer,
    socket: &ChatSocket,
    room: &RoomId,
    since: u64,
) {
    let caught = door.house.chat.catch_up(&socket.who.actor, room, since).await;
    let head = match caught {
        Ok(caught) if !caught.gap && last_seq(&caught.events, since) == caught.head_seq => {
            for event in &caught.events {
                let subject = Subject::Event(event);
                let name = event.fact.name();
                if let Some(frame) = door.dialects.frame(socket.dialect, name, subject, event.at) {
                    peer.send(frame).await;
                }
            }
            caught.head_seq
        }
        Ok(caught) => {
            resync(door, peer, socket, room).await;
            caught.head_seq
        }
        Err(error) => {
            tracing::warn!(%room, %error, "catching up failed");
            resync(door, peer, socket, room).await;
            since
        }
    };
    peer.hub.release(peer.id, socket.dialect, topics::room(room), head).await;
}

fn last_seq(events: &[Event], since: u64) -> u64 {
    events.last().map_or(since, |event| event.seq)
}

/// Tells the client that its picture of a room cannot be completed by events: read it anew.
async fn resync(door: &ChatSockets, peer: &Peer, socket: &ChatSocket, room: &RoomId) {
    let Ok(view) = door.house.chat.room(&socket.who.actor, room).await else { return };
    let subject = Subject::Room(&view.room);
    if let Some(frame) = door.dialects.frame(socket.dialect, "room.resync", subject, now(door)) {
        peer.send(frame).await;
    }
}

/// What a `sync` request is answered with.
pub(super) struct Synced {
    pub(super) events: Vec<Event>,
    pub(super) next: Vec<(RoomId, u64)>,
    pub(super) gaps: Vec<RoomId>,
}

/// Reads what was missed of several rooms, at most a page in all; `next` says where to go on.
pub(super) async fn sync(
    door: &ChatSockets,
    socket: &ChatSocket,
    since: Vec<(RoomId, u64)>,
) -> Result<Synced, ChatError> {
    let mut synced = Synced { events: Vec::new(), next: Vec::new(), gaps: Vec::new() };
    for (room, seq) in since {
        if synced.events.len() >= mynah_domain::chat::CATCH_UP_MAX as usize {
            synced.next.push((room, seq));
            continue;
        }
        match door.house.chat.catch_up(&socket.who.actor, &room, seq).await {
            Ok(caught) if caught.gap => {
                synced.next.push((room.clone(), caught.head_seq));
                synced.gaps.push(room);
            }
            Ok(caught) => {
                synced.next.push((room, last_seq(&caught.events, seq)));
                synced.events.extend(caught.events);
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
