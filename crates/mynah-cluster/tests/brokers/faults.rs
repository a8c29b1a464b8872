//! Brokers that go away, fall silent, talk nonsense or are too slow.

use std::time::Duration;

use mynah_cluster::{Limits, Timing};
use mynah_hub::{BrokerEvent, Topic};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use crate::node::{Kind, Node, alert, message, short};
use crate::servers::{PATIENCE, Proxy};
use crate::{for_each_kind, server};

for_each_kind!(
    after_a_restart_all_is_heard_again_before_up,
    it_starts_before_its_broker,
    a_black_hole_is_noticed,
    a_server_that_talks_nonsense_is_left_alone,
    what_finds_the_queue_full_is_dropped_and_told_once,
    a_node_that_reads_nothing_misses_and_is_told,
    many_attempts_are_spread,
);

async fn after_a_restart_all_is_heard_again_before_up(kind: Kind) {
    let mut server = server(kind).await;
    let (mut ann, mut bob) = (Node::up(kind, server.port).await, Node::up(kind, server.port).await);
    let channels: Vec<Topic> = (0..3000).map(|number| Topic::new(format!("r:{number}"))).collect();
    assert!(bob.broker.subscribe(channels).await);
    for _ in 0..3 {
        server.kill().await;
        ann.expect(BrokerEvent::Down).await;
        bob.expect(BrokerEvent::Down).await;
        assert!(!bob.broker.stats().is_up);
        assert!(!bob.hear(&["later"]).await, "there is no connection");
        bob.broker.unsubscribe(vec![Topic::new("r:7")]).await;
        ann.say("r:1", "lost");
        ann.say("r:1", "lost too");
        ann.expect(BrokerEvent::Unsent).await;
        server.start_again().await;
        bob.expect(BrokerEvent::Up).await;
        ann.expect(BrokerEvent::Up).await;
        for channel in ["r:7", "r:0", "r:2999", "later"] {
            ann.say(channel, "again");
        }
        for channel in ["r:0", "r:2999", "later"] {
            bob.expect(message(channel, "again")).await;
        }
    }
    assert_eq!((ann.broker.stats().unsent, bob.broker.stats().connects), (6, 4));
}

async fn it_starts_before_its_broker(kind: Kind) {
    let mut server = server(kind).await;
    server.kill().await;
    let mut ann = Node::new(kind, server.port);
    ann.expect(BrokerEvent::Down).await;
    assert!(!ann.hear(&["r:1"]).await);
    server.start_again().await;
    ann.expect(BrokerEvent::Up).await;
    let bob = Node::up(kind, server.port).await;
    bob.say("r:1", "hello");
    ann.expect(message("r:1", "hello")).await;
}

async fn a_black_hole_is_noticed(kind: Kind) {
    let server = server(kind).await;
    let proxy = Proxy::to(server.port).await;
    let place = format!("127.0.0.1:{}", proxy.port);
    let mut ann = Node::with(kind, &place, Limits::default(), alert());
    ann.expect(BrokerEvent::Up).await;
    let bob = Node::up(kind, server.port).await;
    assert!(ann.hear(&["r:1"]).await);
    proxy.set_silent(true);
    let waiting = tokio::spawn({
        let broker = ann.broker.clone();
        async move { broker.subscribe(vec![Topic::new("r:2")]).await }
    });
    ann.expect(BrokerEvent::Down).await;
    assert!(!waiting.await.unwrap(), "nobody waits for ever");
    proxy.set_silent(false);
    ann.expect(BrokerEvent::Up).await;
    for channel in ["r:1", "r:2"] {
        bob.say(channel, "hello");
        ann.expect(message(channel, "hello")).await;
    }
}

async fn a_server_that_talks_nonsense_is_left_alone(kind: Kind) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut ann = Node::new(kind, listener.local_addr().unwrap().port());
    for garbage in
        [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\0\xff\r\n", b"INFO {\r\n", b"-ERR no\r\n"]
    {
        let (mut peer, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        drop(peer.write_all(garbage).await);
        // It hangs up by itself.
        let mut heard = Vec::new();
        drop(timeout(PATIENCE, peer.read_to_end(&mut heard)).await.expect("it hangs up"));
    }
    ann.expect(BrokerEvent::Down).await;
    assert_eq!(ann.broker.stats().connects, 0);
}

async fn what_finds_the_queue_full_is_dropped_and_told_once(kind: Kind) {
    let server = server(kind).await;
    let proxy = Proxy::to(server.port).await;
    let limits =
        Limits { queue_bytes_max: 100_000, message_bytes_max: 50_000, ..Limits::default() };
    let place = format!("127.0.0.1:{}", proxy.port);
    let timing = Timing { ping_timeout: Duration::from_mins(1), ..Timing::default() };
    let mut ann = Node::with(kind, &place, limits, timing);
    ann.expect(BrokerEvent::Up).await;
    ann.say("r:1", vec![0; 50_001]);
    ann.expect(BrokerEvent::Unsent).await;
    proxy.set_silent(true);
    // What the kernel and the proxy hold, then the queue.
    let began = Instant::now();
    while ann.broker.stats().unsent < 1000 {
        assert!(began.elapsed() < PATIENCE);
        ann.say("r:1", vec![0; 40_000]);
        tokio::task::yield_now().await;
    }
    ann.expect(BrokerEvent::Unsent).await;
    proxy.set_silent(false);
    let mut bob = Node::up(kind, server.port).await;
    assert!(bob.hear(&["r:2"]).await);
    ann.until_taken("r:2").await;
    bob.expect(message("r:2", "after")).await;
    assert!(ann.broker.stats().is_up);
}

impl Node {
    /// Says it until the queue has room for it.
    async fn until_taken(&self, channel: &str) {
        let began = Instant::now();
        loop {
            let unsent = self.broker.stats().unsent;
            self.say(channel, "after");
            if self.broker.stats().unsent == unsent {
                return;
            }
            assert!(began.elapsed() < PATIENCE);
            tokio::task::yield_now().await;
        }
    }
}

async fn a_node_that_reads_nothing_misses_and_is_told(kind: Kind) {
    let server = server(kind).await;
    let limits = Limits { inbox_messages_max: 100, ..Limits::default() };
    let mut bob = Node::with(kind, &format!("127.0.0.1:{}", server.port), limits, short());
    bob.expect(BrokerEvent::Up).await;
    assert!(bob.hear(&["r:1"]).await);
    let ann = Node::up(kind, server.port).await;
    for number in 0..1000 {
        ann.say("r:1", format!("{number}"));
    }
    let began = Instant::now();
    while bob.broker.stats().received + bob.broker.stats().missed < 1000 {
        assert!(began.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    for number in 0..100 {
        bob.expect(message("r:1", format!("{number}"))).await;
    }
    bob.expect(BrokerEvent::Missed).await;
    ann.say("r:1", "after");
    bob.expect(message("r:1", "after")).await;
    assert_eq!(bob.broker.stats().missed, 900);
}

async fn many_attempts_are_spread(kind: Kind) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let timing = Timing { retry_max: Duration::from_millis(200), ..Timing::default() };
    let began = Instant::now();
    let _ann = Node::with(kind, &place, Limits::default(), timing);
    // Each is hung up on at once; Redis takes two connections for an attempt.
    for _ in 0..24 {
        drop(timeout(PATIENCE, listener.accept()).await.expect("it tries again").unwrap());
    }
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
}
