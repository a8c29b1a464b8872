//! Rooms, messages and the journal in memory, as far as the doors' tests need them.

use std::sync::Arc;

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{CatchUp, Event, Fact, LogPage, Stream};
use mynah_domain::message::{
    Anchor, Appended, History, Message, MoveReadCursor, NewMessage, Position, ReadBy, ReadCursor,
    Revision,
};
use mynah_domain::page::Page;
use mynah_domain::permission::{Access, Actor, Denied, Guard};
use mynah_domain::ports::{JournalStore, MessageStore, RoomStore, StoreError};
use mynah_domain::room::{
    Member, MemberState, Membership, MembershipChange, MembershipChanged, NewRoom, Profile, Role,
    Room, RoomCreated, RoomListItem, RoomPatch, RoomView,
};
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};

use super::{Stored, World};

impl Stored {
    fn write(&self) -> Result<(), StoreError> {
        self.fails.clone().map_or(Ok(()), Err)
    }

    fn member(&self, room: &RoomId, user: &UserId) -> Option<&Membership> {
        self.members.iter().find(|m| m.room == *room && m.user == *user)
    }

    fn profile(&self, user: &UserId) -> Option<Arc<Profile>> {
        let (user, _) = self.users.iter().find(|(u, _)| u.id == *user)?;
        let (id, username, name) = (user.id.clone(), user.username.clone(), user.name.clone());
        Some(Arc::new(Profile { id, username, name }))
    }

    fn guarded(
        &self,
        guard: &Guard,
        room: &RoomId,
        author: Option<&UserId>,
    ) -> Result<usize, Denied> {
        let place = self.rooms.iter().position(|r| r.id == *room).ok_or(Denied::Hidden)?;
        let membership = self.member(room, &guard.actor.user);
        guard.check(&Access { room: &self.rooms[place], membership, author, target: None })?;
        Ok(place)
    }

    fn guarded_message(&self, guard: &Guard, id: &MessageId) -> Result<usize, ChatError> {
        let place = self.messages.iter().position(|m| m.id == *id);
        let place = place.ok_or(ChatError::MissingMessage)?;
        let message = &self.messages[place];
        match self.guarded(guard, &message.room, Some(&message.sender.id)) {
            Ok(_) => Ok(place),
            Err(Denied::Hidden | Denied::NotMember) => Err(ChatError::MissingMessage),
            Err(other) => Err(other.into()),
        }
    }

    fn join(&mut self, room: &RoomId, user: &UserId, role: Role, state: MemberState) {
        self.members.retain(|m| m.room != *room || m.user != *user);
        self.members.push(Membership {
            room: room.clone(),
            user: user.clone(),
            state,
            role,
            joined_at: Timestamp(super::NOW),
            last_read_seq: 0,
            last_read_number: 0,
            last_read_at: None,
        });
    }

    fn log_page(
        &self,
        viewer: &Actor,
        wanted: impl Fn(&RoomId) -> bool,
        (after_pos, limit): (u64, u32),
    ) -> LogPage {
        let sees = |event: &&Event| match &event.stream {
            Stream::Room(room) => wanted(room) && self.member(room, &viewer.user).is_some(),
            Stream::User(user) => *user == viewer.user,
        };
        let after = self.events.iter().filter(|e| e.pos > after_pos).filter(sees);
        let mut events: Vec<Event> = after.take(limit as usize + 1).cloned().collect();
        let more = events.len() > limit as usize;
        events.truncate(limit as usize);
        let next = events.last().map_or(after_pos, |e| e.pos);
        LogPage { events, next, gap: false, more }
    }

    fn page<T: Clone>(all: &[T], offset: u64, limit: u32) -> Page<T> {
        let items: Vec<T> =
            all.iter().skip(offset as usize).take(limit as usize).cloned().collect();
        let end = offset + items.len() as u64;
        Page { items, next: (end < all.len() as u64).then_some(end) }
    }
}

#[async_trait]
impl RoomStore for World {
    async fn create_room(&self, new: NewRoom) -> Result<RoomCreated, ChatError> {
        let mut stored = self.stored.lock();
        stored.write()?;
        if let Some(missing) = new.members.iter().find(|m| stored.profile(m).is_none()) {
            return Err(ChatError::MissingUser(missing.clone()));
        }
        let room = Room {
            id: new.id,
            tenant: new.tenant,
            kind: new.kind,
            visibility: new.visibility,
            name: new.name,
            topic: new.topic,
            created_by: new.created_by.clone(),
            member_count: 1 + new.members.len() as u64,
            last_seq: 0,
            last_number: 0,
            created_at: new.at,
            updated_at: new.at,
            deleted_at: None,
        };
        stored.rooms.push(room.clone());
        stored.join(&room.id, &new.created_by, Role::Owner, MemberState::Joined);
        for member in &new.members {
            stored.join(&room.id, member, Role::Member, MemberState::Joined);
        }
        let membership = stored.member(&room.id, &new.created_by).cloned();
        let view = RoomView { room: Arc::new(room), membership };
        Ok(RoomCreated { view, existing: false })
    }

