//! Messages, texts and cursors.

use std::sync::Arc;

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::message::{
    Anchor, Appended, History, Message, MoveReadCursor, NewMessage, Position, RECEIPT_MARKS_MAX,
    ReadBy, ReadCursor, Revision,
};
use mynah_domain::permission::Guard;
use mynah_domain::ports::MessageStore;
use mynah_domain::room::MemberState;
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp};

use super::{Deed, MemoryStore, Place, Standing, State, Written};

#[async_trait]
impl MessageStore for MemoryStore {
    async fn append_message(&self, guard: Guard, new: NewMessage) -> Result<Appended, ChatError> {
        self.write(|state| state.append(&guard, new))?
    }

    async fn edit_message(
        &self,
        guard: Guard,
        message: &MessageId,
        content: String,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        self.write(|state| state.edit(&guard, message, content, at))?
    }

    async fn delete_message(
        &self,
        guard: Guard,
        message: &MessageId,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        self.write(|state| state.delete(&guard, message, at))?
    }

    async fn message(&self, guard: Guard, message: &MessageId) -> Result<Message, ChatError> {
        self.read(|state| {
            let (_, written) = state.reach(&guard, message, false)?;
            Ok(state.fresh(&written.message))
        })?
    }

    async fn revisions(
        &self,
        guard: Guard,
        message: &MessageId,
    ) -> Result<Vec<Revision>, ChatError> {
        self.read(|state| Ok(state.reach(&guard, message, false)?.1.texts.clone()))?
    }

    async fn history(
        &self,
        guard: Guard,
        room: &RoomId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<History, ChatError> {
        self.read(|state| state.history(&guard, room, &anchor, limit as usize))?
    }

    async fn move_read_cursor(
        &self,
        guard: Guard,
        cursor: MoveReadCursor,
    ) -> Result<ReadCursor, ChatError> {
        self.write(|state| state.move_cursor(&guard, cursor))?
    }

    async fn readers(&self, guard: Guard, message: &MessageId) -> Result<Vec<ReadBy>, ChatError> {
        self.read(|state| {
            let (place, written) = state.reach(&guard, message, false)?;
            Ok(place.readers(&written.message))
        })?
    }
}

impl Standing {
    fn read_up_to(&mut self, seq: u64, number: u64, at: Timestamp) -> bool {
        let m = &mut self.membership;
        if seq <= m.last_read_seq && number <= m.last_read_number {
            return false;
        }
        m.last_read_seq = m.last_read_seq.max(seq);
        m.last_read_number = m.last_read_number.max(number);
        m.last_read_at = Some(at);
        // Moves of one moment are one mark.
        if self.marks.last().is_some_and(|mark| mark.1 == at) {
            self.marks.pop();
        }
        self.marks.push((m.last_read_seq, at));
        let surplus = self.marks.len().saturating_sub(RECEIPT_MARKS_MAX);
        self.marks.drain(..surplus);
        true
    }
}

impl Place {
    fn readers(&self, message: &Message) -> Vec<ReadBy> {
        let mut readers: Vec<&Standing> = self
            .members
            .iter()
            .filter(|s| s.membership.state == MemberState::Joined)
            .filter(|s| s.membership.last_read_seq >= message.seq)
            .filter(|s| s.membership.user != message.sender.id)
            .collect();
        readers.sort_by_key(|s| s.membership.joined_at);
        let read_by = |s: &&Standing| {
            let at = s.marks.iter().find(|mark| mark.0 >= message.seq)?.1;
            Some(ReadBy { user: s.membership.user.clone(), at })
        };
        readers.iter().filter_map(read_by).collect()
    }

