//! Peers and callers that do not keep up: memory stays within the bounds, and the end has a name.

use super::*;

const ALL: usize = usize::MAX;
const BYTES_MAX: usize = 400;
const FRAMES_MAX: usize = 50;

fn house(keepalive: Option<Keepalive>) -> House {
    let limits = Limits {
        queue_bytes_max: BYTES_MAX,
        queue_frames_max: FRAMES_MAX,
        linger: Duration::from_millis(10),
        ..Limits::default()
    };
    House::new(limits, DialectRules { keepalive, farewell: None })
}

fn keepalive(probing: Probing) -> Keepalive {
    Keepalive {
        interval: Duration::from_millis(30),
        timeout: Duration::from_millis(20),
        spread: Duration::ZERO,
        probe: frame("2"),
        probing,
    }
}

/// Publishes until the session ends; nothing is ever above the bounds.
fn flood(house: &mut House, id: SessionId) {
    let mut seq = 0;
    while house.ends().is_empty() {
        seq += 1;
        assert!(seq < 1_000, "the session never ends");
        house.state("room", seq % 90, "somebody types");
        house.publish("room", Some(seq), "a message");
        house.flush();
        let stats = house.stats();
        assert!(stats.queued_bytes <= BYTES_MAX as u64, "{} bytes wait", stats.queued_bytes);
        assert!(stats.queued_frames <= FRAMES_MAX as u64, "{} frames wait", stats.queued_frames);
    }
    assert_eq!(house.ends()[0], (id, Some(CloseReason::SlowConsumer)));
    let stats = house.stats();
    assert!(stats.dropped_ephemeral > 0, "states went first");
    assert_eq!((stats.closed_slow, stats.closed, stats.subscriptions), (1, 1, 0));
    assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0), "nothing of it is left");
    house.shard.advance(10);
    assert_eq!(house.stats().sessions, 0);
}

#[test]
fn a_stream_that_is_never_read() {
    let mut house = house(None);
    let (id, _) = house.subscribed(0, "room");
    flood(&mut house, id);
}

#[test]
fn a_polling_session_that_never_polls() {
    let mut house = house(None);
    let id = house.polling();
    house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
    flood(&mut house, id);
}

#[test]
fn a_session_held_for_ever() {
    let mut house = house(None);
    let (id, _) = house.held(ALL, "room");
    flood(&mut house, id);
    assert_eq!((house.stats().kept_frames, house.stats().kept_bytes), (0, 0));
}

#[test]
fn a_session_held_for_ever_that_hears_states_only_lives_within_the_bounds() {
    let mut house = house(None);
    let (id, socket) = house.held(ALL, "room");
    for key in 0..500 {
        house.state("room", key, "somebody types");
    }
    let kept = house.stats().kept_frames;
    assert_eq!(kept + house.stats().dropped_ephemeral, 500);
    assert!(house.stats().kept_bytes <= BYTES_MAX as u64);
    house.send(id, "a message");
    assert_eq!(house.stats().kept_frames, 0, "they make room for what must not be lost");
    house.flush();
    assert_eq!(socket.text(), "<a message>");
    assert_eq!(house.ends(), []);
}

#[test]
fn a_peer_that_sends_signs_of_life_and_never_reads_its_probes() {
    let mut house = house(Some(keepalive(Probing::Always)));
    let pulse = Pulse::default();
    let id = house.attach(stream(&FakeSocket::new(0)), pulse.clone());
    let mut now = 0;
    while house.ends().is_empty() {
        now += 10;
        pulse.beat();
        house.shard.advance(now);
        house.flush();
        assert!(house.stats().queued_frames <= FRAMES_MAX as u64);
        assert!(now < 10_000, "the session never ends");
    }
    assert_eq!(house.ends(), closed(id, CloseReason::SlowConsumer));
    assert_eq!(house.stats().queued_frames, 0);
}

#[test]
fn a_peer_that_probes_us_and_never_reads_the_answers() {
    let mut house = house(Some(keepalive(Probing::ByPeer)));
    let pulse = Pulse::default();
    let id = house.attach(stream(&FakeSocket::new(0)), pulse.clone());
    for _ in 0..FRAMES_MAX {
        pulse.beat();
        house.send(id, "3");
        house.flush();
    }
    assert_eq!((house.ends(), house.stats().queued_frames), (vec![], FRAMES_MAX as u64));
    house.send(id, "3");
    assert_eq!(house.ends(), closed(id, CloseReason::SlowConsumer));
    assert_eq!(house.stats().queued_frames, 0);
}

#[test]
fn a_peer_that_reads_and_says_nothing() {
    let mut house = house(Some(keepalive(Probing::Always)));
    let (id, _) = house.stream(ALL);
    house.shard.advance(30);
    house.flush();
    house.shard.advance(50);
    assert_eq!(house.ends(), closed(id, CloseReason::PingTimeout));
}

#[test]
fn every_end_is_counted_by_its_reason() {
    let limits = Limits { queue_frames_max: 1, subscriptions_max: 0, ..Limits::default() };
    let rules = DialectRules { keepalive: Some(keepalive(Probing::Always)), farewell: None };
    let mut house = House::new(limits, rules);
    let (slow, _) = house.stream(0);
    house.send(slow, "1");
    house.send(slow, "2");
    let polling = house.polling();
    let polls = [house.poll(polling), house.poll(polling)];
    let (failed, socket) = house.stream(ALL);
    socket.0.lock().broken = true;
    house.send(failed, "1");
    house.flush();
    let (curious, _) = house.stream(ALL);
    house.shard.subscribe(curious, Dialect(0), &Topic::new("room"));
    let (gone, _) = house.stream(ALL);
    house.shard.detach(gone, CloseReason::PeerGone);
    let (named, _) = house.stream(ALL);
    house.close(named, None);
    house.stream(ALL);
    house.shard.advance(30);
    house.flush();
    house.shard.advance(50);
    house.stream(ALL);
    house.shard.end_all(CloseReason::HubStopped);
    let stats = house.stats();
    let counted = [
        stats.closed_slow,
        stats.closed_poll_overlap,
        stats.closed_link_failed,
        stats.closed_too_many_subscriptions,
        stats.closed_peer_gone,
        stats.closed_named,
        stats.closed_ping_timeout,
        stats.closed_hub_stopped,
    ];
    assert_eq!((counted, stats.closed), ([1; 8], 8));
    drop(polls);
}
