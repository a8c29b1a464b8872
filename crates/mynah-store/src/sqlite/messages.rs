//! Writing, changing and removing messages; moving read cursors.

use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::event::Fact;
use mynah_domain::message::{Appended, Message, MoveReadCursor, NewMessage, Position, ReadCursor};
use mynah_domain::permission::{Denied, Guard};
use mynah_domain::room::Room;
use mynah_domain::{MessageId, Timestamp};
use rusqlite::Connection;

use super::rooms::enter;
use super::rows::{self, MessageRow};
use super::sql;
use super::trouble::{Trouble, inconsistent};
use super::tx::{Tx, Who};

type Outcome<T> = Result<T, Trouble<ChatError>>;

pub(super) fn append(tx: &mut Tx<'_>, guard: &Guard, new: &NewMessage) -> Outcome<Appended> {
    let row = tx.room_id(&new.room)?.ok_or(Denied::Hidden)?;
    let actor = enter(tx, guard, row, None)?;
    if let Some(target) = &new.draft.reply_to {
        let place = place_of(tx.conn, target)?;
        if place.is_none_or(|place| place.room != row) {
            return Err(ChatError::MissingMessage.into());
        }
    }
    let message = draft_message(&tx.room::<ChatError>(row)?.room, &actor, new);
    let values = (
        message.id.as_str(),
        row,
        message.seq.cast_signed(),
        message.number.cast_signed(),
        actor.row,
        &message.kind,
        &message.content,
        &message.metadata,
        message.reply_to.as_ref().map(MessageId::as_str),
        &message.client_id,
        message.created_at.0,
    );
    if rows::execute(tx.conn, sql::MESSAGE_INSERT, values)? == 0 {
        return repeat(tx, row, &actor, new.draft.client_id.as_deref());
    }
    let message_row = tx.conn.last_insert_rowid();
    let message = Arc::new(message);
    tx.room::<ChatError>(row)?.room.last_number += 1;
    let fact = Fact::MessageCreated { message: message.clone() };
    let seq = tx.emit_in_room(row, &actor, (message_row, new.at), fact)?;
    tx.move_cursor((row, actor.row), (seq, message.number), new.at);
    Ok(Appended { message, replayed: false })
}

/// The message as it will stand at the end of the room's stream.
fn draft_message(room: &Room, sender: &Who, new: &NewMessage) -> Message {
    Message {
        id: new.id.clone(),
        tenant: room.tenant.clone(),
        room: room.id.clone(),
        seq: room.last_seq + 1,
        number: room.last_number + 1,
        sender: sender.profile.clone(),
        kind: new.draft.kind.clone().unwrap_or_else(|| "text".to_owned()),
        content: new.draft.content.clone(),
        metadata: new.draft.metadata.clone(),
        reply_to: new.draft.reply_to.clone(),
        client_id: new.draft.client_id.clone(),
        edit_count: 0,
        edited_at: None,
        deleted_at: None,
        created_at: new.at,
    }
}

/// The message that an earlier call with the same client id stored.
fn repeat(tx: &mut Tx<'_>, row: i64, actor: &Who, client_id: Option<&str>) -> Outcome<Appended> {
    let conn = tx.conn;
    let room = &tx.room::<ChatError>(row)?.room;
    let found = rows::first(conn, sql::MESSAGE_BY_CLIENT, (row, actor.row, client_id), |r| {
        rows::message(r, Some(room))
    })?;
    let found = found.ok_or_else(|| inconsistent("messages", &client_id.unwrap_or_default()))?;
    Ok(Appended { message: Arc::new(found.message), replayed: true })
}

/// Where a message lies.
pub(super) struct Place {
    pub(super) room: i64,
    pub(super) seq: u64,
    pub(super) number: u64,
}

pub(super) fn place_of(
    conn: &Connection,
    id: &MessageId,
) -> Result<Option<Place>, rusqlite::Error> {
    rows::first(conn, sql::MESSAGE_PLACE, [id.as_str()], |row| {
        Ok(Place { room: row.get(0)?, seq: rows::count(row, 1)?, number: rows::count(row, 2)? })
    })
}

/// A message's existence is no less secret than its room's.
pub(super) fn unseen(trouble: Trouble<ChatError>) -> Trouble<ChatError> {
    match trouble {
        Trouble::Refused(ChatError::Denied(Denied::Hidden)) => ChatError::MissingMessage.into(),
        other @ (Trouble::Refused(_) | Trouble::Engine(_)) => other,
    }
}

/// Finds a message to be changed and asks the guard.
fn reach(tx: &mut Tx<'_>, guard: &Guard, id: &MessageId) -> Outcome<(MessageRow, Who)> {
    let found =
        rows::first(tx.conn, sql::MESSAGE_BY_ID, [id.as_str()], |r| rows::message(r, None))?;
    let mut found = found.ok_or(ChatError::MissingMessage)?;
    let author = found.message.sender.id.clone();
    let actor = enter(tx, guard, found.room_row, Some(&author)).map_err(unseen)?;
    rows::place(&mut found.message, &tx.room::<ChatError>(found.room_row)?.room);
    Ok((found, actor))
}

