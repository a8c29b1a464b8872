//! What a write sees: the open transaction and the rows the writer remembers.
//!
//! Only the writer's thread changes the database, so what it remembers is what is stored. Heads of
//! rooms and read cursors are changed here first and written once per batch by [`Tx::flush`]; every
//! other change is written at once. After a rollback everything is forgotten.

use std::collections::HashMap;
use std::sync::Arc;

use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::ports::StoreError;
use mynah_domain::room::{Profile, Room};
use mynah_domain::{RoomId, TenantId, Timestamp, UserId};
use rusqlite::Connection;

use crate::facts;
use crate::marks::{self, Mark};

use super::rows::{self, MemberRow, RoomRow, UserRow};
use super::sql;
use super::trouble::{Trouble, inconsistent, store_error};

/// Rows of one table remembered at most; beyond, all are forgotten between two batches.
const REMEMBERED_MAX: usize = 50_000;

/// A user as an actor: rowid and profile.
#[derive(Clone)]
pub(super) struct Who {
    pub(super) row: i64,
    pub(super) profile: Arc<Profile>,
}

/// The writer's view of the database.
pub(super) struct Tx<'c> {
    pub(super) conn: &'c Connection,
    events: Vec<Event>,
    head_pos: Option<u64>,
    rooms: HashMap<i64, RoomRow>,
    room_rows: HashMap<RoomId, i64>,
    users: HashMap<i64, UserRow>,
    user_rows: HashMap<(TenantId, UserId), i64>,
    members: HashMap<(i64, i64), MemberRow>,
    rooms_changed: Vec<i64>,
    members_changed: Vec<(i64, i64)>,
}

