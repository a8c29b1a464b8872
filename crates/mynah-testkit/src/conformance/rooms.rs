//! Rooms and their lists.

use mynah_domain::account::NewAccount;
use mynah_domain::chat::ChatError;
use mynah_domain::event::{Fact, Stream};
use mynah_domain::permission::{Actor, Denied, Guard, Operation};
use mynah_domain::room::{MembershipChange, Role, RoomKind, RoomPatch, Visibility};
use mynah_domain::{RoomId, TenantId, UserId};

use super::{Subject, reading};

/// Events in the room for all, in the inbox of those who did not do it themselves.
pub async fn making_a_room_tells_everybody(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let made = s.try_room((&ada, &[&bob, &eve]), RoomKind::Group, Visibility::Private, "r").await;
    let view = made.expect("made").view;
    assert_eq!((view.room.member_count, view.room.last_seq), (3, 4));
    assert_eq!(view.membership.expect("the creator is in").role, Role::Owner);
    let expected = ["room.created", "member.joined", "member.joined", "member.joined"];
    assert_eq!(s.names_since(0), [&expected[..], &["room.added"; 2]].concat());
    let added: Vec<_> = s.heard.events().into_iter().skip(4).map(|e| e.stream).collect();
    assert_eq!(added, [Stream::User(bob.user.clone()), Stream::User(eve.user)]);
    assert_eq!(s.view(&bob, &view.room.id).await.room, view.room);
}

/// Nothing of the room is kept.
pub async fn a_room_with_a_stranger_is_not_made(s: Subject) {
    let ada = s.user("ada").await;
    let ghost = Actor { user: UserId::trusted("ghost"), ..ada.clone() };
    let made = s.try_room((&ada, &[&ghost]), RoomKind::Group, Visibility::Private, "r").await;
    assert_eq!(made, Err(ChatError::MissingUser(ghost.user)));
    assert_eq!(s.rooms.room(&ada, &RoomId::trusted("r")).await, Ok(None));
    assert_eq!(s.journal.head_pos().await, Ok(0));
}

/// The other member, as the inbox event of each tells.
fn peers(s: &Subject) -> Vec<UserId> {
    let heard = s.heard.events();
    let added = heard.iter().filter_map(|e| {
        if let Fact::RoomAdded { peer: Some(peer), .. } = &e.fact {
            Some(peer.id.clone())
        } else {
            None
        }
    });
    added.collect()
}

/// Whoever asks, and both at once.
pub async fn a_pair_has_one_direct_room(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let direct = async |from: &Actor, to: &Actor, id: &str| {
        let made = s.try_room((from, &[to]), RoomKind::Direct, Visibility::Private, id).await;
        made.expect("opened")
    };
    let first = direct(&ada, &bob, "d1").await;
    assert!(!first.existing);
    assert_eq!(s.names_since(3), ["room.added", "room.added"], "both are told");
    assert_eq!(peers(&s), [bob.user.clone(), ada.user.clone()]);
    let again = direct(&bob, &ada, "d2").await;
    assert!(again.existing);
    assert_eq!(again.view.room, first.view.room);
    assert_eq!(again.view.membership.expect("in").user, bob.user);
    let race = tokio::join!(direct(&ada, &eve, "d3"), direct(&eve, &ada, "d4"));
    assert_eq!(race.0.view.room.id, race.1.view.room.id);
    let found = s.rooms.direct_room(&bob, &ada.user).await.expect("read").expect("made");
    assert_eq!(
        (found.room.id.clone(), found.membership.expect("in").user),
        (first.view.room.id.clone(), bob.user.clone())
    );
    assert_eq!(s.rooms.direct_room(&ada, &ada.user).await, Ok(None));
    assert_eq!(s.rooms.direct_room(&ada, &UserId::trusted("ghost")).await, Ok(None));
    let list = s.rooms.rooms_of(&bob, 0, 10).await.expect("read");
    assert_eq!(list.items[0].peer.as_ref().map(|p| p.id.clone()), Some(ada.user));
}

/// Doing it again without a difference is no event.
pub async fn a_changed_room_is_told_and_kept(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    let head = s.heard.events().len();
    let patch = RoomPatch { topic: Some("news".into()), ..RoomPatch::default() };
    let update = async |actor: &Actor| {
        let guard = Guard::new(actor, Operation::UpdateRoom);
        s.rooms.update_room(guard, &room, patch.clone(), s.tick()).await
    };
    assert_eq!(update(&bob).await, Err(Denied::Role.into()));
    let after = update(&ada).await.expect("changed");
    assert_eq!(after.topic.as_deref(), Some("news"));
    assert!(after.updated_at > after.created_at);
    assert_eq!(update(&ada).await.as_ref(), Ok(&after));
    assert_eq!(s.names_since(head), ["room.updated"]);
    assert_eq!(*s.view(&bob, &room).await.room, after);
}

