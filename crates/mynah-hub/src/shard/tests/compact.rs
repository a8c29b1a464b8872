//! Frames that some streams take in a smaller form.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const ALL: usize = usize::MAX;

/// `<xxxxx>` becomes `<5>`, if that is smaller; `<panic>` is a bug in the compressor.
fn shrink(stream: &[u8]) -> Option<Bytes> {
    assert_ne!(stream, b"<panic>");
    let inner = stream.len() - 2;
    stream[1..=inner].iter().all(|&byte| byte == b'x').then(|| format!("<{inner}>").into())
}

struct Streams {
    house: House,
    compact: (SessionId, FakeSocket),
    plain: FakeSocket,
}

impl Streams {
    fn new(compact: crate::Compact, room: usize) -> Self {
        let mut house = House::plain();
        let limits = Limits::default();
        house.shard = Shard::new(0, limits, Arc::new([]), Some(compact), Arc::default());
        let socket = FakeSocket::new(room);
        let link = Link::Stream { socket: socket.clone(), compact: true };
        let id = house.attach(link, Pulse::default());
        house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
        let (_, plain) = house.subscribed(ALL, "room");
        Self { house, compact: (id, socket), plain }
    }

    fn texts(&self) -> (String, String) {
        (self.compact.1.text(), self.plain.text())
    }
}

#[test]
fn a_stream_that_agreed_gets_the_compact_form_and_others_the_plain_one() {
    let mut streams = Streams::new(shrink, ALL);
    for (seq, text) in [(1, "xxxxxxxxxx"), (2, "other"), (3, "x"), (4, "panic")] {
        streams.house.publish("room", Some(seq), text);
    }
    streams.house.flush();
    let plain = "<xxxxxxxxxx><other><x><panic>";
    assert_eq!(streams.texts(), ("<10><other><x><panic>".into(), plain.into()));
    let stats = streams.house.stats();
    assert_eq!((stats.deliveries, stats.bytes_written), (8, 21 + plain.len() as u64));
    assert_eq!((stats.queued_frames, stats.queued_bytes), (0, 0));
}

#[test]
fn every_cut_of_the_writes_gives_the_same_compact_bytes() {
    for step in 1..8 {
        let mut streams = Streams::new(shrink, 0);
        for (seq, text) in [(1, "xxxxxxxxxx"), (2, "other"), (3, "xxxxxxxxxxxxx")] {
            streams.house.publish("room", Some(seq), text);
        }
        streams.house.flush();
        for _ in 0..20 {
            streams.compact.1.give_room(step);
            streams.house.flush();
        }
        assert_eq!(streams.texts().0, "<10><other><13>", "{step} bytes at a time");
        assert_eq!(streams.house.stats().queued_frames, 0);
    }
}

#[test]
fn all_recipients_share_one_compression_and_nobody_pays_for_what_is_not_written() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fn counted(stream: &[u8]) -> Option<Bytes> {
        MADE.fetch_add(1, Ordering::Relaxed);
        shrink(stream)
    }
    let mut streams = Streams::new(counted, ALL);
    let sockets: Vec<FakeSocket> = (0..5)
        .map(|_| {
            let id = streams.house.polling();
            streams.house.shard.subscribe(id, Dialect(0), &Topic::new("room"));
            let socket = FakeSocket::new(ALL);
            let noop = frame("6");
            assert!(streams.house.shard.upgrade(id, (socket.clone(), true), &noop).is_ok());
            socket
        })
        .collect();
    streams.house.publish("room", Some(1), "xxxxxxxxxx");
    assert_eq!(MADE.load(Ordering::Relaxed), 0, "not before it is written");
    streams.house.flush();
    assert!(sockets.iter().all(|socket| socket.text() == "<10>"));
    assert_eq!(MADE.load(Ordering::Relaxed), 1);
    streams.house.publish("room", Some(2), "xxxx");
    for (slot, _) in sockets.iter().enumerate() {
        let id = SessionId { shard: 0, slot: slot as u32 + 2, generation: 0 };
        streams.house.shard.detach(id, CloseReason::PeerGone);
    }
    let id = streams.compact.0;
    streams.house.shard.detach(id, CloseReason::PeerGone);
    streams.house.flush();
    assert_eq!(
        (streams.texts().1.as_str(), MADE.load(Ordering::Relaxed)),
        ("<xxxxxxxxxx><xxxx>", 1)
    );
}
