//! Opening a room on a socket that hears rooms one by one.

use std::sync::Arc;

use mynah_domain::ConnectionId;
use mynah_domain::RoomId;
use mynah_domain::message::{Anchor, History};
use mynah_domain::recovery::{OpenRoom, Place};
use mynah_domain::room::{MembershipChange, Room};

use super::{ChatSocket, ChatSockets, now};
use crate::engine_io::Peer;
use crate::topics;
use crate::vocabulary::field::{Failure, Subject};
use crate::vocabulary::tail::Spot;

/// Becomes a member if need be, hears the room, and is shown its history where the vocabulary says so.
///
/// Everything else waits while the history is read and sent: what a client is sent follows the log, so that
/// the last place it has seen says all of what it has.
pub(super) async fn join(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    room: RoomId,
) -> Result<Arc<Room>, Failure> {
    let actor = socket.person()?.who.actor.clone();
    let vocabulary = door.vocabulary(socket);
    let everywhere = vocabulary.auto_join;
    let changed = door.house.chat.change_membership(&actor, &room, MembershipChange::Join).await?;
    if everywhere && !vocabulary.spells("room.history") {
        // The dispatcher subscribes all the user's sockets of this kind, in commit order.
        return Ok(changed.room);
    }
    // Read before anything is kept back: everything it covers has been sent.
    let sent = door.house.reached.text();
    let Some(pos) = peer.hub.hold(peer.id, socket.dialect()).await else {
        return Ok(changed.room);
    };
    let place = Place { pos, nth: 0 };
    let opened =
        open(door, peer, socket, (&changed.room, place.max(socket.shown), false), &sent).await;
    let after = opened.as_ref().ok().map(|head| (topics::room(&room), *head));
    // What was kept back of other rooms goes on in any case.
    peer.hub.resume(peer.id, socket.dialect(), after.into_iter().collect()).await;
    opened.map(|_| changed.room)
}

/// Shows a room again whose history was sent to a connection that died before it arrived. What the client has
/// `seen` says whether it was told of the opening.
pub(super) async fn show_again(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    (open_room, seen): (&OpenRoom, Place),
) -> Result<u64, Failure> {
    let view = door.house.chat.room(&socket.person()?.who.actor, &open_room.room).await?;
    let OpenRoom { shown, .. } = open_room;
    let is_told = seen.pos == shown.pos && seen.nth + 1 == shown.nth;
    let after = socket.shown;
    open(door, peer, socket, (&view.room, after, is_told), "").await
}

/// Subscribes, notes and shows a room while the socket is held; gives the room's head.
async fn open(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    (room, after, is_told): (&Arc<Room>, Place, bool),
    sent: &str,
) -> Result<u64, Failure> {
    let (dialect, topic) = (socket.dialect(), topics::room(&room.id));
    peer.hub.subscribe(peer.id, dialect, topic.clone()).await;
    let outcome = read_and_note(door, socket, room, after).await;
    let (history, [opened_at, shown_at]) = match outcome {
        Ok(read) => read,
        Err(failure) => {
            // Removed in this very moment, or the store failed: hear nothing.
            peer.hub.unsubscribe(peer.id, dialect, vec![topic]).await;
            return Err(failure);
        }
    };
    let opened = ("room.opened", Subject::Room(room), opened_at);
    let shown = ("room.history", Subject::History(&room.id, &history), shown_at);
    for (fact, subject, place) in [opened, shown].into_iter().skip(usize::from(is_told)) {
        let spoken = (subject, Some(Spot { place, sent }));
        if let Some(frame) = door.dialects.frame(dialect, fact, spoken, now(door)) {
            peer.send(frame).await;
        }
    }
    Ok(history.head_seq)
}

async fn read_and_note(
    door: &ChatSockets,
    socket: &mut ChatSocket,
    room: &Arc<Room>,
    after: Place,
) -> Result<(History, [Place; 2]), Failure> {
    let actor = &socket.person()?.who.actor;
    let history = door.house.chat.history(actor, &room.id, Anchor::Latest, None).await?;
    let places = [1, 2].map(|step| Place { nth: after.nth + step, ..after });
    let [_, shown] = places;
    if socket.origin.is_some() && !door.vocabulary(socket).auto_join {
        let connection = ConnectionId::trusted(&*socket.sid);
        let open = OpenRoom { room: room.id.clone(), after_seq: history.head_seq, shown };
        door.open_rooms.open_room(&connection, actor, open, now(door)).await?;
    }
    socket.shown = shown;
    Ok((history, places))
}
