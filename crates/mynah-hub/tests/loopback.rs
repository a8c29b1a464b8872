//! The hub over real TCP connections on the loopback interface.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mynah_hub::{
    AttachError, Class, Close, CloseReason, Dialect, DialectRules, Frame, Hub, HubConfig,
    Keepalive, LazyFrames, Limits, Link, NewSession, Probing, Publication, Pulse, SessionEvents,
    SessionId, TcpSocket, Topic, UpgradeError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// Passes what it is told to the test.
#[derive(Clone)]
struct Told {
    closed: mpsc::Sender<(SessionId, CloseReason)>,
    ended: mpsc::Sender<SessionId>,
}

impl SessionEvents for Told {
    fn closed(&self, id: SessionId, reason: CloseReason) {
        self.closed.try_send((id, reason)).expect("the test leaves room");
    }

    fn ended(&self, id: SessionId) {
        self.ended.try_send(id).expect("the test leaves room");
    }
}

struct Bench {
    hub: Hub,
    listener: TcpListener,
    told: mpsc::Receiver<(SessionId, CloseReason)>,
    ended: mpsc::Receiver<SessionId>,
    tell: Told,
}

impl Bench {
    async fn new(config: HubConfig) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let (closed, told) = mpsc::channel(64);
        let (tell_ended, ended) = mpsc::channel(64);
        let tell = Told { closed, ended: tell_ended };
        Self { hub: Hub::new(config), listener, told, ended, tell }
    }

    /// The client's end and the server's end of a new connection.
    async fn pair(&self) -> (TcpStream, TcpSocket) {
        let address = self.listener.local_addr().unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(address), self.listener.accept());
        (client.unwrap(), Arc::new(server.unwrap().0))
    }

    async fn attach(&self, link: Link<TcpSocket>) -> Result<SessionId, AttachError> {
        self.attach_with(link, Pulse::default()).await
    }

    async fn attach_with(
        &self,
        link: Link<TcpSocket>,
        pulse: Pulse,
    ) -> Result<SessionId, AttachError> {
        let events = Arc::new(self.tell.clone());
        self.hub.attach(NewSession { dialect: Dialect(0), link, events, pulse }).await
    }

    async fn subscribed(&self, topic: &str) -> (SessionId, TcpStream, TcpSocket) {
        let (client, server) = self.pair().await;
        let id = self.attach(stream(&server)).await.unwrap();
        self.hub.subscribe(id, Dialect(0), Topic::new(topic)).await;
        (id, client, server)
    }

    async fn publish(&self, topic: &str, seq: u64, bytes: Bytes) {
        let frame = Frame::new(bytes.clone(), bytes);
        let publication = Publication {
            topic: Topic::new(topic),
            seq: Some(seq),
            pos: None,
            class: Class::Durable,
            except: None,
            frames: LazyFrames::new(move |_| Some(frame.clone())),
        };
        self.hub.publish(publication).await;
    }
}

fn two_shards() -> HubConfig {
    HubConfig { shards: 2, ..HubConfig::default() }
}

fn stream(server: &TcpSocket) -> Link<TcpSocket> {
    Link::Stream { socket: Arc::clone(server), compact: false }
}