    /// The last message at or before a place: its `seq` and number.
    pub(super) fn resolve(&self, place: &Position) -> Result<(u64, u64), ChatError> {
        let covered = |w: &&Written| match place {
            Position::Seq(seq) => w.message.seq <= *seq,
            Position::Number(number) => w.message.number <= *number,
            Position::Message(id) => w.message.id == *id,
        };
        let found = self.messages.iter().rev().find(covered);
        match (found, place) {
            (Some(w), _) => Ok((w.message.seq, w.message.number)),
            (None, Position::Message(_)) => Err(ChatError::MissingMessage),
            (None, Position::Seq(_) | Position::Number(_)) => Ok((0, 0)),
        }
    }
}

impl State {
    fn append(&mut self, guard: &Guard, new: NewMessage) -> Result<Appended, ChatError> {
        let place = self.enter(guard, &new.room)?;
        if let Some(target) = &new.draft.reply_to {
            place.resolve(&Position::Message(target.clone()))?;
        }
        let sender = self.profile(&guard.actor.tenant, &guard.actor.user);
        let sender = sender.expect("a member has an account");
        let same = |w: &&Written| {
            new.draft.client_id.is_some()
                && w.message.client_id == new.draft.client_id
                && w.message.sender.id == sender.id
        };
        if let Some(first) = place.messages.iter().find(same) {
            let message = Arc::new(self.fresh(&first.message));
            return Ok(Appended { message, replayed: true });
        }
        let message = Message {
            id: new.id,
            tenant: place.room.tenant.clone(),
            room: new.room.clone(),
            seq: place.room.last_seq + 1,
            number: place.room.last_number + 1,
            sender: sender.clone(),
            kind: new.draft.kind.unwrap_or_else(|| "text".to_owned()),
            content: new.draft.content,
            metadata: new.draft.metadata,
            reply_to: new.draft.reply_to,
            client_id: new.draft.client_id,
            edit_count: 0,
            edited_at: None,
            deleted_at: None,
            created_at: new.at,
        };
        let (seq, number) = (message.seq, message.number);
        let text = Revision {
            rev: 0,
            content: message.content.clone(),
            edited_by: sender.id.clone(),
            at: new.at,
        };
        let place = self.place_mut(&new.room);
        place.room.last_number = number;
        place.messages.push(Written { message: message.clone(), texts: vec![text] });
        if let Some(standing) = place.standing_mut(&sender.id) {
            standing.read_up_to(seq, number, new.at);
        }
        let message = Arc::new(message);
        let fact = Fact::MessageCreated { message: message.clone() };
        self.emit_in_room(Deed { actor: &guard.actor, at: new.at }, &new.room, fact);
        Ok(Appended { message, replayed: false })
    }

    fn written_mut(&mut self, room: &RoomId, id: &MessageId) -> &mut Written {
        let found = self.place_mut(room).messages.iter_mut().find(|w| w.message.id == *id);
        found.expect("the message was found before")
    }

    fn edit(
        &mut self,
        guard: &Guard,
        id: &MessageId,
        content: String,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let message = self.fresh(&self.reach(guard, id, true)?.1.message);
        if message.deleted_at.is_some() {
            return Err(ChatError::MissingMessage);
        }
        if message.content == content {
            return Ok(message);
        }
        let rev = message.edit_count + 1;
        let room = message.room.clone();
        let after = Message { content, edit_count: rev, edited_at: Some(at), ..message };
        let edited_by = guard.actor.user.clone();
        let text = Revision { rev, content: after.content.clone(), edited_by, at };
        let written = self.written_mut(&room, id);
        written.message = after.clone();
        written.texts.push(text);
        let fact = Fact::MessageUpdated { message: Arc::new(after.clone()) };
        self.emit_in_room(Deed { actor: &guard.actor, at }, &room, fact);
        Ok(after)
    }

    fn delete(
        &mut self,
        guard: &Guard,
        id: &MessageId,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let message = self.fresh(&self.reach(guard, id, true)?.1.message);
        if message.deleted_at.is_some() {
            return Ok(message);
        }
        let room = message.room.clone();
        let content = String::new();
        let after = Message { content, metadata: None, deleted_at: Some(at), ..message };
        let written = self.written_mut(&room, id);
        written.message = after.clone();
        written.texts.clear();
        let fact = Fact::MessageDeleted {
            room: room.clone(),
            message: id.clone(),
            number: after.number,
            created_seq: after.seq,
        };
        self.emit_in_room(Deed { actor: &guard.actor, at }, &room, fact);
        Ok(after)
    }

