//! Who stands where.

use mynah_domain::chat::ChatError;
use mynah_domain::permission::{Actor, Denied};
use mynah_domain::room::{MemberState, MembershipChange as Change, Role};
use mynah_domain::{RoomId, UserId};

use super::{Subject, reading};

/// Each change is an event in the room and one in the inbox; doing it again is nothing.
pub async fn joining_and_leaving_are_told_once(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.channel(&ada, &[], "r").await;
    let head = s.heard.events().len();
    let joined = s.change(&bob, &room, Change::Join).await.expect("joined");
    assert!(joined.changed);
    assert_eq!(joined.room.member_count, 2);
    assert_eq!(joined.membership.role, Role::Member);
    assert!(!s.change(&bob, &room, Change::Join).await.expect("again").changed);
    let left = s.change(&bob, &room, Change::Leave).await.expect("left");
    assert_eq!((left.room.member_count, left.membership.state), (1, MemberState::Left));
    assert!(!s.change(&bob, &room, Change::Leave).await.expect("again").changed);
    let expected = ["member.joined", "room.added", "member.left", "room.removed"];
    assert_eq!(s.names_since(head), expected);
    let stranger = s.user("stranger").await;
    let never = s.change(&stranger, &room, Change::Leave).await;
    assert_eq!(never, Err(Denied::NotMember.into()));
}

/// Hidden without one, open with one.
pub async fn private_rooms_need_an_invitation(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[], "r").await;
    assert_eq!(s.change(&bob, &room, Change::Join).await, Err(Denied::Hidden.into()));
    let head = s.heard.events().len();
    let invite = Change::Invite { user: bob.user.clone() };
    let invited = s.change(&ada, &room, invite.clone()).await.expect("invited");
    assert_eq!(invited.membership.state, MemberState::Invited);
    assert_eq!(invited.room.member_count, 1, "not in yet");
    assert!(!s.change(&ada, &room, invite).await.expect("again").changed);
    assert_eq!(s.names_since(head), ["member.invited", "room.invited"]);
    assert!(s.change(&bob, &room, Change::Join).await.expect("joined").changed);
    let ghost = Change::Invite { user: UserId::trusted("ghost") };
    let missing = ChatError::MissingUser(UserId::trusted("ghost"));
    assert_eq!(s.change(&ada, &room, ghost).await, Err(missing));
    let nowhere = RoomId::trusted("nowhere");
    assert_eq!(s.change(&ada, &nowhere, Change::Join).await, Err(Denied::Hidden.into()));
}

/// The kicked need an invitation again, the banned stay out until somebody who may ban asks them in.
pub async fn removed_people_stay_out(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let room = s.group(&ada, &[&bob, &eve], "r").await;
    let head = s.heard.events().len();
    let kick = Change::Kick { user: eve.user.clone() };
    assert_eq!(s.change(&bob, &room, kick.clone()).await, Err(Denied::Role.into()));
    assert!(s.change(&ada, &room, kick.clone()).await.expect("kicked").changed);
    assert!(!s.change(&ada, &room, kick).await.expect("again").changed);
    assert_eq!(s.names_since(head), ["member.left", "room.removed"]);
    assert_eq!(s.change(&eve, &room, Change::Join).await, Err(Denied::Hidden.into()));
    let ban = Change::Ban { user: eve.user.clone() };
    s.change(&ada, &room, ban).await.expect("banned");
    let invite = Change::Invite { user: eve.user.clone() };
    let pardon = s.change(&bob, &room, invite.clone()).await;
    assert_eq!(pardon, Err(Denied::Role.into()), "a member cannot undo a ban");
    assert!(s.change(&ada, &room, invite).await.expect("pardoned").changed);
    assert!(s.change(&eve, &room, Change::Join).await.expect("back").changed);
    let outsider = s.user("outsider").await;
    let kick = Change::Kick { user: outsider.user.clone() };
    let missing = Err(ChatError::MissingUser(outsider.user));
    assert_eq!(s.change(&ada, &room, kick).await, missing);
}

/// A rank that was taken away is not regained by the door.
pub async fn coming_back_gives_no_higher_rank(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.channel(&ada, &[&bob], "r").await;
    let role = async |user: &Actor, role| {
        let change = Change::SetRole { user: user.user.clone(), role };
        s.change(&ada, &room, change).await.expect("changed").membership.role
    };
    for (held, regained) in [(Role::Readonly, Role::Readonly), (Role::Admin, Role::Member)] {
        assert_eq!(role(&bob, held).await, held);
        s.change(&bob, &room, Change::Leave).await.expect("left");
        let back = s.change(&bob, &room, Change::Join).await.expect("back");
        assert_eq!(back.membership.role, regained);
    }
}

/// Nor touches people of equal rank.
pub async fn nobody_gives_a_rank_above_the_own(s: Subject) {
    let [ada, bob, eve, new] = s.users().await;
    let room = s.group(&ada, &[&bob, &eve], "r").await;
    let set = |user: &Actor, role| Change::SetRole { user: user.user.clone(), role };
    let head = s.heard.events().len();
    assert!(s.change(&ada, &room, set(&bob, Role::Admin)).await.expect("set").changed);
    assert!(!s.change(&ada, &room, set(&bob, Role::Admin)).await.expect("again").changed);
    assert_eq!(s.names_since(head), ["member.role_changed"], "nothing for the inbox");
    let up = s.change(&bob, &room, set(&eve, Role::Owner)).await;
    assert_eq!(up, Err(Denied::Role.into()));
    assert!(s.change(&bob, &room, set(&eve, Role::Admin)).await.is_ok());
    let equal = s.change(&bob, &room, set(&eve, Role::Guest)).await;
    assert_eq!(equal, Err(Denied::TargetRole.into()));
    let add = Change::Add { user: new.user.clone(), role: Role::Owner };
    assert_eq!(s.change(&bob, &room, add).await, Err(Denied::Role.into()));
    let add = Change::Add { user: new.user.clone(), role: Role::Guest };
    let added = s.change(&bob, &room, add).await.expect("added");
    assert_eq!((added.membership.role, added.room.member_count), (Role::Guest, 4));
    let absent = s.user("absent").await;
    let missing = Err(ChatError::MissingUser(absent.user.clone()));
    assert_eq!(s.change(&ada, &room, set(&absent, Role::Guest)).await, missing);
}

/// Joined and invited, not those who went.
pub async fn members_come_by_time_of_joining(s: Subject) {
    let [ada, bob, eve, joe] = s.users().await;
    let room = s.group(&ada, &[&bob, &eve], "r").await;
    s.change(&ada, &room, Change::Invite { user: joe.user.clone() }).await.expect("invited");
    s.change(&bob, &room, Change::Leave).await.expect("left");
    let add = Change::Add { user: bob.user.clone(), role: Role::Member };
    s.change(&ada, &room, add).await.expect("added");
    s.change(&eve, &room, Change::Leave).await.expect("left");
    let first = s.rooms.members(reading(&ada), &room, 0, 2).await.expect("read");
    let rest = s.rooms.members(reading(&ada), &room, 2, 2).await.expect("read");
    let ids: Vec<_> = first.items.iter().chain(&rest.items).map(|m| &m.profile.id).collect();
    assert_eq!(ids, [&ada.user, &joe.user, &bob.user]);
    assert_eq!((first.next, rest.next), (Some(2), None));
    let outsider = s.rooms.members(reading(&eve), &room, 0, 2).await;
    assert_eq!(outsider, Err(Denied::Hidden.into()));
}
