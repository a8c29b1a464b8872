//! The one authorisation table.
//!
//! Every door asks here and nowhere else. A room operation is judged from the room, the actor's
//! membership and, for messages, who wrote the message; the store evaluates a [`Guard`] against the
//! rows inside the transaction that changes them, so a decision cannot be stale.

use crate::room::{MemberState, Membership, Role, Room, RoomKind, Visibility};
use crate::{TenantId, UserId};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The tenant the credentials belong to.
    pub tenant: TenantId,
    /// The user the credentials belong to.
    pub user: UserId,
    /// Tenant-wide role.
    pub role: Role,
}

/// What somebody wants to do with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// See that the room exists, its name and head.
    ViewRoom,
    /// Read messages, members and receipts.
    ReadHistory,
    /// Write a message.
    SendMessage,
    /// Change the text of a message.
    EditMessage,
    /// Remove a message.
    DeleteMessage,
    /// Move one's own read cursor.
    MoveReadCursor,
    /// Show that one is typing.
    ShowTyping,
    /// Become a member without being invited.
    JoinRoom,
    /// Stop being a member.
    LeaveRoom,
    /// Invite somebody, or add somebody.
    InviteMember,
    /// Remove somebody.
    KickMember,
    /// Remove somebody and keep them out.
    BanMember,
    /// Change somebody's role.
    ChangeRole,
    /// Change name, topic or visibility.
    UpdateRoom,
    /// Remove the room.
    DeleteRoom,
    /// Hear a conversation as it goes on: its members, and the tenant's staff, who may be called in.
    WatchThread,
}

impl Operation {
    /// All operations, for tests that walk the whole table.
    pub const ALL: [Self; 16] = [
        Self::ViewRoom,
        Self::ReadHistory,
        Self::SendMessage,
        Self::EditMessage,
        Self::DeleteMessage,
        Self::MoveReadCursor,
        Self::ShowTyping,
        Self::JoinRoom,
        Self::LeaveRoom,
        Self::InviteMember,
        Self::KickMember,
        Self::BanMember,
        Self::ChangeRole,
        Self::UpdateRoom,
        Self::DeleteRoom,
        Self::WatchThread,
    ];
}

/// Why an operation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// The actor may not even know that the room exists; doors answer as for a missing id.
    #[error("room not found")]
    Hidden,
    /// The room is visible but the operation needs membership.
    #[error("you are not a member of this room")]
    NotMember,
    /// The actor was banned from the room.
    #[error("you are banned from this room")]
    Banned,
    /// The actor's role does not allow it.
    #[error("your role does not allow this")]
    Role,
    /// Only the author may do this.
    #[error("only the author may do this")]
    NotAuthor,
    /// Direct rooms always have their two members.
    #[error("not possible in a direct room")]
    DirectRoom,
    /// The target's role is as high as the actor's, or higher.
    #[error("the member's role is not below yours")]
    TargetRole,
}

/// What an operation is judged by: rows as they are now.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// The room.
    pub room: &'a Room,
    /// The actor's membership of it, in any state.
    pub membership: Option<&'a Membership>,
    /// Who wrote the message concerned, for operations on a message.
    pub author: Option<&'a UserId>,
    /// Membership of the user acted upon, for operations on a member.
    pub target: Option<&'a Membership>,
}

/// From which tenant-wide rank on somebody is staff: looks after the tenant's notices and tickets, and may
/// be called into conversations.
pub const STAFF: Role = Role::Moderator;

/// What the table asks for one operation.
struct Rule {
    /// Lowest room role; `None`: membership is not needed.
    role: Option<Role>,
    /// Lowest room role that may do it to what others wrote.
    role_over_others: Role,
    /// Whether it makes sense in a direct room.
    direct: bool,
}

const fn rule(role: Option<Role>, role_over_others: Role, direct: bool) -> Rule {
    Rule { role, role_over_others, direct }
}

