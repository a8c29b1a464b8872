//! The server goes: sessions finish, say goodbye and are told to come back elsewhere.

use mynah_protocol::websocket::{self, Decoder, Message, Role};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::listener;

/// A WebSocket client.
pub(super) struct Client {
    socket: TcpStream,
    decoder: Decoder,
    messages: Vec<Message>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr, query: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /socket.io/?transport=websocket&{query} HTTP/1.1\r\nHost: mynah\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let decoder = Decoder::new(Role::Client, websocket::Limits::default());
        Self { socket, decoder, messages: Vec::new() }
    }

    pub(super) async fn send(&mut self, packet: &str) {
        let mut frame = Vec::new();
        websocket::encode_masked(websocket::OpCode::Text, packet.as_bytes(), [7; 4], &mut frame);
        self.socket.write_all(&frame).await.unwrap();
    }

    pub(super) async fn next(&mut self) -> Message {
        while self.messages.is_empty() {
            let mut bytes = vec![0; 4096];
            let read = self.socket.read(&mut bytes).await.unwrap();
            assert!(read > 0, "the connection ended");
            let messages = &mut self.messages;
            self.decoder.feed(&mut bytes[..read], &mut |m| messages.push(m)).unwrap();
        }
        self.messages.remove(0)
    }

    pub(super) async fn text(&mut self) -> String {
        let message = self.next().await;
        let Message::Text(text) = message else { panic!("{message:?}") };
        text
    }

    /// Reads on to the end of the connection, in which nothing comes.
    pub(super) async fn ended(&mut self) {
        let mut bytes = [0; 64];
        let read = self.socket.read(&mut bytes).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }

    async fn assert_told_to_come_back(&mut self) {
        assert_eq!(self.text().await, "4goodbye");
        let message = self.next().await;
        let Message::Close { code, .. } = message else { panic!("{message:?}") };
        assert_eq!(code, Some(1012));
    }
}

pub(super) async fn serve(house: &House) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = house.edge.router();
    tokio::spawn(async move {
        let (_stop, stopped) = watch::channel(listener::Stage::Open);
        listener::serve(listener, router, 100, stopped).await;
    });
    address
}

#[tokio::test]
async fn websockets_finish_and_are_told_to_come_back() {
    let house = House::new();
    let address = serve(&house).await;
    for query in ["EIO=4", "EIO=3"] {
        let mut client = Client::connect(address, query).await;
        assert!(client.text().await.starts_with("0{"));
        // What was begun is finished first.
        client.send("4wait").await;
        let begun = house.heard.lock().begun;
        house.until(|heard| heard.begun > begun).await;
        assert_eq!(house.edge.hub.ask_to_leave(usize::MAX).await, 1);
        house.gate.add_permits(1);
        client.assert_told_to_come_back().await;
        house.until(|heard| heard.texts.last().is_some_and(|text| text == "wait")).await;
    }
    house.until(|heard| heard.closed == 2).await;
}

#[tokio::test]
async fn a_session_that_has_changed_to_a_websocket_leaves_there() {
    let house = House::new();
    let address = serve(&house).await;
    let sid = house.open().await;
    let mut client = Client::connect(address, &format!("EIO=4{sid}")).await;
    client.send("2probe").await;
    assert_eq!(client.text().await, "3probe");
    client.send("5").await;
    client.send("4echo").await;
    assert_eq!(client.text().await, "4back");
    assert_eq!(client.next().await, Message::Binary(BYTES.into()));
    assert_eq!(house.edge.hub.ask_to_leave(usize::MAX).await, 1);
    client.assert_told_to_come_back().await;
    house.until(|heard| heard.closed == 1).await;
}

#[tokio::test]
async fn polling_sessions_leave_with_their_next_poll() {
    let house = House::new();
    for (method, waits) in [("GET", true), ("GET", false)] {
        let sid = house.open().await;
        let poll = house.call(method, &sid, "");
        tokio::pin!(poll);
        let (hub, closed) = (house.edge.hub.clone(), house.heard.lock().closed);
        if waits {
            tokio::select! {
                response = &mut poll => panic!("{response:?}"),
                () = async { for _ in 0..100 { tokio::task::yield_now().await } } => {}
            }
        }
        assert_eq!(hub.ask_to_leave(usize::MAX).await, 1);
        let mut told = text(poll.await).await;
        if told == "4goodbye" {
            told = format!("{told}\u{1e}{}", text(house.call("GET", &sid, "").await).await);
        }
        assert_eq!(told, "4goodbye\u{1e}1");
        house.until(|heard| heard.closed > closed).await;
    }
}
