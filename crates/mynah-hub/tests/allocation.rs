//! Publishing allocates per publication, never per recipient.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use mynah_hub::{
    Class, CloseReason, Dialect, DialectRules, Frame, Keepalive, LazyFrames, Limits, Link,
    NewSession, Probing, Publication, Pulse, SessionEvents, SessionId, Shard, Socket, Topic,
};

/// Takes everything.
struct Sink;

impl Socket for Sink {
    fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(buffers.iter().map(|buffer| buffer.len()).sum())
    }

    fn writable(&self, _: &Waker) -> bool {
        true
    }

    fn shutdown(&self, _: Shutdown) {}
}

struct Deaf;

impl SessionEvents for Deaf {
    fn closed(&self, _: SessionId, _: CloseReason) {}
}

fn shard_with(members: usize, topic: &Topic) -> Shard<Sink> {
    let mut shard = Shard::new(0, Limits::default(), Arc::new([]), None, Arc::default());
    for member in 0..members {
        let new = NewSession {
            dialect: Dialect((member % 2) as u8),
            link: Link::Stream { socket: Sink, compact: false },
            events: Arc::new(Deaf),
            pulse: Pulse::default(),
        };
        let id = shard.attach(new).ok().expect("the shard has room");
        shard.subscribe(id, Dialect(0), topic);
    }
    shard
}

fn publish(shard: &mut Shard<Sink>, topic: &Topic, seq: u64) {
    shard.publish(&Publication {
        topic: topic.clone(),
        seq: Some(seq),
        pos: None,
        class: Class::Durable,
        except: None,
        frames: LazyFrames::new(|_| Some(Frame::stream_only(Bytes::from_static(b"hello")))),
    });
}

/// Allocations of a burst of four publications and its flush, once arenas have their size.
fn allocations(members: usize) -> u64 {
    let topic = Topic::new("room");
    let mut shard = shard_with(members, &topic);
    let mut seq = 0;
    let mut burst = |shard: &mut Shard<Sink>| {
        for _ in 0..4 {
            seq += 1;
            publish(shard, &topic, seq);
        }
        while shard.flush(128) {}
    };
    burst(&mut shard);
    let counted = allocation_counter::measure(|| burst(&mut shard));
    assert_eq!(shard.stats().deliveries, 8 * members as u64);
    counted.count_total
}

#[test]
fn a_thousand_recipients_cost_as_many_allocations_as_ten() {
    let few = allocations(10);
    assert!(few > 0, "the counter counts");
    assert_eq!(few, allocations(1_000));
}

/// What a publication in two dialects takes before its frames: it must not grow with the dialects
/// that exist.
#[test]
fn a_publication_in_two_dialects_costs_less_than_128_bytes() {
    let frame = Frame::stream_only(Bytes::from_static(b"hello"));
    let mut made = None;
    let counted = allocation_counter::measure(|| {
        let frame = frame.clone();
        let frames = LazyFrames::new(move |_| Some(frame.clone()));
        assert!(
            [Dialect(3), Dialect(255)].map(|dialect| frames.get(dialect).is_some()) == [true; 2]
        );
        made = Some(frames);
    });
    assert!(counted.bytes_current < 128, "{} bytes", counted.bytes_current);
}

/// The hub's own bytes for a session in four topics, one of them its own: what the goal of 5 kB
/// per session leaves for the rest depends on it. The number of sessions is a power of two, because
/// the spare capacity of a grown vector is counted here but is memory that nobody touched.
#[test]
fn a_session_in_four_topics_costs_less_than_600_bytes() {
    const SESSIONS: usize = 1 << 14;
    let rooms: Vec<Topic> = (0..SESSIONS / 10).map(|i| Topic::new(format!("room:{i}"))).collect();
    let keepalive = Keepalive {
        interval: Duration::from_secs(25),
        timeout: Duration::from_secs(20),
        spread: Duration::from_secs(1),
        probe: Frame::stream_only(Bytes::from_static(b"2")),
        probing: Probing::Always,
    };
    let rules = DialectRules { keepalive: Some(keepalive), farewell: None };
    let mut shard = Shard::new(0, Limits::default(), Arc::new([rules]), None, Arc::default());
    let events: Arc<dyn SessionEvents> = Arc::new(Deaf);
    let counted = allocation_counter::measure(|| {
        for member in 0..SESSIONS {
            let new = NewSession {
                dialect: Dialect(0),
                link: Link::Stream { socket: Sink, compact: false },
                events: Arc::clone(&events),
                pulse: Pulse::default(),
            };
            let id = shard.attach(new).ok().expect("the shard has room");
            let own = Topic::new(format!("user:0198c5a0-0000-7000-8000-{member:012}"));
            shard.subscribe(id, Dialect(0), &own);
            for step in 1..4 {
                let room = &rooms[(member + step * 7) % rooms.len()];
                shard.subscribe(id, Dialect(0), room);
            }
        }
    });
    let each = counted.bytes_current / SESSIONS as i64;
    assert!(each < 600, "{each} bytes per session");
    assert_eq!(shard.stats().subscriptions, 4 * SESSIONS as u64);
}
