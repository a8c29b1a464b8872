//! What a write sees: the open transaction and the rows it has locked.
//!
//! Other nodes write as well, so nothing is remembered from one transaction to the next, and the head of
//! a stream is moved only under its lock. Within a stream `pos` ascends with `seq`: whoever got its
//! places earlier and the lock later is told to begin anew. Heads, read cursors and events are written by
//! [`Tx::flush`], set by set.

mod flush;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::message::Message;
use mynah_domain::ports::StoreError;
use mynah_domain::room::{Profile, Room};
use mynah_domain::{RoomId, TenantId, Timestamp, UserId};

use crate::facts;
use crate::marks::{self, Mark};

use super::db::Db;
use super::fence::Place;
use super::rows::{self, MemberRow, RoomRow, UserRow};
use super::sql;
use super::trouble::{Failure, Trouble, inconsistent};

/// A user as an actor: id within the database, and profile.
#[derive(Clone)]
pub(super) struct Who {
    pub(super) row: i64,
    pub(super) profile: Arc<Profile>,
}

/// A message that waits to be written: its room, its sender.
pub(super) type Unwritten = (i64, i64, Arc<Message>);

/// An event's row that is not written yet.
struct Pending {
    stream: i64,
    kind: i16,
    number: u64,
    actor: i64,
    subject: i64,
    payload: Option<String>,
    /// Whose inbox it goes to; `seq` is known when that is locked.
    inbox: Option<i64>,
}

