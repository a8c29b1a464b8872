//! Probes, answers and deadlines, with the clock moved by hand.

use super::*;

const ALL: usize = usize::MAX;

fn rules(probing: Probing, spread_ms: u64) -> DialectRules {
    DialectRules {
        keepalive: Some(Keepalive {
            interval: Duration::from_millis(300),
            timeout: Duration::from_millis(200),
            spread: Duration::from_millis(spread_ms),
            probe: frame("2"),
            probing,
        }),
        farewell: None,
    }
}

fn at(house: &mut House, now: u64) {
    house.shard.advance(now);
    house.flush();
}

#[test]
fn a_peer_that_answers_is_probed_every_interval() {
    let mut house = House::new(Limits::default(), rules(Probing::Always, 0));
    let (socket, pulse) = (FakeSocket::new(ALL), Pulse::default());
    house.attach(stream(&socket), pulse.clone());
    // Only what is heard after a probe answers it.
    pulse.beat();
    for (now, probes) in
        [(299, 0), (300, 1), (499, 1), (500, 1), (599, 1), (600, 2), (800, 2), (900, 3)]
    {
        at(&mut house, now);
        assert_eq!(socket.text(), "<2>".repeat(probes), "at {now} ms");
        pulse.beat();
    }
    assert_eq!(house.ends(), []);
    assert_eq!(house.stats().probes, 3);
}

#[test]
fn a_timeout_longer_than_the_interval_delays_no_probe() {
    let mut rules = rules(Probing::Always, 0);
    if let Some(keepalive) = &mut rules.keepalive {
        keepalive.timeout = Duration::from_millis(700);
    }
    let mut house = House::new(Limits::default(), rules);
    let (socket, pulse) = (FakeSocket::new(ALL), Pulse::default());
    let id = house.attach(stream(&socket), pulse.clone());
    for (now, probes) in [(300, 1), (599, 1), (600, 2), (900, 3)] {
        at(&mut house, now);
        assert_eq!(socket.text(), "<2>".repeat(probes), "at {now} ms");
        pulse.beat();
    }
    // The third is answered, the fourth is not.
    for now in [1_200, 1_500, 1_899] {
        at(&mut house, now);
        assert_eq!(house.ends(), [], "at {now} ms");
    }
    at(&mut house, 1_900);
    assert_eq!(house.ends(), closed(id, CloseReason::PingTimeout));
    assert_eq!(house.stats().probes, 4);
}

#[test]
fn a_silent_peer_is_closed_one_timeout_after_the_probe() {
    let mut house = House::new(Limits::default(), rules(Probing::Always, 0));
    let (id, socket) = house.stream(ALL);
    at(&mut house, 300);
    at(&mut house, 499);
    assert_eq!(house.ends(), []);
    at(&mut house, 500);
    assert_eq!(house.ends(), closed(id, CloseReason::PingTimeout));
    assert_eq!(socket.shutdowns(), HALF);
    at(&mut house, 2_499);
    assert_eq!(socket.shutdowns(), HALF);
    at(&mut house, 2_500);
    assert_eq!(house.ends(), ended(id, CloseReason::PingTimeout));
    assert_eq!(socket.shutdowns(), WHOLE);
    assert_eq!(house.stats().probes, 1, "a closing session is not probed");
    assert_eq!(house.shard.next_deadline(), None, "its timer is gone");
}

#[test]
fn a_polling_session_that_never_polls_is_closed_too() {
    let mut house = House::new(Limits::default(), rules(Probing::Always, 0));
    let id = house.polling();
    at(&mut house, 300);
    at(&mut house, 500);
    assert_eq!(house.ends(), ended(id, CloseReason::PingTimeout));
    assert_eq!(house.stats().queued_frames, 0);
}

#[test]
fn the_probe_answers_a_parked_poll() {
    let mut house = House::new(Limits::default(), rules(Probing::Always, 0));
    let id = house.polling();
    let mut poll = house.poll(id);
    at(&mut house, 300);
    assert_eq!(packets(&mut poll), ["2"]);
}

#[test]
fn a_busy_peer_is_not_probed_when_only_quiet_ones_are() {
    let mut house = House::new(Limits::default(), rules(Probing::WhenQuiet, 0));
    let (socket, pulse) = (FakeSocket::new(ALL), Pulse::default());
    house.attach(stream(&socket), pulse.clone());
    for now in [100, 400, 700] {
        pulse.beat();
        at(&mut house, now);
    }
    assert_eq!(socket.text(), "");
    at(&mut house, 1_000);
    assert_eq!(socket.text(), "<2>");
    pulse.beat();
    at(&mut house, 1_200);
    assert_eq!(house.ends(), []);
}

#[test]
fn sessions_that_begin_together_are_probed_apart() {
    let mut house = House::new(Limits::default(), rules(Probing::Always, 64));
    for _ in 0..64 {
        house.stream(ALL);
    }
    let mut before = 0;
    for now in 300..364 {
        at(&mut house, now);
        let probes = house.stats().probes;
        assert_eq!(probes - before, 1, "at {now} ms");
        before = probes;
    }
}

#[test]
fn an_ended_session_leaves_no_timer() {
    let mut house = House::new(Limits::default(), rules(Probing::Always, 0));
    let (id, _socket) = house.stream(ALL);
    house.close(id, None);
    house.shard.detach(id, CloseReason::PeerGone);
    assert_eq!(house.ends(), ended(id, CloseReason::Named("logout")));
    assert_eq!(house.shard.next_deadline(), None);
}

#[test]
fn a_peer_that_probes_us_is_closed_one_interval_and_timeout_after_it_was_heard() {
    let mut house = House::new(Limits::default(), rules(Probing::ByPeer, 0));
    let (silent, socket) = house.stream(ALL);
    let (other, pulse) = (FakeSocket::new(ALL), Pulse::default());
    let other_id = house.attach(stream(&other), pulse.clone());
    for now in (0..=1_500).step_by(4) {
        at(&mut house, now);
        if now <= 900 {
            pulse.beat();
        }
        match now {
            496 => assert_eq!(house.ends(), []),
            500 => assert_eq!(house.ends(), closed(silent, CloseReason::PingTimeout)),
            // Heard last at 900 ms; a look is due every 31 ms.
            1_388 => assert_eq!(house.stats().closed_ping_timeout, 1),
            1_440 => assert_eq!(house.stats().closed_ping_timeout, 2),
            _ => {}
        }
    }
    assert_eq!(house.ends()[1..], closed(other_id, CloseReason::PingTimeout));
    assert_eq!((socket.text(), other.text()), (String::new(), String::new()));
    assert_eq!(house.stats().probes, 0);
}