/// Out of every list, hidden to everybody, and each member is told.
pub async fn a_deleted_room_vanishes(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.channel(&ada, &[&bob], "r").await;
    let message = s.say(&ada, &room, "m").await;
    let delete = async |actor: &Actor| {
        let guard = Guard::new(actor, Operation::DeleteRoom);
        s.rooms.delete_room(guard, &room, s.tick()).await
    };
    assert_eq!(delete(&bob).await, Err(Denied::Role.into()));
    let head = s.heard.events().len();
    assert_eq!(delete(&ada).await, Ok(()));
    assert_eq!(s.names_since(head), ["room.deleted", "room.removed", "room.removed"]);
    assert_eq!(delete(&ada).await, Err(Denied::Hidden.into()));
    assert!(s.view(&bob, &room).await.room.deleted_at.is_some());
    for list in [s.rooms.rooms_of(&bob, 0, 9).await, s.rooms.public_rooms(&bob, 0, 9).await] {
        assert!(list.expect("read").items.is_empty());
    }
    assert_eq!(s.rooms.joined_rooms(&bob).await, Ok(vec![]));
    let hidden = s.messages.message(reading(&bob), &message.id).await;
    assert_eq!(hidden, Err(ChatError::MissingMessage));
}

/// With paging, unread counts and the newest living message.
pub async fn lists_run_from_the_latest_activity(s: Subject) {
    let [ada, bob] = s.users().await;
    let mut rooms = Vec::new();
    for id in ["r0", "r1", "r2"] {
        rooms.push(s.group(&ada, &[&bob], id).await);
    }
    s.say(&ada, &rooms[0], "first").await;
    let gone = s.say(&ada, &rooms[0], "second").await;
    s.delete(&ada, &gone.id).await.expect("deleted");
    let page = s.rooms.rooms_of(&bob, 0, 2).await.expect("read");
    let ids: Vec<_> = page.items.iter().map(|i| i.room.id.as_str()).collect();
    assert_eq!((ids, page.next), (vec!["r0", "r2"], Some(2)));
    let top = &page.items[0];
    assert_eq!(top.last_message.as_ref().map(|m| m.content.as_str()), Some("first"));
    assert_eq!(top.unread(), 2);
    let rest = s.rooms.rooms_of(&bob, 2, 2).await.expect("read");
    assert_eq!((rest.items.len(), rest.next), (1, None));
    assert_eq!(s.rooms.joined_rooms(&bob).await.expect("read").len(), 3);
    s.change(&bob, &rooms[1], MembershipChange::Leave).await.expect("left");
    assert_eq!(s.rooms.rooms_of(&bob, 0, 9).await.expect("read").items.len(), 2);
}

/// Who is not in sees that a room exists, not what is said there.
pub async fn public_rooms_show_without_their_messages(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.channel(&ada, &[], "r").await;
    s.group(&ada, &[], "secret").await;
    s.say(&ada, &room, "m").await;
    let page = s.rooms.public_rooms(&bob, 0, 9).await.expect("read");
    assert_eq!(page.items.len(), 1);
    assert_eq!((&page.items[0].membership, &page.items[0].last_message), (&None, &None));
    let own = s.rooms.public_rooms(&ada, 0, 9).await.expect("read");
    assert!(own.items[0].membership.is_some() && own.items[0].last_message.is_some());
    let invite = MembershipChange::Invite { user: bob.user.clone() };
    s.change(&ada, &RoomId::trusted("secret"), invite).await.expect("invited");
    let list = s.rooms.rooms_of(&bob, 0, 9).await.expect("read");
    assert_eq!(list.items.len(), 1, "invitations are listed");
    assert_eq!(list.items[0].last_message, None, "but give nothing away");
}

/// Same names, no contact.
pub async fn tenants_do_not_meet(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.channel(&ada, &[], "r").await;
    let message = s.say(&ada, &room, "m").await;
    let twin = NewAccount { tenant: TenantId::trusted("other"), ..s.account("ada") };
    let twin = s.accounts.create_account(twin).await.expect("the name is free there");
    let twin = Actor { tenant: twin.tenant, user: twin.id, role: Role::Owner };
    let join = s.change(&twin, &room, MembershipChange::Join).await;
    assert_eq!(join, Err(Denied::Hidden.into()));
    assert!(s.rooms.public_rooms(&twin, 0, 9).await.expect("read").items.is_empty());
    assert_eq!(s.view(&twin, &room).await.membership, None);
    let read = s.messages.message(reading(&twin), &message.id).await;
    assert_eq!(read, Err(ChatError::MissingMessage));
    let page = s.journal.events_for(&twin, 0, 9).await.expect("read");
    assert!(page.events.is_empty());
}
