//! What connections have open.

use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::recovery::{OPEN_ROOMS_MAX, OpenRoom, Place};
use mynah_domain::room::MembershipChange as Change;
use mynah_domain::{ConnectionId, RoomId, TenantId, UserId};

use super::Subject;

fn socket(name: &str) -> ConnectionId {
    ConnectionId::trusted(name)
}

fn opening(room: &RoomId, after_seq: u64) -> OpenRoom {
    OpenRoom { room: room.clone(), after_seq, shown: Place { pos: after_seq * 10, nth: 1 } }
}

impl Subject {
    async fn open(&self, connection: &ConnectionId, viewer: &Actor, open: &OpenRoom) {
        let kept = self.open.open_room(connection, viewer, open.clone(), self.tick()).await;
        assert_eq!(kept, Ok(()));
    }

    async fn opened(&self, connection: &ConnectionId, viewer: &Actor) -> Vec<OpenRoom> {
        self.open.open_rooms(connection, viewer).await.expect("read")
    }
}

/// Word for word, the one opened longest ago first.
pub async fn opened_rooms_are_given_back_in_order(s: Subject) {
    let ada = s.user("ada").await;
    let c = socket("c");
    assert_eq!(s.opened(&c, &ada).await, []);
    let mut expected = Vec::new();
    for (id, after_seq) in [("z", 3), ("a", 1), ("m", u64::MAX)] {
        let room = s.group(&ada, &[], id).await;
        let shown = Place { pos: after_seq, nth: u32::MAX };
        let open = OpenRoom { room, after_seq, shown };
        s.open(&c, &ada, &open).await;
        expected.push(open);
    }
    assert_eq!(s.opened(&c, &ada).await, expected);
    assert_eq!(s.heard.events().len(), 6, "opening a room is no event");
}

/// The later opening counts, and is the last one.
pub async fn opening_again_replaces(s: Subject) {
    let ada = s.user("ada").await;
    let (one, two) = (s.group(&ada, &[], "one").await, s.group(&ada, &[], "two").await);
    let c = socket("c");
    for open in [opening(&one, 1), opening(&two, 2), opening(&one, 7)] {
        s.open(&c, &ada, &open).await;
    }
    assert_eq!(s.opened(&c, &ada).await, [opening(&two, 2), opening(&one, 7)]);
    s.open(&c, &ada, &opening(&one, 1)).await;
    assert_eq!(s.opened(&c, &ada).await, [opening(&two, 2), opening(&one, 1)], "also back");
}

/// Whoever knows a connection's id learns nothing of its viewer, and changes nothing.
pub async fn what_a_connection_opened_is_its_viewers(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    s.open(&socket("c"), &ada, &opening(&room, 1)).await;
    assert_eq!(s.opened(&socket("c"), &bob).await, []);
    assert_eq!(s.opened(&socket("d"), &ada).await, []);
    let twin = Actor { tenant: TenantId::trusted("other"), ..ada.clone() };
    assert_eq!(s.opened(&socket("c"), &twin).await, []);
    s.open(&socket("c"), &bob, &opening(&room, 2)).await;
    assert_eq!(s.opened(&socket("c"), &ada).await, [opening(&room, 1)]);
    assert_eq!(s.opened(&socket("c"), &bob).await, [opening(&room, 2)]);
}

/// Left, lost and deleted rooms are passed over, and disturb nothing.
pub async fn only_joined_rooms_stay_open(s: Subject) {
    let [ada, bob] = s.users().await;
    let c = socket("c");
    let mut rooms = Vec::new();
    for id in ["left", "kicked", "banned", "deleted", "stays"] {
        rooms.push(s.channel(&ada, &[&bob], id).await);
    }
    rooms.push(s.channel(&ada, &[], "not joined").await);
    rooms.push(s.group(&ada, &[], "invited").await);
    for room in &rooms {
        s.open(&c, &bob, &opening(room, 2)).await;
    }
    let user = bob.user.clone();
    s.change(&bob, &rooms[0], Change::Leave).await.expect("left");
    s.change(&ada, &rooms[1], Change::Kick { user: user.clone() }).await.expect("kicked");
    s.change(&ada, &rooms[2], Change::Ban { user: user.clone() }).await.expect("banned");
    s.change(&ada, &rooms[6], Change::Invite { user }).await.expect("invited");
    let guard = Guard::new(&ada, Operation::DeleteRoom);
    s.rooms.delete_room(guard, &rooms[3], s.tick()).await.expect("deleted");
    assert_eq!(s.opened(&c, &bob).await, [opening(&rooms[4], 2)]);
    let later = s.tick();
    assert_eq!(s.open.keep_open_rooms(std::slice::from_ref(&c), later).await, Ok(()));
    assert_eq!(s.open.forget_open_rooms(later).await, Ok(0));
    assert_eq!(s.open.forget_open_rooms(s.tick()).await, Ok(7));
    assert_eq!(s.opened(&c, &bob).await, []);
}

