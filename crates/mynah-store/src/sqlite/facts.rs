//! How a row of the journal becomes a fact again.
//!
//! Message events hold no text: replay joins the message and the revision that its `seq` brought.

use std::collections::HashMap;
use std::sync::Arc;

use mynah_domain::event::{Departure, Event, Fact, Stream};
use mynah_domain::room::{Profile, Role, Room};
use mynah_domain::{RoomId, Timestamp};
use rusqlite::{Connection, Row};

use crate::facts as pure;

use super::rows::{self, RoomRow, UserRow};
use super::sql;
use super::trouble::{Trouble, inconsistent};

/// A row of the journal.
pub(super) struct EventRow {
    pub(super) pos: u64,
    stream: i64,
    seq: u64,
    kind: i64,
    actor: Option<i64>,
    subject: i64,
    at: Timestamp,
    payload: Option<String>,
}

pub(super) fn event_row(row: &Row<'_>) -> Result<EventRow, rusqlite::Error> {
    Ok(EventRow {
        pos: rows::count(row, 0)?,
        stream: row.get(1)?,
        seq: rows::count(row, 2)?,
        kind: row.get(3)?,
        actor: row.get(5)?,
        subject: row.get(6)?,
        at: row.get(7).map(Timestamp)?,
        payload: row.get(8)?,
    })
}

/// Reads events back; remembers the rooms and users it met, so make one per answer.
pub(super) struct Replay<'c> {
    conn: &'c Connection,
    rooms: HashMap<i64, Arc<RoomRow>>,
    users: HashMap<i64, Arc<UserRow>>,
}

impl<'c> Replay<'c> {
    pub(super) fn new(conn: &'c Connection) -> Self {
        Self { conn, rooms: HashMap::new(), users: HashMap::new() }
    }

    pub(super) fn room<E>(&mut self, row: i64) -> Result<Arc<RoomRow>, Trouble<E>> {
        if let Some(found) = self.rooms.get(&row) {
            return Ok(found.clone());
        }
        let found = Arc::new(rows::room_by_row(self.conn, row)?);
        self.rooms.insert(row, found.clone());
        Ok(found)
    }

    fn user<E>(&mut self, row: i64) -> Result<Arc<UserRow>, Trouble<E>> {
        if let Some(found) = self.users.get(&row) {
            return Ok(found.clone());
        }
        let found = Arc::new(rows::user_by_row(self.conn, row)?);
        self.users.insert(row, found.clone());
        Ok(found)
    }

    /// The other member of a direct room.
    pub(super) fn peer<E>(
        &mut self,
        pair: Option<(i64, i64)>,
        own: i64,
    ) -> Result<Option<Arc<Profile>>, Trouble<E>> {
        let Some((low, high)) = pair else { return Ok(None) };
        let other = if low == own { high } else { low };
        Ok(Some(self.user(other)?.profile.clone()))
    }

    pub(super) fn event<E>(&mut self, row: &EventRow) -> Result<Event, Trouble<E>> {
        let own = row.stream / 2;
        let (stream, tenant, fact) = if row.stream % 2 == 0 {
            let room = self.room(own)?;
            let fact = self.room_fact(row, &room)?;
            (Stream::Room(room.room.id.clone()), room.room.tenant.clone(), fact)
        } else {
            let user = self.user(own)?;
            let fact = self.inbox_fact(row, own)?;
            (Stream::User(user.user.id.clone()), user.user.tenant.clone(), fact)
        };
        let actor = match row.actor {
            Some(actor) => Some(self.user(actor)?.user.id.clone()),
            None => None,
        };
        Ok(Event { pos: row.pos, origin: 0, stream, seq: row.seq, tenant, actor, at: row.at, fact })
    }

    fn room_fact<E>(&mut self, row: &EventRow, room: &RoomRow) -> Result<Fact, Trouble<E>> {
        let id = room.room.id.clone();
        Ok(match row.kind {
            1 => Fact::RoomCreated { room: as_it_was(row, room)?.0 },
            2 => Fact::RoomUpdated { room: as_it_was(row, room)?.0 },
            3 => Fact::RoomDeleted { room: id },
            4 => {
                let member = self.user(row.subject)?.profile.clone();
                Fact::MemberJoined { room: id, member, role: said(row, Role::from_word)? }
            }
            5 => Fact::MemberInvited { room: id, member: self.user(row.subject)?.profile.clone() },
            6 => {
                let user = self.user(row.subject)?.user.id.clone();
                Fact::MemberLeft { room: id, user, departure: said(row, Departure::from_word)? }
            }
            7 => {
                let user = self.user(row.subject)?.user.id.clone();
                Fact::MemberRoleChanged { room: id, user, role: said(row, Role::from_word)? }
            }
            8..=10 => self.message_fact(row, id, room)?,
            _ => return Err(broken(row)),
        })
    }

    fn message_fact<E>(
        &mut self,
        row: &EventRow,
        id: RoomId,
        room: &RoomRow,
    ) -> Result<Fact, Trouble<E>> {
        let as_of = (row.subject, row.seq.cast_signed());
        let found = rows::first(self.conn, sql::MESSAGE_AS_OF, as_of, |r| {
            rows::message(r, Some(&room.room))
        })?;
        let Some(found) = found else { return Err(broken(row)) };
        let message = found.message;
        Ok(match row.kind {
            8 => Fact::MessageCreated { message: Arc::new(message) },
            9 => Fact::MessageUpdated { message: Arc::new(message) },
            _ => Fact::MessageDeleted {
                room: id,
                number: message.number,
                created_seq: message.seq,
                message: message.id,
            },
        })
    }

    fn inbox_fact<E>(&mut self, row: &EventRow, own: i64) -> Result<Fact, Trouble<E>> {
        let now = self.room(row.subject)?;
        Ok(match row.kind {
            11 => {
                let (room, role) = as_it_was(row, &now)?;
                let role = role.ok_or_else(|| broken::<E>(row))?;
                Fact::RoomAdded { room, role, peer: self.peer(now.pair, own)? }
            }
            12 => Fact::RoomRemoved {
                room: now.room.id.clone(),
                departure: said(row, Departure::from_word)?,
            },
            13 => Fact::RoomInvited { room: as_it_was(row, &now)?.0 },
            _ => return Err(broken(row)),
        })
    }
}

fn broken<E>(row: &EventRow) -> Trouble<E> {
    inconsistent("events", &row.pos).into()
}

fn said<T, E>(row: &EventRow, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Trouble<E>> {
    row.payload.as_deref().and_then(read).ok_or_else(|| broken(row))
}

fn as_it_was<E>(row: &EventRow, now: &RoomRow) -> Result<(Arc<Room>, Option<Role>), Trouble<E>> {
    pure::as_it_was(row.payload.as_deref(), &now.room).ok_or_else(|| broken(row))
}
