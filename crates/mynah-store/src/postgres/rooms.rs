//! Making, changing and deleting rooms.

use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::event::{Departure, Fact};
use mynah_domain::permission::{Access, Denied, Guard};
use mynah_domain::room::{
    MemberState, NewRoom, Role, Room, RoomCreated, RoomKind, RoomPatch, RoomView,
};
use mynah_domain::{RoomId, Timestamp, UserId};

use super::params::{Param, clean, count};
use super::sql;
use super::trouble::{Trouble, inconsistent};
use super::tx::{Tx, Who};

type Outcome<T> = Result<T, Trouble<ChatError>>;

pub(super) async fn create(tx: &mut Tx<'_>, new: &NewRoom) -> Outcome<RoomCreated> {
    let ids: Vec<&UserId> = std::iter::once(&new.created_by).chain(&new.members).collect();
    let mut people = Vec::with_capacity(ids.len());
    for (who, id) in tx.users(&new.tenant, &ids).await?.into_iter().zip(ids) {
        people.push(who.ok_or_else(|| ChatError::MissingUser(id.clone()))?);
    }
    let Some(creator) = people.first().cloned() else {
        return Err(inconsistent("rooms", &new.id).into());
    };
    let pair = direct_pair(new.kind, &people);
    if let Some(pair) = pair {
        let read = |row: &tokio_postgres::Row| row.try_get::<_, String>(0);
        let found = tx.db.first(sql::rooms::ROOM_BY_PAIR, &[&pair.0, &pair.1], read).await?;
        if let Some(id) = found {
            let view = view(tx, &RoomId::trusted(id), &creator).await?;
            return Ok(RoomCreated { view, existing: true });
        }
    }
    let room = insert(tx, new, &people, pair).await?;
    announce(tx, room, new, &people)?;
    Ok(RoomCreated { view: view(tx, &new.id, &creator).await?, existing: false })
}

fn direct_pair(kind: RoomKind, people: &[Who]) -> Option<(i64, i64)> {
    match (kind, people) {
        (RoomKind::Direct, [a, b]) => Some((a.row.min(b.row), a.row.max(b.row))),
        _ => None,
    }
}

async fn insert(
    tx: &mut Tx<'_>,
    new: &NewRoom,
    people: &[Who],
    pair: Option<(i64, i64)>,
) -> Outcome<i64> {
    let id = |row: &tokio_postgres::Row| row.try_get::<_, i64>(0);
    let tenant = tx.db.first(sql::accounts::TENANT_BY_ID, &[&new.tenant.as_str()], id).await?;
    let (kind, visibility) = (new.kind.as_str(), new.visibility.as_str());
    let (mut name, mut topic) = (new.name.clone(), new.topic.clone());
    name.iter_mut().chain(&mut topic).for_each(clean);
    let creator = people.first().map(|who| who.row);
    let (low, high) = (pair.map(|p| p.0), pair.map(|p| p.1));
    let members = people.len() as i64;
    let row: [&dyn Param; 11] = [
        &new.id.as_str(),
        &tenant,
        &kind,
        &visibility,
        &name,
        &topic,
        &creator,
        &low,
        &high,
        &members,
        &new.at.0,
    ];
    let room = tx.db.first(sql::rooms::ROOM_INSERT, &row, id).await?;
    let room = room.ok_or_else(|| inconsistent("rooms", &new.id))?;
    let persons: Vec<i64> = people.iter().map(|who| who.row).collect();
    let ranks: Vec<&str> = (0..people.len()).map(|n| first_role(new.kind, n).as_str()).collect();
    let joined = MemberState::Joined.as_str();
    let members: [&dyn Param; 5] = [&room, &persons, &joined, &ranks, &new.at.0];
    tx.db.run(sql::rooms::MEMBERS_INSERT, &members).await?;
    tx.lock_room_row(room).await?;
    Ok(room)
}

/// The creator, who comes first, owns the room; nobody owns a direct room.
fn first_role(kind: RoomKind, place: usize) -> Role {
    if place == 0 && kind != RoomKind::Direct { Role::Owner } else { Role::Member }
}

