//! What happens at the bounds, and how sessions end.

use super::*;

const ALL: usize = usize::MAX;

fn limits(queue_bytes_max: usize, queue_frames_max: usize) -> Limits {
    Limits { queue_bytes_max, queue_frames_max, ..Limits::default() }
}

fn with_farewell() -> DialectRules {
    let farewell = Farewell::new(|reason| Some(frame(&format!("bye: {reason}"))));
    DialectRules { keepalive: None, farewell: Some(farewell) }
}

#[test]
fn a_newer_state_replaces_the_queued_one_of_the_same_key() {
    let mut house = House::plain();
    let (_, socket) = house.subscribed(0, "room");
    house.publish("room", Some(1), "1");
    house.state("room", 7, "ann types");
    house.state("room", 8, "bob types");
    house.state("room", 7, "ann stopped");
    house.publish("room", Some(2), "2");
    house.flush();
    socket.give_room(ALL);
    house.flush();
    assert_eq!(socket.text(), "<1><bob types><ann stopped><2>");
    assert_eq!(house.stats().dropped_ephemeral, 1);
}

#[test]
fn a_state_half_written_is_not_replaced() {
    let mut house = House::plain();
    let (_, socket) = house.subscribed(4, "room");
    house.state("room", 7, "typing");
    house.flush();
    house.state("room", 7, "stopped");
    socket.give_room(ALL);
    house.flush();
    assert_eq!(socket.text(), "<typing><stopped>");
}

#[test]
fn a_full_queue_drops_states_first_and_keeps_durable_frames() {
    let mut house = House::new(limits(1 << 20, 3), DialectRules::default());
    let (_, socket) = house.subscribed(0, "room");
    house.publish("room", Some(1), "1");
    house.state("room", 1, "x");
    house.state("room", 2, "y");
    house.flush();
    house.state("room", 3, "does not fit");
    house.publish("room", Some(2), "2");
    house.publish("room", Some(3), "3");
    assert_eq!(house.stats().dropped_ephemeral, 3);
    assert_eq!(house.ends(), []);
    socket.give_room(ALL);
    house.flush();
    assert_eq!(socket.text(), "<1><2><3>");
}

#[test]
fn a_session_whose_durable_frames_do_not_fit_is_closed_as_slow() {
    let mut house = House::new(limits(20, 100), with_farewell());
    let (id, socket) = house.subscribed(4, "room");
    let (other, other_socket) = house.subscribed(ALL, "room");
    for seq in 1..=5 {
        house.publish("room", Some(seq), "123456");
        house.flush();
    }
    assert_eq!(house.ends(), [(id, Some(CloseReason::SlowConsumer))]);
    assert_eq!(other_socket.text().len(), 5 * 8);
    assert_eq!(house.stats().closed_slow, 1);
    // The frame whose first bytes left is completed, the farewell follows, the rest is given up.
    socket.give_room(ALL);
    house.flush();
    assert_eq!(socket.text(), "<123456><bye: slow consumer>");
    assert_eq!(socket.shutdowns(), HALF);
    assert_eq!(house.ends(), closed(id, CloseReason::SlowConsumer));
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(socket.shutdowns(), WHOLE);
    assert_eq!(house.ends(), ended(id, CloseReason::SlowConsumer), "it keeps its reason");
    house.send(other, "still here");
    house.flush();
    assert!(other_socket.text().ends_with("<still here>"));
}

#[test]
fn the_end_of_a_slow_session_in_two_dialects_costs_no_other_its_event() {
    for held in [false, true] {
        let mut house = House::new(limits(20, 100), DialectRules::default());
        let topic = Topic::new("room");
        let (_, before) = house.subscribed(ALL, "room");
        let (slow, _) = house.stream(0);
        for dialect in [0, 1] {
            house.shard.subscribe(slow, Dialect(dialect), &topic);
            if held {
                assert_eq!(house.shard.hold(slow, Dialect(dialect)), Some(0));
            }
        }
        let (_, after) = house.subscribed(ALL, "room");
        for seq in 1..=3 {
            house.publish("room", Some(seq), "123456");
            house.flush();
        }
        assert_eq!(house.ends(), closed(slow, CloseReason::SlowConsumer));
        assert_eq!((before.text().len(), after.text().len()), (3 * 8, 3 * 8));
        assert_eq!(house.shard.members(&topic), 2);
    }
}