pub(super) fn edit(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &MessageId,
    (content, at): (&str, Timestamp),
) -> Outcome<Message> {
    let (MessageRow { row, room_row, sender_row, mut message }, actor) = reach(tx, guard, id)?;
    if message.deleted_at.is_some() {
        return Err(ChatError::MissingMessage.into());
    }
    if message.content == content {
        return Ok(message);
    }
    if message.edit_count == 0 {
        let seq = message.seq.cast_signed();
        let first = (row, seq, 0, &message.content, sender_row, message.created_at.0);
        rows::execute(tx.conn, sql::REVISION_INSERT, first)?;
    }
    content.clone_into(&mut message.content);
    message.edit_count += 1;
    message.edited_at = Some(at);
    let seq = tx.room::<ChatError>(room_row)?.room.last_seq.cast_signed() + 1;
    let next = (row, seq, message.edit_count, content, actor.row, at.0);
    rows::execute(tx.conn, sql::REVISION_INSERT, next)?;
    rows::execute(tx.conn, sql::MESSAGE_EDIT, (row, content, message.edit_count, at.0))?;
    let fact = Fact::MessageUpdated { message: Arc::new(message.clone()) };
    tx.emit_in_room(room_row, &actor, (row, at), fact)?;
    Ok(message)
}

pub(super) fn delete(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &MessageId,
    at: Timestamp,
) -> Outcome<Message> {
    let (MessageRow { row, room_row, mut message, .. }, actor) = reach(tx, guard, id)?;
    if message.deleted_at.is_some() {
        return Ok(message);
    }
    message.content.clear();
    message.metadata = None;
    message.deleted_at = Some(at);
    rows::execute(tx.conn, sql::MESSAGE_ERASE, (row, at.0))?;
    rows::execute(tx.conn, sql::REVISIONS_ERASE, [row])?;
    let fact = Fact::MessageDeleted {
        room: message.room.clone(),
        message: id.clone(),
        number: message.number,
        created_seq: message.seq,
    };
    tx.emit_in_room(room_row, &actor, (row, at), fact)?;
    Ok(message)
}

/// Number of the last message at or before `seq`.
pub(super) fn number_at(
    conn: &Connection,
    (row, room): (i64, &Room),
    seq: u64,
) -> Result<u64, rusqlite::Error> {
    if seq == 0 {
        return Ok(0);
    }
    if seq >= room.last_seq {
        return Ok(room.last_number);
    }
    let key = (crate::facts::room_stream(row), seq.cast_signed());
    Ok(rows::first(conn, sql::EVENT_NUMBER, key, |r| rows::count(r, 0))?.unwrap_or(0))
}

pub(super) fn move_cursor(
    tx: &mut Tx<'_>,
    guard: &Guard,
    wish: &MoveReadCursor,
) -> Outcome<ReadCursor> {
    let row = tx.room_id(&wish.room)?.ok_or(Denied::Hidden)?;
    let actor = enter(tx, guard, row, None)?;
    let to = cursor_place(tx, row, wish.to.as_ref())?;
    let (_, before, _) = tx.access(row, Some(actor.row), None)?;
    let from_seq = before.map_or(0, |member| member.membership.last_read_seq);
    let moved = tx.move_cursor((row, actor.row), to, wish.at);
    let (_, member, _) = tx.access(row, Some(actor.row), None)?;
    let m = &member.ok_or_else(|| inconsistent("memberships", &actor.row))?.membership;
    let key = (row, m.last_read_number.cast_signed());
    let newest = rows::first(tx.conn, sql::MESSAGE_AT, key, |r| r.get::<_, String>(0))?;
    Ok(ReadCursor {
        room: m.room.clone(),
        user: m.user.clone(),
        seq: m.last_read_seq,
        number: m.last_read_number,
        from_seq,
        message: newest.map(MessageId::trusted),
        at: m.last_read_at.unwrap_or(wish.at),
        moved,
    })
}

/// `seq` and `number` that a cursor is asked to come to.
fn cursor_place(tx: &mut Tx<'_>, row: i64, to: Option<&Position>) -> Outcome<(u64, u64)> {
    let conn = tx.conn;
    let room = &tx.room::<ChatError>(row)?.room;
    let number = match to {
        Some(Position::Seq(seq)) => {
            let seq = (*seq).min(room.last_seq);
            return Ok((seq, number_at(conn, (row, room), seq)?));
        }
        Some(Position::Message(id)) => {
            let place = place_of(conn, id)?.filter(|place| place.room == row);
            let place = place.ok_or(ChatError::MissingMessage)?;
            return Ok((place.seq, place.number));
        }
        Some(Position::Number(number)) => (*number).min(room.last_number),
        None => room.last_number,
    };
    let key = (row, number.cast_signed());
    let seq = rows::first(conn, sql::MESSAGE_AT, key, |r| rows::count(r, 1))?;
    Ok((seq.unwrap_or(0), number))
}
