//! Changing who stands where towards a room.

use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::event::Fact;
use mynah_domain::permission::{Denied, Guard};
use mynah_domain::room::{MemberState, Membership, MembershipChange, MembershipChanged};
use mynah_domain::{RoomId, Timestamp};

use crate::standing::{Question, Step, concerned, departure, step};

use super::params::Param;
use super::trouble::{Trouble, inconsistent};
use super::tx::{Tx, Who};
use super::{rooms, sql};

type Outcome<T> = Result<T, Trouble<ChatError>>;

pub(super) async fn change(
    tx: &mut Tx<'_>,
    guard: &Guard,
    id: &RoomId,
    (change, at): (&MembershipChange, Timestamp),
) -> Outcome<MembershipChanged> {
    let row = tx.lock_room(id).await?.ok_or(Denied::Hidden)?;
    let actor = tx.user(&guard.actor.tenant, &guard.actor.user).await?.ok_or(Denied::Hidden)?;
    let other = concerned(change);
    let target = match other {
        Some(user) => tx.user(&guard.actor.tenant, user).await?,
        None => Some(actor.clone()),
    };
    tx.load_member(row, (actor.row, &actor.profile.id)).await?;
    if let Some(target) = &target {
        tx.load_member(row, (target.row, &target.profile.id)).await?;
    }
    let (room, own, standing) =
        tx.access(row, Some(actor.row), target.as_ref().map(|target| target.row))?;
    let question = Question {
        guard,
        room: &room.room,
        own: own.map(|m| &m.membership),
        target: standing.map(|m| &m.membership),
    };
    let step = step(&question, change)?;
    let missing = || ChatError::MissingUser(other.unwrap_or(&guard.actor.user).clone());
    let target = target.ok_or_else(missing)?;
    let before = question.target.cloned();
    let Some(step) = step else {
        let membership = before.ok_or_else(missing)?;
        let room = Arc::new(room.room.clone());
        return Ok(MembershipChanged { room, membership, changed: false });
    };
    apply(tx, row, (&actor, &target), (before.as_ref(), &step, at)).await?;
    let (room, _, after) = tx.access(row, None, Some(target.row))?;
    let after = after.ok_or_else(|| inconsistent("memberships", &id))?;
    let membership = after.membership.clone();
    Ok(MembershipChanged { room: Arc::new(room.room.clone()), membership, changed: true })
}

async fn apply(
    tx: &mut Tx<'_>,
    row: i64,
    (actor, target): (&Who, &Who),
    (before, step, at): (Option<&Membership>, &Step, Timestamp),
) -> Outcome<()> {
    let was_in = before.is_some_and(|m| m.state == MemberState::Joined);
    let is_in = step.state == MemberState::Joined;
    write_standing(tx, (row, target), (before, step, at)).await?;
    if was_in != is_in {
        let room = &mut tx.room(row)?.room;
        let count = room.member_count;
        room.member_count = if is_in { count + 1 } else { count.saturating_sub(1) };
        rooms::save(tx, row).await?;
    }
    let id = tx.room(row)?.room.id.clone();
    let member = target.profile.clone();
    let user = target.profile.id.clone();
    let role = step.role;
    let departure = departure(step.state);
    let same_state = before.is_some_and(|m| m.state == step.state);
    let fact = match (departure, step.state) {
        (Some(departure), _) => Fact::MemberLeft { room: id.clone(), user, departure },
        (None, _) if same_state => Fact::MemberRoleChanged { room: id.clone(), user, role },
        (None, MemberState::Invited) => Fact::MemberInvited { room: id.clone(), member },
        (None, _) => Fact::MemberJoined { room: id.clone(), member, role },
    };
    tx.emit_in_room::<ChatError>(row, actor, (target.row, at), fact)?;
    let known =
        before.is_some_and(|m| matches!(m.state, MemberState::Joined | MemberState::Invited));
    let room = Arc::new(tx.room(row)?.room.clone());
    let notice = match (departure, step.state) {
        (Some(departure), _) if known => Fact::RoomRemoved { room: id, departure },
        // Somebody who was not in loses nothing.
        (Some(_), _) => return Ok(()),
        (None, _) if same_state => return Ok(()),
        (None, MemberState::Invited) => Fact::RoomInvited { room },
        (None, _) => Fact::RoomAdded { room, role, peer: None },
    };
    tx.emit_to_inbox(target.row, actor, (row, at), notice)
}

async fn write_standing(
    tx: &mut Tx<'_>,
    (row, target): (i64, &Who),
    (before, step, at): (Option<&Membership>, &Step, Timestamp),
) -> Outcome<()> {
    let (state, role) = (step.state.as_str(), step.role.as_str());
    if before.is_none() {
        let (persons, ranks) = (vec![target.row], vec![role]);
        let new: [&dyn Param; 5] = [&row, &persons, &state, &ranks, &at.0];
        tx.db.run(sql::rooms::MEMBERS_INSERT, &new).await?;
        tx.load_member(row, (target.row, &target.profile.id)).await?;
        return Ok(());
    }
    let db = tx.db;
    let comes = step.state == MemberState::Joined;
    let Some(member) = tx.member_mut(row, target.row) else {
        return Err(inconsistent("memberships", &target.row).into());
    };
    let m = &mut member.membership;
    if comes && m.state != MemberState::Joined {
        m.joined_at = at;
    }
    m.state = step.state;
    m.role = step.role;
    let changed: [&dyn Param; 5] = [&row, &target.row, &state, &role, &m.joined_at.0];
    db.run(sql::rooms::MEMBER_STANDING, &changed).await?;
    Ok(())
}
