//! Rooms and members: the port, and the lists it gives.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use mynah_domain::chat::ChatError;
use mynah_domain::page::Page;
use mynah_domain::permission::{Access, Actor, Denied, Guard, Operation, authorise};
use mynah_domain::ports::{RoomStore, StoreError};
use mynah_domain::room::{
    Member, Membership, MembershipChange, MembershipChanged, NewRoom, Room, RoomCreated,
    RoomListItem, RoomPatch, RoomView,
};
use mynah_domain::{RoomId, Timestamp, UserId};
use tokio_postgres::Row;

use super::batch::Locks;
use super::db::Db;
use super::facts;
use super::params::{Param, count};
use super::pool::reading;
use super::rows::{self, MemberRow, RoomRow};
use super::trouble::Trouble;
use super::tx::Tx;
use super::{PostgresStore, members, rooms, sql};

#[async_trait]
impl RoomStore for PostgresStore {
    async fn create_room(&self, room: NewRoom) -> Result<RoomCreated, ChatError> {
        let write = async move |tx: &mut Tx<'_>| rooms::create(tx, &room).await;
        self.writes.call(Locks::Unknown, write).await
    }

    async fn update_room(
        &self,
        guard: Guard,
        room: &RoomId,
        patch: RoomPatch,
        at: Timestamp,
    ) -> Result<Room, ChatError> {
        let (room, locks) = (room.clone(), Locks::Room(room.clone()));
        let write =
            async move |tx: &mut Tx<'_>| rooms::update(tx, &guard, &room, (&patch, at)).await;
        self.writes.call(locks, write).await
    }

    async fn delete_room(
        &self,
        guard: Guard,
        room: &RoomId,
        at: Timestamp,
    ) -> Result<(), ChatError> {
        let (room, locks) = (room.clone(), Locks::Room(room.clone()));
        let write = async move |tx: &mut Tx<'_>| rooms::delete(tx, &guard, &room, at).await;
        self.writes.call(locks, write).await
    }

    async fn room(&self, viewer: &Actor, room: &RoomId) -> Result<Option<RoomView>, StoreError> {
        reading!(self.reads, db => view(db, viewer, room))
    }

    async fn direct_room(
        &self,
        viewer: &Actor,
        peer: &UserId,
    ) -> Result<Option<RoomView>, StoreError> {
        reading!(self.reads, db => direct(db, viewer, peer))
    }

    async fn rooms_of(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        reading!(self.reads, db => rooms_of(db, viewer, (offset, limit)))
    }

    async fn public_rooms(
        &self,
        viewer: &Actor,
        offset: u64,
        limit: u32,
    ) -> Result<Page<RoomListItem>, StoreError> {
        reading!(self.reads, db => public_rooms(db, viewer, (offset, limit)))
    }

    async fn joined_rooms(&self, viewer: &Actor) -> Result<Vec<Arc<Room>>, StoreError> {
        reading!(self.reads, db => joined(db, viewer))
    }

    async fn change_membership(
        &self,
        guard: Guard,
        room: &RoomId,
        change: MembershipChange,
        at: Timestamp,
    ) -> Result<MembershipChanged, ChatError> {
        let (room, locks) = (room.clone(), Locks::Room(room.clone()));
        let write =
            async move |tx: &mut Tx<'_>| members::change(tx, &guard, &room, (&change, at)).await;
        self.writes.call(locks, write).await
    }

    async fn members(
        &self,
        guard: Guard,
        room: &RoomId,
        offset: u64,
        limit: u32,
    ) -> Result<Page<Member>, ChatError> {
        reading!(self.reads, db => members_of(db, &guard, room, (offset, limit)))
    }
}

type Found<T> = Result<T, Trouble<StoreError>>;

/// The viewer's membership of a room, in any state.
async fn standing<E>(
    db: &Db,
    viewer: &Actor,
    room: &RoomRow,
) -> Result<Option<Membership>, Trouble<E>> {
    let Some(user) = rows::user_by_id(db, &viewer.tenant, &viewer.user).await? else {
        return Ok(None);
    };
    let found = rows::member_of(db, room, (user.row, &user.user.id)).await?;
    Ok(found.map(|m| m.membership))
}

/// Asks the guard about a room that is read.
pub(super) async fn admit(
    db: &Db,
    guard: &Guard,
    room: &RoomRow,
) -> Result<(), Trouble<ChatError>> {
    let membership = standing(db, &guard.actor, room).await?;
    let membership = membership.as_ref();
    guard.check(&Access { room: &room.room, membership, author: None, target: None })?;
    Ok(())
}

/// A room that the guard lets the actor read.
pub(super) async fn enter(
    db: &Db,
    guard: &Guard,
    id: &RoomId,
) -> Result<RoomRow, Trouble<ChatError>> {
    let room = rows::room_by_id(db, id).await?.ok_or(Denied::Hidden)?;
    admit(db, guard, &room).await?;
    Ok(room)
}

async fn view(db: &Db, viewer: &Actor, id: &RoomId) -> Found<Option<RoomView>> {
    let Some(room) = rows::room_by_id(db, id).await? else { return Ok(None) };
    let membership = standing(db, viewer, &room).await?;
    Ok(Some(RoomView { room: Arc::new(room.room), membership }))
}

async fn direct(db: &Db, viewer: &Actor, peer: &UserId) -> Found<Option<RoomView>> {
    let one = rows::user_by_id(db, &viewer.tenant, &viewer.user).await?;
    let other = rows::user_by_id(db, &viewer.tenant, peer).await?;
    let (Some(one), Some(other)) = (one, other) else { return Ok(None) };
    let (low, high) = (one.row.min(other.row), one.row.max(other.row));
    let read = |row: &Row| row.try_get::<_, String>(0);
    match db.first(sql::rooms::ROOM_BY_PAIR, &[&low, &high], read).await? {
        Some(id) => view(db, viewer, &RoomId::trusted(id)).await,
        None => Ok(None),
    }
}

