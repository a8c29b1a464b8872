//! The index of words follows the log.
//!
//! Of several nodes one takes a step at a time: it has a lock until its transaction ends. Nothing is written before
//! the words are made, so the transaction gets its number late and holds up for a moment only those who wait for the
//! log to settle. Sends have another connection.

use std::collections::{HashMap, HashSet};

use mynah_domain::ports::StoreError;
use mynah_domain::search::{Indexed, UNINDEXED_MAX};
use tokio_postgres::{Error, Row};

use crate::search::{News, STEP_BYTES_MAX, tsvector};

use super::db::Db;
use super::journal::head_pos;
use super::params::{Param, count};
use super::rows;
use super::sql::search as sql;
use super::trouble::{Failure, Trouble, inconsistent};

type Outcome<T> = Result<T, Trouble<StoreError>>;

/// An event that the index follows: pos, stream, kind, subject.
type NewsRow = (u64, i64, i64, i64);

/// A message: room and number.
type Name = (i64, i64);

/// A message as the index is to hold it.
struct Entry {
    pos: i64,
    /// `None`: it is deleted.
    words: Option<String>,
    bytes: usize,
}

/// Up to where the log has been read.
async fn place(db: &Db) -> Outcome<u64> {
    let found = db.first(sql::SEARCH_PLACE, &[], |row| rows::count(row, 0)).await?;
    Ok(found.ok_or_else(|| inconsistent("search_places", &1))?)
}

/// Events between the kept place and the settled head of the log.
pub(super) async fn behind(db: &Db) -> Outcome<u64> {
    let (from, head) = (count(place(db).await?), count(head_pos(db).await?));
    let params: [&dyn Param; 3] = [&from, &head, &count(UNINDEXED_MAX)];
    let found = db.first(sql::SEARCH_BEHIND, &params, |row| rows::count(row, 0)).await?;
    Ok(found.unwrap_or(0))
}

/// Takes a step, if nobody else is at it.
pub(super) async fn step(db: &Db, limit: u32) -> Outcome<Indexed> {
    let free = db.first(sql::SEARCH_LOCK, &[], |row| row.try_get::<_, bool>(0)).await?;
    if free != Some(true) {
        return Ok(Indexed::default());
    }
    let (from, head) = (count(place(db).await?), count(head_pos(db).await?));
    let params: [&dyn Param; 3] = [&from, &head, &(i64::from(limit) + 1)];
    let found = db.all(sql::SEARCH_NEWS, &params, news).await?;
    if let Some((pos, stream, kind, _)) = found.first()
        && News::of(*kind) == Some(News::RoomGone)
    {
        return forget_room(db, (*pos, stream / 2), limit).await;
    }
    keep(db, &found, limit as usize).await
}

fn news(row: &Row) -> Result<NewsRow, Error> {
    let kind = i64::from(row.try_get::<_, i16>(2)?);
    Ok((rows::count(row, 0)?, row.try_get(1)?, kind, row.try_get(3)?))
}

/// A part of a deleted room; the place moves on with the last one.
async fn forget_room(db: &Db, (pos, room): (u64, i64), limit: u32) -> Outcome<Indexed> {
    let gone = db.run(sql::SEARCH_FORGET_ROOM, &[&room, &i64::from(limit)]).await?;
    if gone == limit as usize {
        return Ok(Indexed { events: 0, more: true });
    }
    db.run(sql::SEARCH_MOVE, &[&count(pos)]).await?;
    Ok(Indexed { events: 1, more: true })
}

/// Messages up to the deletion of a room, as many as fit into a step.
async fn keep(db: &Db, found: &[NewsRow], limit: usize) -> Outcome<Indexed> {
    let is_message = |row: &&NewsRow| News::of(row.2) == Some(News::Message);
    let run: Vec<NewsRow> = found.iter().take(limit).take_while(is_message).copied().collect();
    let names: HashSet<Name> = run.iter().map(|row| (row.1 / 2, row.3)).collect();
    let mut entries = entries(db, names).await?;
    let (mut kept, mut gone) = ((vec![], vec![], vec![], vec![]), Vec::new());
    let (mut events, mut bytes, mut to) = (0, 0, None);
    for (pos, stream, _, number) in run {
        if bytes >= STEP_BYTES_MAX {
            break;
        }
        (to, events) = (Some(count(pos)), events + 1);
        let room = stream / 2;
        let Some(entry) = entries.remove(&(room, number)) else { continue };
        bytes += entry.bytes;
        match entry.words {
            Some(words) => {
                kept.0.push(entry.pos);
                kept.1.push(room);
                kept.2.push(number);
                kept.3.push(words);
            }
            None => gone.push(entry.pos),
        }
    }
    let Some(to) = to else { return Ok(Indexed::default()) };
    if !kept.0.is_empty() {
        db.run(sql::SEARCH_KEEP, &[&kept.0, &kept.1, &kept.2, &kept.3]).await?;
    }
    if !gone.is_empty() {
        db.run(sql::SEARCH_FORGET, &[&gone]).await?;
    }
    db.run(sql::SEARCH_MOVE, &[&to]).await?;
    Ok(Indexed { events: events as u64, more: events < found.len() })
}

/// Messages as they are now.
async fn entries(db: &Db, names: HashSet<Name>) -> Result<HashMap<Name, Entry>, Failure> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let (rooms, numbers): (Vec<i64>, Vec<i64>) = names.into_iter().unzip();
    let read = |row: &Row| {
        let found = rows::message(row, None)?;
        let (room, message) = (found.room_row, &found.message);
        let is_there = message.deleted_at.is_none();
        let words = is_there.then(|| tsvector(message, (room, found.sender_row)));
        let entry = Entry { pos: row.try_get(17)?, words, bytes: message.content.len() };
        Ok(((room, count(message.number)), entry))
    };
    let found = db.all(sql::SEARCH_SOURCES, &[&rooms, &numbers], read).await?;
    Ok(found.into_iter().collect())
}
