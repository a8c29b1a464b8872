//! Commands become use cases, one each, and their outcome an answer.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use mynah_domain::chat::RoomWish;
use mynah_domain::message::{Anchor, Appended, Draft, Message, Position, ReadCursor};
use mynah_domain::permission::Operation;
use mynah_domain::room::{MembershipChange, Room};
use mynah_domain::{RoomId, UserId};
use mynah_hub::Start;

use super::{ChatSocket, ChatSockets, ack_frame, acknowledge, catch_up, now};
use crate::engine_io::Peer;
use crate::socket_io::{Incoming, Outgoing, Working};
use crate::topics;
use crate::vocabulary::Audience;
use crate::vocabulary::command::Command;
use crate::vocabulary::field::{Failure, Presence, Scope, Subject};
use crate::vocabulary::template::Template;

/// The outcome of a command.
pub(super) enum Reply {
    Sent(Appended),
    Message(Message),
    Room(Arc<Room>),
    Standing(RoomId, UserId),
    InRoom(RoomId),
    Read(ReadCursor),
    Presences(Vec<Presence>),
    Synced(catch_up::Synced),
    Done,
}

impl Reply {
    fn subject(&self) -> Subject<'_> {
        match self {
            Self::Sent(sent) => Subject::Sent(&sent.message, sent.replayed),
            Self::Message(message) => Subject::Message(message),
            Self::Room(room) => Subject::Room(room),
            Self::Standing(room, user) => Subject::Standing(room, user),
            Self::InRoom(room) => Subject::InRoom(room),
            Self::Read(cursor) => Subject::Read(cursor),
            Self::Presences(users) => Subject::Presences(users),
            Self::Synced(s) => Subject::Sync(&s.events, &s.next, &s.gaps),
            Self::Done => Subject::Done,
        }
    }

    /// The acknowledgement, if one was asked for.
    pub(super) fn outgoing(
        &self,
        door: &ChatSockets,
        socket: &ChatSocket,
        id: Option<u64>,
        ack: &Template,
    ) -> Outgoing {
        acknowledge(socket, id, ack, &door.scope(socket, self.subject()))
    }
}

/// Begins a send: it is queued with the store before this returns, so that sends of one socket keep
/// their order while several are under way.
pub(super) fn send(
    door: &ChatSockets,
    socket: &ChatSocket,
    incoming: &Incoming,
    room: RoomId,
    draft: Draft,
) -> Working {
    let door = door.clone();
    let (who, dialect) = (Arc::clone(&socket.who), socket.dialect);
    let (namespace, id) = (socket.namespace.clone(), incoming.ack);
    let event = incoming.event.clone();
    let mut working: Working = Box::pin(async move {
        let outcome = door.house.chat.send_message(&who.actor, room, draft).await;
        let Some(vocabulary) = door.dialects.vocabulary(dialect) else { return Vec::new() };
        let at = now(&door);
        match outcome {
            Ok(sent) => {
                let (Some(id), Some(rule)) = (id, vocabulary.inbound(&event)) else {
                    return Vec::new();
                };
                let mut json = Vec::with_capacity(512);
                let subject = Subject::Sent(&sent.message, sent.replayed);
                rule.ack.render(&Scope { subject, at, vocabulary }, &mut json);
                vec![ack_frame(&namespace, id, &json)]
            }
            Err(error) => {
                let failure = Failure::from(error);
                let subject = Subject::Error(&failure, &event, None);
                let mut outgoing = Vec::with_capacity(2);
                if let Some(id) = id {
                    let mut json = Vec::new();
                    vocabulary.error.ack.render(&Scope { subject, at, vocabulary }, &mut json);
                    outgoing.push(ack_frame(&namespace, id, &json));
                }
                outgoing.extend(door.dialects.error_frame(dialect, subject, at));
                outgoing
            }
        }
    });
    // The first poll puts the write into the store's queue; its end is waited for elsewhere.
    match working.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outgoing) => Box::pin(std::future::ready(outgoing)),
        Poll::Pending => working,
    }
}

