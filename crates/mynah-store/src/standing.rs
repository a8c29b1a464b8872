//! What a wished change makes of somebody's standing: the same for every engine.

use mynah_domain::UserId;
use mynah_domain::chat::ChatError;
use mynah_domain::event::Departure;
use mynah_domain::permission::{Access, Denied, Guard, Operation, authorise};
use mynah_domain::room::{MemberState, Membership, MembershipChange, Role, Room, RoomKind};

type Outcome<T> = Result<T, ChatError>;

/// What a change makes of a standing.
pub(crate) struct Step {
    pub(crate) state: MemberState,
    pub(crate) role: Role,
}

/// A judged question: everything that [`step`] needs.
pub(crate) struct Question<'a> {
    pub(crate) guard: &'a Guard,
    pub(crate) room: &'a Room,
    pub(crate) own: Option<&'a Membership>,
    pub(crate) target: Option<&'a Membership>,
}

/// Whom a change is about, if not the actor.
pub(crate) fn concerned(change: &MembershipChange) -> Option<&UserId> {
    match change {
        MembershipChange::Join | MembershipChange::Leave => None,
        MembershipChange::Invite { user }
        | MembershipChange::Add { user, .. }
        | MembershipChange::Kick { user }
        | MembershipChange::Ban { user }
        | MembershipChange::SetRole { user, .. } => Some(user),
    }
}

/// Judges a change and says what it makes of the standing; `None` when it changes nothing.
pub(crate) fn step(q: &Question<'_>, change: &MembershipChange) -> Outcome<Option<Step>> {
    use MemberState as S;
    let state = q.target.map(|m| m.state);
    let access = |target| Access { room: q.room, membership: q.own, author: None, target };
    let gone = matches!(state, Some(S::Left | S::Kicked | S::Invited));
    if *change == MembershipChange::Leave && gone {
        // Leaving again is no mistake, but a private room stays hidden.
        authorise(&q.guard.actor, Operation::ViewRoom, &access(None))?;
        return Ok(None);
    }
    q.guard.check(&access(if concerned(change).is_some() { q.target } else { None }))?;
    // Coming back never gives more than was held before.
    let humble = q.target.map_or(Role::Member, |m| m.role.min(Role::Member));
    Ok(match change {
        MembershipChange::Join => unless(state == Some(S::Joined), S::Joined, humble),
        MembershipChange::Leave => Some(Step { state: S::Left, role: q.held(Role::Member) }),
        MembershipChange::Invite { .. } => {
            q.may_pardon(&access(q.target))?;
            unless(matches!(state, Some(S::Joined | S::Invited)), S::Invited, humble)
        }
        MembershipChange::Add { role, .. } => {
            q.may_pardon(&access(q.target))?;
            q.not_above_own(*role)?;
            unless(state == Some(S::Joined), S::Joined, *role)
        }
        MembershipChange::Kick { .. } => {
            let inside = matches!(state, Some(S::Joined | S::Invited));
            unless(!inside, S::Kicked, q.held(Role::Member))
        }
        MembershipChange::Ban { .. } => {
            unless(state == Some(S::Banned), S::Banned, q.held(Role::Member))
        }
        MembershipChange::SetRole { user, role } => {
            q.not_above_own(*role)?;
            let inside = q.target.filter(|m| matches!(m.state, S::Joined | S::Invited));
            let Some(m) = inside else { return Err(ChatError::MissingUser(user.clone())) };
            unless(m.role == *role, m.state, *role)
        }
    })
}

pub(crate) fn unless(so_already: bool, state: MemberState, role: Role) -> Option<Step> {
    if so_already { None } else { Some(Step { state, role }) }
}

impl Question<'_> {
    /// The target's present rank.
    fn held(&self, otherwise: Role) -> Role {
        self.target.map_or(otherwise, |m| m.role)
    }

    /// Asking somebody in who is banned takes the right to ban.
    fn may_pardon(&self, access: &Access<'_>) -> Outcome<()> {
        if self.target.is_some_and(|m| m.state == MemberState::Banned) {
            authorise(&self.guard.actor, Operation::BanMember, access)?;
        }
        Ok(())
    }

    fn not_above_own(&self, role: Role) -> Outcome<()> {
        let joined = self.own.filter(|m| m.state == MemberState::Joined).map(|m| m.role);
        let actor = self.guard.actor.role;
        let caretaker = actor >= Role::Admin && self.room.kind != RoomKind::Direct;
        let own = joined.max(caretaker.then_some(actor)).unwrap_or(Role::Readonly);
        if role > own { Err(Denied::Role.into()) } else { Ok(()) }
    }
}

pub(crate) fn departure(state: MemberState) -> Option<Departure> {
    match state {
        MemberState::Left => Some(Departure::Left),
        MemberState::Kicked => Some(Departure::Kicked),
        MemberState::Banned => Some(Departure::Banned),
        MemberState::Joined | MemberState::Invited => None,
    }
}
