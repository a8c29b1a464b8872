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
use tokio_postgres::Row;

use crate::marks;

use super::batch::Locks;
use super::db::Db;
use super::messages::{number_at, place_of, unseen};
use super::params::{Param, count};
use super::pool::reading;
use super::rows::{self, MessageRow, RoomRow};
use super::trouble::Trouble;
use super::tx::Tx;
use super::{PostgresStore, lists, messages, sql};

#[async_trait]
impl MessageStore for PostgresStore {
    async fn append_message(&self, guard: Guard, new: NewMessage) -> Result<Appended, ChatError> {
        self.writes.append(guard, new).await
    }

    async fn edit_message(
        &self,
        guard: Guard,
        message: &MessageId,
        content: String,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let id = message.clone();
        let write =
            async move |tx: &mut Tx<'_>| messages::edit(tx, &guard, &id, (&content, at)).await;
        self.writes.call(Locks::RoomOf(message.clone()), write).await
    }

    async fn delete_message(
        &self,
        guard: Guard,
        message: &MessageId,
        at: Timestamp,
    ) -> Result<Message, ChatError> {
        let id = message.clone();
        let write = async move |tx: &mut Tx<'_>| messages::delete(tx, &guard, &id, at).await;
        self.writes.call(Locks::RoomOf(message.clone()), write).await
    }

    async fn message(&self, guard: Guard, message: &MessageId) -> Result<Message, ChatError> {
        reading!(self.reads, db => async { Ok(reach(db, &guard, message).await?.message) })
    }

    async fn revisions(
        &self,
        guard: Guard,
        message: &MessageId,
    ) -> Result<Vec<Revision>, ChatError> {
        reading!(self.reads, db => revisions(db, &guard, message))
    }