impl<'c> Tx<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Self {
            conn,
            events: Vec::new(),
            head_pos: None,
            rooms: HashMap::new(),
            room_rows: HashMap::new(),
            users: HashMap::new(),
            user_rows: HashMap::new(),
            members: HashMap::new(),
            rooms_changed: Vec::new(),
            members_changed: Vec::new(),
        }
    }

    /// Forgets everything, after a rollback.
    pub(super) fn forget(&mut self) {
        self.events.clear();
        self.head_pos = None;
        self.rooms.clear();
        self.room_rows.clear();
        self.users.clear();
        self.user_rows.clear();
        self.members.clear();
        self.rooms_changed.clear();
        self.members_changed.clear();
    }

    /// The events of the batch, once it is committed.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Bounds the memory, between two batches.
    pub(super) fn trim(&mut self) {
        let most = self.rooms.len().max(self.users.len()).max(self.members.len());
        if most > REMEMBERED_MAX {
            self.forget();
        }
    }

    /// Writes the heads and cursors that moved.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        self.flush_rows().map_err(|e| store_error(&e))
    }

    fn flush_rows(&mut self) -> Result<(), rusqlite::Error> {
        self.rooms_changed.sort_unstable();
        self.rooms_changed.dedup();
        for row in &self.rooms_changed {
            let Some(RoomRow { room, last_pos, .. }) = self.rooms.get(row) else { continue };
            let head = (room.last_seq.cast_signed(), room.last_number.cast_signed());
            let params = (row, head.0, head.1, last_pos.cast_signed());
            rows::execute(self.conn, sql::ROOM_HEAD, params)?;
        }
        self.rooms_changed.clear();
        self.members_changed.sort_unstable();
        self.members_changed.dedup();
        let mut bytes = Vec::new();
        for key in &self.members_changed {
            let Some(member) = self.members.get(key) else { continue };
            let m = &member.membership;
            marks::encode(&member.marks, &mut bytes);
            let read = (m.last_read_seq.cast_signed(), m.last_read_number.cast_signed());
            let at = m.last_read_at.map(|t| t.0);
            let params = (member.row, read.0, read.1, at, &bytes);
            rows::execute(self.conn, sql::MEMBER_CURSOR, params)?;
        }
        self.members_changed.clear();
        Ok(())
    }

    /// A user of a tenant.
    pub(super) fn user<E>(
        &mut self,
        tenant: &TenantId,
        id: &UserId,
    ) -> Result<Option<Who>, Trouble<E>> {
        let key = (tenant.clone(), id.clone());
        if let Some(user) = self.user_rows.get(&key).and_then(|row| self.users.get(row)) {
            return Ok(Some(Who { row: user.row, profile: user.profile.clone() }));
        }
        let Some(user) = rows::user_by_id(self.conn, tenant, id)? else { return Ok(None) };
        self.user_rows.insert(key, user.row);
        let user = self.users.entry(user.row).or_insert(user);
        Ok(Some(Who { row: user.row, profile: user.profile.clone() }))
    }

    /// A user by rowid.
    pub(super) fn user_row<E>(&mut self, row: i64) -> Result<&mut UserRow, Trouble<E>> {
        use std::collections::hash_map::Entry;
        Ok(match self.users.entry(row) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(rows::user_by_row(self.conn, row)?),
        })
    }

    /// Forgets a user whose row is about to change.
    pub(super) fn forget_user(&mut self, row: i64) {
        self.users.remove(&row);
    }

    /// Rowid of a room, which is remembered from now on.
    pub(super) fn room_id<E>(&mut self, id: &RoomId) -> Result<Option<i64>, Trouble<E>> {
        if let Some(row) = self.room_rows.get(id).filter(|row| self.rooms.contains_key(row)) {
            return Ok(Some(*row));
        }
        let Some(room) = rows::room_by_id(self.conn, id)? else { return Ok(None) };
        let row = room.row;
        self.room_rows.insert(id.clone(), row);
        // What is remembered may be ahead of what is stored.
        self.rooms.entry(row).or_insert(room);
        Ok(Some(row))
    }

    /// A room by rowid.
    pub(super) fn room<E>(&mut self, row: i64) -> Result<&mut RoomRow, Trouble<E>> {
        use std::collections::hash_map::Entry;
        Ok(match self.rooms.entry(row) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(rows::room_by_row(self.conn, row)?),
        })
    }

    /// Reads a membership into memory, if there is one.
    pub(super) fn load_member<E>(
        &mut self,
        room: i64,
        user: (i64, &UserId),
    ) -> Result<(), Trouble<E>> {
        if self.members.contains_key(&(room, user.0)) {
            return Ok(());
        }
        let conn = self.conn;
        let id = self.room(room)?.room.id.clone();
        if let Some(member) = rows::member(conn, (room, &id), user)? {
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
        let found = self.rooms.get(&room).ok_or_else(|| inconsistent("rooms", &room))?;
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
    pub(super) fn room_next<E>(&mut self, row: i64) -> Result<Arc<Room>, Trouble<E>> {
        let room = self.room(row)?.room.clone();
        Ok(Arc::new(Room { last_seq: room.last_seq + 1, ..room }))
    }

    fn next_pos<E>(&mut self) -> Result<u64, Trouble<E>> {
        let head = match self.head_pos {
            Some(head) => head,
            None => rows::first(self.conn, sql::HEAD_POS, [], |r| rows::count(r, 0))?.unwrap_or(0),
        };
        self.head_pos = Some(head + 1);
        Ok(head + 1)
    }

    /// Appends an event to a room's stream and returns its `seq`. For a message the caller has counted
    /// `last_number` up before.
    pub(super) fn emit_in_room<E>(
        &mut self,
        room_row: i64,
        actor: &Who,
        about: (i64, Timestamp),
        fact: Fact,
    ) -> Result<u64, Trouble<E>> {
        let pos = self.next_pos()?;
        let room = self.room(room_row)?;
        room.room.last_seq += 1;
        room.last_pos = pos;
        let (seq, number) = (room.room.last_seq, room.room.last_number);
        let stream = Stream::Room(room.room.id.clone());
        let tenant = room.room.tenant.clone();
        self.rooms_changed.push(room_row);
        let place = (pos, facts::room_stream(room_row), seq, number);
        self.insert_event(place, actor, about, &fact)?;
        let actor = Some(actor.profile.id.clone());
        self.events.push(Event { pos, origin: 0, stream, seq, tenant, actor, at: about.1, fact });
        Ok(seq)
    }

    /// Appends an event to a user's inbox.
    pub(super) fn emit_to_inbox<E>(
        &mut self,
        user_row: i64,
        actor: &Who,
        about: (i64, Timestamp),
        fact: Fact,
    ) -> Result<(), Trouble<E>> {
        let pos = self.next_pos()?;
        let user = self.user_row(user_row)?;
        user.inbox_seq += 1;
        user.inbox_pos = pos;
        let seq = user.inbox_seq;
        let stream = Stream::User(user.user.id.clone());
        let tenant = user.user.tenant.clone();
        let params = (user_row, seq.cast_signed(), pos.cast_signed());
        rows::execute(self.conn, sql::USER_INBOX, params)?;
        self.insert_event((pos, facts::inbox_stream(user_row), seq, 0), actor, about, &fact)?;
        let actor = Some(actor.profile.id.clone());
        self.events.push(Event { pos, origin: 0, stream, seq, tenant, actor, at: about.1, fact });
        Ok(())
    }

    fn insert_event<E>(
        &self,
        (pos, stream, seq, number): (u64, i64, u64, u64),
        actor: &Who,
        (subject, at): (i64, Timestamp),
        fact: &Fact,
    ) -> Result<(), Trouble<E>> {
        let payload = facts::payload(fact);
        let row = (
            pos.cast_signed(),
            stream,
            seq.cast_signed(),
            facts::kind(fact),
            number.cast_signed(),
            actor.row,
            subject,
            at.0,
            payload,
        );
        rows::execute(self.conn, sql::EVENT_INSERT, row)?;
        Ok(())
    }
}
