//! Rows as domain nouns; the column orders are those of the macros in `sql.rs`.

use std::sync::Arc;

use mynah_domain::account::User;
use mynah_domain::message::Message;
use mynah_domain::ports::StoreError;
use mynah_domain::room::{MemberState, Membership, Profile, Role, Room, RoomKind, Visibility};
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use crate::marks::{self, Mark};

use super::sql;
use super::trouble::{Trouble, inconsistent};

/// A user and what only the store knows of it.
#[derive(Debug, Clone)]
pub(super) struct UserRow {
    pub(super) row: i64,
    pub(super) user: User,
    pub(super) profile: Arc<Profile>,
    pub(super) inbox_seq: u64,
    pub(super) inbox_pos: u64,
}

/// A room and what only the store knows of it.
#[derive(Debug, Clone)]
pub(super) struct RoomRow {
    pub(super) row: i64,
    pub(super) room: Room,
    pub(super) last_pos: u64,
    /// Rowids of the two members of a direct room.
    pub(super) pair: Option<(i64, i64)>,
}

/// A membership and its dated marks.
#[derive(Debug, Clone)]
pub(super) struct MemberRow {
    pub(super) row: i64,
    pub(super) membership: Membership,
    pub(super) marks: Vec<Mark>,
}

/// A message and its rowids.
#[derive(Debug, Clone)]
pub(super) struct MessageRow {
    pub(super) row: i64,
    pub(super) room_row: i64,
    pub(super) sender_row: i64,
    pub(super) message: Message,
}

/// A prepared statement, kept by the connection.
pub(super) fn prepare<'c>(
    conn: &'c Connection,
    sql: &str,
) -> Result<CachedStatement<'c>, rusqlite::Error> {
    conn.prepare_cached(sql)
}

/// Runs a statement that gives no rows.
pub(super) fn execute(
    conn: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<usize, rusqlite::Error> {
    prepare(conn, sql)?.execute(params)
}

/// The first row, if there is one.
pub(super) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<Option<T>, rusqlite::Error> {
    prepare(conn, sql)?.query_row(params, read).optional()
}

/// All rows of a statement that is bounded by its own words.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> Result<T, rusqlite::Error>,
) -> Result<Vec<T>, rusqlite::Error> {
    prepare(conn, sql)?.query_map(params, read)?.collect()
}

/// A word of a closed set.
fn word<T>(
    row: &Row<'_>,
    column: usize,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<T, rusqlite::Error> {
    let text = row.get_ref(column)?.as_str()?;
    read(text).ok_or_else(|| {
        let problem = format!("unknown word {text:?}");
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, problem.into())
    })
}

fn text(row: &Row<'_>, column: usize) -> Result<Arc<str>, rusqlite::Error> {
    Ok(row.get_ref(column)?.as_str()?.into())
}

fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, rusqlite::Error> {
    row.get(column).map(Timestamp)
}

fn time_if(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>, rusqlite::Error> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp))
}

