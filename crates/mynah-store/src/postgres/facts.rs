//! How rows of the journal become facts again.
//!
//! Everything an answer needs beside the rows is read set by set: rooms and messages first, then the
//! users that these name.

use std::collections::HashMap;
use std::sync::Arc;

use mynah_domain::event::{Departure, Event, Fact, Stream};
use mynah_domain::message::Message;
use mynah_domain::room::{Profile, Role, Room};
use mynah_domain::{RoomId, Timestamp};
use tokio_postgres::{Error, Row};

use crate::facts as pure;

use super::db::Db;
use super::params::{Param, count};
use super::rows::{self, RoomRow, UserRow};
use super::sql;
use super::trouble::{Failure, inconsistent};

/// A row of the journal.
pub(super) struct EventRow {
    pub(super) pos: u64,
    stream: i64,
    seq: u64,
    kind: i16,
    origin: i16,
    actor: Option<i64>,
    subject: i64,
    at: Timestamp,
    payload: Option<String>,
}

impl EventRow {
    fn of_room(&self) -> Option<i64> {
        (self.stream % 2 == 0).then_some(self.stream / 2)
    }

    fn of_inbox(&self) -> Option<i64> {
        (self.stream % 2 != 0).then_some(self.stream / 2)
    }

    fn tells_of_message(&self) -> bool {
        self.of_room().is_some() && (8..=10).contains(&self.kind)
    }
}

/// Columns as in the macro `event` of `sql.rs`.
pub(super) fn event_row(row: &Row) -> Result<EventRow, Error> {
    Ok(EventRow {
        pos: rows::count(row, 0)?,
        stream: row.try_get(1)?,
        seq: rows::count(row, 2)?,
        kind: row.try_get(3)?,
        origin: row.try_get(4)?,
        actor: row.try_get(5)?,
        subject: row.try_get(6)?,
        at: Timestamp(row.try_get(7)?),
        payload: row.try_get(8)?,
    })
}

/// What rows name.
struct Named {
    rooms: HashMap<i64, RoomRow>,
    users: HashMap<i64, UserRow>,
    messages: HashMap<(i64, u64), Message>,
}

/// Rooms by their ids within the database.
pub(super) async fn rooms(db: &Db, mut ids: Vec<i64>) -> Result<HashMap<i64, RoomRow>, Failure> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = db.all(sql::rooms::ROOMS_BY_ROW, &[&ids], rows::room).await?;
    Ok(found.into_iter().map(|room| (room.row, room)).collect())
}

/// Users by their ids within the database.
pub(super) async fn users(db: &Db, mut ids: Vec<i64>) -> Result<HashMap<i64, UserRow>, Failure> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = db.all(sql::accounts::USERS_BY_ROW, &[&ids], rows::user).await?;
    Ok(found.into_iter().map(|user| (user.row, user)).collect())
}

/// The other member of a direct room.
pub(super) fn peer(pair: Option<(i64, i64)>, own: i64) -> Option<i64> {
    pair.map(|(low, high)| if low == own { high } else { low })
}

/// Messages as of events, by room and the event's `seq`; what their rooms know is not filled in.
async fn messages(db: &Db, events: &[EventRow]) -> Result<HashMap<(i64, u64), Message>, Failure> {
    let wanted = events.iter().filter(|row| row.tells_of_message());
    let (mut rooms, mut numbers, mut seqs) = (vec![], vec![], vec![]);
    for row in wanted {
        rooms.push(row.stream / 2);
        numbers.push(row.subject);
        seqs.push(count(row.seq));
    }
    if rooms.is_empty() {
        return Ok(HashMap::new());
    }
    let params: [&dyn Param; 3] = [&rooms, &numbers, &seqs];
    let read = |row: &Row| {
        let found = rows::message(row, None)?;
        Ok(((found.room_row, rows::count(row, 17)?), found.message))
    };
    Ok(db.all(sql::messages::MESSAGES_AS_OF, &params, read).await?.into_iter().collect())
}

