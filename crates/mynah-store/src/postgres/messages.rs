//! Changing and removing messages; moving read cursors. Writing them is in `batch.rs`.

use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::event::Fact;
use mynah_domain::message::{Message, MoveReadCursor, Position, ReadCursor};
use mynah_domain::permission::{Denied, Guard};
use mynah_domain::{MessageId, Timestamp};
use tokio_postgres::Row;

use crate::facts;

use super::db::Db;
use super::params::{Param, clean, count};
use super::rooms::enter;
use super::rows::{self, MessageRow, RoomRow};
use super::sql;
use super::trouble::{Failure, Trouble, inconsistent};
use super::tx::{Tx, Who};

type Outcome<T> = Result<T, Trouble<ChatError>>;

/// Where a message lies.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) room: i64,
    pub(super) seq: u64,
    pub(super) number: u64,
}

pub(super) async fn place_of(db: &Db, id: &MessageId) -> Result<Option<Place>, Failure> {
    let read = |row: &Row| {
        let (seq, number) = (rows::count(row, 2)?, rows::count(row, 3)?);
        Ok(Place { room: row.try_get(1)?, seq, number })
    };
    db.first(sql::messages::MESSAGE_PLACES, &[&vec![id.as_str()]], read).await
}

/// A message's existence is no less secret than its room's.
pub(super) fn unseen(trouble: Trouble<ChatError>) -> Trouble<ChatError> {
    match trouble {
        Trouble::Refused(ChatError::Denied(Denied::Hidden)) => ChatError::MissingMessage.into(),
        other @ (Trouble::Refused(_) | Trouble::Engine(_)) => other,
    }
}

/// Finds a message to be changed, locks its room and asks the guard.
async fn reach(tx: &mut Tx<'_>, guard: &Guard, id: &MessageId) -> Outcome<(MessageRow, Who)> {
    let place = place_of(tx.db, id).await?.ok_or(ChatError::MissingMessage)?;
    tx.lock_room_row(place.room).await?;
    // Read under the lock: it may have been changed before that was got.
    let read = |row: &Row| rows::message(row, None);
    let found = tx.db.first(sql::messages::MESSAGE_BY_ID, &[&id.as_str()], read).await?;
    let mut found = found.ok_or(ChatError::MissingMessage)?;
    let author = found.message.sender.id.clone();
    let actor = enter(tx, guard, found.room_row, Some(&author)).await.map_err(unseen)?;
    rows::place(&mut found.message, &tx.room(found.room_row)?.room);
    Ok((found, actor))
}

pub(super) async fn edit(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &MessageId,
    (content, at): (&str, Timestamp),
) -> Outcome<Message> {
    let (MessageRow { room_row, sender_row, mut message }, actor) = reach(tx, guard, id).await?;
    if message.deleted_at.is_some() {
        return Err(ChatError::MissingMessage.into());
    }
    let mut content = content.to_owned();
    clean(&mut content);
    if message.content == content {
        return Ok(message);
    }
    let number = count(message.number);
    if message.edit_count == 0 {
        let seq = count(message.seq);
        let (text, at) = (&*message.content, message.created_at.0);
        let first: [&dyn Param; 7] = [&room_row, &number, &seq, &0, &text, &sender_row, &at];
        tx.db.run(sql::messages::REVISION_INSERT, &first).await?;
    }
    message.content = content;
    message.edit_count += 1;
    message.edited_at = Some(at);
    let seq = count(tx.room(room_row)?.room.last_seq + 1);
    let (text, edits) = (&*message.content, message.edit_count.cast_signed());
    let next: [&dyn Param; 7] = [&room_row, &number, &seq, &edits, &text, &actor.row, &at.0];
    tx.db.run(sql::messages::REVISION_INSERT, &next).await?;
    let now: [&dyn Param; 5] = [&room_row, &number, &text, &edits, &at.0];
    tx.db.run(sql::messages::MESSAGE_EDIT, &now).await?;
    let fact = Fact::MessageUpdated { message: Arc::new(message.clone()) };
    tx.emit_in_room::<ChatError>(room_row, &actor, (number, at), fact)?;
    Ok(message)
}