    async fn update_room(
        &self,
        guard: Guard,
        room: &RoomId,
        patch: RoomPatch,
        at: Timestamp,
    ) -> Result<Room, ChatError> {
        let mut stored = self.stored.lock();
        let place = stored.guarded(&guard, room, None)?;
        let room = &mut stored.rooms[place];
        room.name = patch.name.or_else(|| room.name.clone());
        room.topic = patch.topic.or_else(|| room.topic.clone());
        room.updated_at = at;
        Ok(room.clone())
    }

    async fn delete_room(
        &self,
        guard: Guard,
        room: &RoomId,
        at: Timestamp,
    ) -> Result<(), ChatError> {
        let mut stored = self.stored.lock();
        let place = stored.guarded(&guard, room, None)?;
        stored.rooms[place].deleted_at = Some(at);
        Ok(())
    }

    async fn room(&self, viewer: &Actor, room: &RoomId) -> Result<Option<RoomView>, StoreError> {
        let stored = self.stored.lock();
        Ok(stored.rooms.iter().find(|r| r.id == *room).map(|found| RoomView {
            room: Arc::new(found.clone()),
            membership: stored.member(room, &viewer.user).cloned(),
        }))
    }

    async fn rooms_of(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        let stored = self.stored.lock();
        let lines: Vec<RoomListItem> = stored
            .rooms
            .iter()
            .filter_map(|room| {
                let membership = Some(stored.member(&room.id, &viewer.user)?.clone());
                let last_message =
                    stored.messages.iter().rev().find(|m| m.room == room.id).cloned();
                let room = Arc::new(room.clone());
                Some(RoomListItem { room, membership, last_message, peer: None })
            })
            .collect();
        Ok(Stored::page(&lines, offset, limit))
    }

    async fn public_rooms(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        self.rooms_of(viewer, offset, limit).await
    }

    async fn joined_rooms(&self, _viewer: &Actor) -> Result<Vec<Arc<Room>>, StoreError> {
        Ok(Vec::new())
    }

    async fn change_membership(
        &self,
        guard: Guard,
        room: &RoomId,
        change: MembershipChange,
        _at: Timestamp,
    ) -> Result<MembershipChanged, ChatError> {
        let mut stored = self.stored.lock();
        let place = stored.guarded(&guard, room, None)?;
        let own = guard.actor.user.clone();
        let (user, role, state) = match change {
            MembershipChange::Join => (own, Role::Member, MemberState::Joined),
            MembershipChange::Leave => (own, Role::Member, MemberState::Left),
            MembershipChange::Invite { user } => (user, Role::Member, MemberState::Invited),
            MembershipChange::Add { user, role } | MembershipChange::SetRole { user, role } => {
                (user, role, MemberState::Joined)
            }
            MembershipChange::Kick { user } => (user, Role::Member, MemberState::Kicked),
            MembershipChange::Ban { user } => (user, Role::Member, MemberState::Banned),
        };
        if stored.profile(&user).is_none() {
            return Err(ChatError::MissingUser(user));
        }
        let before = stored.member(room, &user).map(|m| (m.state, m.role));
        stored.join(room, &user, role, state);
        let membership = stored.members.last().cloned().unwrap();
        let changed = before != Some((state, role));
        Ok(MembershipChanged { room: Arc::new(stored.rooms[place].clone()), membership, changed })
    }

    async fn members(
        &self,
        guard: Guard,
        room: &RoomId,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Member>, ChatError> {
        let stored = self.stored.lock();
        stored.guarded(&guard, room, None)?;
        let members: Vec<Member> = stored
            .members
            .iter()
            .filter(|m| m.room == *room)
            .map(|m| Member { membership: m.clone(), profile: stored.profile(&m.user).unwrap() })
            .collect();
        Ok(Stored::page(&members, offset, limit))
    }
}

#[async_trait]
impl MessageStore for World {
    async fn append_message(&self, guard: Guard, new: NewMessage) -> Result<Appended, ChatError> {
        let mut stored = self.stored.lock();
        stored.write()?;
        let place = stored.guarded(&guard, &new.room, None)?;
        let draft = new.draft;
        let repeat = stored.messages.iter().find(|m| {
            draft.client_id.is_some()
                && m.room == new.room
                && m.sender.id == guard.actor.user
                && m.client_id == draft.client_id
        });
        if let Some(message) = repeat {
            return Ok(Appended { message: Arc::new(message.clone()), replayed: true });
        }
        let sender = stored.profile(&guard.actor.user).unwrap();
        let room = &mut stored.rooms[place];
        room.last_seq += 1;
        room.last_number += 1;
        let message = Message {
            id: new.id,
            tenant: TenantId::single(),
            room: new.room.clone(),
            seq: room.last_seq,
            number: room.last_number,
            sender,
            kind: draft.kind.unwrap_or_else(|| "text".to_owned()),
            content: draft.content,
            metadata: draft.metadata,
            reply_to: draft.reply_to,
            client_id: draft.client_id,
            edit_count: 0,
            edited_at: None,
            deleted_at: None,
            created_at: new.at,
        };
        let pos = stored.events.len() as u64 + 1;
        stored.messages.push(message.clone());
        let message = Arc::new(message);
        stored.events.push(Event {
            pos,
            stream: Stream::Room(new.room),
            seq: message.seq,
            tenant: TenantId::single(),
            actor: Some(guard.actor.user),
            at: new.at,
            fact: Fact::MessageCreated { message: Arc::clone(&message) },
        });
        self.head.send_replace(pos);
        Ok(Appended { message, replayed: false })
    }

