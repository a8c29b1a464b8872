//! Finding messages by words, and the index for it.
//!
//! The journal is the queue: a reader takes what lies after the kept place and makes words of it, the writer keeps
//! them with the new place. So a send waits for one small step at most.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::message::Position;
use mynah_domain::permission::{Access, Guard};
use mynah_domain::ports::{SearchStore, StoreError};
use mynah_domain::room::Room;
use mynah_domain::search::{
    Indexed, LOOKED_AT_MAX, Limit, Matches, SEARCHED_ROOMS_MAX, UNINDEXED_MAX, Wanted,
};
use rusqlite::{Connection, Row};

use crate::search::{Asked, News, STEP_BYTES_MAX, fts5_row, room_mark};

use super::history::resolve;
use super::rows::{self, RoomRow};
use super::trouble::{Trouble, inconsistent};
use super::tx::Tx;
use super::{SqliteStore, lists, sql};

type Found<T> = Result<T, Trouble<ChatError>>;
type Outcome<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl SearchStore for SqliteStore {
    async fn find_messages(&self, guard: Guard, wanted: &Wanted) -> Result<Matches, ChatError> {
        let wanted = wanted.clone();
        self.reads.call(move |conn| find(conn, &guard, &wanted)).await
    }

    async fn index_messages(&self, limit: u32) -> Result<Indexed, StoreError> {
        let step = self.reads.call(move |conn| read_on(conn, limit)).await?;
        if step.to == step.from && step.gone_room.is_none() {
            return Ok(Indexed::default());
        }
        self.writes.call(move |tx| keep(tx, &step, limit)).await
    }

    async fn unindexed(&self) -> Result<u64, StoreError> {
        let read = |conn: &Connection| {
            let newest = rows::first(conn, sql::NEWEST_EVENT, [], |row| rows::count(row, 0))?;
            Ok(newest.unwrap_or(0).saturating_sub(place(conn)?).min(UNINDEXED_MAX))
        };
        self.reads.call(read).await
    }
}

/// Up to where the log has been read.
fn place(conn: &Connection) -> Outcome<u64> {
    let found = rows::first(conn, sql::SEARCH_PLACE, [], |row| rows::count(row, 0))?;
    Ok(found.ok_or_else(|| inconsistent("search_places", &1))?)
}

/// A message as the index is to hold it.
struct Entry {
    pos: i64,
    /// Marks and words; `None`: it is deleted.
    row: Option<(String, String)>,
}

/// What is to be done to come from one place in the log to another.
struct Step {
    from: u64,
    to: u64,
    events: u64,
    more: bool,
    entries: Vec<Entry>,
    /// The event after `to` deleted this room.
    gone_room: Option<i64>,
}

