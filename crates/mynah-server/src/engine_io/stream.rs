//! WebSocket sessions: a reader task each; the hub writes.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use mynah_hub::{Class, Close, CloseReason, Link, NewSession, Pulse, TcpSocket};
use mynah_protocol::engine_io::{self, Packet};
use mynah_protocol::engine_io_v3;
use mynah_protocol::websocket::deflate::Agreement;
use mynah_protocol::websocket::{self, Decoder, Message, Role};
use tokio::net::TcpStream;

use super::deflate::is_compact;
use super::line::{After, Line, leave};
use super::meanwhile::{Input, meanwhile};
use super::{Application, Edge, Handshake, IN_FLIGHT_MAX, Peer, Refused, Revision};
use crate::frames;
use crate::system::session_id;

/// Bytes read at once, into a buffer that the threads share out.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// How long the input of an ended connection is still taken.
const DISCARD_MAX: Duration = Duration::from_secs(2);

/// The reading half of a WebSocket.
pub(crate) struct Reader {
    pub(crate) socket: TcpSocket,
    decoder: Decoder,
}

/// Why a session's reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The peer said goodbye or vanished.
    Gone,
    /// The session was ended from our side.
    Ended,
    /// The server is going.
    Leaving,
    /// The peer broke a rule.
    Broken {
        /// WebSocket close code.
        code: u16,
        /// Why.
        why: &'static str,
    },
}

impl From<Refused> for Ending {
    fn from(Refused(why): Refused) -> Self {
        Self::Broken { code: 1000, why }
    }
}

impl Reader {
    /// Takes over an upgraded connection, on which `deflate` was agreed or not; also gives what came in one piece with the request.
    pub(crate) async fn take_over(
        pending: OnUpgrade,
        limits: websocket::Limits,
        deflate: bool,
    ) -> Option<(Self, Vec<u8>)> {
        let upgraded = pending.await.ok()?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        let decoder = match Decoder::new(Role::Server, limits) {
            decoder if deflate => decoder.with_deflate(),
            decoder => decoder,
        };
        let reader = Self { socket: Arc::new(parts.io.into_inner()), decoder };
        Some((reader, parts.read_buf.to_vec()))
    }

    /// Decodes bytes that came before.
    pub(crate) fn decode(
        &mut self,
        bytes: &mut [u8],
        into: &mut Vec<Message>,
    ) -> Result<(), Ending> {
        self.decoder
            .feed(bytes, &mut |message| into.push(message))
            .map_err(|e| Ending::Broken { code: e.close_code(), why: "invalid frame" })
    }

