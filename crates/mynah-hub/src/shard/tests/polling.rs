//! Long polling and the move to a stream.

use super::*;

fn with_farewell() -> DialectRules {
    let farewell = Farewell::new(|_| Some(frame("1")));
    DialectRules { keepalive: None, farewell: Some(farewell) }
}

#[test]
fn a_poll_takes_what_is_queued_in_order() {
    let mut house = House::plain();
    let id = house.polling();
    for text in ["a", "b", "c"] {
        house.send(id, text);
    }
    house.flush();
    assert_eq!(packets(&mut house.poll(id)), ["a", "b", "c"]);
    assert_eq!(house.stats().queued_bytes, 0);
}

#[test]
fn a_poll_waits_until_something_comes() {
    let mut house = House::plain();
    let id = house.polling();
    house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
    let mut answer = house.poll(id);
    assert!(answer.try_recv().is_err());
    house.publish("room", Some(1), "1");
    house.flush();
    assert_eq!(packets(&mut answer), ["1"]);
    house.publish("room", Some(2), "2");
    house.flush();
    assert_eq!(packets(&mut house.poll(id)), ["2"]);
}

#[test]
fn an_answer_keeps_to_its_bound_and_the_rest_waits() {
    let limits = Limits { poll_bytes_max: 8, ..Limits::default() };
    let mut house = House::new(limits, DialectRules::default());
    let id = house.polling();
    for text in ["longer than eight", "aaa", "bbb", "ccc"] {
        house.send(id, text);
    }
    assert_eq!(packets(&mut house.poll(id)), ["longer than eight"]);
    assert_eq!(packets(&mut house.poll(id)), ["aaa", "bbb"]);
    assert_eq!(packets(&mut house.poll(id)), ["ccc"]);
}

#[test]
fn a_second_poll_ends_the_session_and_the_first_gets_the_farewell() {
    let mut house = House::new(Limits::default(), with_farewell());
    let id = house.polling();
    let mut first = house.poll(id);
    let mut second = house.poll(id);
    assert_eq!(packets(&mut first), ["1"]);
    assert_eq!(second.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert_eq!(house.ends(), ended(id, CloseReason::PollOverlap));
    let mut third = house.poll(id);
    assert_eq!(third.try_recv(), Err(oneshot::error::TryRecvError::Closed));
}

#[test]
fn a_poll_that_was_given_up_takes_nothing_with_it() {
    let mut house = House::plain();
    let id = house.polling();
    drop(house.poll(id));
    house.send(id, "a");
    house.flush();
    assert_eq!(packets(&mut house.poll(id)), ["a"]);
    assert_eq!(house.ends(), []);
}

#[test]
fn closing_answers_a_parked_poll() {
    let mut house = House::plain();
    let (bare, worded) = (house.polling(), house.polling());
    let (mut bare_poll, mut worded_poll) = (house.poll(bare), house.poll(worded));
    house.close(bare, None);
    house.close(worded, Some(frame("41")));
    assert_eq!(packets(&mut bare_poll), [] as [Bytes; 0]);
    assert_eq!(packets(&mut worded_poll), ["41"]);
    assert_eq!(house.stats().sessions, 0);
}

#[test]
fn the_last_frame_waits_for_a_poll_of_its_own() {
    let mut house = House::plain();
    let id = house.polling();
    house.send(id, "a");
    house.send(id, "41");
    house.close(id, Some(frame("1")));
    assert_eq!(house.ends(), [(id, Some(CloseReason::Named("logout")))]);
    assert_eq!(packets(&mut house.poll(id)), ["a", "41"]);
    assert_eq!(packets(&mut house.poll(id)), ["1"]);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
}

#[test]
fn an_upgrade_keeps_the_order_and_ends_the_parked_poll() {
    let mut house = House::plain();
    let id = house.polling();
    house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
    let mut parked = house.poll(id);
    let socket = FakeSocket::new(usize::MAX);
    let noop = Frame::packet_only(Bytes::from_static(b"6"));
    assert!(house.shard.upgrade(id, (socket.clone(), false), &noop).is_ok());
    house.publish("room", Some(1), "1");
    house.flush();
    assert_eq!(packets(&mut parked), ["6"]);
    assert_eq!(socket.text(), "<1>");
}

#[test]
fn what_was_queued_for_polling_leaves_over_the_stream_except_bare_packets() {
    let mut house = House::plain();
    let id = house.polling();
    house.send(id, "a");
    house.shard.send(id, Frame::packet_only(Bytes::from_static(b"6")), Class::Durable);
    house.send(id, "b");
    let socket = FakeSocket::new(usize::MAX);
    assert!(house.shard.upgrade(id, (socket.clone(), false), &frame("6")).is_ok());
    house.send(id, "c");
    house.flush();
    assert_eq!(socket.text(), "<a><b><c>");
    assert_eq!(house.stats().queued_frames, 0);
    assert!(
        house.shard.upgrade(id, (FakeSocket::new(0), false), &frame("6")).is_err(),
        "a stream already"
    );
    let mut late = house.poll(id);
    assert_eq!(late.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    house.send(id, "d");
    house.flush();
    assert_eq!(socket.text(), "<a><b><c><d>");
}

#[test]
fn a_closing_session_says_the_rest_over_the_stream_it_moves_to() {
    let mut house = House::plain();
    let id = house.polling();
    house.send(id, "a");
    house.close(id, Some(frame("41")));
    house.flush();
    let socket = FakeSocket::new(usize::MAX);
    assert!(house.shard.upgrade(id, (socket.clone(), false), &frame("6")).is_ok());
    house.flush();
    assert_eq!((socket.text().as_str(), socket.shutdowns()), ("<a><41>", HALF.to_vec()));
    assert_eq!(house.ends(), closed(id, CloseReason::Named("logout")));
    let (mut late, again) = (house.poll(id), FakeSocket::new(0));
    assert_eq!(late.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    assert!(house.shard.upgrade(id, (again, false), &frame("6")).is_err(), "a stream already");
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
    assert_eq!(socket.shutdowns(), WHOLE);
}

#[test]
fn a_closing_session_that_moves_keeps_its_deadline() {
    let mut house = House::plain();
    let id = house.polling();
    let linger = Limits::default().linger.as_millis() as u64;
    house.close(id, Some(frame("41")));
    house.shard.advance(linger - 1);
    let socket = FakeSocket::new(2);
    assert!(house.shard.upgrade(id, (socket.clone(), false), &frame("6")).is_ok());
    house.flush();
    assert_eq!((socket.text().as_str(), socket.shutdowns()), ("<4", Vec::new()));
    house.shard.advance(linger);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
    assert_eq!(socket.shutdowns(), [Shutdown::Both]);
}

#[test]
fn a_session_whose_end_was_polled_takes_no_stream() {
    let mut house = House::plain();
    let (parked, later) = (house.polling(), house.polling());
    let mut answer = house.poll(parked);
    for id in [parked, later] {
        house.close(id, Some(frame("41")));
    }
    assert_eq!(packets(&mut answer), ["41"]);
    assert_eq!(packets(&mut house.poll(later)), ["41"]);
    for id in [parked, later] {
        let socket = FakeSocket::new(usize::MAX);
        assert!(house.shard.upgrade(id, (socket, false), &frame("6")).is_err());
    }
}