/// The table itself.
const fn rule_of(operation: Operation) -> Rule {
    use Operation as O;
    match operation {
        O::ViewRoom | O::JoinRoom => rule(None, Role::Guest, true),
        O::ReadHistory | O::MoveReadCursor | O::WatchThread => {
            rule(Some(Role::Readonly), Role::Readonly, true)
        }
        O::SendMessage | O::ShowTyping => rule(Some(Role::Guest), Role::Guest, true),
        // Nobody puts words into another's mouth, whatever the rank.
        O::EditMessage => rule(Some(Role::Guest), Role::Nobody, true),
        O::DeleteMessage => rule(Some(Role::Guest), Role::Moderator, true),
        O::LeaveRoom => rule(Some(Role::Readonly), Role::Readonly, false),
        O::InviteMember => rule(Some(Role::Member), Role::Member, false),
        O::KickMember | O::BanMember => rule(Some(Role::Moderator), Role::Moderator, false),
        O::ChangeRole | O::UpdateRoom => rule(Some(Role::Admin), Role::Admin, false),
        O::DeleteRoom => rule(Some(Role::Owner), Role::Owner, false),
    }
}

/// Decides one operation.
///
/// # Errors
/// [`Denied`] with the reason; [`Denied::Hidden`] whenever saying more would reveal a private room.
pub fn authorise(actor: &Actor, operation: Operation, access: &Access<'_>) -> Result<(), Denied> {
    let rule = rule_of(operation);
    let room = access.room;
    if room.tenant != actor.tenant || room.deleted_at.is_some() {
        return Err(Denied::Hidden);
    }
    if operation == Operation::WatchThread && actor.role >= STAFF {
        return Ok(());
    }
    let tenant_admin = actor.role >= Role::Admin && room.kind != RoomKind::Direct;
    let state = access.membership.map(|m| m.state);
    let joined = access.membership.filter(|m| m.state == MemberState::Joined);
    let visible = joined.is_some()
        || tenant_admin
        || state == Some(MemberState::Invited)
        || (room.visibility == Visibility::Public && room.kind != RoomKind::Direct);
    if state == Some(MemberState::Banned) && !tenant_admin {
        return Err(if visible { Denied::Banned } else { Denied::Hidden });
    }
    if !visible {
        return Err(Denied::Hidden);
    }
    if room.kind == RoomKind::Direct && !rule.direct {
        return Err(Denied::DirectRoom);
    }
    let Some(role_min) = rule.role else { return Ok(()) };
    let role = match joined {
        Some(m) if tenant_admin => m.role.max(actor.role),
        Some(m) => m.role,
        None if tenant_admin && operation_suits_outsider(operation) => actor.role,
        None => return Err(Denied::NotMember),
    };
    if role < role_min {
        return Err(Denied::Role);
    }
    let others = access.author.is_some_and(|author| *author != actor.user);
    if others && role < rule.role_over_others {
        return Err(if rule.role_over_others == Role::Nobody {
            Denied::NotAuthor
        } else {
            Denied::Role
        });
    }
    let outranked = access
        .target
        .is_some_and(|t| t.user != actor.user && t.state == MemberState::Joined && t.role >= role);
    if outranked && operation != Operation::InviteMember { Err(Denied::TargetRole) } else { Ok(()) }
}

/// What a tenant's admin may do in rooms they have not joined: look after them, not speak in them.
const fn operation_suits_outsider(operation: Operation) -> bool {
    use Operation as O;
    match operation {
        O::ViewRoom
        | O::ReadHistory
        | O::DeleteMessage
        | O::JoinRoom
        | O::InviteMember
        | O::KickMember
        | O::BanMember
        | O::ChangeRole
        | O::UpdateRoom
        | O::WatchThread
        | O::DeleteRoom => true,
        O::SendMessage | O::EditMessage | O::MoveReadCursor | O::ShowTyping | O::LeaveRoom => false,
    }
}

/// An authorisation question that a store answers inside its own transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Who asks.
    pub actor: Actor,
    /// For what.
    pub operation: Operation,
}

impl Guard {
    /// Binds a question to its asker.
    pub fn new(actor: &Actor, operation: Operation) -> Self {
        Self { actor: actor.clone(), operation }
    }