    /// Writes bytes while the hub does not own the socket; gives up silently when the peer is gone.
    pub(crate) async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.socket.writable().await.is_err() {
                return;
            }
            match self.socket.try_write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Reads on without looking until the peer's end: a socket closed with unread input resets the
    /// connection, and the peer would miss our last frame. Bounded in time.
    pub(crate) async fn discard(&self) {
        let all = async {
            while self.socket.readable().await.is_ok() {
                let read = SCRATCH.with_borrow_mut(|scratch| self.socket.try_read(scratch));
                match read {
                    Ok(0) => return,
                    Ok(_) => {}
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        // Whoever goes on sending for longer has to live with the reset.
        drop(tokio::time::timeout(DISCARD_MAX, all).await);
    }

    /// Waits for bytes and decodes them. May be dropped and called again.
    pub(crate) async fn read(&mut self, into: &mut Vec<Message>) -> Result<(), Ending> {
        poll_fn(|cx| self.poll_read(cx, into)).await
    }

    /// [`Reader::read`] as a poll: a future of its own would be kept by every idle connection.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut Vec<Message>,
    ) -> Poll<Result<(), Ending>> {
        let Self { socket, decoder } = self;
        loop {
            if ready!(socket.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Err(Ending::Gone));
            }
            let outcome = SCRATCH.with_borrow_mut(|scratch| {
                let read = match socket.try_read(scratch) {
                    Ok(0) => return Some(Err(Ending::Gone)),
                    Ok(read) => read,
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                    Err(_) => return Some(Err(Ending::Gone)),
                };
                let bytes = scratch.get_mut(..read).unwrap_or_default();
                let fed = decoder.feed(bytes, &mut |message| into.push(message));
                let broken = |e: websocket::DecodeError| Ending::Broken {
                    code: e.close_code(),
                    why: "invalid frame",
                };
                Some(fed.map_err(broken))
            });
            if let Some(outcome) = outcome {
                return Poll::Ready(outcome);
            }
        }
    }
}

/// A session that begins as a WebSocket.
pub(super) async fn serve<A: Application>(
    edge: Arc<Edge<A>>,
    pending: OnUpgrade,
    handshake: Arc<Handshake>,
    agreement: Option<Agreement>,
) {
    let (limits, deflate) = (edge.options.websocket_limits(), agreement.is_some());
    let taken = Box::pin(Reader::take_over(pending, limits, deflate)).await;
    let Some((reader, early)) = taken else { return };
    tune(&reader.socket);
    let pulse = Pulse::default();
    let new = NewSession {
        dialect: handshake.revision.rules(),
        link: Link::Stream { socket: Arc::clone(&reader.socket), compact: is_compact(agreement) },
        // The reader owns the session: nobody else needs to hear of its end.
        events: edge.options.traffic.events(),
        pulse: pulse.clone(),
    };
    let Ok(id) = edge.hub.attach(new).await else { return };
    edge.options.traffic.opened();
    let open = edge.open_frame(&session_id(), &[]);
    edge.hub.send(id, open, Class::Durable).await;
    let line = Line { id, pulse: pulse.clone(), revision: handshake.revision };
    let peer = Peer { id, hub: edge.hub.clone(), pulse, handshake };
    let session = edge.app.opened(peer);
    Pump { edge, line, reader }.begin(session, early).await;
}

/// A peer that acknowledges nothing for this long is gone.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// Small frames go out at once; dead peers are noticed while sending.
pub(crate) fn tune(socket: &TcpStream) {
    let socket = socket2::SockRef::from(socket);
    // Both only tune: a connection without them still works.
    drop(socket.set_tcp_nodelay(true));
    drop(socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX)));
}

/// Moves messages from a WebSocket to the application until one of them ends.
pub(super) struct Pump<A: Application> {
    pub(super) edge: Arc<Edge<A>>,
    pub(super) line: Line,
    pub(super) reader: Reader,
}

/// What to do next.
enum Turn<R> {
    Read(Result<(), Ending>),
    Reply(Option<R>),
    Leave,
}

/// Waits for messages, or for the wish that the session leave. May be dropped and called again.
async fn input<R>(reader: &mut Reader, pulse: &Pulse, messages: &mut Vec<Message>) -> Turn<R> {
    poll_fn(|cx| match pulse.poll_leaving(cx) {
        Poll::Ready(()) => Poll::Ready(Turn::Leave),
        Poll::Pending => reader.poll_read(cx, messages).map(Turn::Read),
    })
    .await
}

impl<A: Application> Pump<A> {
    /// Runs a new session to its end; `early` bytes came with the request.
    async fn begin(mut self, mut session: A::Session, mut early: Vec<u8>) {
        let mut input = Input::default();
        input.outcome = self.reader.decode(&mut early, &mut input.messages);
        drop(early);
        let Self { edge, line, reader } = &mut self;
        let begun = edge.app.begun(&mut session);
        match Box::pin(meanwhile(begun, reader, (&edge.hub, line), &mut input)).await {
            Ok(()) => self.run(session, input).await,
            Err(refused) => Box::pin(self.end(session, refused.into())).await,
        }
    }