    async fn history(
        &self,
        guard: Guard,
        room: &RoomId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<History, ChatError> {
        let Some(replica) = &self.replica else {
            return reading!(self.reads, db => history(db, (&guard, room), &anchor, limit));
        };
        let page = reading!(self.reads, db => page(db, (&guard, room), &anchor, limit))?;
        let items = match replica.window(&page).await {
            Some(items) => items,
            None => reading!(self.reads, db => window_of(db, &page))?,
        };
        Ok(page.with(items))
    }

    async fn move_read_cursor(
        &self,
        guard: Guard,
        cursor: MoveReadCursor,
    ) -> Result<ReadCursor, ChatError> {
        let write = async move |tx: &mut Tx<'_>| messages::move_cursor(tx, &guard, &cursor).await;
        self.writes.call_quietly(write).await
    }

    async fn readers(&self, guard: Guard, message: &MessageId) -> Result<Vec<ReadBy>, ChatError> {
        reading!(self.reads, db => readers(db, &guard, message))
    }
}

type Found<T> = Result<T, Trouble<ChatError>>;

/// A message that the guard lets the actor read.
async fn reach(db: &Db, guard: &Guard, id: &MessageId) -> Found<MessageRow> {
    let read = |row: &Row| rows::message(row, None);
    let found = db.first(sql::messages::MESSAGE_BY_ID, &[&id.as_str()], read).await?;
    let mut found = found.ok_or(ChatError::MissingMessage)?;
    let room = rows::room_by_row(db, found.room_row).await?;
    lists::admit(db, guard, &room).await.map_err(unseen)?;
    rows::place(&mut found.message, &room.room);
    Ok(found)
}

/// A deleted message has none.
async fn revisions(db: &Db, guard: &Guard, id: &MessageId) -> Found<Vec<Revision>> {
    let MessageRow { room_row, message, .. } = reach(db, guard, id).await?;
    if message.deleted_at.is_some() {
        return Ok(Vec::new());
    }
    if message.edit_count == 0 {
        let edited_by = message.sender.id.clone();
        let at = message.created_at;
        return Ok(vec![Revision { rev: 0, content: message.content, edited_by, at }]);
    }
    let read = |row: &Row| {
        Ok(Revision {
            rev: row.try_get::<_, i32>(0)?.cast_unsigned(),
            content: row.try_get(1)?,
            edited_by: rows::user_id(row, 2)?,
            at: Timestamp(row.try_get(3)?),
        })
    };
    let number = count(message.number);
    Ok(db.all(sql::messages::REVISIONS, &[&room_row, &number], read).await?)
}

async fn readers(db: &Db, guard: &Guard, id: &MessageId) -> Found<Vec<ReadBy>> {
    let MessageRow { room_row, sender_row, message } = reach(db, guard, id).await?;
    let seq = count(message.seq);
    let params: [&dyn Param; 3] = [&room_row, &seq, &sender_row];
    let read = |row: &Row| {
        let marks = marks::decode(row.try_get(2)?);
        let last = rows::time_if(row, 1)?.unwrap_or(message.created_at);
        let at = marks::covered_at(&marks, message.seq).unwrap_or(last);
        Ok(ReadBy { user: rows::user_id(row, 0)?, at })
    };
    Ok(db.all(sql::rooms::MEMBERS_READ, &params, read).await?)
}

/// Which messages a page holds.
pub(super) struct Page {
    pub(super) room: RoomRow,
    low: u64,
    high: u64,
}

impl Page {
    fn with(self, items: Vec<Message>) -> History {
        History {
            items,
            has_older: self.low > 1,
            has_newer: self.high < self.room.room.last_number,
            head_seq: self.room.room.last_seq,
        }
    }
}

async fn page(db: &Db, (guard, id): (&Guard, &RoomId), anchor: &Anchor, limit: u32) -> Found<Page> {
    let room = lists::enter(db, guard, id).await?;
    let (low, high) = window(db, &room, anchor, u64::from(limit)).await?;
    Ok(Page { room, low, high })
}

pub(super) async fn window_of(db: &Db, page: &Page) -> Found<Vec<Message>> {
    let (room, from, to) = (&page.room, count(page.low), count(page.high));
    let range: [&dyn Param; 3] = [&room.row, &from, &to];
    let read = |row: &Row| rows::message(row, Some(&room.room)).map(|found| found.message);
    Ok(db.all(sql::messages::MESSAGES_WINDOW, &range, read).await?)
}

async fn history(db: &Db, who: (&Guard, &RoomId), anchor: &Anchor, limit: u32) -> Found<History> {
    let page = page(db, who, anchor, limit).await?;
    let items = window_of(db, &page).await?;
    Ok(page.with(items))
}

/// First and last number of a page; the first lies beyond the last when it is empty.
async fn window(db: &Db, room: &RoomRow, anchor: &Anchor, limit: u64) -> Found<(u64, u64)> {
    let last = room.room.last_number;
    let up_to = |high: u64| ((high + 1).saturating_sub(limit).max(1), high);
    Ok(match anchor {
        Anchor::Latest => up_to(last),
        Anchor::Before(place) => {
            let before = match place {
                Position::Seq(seq) => {
                    resolve(db, room, &Position::Seq(seq.saturating_sub(1))).await?
                }
                Position::Number(number) => number.saturating_sub(1),
                Position::Message(_) => resolve(db, room, place).await?.saturating_sub(1),
            };
            up_to(before.min(last))
        }
        Anchor::After(place) => {
            let after = resolve(db, room, place).await?.min(last);
            (after + 1, after.saturating_add(limit).min(last))
        }
        Anchor::Around(place) => {
            let centre = resolve(db, room, place).await?.clamp(1, last.max(1));
            let high = centre.saturating_add(limit.saturating_sub(1) / 2).min(last);
            let (low, _) = up_to(high);
            (low, (low + limit).saturating_sub(1).min(last))
        }
    })
}

/// Number of the last message at or before a place.
pub(super) async fn resolve(db: &Db, room: &RoomRow, place: &Position) -> Found<u64> {
    Ok(match place {
        Position::Seq(seq) => number_at(db, room, *seq).await?,
        Position::Number(number) => *number,
        Position::Message(id) => {
            let place = place_of(db, id).await?.filter(|place| place.room == room.row);
            place.ok_or(ChatError::MissingMessage)?.number
        }
    })
}
