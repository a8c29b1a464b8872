//! Rows as domain nouns; the column orders are those of the macros in `sql.rs`.

use std::sync::Arc;

use mynah_domain::account::User;
use mynah_domain::message::Message;
use mynah_domain::room::{MemberState, Membership, Profile, Role, Room, RoomKind, Visibility};
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};
use tokio_postgres::{Error, Row};

use crate::marks::{self, Mark};

use super::db::Db;
use super::sql;
use super::trouble::{Failure, inconsistent};

/// A user and what only the store knows of it.
#[derive(Debug, Clone)]
pub(super) struct UserRow {
    pub(super) row: i64,
    pub(super) user: User,
    pub(super) profile: Arc<Profile>,
    pub(super) inbox_seq: u64,
}

/// A room and what only the store knows of it.
#[derive(Debug, Clone)]
pub(super) struct RoomRow {
    pub(super) row: i64,
    pub(super) room: Room,
    pub(super) last_pos: u64,
    /// The two members of a direct room.
    pub(super) pair: Option<(i64, i64)>,
}

/// A membership and its dated marks.
#[derive(Debug, Clone)]
pub(super) struct MemberRow {
    pub(super) membership: Membership,
    pub(super) marks: Vec<Mark>,
}

/// A message and where it lies.
#[derive(Debug, Clone)]
pub(super) struct MessageRow {
    pub(super) room_row: i64,
    pub(super) sender_row: i64,
    pub(super) message: Message,
}

/// A word of a closed set; another one is a row that contradicts the rules.
fn word<T>(
    row: &Row,
    column: usize,
    read: impl FnOnce(&str) -> Option<T>,
    otherwise: T,
) -> Result<T, Error> {
    let text: &str = row.try_get(column)?;
    let found = read(text);
    if found.is_none() {
        tracing::error!(word = text, "a stored word is unknown; the least is taken for it");
    }
    Ok(found.unwrap_or(otherwise))
}

fn text(row: &Row, column: usize) -> Result<Arc<str>, Error> {
    Ok(row.try_get::<_, &str>(column)?.into())
}

fn time(row: &Row, column: usize) -> Result<Timestamp, Error> {
    row.try_get(column).map(Timestamp)
}

pub(super) fn time_if(row: &Row, column: usize) -> Result<Option<Timestamp>, Error> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp))
}

pub(super) fn count(row: &Row, column: usize) -> Result<u64, Error> {
    row.try_get::<_, i64>(column).map(i64::cast_unsigned)
}

pub(super) fn user_id(row: &Row, column: usize) -> Result<UserId, Error> {
    text(row, column).map(UserId::trusted)
}

pub(super) fn tenant_id(row: &Row, column: usize) -> Result<TenantId, Error> {
    text(row, column).map(TenantId::trusted)
}

/// Columns: id, username, name.
pub(super) fn profile(row: &Row, start: usize) -> Result<Arc<Profile>, Error> {
    Ok(Arc::new(Profile {
        id: user_id(row, start)?,
        username: row.try_get(start + 1)?,
        name: row.try_get(start + 2)?,
    }))
}

pub(super) fn user(row: &Row) -> Result<UserRow, Error> {
    let user = User {
        id: user_id(row, 1)?,
        tenant: tenant_id(row, 2)?,
        username: row.try_get(3)?,
        email: row.try_get(4)?,
        name: row.try_get(5)?,
        role: word(row, 6, Role::from_word, Role::Readonly)?,
        created_at: time(row, 7)?,
        updated_at: time(row, 8)?,
    };
    let profile = Arc::new(Profile {
        id: user.id.clone(),
        username: user.username.clone(),
        name: user.name.clone(),
    });
    Ok(UserRow { row: row.try_get(0)?, user, profile, inbox_seq: count(row, 9)? })
}

