//! The journal, read.

use std::collections::BinaryHeap;

use async_trait::async_trait;
use mynah_domain::RoomId;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{CatchUp, Event, LogPage};
use mynah_domain::permission::{Actor, Guard};
use mynah_domain::ports::{JournalStore, StoreError};
use mynah_domain::recovery::LogEpoch;
use rusqlite::{Connection, Row};

use crate::facts as streams;

use super::facts::{self, Replay};
use super::trouble::{Trouble, inconsistent};
use super::{SqliteStore, lists, rows, sql};

#[async_trait]
impl JournalStore for SqliteStore {
    async fn room_events(
        &self,
        guard: Guard,
        room: &RoomId,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, ChatError> {
        let room = room.clone();
        let read = move |conn: &Connection| {
            let room = lists::enter(conn, &guard, &room)?;
            let stream = (streams::room_stream(room.row), room.room.last_seq);
            catch_up(conn, stream, after_seq, limit)
        };
        self.reads.call(read).await
    }

    async fn inbox_events(
        &self,
        viewer: &Actor,
        after_seq: u64,
        limit: u32,
    ) -> Result<CatchUp, StoreError> {
        let viewer = viewer.clone();
        let read = move |conn: &Connection| {
            let user = rows::user_by_id(conn, &viewer.tenant, &viewer.user)?;
            let (row, head) = user.map_or((0, 0), |user| (user.row, user.inbox_seq));
            catch_up(conn, (streams::inbox_stream(row), head), after_seq, limit)
        };
        self.reads.call(read).await
    }

    async fn events_for(
        &self,
        viewer: &Actor,
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        let viewer = viewer.clone();
        let read = move |conn: &Connection| {
            log_page(conn, &viewer, (after_pos, limit), |user| {
                let params = (user, after_pos.cast_signed());
                Ok(rows::all(conn, sql::ROOMS_NEWS, params, room_head)?)
            })
        };
        self.reads.call(read).await
    }

    async fn events_of(
        &self,
        viewer: &Actor,
        rooms: &[RoomId],
        after_pos: u64,
        limit: u32,
    ) -> Result<LogPage, StoreError> {
        let (viewer, rooms) = (viewer.clone(), rooms.to_vec());
        let read = move |conn: &Connection| {
            log_page(conn, &viewer, (after_pos, limit), |user| {
                let mut found = Vec::with_capacity(rooms.len());
                for room in &rooms {
                    let params = (room.as_str(), user, after_pos.cast_signed());
                    found.extend(rows::first(conn, sql::ROOM_NEWS, params, room_head)?);
                }
                found.sort_unstable();
                found.dedup();
                Ok(found)
            })
        };
        self.reads.call(read).await
    }

    async fn head_pos(&self) -> Result<u64, StoreError> {
        self.reads.call(head_pos).await
    }

    async fn log_epoch(&self) -> Result<LogEpoch, StoreError> {
        self.reads.call(log_epoch).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let write = |tx: &mut super::tx::Tx<'_>| {
            rows::execute(tx.conn, sql::PROBE_WRITE, [])?;
            Ok::<_, Trouble<StoreError>>(())
        };
        self.writes.call(write).await?;
        self.reads
            .call(|conn| {
                let found = rows::first(conn, sql::PROBE_READ, [], |_| Ok(()))?;
                Ok(found.ok_or_else(|| inconsistent("probes", &1))?)
            })
            .await
    }
}

pub(super) fn head_pos(conn: &Connection) -> Result<u64, Trouble<StoreError>> {
    Ok(rows::first(conn, sql::HEAD_POS, [], |row| rows::count(row, 0))?.unwrap_or(0))
}

pub(super) fn log_epoch(conn: &Connection) -> Result<LogEpoch, Trouble<StoreError>> {
    let found = rows::first(conn, sql::LOG_EPOCH, [], |row| row.get::<_, i64>(0))?;
    Ok(LogEpoch(found.ok_or_else(|| inconsistent("logs", &1))?.cast_unsigned()))
}

pub(super) fn catch_up<E>(
    conn: &Connection,
    (stream, head_seq): (i64, u64),
    after_seq: u64,
    limit: u32,
) -> Result<CatchUp, Trouble<E>> {
    if after_seq > head_seq {
        return Ok(CatchUp { events: Vec::new(), head_seq, gap: true });
    }
    let params = (stream, after_seq.cast_signed(), i64::from(limit));
    let found = rows::all(conn, sql::EVENTS_AFTER_SEQ, params, facts::event_row)?;
    let mut replay = Replay::new(conn);
    let mut events = Vec::with_capacity(found.len());
    for row in &found {
        events.extend(readable(replay.event(row))?);
    }
    let first = events.first().map_or(head_seq + 1, |event| event.seq);
    let gap = (first != after_seq + 1 && limit > 0) || events.len() < found.len();
    Ok(CatchUp { events, head_seq, gap })
}

