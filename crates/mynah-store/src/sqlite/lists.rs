//! Rooms and members: the port, and the lists it gives.

use std::sync::Arc;

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::page::Page;
use mynah_domain::permission::{Access, Actor, Denied, Guard, Operation, authorise};
use mynah_domain::ports::{RoomStore, StoreError};
use mynah_domain::room::{
    Member, MemberState, Membership, MembershipChange, MembershipChanged, NewRoom, Room,
    RoomCreated, RoomListItem, RoomPatch, RoomView,
};
use mynah_domain::{RoomId, Timestamp, UserId};
use rusqlite::Connection;

use super::facts::Replay;
use super::rows::{self, RoomRow};
use super::trouble::Trouble;
use super::{SqliteStore, members, rooms, sql};

#[async_trait]
impl RoomStore for SqliteStore {
    async fn create_room(&self, room: NewRoom) -> Result<RoomCreated, ChatError> {
        self.writes.call(move |tx| rooms::create(tx, &room)).await
    }

    async fn update_room(
        &self,
        guard: Guard,
        room: &RoomId,
        patch: RoomPatch,
        at: Timestamp,
    ) -> Result<Room, ChatError> {
        let room = room.clone();
        self.writes.call(move |tx| rooms::update(tx, &guard, &room, (&patch, at))).await
    }

    async fn delete_room(
        &self,
        guard: Guard,
        room: &RoomId,
        at: Timestamp,
    ) -> Result<(), ChatError> {
        let room = room.clone();
        self.writes.call(move |tx| rooms::delete(tx, &guard, &room, at)).await
    }

    async fn room(&self, viewer: &Actor, room: &RoomId) -> Result<Option<RoomView>, StoreError> {
        let (viewer, room) = (viewer.clone(), room.clone());
        self.reads.call(move |conn| view(conn, &viewer, &room)).await
    }

    async fn direct_room(
        &self,
        viewer: &Actor,
        peer: &UserId,
    ) -> Result<Option<RoomView>, StoreError> {
        let (viewer, peer) = (viewer.clone(), peer.clone());
        self.reads.call(move |conn| direct(conn, &viewer, &peer)).await
    }

    async fn rooms_of(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        let viewer = viewer.clone();
        self.reads.call(move |conn| rooms_of(conn, &viewer, (offset, limit))).await
    }

    async fn public_rooms(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        let viewer = viewer.clone();
        self.reads.call(move |conn| public_rooms(conn, &viewer, (offset, limit))).await
    }

    async fn joined_rooms(&self, viewer: &Actor) -> Result<Vec<Arc<Room>>, StoreError> {
        let viewer = viewer.clone();
        self.reads.call(move |conn| joined(conn, &viewer)).await
    }

    async fn change_membership(
        &self,
        guard: Guard,
        room: &RoomId,
        change: MembershipChange,
        at: Timestamp,
    ) -> Result<MembershipChanged, ChatError> {
        let room = room.clone();
        self.writes.call(move |tx| members::change(tx, &guard, &room, (&change, at))).await
    }

