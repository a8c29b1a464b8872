//! One connection: a task reads, the hub writes.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use mynah_hub::{
    Class, Close, CloseReason, Frame, Link, NewSession, Pulse, SessionEvents, SessionId, TimerKey,
};
use mynah_protocol::pusher::{ClientFrame, CloseCode, FrameLimits, SocketId, decode, encode};
use mynah_protocol::websocket::deflate::Agreement;
use mynah_protocol::websocket::{self, Message};

use super::chat::Ending;
use super::door::{Asked, Door, PUSHER_RULES};
use super::frames;
use super::registry::AppState;
use super::sign_in::SignedIn;
use super::subscribing::Subscribed;
use crate::engine_io::{Ending as ReadEnding, Reader, is_compact, tune};
use crate::frames::{close, pong};

/// Only the newest unsent answer to a ping is kept, so unread ones cannot pile up.
const PONG: Class = Class::Ephemeral { key: u64::MAX - 1 };
const WEBSOCKET_PONG: Class = Class::Ephemeral { key: u64::MAX };

/// Clients that are told to come back are told so over this time, so that they do not come together.
const SPREAD: Duration = Duration::from_secs(1);

/// A connected client.
pub(super) struct Socket {
    pub(super) door: Arc<Door>,
    pub(super) app: Arc<AppState>,
    pub(super) id: SessionId,
    pub(super) socket_id: SocketId,
    pub(super) pulse: Pulse,
    /// Sorted by name.
    pub(super) subscriptions: Vec<Subscribed>,
    pub(super) user: Option<Box<SignedIn>>,
    /// Second since the start, and client events in it.
    pub(super) window: (u32, u32),
    /// When the socket must have signed in.
    pub(super) sign_in_by: Option<TimerKey>,
    /// Whether the app counts this connection.
    is_counted: bool,
    has_ended: bool,
}

/// Nobody needs to hear of the end: the reader owns the session.
pub(super) struct Nobody;

impl SessionEvents for Nobody {
    fn closed(&self, _: SessionId, _: CloseReason) {}
}

impl Drop for Socket {
    /// Leaves nothing behind even if the task that reads has panicked.
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        for Subscribed { channel, subscription, .. } in std::mem::take(&mut self.subscriptions) {
            self.door.channels.lose(&self.app, &channel, &subscription);
        }
        self.sign_out();
        if self.is_counted {
            self.app.counters.close();
        }
        let (hub, id) = (self.door.channels.hub().clone(), self.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { hub.detach(id, CloseReason::PeerGone).await });
        }
    }
}

/// Why a connection ends from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) code: CloseCode,
    pub(super) reason: &'static str,
}

/// How reading ended.
enum End {
    /// The peer vanished, or the hub has closed the session.
    Gone,
    /// The peer said goodbye with this code, or broke a rule of WebSocket.
    Closed(u16),
    /// We end it.
    Closing(Closing),
}

impl From<Closing> for End {
    fn from(closing: Closing) -> Self {
        Self::Closing(closing)
    }
}

/// What a frame may have beside an event's data, in bytes: names, a signature, a member.
const FRAME_BYTES_MORE: usize = 16 * 1024;

/// Largest messages that are taken; of those who are refused none is looked at.
fn limits(app: Option<&AppState>) -> websocket::Limits {
    let event = app.map_or(0, |app| app.current().limits.event_bytes_max);
    // Twice: what is a little too large is answered with an error, not by the end of the connection.
    let message_bytes_max = event.saturating_mul(2).saturating_add(FRAME_BYTES_MORE);
    websocket::Limits { message_bytes_max, ..websocket::Limits::default() }
}

/// Serves a connection from the handshake to its end.
pub(super) async fn serve(
    door: Arc<Door>,
    pending: OnUpgrade,
    asked: Asked,
    agreement: Option<Agreement>,
) {
    let app = Box::pin(find(&door, asked)).await;
    let limits = limits(app.as_deref().ok());
    let taken = Box::pin(Reader::take_over(pending, limits, agreement.is_some())).await;
    let Some((reader, early)) = taken else { return };
    tune(&reader.socket);
    let begun = match app {
        Ok(app) => Box::pin(begin(door, app, &reader, agreement)).await,
        Err(refusal) => Err(refusal),
    };
    match begun {
        Ok(socket) => run(socket, reader, early).await,
        Err(refusal) => Box::pin(refuse(reader, refusal)).await,
    }
}

