//! Callers that wait for room before they send more.

use oneshot::error::TryRecvError;

use super::*;

const OVER: Result<(), TryRecvError> = Err(TryRecvError::Closed);
const WAITS: Result<(), TryRecvError> = Err(TryRecvError::Empty);

fn house(queue_bytes_max: usize, queue_frames_max: usize) -> House {
    let limits = Limits { queue_bytes_max, queue_frames_max, ..Limits::default() };
    House::new(limits, DialectRules::default())
}

fn send_five(house: &mut House, id: SessionId) {
    for _ in 0..5 {
        house.send(id, "123456");
    }
    house.flush();
}

#[test]
fn a_caller_goes_on_when_half_of_the_bytes_are_free() {
    let mut house = house(40, 100);
    let (id, socket) = house.stream(0);
    assert_eq!(house.drained(id).try_recv(), Ok(()), "nothing waits");
    send_five(&mut house, id);
    let mut answer = house.drained(id);
    for room in [8, 12] {
        socket.give_room(room);
        house.flush();
        assert_eq!(answer.try_recv(), WAITS);
    }
    socket.give_room(4);
    house.flush();
    assert_eq!(answer.try_recv(), Ok(()));
    assert_eq!(house.drained(id).try_recv(), Ok(()), "it is still so");
}

#[test]
fn a_caller_goes_on_when_half_of_the_frames_are_free() {
    let mut house = house(1 << 20, 6);
    let (id, socket) = house.stream(0);
    send_five(&mut house, id);
    let mut answer = house.drained(id);
    socket.give_room(2 * 8);
    house.flush();
    assert_eq!(answer.try_recv(), WAITS);
    socket.give_room(8);
    house.flush();
    assert_eq!(answer.try_recv(), Ok(()));
}

#[test]
fn a_caller_that_waits_is_told_of_the_end() {
    let mut house = house(40, 100);
    let (closed, _) = house.stream(0);
    let (slow, _) = house.stream(0);
    let (detached, _) = house.stream(0);
    let ids = [closed, slow, detached];
    for id in ids {
        send_five(&mut house, id);
    }
    let mut answers = ids.map(|id| house.drained(id));
    house.close(closed, None);
    house.send(slow, "too much");
    house.shard.detach(detached, CloseReason::PeerGone);
    assert_eq!(answers.each_mut().map(oneshot::Receiver::try_recv), [OVER; 3]);
    assert_eq!(ids.map(|id| house.drained(id).try_recv()), [OVER; 3], "closing or gone");
    assert!(house.shard.paced.is_empty());
}

#[test]
fn a_polling_session_is_drained_by_its_polls() {
    let limits = Limits { queue_bytes_max: 40, poll_bytes_max: 14, ..Limits::default() };
    let mut house = House::new(limits, DialectRules::default());
    let id = house.polling();
    send_five(&mut house, id);
    let mut answer = house.drained(id);
    assert_eq!(packets(&mut house.poll(id)).len(), 2);
    assert_eq!(answer.try_recv(), WAITS, "24 of 40 bytes wait");
    assert_eq!(packets(&mut house.poll(id)).len(), 2);
    assert_eq!(answer.try_recv(), Ok(()));
}

#[test]
fn a_session_that_moves_to_a_stream_is_drained_there() {
    let mut house = house(40, 100);
    let id = house.polling();
    send_five(&mut house, id);
    let mut answer = house.drained(id);
    assert!(house.shard.upgrade(id, (FakeSocket::new(usize::MAX), false), &frame("6")).is_ok());
    house.flush();
    assert_eq!(answer.try_recv(), Ok(()));
}

#[test]
fn what_is_kept_does_not_stop_the_caller_who_is_to_resume() {
    let mut house = house(40, 100);
    let (id, socket) = house.held(0, "room");
    for seq in 1..=3 {
        house.publish("room", Some(seq), "123456");
    }
    house.send(id, "123456");
    house.flush();
    let mut answer = house.drained(id);
    assert_eq!(answer.try_recv(), WAITS);
    socket.give_room(8);
    house.flush();
    assert_eq!(answer.try_recv(), Ok(()));
}

#[test]
fn all_who_wait_are_answered_and_who_gave_up_is_in_nobodys_way() {
    let mut house = house(40, 100);
    let (id, socket) = house.stream(0);
    send_five(&mut house, id);
    let mut first = house.drained(id);
    for _ in 0..10 {
        drop(house.drained(id));
    }
    let mut last = house.drained(id);
    assert_eq!(house.shard.paced[&id.slot].len(), 2);
    socket.give_room(usize::MAX);
    house.flush();
    assert_eq!((first.try_recv(), last.try_recv()), (Ok(()), Ok(())));
    assert!(house.shard.paced.is_empty());
}

#[test]
fn a_caller_that_paces_itself_is_never_slow() {
    let mut house = house(80, 100);
    let (id, socket) = house.stream(0);
    let mut sent = 0;
    while sent < 200 {
        let mut answer = house.drained(id);
        while answer.try_recv() == WAITS {
            socket.give_room(8);
            house.flush();
        }
        for _ in 0..5 {
            house.send(id, "123456");
            sent += 1;
        }
    }
    assert_eq!(house.ends(), []);
    socket.give_room(usize::MAX);
    house.flush();
    assert_eq!(socket.text().len(), sent * 8);
}
