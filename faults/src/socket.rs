//! One Socket.IO client over WebSocket, in the vocabulary `native`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use mynah_protocol::engine_io;
use mynah_protocol::socket_io::{self, MAIN_NAMESPACE, Packet};
use mynah_protocol::websocket::{self, Message, OpCode, Role};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The sample key of RFC 6455 section 1.3: any key will do.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const READ_BYTES: usize = 65_536;
const HEAD_BYTES_MAX: usize = 16_384;
/// Catching up may take many events in one message, but not that many.
const MESSAGE_BYTES_MAX: usize = 16_000_000;
/// Any mask is as good as another to a server.
const MASK: [u8; 4] = [0x5a, 0xc3, 0x17, 0x88];

/// What a client hears.
#[derive(Debug)]
pub(crate) enum Heard {
    Event { name: String, body: Value },
    Ack { id: u64, body: Value },
}

/// A connected client.
pub(crate) struct Socket {
    stream: TcpStream,
    frames: websocket::Decoder,
    packets: socket_io::Decoder,
    heard: VecDeque<Heard>,
    next_id: u64,
    buffer: Vec<u8>,
}

impl Socket {
    /// Connects and waits for `connection.ready`, whose body is returned too. `since` is the last seq per room.
    pub(crate) async fn open(
        address: SocketAddr,
        token: &str,
        since: &Value,
        limit: Duration,
    ) -> Result<(Self, Value)> {
        timeout(limit, Self::connect(address, token, since)).await.context("not ready in time")?
    }

    async fn connect(address: SocketAddr, token: &str, since: &Value) -> Result<(Self, Value)> {
        let mut stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut rest = answer_head(&mut stream).await?;
        let limits =
            websocket::Limits { message_bytes_max: MESSAGE_BYTES_MAX, ..Default::default() };
        let packets = socket_io::Limits::default();
        let mut socket = Self {
            stream,
            frames: websocket::Decoder::new(Role::Client, limits),
            packets: socket_io::Decoder::new(packets),
            heard: VecDeque::new(),
            next_id: 0,
            buffer: vec![0; READ_BYTES],
        };
        let auth = json!({ "token": token, "dialect": "native", "since": since }).to_string();
        let mut packet = Vec::new();
        socket_io::connect_request(MAIN_NAMESPACE, Some(&auth), &mut packet);
        socket.write(&packet).await?;
        socket.take(&mut rest).await?;
        // While others send, events of theirs may come first.
        let mut early = VecDeque::new();
        loop {
            match socket.next().await? {
                Heard::Event { name, body } if name == "connection.ready" => {
                    early.append(&mut socket.heard);
                    socket.heard = early;
                    return Ok((socket, body));
                }
                other @ (Heard::Event { .. } | Heard::Ack { .. }) => early.push_back(other),
            }
        }
    }

    /// The next event or acknowledgement; an error when the connection is over. May be cancelled.
    pub(crate) async fn next(&mut self) -> Result<Heard> {
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return Ok(heard);
            }
            let count = self.stream.read(&mut self.buffer).await?;
            ensure!(count > 0, "closed by the server");
            let mut bytes = std::mem::take(&mut self.buffer);
            let taken = self.take(bytes.get_mut(..count).unwrap_or_default()).await;
            self.buffer = bytes;
            taken?;
        }
    }

    /// Sends an event and waits for its acknowledgement; events that come meanwhile are passed over.
    pub(crate) async fn ask(&mut self, name: &str, body: &Value, limit: Duration) -> Result<Value> {
        let id = self.emit(name, body).await?;
        let answer = async {
            loop {
                match self.next().await? {
                    Heard::Ack { id: of, body } if of == id => return Ok(body),
                    Heard::Ack { .. } | Heard::Event { .. } => {}
                }
            }
        };
        timeout(limit, answer).await.context("no acknowledgement in time")?
    }

    /// Sends an event; its acknowledgement will have the number returned.
    pub(crate) async fn emit(&mut self, name: &str, body: &Value) -> Result<u64> {
        let id = self.next_id;
        self.next_id += 1;
        let mut packet = Vec::new();
        socket_io::event(MAIN_NAMESPACE, Some(id), name, &[&body.to_string()], &mut packet);
        self.write(&packet).await?;
        Ok(id)
    }

    async fn write(&mut self, packet: &[u8]) -> Result<()> {
        let mut frame = Vec::with_capacity(packet.len() + 14);
        websocket::encode_masked(OpCode::Text, packet, MASK, &mut frame);
        Ok(self.stream.write_all(&frame).await?)
    }

    async fn take(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut messages = Vec::new();
        self.frames
            .feed(bytes, &mut |message| messages.push(message))
            .map_err(|error| anyhow!("bad frame: {error:?}"))?;
        for message in messages {
            match message {
                Message::Text(text) => self.packet(&text).await?,
                Message::Close { code, .. } => bail!("closed with {code:?}"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
            }
        }
        Ok(())
    }

    async fn packet(&mut self, text: &str) -> Result<()> {
        match engine_io::decode_text(text).map_err(|error| anyhow!("bad packet: {error:?}"))? {
            engine_io::Packet::Ping(_) => self.write(engine_io::PONG.as_bytes()).await?,
            engine_io::Packet::Text(payload) => self.message(payload)?,
            engine_io::Packet::Close => bail!("closed by the server"),
            engine_io::Packet::Open(_)
            | engine_io::Packet::Pong(_)
            | engine_io::Packet::Binary(_)
            | engine_io::Packet::Upgrade
            | engine_io::Packet::Noop => {}
        }
        Ok(())
    }

    fn message(&mut self, payload: &str) -> Result<()> {
        let parse = |arg: Option<&str>| serde_json::from_str(arg.unwrap_or("null"));
        match self.packets.text(payload).map_err(|error| anyhow!("bad packet: {error:?}"))? {
            Some(Packet::Event { event, args, .. }) => {
                let (name, body) = (event.as_str().to_owned(), parse(args.first())?);
                self.heard.push_back(Heard::Event { name, body });
            }
            Some(Packet::Ack { id, args, .. }) => {
                self.heard.push_back(Heard::Ack { id, body: parse(args.first())? });
            }
            Some(Packet::Disconnect { .. }) => bail!("told to go"),
            Some(Packet::ConnectError { .. }) => bail!("refused: {payload}"),
            Some(Packet::Connect { .. }) | None => {}
        }
        Ok(())
    }
}

/// Reads the head of the answer to the upgrade; what came after it.
async fn answer_head(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let rest = bytes.split_off(end + 4);
            let head = String::from_utf8_lossy(&bytes);
            let status = head.lines().next().unwrap_or_default();
            ensure!(status.contains(" 101 "), "{status}");
            return Ok(rest);
        }
        ensure!(bytes.len() < HEAD_BYTES_MAX, "an endless head");
        let count = stream.read_buf(&mut bytes).await?;
        ensure!(count > 0, "closed by the server");
    }
}