#[test]
fn a_member_that_ends_while_members_are_subscribed_keeps_no_other_out() {
    let limits = Limits { subscriptions_max: 2, ..Limits::default() };
    let mut house = House::new(limits, DialectRules::default());
    let (user, room) = (Topic::new("user:ann"), Topic::new("room"));
    let (_, before) = house.subscribed(ALL, "user:ann");
    let (full, _) = house.subscribed(ALL, "user:ann");
    house.shard.subscribe(full, Dialect(1), &user);
    let (_, after) = house.subscribed(ALL, "user:ann");
    house.shard.subscribe_members(&user, &room);
    assert_eq!(house.ends(), closed(full, CloseReason::TooManySubscriptions));
    house.publish("room", Some(1), "1");
    house.flush();
    assert_eq!((before.text(), after.text()), ("<1>".into(), "<1>".into()));
    house.shard.unsubscribe_members(&room, &room);
    assert_eq!(house.shard.members(&room), 0);
    assert_eq!(house.shard.members(&user), 2);
}

#[test]
fn a_reader_that_keeps_up_is_not_slow_however_long_the_batch() {
    let mut house = House::new(limits(1 << 20, 3), DialectRules::default());
    let (_, socket) = house.subscribed(ALL, "room");
    for seq in 1..=50 {
        house.publish("room", Some(seq), "x");
    }
    house.flush();
    assert_eq!(socket.text().len(), 50 * 3);
    assert_eq!(house.ends(), []);
}

#[test]
fn kept_publications_count_towards_the_bound() {
    let mut house = House::new(limits(1 << 20, 3), DialectRules::default());
    let (id, socket) = house.held(ALL, "room");
    house.state("room", 1, "x");
    for seq in 1..=3 {
        house.publish("room", Some(seq), "x");
    }
    assert_eq!(house.ends(), [], "the state made room");
    house.publish("room", Some(4), "x");
    assert_eq!(house.ends(), closed(id, CloseReason::SlowConsumer));
    assert_eq!(socket.shutdowns(), HALF);
    assert_eq!(house.stats().queued_frames, 0);
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(house.ends(), ended(id, CloseReason::SlowConsumer));
}

#[test]
fn one_frame_above_the_bound_still_passes_an_empty_queue() {
    let mut house = House::new(limits(4, 10), DialectRules::default());
    let (id, socket) = house.stream(ALL);
    house.send(id, "longer than four bytes");
    house.flush();
    assert_eq!(socket.text(), "<longer than four bytes>");
}

#[test]
fn close_sends_what_waits_and_the_last_frame_then_shuts_the_writing_side_once() {
    let mut house = House::plain();
    let (socket, pulse) = (FakeSocket::new(ALL), Pulse::default());
    let id = house.attach(stream(&socket), pulse.clone());
    house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
    house.publish("room", Some(1), "1");
    assert!(!pulse.is_over());
    house.close(id, Some(frame("bye")));
    assert_eq!(socket.text(), "<1><bye>");
    assert_eq!(socket.shutdowns(), HALF);
    assert!(pulse.is_over());
    assert_eq!(house.ends(), closed(id, CloseReason::Named("logout")));
    // What comes now, from the caller or the peer, neither revives nor frees it.
    house.close(id, Some(frame("bye again")));
    house.publish("room", Some(2), "2");
    house.send(id, "3");
    pulse.beat();
    house.flush();
    house.shard.advance(1_999);
    house.flush();
    assert_eq!(socket.text(), "<1><bye>");
    assert_eq!(socket.shutdowns(), HALF);
    assert!(pulse.is_over());
    assert_eq!(house.ends(), closed(id, CloseReason::Named("logout")));
    let stats = house.stats();
    assert_eq!((stats.sessions, stats.topics, stats.queued_frames), (1, 0, 0));
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(socket.shutdowns(), WHOLE);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
    assert_eq!((house.stats().sessions, house.stats().closed), (0, 1));
    assert_eq!(house.shard.next_deadline(), None);
}

