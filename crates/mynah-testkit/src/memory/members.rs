//! Changes of standing.

use std::sync::Arc;

use mynah_domain::chat::ChatError;
use mynah_domain::event::{Departure, Fact};
use mynah_domain::permission::{Access, Denied, Guard, Operation, authorise};
use mynah_domain::room::{
    MemberState as S, Membership, MembershipChange as Change, MembershipChanged, Role, RoomKind,
};
use mynah_domain::{RoomId, Timestamp, UserId};

use super::{Deed, Place, Standing, State};

fn about<'a>(change: &'a Change, actor: &'a UserId) -> &'a UserId {
    match change {
        Change::Join | Change::Leave => actor,
        Change::Invite { user }
        | Change::Add { user, .. }
        | Change::Kick { user }
        | Change::Ban { user }
        | Change::SetRole { user, .. } => user,
    }
}

fn inside(state: Option<S>) -> bool {
    matches!(state, Some(S::Joined | S::Invited))
}

impl State {
    pub(super) fn change_membership(
        &mut self,
        guard: &Guard,
        id: &RoomId,
        change: &Change,
        at: Timestamp,
    ) -> Result<MembershipChanged, ChatError> {
        let place = self.place(id).ok_or(Denied::Hidden)?;
        let user = about(change, &guard.actor.user).clone();
        let after = judge(place, guard, change)?;
        let missing = || ChatError::MissingUser(user.clone());
        let profile = self.profile(&guard.actor.tenant, &user).ok_or_else(missing)?;
        let before = place.standing_of(&user).cloned();
        let room = Arc::new(place.room.clone());
        let Some((state, role)) = after else {
            let membership = before.ok_or_else(missing)?;
            return Ok(MembershipChanged { room, membership, changed: false });
        };
        let place = self.place_mut(id);
        let membership = place.stand(&user, (state, role), at);
        let joined = place.members.iter().filter(|s| s.membership.state == S::Joined);
        place.room.member_count = joined.count() as u64;
        let was = before.as_ref().map(|m| m.state);
        let same = was == Some(state);
        let left = match state {
            S::Left => Some(Departure::Left),
            S::Kicked => Some(Departure::Kicked),
            S::Banned => Some(Departure::Banned),
            S::Joined | S::Invited => None,
        };
        let room = id.clone();
        let fact = match left {
            Some(departure) => Fact::MemberLeft { room, user: user.clone(), departure },
            None if same => Fact::MemberRoleChanged { room, user: user.clone(), role },
            None if state == S::Invited => Fact::MemberInvited { room, member: profile },
            None => Fact::MemberJoined { room, member: profile, role },
        };
        let deed = Deed { actor: &guard.actor, at };
        self.emit_in_room(deed, id, fact);
        let now = Arc::new(self.place_mut(id).room.clone());
        let room = now.clone();
        let notice = match left {
            Some(departure) => {
                inside(was).then(|| Fact::RoomRemoved { room: id.clone(), departure })
            }
            None if same => None,
            None if state == S::Invited => Some(Fact::RoomInvited { room }),
            None => Some(Fact::RoomAdded { room, role, peer: None }),
        };
        if let Some(notice) = notice {
            self.emit_to_inbox(deed, &user, notice);
        }
        Ok(MembershipChanged { room: now, membership, changed: true })
    }
}

impl Place {
    fn stand(&mut self, user: &UserId, (state, role): (S, Role), at: Timestamp) -> Membership {
        let room = self.room.id.clone();
        if let Some(standing) = self.standing_mut(user) {
            let m = &mut standing.membership;
            if state == S::Joined && m.state != S::Joined {
                m.joined_at = at;
            }
            m.state = state;
            m.role = role;
            return m.clone();
        }
        let membership = Membership {
            room,
            user: user.clone(),
            state,
            role,
            joined_at: at,
            last_read_seq: 0,
            last_read_number: 0,
            last_read_at: None,
        };
        self.members.push(Standing { membership: membership.clone(), marks: Vec::new() });
        membership
    }
}

/// The standing after the change; `None` when nothing changes.
fn judge(place: &Place, guard: &Guard, change: &Change) -> Result<Option<(S, Role)>, ChatError> {
    let actor = &guard.actor;
    let own = place.standing(actor);
    let target = place.standing_of(about(change, &actor.user));
    let was = target.map(|m| m.state);
    let held = target.map_or(Role::Member, |m| m.role);
    let access = Access { room: &place.room, membership: own, author: None, target: None };
    if *change == Change::Leave && matches!(was, Some(S::Left | S::Kicked | S::Invited)) {
        authorise(actor, Operation::ViewRoom, &access)?;
        return Ok(None);
    }
    let alone = matches!(change, Change::Join | Change::Leave);
    let access = Access { target: target.filter(|_| !alone), ..access };
    guard.check(&access)?;
    let pardon = || match was {
        Some(S::Banned) => authorise(actor, Operation::BanMember, &access),
        _ => Ok(()),
    };
    let caretaker = actor.role >= Role::Admin && place.room.kind != RoomKind::Direct;
    let rank = own.filter(|m| m.state == S::Joined).map(|m| m.role);
    let rank = rank.max(caretaker.then_some(actor.role)).unwrap_or(Role::Readonly);
    let at_most_own = |role: Role| if role > rank { Err(Denied::Role) } else { Ok(()) };
    Ok(match change {
        Change::Join => (was != Some(S::Joined)).then_some((S::Joined, held.min(Role::Member))),
        Change::Leave => Some((S::Left, held)),
        Change::Invite { .. } => {
            pardon()?;
            (!inside(was)).then_some((S::Invited, held.min(Role::Member)))
        }
        Change::Add { role, .. } => {
            pardon()?;
            at_most_own(*role)?;
            (was != Some(S::Joined)).then_some((S::Joined, *role))
        }
        Change::Kick { .. } => inside(was).then_some((S::Kicked, held)),
        Change::Ban { .. } => (was != Some(S::Banned)).then_some((S::Banned, held)),
        Change::SetRole { user, role } => {
            at_most_own(*role)?;
            let state = was.filter(|_| inside(was));
            let state = state.ok_or_else(|| ChatError::MissingUser(user.clone()))?;
            (held != *role).then_some((state, *role))
        }
    })
}