    fn history(
        &self,
        guard: &Guard,
        room: &RoomId,
        anchor: &Anchor,
        limit: usize,
    ) -> Result<History, ChatError> {
        let place = self.enter(guard, room)?;
        let all = &place.messages;
        // Numbers are dense, so the message with number n has index n - 1.
        let (start, end) = match anchor {
            Anchor::Latest => (all.len().saturating_sub(limit), all.len()),
            Anchor::Before(at) => {
                let end = match at {
                    Position::Seq(seq) => all.iter().filter(|w| w.message.seq < *seq).count(),
                    Position::Number(n) => all.iter().filter(|w| w.message.number < *n).count(),
                    Position::Message(_) => place.resolve(at)?.1 as usize - 1,
                };
                (end.saturating_sub(limit), end)
            }
            Anchor::After(at) => {
                let start = place.resolve(at)?.1 as usize;
                (start, (start + limit).min(all.len()))
            }
            Anchor::Around(at) => {
                let centre = (place.resolve(at)?.1 as usize).max(1);
                let end = (centre + limit.saturating_sub(1) / 2).min(all.len());
                let start = end.saturating_sub(limit);
                (start, (start + limit).min(all.len()))
            }
        };
        let items = all[start..end].iter().rev().map(|w| self.fresh(&w.message)).collect();
        let head_seq = place.room.last_seq;
        Ok(History { items, has_older: start > 0, has_newer: end < all.len(), head_seq })
    }

    fn move_cursor(
        &mut self,
        guard: &Guard,
        wish: MoveReadCursor,
    ) -> Result<ReadCursor, ChatError> {
        let place = self.enter(guard, &wish.room)?;
        let newest = Position::Number(place.room.last_number);
        let to = wish.to.unwrap_or(newest);
        let (seq, number) = place.resolve(&to)?;
        let seq = match to {
            Position::Seq(asked) => asked.min(place.room.last_seq),
            Position::Number(_) | Position::Message(_) => seq,
        };
        let place = self.place_mut(&wish.room);
        let standing = place.standing_mut(&guard.actor.user).expect("the guard asks for it");
        let from_seq = standing.membership.last_read_seq;
        let moved = standing.read_up_to(seq, number, wish.at);
        let m = standing.membership.clone();
        let message = place.messages.iter().find(|w| w.message.number == m.last_read_number);
        Ok(ReadCursor {
            room: m.room,
            user: m.user,
            seq: m.last_read_seq,
            number: m.last_read_number,
            from_seq,
            message: message.map(|w| w.message.id.clone()),
            at: m.last_read_at.unwrap_or(wish.at),
            moved,
        })
    }

    /// A logged event as the journal gives it back today.
    pub(super) fn replayed(&self, event: &Event) -> Event {
        let as_of = |message: &Arc<Message>| {
            let now = self.written(&message.id).map(|(_, w)| &w.message);
            let gone = now.filter(|now| now.deleted_at.is_some());
            Arc::new(self.fresh(gone.unwrap_or(message)))
        };
        let mut event = event.clone();
        let tenant = event.tenant.clone();
        match &mut event.fact {
            Fact::MessageCreated { message } | Fact::MessageUpdated { message } => {
                *message = as_of(message);
            }
            Fact::MemberJoined { member, .. } | Fact::MemberInvited { member, .. } => {
                *member = self.profile(&tenant, &member.id).unwrap_or_else(|| member.clone());
            }
            Fact::RoomAdded { peer: Some(peer), .. } => {
                *peer = self.profile(&tenant, &peer.id).unwrap_or_else(|| peer.clone());
            }
            Fact::RoomCreated { .. }
            | Fact::RoomUpdated { .. }
            | Fact::RoomDeleted { .. }
            | Fact::MemberLeft { .. }
            | Fact::MemberRoleChanged { .. }
            | Fact::MessageDeleted { .. }
            | Fact::RoomAdded { peer: None, .. }
            | Fact::RoomRemoved { .. }
            | Fact::RoomInvited { .. } => {}
        }
        event
    }

    pub(super) fn stream<'a>(
        &'a self,
        stream: &'a Stream,
        tenant: &'a TenantId,
    ) -> impl Iterator<Item = &'a Event> {
        self.log.iter().filter(move |e| e.stream == *stream && e.tenant == *tenant)
    }
}
