//! Streams, for those who deliver them.

use mynah_domain::account::NewAccount;
use mynah_domain::event::{CatchUp, Event, Stream};
use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::room::Role;
use mynah_domain::{RoomId, TenantId, UserId};

use super::Subject;

impl Subject {
    async fn told(&self, stream: &Stream, after_seq: u64, limit: u32) -> CatchUp {
        let tenant = TenantId::single();
        self.feed.stream_events(&tenant, stream, after_seq, limit).await.expect("read")
    }

    fn heard_of(&self, stream: &Stream) -> Vec<Event> {
        self.heard.events().into_iter().filter(|e| e.stream == *stream).collect()
    }
}

/// Rooms and inboxes, page by page, whoever asks.
pub async fn streams_are_read_as_they_were_told(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    for n in 0..4 {
        s.say(&bob, &room, &format!("m{n}")).await;
    }
    let stream = Stream::Room(room);
    let all = s.heard_of(&stream);
    let read = s.told(&stream, 0, 100).await;
    assert_eq!(read, CatchUp { events: all.clone(), head_seq: 7, gap: false });
    let read = s.told(&stream, 3, 2).await;
    assert_eq!(read, CatchUp { events: all[3..5].to_vec(), head_seq: 7, gap: false });
    for (after, gap) in [(7, false), (8, true)] {
        let read = s.told(&stream, after, 100).await;
        assert_eq!(read, CatchUp { events: vec![], head_seq: 7, gap });
    }
    let inbox = Stream::User(bob.user);
    let read = s.told(&inbox, 0, 100).await;
    assert_eq!(read, CatchUp { events: s.heard_of(&inbox), head_seq: 1, gap: false });
}

/// Its last event is that it was deleted.
pub async fn deleted_rooms_are_still_read(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let guard = Guard::new(&ada, Operation::DeleteRoom);
    s.rooms.delete_room(guard, &room, s.tick()).await.expect("deleted");
    let stream = Stream::Room(room);
    let read = s.told(&stream, 2, 100).await;
    let names: Vec<_> = read.events.iter().map(|e| e.fact.name()).collect();
    assert_eq!((names, read.head_seq), (vec!["room.deleted"], 3));
    assert_eq!(s.feed.heads(&[(ada.tenant, stream)]).await, Ok(vec![3]));
}

/// Neither now nor as a gap to be filled.
pub async fn what_does_not_exist_has_no_head(s: Subject) {
    let ada = s.user("ada").await;
    for stream in [
        Stream::Room(RoomId::trusted("nowhere")),
        Stream::User(UserId::trusted("nobody")),
        Stream::User(ada.user),
    ] {
        let read = s.told(&stream, 0, 100).await;
        assert_eq!(read, CatchUp { events: vec![], head_seq: 0, gap: false });
        assert!(s.told(&stream, 1, 100).await.gap, "somebody knows of more than there is");
        assert_eq!(s.feed.heads(&[(ada.tenant.clone(), stream)]).await, Ok(vec![0]));
    }
}

/// Also when one is asked for twice.
pub async fn heads_come_in_the_order_asked(s: Subject) {
    let [ada, bob] = s.users().await;
    let mut streams = vec![(ada.tenant.clone(), Stream::User(bob.user.clone()))];
    for n in 0..20 {
        let room = s.group(&ada, &[&bob], &format!("r{n}")).await;
        for m in 0..n % 3 {
            s.say(&ada, &room, &format!("{n}-{m}")).await;
        }
        streams.push((ada.tenant.clone(), Stream::Room(room)));
    }
    streams.push((ada.tenant.clone(), Stream::Room(RoomId::trusted("nowhere"))));
    streams.push(streams[2].clone());
    let mut expected = vec![20];
    expected.extend((0..20).map(|n| 3 + n % 3));
    expected.extend([0, 4]);
    assert_eq!(s.feed.heads(&streams).await, Ok(expected));
    assert_eq!(s.feed.heads(&[]).await, Ok(vec![]));
}

/// The same user id elsewhere is somebody else; a room's id says all.
pub async fn inboxes_are_their_tenants(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = Stream::Room(s.group(&ada, &[&bob], "r").await);
    let other = TenantId::trusted("other");
    let twin = NewAccount { tenant: other.clone(), ..s.account("u1") };
    let twin = s.accounts.create_account(twin).await.expect("the name is free there");
    let twin = Actor { tenant: twin.tenant, user: twin.id, role: Role::Member };
    let inbox = Stream::User(twin.user);
    let asked =
        [(other.clone(), inbox.clone()), (bob.tenant, inbox.clone()), (other.clone(), room)];
    assert_eq!(s.feed.heads(&asked).await, Ok(vec![0, 1, 3]));
    let read = s.feed.stream_events(&other, &inbox, 0, 9).await.expect("read");
    assert_eq!((read.events.len(), read.head_seq), (0, 0));
    let read = s.feed.stream_events(&other, &asked[2].1, 0, 9).await.expect("read");
    assert_eq!((read.events.len(), read.head_seq), (3, 3));
}
