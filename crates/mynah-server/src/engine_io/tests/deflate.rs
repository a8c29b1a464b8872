//! permessage-deflate on real sockets.

use mynah_protocol::websocket::deflate::compress;
use mynah_protocol::websocket::{Decoder, Message, OpCode, Role, encode_masked};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// A client that has sent its handshake, and the head of the answer.
struct Client {
    socket: TcpStream,
    decoder: Decoder,
    head: String,
    /// First bytes of the frames that came.
    first_bytes: Vec<u8>,
}

impl Client {
    async fn call(house: &House, extensions: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Arc::clone(&house.edge).router();
        let (stop, stopped) = watch::channel(crate::listener::Stage::Open);
        tokio::spawn(async move {
            crate::listener::serve(listener, router, 10, stopped).await;
            drop(stop);
        });
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let decoder = Decoder::new(Role::Client, mynah_protocol::websocket::Limits::default());
        let head = String::from_utf8(head).unwrap().to_lowercase();
        Self { socket, decoder: decoder.with_deflate(), head, first_bytes: Vec::new() }
    }

    async fn send(&mut self, text: &str, compressed: bool) {
        let mut frame = Vec::new();
        if compressed {
            encode_masked(OpCode::Text, &compress(text.as_bytes(), 15), [1, 2, 3, 4], &mut frame);
            frame[0] |= 0x40;
        } else {
            encode_masked(OpCode::Text, text.as_bytes(), [1, 2, 3, 4], &mut frame);
        }
        self.socket.write_all(&frame).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        let mut messages = Vec::new();
        let mut is_first = true;
        while messages.is_empty() {
            let mut byte = [self.socket.read_u8().await.unwrap()];
            if std::mem::take(&mut is_first) {
                self.first_bytes.push(byte[0]);
            }
            self.decoder.feed(&mut byte, &mut |message| messages.push(message)).unwrap();
        }
        messages.remove(0)
    }

    /// Says `long` and gives the first byte of the answer.
    async fn ask(&mut self, compressed: bool) -> u8 {
        self.send("4long", compressed).await;
        assert_eq!(self.next().await, Message::Text(format!("4{}", "word ".repeat(400))));
        *self.first_bytes.last().unwrap()
    }
}

fn house(is_on: bool) -> House {
    House::changed(Limits::default(), |options| options.per_message_deflate = is_on)
}

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const PLAIN: u8 = 0x81;
const COMPRESSED: u8 = 0xC1;

#[tokio::test]
async fn long_messages_are_compressed_both_ways_for_who_offers_it() {
    let house = house(true);
    let mut client = Client::call(&house, OFFER).await;
    assert!(client.head.contains(
        "sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
         client_no_context_takeover\r\n"
    ));
    assert!(matches!(client.next().await, Message::Text(open) if open.starts_with("0{")));
    assert_eq!(client.first_bytes, [PLAIN], "short");
    assert_eq!(client.ask(true).await, COMPRESSED);
    assert_eq!(client.ask(false).await, COMPRESSED);
    assert_eq!(house.heard.lock().texts, ["long", "long"]);
}

#[tokio::test]
async fn a_smaller_window_is_agreed_on_but_not_used() {
    let house = house(true);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=10\r\n";
    let mut client = Client::call(&house, offer).await;
    assert!(client.head.contains("; server_max_window_bits=10\r\n"));
    client.next().await;
    assert_eq!(client.ask(true).await, PLAIN);
}

#[tokio::test]
async fn nothing_is_compressed_without_an_offer_or_when_it_is_off() {
    for (is_on, offer) in [(true, ""), (false, OFFER)] {
        let house = house(is_on);
        let mut client = Client::call(&house, offer).await;
        assert!(!client.head.contains("sec-websocket-extensions"));
        client.next().await;
        assert_eq!(client.ask(false).await, PLAIN);
        client.send("4long", true).await;
        let closed = Message::Close { code: Some(1002), reason: String::new() };
        assert_eq!(client.next().await, closed);
    }
}

#[tokio::test]
async fn a_message_that_inflates_beyond_the_limit_closes_the_session() {
    let house = house(true);
    let mut client = Client::call(&house, OFFER).await;
    client.next().await;
    client.send(&"4".repeat(1_000_001), true).await;
    let closed = Message::Close { code: Some(1009), reason: String::new() };
    assert_eq!(client.next().await, closed);
    assert!(house.heard.lock().texts.is_empty());
}