    async fn edit_message(
        &self,
        guard: Guard,
        message: &MessageId,
        content: String,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let mut stored = self.stored.lock();
        let place = stored.guarded_message(&guard, message)?;
        let message = &mut stored.messages[place];
        (message.content, message.edited_at, message.edit_count) = (content, Some(at), 1);
        Ok(message.clone())
    }

    async fn delete_message(
        &self,
        guard: Guard,
        message: &MessageId,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let mut stored = self.stored.lock();
        let place = stored.guarded_message(&guard, message)?;
        let message = &mut stored.messages[place];
        (message.content, message.deleted_at) = (String::new(), Some(at));
        Ok(message.clone())
    }

    async fn message(&self, guard: Guard, message: &MessageId) -> Result<Message, ChatError> {
        let stored = self.stored.lock();
        Ok(stored.messages[stored.guarded_message(&guard, message)?].clone())
    }

    async fn revisions(
        &self,
        guard: Guard,
        message: &MessageId,
    ) -> Result<Vec<Revision>, ChatError> {
        let message = self.message(guard, message).await?;
        let (content, edited_by) = (message.content, message.sender.id.clone());
        Ok(vec![Revision { rev: 0, content, edited_by, at: message.created_at }])
    }

    async fn history(
        &self,
        guard: Guard,
        room: &RoomId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<History, ChatError> {
        let stored = self.stored.lock();
        let place = stored.guarded(&guard, room, None)?;
        let below = match anchor {
            Anchor::Latest => u64::MAX,
            Anchor::Before(Position::Seq(seq)) => seq,
            Anchor::Before(_) | Anchor::After(_) | Anchor::Around(_) => {
                return Err(ChatError::MissingMessage);
            }
        };
        let all: Vec<&Message> =
            stored.messages.iter().rev().filter(|m| m.room == *room && m.seq < below).collect();
        Ok(History {
            items: all.iter().take(limit as usize).map(|m| (*m).clone()).collect(),
            has_older: all.len() > limit as usize,
            has_newer: below != u64::MAX,
            head_seq: stored.rooms[place].last_seq,
        })
    }

    async fn move_read_cursor(
        &self,
        guard: Guard,
        cursor: MoveReadCursor,
    ) -> Result<ReadCursor, ChatError> {
        let stored = self.stored.lock();
        let place = stored.guarded(&guard, &cursor.room, None)?;
        let seq = match cursor.to {
            Some(Position::Seq(seq)) => seq,
            Some(Position::Number(_) | Position::Message(_)) | None => stored.rooms[place].last_seq,
        };
        let (room, user) = (cursor.room, guard.actor.user);
        Ok(ReadCursor { room, user, seq, number: seq, message: None, at: cursor.at, moved: true })
    }

    async fn readers(&self, guard: Guard, message: &MessageId) -> Result<Vec<ReadBy>, ChatError> {
        let message = self.message(guard, message).await?;
        Ok(vec![ReadBy { user: message.sender.id.clone(), at: message.created_at }])
    }
}

#[async_trait]
impl JournalStore for World {
    async fn room_events(
        &self,
        _guard: Guard,
        _room: &RoomId,
        _after_seq: u64,
        _limit: u32,
    ) -> Result<CatchUp, ChatError> {
        Err(StoreError::Unavailable("not in this world".into()).into())
    }

    async fn inbox_events(
        &self,
        _viewer: &Actor,
        _after_seq: u64,
        _limit: u32,
    ) -> Result<CatchUp, StoreError> {
        Err(StoreError::Unavailable("not in this world".into()))
    }

    async fn events_for(
        &self,
        viewer: &Actor,
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        Ok(self.stored.lock().log_page(viewer, |_| true, (after_pos, limit)))
    }

    async fn events_of(
        &self,
        viewer: &Actor,
        rooms: &[RoomId],
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        Ok(self.stored.lock().log_page(viewer, |room| rooms.contains(room), (after_pos, limit)))
    }

    async fn head_pos(&self) -> Result<u64, StoreError> {
        Ok(self.stored.lock().events.len() as u64)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.stored.lock().write()
    }
}
