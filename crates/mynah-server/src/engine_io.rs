//! The Engine.IO edge (revisions 4 and 3): sessions over long-polling and WebSocket, and the upgrade between
//! them. What the messages mean is an [`Application`]'s affair; the hub writes to the sockets.
//!
//! Source: Engine.IO protocols 4 and 3, and the behaviour of engine.io 6.6.

mod admission;
mod compression;
mod cookie;
mod deflate;
pub mod echo;
mod handshake;
mod line;
mod meanwhile;
mod poll_style;
mod polling;
mod query;
mod registry;
mod stream;
#[cfg(test)]
mod tests;
mod traffic;
mod upgrade;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use bytes::Bytes;
use mynah_hub::{
    Close, CloseReason, DialectRules, Farewell, Frame, Hub, Keepalive, Probing, Pulse, SessionId,
};
use mynah_protocol::{engine_io, websocket};

pub use admission::{Admission, NotNow};
pub use cookie::Cookie;
pub use deflate::compact;
pub(crate) use deflate::{agree, is_compact};
pub use handshake::{Handshake, Revision};
pub(crate) use handshake::{accept, refuse_handshake, switching_protocols};
use registry::Registry;
pub(crate) use stream::{Ending, Reader, tune};
pub use traffic::{Ended, Totals, Traffic};

use crate::cluster::forward::Forwarder;
use crate::frames;
use crate::origin::Origins;
use crate::system::session_id;

/// Settings of an edge.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where it is mounted, with slashes at both ends: `/socket.io/`.
    pub path: String,
    /// Pause between two server pings.
    pub ping_interval: Duration,
    /// Time the client has to answer one.
    pub ping_timeout: Duration,
    /// Time from the probe of an upgrade to its end.
    pub upgrade_timeout: Duration,
    /// Largest message or polling body, in bytes.
    pub max_payload: usize,
    /// Most packets in one polling body.
    pub packets_per_poll_max: usize,
    /// Whether clients of revision 3 (Socket.IO 2) may call.
    pub allow_eio3: bool,
    /// Whether WebSocket messages are compressed for clients that offer it; the hub then needs
    /// [`compact`].
    pub per_message_deflate: bool,
    /// Whether long polling answers are compressed for clients that take it.
    pub http_compression: bool,
    /// Cookie of the handshake over polling.
    pub cookie: Option<Cookie>,
    /// Who may call.
    pub origins: Origins,
    /// Who may begin a session now.
    pub admission: Admission,
    /// Where it counts what passes.
    pub traffic: Traffic,
    /// The way to the sessions of other nodes, if there are any.
    pub forwarder: Option<Forwarder>,
}

impl EngineOptions {
    fn websocket_limits(&self) -> websocket::Limits {
        let message_bytes_max = self.max_payload;
        websocket::Limits { message_bytes_max, ..websocket::Limits::default() }
    }

    /// An id for a session that may be asked for at any node.
    fn session_id(&self) -> String {
        self.forwarder.as_ref().map_or_else(session_id, Forwarder::session_id)
    }
}

/// A session of the edge, as its application sees it.
#[derive(Clone)]
pub struct Peer {
    /// Its session in the hub.
    pub id: SessionId,
    /// The hub.
    pub hub: Hub,
    /// Whether it is still there.
    pub pulse: Pulse,
    /// How it introduced itself.
    pub handshake: Arc<Handshake>,
}

impl Peer {
    /// Whether the session has ended, so that nobody waits for anything any more.
    pub fn is_gone(&self) -> bool {
        self.pulse.is_over()
    }

    /// Sends a frame after everything sent before.
    pub async fn send(&self, frame: Frame) {
        self.hub.send(self.id, frame, mynah_hub::Class::Durable).await;
    }

    /// Ends the session so that the client library reconnects by itself.
    pub async fn end(&self, reason: CloseReason) {
        let last = Some(frames::close(1000, ""));
        self.hub.close(self.id, Close { reason, last }).await;
    }

    /// The same for something that works again soon: code 1013 of the IANA registry, "try again later".
    pub async fn part(&self) {
        let reason = CloseReason::Named("asked to come again");
        let last = Some(frames::close(1013, "try again later"));
        self.hub.close(self.id, Close { reason, last }).await;
    }
}