pub(super) fn count(row: &Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(super) fn user_id(row: &Row<'_>, column: usize) -> Result<UserId, rusqlite::Error> {
    text(row, column).map(UserId::trusted)
}

/// Columns: id, username, name.
pub(super) fn profile(row: &Row<'_>, start: usize) -> Result<Arc<Profile>, rusqlite::Error> {
    Ok(Arc::new(Profile {
        id: user_id(row, start)?,
        username: row.get(start + 1)?,
        name: row.get(start + 2)?,
    }))
}

pub(super) fn user(row: &Row<'_>) -> Result<UserRow, rusqlite::Error> {
    let user = User {
        id: user_id(row, 1)?,
        tenant: TenantId::trusted(text(row, 2)?),
        username: row.get(3)?,
        email: row.get(4)?,
        name: row.get(5)?,
        role: word(row, 6, Role::from_word)?,
        created_at: time(row, 7)?,
        updated_at: time(row, 8)?,
    };
    let profile = Arc::new(Profile {
        id: user.id.clone(),
        username: user.username.clone(),
        name: user.name.clone(),
    });
    let (inbox_seq, inbox_pos) = (count(row, 9)?, count(row, 10)?);
    Ok(UserRow { row: row.get(0)?, user, profile, inbox_seq, inbox_pos })
}

pub(super) fn room(row: &Row<'_>) -> Result<RoomRow, rusqlite::Error> {
    let room = Room {
        id: RoomId::trusted(text(row, 1)?),
        tenant: TenantId::trusted(text(row, 2)?),
        kind: word(row, 3, RoomKind::from_word)?,
        visibility: word(row, 4, Visibility::from_word)?,
        name: row.get(5)?,
        topic: row.get(6)?,
        created_by: user_id(row, 7)?,
        member_count: count(row, 8)?,
        last_seq: count(row, 9)?,
        last_number: count(row, 10)?,
        created_at: time(row, 12)?,
        updated_at: time(row, 13)?,
        deleted_at: time_if(row, 14)?,
    };
    let (low, high): (Option<i64>, Option<i64>) = (row.get(15)?, row.get(16)?);
    Ok(RoomRow { row: row.get(0)?, room, last_pos: count(row, 11)?, pair: low.zip(high) })
}

/// The columns after the rowid, up to and without the marks.
pub(super) fn membership(
    row: &Row<'_>,
    room: &RoomId,
    user: &UserId,
) -> Result<Membership, rusqlite::Error> {
    Ok(Membership {
        room: room.clone(),
        user: user.clone(),
        state: word(row, 1, MemberState::from_word)?,
        role: word(row, 2, Role::from_word)?,
        joined_at: time(row, 3)?,
        last_read_seq: count(row, 4)?,
        last_read_number: count(row, 5)?,
        last_read_at: time_if(row, 6)?,
    })
}

/// A membership by its two rowids.
pub(super) fn member(
    conn: &Connection,
    room: (i64, &RoomId),
    user: (i64, &UserId),
) -> Result<Option<MemberRow>, rusqlite::Error> {
    first(conn, sql::MEMBER, (room.0, user.0), |row| {
        Ok(MemberRow {
            row: row.get(0)?,
            membership: membership(row, room.1, user.1)?,
            marks: marks::decode(row.get_ref(7)?.as_blob()?),
        })
    })
}

/// A message, except what its room knows.
pub(super) fn message(row: &Row<'_>, room: Option<&Room>) -> Result<MessageRow, rusqlite::Error> {
    let deleted_at = time_if(row, 11)?;
    let message = Message {
        id: MessageId::trusted(text(row, 1)?),
        tenant: room.map_or_else(TenantId::single, |r| r.tenant.clone()),
        room: room.map_or_else(|| RoomId::trusted(""), |r| r.id.clone()),
        seq: count(row, 2)?,
        number: count(row, 3)?,
        sender: profile(row, 13)?,
        kind: row.get(4)?,
        content: row.get(5)?,
        metadata: row.get(6)?,
        reply_to: row.get::<_, Option<String>>(7)?.map(MessageId::trusted),
        client_id: row.get(8)?,
        edit_count: row.get(9)?,
        edited_at: time_if(row, 10)?,
        deleted_at,
        created_at: time(row, 12)?,
    };
    Ok(MessageRow { row: row.get(0)?, room_row: row.get(16)?, sender_row: row.get(17)?, message })
}

/// Fills in what the room knows of its message.
pub(super) fn place(message: &mut Message, room: &Room) {
    message.tenant = room.tenant.clone();
    message.room = room.id.clone();
}

pub(super) fn user_by_id(
    conn: &Connection,
    tenant: &TenantId,
    id: &UserId,
) -> Result<Option<UserRow>, rusqlite::Error> {
    first(conn, sql::USER_BY_ID, (tenant.as_str(), id.as_str()), user)
}

pub(super) fn user_by_row(conn: &Connection, id: i64) -> Result<UserRow, StoreError> {
    first(conn, sql::USER_BY_ROW, [id], user)
        .map_err(|e| super::trouble::store_error(&e))?
        .ok_or_else(|| inconsistent("users", &id))
}

pub(super) fn room_by_id(
    conn: &Connection,
    id: &RoomId,
) -> Result<Option<RoomRow>, rusqlite::Error> {
    first(conn, sql::ROOM_BY_ID, [id.as_str()], room)
}

pub(super) fn room_by_row<E>(conn: &Connection, id: i64) -> Result<RoomRow, Trouble<E>> {
    Ok(first(conn, sql::ROOM_BY_ROW, [id], room)?.ok_or_else(|| inconsistent("rooms", &id))?)
}