#[test]
fn a_peer_that_does_not_end_its_side_is_cut_at_the_linger_deadline() {
    let mut house = House::plain();
    let (id, socket) = house.stream(ALL);
    house.close(id, Some(frame("bye")));
    house.shard.advance(1_999);
    assert_eq!(socket.shutdowns(), HALF);
    assert_eq!(house.ends(), closed(id, CloseReason::Named("logout")));
    house.shard.advance(2_000);
    assert_eq!(socket.shutdowns(), WHOLE);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
    assert_eq!(house.stats().sessions, 0);
}

#[test]
fn a_session_that_sent_all_asks_for_no_more_work() {
    let mut house = House::new(limits(20, 100), DialectRules::default());
    let (id, socket) = house.subscribed(0, "room");
    for seq in 1..=5 {
        house.publish("room", Some(seq), "123456");
        house.flush();
    }
    // Its queue was given up while the socket was full; the wake comes later.
    assert_eq!(house.ends(), closed(id, CloseReason::SlowConsumer));
    assert_eq!(socket.shutdowns(), HALF);
    socket.give_room(ALL);
    house.shard.take_writable();
    assert!(house.shard.dirty.is_empty());
    assert_eq!(socket.shutdowns(), HALF);
}

#[test]
fn a_closed_session_that_cannot_send_is_freed_at_the_linger_deadline() {
    let mut house = House::plain();
    let (id, socket) = house.stream(0);
    house.send(id, "1");
    house.close(id, Some(frame("bye")));
    assert_eq!(house.ends(), closed(id, CloseReason::Named("logout")));
    assert_eq!(socket.shutdowns(), []);
    house.shard.advance(1_999);
    assert_eq!(socket.shutdowns(), []);
    house.shard.advance(2_000);
    assert_eq!(socket.shutdowns(), [Shutdown::Both]);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
    assert_eq!(house.stats().queued_frames, 0);
}

#[test]
fn the_peers_end_frees_a_closed_session_that_still_waits_to_send() {
    let mut house = House::plain();
    let (id, socket) = house.stream(4);
    house.send(id, "half written");
    house.flush();
    house.close(id, Some(frame("bye")));
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(socket.shutdowns(), [Shutdown::Both]);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
    assert_eq!((house.stats().sessions, house.stats().queued_frames), (0, 0));
}

#[test]
fn a_broken_link_ends_the_session() {
    let mut house = House::plain();
    let (id, socket) = house.stream(ALL);
    socket.0.lock().broken = true;
    house.send(id, "1");
    house.flush();
    assert_eq!(house.ends(), ended(id, CloseReason::LinkFailed));
    assert_eq!(house.stats().sessions, 0);
}

#[test]
fn detach_ends_with_the_readers_reason_and_sends_nothing() {
    let mut house = House::plain();
    let (id, socket) = house.stream(0);
    house.send(id, "1");
    house.flush();
    house.shard.detach(id, CloseReason::PeerGone);
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(house.ends(), ended(id, CloseReason::PeerGone));
    assert_eq!(socket.shutdowns(), [Shutdown::Both]);
    assert_eq!(house.stats().queued_frames, 0);
}

#[test]
fn an_old_id_never_reaches_the_session_that_uses_its_slot() {
    let mut house = House::plain();
    let (old, old_socket) = house.subscribed(0, "room");
    house.send(old, "blocked");
    house.flush();
    house.shard.detach(old, CloseReason::PeerGone);
    let (new, socket) = house.subscribed(ALL, "room");
    assert_eq!(new.slot, old.slot);
    assert_ne!(new, old);
    house.send(old, "lost");
    house.close(old, None);
    house.shard.unsubscribe(old, Dialect(0), &Topic::new("room"));
    old_socket.give_room(ALL);
    house.publish("room", Some(1), "1");
    house.flush();
    assert_eq!(socket.text(), "<1>");
    assert_eq!(house.stats().stale_commands, 3);
    assert_eq!(house.ends().len(), 2);
}

#[test]
fn close_topic_spares_the_exception() {
    let mut house = House::plain();
    let (kept, kept_socket) = house.subscribed(ALL, "user:ann");
    let (_, first) = house.subscribed(ALL, "user:ann");
    let (_, second) = house.subscribed(ALL, "user:ann");
    let (_, other) = house.subscribed(ALL, "user:bob");
    let last = Some(LazyFrames::new(|_| Some(frame("bye"))));
    let close = CloseEach { reason: CloseReason::Named("logout"), last };
    house.shard.close_topic(&Topic::new("user:ann"), &close, Some(kept));
    assert_eq!((first.text(), second.text()), ("<bye>".into(), "<bye>".into()));
    assert_eq!((first.shutdowns(), second.shutdowns()), (HALF.into(), HALF.into()));
    assert_eq!((kept_socket.shutdowns(), other.shutdowns()), (Vec::new(), Vec::new()));
}