/// It is nobody's error: the room may be gone since it was asked for.
pub async fn nothing_is_kept_of_what_does_not_exist(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let nobody = Actor { user: UserId::trusted("nobody"), ..ada.clone() };
    s.open(&socket("c"), &nobody, &opening(&room, 1)).await;
    s.open(&socket("c"), &ada, &opening(&RoomId::trusted("nowhere"), 1)).await;
    assert_eq!(s.opened(&socket("c"), &nobody).await, []);
    assert_eq!(s.opened(&socket("c"), &ada).await, []);
    assert_eq!(s.open.forget_open_rooms(s.tick()).await, Ok(0));
}

/// One more replaces the one opened longest ago.
pub async fn open_rooms_are_bounded(s: Subject) {
    let ada = s.user("ada").await;
    let c = socket("c");
    let mut rooms = Vec::new();
    for n in 0..=OPEN_ROOMS_MAX {
        rooms.push(s.group(&ada, &[], &format!("r{n}")).await);
    }
    for room in &rooms[..OPEN_ROOMS_MAX] {
        s.open(&c, &ada, &opening(room, 1)).await;
    }
    s.open(&c, &ada, &opening(&rooms[0], 2)).await;
    assert_eq!(s.opened(&c, &ada).await.len(), OPEN_ROOMS_MAX, "again is not one more");
    s.open(&c, &ada, &opening(&rooms[OPEN_ROOMS_MAX], 3)).await;
    let opened = s.opened(&c, &ada).await;
    let mut expected: Vec<_> = rooms[2..OPEN_ROOMS_MAX].iter().map(|r| opening(r, 1)).collect();
    expected.extend([opening(&rooms[0], 2), opening(&rooms[OPEN_ROOMS_MAX], 3)]);
    assert_eq!(opened, expected);
    s.open(&socket("d"), &ada, &opening(&rooms[0], 1)).await;
    assert_eq!(s.opened(&c, &ada).await, expected, "each connection has its own bound");
}

/// Seen is who opened a room or was kept; what is not seen for long is forgotten and counted.
pub async fn connections_not_seen_are_forgotten(s: Subject) {
    let [ada, bob] = s.users().await;
    let one = s.group(&ada, &[&bob], "one").await;
    let two = s.group(&ada, &[&bob], "two").await;
    for c in ["gone", "kept", "opens again"] {
        s.open(&socket(c), &ada, &opening(&one, 1)).await;
        s.open(&socket(c), &ada, &opening(&two, 1)).await;
    }
    s.open(&socket("kept"), &bob, &opening(&one, 1)).await;
    let then = s.tick();
    s.open(&socket("opens again"), &ada, &opening(&two, 2)).await;
    let later = s.tick();
    let kept = [socket("kept"), socket("never opened")];
    assert_eq!(s.open.keep_open_rooms(&kept, later).await, Ok(()));
    assert_eq!(s.open.keep_open_rooms(&kept, then).await, Ok(()), "a late note dates nothing back");
    assert_eq!(s.open.keep_open_rooms(&[], later).await, Ok(()));
    assert_eq!(s.open.forget_open_rooms(then).await, Ok(2));
    assert_eq!(s.opened(&socket("gone"), &ada).await, []);
    let again = [opening(&one, 1), opening(&two, 2)];
    assert_eq!(s.opened(&socket("opens again"), &ada).await, again);
    assert_eq!(s.open.forget_open_rooms(later).await, Ok(2), "`before` itself stays");
    assert_eq!(s.opened(&socket("opens again"), &ada).await, []);
    assert_eq!(s.opened(&socket("kept"), &ada).await, [opening(&one, 1), opening(&two, 1)]);
    assert_eq!(s.opened(&socket("kept"), &bob).await, [opening(&one, 1)]);
    assert_eq!(s.open.forget_open_rooms(s.tick()).await, Ok(3));
    s.open(&socket("gone"), &ada, &opening(&one, 4)).await;
    assert_eq!(s.opened(&socket("gone"), &ada).await, [opening(&one, 4)], "and may open anew");
}

/// More than one step holds are all kept, and all forgotten.
pub async fn thousands_are_kept_and_forgotten(s: Subject) {
    let [ada, bob] = s.users().await;
    let mut rooms = Vec::new();
    for n in 0..3 {
        rooms.push(s.group(&ada, &[&bob], &format!("r{n}")).await);
    }
    let sockets: Vec<_> = (0..1_100).map(|n| socket(&format!("c{n}"))).collect();
    let at = s.tick();
    let mut calls = tokio::task::JoinSet::new();
    for c in &sockets {
        for room in &rooms {
            let (store, c, ada, open) = (s.open.clone(), c.clone(), ada.clone(), opening(room, 1));
            calls.spawn(async move { store.open_room(&c, &ada, open, at).await });
        }
    }
    while let Some(kept) = calls.join_next().await {
        assert_eq!(kept.expect("run"), Ok(()));
    }
    s.open(&socket("other"), &ada, &opening(&rooms[0], 1)).await;
    let later = s.tick();
    assert_eq!(s.open.keep_open_rooms(&sockets, later).await, Ok(()));
    assert_eq!(s.open.forget_open_rooms(later).await, Ok(1));
    assert_eq!(s.open.forget_open_rooms(s.tick()).await, Ok(3_300));
    for c in [&sockets[0], &sockets[1_099]] {
        assert_eq!(s.opened(c, &ada).await, []);
    }
}