async fn find(door: &Door, asked: Asked) -> Result<Arc<AppState>, Refusal> {
    match asked {
        Asked::App(key) => match door.app_of(&key).await {
            Ok(app) => Ok(door.channels.app(&app)),
            Err(code) => Err(Refusal { code, key: Some(key) }),
        },
        Asked::Refused(code) => Err(code.into()),
    }
}

/// Gives the connection to the hub, if the app may have one more.
async fn begin(
    door: Arc<Door>,
    app: Arc<AppState>,
    reader: &Reader,
    agreement: Option<Agreement>,
) -> Result<Socket, Refusal> {
    if !app.counters.open(app.current().limits.connections_max) {
        return Err(CloseCode::OverQuota.into());
    }
    let pulse = Pulse::default();
    let new = NewSession {
        dialect: PUSHER_RULES,
        link: Link::Stream { socket: Arc::clone(&reader.socket), compact: is_compact(agreement) },
        events: Arc::clone(&door.nobody) as _,
        pulse: pulse.clone(),
    };
    let Ok(id) = door.channels.hub().attach(new).await else {
        app.counters.close();
        return Err(CloseCode::OverCapacity.into());
    };
    let socket_id = door.channels.socket_id(id);
    let mut socket = Socket {
        door,
        app,
        id,
        socket_id,
        pulse,
        subscriptions: Vec::new(),
        user: None,
        window: (0, 0),
        sign_in_by: None,
        is_counted: true,
        has_ended: false,
    };
    let timeout = socket.door.channels.config().activity_timeout_s.max(1);
    let hello = frames::text(|out| encode::connection_established(socket_id, timeout, out));
    socket.send(hello).await;
    socket.expect_sign_in();
    Ok(socket)
}

/// Why a connection does not begin.
struct Refusal {
    code: CloseCode,
    key: Option<String>,
}

impl From<CloseCode> for Refusal {
    fn from(code: CloseCode) -> Self {
        Self { code, key: None }
    }
}

/// Says why, closes and sees the peer off.
async fn refuse(reader: Reader, Refusal { code, key }: Refusal) {
    if code == CloseCode::OverCapacity {
        let share = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
        tokio::time::sleep(SPREAD.mul_f64(share)).await;
    }
    let bytes = match key {
        Some(key) if code == CloseCode::AppUnknown => {
            frames::goodbye_because(code, &format!("App key {key} does not exist."))
        }
        Some(_) | None => frames::goodbye_because(code, code.message()),
    };
    reader.write(&bytes).await;
    reader.discard().await;
}

/// What came of waiting.
enum Turn {
    Read(Result<(), ReadEnding>),
    Leave,
}

/// Waits for messages, or for the wish that the session leave.
async fn input(reader: &mut Reader, pulse: &Pulse, messages: &mut Vec<Message>) -> Turn {
    poll_fn(|cx| match pulse.poll_leaving(cx) {
        Poll::Ready(()) => Poll::Ready(Turn::Leave),
        Poll::Pending => reader.poll_read(cx, messages).map(Turn::Read),
    })
    .await
}

/// Reads to the end; `early` came with the request.
async fn run(mut socket: Socket, mut reader: Reader, mut early: Vec<u8>) {
    let mut messages = Vec::new();
    let mut outcome = reader.decode(&mut early, &mut messages);
    drop(early);
    let end = loop {
        // Boxed, so that a connection that waits owns no more than what waiting needs.
        if !messages.is_empty()
            && let Err(end) = Box::pin(socket.take(&mut messages)).await
        {
            break end;
        }
        match outcome {
            Ok(()) => {}
            Err(ReadEnding::Broken { code, .. }) => break End::Closed(code),
            Err(ReadEnding::Gone | ReadEnding::Ended | ReadEnding::Leaving) => break End::Gone,
        }
        outcome = match input(&mut reader, &socket.pulse, &mut messages).await {
            Turn::Read(result) => result,
            Turn::Leave => {
                let reason = "server shutting down";
                break End::Closing(Closing { code: CloseCode::OverCapacity, reason });
            }
        };
    };
    Box::pin(socket.end(&reader, end)).await;
}