/// Columns: pos, stream, kind, subject.
fn news(row: &Row<'_>) -> Result<(u64, i64, i64, i64), rusqlite::Error> {
    Ok((rows::count(row, 0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

/// Reads on from the kept place, up to a number of events and [`STEP_BYTES_MAX`], and to the deletion of a room.
fn read_on(conn: &Connection, limit: u32) -> Outcome<Step> {
    let from = place(conn)?;
    let limit = limit.max(1);
    let params = (from.cast_signed(), i64::from(limit) + 1);
    let found = rows::all(conn, sql::EVENTS_AFTER_POS, params, news)?;
    let mut step =
        Step { from, to: from, events: 0, more: false, entries: Vec::new(), gone_room: None };
    let (mut seen, mut bytes) = (HashSet::new(), 0);
    for (pos, stream, kind, subject) in found {
        if step.events == u64::from(limit) || bytes >= STEP_BYTES_MAX {
            step.more = true;
            break;
        }
        match News::of(kind) {
            Some(News::RoomGone) => {
                if step.events > 0 {
                    step.more = true;
                } else {
                    step.to = pos;
                    step.gone_room = Some(stream / 2);
                }
                break;
            }
            Some(News::Message) if seen.insert(subject) => {
                // A message whose rows are broken must not hide all others.
                let found = entry(conn, subject)?;
                bytes += found.as_ref().map_or(0, |(_, length)| *length);
                step.entries.extend(found.map(|(entry, _)| entry));
            }
            Some(News::Message) | None => {}
        }
        (step.to, step.events) = (pos, step.events + 1);
    }
    Ok(step)
}

/// A message as it is now, and how long its text is.
fn entry(conn: &Connection, row: i64) -> Outcome<Option<(Entry, usize)>> {
    let found = rows::first(conn, sql::MESSAGE_BY_ROW, [row], |r| rows::message(r, None))?;
    let Some(found) = found else { return Ok(None) };
    let key = (crate::facts::room_stream(found.room_row), found.message.seq.cast_signed());
    let pos = rows::first(conn, sql::EVENT_POS, key, |r| r.get::<_, i64>(0))?;
    let Some(pos) = pos else { return Ok(None) };
    let message = &found.message;
    let is_there = message.deleted_at.is_none();
    let row = is_there.then(|| fts5_row(message, (found.room_row, found.sender_row)));
    Ok(Some((Entry { pos, row }, message.content.len())))
}

/// Brings the index from one place to the other, unless another did so.
fn keep(tx: &mut Tx<'_>, step: &Step, limit: u32) -> Outcome<Indexed> {
    let conn = tx.conn;
    if place(conn)? != step.from {
        return Ok(Indexed { events: 0, more: true });
    }
    if let Some(room) = step.gone_room {
        let asked = (format!("marks : \"{}\"", room_mark(room)), i64::from(limit.max(1)));
        let gone = rows::all(conn, sql::SEARCH_FIRST, asked, |row| row.get::<_, i64>(0))?;
        for pos in &gone {
            rows::execute(conn, sql::SEARCH_FORGET, [pos])?;
        }
        if gone.len() == limit.max(1) as usize {
            return Ok(Indexed { events: 0, more: true });
        }
        rows::execute(conn, sql::SEARCH_MOVE, [step.to.cast_signed()])?;
        return Ok(Indexed { events: 1, more: true });
    }
    for Entry { pos, row } in &step.entries {
        match row {
            Some((marks, words)) => {
                rows::execute(conn, sql::SEARCH_KEEP, (pos, marks, words))?;
            }
            None => {
                rows::execute(conn, sql::SEARCH_FORGET, [pos])?;
            }
        }
    }
    rows::execute(conn, sql::SEARCH_MOVE, [step.to.cast_signed()])?;
    Ok(Indexed { events: step.events, more: step.more })
}

/// Where is searched.
struct Reach {
    rooms: HashMap<i64, Room>,
    numbers: RangeInclusive<u64>,
}

fn find(conn: &Connection, guard: &Guard, wanted: &Wanted) -> Found<Matches> {
    let nothing = Ok(Matches { messages: Vec::new(), next: None });
    let sender = match &wanted.from {
        Some(from) => match rows::user_by_id(conn, &guard.actor.tenant, from)? {
            Some(user) => Some(user.row),
            None => return nothing,
        },
        None => None,
    };
    let reach = reach(conn, guard, wanted)?;
    if reach.rooms.is_empty() {
        return nothing;
    }
    let rooms: Vec<i64> = reach.rooms.keys().copied().collect();
    let asked = Asked { wanted, rooms: &rooms, sender }.fts5();
    let below = wanted.below.unwrap_or(u64::MAX).min(i64::MAX as u64).cast_signed();
    let mut statement = rows::prepare(conn, sql::SEARCH)?;
    let mut found = statement.query((asked, below))?;
    let (mut messages, mut looked_at) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        if messages.len() == wanted.limit || looked_at == LOOKED_AT_MAX {
            return Ok(Matches { messages, next: Some(rows::count(row, 18)? + 1) });
        }
        looked_at += 1;
        let mut message = rows::message(row, None)?;
        let Some(room) = reach.rooms.get(&message.room_row) else { continue };
        rows::place(&mut message.message, room);
        let message = message.message;
        if reach.numbers.contains(&message.number) && wanted.accepts(&message) {
            messages.push(message);
        }
    }
    Ok(Matches { messages, next: None })
}

/// The room that is named, or those that the actor has joined.
fn reach(conn: &Connection, guard: &Guard, wanted: &Wanted) -> Found<Reach> {
    if let Some(id) = &wanted.room {
        let room = lists::enter(conn, guard, id)?;
        let numbers = numbers(conn, &room, wanted)?;
        return Ok(Reach { rooms: HashMap::from([(room.row, room.room)]), numbers });
    }
    let mut reach = Reach { rooms: HashMap::new(), numbers: 0..=u64::MAX };
    let actor = &guard.actor;
    let Some(user) = rows::user_by_id(conn, &actor.tenant, &actor.user)? else { return Ok(reach) };
    let mut joined = rows::all(conn, sql::ROOMS_JOINED, [user.row], rows::room)?;
    joined.sort_unstable_by_key(|room| std::cmp::Reverse(room.last_pos));
    for room in joined.into_iter().take(SEARCHED_ROOMS_MAX) {
        let member = rows::member(conn, (room.row, &room.room.id), (user.row, &user.user.id))?;
        let membership = member.as_ref().map(|member| &member.membership);
        let access = Access { room: &room.room, membership, author: None, target: None };
        if guard.check(&access).is_ok() {
            reach.rooms.insert(room.row, room.room);
        }
    }
    Ok(reach)
}

/// Numbers of the messages between the places that are named.
fn numbers(conn: &Connection, room: &RoomRow, wanted: &Wanted) -> Found<RangeInclusive<u64>> {
    let first = match &wanted.after {
        Some(Limit::Place(place)) => resolve(conn, room, place)?.saturating_add(1),
        Some(Limit::Time(_)) | None => 0,
    };
    let last = match &wanted.before {
        Some(Limit::Place(Position::Seq(seq))) => {
            resolve(conn, room, &Position::Seq(seq.saturating_sub(1)))?
        }
        Some(Limit::Place(place)) => resolve(conn, room, place)?.saturating_sub(1),
        Some(Limit::Time(_)) | None => u64::MAX,
    };
    Ok(first..=last)
}