    /// Runs to the end of the session.
    pub(super) async fn run(mut self, mut session: A::Session, input: Input) {
        let Input { mut messages, mut outcome } = input;
        let ending = loop {
            // Boxed, so that a connection that waits owns no more than what waiting needs.
            if !messages.is_empty() {
                let input = Input { messages: std::mem::take(&mut messages), outcome };
                match Box::pin(self.take(&mut session, input)).await {
                    Ok(later) => Input { messages, outcome } = later,
                    Err(ending) => break ending,
                }
                if !messages.is_empty() {
                    continue;
                }
            }
            if let Err(ending) = outcome {
                break ending;
            }
            outcome = Ok(());
            match self.turn(&mut session, &mut messages).await {
                Turn::Read(result) => outcome = result,
                Turn::Reply(Some(reply)) => {
                    Box::pin(self.edge.app.deliver(&mut session, reply)).await;
                }
                Turn::Reply(None) => {}
                Turn::Leave => {
                    Box::pin(self.edge.app.leaving(&mut session)).await;
                    break Ending::Leaving;
                }
            }
        };
        Box::pin(self.end(session, ending)).await;
    }

    /// Says goodbye to the session.
    async fn end(self, session: A::Session, ending: Ending) {
        Box::pin(self.edge.app.closed(session)).await;
        let close = match ending {
            Ending::Broken { code, why } => {
                let last = Some(frames::close(code, ""));
                Some(Close { reason: CloseReason::Named(why), last })
            }
            Ending::Leaving => Some(leave()),
            Ending::Gone | Ending::Ended => None,
        };
        if let Some(close) = close {
            self.edge.hub.close(self.line.id, close).await;
        }
        if ending != Ending::Gone {
            Box::pin(self.reader.discard()).await;
        }
        self.edge.hub.detach(self.line.id, CloseReason::PeerGone).await;
    }

    async fn turn(
        &mut self,
        session: &mut A::Session,
        messages: &mut Vec<Message>,
    ) -> Turn<A::Reply> {
        let Self { edge, line, reader } = self;
        let app = &edge.app;
        match app.in_flight(session) {
            0 => input(reader, &line.pulse, messages).await,
            IN_FLIGHT_MAX.. => Turn::Reply(app.next_reply(session).await),
            _ => tokio::select! {
                reply = app.next_reply(session) => Turn::Reply(reply),
                turn = input(reader, &line.pulse, messages) => turn,
            },
        }
    }

    /// Acts on all messages; gives what was read meanwhile.
    async fn take(&mut self, session: &mut A::Session, input: Input) -> Result<Input, Ending> {
        let Input { messages, outcome } = input;
        let mut later = Input { messages: Vec::new(), outcome };
        self.edge.options.traffic.took(&messages);
        for message in messages {
            if self.line.pulse.is_over() {
                return Err(Ending::Ended);
            }
            self.message(session, message, &mut later).await?;
            while self.edge.app.in_flight(session) >= IN_FLIGHT_MAX {
                let Some(reply) = self.edge.app.next_reply(session).await else { break };
                self.edge.app.deliver(session, reply).await;
            }
        }
        Ok(later)
    }

    async fn message(
        &mut self,
        session: &mut A::Session,
        message: Message,
        later: &mut Input,
    ) -> Result<(), Ending> {
        let packet = match &message {
            Message::Text(text) => match self.line.revision {
                Revision::V4 => engine_io::decode_text(text),
                Revision::V3 => engine_io_v3::decode_text(text),
            },
            Message::Binary(bytes) => match self.line.revision {
                Revision::V4 => Ok(Packet::Binary(bytes.clone())),
                Revision::V3 => engine_io_v3::decode_binary(bytes),
            },
            Message::Ping(payload) => {
                // Only the newest unsent pong is kept, so unread pings cannot pile up.
                let class = Class::Ephemeral { key: u64::MAX };
                self.edge.hub.send(self.line.id, frames::pong(payload), class).await;
                return Ok(());
            }
            Message::Pong(_) => return Ok(()),
            Message::Close { code, .. } => {
                return Err(Ending::Broken { code: code.unwrap_or(1000), why: "transport close" });
            }
        };
        let packet = packet.ok().ok_or(Refused("parse error"))?;
        let Self { edge, line, reader } = self;
        let work = line.take(edge, session, packet);
        match meanwhile(work, reader, (&edge.hub, line), later).await? {
            After::GoesOn => Ok(()),
            After::Closes => Err(Ending::Gone),
        }
    }
}