/// Runs a command to its end.
pub(super) async fn execute(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    command: Command,
) -> Result<Reply, Failure> {
    let who = Arc::clone(&socket.who);
    let (chat, actor) = (&door.house.chat, &who.actor);
    Ok(match command {
        Command::SendMessage { room, draft } => {
            Reply::Sent(chat.send_message(actor, room, draft).await?)
        }
        Command::EditMessage { message, content } => {
            Reply::Message(chat.edit_message(actor, &message, content).await?)
        }
        Command::DeleteMessage { message } => {
            Reply::Message(chat.delete_message(actor, &message).await?)
        }
        Command::JoinRoom { room } => Reply::Room(join(door, peer, socket, room).await?),
        Command::LeaveRoom { room } => leave(door, socket, room).await?,
        Command::CreateRoom { name, kind, visibility, topic, members } => {
            let wish = RoomWish { kind, visibility, name, topic, members };
            Reply::Room(chat.create_room(actor, wish).await?.view.room)
        }
        Command::InviteMember { room, user } => {
            let change = MembershipChange::Invite { user: user.clone() };
            chat.change_membership(actor, &room, change).await?;
            Reply::Standing(room, user)
        }
        Command::KickMember { room, user } => {
            let change = MembershipChange::Kick { user: user.clone() };
            chat.change_membership(actor, &room, change).await?;
            Reply::Standing(room, user)
        }
        Command::MarkRead { room, to } => mark_read(door, socket, room, to).await?,
        Command::Typing { room, is_typing } => {
            chat.may(actor, Operation::ShowTyping, &room).await?;
            let spelling = door.vocabulary(socket).outbound("typing");
            let others = spelling.is_some_and(|rule| rule.audience == Audience::Others);
            let origin = others.then_some(peer.id);
            door.house.live.typing_from(origin, &who.profile, &room, is_typing).await;
            socket.typing_in = is_typing.then_some(room);
            Reply::Done
        }
        Command::QueryPresence { users, room } => presences(door, socket, users, room).await?,
        Command::Sync { since } => Reply::Synced(catch_up::sync(door, socket, since).await?),
        Command::Ping => Reply::Done,
    })
}

/// Becomes a member if need be, hears the room, and is shown its history where the vocabulary says so:
/// live events wait until the history is out, so there is no hole and no repeat.
async fn join(
    door: &ChatSockets,
    peer: &Peer,
    socket: &ChatSocket,
    room: RoomId,
) -> Result<Arc<Room>, Failure> {
    let actor = &socket.who.actor;
    let vocabulary = door.vocabulary(socket);
    if vocabulary.auto_join && !vocabulary.spells("room.history") {
        // The dispatcher subscribes all the user's sockets of this kind, in commit order.
        let changed =
            door.house.chat.change_membership(actor, &room, MembershipChange::Join).await?;
        return Ok(changed.room);
    }
    let changed = door.house.chat.change_membership(actor, &room, MembershipChange::Join).await?;
    let topic = topics::room(&room);
    peer.hub.subscribe(peer.id, socket.dialect, topic.clone(), Start::Held).await;
    let history = match door.house.chat.history(actor, &room, Anchor::Latest, None).await {
        Ok(history) => history,
        Err(error) => {
            // Removed in this very moment, or the store failed: hear nothing.
            peer.hub.unsubscribe(peer.id, socket.dialect, vec![topic]).await;
            return Err(error.into());
        }
    };
    let opened = Subject::Room(&changed.room);
    let shown = Subject::History(&room, &history);
    for (fact, subject) in [("room.opened", opened), ("room.history", shown)] {
        if let Some(frame) = door.dialects.frame(socket.dialect, fact, subject, now(door)) {
            peer.send(frame).await;
        }
    }
    peer.hub.release(peer.id, socket.dialect, topic, history.head_seq).await;
    Ok(changed.room)
}

/// The dispatcher ends the subscriptions, after the news of it.
async fn leave(door: &ChatSockets, socket: &ChatSocket, room: RoomId) -> Result<Reply, Failure> {
    let change = MembershipChange::Leave;
    door.house.chat.change_membership(&socket.who.actor, &room, change).await?;
    Ok(Reply::InRoom(room))
}

async fn mark_read(
    door: &ChatSockets,
    socket: &ChatSocket,
    room: Option<RoomId>,
    to: Option<Position>,
) -> Result<Reply, Failure> {
    let (chat, actor) = (&door.house.chat, &socket.who.actor);
    let room = match (room, &to) {
        (Some(room), _) => room,
        (None, Some(Position::Message(message))) => chat.message(actor, message).await?.room,
        (None, _) => return Err(crate::failure::invalid(Vec::new())),
    };
    let cursor = chat.mark_read(actor, room, to).await?;
    door.house.live.read_moved(&cursor).await;
    Ok(Reply::Read(cursor))
}

/// Only people of rooms the asker is in can be asked about by room; by id anybody of the tenant.
async fn presences(
    door: &ChatSockets,
    socket: &ChatSocket,
    mut users: Vec<UserId>,
    room: Option<RoomId>,
) -> Result<Reply, Failure> {
    let actor = &socket.who.actor;
    if let Some(room) = room {
        let page = door.house.chat.members(actor, &room, 0, Some(100)).await?;
        users.extend(page.items.into_iter().map(|member| member.membership.user));
    }
    let answer = users.iter().map(|user| door.house.live.presence(&actor.tenant, user)).collect();
    Ok(Reply::Presences(answer))
}

impl ChatSockets {
    /// Whether an event is a plain send, which may be worked on together with others.
    pub(super) fn is_send(&self, socket: &ChatSocket, incoming: &Incoming) -> bool {
        let rule = self.vocabulary(socket).inbound(&incoming.event);
        rule.is_some_and(|r| r.command == crate::vocabulary::command::CommandKind::SendMessage)
    }
}