pub(super) fn room(row: &Row) -> Result<RoomRow, Error> {
    let room = Room {
        id: text(row, 1).map(RoomId::trusted)?,
        tenant: tenant_id(row, 2)?,
        kind: word(row, 3, RoomKind::from_word, RoomKind::Group)?,
        visibility: word(row, 4, Visibility::from_word, Visibility::Private)?,
        name: row.try_get(5)?,
        topic: row.try_get(6)?,
        created_by: user_id(row, 7)?,
        member_count: count(row, 8)?,
        last_seq: count(row, 9)?,
        last_number: count(row, 10)?,
        created_at: time(row, 12)?,
        updated_at: time(row, 13)?,
        deleted_at: time_if(row, 14)?,
    };
    let (low, high): (Option<i64>, Option<i64>) = (row.try_get(15)?, row.try_get(16)?);
    Ok(RoomRow { row: row.try_get(0)?, room, last_pos: count(row, 11)?, pair: low.zip(high) })
}

/// The columns after those that say whose and where.
pub(super) fn membership(row: &Row, room: &RoomId, user: &UserId) -> Result<Membership, Error> {
    Ok(Membership {
        room: room.clone(),
        user: user.clone(),
        state: word(row, 2, MemberState::from_word, MemberState::Banned)?,
        role: word(row, 3, Role::from_word, Role::Readonly)?,
        joined_at: time(row, 4)?,
        last_read_seq: count(row, 5)?,
        last_read_number: count(row, 6)?,
        last_read_at: time_if(row, 7)?,
    })
}

pub(super) fn member(row: &Row, room: &RoomId, user: &UserId) -> Result<MemberRow, Error> {
    let marks = marks::decode(row.try_get(8)?);
    Ok(MemberRow { membership: membership(row, room, user)?, marks })
}

/// A message, except what its room knows.
pub(super) fn message(row: &Row, room: Option<&Room>) -> Result<MessageRow, Error> {
    let message = Message {
        id: text(row, 1).map(MessageId::trusted)?,
        tenant: room.map_or_else(TenantId::single, |r| r.tenant.clone()),
        room: room.map_or_else(|| RoomId::trusted(""), |r| r.id.clone()),
        seq: count(row, 2)?,
        number: count(row, 3)?,
        sender: profile(row, 13)?,
        kind: row.try_get(4)?,
        content: row.try_get(5)?,
        metadata: row.try_get(6)?,
        reply_to: row.try_get::<_, Option<String>>(7)?.map(MessageId::trusted),
        client_id: row.try_get(8)?,
        edit_count: row.try_get::<_, i32>(9)?.cast_unsigned(),
        edited_at: time_if(row, 10)?,
        deleted_at: time_if(row, 11)?,
        created_at: time(row, 12)?,
    };
    Ok(MessageRow { room_row: row.try_get(0)?, sender_row: row.try_get(16)?, message })
}

/// Fills in what the room knows of its message.
pub(super) fn place(message: &mut Message, room: &Room) {
    message.tenant = room.tenant.clone();
    message.room = room.id.clone();
}

pub(super) async fn user_by_id(
    db: &Db,
    tenant: &TenantId,
    id: &UserId,
) -> Result<Option<UserRow>, Failure> {
    db.first(sql::accounts::USER_BY_ID, &[&tenant.as_str(), &id.as_str()], user).await
}

pub(super) async fn user_by_row(db: &Db, id: i64) -> Result<UserRow, Failure> {
    let found = db.first(sql::accounts::USERS_BY_ROW, &[&vec![id]], user).await?;
    found.ok_or_else(|| Failure::Final(inconsistent("users", &id)))
}

pub(super) async fn room_by_id(db: &Db, id: &RoomId) -> Result<Option<RoomRow>, Failure> {
    db.first(sql::rooms::ROOM_BY_ID, &[&id.as_str()], room).await
}

pub(super) async fn room_by_row(db: &Db, id: i64) -> Result<RoomRow, Failure> {
    let found = db.first(sql::rooms::ROOMS_BY_ROW, &[&vec![id]], room).await?;
    found.ok_or_else(|| Failure::Final(inconsistent("rooms", &id)))
}

/// A membership as it is now, unlocked.
pub(super) async fn member_of(
    db: &Db,
    room: &RoomRow,
    user: (i64, &UserId),
) -> Result<Option<MemberRow>, Failure> {
    let id = &room.room.id;
    db.first(sql::rooms::MEMBER, &[&room.row, &user.0], |row| member(row, id, user.1)).await
}