pub(super) async fn delete(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &MessageId,
    at: Timestamp,
) -> Outcome<Message> {
    let (MessageRow { room_row, mut message, .. }, actor) = reach(tx, guard, id).await?;
    if message.deleted_at.is_some() {
        return Ok(message);
    }
    message.content.clear();
    message.metadata = None;
    message.deleted_at = Some(at);
    let number = count(message.number);
    tx.db.run(sql::messages::MESSAGE_ERASE, &[&room_row, &number, &at.0]).await?;
    tx.db.run(sql::messages::REVISIONS_ERASE, &[&room_row, &number]).await?;
    let fact = Fact::MessageDeleted {
        room: message.room.clone(),
        message: id.clone(),
        number: message.number,
        created_seq: message.seq,
    };
    tx.emit_in_room::<ChatError>(room_row, &actor, (number, at), fact)?;
    Ok(message)
}

/// Number of the last message at or before `seq`.
pub(super) async fn number_at(db: &Db, room: &RoomRow, seq: u64) -> Result<u64, Failure> {
    if seq == 0 {
        return Ok(0);
    }
    if seq >= room.room.last_seq {
        return Ok(room.room.last_number);
    }
    let key = (facts::room_stream(room.row), count(seq));
    let read = |row: &Row| rows::count(row, 0);
    Ok(db.first(sql::journal::EVENT_NUMBER, &[&key.0, &key.1], read).await?.unwrap_or(0))
}

/// The room is not locked: a cursor may move while others write.
pub(super) async fn move_cursor(
    tx: &mut Tx<'_>,
    guard: &Guard,
    wish: &MoveReadCursor,
) -> Outcome<ReadCursor> {
    let row = tx.see_room(&wish.room).await?.ok_or(Denied::Hidden)?;
    let actor = enter(tx, guard, row, None).await?;
    let to = cursor_place(tx, row, wish.to.as_ref()).await?;
    let (_, before, _) = tx.access(row, Some(actor.row), None)?;
    let from_seq = before.map_or(0, |member| member.membership.last_read_seq);
    let moved = tx.move_cursor((row, actor.row), to, wish.at);
    let (_, member, _) = tx.access(row, Some(actor.row), None)?;
    let m = member.ok_or_else(|| inconsistent("memberships", &actor.row))?.membership.clone();
    let number = count(m.last_read_number);
    let read = |row: &Row| row.try_get::<_, String>(0);
    let newest = tx.db.first(sql::messages::MESSAGE_AT, &[&row, &number], read).await?;
    Ok(ReadCursor {
        room: m.room,
        user: m.user,
        seq: m.last_read_seq,
        number: m.last_read_number,
        from_seq,
        message: newest.map(MessageId::trusted),
        at: m.last_read_at.unwrap_or(wish.at),
        moved,
    })
}

/// `seq` and `number` that a cursor is asked to come to.
async fn cursor_place(tx: &mut Tx<'_>, row: i64, to: Option<&Position>) -> Outcome<(u64, u64)> {
    let db = tx.db;
    let room = tx.room(row)?.clone();
    let number = match to {
        Some(Position::Seq(seq)) => {
            let seq = (*seq).min(room.room.last_seq);
            let number = match tx.unwritten_number(facts::room_stream(row), seq) {
                Some(number) => number,
                None => number_at(db, &room, seq).await?,
            };
            return Ok((seq, number));
        }
        Some(Position::Message(id)) => {
            let place = place_of(db, id).await?.filter(|place| place.room == row);
            let place = place.ok_or(ChatError::MissingMessage)?;
            return Ok((place.seq, place.number));
        }
        Some(Position::Number(number)) => (*number).min(room.room.last_number),
        None => room.room.last_number,
    };
    let read = |row: &Row| rows::count(row, 1);
    let seq = db.first(sql::messages::MESSAGE_AT, &[&row, &count(number)], read).await?;
    Ok((seq.unwrap_or(0), number))
}