/// An event, unless its row is of a kind that is not known here, as a newer version would write it, or broken:
/// such a row must not hide all others.
fn readable<E>(event: Result<Event, Trouble<E>>) -> Result<Option<Event>, Trouble<E>> {
    match event {
        Ok(event) => Ok(Some(event)),
        Err(Trouble::Engine(error @ StoreError::Inconsistent { .. })) => {
            streams::passed_over(&error);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

/// The first `seq` of a stream whose event lies after `pos`. Within a stream `pos` ascends with `seq`, so
/// halving finds it without an index of its own, which every write would pay for.
fn first_after<E>(
    conn: &Connection,
    (stream, head_seq): (i64, u64),
    pos: i64,
) -> Result<u64, Trouble<E>> {
    let (mut low, mut high) = (1, head_seq + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let params = (stream, middle.cast_signed());
        let at = rows::first(conn, sql::EVENT_POS, params, |row| row.get::<_, i64>(0))?;
        // Events that are gone were the oldest.
        if at.is_none_or(|at| at <= pos) { low = middle + 1 } else { high = middle }
    }
    Ok(low)
}

/// A stream's id and its newest `seq`.
pub(super) type Head = (i64, u64);

/// Columns: rowid of a room, its newest `seq`.
pub(super) fn room_head(row: &Row<'_>) -> Result<Head, rusqlite::Error> {
    Ok((streams::room_stream(row.get(0)?), rows::count(row, 1)?))
}

/// A page of the viewer's inbox and of rooms; `rooms` gives those with news for the user's rowid.
pub(super) fn log_page(
    conn: &Connection,
    viewer: &Actor,
    (after_pos, limit): (u64, u32),
    rooms: impl FnOnce(i64) -> Result<Vec<Head>, Trouble<StoreError>>,
) -> Result<LogPage, Trouble<StoreError>> {
    let head = head_pos(conn)?;
    let quiet = |gap| LogPage { events: Vec::new(), next: head, gap, more: false };
    if after_pos > head {
        return Ok(quiet(true));
    }
    let Some(user) = rows::user_by_id(conn, &viewer.tenant, &viewer.user)? else {
        return Ok(quiet(false));
    };
    let mut streams = rooms(user.row)?;
    if user.inbox_pos > after_pos {
        streams.push((streams::inbox_stream(user.row), user.inbox_seq));
    }
    let mut positions = nearest(conn, streams, after_pos.cast_signed(), limit as usize + 1)?;
    let more = positions.len() > limit as usize;
    positions.truncate(limit as usize);
    let mut replay = Replay::new(conn);
    let mut events = Vec::with_capacity(positions.len());
    let last = positions.last().map_or(after_pos, |pos| pos.cast_unsigned());
    for pos in positions {
        let row = rows::first(conn, sql::EVENT_AT_POS, [pos], facts::event_row)?;
        let row = row.ok_or_else(|| inconsistent("events", &pos))?;
        events.extend(readable(replay.event(&row))?);
    }
    let next = if more { last } else { head };
    Ok(LogPage { events, next, gap: false, more })
}

/// The first `wanted` places after `after` in several streams: each is looked at by its own index range
/// and only as far as the page can still reach.
fn nearest<E>(
    conn: &Connection,
    streams: Vec<Head>,
    after: i64,
    wanted: usize,
) -> Result<Vec<i64>, Trouble<E>> {
    let mut nearest: BinaryHeap<i64> = BinaryHeap::with_capacity(wanted + 1);
    for (stream, head_seq) in streams {
        let from = first_after(conn, (stream, head_seq), after)?.cast_signed();
        let mut statement = rows::prepare(conn, sql::POSITIONS_FROM)?;
        let mut found = statement.query((stream, from, wanted as i64))?;
        while let Some(row) = found.next()? {
            let pos: i64 = row.get(0)?;
            let full = nearest.len() == wanted;
            if full && nearest.peek().is_some_and(|farthest| pos > *farthest) {
                break;
            }
            nearest.push(pos);
            if full {
                nearest.pop();
            }
        }
    }
    Ok(nearest.into_sorted_vec())
}