    /// Judges the rows the store has in hand.
    ///
    /// # Errors
    /// [`Denied`], as [`authorise`].
    pub fn check(&self, access: &Access<'_>) -> Result<(), Denied> {
        authorise(&self.actor, self.operation, access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RoomId, Timestamp};

    fn room(kind: RoomKind, visibility: Visibility) -> Room {
        Room {
            id: RoomId::trusted("r"),
            tenant: TenantId::single(),
            kind,
            visibility,
            name: None,
            topic: None,
            created_by: UserId::trusted("someone"),
            member_count: 1,
            last_seq: 0,
            last_number: 0,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            deleted_at: None,
        }
    }

    fn standing(state: MemberState, role: Role) -> Membership {
        Membership {
            room: RoomId::trusted("r"),
            user: UserId::trusted("me"),
            state,
            role,
            joined_at: Timestamp(0),
            last_read_seq: 0,
            last_read_number: 0,
            last_read_at: None,
        }
    }

    fn actor(role: Role) -> Actor {
        Actor { tenant: TenantId::single(), user: UserId::trusted("me"), role }
    }

    fn ask(op: Operation, room: &Room, m: Option<&Membership>) -> Result<(), Denied> {
        let access = Access { room, membership: m, author: None, target: None };
        authorise(&actor(Role::Member), op, &access)
    }

    /// Operations allowed per room role, by the table written out a second time.
    #[test]
    fn each_room_role_may_do_exactly_its_part() {
        use Operation as O;
        let room = room(RoomKind::Group, Visibility::Private);
        let readonly = vec![
            O::ViewRoom,
            O::ReadHistory,
            O::MoveReadCursor,
            O::WatchThread,
            O::JoinRoom,
            O::LeaveRoom,
        ];
        let guest = [O::SendMessage, O::ShowTyping, O::EditMessage, O::DeleteMessage];
        let steps: [(Role, &[Operation]); 6] = [
            (Role::Readonly, &[]),
            (Role::Guest, &guest),
            (Role::Member, &[O::InviteMember]),
            (Role::Moderator, &[O::KickMember, O::BanMember]),
            (Role::Admin, &[O::ChangeRole, O::UpdateRoom]),
            (Role::Owner, &[O::DeleteRoom]),
        ];
        let mut allowed = readonly;
        for (role, more) in steps {
            allowed.extend_from_slice(more);
            for op in Operation::ALL {
                let got = ask(op, &room, Some(&standing(MemberState::Joined, role)));
                assert_eq!(got.is_ok(), allowed.contains(&op), "{role:?} {op:?} {got:?}");
            }
        }
    }

    #[test]
    fn outsiders_cannot_tell_a_private_room_from_a_missing_one() {
        for kind in [RoomKind::Direct, RoomKind::Group] {
            let room = room(kind, Visibility::Private);
            for op in Operation::ALL {
                assert_eq!(ask(op, &room, None), Err(Denied::Hidden), "{kind:?} {op:?}");
                for gone in [MemberState::Left, MemberState::Kicked, MemberState::Banned] {
                    let got = ask(op, &room, Some(&standing(gone, Role::Owner)));
                    assert_eq!(got, Err(Denied::Hidden), "{kind:?} {op:?} {gone:?}");
                }
            }
        }
    }

    #[test]
    fn a_public_room_can_be_seen_and_joined_but_not_used_from_outside() {
        let room = room(RoomKind::Channel, Visibility::Public);
        for op in Operation::ALL {
            let open = matches!(op, Operation::ViewRoom | Operation::JoinRoom);
            let expected = if open { Ok(()) } else { Err(Denied::NotMember) };
            assert_eq!(ask(op, &room, None), expected, "{op:?}");
        }
        let banned = standing(MemberState::Banned, Role::Member);
        assert_eq!(ask(Operation::JoinRoom, &room, Some(&banned)), Err(Denied::Banned));
    }

    #[test]
    fn another_tenant_and_deleted_rooms_are_hidden_from_everybody() {
        let room = room(RoomKind::Channel, Visibility::Public);
        let owner = standing(MemberState::Joined, Role::Owner);
        let ask = |actor: &Actor, room: &Room| {
            let access = Access { room, membership: Some(&owner), author: None, target: None };
            authorise(actor, Operation::ViewRoom, &access)
        };
        let stranger = Actor { tenant: TenantId::trusted("other"), ..actor(Role::Owner) };
        assert_eq!(ask(&stranger, &room), Err(Denied::Hidden));
        let deleted = Room { deleted_at: Some(Timestamp(1)), ..room };
        let got = ask(&actor(Role::Owner), &deleted);
        assert_eq!(got, Err(Denied::Hidden));
    }

    #[test]
    fn nobody_edits_for_others_and_only_moderators_delete_for_others() {
        let room = room(RoomKind::Group, Visibility::Private);
        let other = UserId::trusted("other");
        let try_as = |role, op| {
            let me = standing(MemberState::Joined, role);
            let access =
                Access { room: &room, membership: Some(&me), author: Some(&other), target: None };
            authorise(&actor(Role::Member), op, &access)
        };
        assert_eq!(try_as(Role::Owner, Operation::EditMessage), Err(Denied::NotAuthor));
        assert_eq!(try_as(Role::Member, Operation::DeleteMessage), Err(Denied::Role));
        assert_eq!(try_as(Role::Moderator, Operation::DeleteMessage), Ok(()));
    }

    #[test]
    fn members_of_equal_or_higher_rank_are_out_of_reach() {
        let room = room(RoomKind::Group, Visibility::Private);
        let me = standing(MemberState::Joined, Role::Moderator);
        for (rank, expected) in [
            (Role::Member, Ok(())),
            (Role::Moderator, Err(Denied::TargetRole)),
            (Role::Owner, Err(Denied::TargetRole)),
        ] {
            let mut target = standing(MemberState::Joined, rank);
            target.user = UserId::trusted("other");
            let access =
                Access { room: &room, membership: Some(&me), author: None, target: Some(&target) };
            let got = authorise(&actor(Role::Member), Operation::KickMember, &access);
            assert_eq!(got, expected, "{rank:?}");
        }
    }

    #[test]
    fn staff_may_be_called_into_conversations_of_its_own_tenant() {
        let room = room(RoomKind::Direct, Visibility::Private);
        let access = Access { room: &room, membership: None, author: None, target: None };
        for role in [Role::Guest, Role::Member, Role::Moderator, Role::Owner] {
            let got = authorise(&actor(role), Operation::WatchThread, &access);
            assert_eq!(got.is_ok(), role >= STAFF, "{role:?} {got:?}");
            let read = authorise(&actor(role), Operation::ReadHistory, &access);
            assert_eq!(read, Err(Denied::Hidden), "its past is not theirs: {role:?}");
        }
        let elsewhere = Actor { tenant: TenantId::trusted("other"), ..actor(Role::Owner) };
        let got = authorise(&elsewhere, Operation::WatchThread, &access);
        assert_eq!(got, Err(Denied::Hidden));
    }

    #[test]
    fn direct_rooms_keep_their_two_members() {
        let room = room(RoomKind::Direct, Visibility::Private);
        let me = standing(MemberState::Joined, Role::Member);
        for op in [Operation::LeaveRoom, Operation::InviteMember, Operation::UpdateRoom] {
            assert_eq!(ask(op, &room, Some(&me)), Err(Denied::DirectRoom), "{op:?}");
        }
        assert_eq!(ask(Operation::SendMessage, &room, Some(&me)), Ok(()));
    }

    #[test]
    fn a_tenants_admin_looks_after_rooms_without_speaking_in_them() {
        let room = room(RoomKind::Group, Visibility::Private);
        let access = Access { room: &room, membership: None, author: None, target: None };
        let admin = actor(Role::Admin);
        assert_eq!(authorise(&admin, Operation::ReadHistory, &access), Ok(()));
        assert_eq!(authorise(&admin, Operation::KickMember, &access), Ok(()));
        assert_eq!(authorise(&admin, Operation::SendMessage, &access), Err(Denied::NotMember));
        let direct = Room { kind: RoomKind::Direct, ..room };
        let access = Access { room: &direct, membership: None, author: None, target: None };
        assert_eq!(authorise(&admin, Operation::ReadHistory, &access), Err(Denied::Hidden));
    }
}
