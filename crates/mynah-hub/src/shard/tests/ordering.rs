//! Who gets what, in which order, in how many writes.

use super::*;

const ALL: usize = usize::MAX;

#[test]
fn a_publication_reaches_subscribers_only_and_not_its_author() {
    let mut house = House::plain();
    let (author, author_socket) = house.subscribed(ALL, "room");
    let (_, other) = house.subscribed(ALL, "room");
    let (_, stranger) = house.subscribed(ALL, "elsewhere");
    let publication = publication("room", Some(1), Class::Durable, "hi");
    house.shard.publish(&Publication { except: Some(author), ..publication });
    house.flush();
    assert_eq!(
        (author_socket.text(), other.text(), stranger.text()),
        (String::new(), "<hi>".into(), String::new())
    );
}

#[test]
fn a_burst_leaves_in_order_with_one_write_per_socket() {
    let mut house = House::plain();
    let (id, socket) = house.subscribed(ALL, "room");
    house.publish("room", Some(1), "a");
    house.send(id, "b");
    house.publish("room", Some(2), "c");
    house.send(id, "d");
    house.flush();
    assert_eq!(socket.text(), "<a><b><c><d>");
    assert_eq!(socket.writes(), [4]);
    assert_eq!((house.stats().write_calls, house.stats().deliveries), (1, 4));
    assert_eq!(house.stats().queued_bytes, 0);
}

#[test]
fn a_burst_above_one_writev_is_cut_but_not_reordered() {
    let mut house = House::plain();
    let (id, socket) = house.stream(ALL);
    let texts: Vec<String> = (0..150).map(|i| i.to_string()).collect();
    for text in &texts {
        house.send(id, text);
    }
    house.flush();
    let expected = format!("<{}>", texts.join("><"));
    assert_eq!(socket.text(), expected);
    assert_eq!(socket.writes(), [64, 64, 22]);
}

#[test]
fn a_dialect_without_a_spelling_gets_nothing() {
    let mut house = House::plain();
    let (_, socket) = house.subscribed(ALL, "room");
    house.shard.publish(&Publication {
        frames: LazyFrames::new(|_| None),
        ..publication("room", Some(1), Class::Durable, "")
    });
    house.flush();
    assert_eq!(socket.writes(), [] as [usize; 0]);
}

#[test]
fn every_cut_of_the_writes_gives_the_same_bytes() {
    for step in 1..12 {
        let mut house = House::plain();
        let (id, socket) = house.stream(0);
        for text in ["one", "two", "three", "four"] {
            house.send(id, text);
        }
        house.flush();
        for _ in 0..30 {
            socket.give_room(step);
            house.flush();
        }
        assert_eq!(socket.text(), "<one><two><three><four>", "{step} bytes at a time");
        assert_eq!(house.stats().queued_frames, 0);
    }
}

#[test]
fn a_slow_reader_does_not_delay_others() {
    let mut house = House::plain();
    let (_, slow) = house.subscribed(3, "room");
    let (_, fast) = house.subscribed(ALL, "room");
    for (seq, text) in [(1, "one"), (2, "two")] {
        house.publish("room", Some(seq), text);
        house.flush();
    }
    assert_eq!((slow.text(), fast.text()), ("<on".into(), "<one><two>".into()));
    slow.give_room(ALL);
    house.flush();
    assert_eq!(slow.text(), "<one><two>");
}

#[test]
fn the_sessions_of_a_user_enter_and_leave_a_room_together() {
    let mut house = House::plain();
    let (_, phone) = house.subscribed(ALL, "user:ann");
    let (_, laptop) = house.subscribed(ALL, "user:ann");
    let (_, other) = house.subscribed(ALL, "user:bob");
    let (user, room) = (Topic::new("user:ann"), Topic::new("room"));
    house.shard.subscribe_members(&user, &room);
    assert_eq!(house.shard.members(&room), 2);
    house.publish("room", Some(1), "1");
    house.shard.unsubscribe_members(&user, &room);
    house.publish("room", Some(2), "2");
    house.flush();
    assert_eq!(
        (phone.text(), laptop.text(), other.text()),
        ("<1>".into(), "<1>".into(), String::new())
    );
}

#[test]
fn leaving_all_topics_in_one_dialect_keeps_those_in_others() {
    // Few and more than are found by walking.
    for topics in [3, 40] {
        let mut house = House::plain();
        let (id, socket) = house.stream(ALL);
        for topic in (0..topics).map(|i| Topic::new(format!("t{i}"))) {
            house.shard.subscribe(id, Dialect(0), &topic);
            house.shard.subscribe(id, Dialect(1), &topic);
        }
        assert!(house.shard.hold(id, Dialect(1)).is_some());
        house.publish("t1", Some(1), "1");
        house.shard.unsubscribe_all(id, Dialect(1));
        assert_eq!(house.stats().subscriptions, topics);
        house.publish("t1", Some(2), "2");
        house.flush();
        assert_eq!(socket.text(), "<1><2>");
        assert_eq!((house.stats().queued_frames, house.stats().queued_bytes), (0, 0));
        house.shard.unsubscribe_all(id, Dialect(0));
        house.shard.unsubscribe_all(id, Dialect(0));
        house.publish("t1", Some(3), "3");
        house.flush();
        assert_eq!(socket.text(), "<1><2>");
        assert_eq!((house.stats().topics, house.stats().subscriptions), (0, 0));
        assert_eq!(house.ends(), []);
    }
}