async fn rooms_of(db: &Db, viewer: &Actor, page: (u64, u32)) -> Found<Page<RoomListItem>> {
    let Some(user) = rows::user_by_id(db, &viewer.tenant, &viewer.user).await? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    listed(db, (viewer, user.row), (sql::rooms::ROOMS_OF, user.row), page).await
}

async fn public_rooms(db: &Db, viewer: &Actor, page: (u64, u32)) -> Found<Page<RoomListItem>> {
    let id = |row: &Row| row.try_get::<_, i64>(0);
    let tenant = db.first(sql::accounts::TENANT_BY_ID, &[&viewer.tenant.as_str()], id).await?;
    let Some(tenant) = tenant else { return Ok(Page { items: Vec::new(), next: None }) };
    let user = rows::user_by_id(db, &viewer.tenant, &viewer.user).await?;
    let viewer = (viewer, user.map_or(0, |u| u.row));
    listed(db, viewer, (sql::rooms::ROOMS_PUBLIC, tenant), page).await
}

/// What the lines of a list are made of.
struct Lines {
    rooms: HashMap<i64, RoomRow>,
    members: HashMap<i64, MemberRow>,
    last: HashMap<i64, mynah_domain::message::Message>,
    peers: HashMap<i64, rows::UserRow>,
}

async fn listed(
    db: &Db,
    (viewer, viewer_row): (&Actor, i64),
    (statement, of): (&'static str, i64),
    (offset, limit): (u64, u32),
) -> Found<Page<RoomListItem>> {
    let (most, from) = (i64::from(limit) + 1, count(offset));
    let params: [&dyn Param; 3] = [&of, &most, &from];
    let mut ids = db.all(statement, &params, |row| row.try_get::<_, i64>(0)).await?;
    let more = ids.len() > limit as usize;
    ids.truncate(limit as usize);
    let lines = lines(db, (viewer, viewer_row), &ids).await?;
    let found = ids.iter().filter_map(|id| lines.item(viewer, viewer_row, *id));
    let next = more.then(|| offset + ids.len() as u64);
    Ok(Page { items: found.collect(), next })
}

async fn lines(db: &Db, (viewer, viewer_row): (&Actor, i64), ids: &[i64]) -> Found<Lines> {
    let ids = ids.to_vec();
    let none = RoomId::trusted("");
    let member = |row: &Row| {
        let found = rows::member(row, &none, &viewer.user)?;
        Ok((row.try_get::<_, i64>(0)?, found))
    };
    let read = |row: &Row| {
        let found = rows::message(row, None)?;
        Ok((found.room_row, found.message))
    };
    let (rooms, members, last) = tokio::try_join!(
        facts::rooms(db, ids.clone()),
        Box::pin(async { db.all(sql::rooms::MEMBERS_OF, &[&viewer_row, &ids], member).await }),
        Box::pin(async { db.all(sql::messages::MESSAGES_LAST, &[&ids], read).await }),
    )?;
    let peers = rooms.values().filter_map(|room| facts::peer(room.pair, viewer_row)).collect();
    Ok(Lines {
        rooms,
        members: members.into_iter().collect(),
        last: last.into_iter().collect(),
        peers: facts::users(db, peers).await?,
    })
}

impl Lines {
    fn item(&self, viewer: &Actor, viewer_row: i64, id: i64) -> Option<RoomListItem> {
        let row = self.rooms.get(&id)?;
        let membership = self
            .members
            .get(&id)
            .map(|member| Membership { room: row.room.id.clone(), ..member.membership.clone() });
        let access =
            Access { room: &row.room, membership: membership.as_ref(), author: None, target: None };
        let readable = authorise(viewer, Operation::ReadHistory, &access).is_ok();
        let last_message = self.last.get(&id).filter(|_| readable).map(|message| {
            let mut message = message.clone();
            rows::place(&mut message, &row.room);
            message
        });
        let peer = facts::peer(row.pair, viewer_row).and_then(|peer| self.peers.get(&peer));
        let peer = peer.map(|peer| peer.profile.clone());
        Some(RoomListItem { room: Arc::new(row.room.clone()), membership, last_message, peer })
    }
}

async fn joined(db: &Db, viewer: &Actor) -> Found<Vec<Arc<Room>>> {
    let Some(user) = rows::user_by_id(db, &viewer.tenant, &viewer.user).await? else {
        return Ok(Vec::new());
    };
    let found = db.all(sql::rooms::ROOMS_JOINED, &[&user.row], rows::room).await?;
    Ok(found.into_iter().map(|r| Arc::new(r.room)).collect())
}

async fn members_of(
    db: &Db,
    guard: &Guard,
    id: &RoomId,
    (offset, limit): (u64, u32),
) -> Result<Page<Member>, Trouble<ChatError>> {
    let room = enter(db, guard, id).await?;
    let (most, from) = (i64::from(limit) + 1, count(offset));
    let params: [&dyn Param; 3] = [&room.row, &most, &from];
    let read = |row: &Row| {
        let profile = rows::profile(row, 8)?;
        Ok(Member { membership: rows::membership(row, id, &profile.id)?, profile })
    };
    let mut items = db.all(sql::rooms::MEMBERS_PAGE, &params, read).await?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Ok(Page { next: more.then(|| offset + items.len() as u64), items })
}