fn announce(tx: &mut Tx<'_>, room: i64, new: &NewRoom, people: &[Who]) -> Outcome<()> {
    let Some(creator) = people.first() else { return Ok(()) };
    let fact = Fact::RoomCreated { room: tx.room_next(room)? };
    tx.emit_in_room::<ChatError>(room, creator, (room, new.at), fact)?;
    for (who, n) in people.iter().zip(0..) {
        let role = first_role(new.kind, n);
        let fact = Fact::MemberJoined { room: new.id.clone(), member: who.profile.clone(), role };
        tx.emit_in_room::<ChatError>(room, creator, (who.row, new.at), fact)?;
    }
    let direct = new.kind == RoomKind::Direct;
    let made = Arc::new(tx.room(room)?.room.clone());
    for who in people.iter().skip(usize::from(!direct)) {
        let peer = people.iter().find(|p| p.row != who.row).filter(|_| direct);
        let fact = Fact::RoomAdded {
            room: made.clone(),
            role: Role::Member,
            peer: peer.map(|p| p.profile.clone()),
        };
        tx.emit_to_inbox(who.row, creator, (room, new.at), fact)?;
    }
    Ok(())
}

async fn view(tx: &mut Tx<'_>, id: &RoomId, viewer: &Who) -> Outcome<RoomView> {
    let row = tx.see_room(id).await?.ok_or_else(|| inconsistent("rooms", &id))?;
    tx.load_member(row, (viewer.row, &viewer.profile.id)).await?;
    let (room, member, _) = tx.access(row, Some(viewer.row), None)?;
    let membership = member.map(|m| m.membership.clone());
    Ok(RoomView { room: Arc::new(room.room.clone()), membership })
}

/// Asks the guard about a room read before and, where one is concerned, the author of a message. Gives
/// the actor.
pub(super) async fn enter(
    tx: &mut Tx<'_>,
    guard: &Guard,
    room: i64,
    author: Option<&UserId>,
) -> Outcome<Who> {
    let actor = tx.user(&guard.actor.tenant, &guard.actor.user).await?.ok_or(Denied::Hidden)?;
    tx.load_member(room, (actor.row, &actor.profile.id)).await?;
    let (found, member, _) = tx.access(room, Some(actor.row), None)?;
    let membership = member.map(|m| &m.membership);
    guard.check(&Access { room: &found.room, membership, author, target: None })?;
    Ok(actor)
}

/// Writes what a room holds beside the head of its stream.
pub(super) async fn save(tx: &mut Tx<'_>, row: i64) -> Outcome<()> {
    let db = tx.db;
    let room = &tx.room(row)?.room;
    let (visibility, members) = (room.visibility.as_str(), count(room.member_count));
    let deleted_at = room.deleted_at.map(|at| at.0);
    let params: [&dyn Param; 7] =
        [&row, &visibility, &room.name, &room.topic, &members, &room.updated_at.0, &deleted_at];
    db.run(sql::rooms::ROOM_CHANGE, &params).await?;
    Ok(())
}

pub(super) async fn update(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &RoomId,
    (patch, at): (&RoomPatch, Timestamp),
) -> Outcome<Room> {
    let row = tx.lock_room(id).await?.ok_or(Denied::Hidden)?;
    let actor = enter(tx, guard, row, None).await?;
    let now = &mut tx.room(row)?.room;
    let mut after = Room {
        name: patch.name.clone().or_else(|| now.name.clone()),
        topic: patch.topic.clone().or_else(|| now.topic.clone()),
        visibility: patch.visibility.unwrap_or(now.visibility),
        ..now.clone()
    };
    after.name.iter_mut().chain(&mut after.topic).for_each(clean);
    if after == *now {
        return Ok(after);
    }
    *now = Room { updated_at: at, ..after };
    save(tx, row).await?;
    let fact = Fact::RoomUpdated { room: tx.room_next(row)? };
    tx.emit_in_room::<ChatError>(row, &actor, (row, at), fact)?;
    Ok(tx.room(row)?.room.clone())
}

pub(super) async fn delete(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &RoomId,
    at: Timestamp,
) -> Outcome<()> {
    let row = tx.lock_room(id).await?.ok_or(Denied::Hidden)?;
    let actor = enter(tx, guard, row, None).await?;
    tx.room(row)?.room.deleted_at = Some(at);
    save(tx, row).await?;
    let gone = Fact::RoomDeleted { room: id.clone() };
    tx.emit_in_room::<ChatError>(row, &actor, (row, at), gone)?;
    let read = |row: &tokio_postgres::Row| row.try_get::<_, i64>(0);
    for user in tx.db.all(sql::rooms::MEMBER_USERS, &[&row], read).await? {
        let fact = Fact::RoomRemoved { room: id.clone(), departure: Departure::Deleted };
        tx.emit_to_inbox::<ChatError>(user, &actor, (row, at), fact)?;
    }
    Ok(())
}
