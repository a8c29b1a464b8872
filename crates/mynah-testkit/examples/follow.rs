//! What it costs to follow streams: nanoseconds for each event, in four situations.

use std::time::Instant;

use mynah_hub::Topic;
use mynah_hub::cluster::{Action, Beat, Follower, FollowerConfig, Item, fingerprint};

const EVENTS: u64 = 1_000_000;
const STREAMS: u64 = 10_000;

fn topic(number: u64) -> Topic {
    Topic::new(format!("r:0198c5a7-7e4c-7000-8000-{number:012}"))
}

/// A node that follows streams, has met another, and misses nothing.
fn node(streams: &[Topic]) -> Follower<u64> {
    let mut follower = Follower::new(FollowerConfig::default(), 0);
    follower.broker_up(0);
    for stream in streams {
        follower.want(0, stream);
    }
    follower.beat_heard(0, 2, &Beat::default());
    while let Some(action) = follower.next_action() {
        match action {
            Action::Subscribe(names) => follower.subscribed(0, &names, true),
            Action::ReadHeads(names) => {
                follower.heads(0, names.into_iter().map(|name| (name, 0)).collect());
            }
            Action::Unsubscribe(_)
            | Action::ReadEvents { .. }
            | Action::Deliver(_)
            | Action::Resync(_)
            | Action::Settled(_) => {}
        }
    }
    follower
}

fn measure(what: &str, count: u64, run: impl FnOnce() -> u64) {
    let begun = Instant::now();
    let delivered = run();
    let each = begun.elapsed().as_nanos() as u64 / count;
    println!("{what:<58} {each:>6} ns ({delivered} delivered)");
}

fn drain(follower: &mut Follower<u64>) -> u64 {
    let mut delivered = 0;
    while let Some(action) = follower.next_action() {
        delivered += u64::from(matches!(action, Action::Deliver(_)));
    }
    delivered
}

fn main() {
    let streams: Vec<Topic> = (0..STREAMS).map(topic).collect();
    let strange: Vec<Topic> = (STREAMS..2 * STREAMS).map(topic).collect();
    let turns = EVENTS / STREAMS;

    let mut follower = node(&streams);
    measure("heard of a stream that nobody follows", EVENTS, || {
        let mut delivered = 0;
        for turn in 1..=turns {
            for (nth, stream) in (0..).zip(&strange) {
                let pos = turn * STREAMS + nth;
                follower.heard(0, 2, stream, turn, pos, Some(pos));
                delivered += drain(&mut follower);
            }
        }
        delivered
    });
    measure("heard and delivered", EVENTS, || {
        let mut delivered = 0;
        for turn in 1..=turns {
            for (nth, stream) in (0..).zip(&streams) {
                let pos = EVENTS + turn * STREAMS + nth;
                follower.heard(0, 2, stream, turn, pos, Some(pos));
                delivered += drain(&mut follower);
            }
        }
        delivered
    });
    let mut follower = node(&streams);
    measure("heard in the wrong order, two by two, and delivered", EVENTS, || {
        let mut delivered = 0;
        for turn in 0..turns / 2 {
            for (nth, stream) in (0..).zip(&streams) {
                let pos = (turn * STREAMS + nth) * 2;
                follower.heard(0, 2, stream, turn * 2 + 2, pos + 2, Some(pos));
                follower.heard(0, 3, stream, turn * 2 + 1, pos + 1, Some(pos));
                delivered += drain(&mut follower);
            }
        }
        delivered
    });
    let mut follower = node(&streams);
    measure("own and delivered", EVENTS, || {
        let mut delivered = 0;
        for turn in 1..=turns {
            for (nth, stream) in (0..).zip(&streams) {
                let pos = turn * STREAMS + nth;
                follower
                    .own(0, Item { stream: stream.clone(), seq: turn, pos, origin: 1, event: pos });
                delivered += drain(&mut follower);
            }
        }
        delivered
    });
    let heads = streams.iter().map(|stream| (fingerprint(stream.as_str()), turns)).collect();
    let beat = Beat { pos: 3 * EVENTS, heads, ..Beat::default() };
    measure("a head in a beat, delivered already", STREAMS * 10, || {
        for _ in 0..10 {
            follower.beat_heard(0, 2, &beat);
        }
        drain(&mut follower)
    });
}
