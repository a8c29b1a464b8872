//! The proxy between a client and an echo, over loopback.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::{Mode, Proxy, Way};

/// Longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// How long nothing must come to count as nothing.
const SILENCE: Duration = Duration::from_millis(60);

async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                drop(tokio::io::copy(&mut read, &mut write).await);
            });
        }
    });
    address
}

async fn client(proxy: &Proxy) -> TcpStream {
    let address = proxy.listen(echo().await).await.expect("a listener");
    TcpStream::connect(address).await.expect("connected")
}

async fn back(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    timeout(LIMIT, stream.read_exact(&mut bytes)).await.expect("in time").expect("read");
    bytes
}

async fn is_silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

/// How the stream ends: true for a reset, false for an ordinary end.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let end = timeout(LIMIT, stream.read_to_end(&mut rest)).await.expect("it ends");
    end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn what_passes_is_whole_and_counted() {
    let proxy = Proxy::new();
    let mut stream = client(&proxy).await;
    let sent: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut read, mut write) = stream.split();
    let mut got = vec![0; sent.len()];
    let (written, read) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
    written.expect("written");
    read.expect("read");
    assert_eq!(got, sent);
    let traffic = proxy.traffic();
    assert_eq!((traffic.accepted, traffic.open, traffic.ended), (1, 1, 0));
    assert_eq!((traffic.up_bytes, traffic.down_bytes), (200_000, 200_000));
}

#[tokio::test]
async fn an_end_is_passed_on_in_its_direction_only() {
    let proxy = Proxy::new();
    let mut stream = client(&proxy).await;
    stream.write_all(b"last").await.expect("written");
    stream.shutdown().await.expect("closed");
    assert_eq!(back(&mut stream, 4).await, b"last");
    assert!(!is_reset(&mut stream).await);
}

#[tokio::test]
async fn cut_and_close_end_what_is_there_and_what_comes() {
    for (mode, resets) in [(Mode::Cut, true), (Mode::Close, false)] {
        let proxy = Proxy::new();
        let address = proxy.listen(echo().await).await.expect("a listener");
        let mut old = TcpStream::connect(address).await.expect("connected");
        old.write_all(b"x").await.expect("written");
        back(&mut old, 1).await;
        proxy.set(mode);
        assert_eq!(is_reset(&mut old).await, resets, "{mode:?}");
        // It may be over before the connection is known to stand.
        if let Ok(mut new) = TcpStream::connect(address).await {
            assert_eq!(is_reset(&mut new).await, resets, "{mode:?}");
        }
        proxy.set(Mode::Pass);
        let mut new = TcpStream::connect(address).await.expect("connected");
        new.write_all(b"again").await.expect("written");
        assert_eq!(back(&mut new, 5).await, b"again");
        assert!(proxy.traffic().ended >= 1);
    }
}

#[tokio::test]
async fn a_black_hole_keeps_back_and_then_goes_on() {
    let proxy = Proxy::new();
    let mut stream = client(&proxy).await;
    stream.write_all(b"a").await.expect("written");
    assert_eq!(back(&mut stream, 1).await, b"a");
    for way in [Way::Up, Way::Down, Way::Both] {
        proxy.set(Mode::BlackHole(way));
        stream.write_all(b"bc").await.expect("written");
        assert!(is_silent(&mut stream).await, "{way:?}");
        proxy.set(Mode::Pass);
        assert_eq!(back(&mut stream, 2).await, b"bc", "{way:?}");
    }
}

#[tokio::test]
async fn a_black_hole_one_way_lets_the_other_way_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = Proxy::new();
    let target = listener.local_addr().expect("an address");
    let address = proxy.listen(target).await.expect("a listener");
    let mut client = TcpStream::connect(address).await.expect("connected");
    let (mut server, _) = listener.accept().await.expect("accepted");
    proxy.set(Mode::BlackHole(Way::Up));
    client.write_all(b"up").await.expect("written");
    server.write_all(b"down").await.expect("written");
    assert_eq!(back(&mut client, 4).await, b"down");
    assert!(is_silent(&mut server).await);
    proxy.set(Mode::BlackHole(Way::Down));
    assert_eq!(back(&mut server, 2).await, b"up");
    server.write_all(b"more").await.expect("written");
    assert!(is_silent(&mut client).await);
}

#[tokio::test]
async fn a_budget_is_kept_to_the_byte() {
    for budget in [1, 7, 4096, 30_000] {
        let proxy = Proxy::new();
        let mut stream = client(&proxy).await;
        proxy.set(Mode::DropAfter(Way::Up, budget));
        // The reset may overtake what is being written.
        drop(stream.write_all(&vec![1; 50_000]).await);
        assert!(is_reset(&mut stream).await, "{budget}");
        assert_eq!(proxy.traffic().up_bytes, budget as u64);
    }
}

#[tokio::test]
async fn one_connection_may_have_a_mode_of_its_own() {
    let proxy = Proxy::new();
    let address = proxy.listen(echo().await).await.expect("a listener");
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"x").await.expect("written");
        back(&mut stream, 1).await;
        streams.push(stream);
    }
    let numbers = proxy.connections();
    assert_eq!(numbers.len(), 2);
    assert!(proxy.set_one(numbers[0], Mode::Cut));
    assert!(!proxy.set_one(99, Mode::Cut));
    assert!(is_reset(&mut streams[0]).await);
    streams[1].write_all(b"y").await.expect("written");
    assert_eq!(back(&mut streams[1], 1).await, b"y");
    proxy.reset_open();
    assert!(is_reset(&mut streams[1]).await);
}

#[tokio::test]
async fn delay_and_rate_take_their_time() {
    let proxy = Proxy::new();
    let mut stream = client(&proxy).await;
    let began = Instant::now();
    proxy.set(Mode::Delay(Way::Down, Duration::from_millis(80)));
    stream.write_all(b"late").await.expect("written");
    back(&mut stream, 4).await;
    assert!(began.elapsed() >= Duration::from_millis(80));
    let began = Instant::now();
    proxy.set(Mode::Rate(10_000));
    stream.write_all(&[7; 1_000]).await.expect("written");
    back(&mut stream, 1_000).await;
    assert!(began.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn flapping_cuts_again_and_again() {
    let proxy = Proxy::new();
    let address = proxy.listen(echo().await).await.expect("a listener");
    let few = Duration::from_millis(15);
    proxy.set(Mode::Flap { up: few, down: few });
    timeout(LIMIT, async {
        while proxy.traffic().ended < 5 {
            if let Ok(mut stream) = TcpStream::connect(address).await {
                drop(stream.read_u8().await);
            }
        }
    })
    .await
    .expect("cut in time");
    proxy.set(Mode::Pass);
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"calm").await.expect("written");
    assert_eq!(back(&mut stream, 4).await, b"calm");
}

#[tokio::test]
async fn who_listens_for_nobody_resets() {
    let proxy = Proxy::new();
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = gone.local_addr().expect("an address");
    drop(gone);
    let address = proxy.listen(target).await.expect("a listener");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    assert!(is_reset(&mut stream).await);
    assert_eq!(proxy.traffic().unreachable, 1);
}
