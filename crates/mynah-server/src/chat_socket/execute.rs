//! Commands become use cases, one each, and their outcome an answer.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use mynah_domain::chat::RoomWish;
use mynah_domain::message::{Appended, Draft, Message, Position, ReadCursor};
use mynah_domain::permission::{Actor, Operation};
use mynah_domain::room::{MembershipChange, Room};
use mynah_domain::{RoomId, Timestamp, UserId};

use super::retries::{self, Answered};
use super::{ChatSocket, ChatSockets, ack_frame, acknowledge, catch_up, credentials, joining, now};
use crate::engine_io::Peer;
use crate::socket_io::{Incoming, Outgoing, Working};
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
    Expiring(Timestamp),
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
            Self::Synced(s) => Subject::Sync(&s.events, &s.next, &s.gaps, s.epoch),
            Self::Expiring(at) => Subject::Expiring(*at),
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
    socket: &mut ChatSocket,
    incoming: &Incoming,
    room: RoomId,
    mut draft: Draft,
) -> Result<Working, Failure> {
    let door = door.clone();
    let (who, dialect) = (Arc::clone(&socket.person()?.who), socket.dialect());
    let (wire, namespace, id) = (socket.wire(), socket.namespace.clone(), incoming.ack);
    let event = incoming.event.clone();
    let repeatable = make_repeatable(socket, incoming, &mut draft);
    let mut working: Working = Box::pin(async move {
        let outcome = door.house.chat.send_message(&who.actor, room, draft).await;
        if let Some((answered, began)) = repeatable {
            retries::answered(&answered, began);
        }
        let Some(vocabulary) = door.dialects.vocabulary(dialect) else { return Vec::new() };
        let at = now(&door);
        match outcome {
            Ok(sent) => {
                let (Some(id), Some(rule)) = (id, vocabulary.inbound(&event)) else {
                    return Vec::new();
                };
                let mut json = Vec::with_capacity(512);
                let subject = Subject::Sent(&sent.message, sent.replayed);
                rule.ack.render(&Scope::new(subject, at, vocabulary), &mut json);
                vec![ack_frame(wire, &namespace, id, &json)]
            }
            Err(error) => {
                let failure = Failure::from(error);
                let subject = Subject::Error(&failure, &event, None);
                let mut outgoing = Vec::with_capacity(2);
                if let Some(id) = id {
                    let mut json = Vec::new();
                    vocabulary.error.ack.render(&Scope::new(subject, at, vocabulary), &mut json);
                    outgoing.push(ack_frame(wire, &namespace, id, &json));
                }
                outgoing.extend(door.dialects.error_frame(dialect, subject, at));
                outgoing
            }
        }
    });
    // The first poll puts the write into the store's queue; its end is waited for elsewhere.
    Ok(match working.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outgoing) => Box::pin(std::future::ready(outgoing)),
        Poll::Pending => working,
    })
}

/// Gives a send without a client id one by which a repeat is known.
fn make_repeatable(
    socket: &mut ChatSocket,
    incoming: &Incoming,
    draft: &mut Draft,
) -> Option<(Answered, Instant)> {
    if draft.client_id.is_some() {
        return None;
    }
    let derived = retries::derive(socket.origin?, incoming.ack?, incoming);
    let began = Instant::now();
    let (client_id, answered) = socket.retries.get_or_insert_default().id_for(derived, began);
    draft.client_id = Some(client_id);
    Some((answered, began))
}

/// Runs a command to its end.
pub(super) async fn execute(
    door: &ChatSockets,
    peer: &Peer,
    socket: &mut ChatSocket,
    command: Command,
) -> Result<Reply, Failure> {
    if let Command::Authenticate { token, user } = &command {
        let shown = (token.as_str(), user.as_deref());
        return credentials::authenticate(door, peer, socket, shown).await.map(Reply::Expiring);
    }
    let who = Arc::clone(&socket.person()?.who);
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
        Command::JoinRoom { room } => Reply::Room(joining::join(door, peer, socket, room).await?),
        Command::LeaveRoom { room } => leave(door, actor, room).await?,
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
        Command::MarkRead { room, to } => mark_read(door, actor, room, to).await?,
        Command::Typing { room, is_typing } => {
            chat.may(actor, Operation::ShowTyping, &room).await?;
            let spelling = door.vocabulary(socket).outbound("typing");
            let others = spelling.is_some_and(|rule| rule.audience == Audience::Others);
            let origin = others.then_some(peer.id);
            door.house.live.typing_from(origin, &who.profile, &room, is_typing).await;
            if let Some(person) = &mut socket.person {
                person.typing_in = is_typing.then_some(room);
            }
            Reply::Done
        }
        Command::QueryPresence { users, room } => presences(door, actor, users, room).await?,
        Command::Sync { since, epoch } => {
            Reply::Synced(catch_up::sync(door, actor, (since, epoch)).await?)
        }
        Command::Ping | Command::Authenticate { .. } => Reply::Done,
    })
}

/// The dispatcher ends the subscriptions, after the news of it.
async fn leave(door: &ChatSockets, actor: &Actor, room: RoomId) -> Result<Reply, Failure> {
    let change = MembershipChange::Leave;
    door.house.chat.change_membership(actor, &room, change).await?;
    Ok(Reply::InRoom(room))
}

async fn mark_read(
    door: &ChatSockets,
    actor: &Actor,
    room: Option<RoomId>,
    to: Option<Position>,
) -> Result<Reply, Failure> {
    let chat = &door.house.chat;
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
    actor: &Actor,
    mut users: Vec<UserId>,
    room: Option<RoomId>,
) -> Result<Reply, Failure> {
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
