//! Making, changing and deleting rooms.

use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::event::{Departure, Fact};
use mynah_domain::permission::{Access, Denied, Guard};
use mynah_domain::room::{
    MemberState, NewRoom, Role, Room, RoomCreated, RoomKind, RoomPatch, RoomView,
};
use mynah_domain::{RoomId, Timestamp, UserId};

use super::trouble::{Trouble, inconsistent};
use super::tx::{Tx, Who};
use super::{rows, sql};

type Outcome<T> = Result<T, Trouble<ChatError>>;

pub(super) fn create(tx: &mut Tx<'_>, new: &NewRoom) -> Outcome<RoomCreated> {
    let mut people = Vec::with_capacity(new.members.len() + 1);
    for id in std::iter::once(&new.created_by).chain(&new.members) {
        let who = tx.user(&new.tenant, id)?;
        people.push(who.ok_or_else(|| ChatError::MissingUser(id.clone()))?);
    }
    let Some(creator) = people.first().cloned() else {
        return Err(inconsistent("rooms", &new.id).into());
    };
    let pair = direct_pair(new.kind, &people);
    if let Some(pair) = pair
        && let Some(id) = rows::first(tx.conn, sql::ROOM_BY_PAIR, pair, |r| r.get::<_, String>(0))?
    {
        let view = view(tx, &RoomId::trusted(id), &creator)?;
        return Ok(RoomCreated { view, existing: true });
    }
    let room = insert(tx, new, &people, pair)?;
    announce(tx, room, new, &people)?;
    Ok(RoomCreated { view: view(tx, &new.id, &creator)?, existing: false })
}

fn direct_pair(kind: RoomKind, people: &[Who]) -> Option<(i64, i64)> {
    match (kind, people) {
        (RoomKind::Direct, [a, b]) => Some((a.row.min(b.row), a.row.max(b.row))),
        _ => None,
    }
}

fn insert(
    tx: &mut Tx<'_>,
    new: &NewRoom,
    people: &[Who],
    pair: Option<(i64, i64)>,
) -> Outcome<i64> {
    let tenant =
        rows::first(tx.conn, sql::TENANT_BY_ID, [new.tenant.as_str()], |r| r.get::<_, i64>(0))?;
    let row = (
        new.id.as_str(),
        tenant,
        new.kind.as_str(),
        new.visibility.as_str(),
        &new.name,
        &new.topic,
        people.first().map(|who| who.row),
        pair.map(|p| p.0),
        pair.map(|p| p.1),
        people.len() as i64,
        new.at.0,
    );
    rows::execute(tx.conn, sql::ROOM_INSERT, row)?;
    let room = tx.conn.last_insert_rowid();
    for (who, n) in people.iter().zip(0..) {
        let role = first_role(new.kind, n);
        let joined = MemberState::Joined.as_str();
        let row = (room, who.row, joined, role.as_str(), new.at.0);
        rows::execute(tx.conn, sql::MEMBER_INSERT, row)?;
    }
    Ok(room)
}

/// The creator, who comes first, owns the room; nobody owns a direct room.
fn first_role(kind: RoomKind, place: usize) -> Role {
    if place == 0 && kind != RoomKind::Direct { Role::Owner } else { Role::Member }
}

fn announce(tx: &mut Tx<'_>, room: i64, new: &NewRoom, people: &[Who]) -> Outcome<()> {
    let Some(creator) = people.first() else { return Ok(()) };
    let fact = Fact::RoomCreated { room: tx.room_next(room)? };
    tx.emit_in_room(room, creator, (room, new.at), fact)?;
    for (who, n) in people.iter().zip(0..) {
        let role = first_role(new.kind, n);
        let fact = Fact::MemberJoined { room: new.id.clone(), member: who.profile.clone(), role };
        tx.emit_in_room(room, creator, (who.row, new.at), fact)?;
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

fn view(tx: &mut Tx<'_>, id: &RoomId, viewer: &Who) -> Outcome<RoomView> {
    let row = tx.room_id(id)?.ok_or_else(|| inconsistent("rooms", &id))?;
    tx.load_member(row, (viewer.row, &viewer.profile.id))?;
    let (room, member, _) = tx.access(row, Some(viewer.row), None)?;
    let membership = member.map(|m| m.membership.clone());
    Ok(RoomView { room: Arc::new(room.room.clone()), membership })
}

/// Asks the guard about a room and, where one is concerned, the author of a message. Gives the room's
/// rowid and the actor.
pub(super) fn enter(
    tx: &mut Tx<'_>,
    guard: &Guard,
    room: i64,
    author: Option<&UserId>,
) -> Outcome<Who> {
    let actor = tx.user(&guard.actor.tenant, &guard.actor.user)?.ok_or(Denied::Hidden)?;
    tx.room::<ChatError>(room)?;
    tx.load_member(room, (actor.row, &actor.profile.id))?;
    let (found, member, _) = tx.access(room, Some(actor.row), None)?;
    let membership = member.map(|m| &m.membership);
    guard.check(&Access { room: &found.room, membership, author, target: None })?;
    Ok(actor)
}

/// Writes what a room holds beside the head of its stream.
pub(super) fn save(tx: &mut Tx<'_>, row: i64) -> Outcome<()> {
    let conn = tx.conn;
    let room = &tx.room::<ChatError>(row)?.room;
    let params = (
        row,
        room.visibility.as_str(),
        &room.name,
        &room.topic,
        room.member_count.cast_signed(),
        room.updated_at.0,
        room.deleted_at.map(|t| t.0),
    );
    rows::execute(conn, sql::ROOM_CHANGE, params)?;
    Ok(())
}

pub(super) fn update(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &RoomId,
    (patch, at): (&RoomPatch, Timestamp),
) -> Outcome<Room> {
    let row = tx.room_id(id)?.ok_or(Denied::Hidden)?;
    let actor = enter(tx, guard, row, None)?;
    let now = &mut tx.room::<ChatError>(row)?.room;
    let after = Room {
        name: patch.name.clone().or_else(|| now.name.clone()),
        topic: patch.topic.clone().or_else(|| now.topic.clone()),
        visibility: patch.visibility.unwrap_or(now.visibility),
        ..now.clone()
    };
    if after == *now {
        return Ok(after);
    }
    *now = Room { updated_at: at, ..after };
    save(tx, row)?;
    let fact = Fact::RoomUpdated { room: tx.room_next(row)? };
    tx.emit_in_room(row, &actor, (row, at), fact)?;
    Ok(tx.room::<ChatError>(row)?.room.clone())
}

pub(super) fn delete(tx: &mut Tx<'_>, guard: &Guard, id: &RoomId, at: Timestamp) -> Outcome<()> {
    let row = tx.room_id(id)?.ok_or(Denied::Hidden)?;
    let actor = enter(tx, guard, row, None)?;
    tx.room::<ChatError>(row)?.room.deleted_at = Some(at);
    save(tx, row)?;
    tx.emit_in_room(row, &actor, (row, at), Fact::RoomDeleted { room: id.clone() })?;
    for user in rows::all(tx.conn, sql::MEMBER_USERS, [row], |r| r.get::<_, i64>(0))? {
        let fact = Fact::RoomRemoved { room: id.clone(), departure: Departure::Deleted };
        tx.emit_to_inbox(user, &actor, (row, at), fact)?;
    }
    Ok(())
}