#[test]
fn close_topic_ends_all_though_one_hears_the_topic_in_two_dialects() {
    let mut house = House::plain();
    let topic = Topic::new("user:ann");
    let (_, before) = house.subscribed(ALL, "user:ann");
    let (both, socket) = house.subscribed(ALL, "user:ann");
    house.shard.subscribe(both, Dialect(1), &topic);
    let (_, after) = house.subscribed(ALL, "user:ann");
    let last = Some(LazyFrames::new(|_| Some(frame("bye"))));
    let close = CloseEach { reason: CloseReason::Named("logout"), last };
    house.shard.close_topic(&topic, &close, None);
    for socket in [before, socket, after] {
        assert_eq!((socket.text(), socket.shutdowns()), ("<bye>".into(), HALF.into()));
    }
    assert_eq!((house.stats().topics, house.stats().closed), (0, 3));
}

#[test]
fn the_numbers_of_sessions_and_subscriptions_are_bounded() {
    let limits = Limits { sessions_max: 1, subscriptions_max: 2, ..Limits::default() };
    let mut house = House::new(limits, with_farewell());
    let (id, socket) = house.subscribed(ALL, "a");
    let new = || {
        let (events, pulse) = (Arc::<Ends>::default(), Pulse::default());
        NewSession { dialect: Dialect(0), link: Link::Polling, events, pulse }
    };
    assert!(house.shard.attach(new()).is_err());
    house.shard.subscribe(id, Dialect(0), &Topic::new("b"));
    house.shard.subscribe(id, Dialect(0), &Topic::new("b"));
    assert_eq!(house.ends(), []);
    house.shard.subscribe(id, Dialect(0), &Topic::new("c"));
    assert_eq!(house.ends(), closed(id, CloseReason::TooManySubscriptions));
    assert_eq!(socket.text(), "<bye: too many subscriptions>");
    assert_eq!(socket.shutdowns(), HALF);
    assert!(house.shard.attach(new()).is_err(), "a closing session keeps its place");
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(house.ends(), ended(id, CloseReason::TooManySubscriptions));
    assert!(house.shard.attach(new()).is_ok());
}

#[test]
fn a_drain_ends_some_at_a_time_each_in_its_dialect() {
    let mut house = House::plain();
    let sockets: Vec<FakeSocket> = (0..5)
        .map(|number| {
            let socket = FakeSocket::new(ALL);
            let events: Arc<Ends> = Arc::default();
            let pulse = Pulse::default();
            let link = stream(&socket);
            let new = NewSession { dialect: Dialect(number), link, events, pulse };
            assert!(house.shard.attach(new).is_ok());
            socket
        })
        .collect();
    let last = Some(LazyFrames::new(|dialect| Some(frame(&format!("bye {}", dialect.0)))));
    let close = CloseEach { reason: CloseReason::Named("drain"), last };
    let ended: Vec<usize> = (0..4).map(|_| house.shard.close_some(2, &close)).collect();
    assert_eq!(ended, [2, 2, 1, 0]);
    let texts: Vec<String> = sockets.iter().map(FakeSocket::text).collect();
    assert_eq!(texts, ["<bye 0>", "<bye 1>", "<bye 2>", "<bye 3>", "<bye 4>"]);
}

#[test]
fn ending_all_says_farewell_to_each() {
    let mut house = House::new(Limits::default(), with_farewell());
    let sockets: Vec<FakeSocket> = (0..3).map(|_| house.stream(ALL).1).collect();
    house.shard.end_all(CloseReason::HubStopped);
    house.shard.end_all(CloseReason::HubStopped);
    for socket in &sockets {
        assert_eq!(socket.text(), "<bye: hub stopped>");
        assert_eq!(socket.shutdowns(), HALF);
    }
    assert_eq!((house.stats().sessions, house.stats().closed), (3, 3));
    house.shard.advance(2_000);
    assert!(sockets.iter().all(|socket| socket.shutdowns() == WHOLE));
    assert_eq!(house.stats().sessions, 0);
}