/// Makes events of rows, in their order.
pub(super) async fn replay(db: &Db, events: &[EventRow]) -> Result<Vec<Event>, Failure> {
    let of_rooms = events.iter().map(|row| row.of_room().unwrap_or(row.subject)).collect();
    let (rooms, messages) = tokio::try_join!(rooms(db, of_rooms), messages(db, events))?;
    let mut people: Vec<i64> = events.iter().filter_map(|row| row.actor).collect();
    for row in events {
        people.extend(row.of_inbox());
        people.extend(row.of_room().filter(|_| (4..=7).contains(&row.kind)).map(|_| row.subject));
        let pair = row.of_inbox().and(rooms.get(&row.subject)).and_then(|room| room.pair);
        people.extend(row.of_inbox().and_then(|own| peer(pair, own)));
    }
    let users = users(db, people).await?;
    let named = Named { rooms, users, messages };
    // Rows of a kind that is not known here, as a newer version would write them, must not hide all others.
    let readable = |row: &EventRow| {
        let event = named.event(row);
        if event.is_none() {
            crate::facts::passed_over(&inconsistent("events", &row.pos));
        }
        event
    };
    Ok(events.iter().filter_map(readable).collect())
}

impl Named {
    fn profile(&self, user: i64) -> Option<Arc<Profile>> {
        Some(self.users.get(&user)?.profile.clone())
    }

    fn event(&self, row: &EventRow) -> Option<Event> {
        let (stream, tenant, fact) = if let Some(own) = row.of_room() {
            let room = &self.rooms.get(&own)?.room;
            (Stream::Room(room.id.clone()), room.tenant.clone(), self.room_fact(row, room)?)
        } else {
            let own = row.of_inbox()?;
            let user = &self.users.get(&own)?.user;
            (Stream::User(user.id.clone()), user.tenant.clone(), self.inbox_fact(row, own)?)
        };
        let actor = match row.actor {
            Some(actor) => Some(self.users.get(&actor)?.user.id.clone()),
            None => None,
        };
        let origin = row.origin.unsigned_abs();
        Some(Event { pos: row.pos, origin, stream, seq: row.seq, tenant, actor, at: row.at, fact })
    }

    fn room_fact(&self, row: &EventRow, now: &Room) -> Option<Fact> {
        let room = now.id.clone();
        let user = || Some(self.users.get(&row.subject)?.user.id.clone());
        let payload = row.payload.as_deref();
        Some(match row.kind {
            1 => Fact::RoomCreated { room: pure::as_it_was(payload, now)?.0 },
            2 => Fact::RoomUpdated { room: pure::as_it_was(payload, now)?.0 },
            3 => Fact::RoomDeleted { room },
            4 => {
                let (member, role) = (self.profile(row.subject)?, Role::from_word(payload?)?);
                Fact::MemberJoined { room, member, role }
            }
            5 => Fact::MemberInvited { room, member: self.profile(row.subject)? },
            6 => {
                let departure = Departure::from_word(payload?)?;
                Fact::MemberLeft { room, user: user()?, departure }
            }
            7 => {
                let role = Role::from_word(payload?)?;
                Fact::MemberRoleChanged { room, user: user()?, role }
            }
            8..=10 => self.message_fact(row, room, now)?,
            _ => return None,
        })
    }

    fn message_fact(&self, row: &EventRow, room: RoomId, now: &Room) -> Option<Fact> {
        let mut message = self.messages.get(&(row.stream / 2, row.seq))?.clone();
        rows::place(&mut message, now);
        Some(match row.kind {
            8 => Fact::MessageCreated { message: Arc::new(message) },
            9 => Fact::MessageUpdated { message: Arc::new(message) },
            _ => Fact::MessageDeleted {
                room,
                number: message.number,
                created_seq: message.seq,
                message: message.id,
            },
        })
    }

    fn inbox_fact(&self, row: &EventRow, own: i64) -> Option<Fact> {
        let now = self.rooms.get(&row.subject)?;
        let payload = row.payload.as_deref();
        Some(match row.kind {
            11 => {
                let (room, role) = pure::as_it_was(payload, &now.room)?;
                let peer = match peer(now.pair, own) {
                    Some(peer) => Some(self.profile(peer)?),
                    None => None,
                };
                Fact::RoomAdded { room, role: role?, peer }
            }
            12 => {
                let departure = Departure::from_word(payload?)?;
                Fact::RoomRemoved { room: now.room.id.clone(), departure }
            }
            13 => Fact::RoomInvited { room: pure::as_it_was(payload, &now.room)?.0 },
            _ => return None,
        })
    }
}