impl Socket {
    /// Sends a frame to this client.
    pub(super) async fn send(&self, frame: Frame) {
        self.app.counters.sent(1, frame.len());
        self.door.channels.hub().send(self.id, frame, Class::Durable).await;
    }

    /// Tells the client what was wrong; the connection stays.
    pub(super) async fn complain(&self, code: Option<u16>, message: &str) {
        self.send(frames::error(code, message)).await;
    }

    async fn take(&mut self, messages: &mut Vec<Message>) -> Result<(), End> {
        self.pulse.beat();
        for message in std::mem::take(messages) {
            if self.pulse.is_over() {
                return Err(End::Gone);
            }
            self.message(message).await?;
        }
        Ok(())
    }

    async fn message(&mut self, message: Message) -> Result<(), End> {
        match message {
            Message::Text(text) => self.text(&text).await.map_err(End::from),
            Message::Binary(bytes) => match std::str::from_utf8(&bytes) {
                // Soketi does not look how a message is marked.
                Ok(text) => self.text(text).await.map_err(End::from),
                Err(_) => Ok(()),
            },
            Message::Ping(payload) => {
                let hub = self.door.channels.hub();
                hub.send(self.id, pong(&payload), WEBSOCKET_PONG).await;
                Ok(())
            }
            Message::Pong(payload) => {
                if let Some(chat) = &self.door.chat {
                    chat.ponged(self.id, &payload);
                }
                Ok(())
            }
            Message::Close { code, .. } => Err(End::Closed(code.unwrap_or(1000))),
        }
    }

    async fn text(&mut self, text: &str) -> Result<(), Closing> {
        self.app.counters.took(1, text.len() as u64);
        let limits = self.app.current().limits;
        let limits = FrameLimits {
            event_name_chars_max: limits.event_name_chars_max,
            event_bytes_max: limits.event_bytes_max,
            ..FrameLimits::default()
        };
        match decode(text, &limits) {
            Ok(ClientFrame::Ping) => {
                let frame = frames::text(encode::pong);
                self.app.counters.sent(1, frame.len());
                self.door.channels.hub().send(self.id, frame, PONG).await;
            }
            // The frame itself was the sign of life. What no official client sends is let pass, as
            // Soketi does it.
            Ok(ClientFrame::Pong | ClientFrame::Unknown { .. }) => {}
            Ok(ClientFrame::Subscribe { channel, auth, channel_data }) => {
                self.subscribe(&channel, auth.as_deref(), channel_data.as_deref()).await?;
            }
            Ok(ClientFrame::Unsubscribe { channel }) => self.unsubscribe(&channel).await,
            Ok(ClientFrame::SignIn { auth, user_data }) => self.sign_in(&auth, &user_data).await?,
            Ok(ClientFrame::ClientEvent { event, channel, data }) => {
                self.client_event(event, &channel, &data).await;
            }
            Err(error) => self.refuse_frame(text, error).await,
        }
        Ok(())
    }

    /// Leaves everything, says goodbye and sees the peer off.
    async fn end(mut self, reader: &Reader, end: End) {
        let how = if matches!(end, End::Closed(_)) { Ending::ClosedByPeer } else { Ending::Lost };
        self.leave_all(how).await;
        self.sign_out();
        let close = match end {
            End::Gone => None,
            End::Closed(code) => {
                let last = Some(close(code, ""));
                Some(Close { reason: CloseReason::Named("transport close"), last })
            }
            End::Closing(Closing { code, reason }) => {
                let last = Some(frames::goodbye(code));
                Some(Close { reason: CloseReason::Named(reason), last })
            }
        };
        let hub = self.door.channels.hub();
        let waits = close.is_some() || self.pulse.is_over();
        // A place in the app's quota is free again before the client can know.
        self.app.counters.close();
        self.is_counted = false;
        if let Some(close) = close {
            hub.close(self.id, close).await;
        }
        if waits {
            reader.discard().await;
        }
        hub.detach(self.id, CloseReason::PeerGone).await;
        self.has_ended = true;
    }
}
