//! The journal and its listener.

use std::sync::Arc;

use mynah_domain::event::{Event, Fact, LogPage, Stream};
use mynah_domain::permission::{Denied, Guard, Operation};
use mynah_domain::room::{MembershipChange as Change, Role, RoomPatch};
use mynah_domain::{MessageId, RoomId};

use super::{Subject, reading};

fn tells_of(event: &Event, id: &MessageId) -> bool {
    matches!(&event.fact, Fact::MessageCreated { message } if message.id == *id)
}

/// When a call returns, its event has been heard; `pos` ascends over all commits.
pub async fn listeners_hear_commits_in_order_before_callers(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let s = Arc::new(s);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let (s, ada, room) = (s.clone(), ada.clone(), room.clone());
        tasks.spawn(async move {
            for n in 0..8 {
                let message = s.say(&ada, &room, &format!("{task}-{n}")).await;
                let heard = s.heard.events().iter().any(|e| tells_of(e, &message.id));
                assert!(heard, "answered before the listener heard");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a writer failed");
    }
    let positions: Vec<u64> = s.heard.events().iter().map(|e| e.pos).collect();
    assert!(positions.windows(2).all(|p| p[0] < p[1]));
    assert_eq!(s.journal.head_pos().await.ok(), positions.last().copied());
}

/// All kinds of events, read back, are those the listener heard.
pub async fn replay_equals_what_was_heard(s: Subject) {
    let [ada, bob, eve] = s.users().await;
    let room = s.channel(&ada, &[&bob], "r").await;
    let m = s.say(&ada, &room, "m").await;
    s.edit(&ada, &m.id, "changed").await.expect("edited");
    let patch = RoomPatch { name: Some("new".into()), ..Default::default() };
    let guard = Guard::new(&ada, Operation::UpdateRoom);
    s.rooms.update_room(guard, &room, patch, s.tick()).await.expect("changed");
    let role = Role::Moderator;
    for change in [
        Change::Invite { user: eve.user.clone() },
        Change::SetRole { user: bob.user.clone(), role },
        Change::Kick { user: bob.user.clone() },
        Change::Ban { user: bob.user.clone() },
    ] {
        s.change(&ada, &room, change).await.expect("changed");
    }
    s.change(&eve, &room, Change::Join).await.expect("joined");
    let heard = s.heard.events();
    let of = |stream: Stream| -> Vec<Event> {
        heard.iter().filter(|e| e.stream == stream).cloned().collect()
    };
    assert_eq!(s.replay(&ada, &room).await, of(Stream::Room(room.clone())));
    for actor in [&bob, &eve] {
        let inbox = s.journal.inbox_events(actor, 0, 100).await.expect("read").events;
        assert_eq!(inbox, of(Stream::User(actor.user.clone())));
    }
}

/// The first event has the first text, however often it was changed.
pub async fn replay_gives_texts_as_of_the_event(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let m = s.say(&ada, &room, "one").await;
    s.edit(&ada, &m.id, "two").await.expect("edited");
    s.edit(&ada, &m.id, "three").await.expect("edited");
    let texts = async || -> Vec<(String, u32, bool)> {
        let events = s.replay(&ada, &room).await;
        let told = events.iter().filter_map(|e| {
            let (Fact::MessageCreated { message } | Fact::MessageUpdated { message }) = &e.fact
            else {
                return None;
            };
            Some(message)
        });
        told.map(|m| (m.content.clone(), m.edit_count, m.deleted_at.is_some())).collect()
    };
    let expected = [("one", 0), ("two", 1), ("three", 2)];
    assert_eq!(texts().await, expected.map(|(text, n)| (text.to_owned(), n, false)));
    s.delete(&ada, &m.id).await.expect("deleted");
    let after = texts().await;
    assert!(after.iter().all(|(text, _, gone)| text.is_empty() && *gone), "{after:?}");
}

/// Ascending without gaps, page by page; a place beyond the head is a gap.
pub async fn catch_up_is_limited_and_knows_gaps(s: Subject) {
    let [ada, eve] = s.users().await;
    let room = s.group(&ada, &[], "r").await;
    for n in 0..5 {
        s.say(&ada, &room, &format!("m{n}")).await;
    }
    let missed = async |after, limit| {
        s.journal.room_events(reading(&ada), &room, after, limit).await.expect("read")
    };
    let first = missed(2, 3).await;
    assert_eq!(first.events.iter().map(|e| e.seq).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((first.head_seq, first.gap), (7, false));
    let none = missed(7, 3).await;
    assert_eq!((none.events.len(), none.gap), (0, false));
    for beyond in [8, u64::MAX] {
        let beyond = missed(beyond, 3).await;
        assert_eq!((beyond.events.len(), beyond.head_seq, beyond.gap), (0, 7, true));
    }
    let hidden = s.journal.room_events(reading(&eve), &room, 0, 3).await;
    assert_eq!(hidden, Err(Denied::Hidden.into()));
}

/// With its own gap-free `seq`.
pub async fn the_inbox_is_a_stream_of_its_own(s: Subject) {
    let [ada, bob] = s.users().await;
    for id in ["r0", "r1", "r2"] {
        s.group(&ada, &[&bob], id).await;
    }
    let inbox = s.journal.inbox_events(&bob, 1, 10).await.expect("read");
    assert_eq!(inbox.events.iter().map(|e| e.seq).collect::<Vec<_>>(), [2, 3]);
    assert_eq!((inbox.head_seq, inbox.gap), (3, false));
    let own = s.journal.inbox_events(&ada, 0, 10).await.expect("read");
    assert_eq!((own.events.len(), own.head_seq), (0, 0));
    assert!(s.journal.inbox_events(&ada, 1, 10).await.expect("read").gap);
}

/// Every event of the viewer's streams once, in log order, and nothing of others.
pub async fn sync_walks_all_own_streams_once(s: Subject) {
    let [ada, bob] = s.users().await;
    let shared = s.group(&ada, &[&bob], "shared").await;
    let private = s.group(&ada, &[], "private").await;
    for n in 0..7 {
        s.say(&ada, &shared, &format!("s{n}")).await;
        s.say(&ada, &private, &format!("p{n}")).await;
    }
    let wanted = [Stream::Room(shared.clone()), Stream::User(bob.user.clone())];
    let all = s.heard.events();
    let expected: Vec<u64> =
        all.iter().filter(|e| wanted.contains(&e.stream)).map(|e| e.pos).collect();
    let (mut since, mut seen) = (0, Vec::new());
    loop {
        let page = s.journal.events_for(&bob, since, 3).await.expect("read");
        seen.extend(page.events.iter().map(|e| e.pos));
        assert!(page.next > since && page.events.len() <= 3 && !page.gap);
        since = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(Ok(since), s.journal.head_pos().await);
    let quiet = s.journal.events_for(&bob, since, 3).await.expect("read");
    assert_eq!((quiet.events.len(), quiet.next, quiet.more, quiet.gap), (0, since, false, false));
    let beyond = s.journal.events_for(&bob, since + 1, 3).await.expect("read");
    assert_eq!((beyond.events.len(), beyond.next, beyond.gap), (0, since, true));
}

/// The inbox tells that it was left; what is said there is no longer given.
pub async fn sync_forgets_rooms_that_were_left(s: Subject) {
    let [ada, bob] = s.users().await;
    let room = s.channel(&ada, &[&bob], "r").await;
    s.change(&bob, &room, Change::Leave).await.expect("left");
    s.say(&ada, &room, "behind the door").await;
    let page = s.journal.events_for(&bob, 0, 100).await.expect("read");
    let names: Vec<_> = page.events.iter().map(|e| e.fact.name()).collect();
    assert_eq!(names, ["room.added", "room.removed"]);
}

fn positions(page: &LogPage) -> Vec<u64> {
    page.events.iter().map(|e| e.pos).collect()
}

/// As sync does, of the named rooms only: page by page, each event once, in log order.
pub async fn sync_of_some_rooms_gives_those_and_the_inbox(s: Subject) {
    let [ada, bob] = s.users().await;
    let mut rooms = Vec::new();
    for id in ["one", "two", "not wanted"] {
        rooms.push(s.group(&ada, &[&bob], id).await);
    }
    for n in 0..7 {
        for room in &rooms {
            s.say(&ada, room, &format!("{room} {n}")).await;
        }
    }
    let wanted = [
        Stream::Room(rooms[0].clone()),
        Stream::Room(rooms[1].clone()),
        Stream::User(bob.user.clone()),
    ];
    let all = s.heard.events();
    let expected: Vec<u64> =
        all.iter().filter(|e| wanted.contains(&e.stream)).map(|e| e.pos).collect();
    let asked = [rooms[1].clone(), rooms[0].clone(), rooms[1].clone()];
    let page =
        async |after, limit| s.journal.events_of(&bob, &asked, after, limit).await.expect("read");
    for limit in [1, 3, 100] {
        let (mut since, mut seen) = (0, Vec::new());
        loop {
            let page = page(since, limit).await;
            seen.extend(positions(&page));
            assert!(page.next > since && page.events.len() <= limit as usize && !page.gap);
            since = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, expected);
        assert_eq!(Ok(since), s.journal.head_pos().await);
    }
    let exact = page(0, u32::try_from(expected.len()).expect("few")).await;
    assert_eq!((exact.events.len(), exact.more), (expected.len(), false), "not one more");
    let head = s.journal.head_pos().await.expect("read");
    let beyond = page(head + 1, 3).await;
    assert_eq!((beyond.events.len(), beyond.next, beyond.gap), (0, head, true));
}

/// Naming a room opens none.
pub async fn sync_of_other_rooms_than_joined_is_the_inbox(s: Subject) {
    let [ada, bob] = s.users().await;
    let mut rooms = vec![RoomId::trusted("nowhere"), s.channel(&ada, &[], "never in").await];
    for id in ["left", "deleted"] {
        rooms.push(s.channel(&ada, &[&bob], id).await);
    }
    rooms.push(s.group(&ada, &[], "invited").await);
    for room in &rooms[1..] {
        s.say(&ada, room, &format!("in {room}")).await;
    }
    s.change(&bob, &rooms[2], Change::Leave).await.expect("left");
    let guard = Guard::new(&ada, Operation::DeleteRoom);
    s.rooms.delete_room(guard, &rooms[3], s.tick()).await.expect("deleted");
    let invitation = Change::Invite { user: bob.user.clone() };
    s.change(&ada, &rooms[4], invitation).await.expect("invited");
    for asked in [&rooms[..], &[]] {
        let page = s.journal.events_of(&bob, asked, 0, 100).await.expect("read");
        let names: Vec<_> = page.events.iter().map(|e| e.fact.name()).collect();
        let inbox = ["room.added", "room.added", "room.removed", "room.removed", "room.invited"];
        assert_eq!(names, inbox);
        assert_eq!(Ok(page.next), s.journal.head_pos().await);
    }
}

/// Whoever asks for no events is not told to go on behind them.
pub async fn a_page_of_nothing_moves_nowhere(s: Subject) {
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let rooms = [room.clone()];
    let told: Vec<u64> = s.heard.events().iter().map(|e| e.pos).collect();
    let (first, last) = (told[0], told[told.len() - 1]);
    let page = s.journal.events_for(&ada, first, 0).await.expect("read");
    assert_eq!((page.events.len(), page.next, page.more), (0, first, true));
    assert_eq!(s.journal.events_of(&ada, &rooms, first, 0).await, Ok(page));
    let page = s.journal.events_of(&ada, &rooms, last, 0).await.expect("read");
    assert_eq!((page.events.len(), page.next, page.more), (0, last, false));
}

/// Whoever follows `next` while others write gets every event once.
pub async fn sync_during_writes_misses_nothing(s: Subject) {
    let ada = s.user("ada").await;
    let rooms = [s.group(&ada, &[], "one").await, s.group(&ada, &[], "two").await];
    let s = Arc::new(s);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let (s, ada, rooms) = (s.clone(), ada.clone(), rooms.clone());
        tasks.spawn(async move {
            for n in 0..50 {
                s.say(&ada, &rooms[n % 2], &format!("{task}-{n}")).await;
            }
        });
    }
    let (mut all, mut some) = ((0, Vec::new()), (0, Vec::new()));
    let mut writing = true;
    while writing {
        writing = !tasks.is_empty();
        while let Some(done) = tasks.try_join_next() {
            done.expect("a writer failed");
        }
        let page = s.journal.events_for(&ada, all.0, 1_000).await.expect("read");
        all.1.extend(positions(&page));
        all.0 = page.next;
        let page = s.journal.events_of(&ada, &rooms, some.0, 1_000).await.expect("read");
        some.1.extend(positions(&page));
        some.0 = page.next;
    }
    let heard: Vec<u64> = s.heard.events().iter().map(|e| e.pos).collect();
    assert_eq!((all.1, some.1), (heard.clone(), heard));
}

/// And a probe is no event.
pub async fn a_healthy_store_answers_probes(s: Subject) {
    assert_eq!(s.journal.head_pos().await, Ok(0));
    assert_eq!(s.journal.probe().await, Ok(()));
    assert_eq!(s.journal.head_pos().await, Ok(0));
}
