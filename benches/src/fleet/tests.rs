use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::{Dial, Fleet, Speech};
use crate::floor;

const FRAME_BYTES: usize = 400;

fn floor_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || floor::serve(&listener, FRAME_BYTES));
    address
}

fn seat(address: SocketAddr, room: u32, receives: bool) -> Dial {
    let target = format!("/?room={room}&receives={}", u8::from(receives));
    Dial { address, target, speech: Speech::SocketIo(String::new()), room, receives }
}

#[test]
fn every_receiver_gets_every_message_of_its_room_once() {
    let rooms = vec!["a".to_owned(), "b".to_owned()];
    let mut fleet = Fleet::new(rooms, false).expect("fleet");
    let floor = floor_server();
    let seats = [(0, false), (0, true), (0, true), (1, true)];
    let dials = seats.map(|(room, receives)| seat(floor, room, receives)).into();
    let connected = fleet.connect(dials, 2, Duration::from_secs(5)).expect("all ready");
    assert_eq!(connected.latency.count(), 4);

    fleet.counts.window_ns = 0..u64::MAX;
    for _ in 0..30 {
        fleet.publish(0, 7).expect("sent");
    }
    fleet.publish(3, 1).expect("sent");
    fleet.drain(Duration::from_secs(5)).expect("drained");

    let received: Vec<u64> = fleet.clients.iter().map(|client| client.received).collect();
    assert_eq!(received, [0, 210, 210, 1]);
    assert_eq!(fleet.counts.delivered_bytes, 421 * FRAME_BYTES as u64);
    assert_eq!(fleet.counts.delivery_latency.count(), 421);
    let verdict = fleet.verdict();
    assert_eq!((verdict.lost, verdict.doubled, verdict.reordered), (0, 0, 0));
    assert_eq!(fleet.counts.remarks(), None);
}

#[test]
fn a_message_nobody_delivers_is_lost() {
    let mut fleet = Fleet::new(vec!["a".to_owned()], false).expect("fleet");
    let floor = floor_server();
    // The second one is a receiver to us, but not to the server.
    let mut deaf = seat(floor, 0, false);
    deaf.receives = true;
    fleet.connect(vec![seat(floor, 0, true), deaf], 2, Duration::from_secs(5)).expect("all ready");
    fleet.publish(0, 3).expect("sent");
    fleet.drain(Duration::from_millis(300)).expect("drained");
    assert_eq!(fleet.verdict().lost, 3);
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let mut fleet = Fleet::new(vec!["a".to_owned()], false).expect("fleet");
    assert!(fleet.connect(vec![seat(address, 0, true)], 1, Duration::from_secs(5)).is_err());
}
