//! The index of messages: how far the log was read, and which messages that told of.

use std::collections::BTreeSet;

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::event::Fact;
use mynah_domain::message::Position;
use mynah_domain::permission::Guard;
use mynah_domain::ports::{SearchStore, StoreError};
use mynah_domain::search::{Indexed, LOOKED_AT_MAX, Limit, Matches, UNINDEXED_MAX, Wanted};
use mynah_domain::{MessageId, RoomId};

use super::{MemoryStore, Place, State};

/// What is indexed.
#[derive(Default)]
pub(super) struct Index {
    /// Events read.
    read: usize,
    /// `pos` and id of each message.
    messages: BTreeSet<(u64, MessageId)>,
}

#[async_trait]
impl SearchStore for MemoryStore {
    async fn find_messages(&self, guard: Guard, wanted: &Wanted) -> Result<Matches, ChatError> {
        self.read(|state| state.find(&guard, wanted))?
    }

    async fn index_messages(&self, limit: u32) -> Result<Indexed, StoreError> {
        self.write(|state| state.index(limit as usize))
    }

    async fn unindexed(&self) -> Result<u64, StoreError> {
        self.read(|state| ((state.log.len() - state.index.read) as u64).min(UNINDEXED_MAX))
    }
}

impl State {
    fn index(&mut self, limit: usize) -> Indexed {
        let from = self.index.read;
        let to = (from + limit).min(self.log.len());
        for event in &self.log[from..to] {
            match &event.fact {
                Fact::MessageCreated { message } => {
                    self.index.messages.insert((event.pos, message.id.clone()));
                }
                Fact::MessageDeleted { message, .. } => {
                    self.index.messages.retain(|(_, id)| id != message);
                }
                Fact::RoomDeleted { room } => {
                    let of_room = self.places.iter().find(|place| place.room.id == *room);
                    let gone: BTreeSet<&MessageId> =
                        of_room.iter().flat_map(|p| &p.messages).map(|w| &w.message.id).collect();
                    self.index.messages.retain(|(_, id)| !gone.contains(id));
                }
                Fact::MessageUpdated { .. }
                | Fact::RoomCreated { .. }
                | Fact::RoomUpdated { .. }
                | Fact::MemberJoined { .. }
                | Fact::MemberInvited { .. }
                | Fact::MemberLeft { .. }
                | Fact::MemberRoleChanged { .. }
                | Fact::RoomAdded { .. }
                | Fact::RoomRemoved { .. }
                | Fact::RoomInvited { .. } => {}
            }
        }
        self.index.read = to;
        Indexed { events: (to - from) as u64, more: to < self.log.len() }
    }

    fn find(&self, guard: &Guard, wanted: &Wanted) -> Result<Matches, ChatError> {
        let bounds = match &wanted.room {
            Some(room) => self.enter(guard, room)?.bounds(wanted)?,
            None => (0, u64::MAX),
        };
        let is_named = |room: &RoomId| wanted.room.as_ref().is_none_or(|named| named == room);
        let joined =
            |room: &RoomId| self.place(room).is_some_and(|place| place.joined_by(&guard.actor));
        let is_own = |room: &RoomId| joined(room) && self.enter(guard, room).is_ok();
        let readable = |room: &RoomId| is_named(room) && (wanted.room.is_some() || is_own(room));
        let below = wanted.below.unwrap_or(u64::MAX);
        let mut found = Matches { messages: Vec::new(), next: None };
        let older = self.index.messages.iter().rev().filter(|(pos, _)| *pos < below);
        for (looked_at, (pos, id)) in older.enumerate() {
            if found.messages.len() == wanted.limit || looked_at == LOOKED_AT_MAX {
                found.next = Some(*pos + 1);
                break;
            }
            let Some((_, written)) = self.written(id) else { continue };
            let message = self.fresh(&written.message);
            let inside = bounds.0 < message.number && message.number < bounds.1;
            if inside && readable(&message.room) && wanted.accepts(&message) {
                found.messages.push(message);
            }
        }
        Ok(found)
    }
}

impl Place {
    /// The numbers between which messages are wanted.
    fn bounds(&self, wanted: &Wanted) -> Result<(u64, u64), ChatError> {
        let after = match &wanted.after {
            Some(Limit::Place(place)) => self.resolve(place)?.1,
            Some(Limit::Time(_)) | None => 0,
        };
        let before = match &wanted.before {
            Some(Limit::Place(Position::Seq(seq))) => {
                self.resolve(&Position::Seq(seq.saturating_sub(1)))?.1 + 1
            }
            Some(Limit::Place(Position::Number(number))) => *number,
            Some(Limit::Place(place @ Position::Message(_))) => self.resolve(place)?.1,
            Some(Limit::Time(_)) | None => u64::MAX,
        };
        Ok((after, before))
    }
}