/// The writer's view of the database.
pub(super) struct Tx<'c> {
    pub(super) db: &'c Db,
    /// Under which place in the cluster it stores.
    own: Option<Place>,
    /// Places in the log that are left.
    places: Range<u64>,
    events: Vec<Event>,
    pending: Vec<Pending>,
    messages: Vec<Unwritten>,
    rooms: HashMap<i64, (RoomRow, bool)>,
    room_rows: HashMap<RoomId, i64>,
    users: HashMap<i64, UserRow>,
    user_rows: HashMap<(TenantId, UserId), i64>,
    members: HashMap<(i64, i64), MemberRow>,
    rooms_changed: Vec<i64>,
    members_changed: Vec<(i64, i64)>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(db: &'c Db, own: Option<Place>, places: Range<u64>) -> Self {
        Self {
            db,
            own,
            places,
            events: Vec::new(),
            pending: Vec::new(),
            messages: Vec::new(),
            rooms: HashMap::new(),
            room_rows: HashMap::new(),
            users: HashMap::new(),
            user_rows: HashMap::new(),
            members: HashMap::new(),
            rooms_changed: Vec::new(),
            members_changed: Vec::new(),
        }
    }

    /// The slot under which it stores.
    fn origin(&self) -> u16 {
        self.own.map_or(0, |own| own.slot)
    }

    /// The events of the transaction, once it is committed.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Remembers a room that this transaction has locked.
    pub(super) fn keep_locked(&mut self, room: RoomRow) {
        self.room_rows.insert(room.room.id.clone(), room.row);
        self.rooms.insert(room.row, (room, true));
    }

    /// Remembers a user as it is now.
    pub(super) fn keep_user(&mut self, user: UserRow) {
        let key = (user.user.tenant.clone(), user.user.id.clone());
        self.user_rows.insert(key, user.row);
        self.users.insert(user.row, user);
    }

    /// Remembers a membership that this transaction has locked.
    pub(super) fn keep_member(&mut self, key: (i64, i64), member: MemberRow) {
        self.members.insert(key, member);
    }

    /// Keeps a message that [`Tx::flush`] writes.
    pub(super) fn keep_message(&mut self, message: Unwritten) {
        self.messages.push(message);
    }

    /// A user of a tenant.
    pub(super) async fn user(
        &mut self,
        tenant: &TenantId,
        id: &UserId,
    ) -> Result<Option<Who>, Failure> {
        if let Some(found) = self.known_user(tenant, id) {
            return Ok(Some(found));
        }
        let Some(user) = rows::user_by_id(self.db, tenant, id).await? else { return Ok(None) };
        let who = Who { row: user.row, profile: user.profile.clone() };
        self.keep_user(user);
        Ok(Some(who))
    }

    /// A user read before.
    pub(super) fn known_user(&self, tenant: &TenantId, id: &UserId) -> Option<Who> {
        let row = self.user_rows.get(&(tenant.clone(), id.clone()))?;
        let user = self.users.get(row)?;
        Some(Who { row: user.row, profile: user.profile.clone() })
    }

    /// Several users of a tenant, in the order asked.
    pub(super) async fn users(
        &mut self,
        tenant: &TenantId,
        ids: &[&UserId],
    ) -> Result<Vec<Option<Who>>, Failure> {
        let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        let tenants = vec![tenant.as_str(); names.len()];
        let found =
            self.db.all(sql::accounts::USERS_BY_ID, &[&tenants, &names], rows::user).await?;
        for user in found {
            self.keep_user(user);
        }
        Ok(ids.iter().map(|id| self.known_user(tenant, id)).collect())
    }

    /// A user by its id within the database.
    pub(super) async fn user_row(&mut self, row: i64) -> Result<&UserRow, Failure> {
        Ok(match self.users.entry(row) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(rows::user_by_row(self.db, row).await?),
        })
    }

    /// Forgets a user whose row has changed.
    pub(super) fn forget_user(&mut self, row: i64) {
        self.users.remove(&row);
    }

    /// A room to be changed: locked until the end of the transaction.
    pub(super) async fn lock_room(&mut self, id: &RoomId) -> Result<Option<i64>, Failure> {
        if let Some(row) = self.locked_row(id) {
            return Ok(Some(row));
        }
        let ids = vec![id.as_str()];
        let found = self.db.first(sql::rooms::ROOMS_LOCK, &[&ids], rows::room).await?;
        let row = found.as_ref().map(|room| room.row);
        if let Some(room) = found {
            self.keep_locked(room);
        }
        Ok(row)
    }

    /// A room that this transaction has locked.
    pub(super) fn locked_row(&self, id: &RoomId) -> Option<i64> {
        let row = self.room_rows.get(id)?;
        self.rooms.get(row).filter(|(_, locked)| *locked).map(|_| *row)
    }

    /// As [`Tx::lock_room`], by the room's id within the database.
    pub(super) async fn lock_room_row(&mut self, row: i64) -> Result<(), Failure> {
        if self.rooms.get(&row).is_some_and(|(_, locked)| *locked) {
            return Ok(());
        }
        let found = self.db.first(sql::rooms::ROOM_LOCK, &[&row], rows::room).await?;
        self.keep_locked(found.ok_or_else(|| Failure::Final(inconsistent("rooms", &row)))?);
        Ok(())
    }

    /// A room that is only looked at.
    pub(super) async fn see_room(&mut self, id: &RoomId) -> Result<Option<i64>, Failure> {
        if let Some(row) = self.room_rows.get(id) {
            return Ok(Some(*row));
        }
        let Some(room) = rows::room_by_id(self.db, id).await? else { return Ok(None) };
        let row = room.row;
        self.room_rows.insert(id.clone(), row);
        self.rooms.insert(row, (room, false));
        Ok(Some(row))
    }

    /// A room read before.
    pub(super) fn room(&mut self, row: i64) -> Result<&mut RoomRow, Failure> {
        let found = self.rooms.get_mut(&row).map(|(room, _)| room);
        found.ok_or_else(|| Failure::Final(inconsistent("rooms", &row)))
    }

    /// Reads a membership and locks it, if there is one.
    pub(super) async fn load_member(
        &mut self,
        room: i64,
        user: (i64, &UserId),
    ) -> Result<(), Failure> {
        if self.members.contains_key(&(room, user.0)) {
            return Ok(());
        }
        let id = self.room(room)?.room.id.clone();
        let read = |row: &tokio_postgres::Row| rows::member(row, &id, user.1);
        let found = self.db.first(sql::rooms::MEMBER_LOCK, &[&room, &user.0], read).await?;
        if let Some(member) = found {
            self.members.insert((room, user.0), member);
        }
        Ok(())
    }

    /// A room and two memberships read before; all borrowed at once, for the guard.
    pub(super) fn access(
        &self,
        room: i64,
        actor: Option<i64>,
        target: Option<i64>,
    ) -> Result<(&RoomRow, Option<&MemberRow>, Option<&MemberRow>), StoreError> {
        let (found, _) = self.rooms.get(&room).ok_or_else(|| inconsistent("rooms", &room))?;
        let member = |user: Option<i64>| user.and_then(|user| self.members.get(&(room, user)));
        Ok((found, member(actor), member(target)))
    }

    /// A membership read before.
    pub(super) fn member_mut(&mut self, room: i64, user: i64) -> Option<&mut MemberRow> {
        self.members.get_mut(&(room, user))
    }

    /// Moves a read cursor that lies behind `to`; `false` when there is nothing to move.
    pub(super) fn move_cursor(&mut self, key: (i64, i64), to: (u64, u64), at: Timestamp) -> bool {
        let Some(member) = self.members.get_mut(&key) else { return false };
        let m = &mut member.membership;
        if to.0 <= m.last_read_seq && to.1 <= m.last_read_number {
            return false;
        }
        m.last_read_seq = m.last_read_seq.max(to.0);
        m.last_read_number = m.last_read_number.max(to.1);
        m.last_read_at = Some(at);
        marks::push(&mut member.marks, Mark { seq: m.last_read_seq, at });
        self.members_changed.push(key);
        true
    }

    /// The room as the next event of its stream will leave it.
    pub(super) fn room_next(&mut self, row: i64) -> Result<Arc<Room>, Failure> {
        let room = self.room(row)?.room.clone();
        Ok(Arc::new(Room { last_seq: room.last_seq + 1, ..room }))
    }

    /// Number of the last message at or before an event that is not written yet.
    pub(super) fn unwritten_number(&self, stream: i64, seq: u64) -> Option<u64> {
        let mut both = self.events.iter().zip(&self.pending);
        let found = both.find(|(event, row)| row.stream == stream && event.seq == seq);
        found.map(|(_, row)| row.number)
    }

    /// Appends an event to a locked room's stream and returns its `seq`. For a message the caller has
    /// counted `last_number` up before.
    pub(super) fn emit_in_room<E>(
        &mut self,
        room_row: i64,
        actor: &Who,
        (subject, at): (i64, Timestamp),
        fact: Fact,
    ) -> Result<u64, Trouble<E>> {
        let pos = self.places.next().ok_or(Failure::Places)?;
        let room = self.room(room_row)?;
        if room.last_pos >= pos {
            return Err(Failure::Again("a later write was first".to_owned()).into());
        }
        room.room.last_seq += 1;
        room.last_pos = pos;
        let (seq, number) = (room.room.last_seq, room.room.last_number);
        let stream = Stream::Room(room.room.id.clone());
        let tenant = room.room.tenant.clone();
        self.rooms_changed.push(room_row);
        self.pending.push(Pending {
            stream: facts::room_stream(room_row),
            kind: facts::kind(&fact) as i16,
            number,
            actor: actor.row,
            subject,
            payload: facts::payload(&fact),
            inbox: None,
        });
        let (origin, actor) = (self.origin(), Some(actor.profile.id.clone()));
        self.events.push(Event { pos, origin, stream, seq, tenant, actor, at, fact });
        Ok(seq)
    }

    /// Appends an event to a user's inbox.
    pub(super) fn emit_to_inbox<E>(
        &mut self,
        user_row: i64,
        actor: &Who,
        (subject, at): (i64, Timestamp),
        fact: Fact,
    ) -> Result<(), Trouble<E>> {
        let pos = self.places.next().ok_or(Failure::Places)?;
        self.pending.push(Pending {
            stream: facts::inbox_stream(user_row),
            kind: facts::kind(&fact) as i16,
            number: 0,
            actor: actor.row,
            subject,
            payload: facts::payload(&fact),
            inbox: Some(user_row),
        });
        // Whose it is, and the place in that stream, are filled in when the inbox is locked.
        let stream = Stream::User(actor.profile.id.clone());
        let (origin, actor) = (self.origin(), Some(actor.profile.id.clone()));
        let tenant = TenantId::single();
        self.events.push(Event { pos, origin, stream, seq: 0, tenant, actor, at, fact });
        Ok(())
    }
}
