use std::sync::Arc;

use mynah_domain::event::Departure;
use mynah_domain::room::{Profile, Role, RoomKind, Visibility};
use mynah_domain::{TenantId, Timestamp};

use super::*;

fn person(id: &str) -> Arc<Profile> {
    let (username, name) = (id.to_owned(), id.to_owned());
    Arc::new(Profile { id: UserId::trusted(id), username, name })
}

fn event(pos: u64, room: &str, seq: u64, fact: Fact) -> Event {
    Event {
        origin: 0,
        pos,
        stream: Stream::Room(RoomId::trusted(room)),
        seq,
        tenant: TenantId::single(),
        actor: None,
        at: Timestamp(0),
        fact,
    }
}

fn joined(room: &str, who: &str) -> Fact {
    Fact::MemberJoined { room: RoomId::trusted(room), member: person(who), role: Role::Member }
}

fn left(room: &str, who: &str) -> Fact {
    let (room, user) = (RoomId::trusted(room), UserId::trusted(who));
    Fact::MemberLeft { room, user, departure: Departure::Left }
}

fn heard(events: Vec<Event>) -> Vec<u64> {
    let me = UserId::trusted("me");
    heard_by(&me, events).into_iter().map(|event| event.pos).collect()
}

#[test]
fn a_room_is_heard_from_when_the_user_came_in() {
    let events = vec![
        event(1, "a", 1, joined("a", "other")),
        event(2, "b", 7, joined("b", "other")),
        event(3, "a", 2, joined("a", "me")),
        event(4, "a", 3, left("a", "other")),
    ];
    assert_eq!(heard(events), [2, 3, 4], "the user was in b all the time");
}

fn room(id: &str, last_seq: u64) -> Arc<Room> {
    Arc::new(Room {
        id: RoomId::trusted(id),
        tenant: TenantId::single(),
        kind: RoomKind::Group,
        visibility: Visibility::Private,
        name: None,
        topic: None,
        created_by: UserId::trusted("me"),
        member_count: 1,
        last_seq,
        last_number: 0,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        deleted_at: None,
    })
}

#[test]
fn a_client_that_counts_gets_what_it_has_not_or_is_not_recovered() {
    let since = |seq| HashMap::from([(RoomId::trusted("a"), seq)]);
    let events = || vec![event(5, "a", 3, left("a", "x")), event(6, "a", 4, left("a", "y"))];
    let beyond = |seq, events, head| beyond(&since(seq), &[room("a", head)], events);
    let kept = |seq| beyond(seq, events(), 4).map(|events| events.len());
    assert_eq!((kept(2), kept(3), kept(4)), (Some(2), Some(1), Some(0)));
    assert_eq!(kept(1), None, "event 2 is not among them");
    assert_eq!(beyond(3, Vec::new(), 4), None, "event 4 lies before the place");
    assert_eq!(beyond(4, Vec::new(), 4), Some(Vec::new()));
}

#[test]
fn what_happened_while_the_user_was_out_is_not_heard() {
    let events = vec![
        event(1, "a", 1, left("a", "other")),
        event(2, "a", 2, left("a", "me")),
        event(3, "a", 3, joined("a", "other")),
        event(4, "a", 4, joined("a", "me")),
        event(5, "a", 5, left("a", "other")),
    ];
    assert_eq!(heard(events), [1, 2, 4, 5]);
}