async fn read(client: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut out = vec![0; bytes];
    client.read_exact(&mut out).await.unwrap();
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_read_the_welcome_misses_nothing() {
    let bench = Bench::new(two_shards()).await;
    for round in 0..30 {
        let topic = format!("room {round}");
        let (mut client, server) = bench.pair().await;
        let id = bench.attach(stream(&server)).await.unwrap();
        let frame = |text: &'static str| Frame::new(text.into(), text.into());
        let (hub, room) = (bench.hub.clone(), Topic::new(topic.as_str()));
        let words = (frame("<hello>"), Some(frame("<you>")));
        let told = tokio::spawn(async move { hub.welcome(id, Dialect(0), room, words).await });
        assert_eq!(read(&mut client, 12).await, b"<hello><you>");
        bench.publish(&topic, 1, "<1>".into()).await;
        assert_eq!(read(&mut client, 3).await, b"<1>");
        assert!(told.await.unwrap());
    }
}

#[tokio::test]
async fn a_publication_reaches_the_subscribers_of_all_shards() {
    let bench = Bench::new(two_shards()).await;
    let mut members = Vec::new();
    for _ in 0..5 {
        members.push(bench.subscribed("room").await);
    }
    assert_eq!(bench.hub.members(&Topic::new("room")).await, 5);
    for seq in 1..=3 {
        bench.publish("room", seq, Bytes::from(format!("<{seq}>"))).await;
    }
    for (_, client, _) in &mut members {
        assert_eq!(read(client, 9).await, b"<1><2><3>");
    }
    let shards: std::collections::HashSet<u16> = members.iter().map(|(id, ..)| id.shard).collect();
    assert_eq!(shards.len(), 2);
}

#[tokio::test]
async fn a_history_far_above_the_bounds_is_replayed_to_a_reader_of_any_pace() {
    let limits = Limits { queue_bytes_max: 1 << 20, queue_frames_max: 64, ..Limits::default() };
    let mut bench = Bench::new(HubConfig { limits, ..HubConfig::default() }).await;
    let (id, mut client, _server) = bench.subscribed("room").await;
    let hub = bench.hub.clone();
    let replay = tokio::spawn(async move {
        for i in 0..=255_u8 {
            if !hub.drained(id).await {
                return false;
            }
            for _ in 0..4 {
                let part = Frame::stream_only(Bytes::from(vec![i; 65_536]));
                hub.send(id, part, Class::Durable).await;
            }
        }
        true
    });
    for i in 0..=255_u8 {
        assert!(read(&mut client, 4 * 65_536).await.iter().all(|&byte| byte == i));
    }
    assert!(replay.await.unwrap());
    bench.hub.detach(id, CloseReason::PeerGone).await;
    assert!(!bench.hub.drained(id).await);
    assert_eq!(bench.told.recv().await, Some((id, CloseReason::PeerGone)));
}

#[tokio::test]
async fn many_topics_are_held_resumed_and_left_with_one_command_each() {
    let bench = Bench::new(HubConfig::default()).await;
    let (mut client, server) = bench.pair().await;
    let id = bench.attach(stream(&server)).await.unwrap();
    let dialect = Dialect(0);
    let topics = [Topic::new("a"), Topic::new("b")];
    bench.hub.start_pos(7).await;
    assert_eq!(bench.hub.hold(id, dialect).await, Some(7));
    bench.hub.subscribe_many(id, dialect, topics.to_vec()).await;
    for (seq, text) in [(1, "1"), (2, "2")] {
        bench.publish("a", seq, Bytes::from(format!("<a{text}>"))).await;
        bench.publish("b", seq, Bytes::from(format!("<b{text}>"))).await;
    }
    let caught_up = topics.iter().cloned().zip([1, 0]).collect();
    bench.hub.resume(id, dialect, caught_up).await;
    assert_eq!(read(&mut client, 12).await, b"<b1><a2><b2>");
    bench.publish("b", 3, Bytes::from_static(b"<b3>")).await;
    assert_eq!(read(&mut client, 4).await, b"<b3>");
    bench.hub.unsubscribe_all(id, dialect).await;
    for topic in &topics {
        assert_eq!(bench.hub.members(topic).await, 0);
    }
    bench.hub.detach(id, CloseReason::PeerGone).await;
    assert_eq!(bench.hub.hold(id, dialect).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn megabytes_to_a_reader_that_starts_late_arrive_whole_and_in_order() {
    let limits = Limits { queue_bytes_max: 64 << 20, ..Limits::default() };
    let bench = Bench::new(HubConfig { limits, ..HubConfig::default() }).await;
    let (_, mut client, _server) = bench.subscribed("room").await;
    let frames: Vec<Bytes> = (0..200_u8).map(|i| Bytes::from(vec![i; 65_536])).collect();
    for (seq, frame) in frames.iter().enumerate() {
        bench.publish("room", seq as u64 + 1, frame.clone()).await;
    }
    bench.hub.members(&Topic::new("room")).await;
    for frame in frames {
        assert!(read(&mut client, frame.len()).await == frame);
    }
}

#[tokio::test]
async fn a_stopped_reader_is_closed_as_slow_while_others_get_everything() {
    let limits = Limits { queue_bytes_max: 1 << 20, ..Limits::default() };
    let mut bench = Bench::new(HubConfig { limits, ..HubConfig::default() }).await;
    let (stopped, _client, _server) = bench.subscribed("room").await;
    let (_, mut client, _other) = bench.subscribed("room").await;
    let mut seq = 0;
    let (id, reason) = loop {
        seq += 1;
        bench.publish("room", seq, Bytes::from(vec![seq as u8; 65_536])).await;
        assert!(read(&mut client, 65_536).await.iter().all(|&byte| byte == seq as u8));
        if let Ok(told) = bench.told.try_recv() {
            break told;
        }
    };
    assert_eq!((id, reason), (stopped, CloseReason::SlowConsumer));
}

#[tokio::test]
async fn close_sends_the_last_frame_and_ends_both_directions_in_time() {
    let limits = Limits { linger: Duration::from_millis(20), ..Limits::default() };
    let mut bench = Bench::new(HubConfig { limits, ..two_shards() }).await;
    let (id, mut client, server) = bench.subscribed("room").await;
    let last = Frame::stream_only(Bytes::from_static(b"bye"));
    let close = Close { reason: CloseReason::Named("logout"), last: Some(last) };
    bench.hub.close(id, close).await;
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "bye");
    assert_eq!(bench.told.recv().await, Some((id, CloseReason::Named("logout"))));
    // The peer keeps its side open, yet the reader of the server's end sees an end too.
    assert_eq!(read_to_end(&server).await, 0);
    assert_eq!(bench.ended.recv().await, Some(id));
    drop(client);
}

/// As a reader does after the session's end: takes all input, says how many bytes it was.
async fn read_to_end(server: &TcpSocket) -> usize {
    let (mut buffer, mut sum) = (vec![0; 4096], 0);
    loop {
        server.readable().await.unwrap();
        match server.try_read(&mut buffer) {
            Ok(0) => return sum,
            Ok(bytes) => sum += bytes,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

#[tokio::test]
async fn a_client_that_keeps_sending_gets_the_last_frame_and_an_end_without_reset() {
    // Only the peer's end can free the session in the time of a test.
    let linger = Duration::from_hours(1);
    let limits = Limits { linger, sessions_max: 1, ..Limits::default() };
    let mut bench = Bench::new(HubConfig { limits, ..HubConfig::default() }).await;
    let (client, server) = bench.pair().await;
    let pulse = Pulse::default();
    let id = bench.attach_with(stream(&server), pulse.clone()).await.unwrap();
    let (mut input, mut output) = client.into_split();
    // Unread when the hub closes: this is what would turn an end into a reset.
    let mut sent = 65_536;
    output.write_all(&vec![b'x'; sent]).await.unwrap();
    server.readable().await.unwrap();
    let last = Some(Frame::stream_only(Bytes::from_static(b"bye")));
    bench.hub.close(id, Close { reason: CloseReason::Named("logout"), last }).await;
    assert_eq!(bench.told.recv().await, Some((id, CloseReason::Named("logout"))));
    assert!(pulse.is_over());
    let reader = tokio::spawn({
        let (hub, server) = (bench.hub.clone(), Arc::clone(&server));
        async move {
            let bytes = read_to_end(&server).await;
            hub.detach(id, CloseReason::PeerGone).await;
            bytes
        }
    });
    for _ in 0..100 {
        output.write_all(&[b'x'; 4096]).await.unwrap();
        sent += 4096;
    }
    let mut text = String::new();
    input.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "bye");
    // It may go on even after it saw the end.
    output.write_all(b"x").await.unwrap();
    assert_eq!(bench.attach(Link::Polling).await, Err(AttachError::Full), "still closing");
    output.shutdown().await.unwrap();
    assert_eq!(reader.await.unwrap(), sent + 1);
    assert_eq!(bench.ended.recv().await, Some(id));
    assert!(bench.attach(Link::Polling).await.is_ok());
}

#[tokio::test]
async fn a_session_moves_from_polling_to_a_stream() {
    let bench = Bench::new(HubConfig::default()).await;
    let id = bench.attach(Link::Polling).await.unwrap();
    bench.hub.subscribe(id, Dialect(0), Topic::new("room")).await;
    let (reply, answer) = oneshot::channel();
    bench.hub.poll(id, reply).await;
    bench.publish("room", 1, Bytes::from_static(b"<1>")).await;
    assert_eq!(answer.await.unwrap().packets, ["<1>"]);
    bench.publish("room", 2, Bytes::from_static(b"<2>")).await;
    let (mut client, server) = bench.pair().await;
    let noop = Frame::packet_only(Bytes::from_static(b"6"));
    bench.hub.upgrade(id, Arc::clone(&server), false, noop.clone()).await.unwrap();
    bench.publish("room", 3, Bytes::from_static(b"<3>")).await;
    assert_eq!(read(&mut client, 6).await, b"<2><3>");
    let again = bench.hub.upgrade(id, server, false, noop).await;
    assert_eq!(again, Err(UpgradeError::NotPolling));
    let (reply, answer) = oneshot::channel();
    bench.hub.poll(id, reply).await;
    assert!(answer.await.is_err(), "a stream does not poll");
}

#[tokio::test]
async fn a_silent_peer_is_probed_and_closed() {
    let keepalive = Keepalive {
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(20),
        spread: Duration::ZERO,
        probe: Frame::stream_only(Bytes::from_static(b"2")),
        probing: Probing::Always,
    };
    let dialects = vec![DialectRules { keepalive: Some(keepalive), farewell: None }];
    let mut bench = Bench::new(HubConfig { dialects, ..HubConfig::default() }).await;
    let (id, mut client, _server) = bench.subscribed("room").await;
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "2");
    assert_eq!(bench.told.recv().await, Some((id, CloseReason::PingTimeout)));
}

#[tokio::test]
async fn a_peer_that_resets_ends_the_session_at_the_next_write() {
    let mut bench = Bench::new(HubConfig::default()).await;
    let (id, mut client, server) = bench.subscribed("room").await;
    // Unread input turns the client's close into a reset.
    bench.publish("room", 1, Bytes::from_static(b"unread")).await;
    client.readable().await.unwrap();
    client.write_all(b"x").await.unwrap();
    drop(client);
    server.ready(tokio::io::Interest::ERROR).await.unwrap();
    bench.publish("room", 2, Bytes::from_static(b"late")).await;
    assert_eq!(bench.told.recv().await, Some((id, CloseReason::LinkFailed)));
}

#[tokio::test]
async fn the_last_handle_ends_all_sessions() {
    let mut bench = Bench::new(two_shards()).await;
    let (_, mut client, _server) = bench.subscribed("room").await;
    bench.hub = Hub::new(HubConfig::default());
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert_eq!(bench.told.recv().await.unwrap().1, CloseReason::HubStopped);
}

#[tokio::test]
async fn a_full_hub_refuses() {
    let limits = Limits { sessions_max: 3, ..Limits::default() };
    let bench = Bench::new(HubConfig { limits, ..two_shards() }).await;
    let mut shards = Vec::new();
    let mut first = None;
    for _ in 0..3 {
        let id = bench.attach(Link::Polling).await.unwrap();
        shards.push(id.shard);
        first.get_or_insert(id);
    }
    assert_eq!(shards, [0, 1, 0], "the bound is for both together");
    for _ in 0..2 {
        assert_eq!(bench.attach(Link::Polling).await, Err(AttachError::Full));
    }
    bench.hub.detach(first.unwrap(), CloseReason::PeerGone).await;
    // Answered after what was commanded before: the place is free.
    bench.hub.members(&Topic::new("room")).await;
    let id = bench.attach(Link::Polling).await.unwrap();
    assert_eq!(id.shard, 1, "a place freed in one shard is free for the other");
    assert_eq!(bench.attach(Link::Polling).await, Err(AttachError::Full));
}

#[tokio::test]
async fn sessions_of_all_shards_are_asked_to_leave_alike() {
    let bench = Bench::new(two_shards()).await;
    let mut pulses = Vec::new();
    for _ in 0..8 {
        let pulse = Pulse::default();
        let id = bench.attach_with(Link::Polling, pulse.clone()).await.unwrap();
        pulses.push((id, pulse));
    }
    let reader = tokio::spawn({
        let pulse = pulses[7].1.clone();
        std::future::poll_fn(move |cx| pulse.poll_leaving(cx))
    });
    assert_eq!(bench.hub.ask_to_leave(4).await, 4);
    let left = |shard| pulses.iter().filter(|(id, p)| id.shard == shard && p.is_leaving()).count();
    assert_eq!((left(0), left(1)), (2, 2));
    // One shard has fewer left than its share.
    for (id, pulse) in pulses.iter().filter(|(id, _)| id.shard == 1) {
        if !pulse.is_leaving() {
            bench.hub.detach(*id, CloseReason::PeerGone).await;
            pulse.leave();
        }
    }
    assert_eq!(bench.hub.ask_to_leave(2).await, 2);
    assert_eq!(bench.hub.ask_to_leave(usize::MAX).await, 0);
    assert_eq!((left(0), left(1)), (4, 4));
    reader.await.unwrap();
}