    async fn members(
        &self,
        guard: Guard,
        room: &RoomId,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Member>, ChatError> {
        let room = room.clone();
        self.reads.call(move |conn| members_of(conn, &guard, &room, (offset, limit))).await
    }
}

type Found<T> = Result<T, Trouble<StoreError>>;

/// The viewer's membership of a room, in any state.
fn standing<E>(
    conn: &Connection,
    viewer: &Actor,
    room: &RoomRow,
) -> Result<Option<Membership>, Trouble<E>> {
    let Some(user) = rows::user_by_id(conn, &viewer.tenant, &viewer.user)? else {
        return Ok(None);
    };
    let found = rows::member(conn, (room.row, &room.room.id), (user.row, &user.user.id))?;
    Ok(found.map(|m| m.membership))
}

/// Asks the guard about a room that is read, and for messages about their author.
pub(super) fn admit(
    conn: &Connection,
    guard: &Guard,
    room: &RoomRow,
) -> Result<(), Trouble<ChatError>> {
    let membership = standing(conn, &guard.actor, room)?;
    let membership = membership.as_ref();
    guard.check(&Access { room: &room.room, membership, author: None, target: None })?;
    Ok(())
}

/// A room that the guard lets the actor read.
pub(super) fn enter(
    conn: &Connection,
    guard: &Guard,
    id: &RoomId,
) -> Result<RoomRow, Trouble<ChatError>> {
    let room = rows::room_by_id(conn, id)?.ok_or(Denied::Hidden)?;
    admit(conn, guard, &room)?;
    Ok(room)
}

fn view(conn: &Connection, viewer: &Actor, id: &RoomId) -> Found<Option<RoomView>> {
    let Some(room) = rows::room_by_id(conn, id)? else { return Ok(None) };
    let membership = standing(conn, viewer, &room)?;
    Ok(Some(RoomView { room: Arc::new(room.room), membership }))
}

fn direct(conn: &Connection, viewer: &Actor, peer: &UserId) -> Found<Option<RoomView>> {
    let one = rows::user_by_id(conn, &viewer.tenant, &viewer.user)?;
    let other = rows::user_by_id(conn, &viewer.tenant, peer)?;
    let (Some(one), Some(other)) = (one, other) else { return Ok(None) };
    let pair = (one.row.min(other.row), one.row.max(other.row));
    let id = rows::first(conn, sql::ROOM_BY_PAIR, pair, |r| r.get::<_, String>(0))?;
    match id {
        Some(id) => view(conn, viewer, &RoomId::trusted(id)),
        None => Ok(None),
    }
}

fn rooms_of(conn: &Connection, viewer: &Actor, page: (u64, u32)) -> Found<Page<RoomListItem>> {
    let Some(user) = rows::user_by_id(conn, &viewer.tenant, &viewer.user)? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    listed(conn, (viewer, user.row), (sql::ROOMS_OF, user.row), page)
}

fn public_rooms(conn: &Connection, viewer: &Actor, page: (u64, u32)) -> Found<Page<RoomListItem>> {
    let tenant =
        rows::first(conn, sql::TENANT_BY_ID, [viewer.tenant.as_str()], |r| r.get::<_, i64>(0))?;
    let Some(tenant) = tenant else { return Ok(Page { items: Vec::new(), next: None }) };
    let user = rows::user_by_id(conn, &viewer.tenant, &viewer.user)?;
    listed(conn, (viewer, user.map_or(0, |u| u.row)), (sql::ROOMS_PUBLIC, tenant), page)
}

/// A page of rooms whose rowids a statement gives for one key.
fn listed(
    conn: &Connection,
    (viewer, viewer_row): (&Actor, i64),
    (statement, key): (&str, i64),
    (offset, limit): (u64, u32),
) -> Found<Page<RoomListItem>> {
    let params = (key, i64::from(limit) + 1, offset.min(i64::MAX as u64).cast_signed());
    let mut found = rows::all(conn, statement, params, |r| r.get::<_, i64>(0))?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let mut replay = Replay::new(conn);
    let mut items = Vec::with_capacity(found.len());
    for row in &found {
        items.push(item(conn, &mut replay, (viewer, viewer_row), *row)?);
    }
    Ok(Page { next: more.then(|| offset + found.len() as u64), items })
}

fn item(
    conn: &Connection,
    replay: &mut Replay<'_>,
    (viewer, viewer_row): (&Actor, i64),
    row: i64,
) -> Found<RoomListItem> {
    let room = replay.room(row)?;
    let found = rows::member(conn, (row, &room.room.id), (viewer_row, &viewer.user))?;
    let membership = found
        .map(|m| m.membership)
        .filter(|m| matches!(m.state, MemberState::Joined | MemberState::Invited));
    let access =
        Access { room: &room.room, membership: membership.as_ref(), author: None, target: None };
    let readable = authorise(viewer, Operation::ReadHistory, &access).is_ok();
    let last_message = if readable {
        rows::first(conn, sql::MESSAGE_LAST, [row], |r| rows::message(r, Some(&room.room)))?
    } else {
        None
    };
    let peer = replay.peer(room.pair, viewer_row)?;
    Ok(RoomListItem {
        room: Arc::new(room.room.clone()),
        membership,
        last_message: last_message.map(|m| m.message),
        peer,
    })
}

fn joined(conn: &Connection, viewer: &Actor) -> Found<Vec<Arc<Room>>> {
    let Some(user) = rows::user_by_id(conn, &viewer.tenant, &viewer.user)? else {
        return Ok(Vec::new());
    };
    let found = rows::all(conn, sql::ROOMS_JOINED, [user.row], rows::room)?;
    Ok(found.into_iter().map(|r| Arc::new(r.room)).collect())
}

fn members_of(
    conn: &Connection,
    guard: &Guard,
    id: &RoomId,
    (offset, limit): (u64, u32),
) -> Result<Page<Member>, Trouble<ChatError>> {
    let room = enter(conn, guard, id)?;
    let params = (room.row, i64::from(limit) + 1, offset.min(i64::MAX as u64).cast_signed());
    let mut items = rows::all(conn, sql::MEMBERS_PAGE, params, |r| {
        let profile = rows::profile(r, 8)?;
        Ok(Member { membership: rows::membership(r, id, &profile.id)?, profile })
    })?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Ok(Page { next: more.then(|| offset + items.len() as u64), items })
}
