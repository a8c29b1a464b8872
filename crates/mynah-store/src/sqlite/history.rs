//! Messages: the port, and what is read of them.
//!
//! Numbers are dense, so every page is a window of numbers and its neighbours are known by arithmetic.

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::message::{
    Anchor, Appended, History, Message, MoveReadCursor, NewMessage, Position, ReadBy, ReadCursor,
    Revision,
};
use mynah_domain::permission::Guard;
use mynah_domain::ports::MessageStore;
use mynah_domain::{MessageId, RoomId, Timestamp};
use rusqlite::Connection;

use super::messages::{number_at, place_of, unseen};
use super::rows::{self, MessageRow, RoomRow};
use super::trouble::Trouble;
use super::{SqliteStore, lists, messages, sql};
use crate::marks;

#[async_trait]
impl MessageStore for SqliteStore {
    async fn append_message(&self, guard: Guard, new: NewMessage) -> Result<Appended, ChatError> {
        self.writes.call(move |tx| messages::append(tx, &guard, &new)).await
    }

    async fn edit_message(
        &self,
        guard: Guard,
        message: &MessageId,
        content: String,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let id = message.clone();
        self.writes.call(move |tx| messages::edit(tx, &guard, &id, (&content, at))).await
    }

    async fn delete_message(
        &self,
        guard: Guard,
        message: &MessageId,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let id = message.clone();
        self.writes.call(move |tx| messages::delete(tx, &guard, &id, at)).await
    }

    async fn message(&self, guard: Guard, message: &MessageId) -> Result<Message, ChatError> {
        let id = message.clone();
        self.reads.call(move |conn| Ok(reach(conn, &guard, &id)?.message)).await
    }

    async fn revisions(
        &self,
        guard: Guard,
        message: &MessageId,
    ) -> Result<Vec<Revision>, ChatError> {
        let id = message.clone();
        self.reads.call(move |conn| revisions(conn, &guard, &id)).await
    }

    async fn history(
        &self,
        guard: Guard,
        room: &RoomId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<History, ChatError> {
        let room = room.clone();
        self.reads.call(move |conn| history(conn, (&guard, &room), &anchor, limit)).await
    }

    async fn move_read_cursor(
        &self,
        guard: Guard,
        cursor: MoveReadCursor,
    ) -> Result<ReadCursor, ChatError> {
        self.writes.call(move |tx| messages::move_cursor(tx, &guard, &cursor)).await
    }

    async fn readers(&self, guard: Guard, message: &MessageId) -> Result<Vec<ReadBy>, ChatError> {
        let id = message.clone();
        self.reads.call(move |conn| readers(conn, &guard, &id)).await
    }
}

type Found<T> = Result<T, Trouble<ChatError>>;

/// A message that the guard lets the actor read.
fn reach(conn: &Connection, guard: &Guard, id: &MessageId) -> Found<MessageRow> {
    let found = rows::first(conn, sql::MESSAGE_BY_ID, [id.as_str()], |r| rows::message(r, None))?;
    let mut found = found.ok_or(ChatError::MissingMessage)?;
    let room = rows::room_by_row(conn, found.room_row)?;
    lists::admit(conn, guard, &room).map_err(unseen)?;
    rows::place(&mut found.message, &room.room);
    Ok(found)
}

/// A deleted message has none.
fn revisions(conn: &Connection, guard: &Guard, id: &MessageId) -> Found<Vec<Revision>> {
    let MessageRow { row, message, .. } = reach(conn, guard, id)?;
    if message.deleted_at.is_some() {
        return Ok(Vec::new());
    }
    if message.edit_count == 0 {
        let edited_by = message.sender.id.clone();
        let at = message.created_at;
        return Ok(vec![Revision { rev: 0, content: message.content, edited_by, at }]);
    }
    Ok(rows::all(conn, sql::REVISIONS, [row], |r| {
        Ok(Revision {
            rev: r.get(0)?,
            content: r.get(1)?,
            edited_by: rows::user_id(r, 2)?,
            at: Timestamp(r.get(3)?),
        })
    })?)
}

fn readers(conn: &Connection, guard: &Guard, id: &MessageId) -> Found<Vec<ReadBy>> {
    let MessageRow { room_row, sender_row, message, .. } = reach(conn, guard, id)?;
    let params = (room_row, message.seq.cast_signed(), sender_row);
    Ok(rows::all(conn, sql::MEMBERS_READ, params, |r| {
        let marks = marks::decode(r.get_ref(2)?.as_blob()?);
        let last = r.get::<_, Option<i64>>(1)?.map_or(message.created_at, Timestamp);
        let at = marks::covered_at(&marks, message.seq).unwrap_or(last);
        Ok(ReadBy { user: rows::user_id(r, 0)?, at })
    })?)
}

fn history(
    conn: &Connection,
    (guard, id): (&Guard, &RoomId),
    anchor: &Anchor,
    limit: u32,
) -> Found<History> {
    let room = lists::enter(conn, guard, id)?;
    let (low, high) = window(conn, &room, anchor, u64::from(limit))?;
    let range = (room.row, low.cast_signed(), high.cast_signed());
    let items = rows::all(conn, sql::MESSAGES_WINDOW, range, |r| {
        rows::message(r, Some(&room.room)).map(|found| found.message)
    })?;
    Ok(History {
        items,
        has_older: low > 1,
        has_newer: high < room.room.last_number,
        head_seq: room.room.last_seq,
    })
}

/// First and last number of a page; the first lies beyond the last when it is empty.
fn window(conn: &Connection, room: &RoomRow, anchor: &Anchor, limit: u64) -> Found<(u64, u64)> {
    let last = room.room.last_number;
    let up_to = |high: u64| ((high + 1).saturating_sub(limit).max(1), high);
    Ok(match anchor {
        Anchor::Latest => up_to(last),
        Anchor::Before(place) => {
            let before = match place {
                Position::Seq(seq) => resolve(conn, room, &Position::Seq(seq.saturating_sub(1)))?,
                Position::Number(number) => number.saturating_sub(1),
                Position::Message(_) => resolve(conn, room, place)?.saturating_sub(1),
            };
            up_to(before.min(last))
        }
        Anchor::After(place) => {
            let after = resolve(conn, room, place)?.min(last);
            (after + 1, after.saturating_add(limit).min(last))
        }
        Anchor::Around(place) => {
            let centre = resolve(conn, room, place)?.clamp(1, last.max(1));
            let high = centre.saturating_add(limit.saturating_sub(1) / 2).min(last);
            let (low, _) = up_to(high);
            (low, (low + limit).saturating_sub(1).min(last))
        }
    })
}

/// Number of the last message at or before a place.
pub(super) fn resolve(conn: &Connection, room: &RoomRow, place: &Position) -> Found<u64> {
    Ok(match place {
        Position::Seq(seq) => number_at(conn, (room.row, &room.room), *seq)?,
        Position::Number(number) => *number,
        Position::Message(id) => {
            let place = place_of(conn, id)?.filter(|place| place.room == room.row);
            place.ok_or(ChatError::MissingMessage)?.number
        }
    })
}