/// A message that the application cannot accept: the session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// What stands behind an edge. One session's messages come strictly one after the other.
pub trait Application: Send + Sync + 'static {
    /// State of one session.
    type Session: Send + 'static;
    /// An answer that was worked on while later messages were read.
    type Reply: Send;

    /// A session has begun; its open packet is on the way.
    fn opened(&self, peer: Peer) -> Self::Session;

    /// Called once right after [`Application::opened`], before any message is looked at.
    fn begun(
        &self,
        session: &mut Self::Session,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// A text message.
    fn text(
        &self,
        session: &mut Self::Session,
        text: &str,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// A binary message.
    fn binary(
        &self,
        session: &mut Self::Session,
        bytes: Bytes,
    ) -> impl Future<Output = Result<(), Refused>> + Send;

    /// How many answers are being worked on.
    fn in_flight(&self, session: &Self::Session) -> usize;

    /// The next of them, in order. May be dropped and called again.
    fn next_reply(
        &self,
        session: &mut Self::Session,
    ) -> impl Future<Output = Option<Self::Reply>> + Send;

    /// Sends an answer.
    fn deliver(
        &self,
        session: &mut Self::Session,
        reply: Self::Reply,
    ) -> impl Future<Output = ()> + Send;

    /// The server is going: what was begun is finished and answered, and goodbyes are said.
    fn leaving(&self, session: &mut Self::Session) -> impl Future<Output = ()> + Send;

    /// The session is over.
    fn closed(&self, session: Self::Session) -> impl Future<Output = ()> + Send;
}

/// Most answers of one session that may be worked on at once; beyond, nothing more is read from it.
pub const IN_FLIGHT_MAX: usize = 64;

/// A mounted edge.
pub struct Edge<A: Application> {
    app: A,
    hub: Hub,
    options: EngineOptions,
    registry: Arc<Registry<A>>,
}

impl<A: Application> Edge<A> {
    /// Puts an application behind an edge.
    pub fn new(app: A, hub: Hub, options: EngineOptions) -> Arc<Self> {
        Arc::new_cyclic(|edge| {
            let registry = Arc::new(Registry::new(edge.clone()));
            Self { app, hub, options, registry }
        })
    }

    /// The application.
    pub fn app(&self) -> &A {
        &self.app
    }

    /// The routes of the edge. The service must be made with `ConnectInfo<SocketAddr>`.
    pub fn router(self: &Arc<Self>) -> Router {
        let bare = self.options.path.trim_end_matches('/').to_owned();
        Router::new()
            .route(&self.options.path, any(handshake::entry::<A>))
            .route(&bare, any(handshake::entry::<A>))
            .with_state(Arc::clone(self))
    }

    fn open_frame(&self, sid: &str, upgrades: &[&str]) -> Frame {
        let mut packet = Vec::with_capacity(128);
        engine_io::OpenPacket {
            sid,
            upgrades,
            ping_interval_ms: self.options.ping_interval.as_millis() as u64,
            ping_timeout_ms: self.options.ping_timeout.as_millis() as u64,
            max_payload: self.options.max_payload as u64,
        }
        .encode(&mut packet);
        frames::text(&packet)
    }
}

/// What the hub says by itself to Engine.IO sessions, of revision 4 first and then of revision 3. They must
/// be the hub's rules for its dialects 0 and 1.
pub fn engine_rules(ping_interval: Duration, ping_timeout: Duration) -> Vec<DialectRules> {
    let keepalive = |probing| Keepalive {
        interval: ping_interval,
        timeout: ping_timeout,
        spread: Duration::ZERO,
        probe: frames::text(engine_io::PING.as_bytes()),
        probing,
    };
    let farewell = Farewell::new(|reason| {
        let code = match reason {
            CloseReason::SlowConsumer => 1013,
            CloseReason::HubStopped => 1012,
            CloseReason::PingTimeout
            | CloseReason::PollOverlap
            | CloseReason::LinkFailed
            | CloseReason::TooManySubscriptions
            | CloseReason::PeerGone
            | CloseReason::Named(_) => 1000,
        };
        Some(frames::close(code, &reason.to_string()))
    });
    [Probing::Always, Probing::ByPeer]
        .into_iter()
        .map(|probing| DialectRules {
            keepalive: Some(keepalive(probing)),
            farewell: Some(farewell.clone()),
        })
        .collect()
}

/// Pairs of a query, percent-decoded.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query::pairs(query)
}

/// Where a request comes from.
pub(crate) type Remote = axum::extract::ConnectInfo<SocketAddr>;
