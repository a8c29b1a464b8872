//! The namespace of the official Socket.IO Admin UI (`@socket.io/admin-ui` 0.5) in its production mode:
//! figures of the server, every two seconds while somebody looks.
//!
//! It only shows. The UI's buttons (emit, join, leave, disconnect) would act on sockets behind the chat's
//! back: members and receipts would say one thing and connections another. They are not offered, and
//! what asks for them all the same is not answered.
//!
//! Source: the server half of `@socket.io/admin-ui` 0.5.1 and what its UI does with each event.

mod access;
mod board;
mod crowd;
mod sessions;
mod tally;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use mynah_domain::ports::{Clock, PasswordHasher};
use mynah_hub::{Dialect, Frame, Hub};
use parking_lot::Mutex;

use access::Access;
pub use access::Credentials;
use board::{Board, Looking};
use crowd::Crowd;
pub use crowd::Seat;

use crate::engine_io::{Peer, Traffic};
use crate::metrics::Metrics;
use crate::rate::RateLimits;
use crate::socket_io::{
    Acknowledged, ConnectRefused, ConnectRequest, Connected, Incoming, Leaving, Namespaces,
    Outgoing, Working,
};
use crate::system::session_id;
use crate::wire::Wire;

/// What the UI may offer: charts, and nothing that acts.
const CONFIG: &str = r#"{"supportedFeatures":["AGGREGATED_EVENTS"]}"#;

/// Settings of the namespace.
pub struct AdminUiOptions {
    /// Its name, e.g. `/admin`.
    pub namespace: String,
    /// Who may look; without, only this machine.
    pub credentials: Option<Credentials>,
    /// The chat's namespaces, listed even while nobody is there.
    pub chat_namespaces: Vec<String>,
}

/// What the namespace stands on.
pub struct AdminUiPorts {
    /// Connections.
    pub hub: Hub,
    /// What passes the edge.
    pub traffic: Traffic,
    /// Checks the password.
    pub hasher: Arc<dyn PasswordHasher>,
    /// Limits sign-ins.
    pub limits: Arc<RateLimits>,
    /// Counts them.
    pub metrics: Arc<Metrics>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The namespace; clones share it.
#[derive(Clone)]
pub struct AdminUi(Arc<Parts>);

struct Parts {
    access: Access,
    board: Arc<Board>,
}

impl AdminUi {
    /// Opens the namespace.
    pub fn new(options: AdminUiOptions, ports: AdminUiPorts) -> Self {
        let AdminUiOptions { namespace, credentials, chat_namespaces } = options;
        let AdminUiPorts { hub, traffic, hasher, limits, metrics, clock } = ports;
        let known = chat_namespaces.iter().map(String::as_str).chain([&*namespace]);
        let board = Board::new(&namespace, (hub, traffic), Crowd::new(known), Arc::clone(&clock));
        let sessions = Mutex::default();
        let access = Access { credentials, hasher, limits, metrics, clock, sessions };
        Self(Arc::new(Parts { access, board }))
    }

    fn is(&self, namespace: &str) -> bool {
        *self.0.board.namespace == *namespace
    }

    async fn admit(
        &self,
        peer: &Peer,
        wire: Wire,
        auth: Option<&str>,
    ) -> Result<Looker, ConnectRefused> {
        let session = self.0.access.admit(peer.handshake.address.ip(), auth).await?;
        let board = &self.0.board;
        Ok(Looker {
            session,
            dialect: board::dialect(wire),
            _seat: board.crowd.seat(&board.namespace),
            _looking: board.look(),
        })
    }

    async fn greet(&self, peer: &Peer, looker: &mut Looker) {
        let (board, dialect) = (&self.0.board, looker.dialect);
        let say = |event, json: &str| board::spell(dialect, &board.namespace, event, json);
        if let Some(session) = looker.session.take() {
            peer.send(say("session", &format!("\"{session}\""))).await;
        }
        peer.send(say("config", CONFIG)).await;
        peer.send(board.now(dialect)).await;
        peer.hub.subscribe(peer.id, dialect, board::topic()).await;
    }
}

/// Somebody who looks.
pub struct Looker {
    /// The new sign-in's id, until it is told.
    session: Option<String>,
    dialect: Dialect,
    _seat: Seat,
    _looking: Looking,
}

/// The chat's namespaces, and the Admin UI's if there is one.
pub struct WithAdmin<N> {
    chat: N,
    admin: Option<AdminUi>,
}

/// A socket of either.
pub enum Either<S> {
    /// Of the chat.
    Chat(S, Option<Seat>),
    /// Of the Admin UI.
    Admin(Box<Looker>),
}

impl<N> WithAdmin<N> {
    /// Puts the Admin UI beside the chat.
    pub fn new(chat: N, admin: Option<AdminUi>) -> Self {
        Self { chat, admin }
    }

    fn admin(&self, namespace: &str) -> Option<&AdminUi> {
        self.admin.as_ref().filter(|admin| admin.is(namespace))
    }
}

impl<N: Namespaces> Namespaces for WithAdmin<N> {
    type Socket = Either<N::Socket>;

    async fn connect(
        &self,
        peer: &Peer,
        request: ConnectRequest<'_>,
    ) -> Result<Connected<Self::Socket>, ConnectRefused> {
        let ConnectRequest { namespace, wire, auth } = request;
        if let Some(admin) = self.admin(namespace) {
            let looker = Box::pin(admin.admit(peer, wire, auth)).await?;
            let socket = Either::Admin(Box::new(looker));
            return Ok(Connected { socket, sid: session_id(), pid: None });
        }
        let Connected { socket, sid, pid } = self.chat.connect(peer, request).await?;
        let seat = |admin: &AdminUi| admin.0.board.crowd.seat(namespace);
        let socket = Either::Chat(socket, self.admin.as_ref().map(seat));
        Ok(Connected { socket, sid, pid })
    }

    fn is_over(&self, socket: &Self::Socket) -> bool {
        match socket {
            Either::Chat(socket, _) => self.chat.is_over(socket),
            Either::Admin(_) => false,
        }
    }

    fn farewell(&self, socket: &Self::Socket) -> Option<Frame> {
        match socket {
            Either::Chat(socket, _) => self.chat.farewell(socket),
            Either::Admin(_) => None,
        }
    }

    async fn welcome(&self, peer: &Peer, socket: &mut Self::Socket) {
        match (socket, &self.admin) {
            (Either::Chat(socket, _), _) => self.chat.welcome(peer, socket).await,
            (Either::Admin(looker), Some(admin)) => Box::pin(admin.greet(peer, looker)).await,
            (Either::Admin(_), None) => {}
        }
    }

    fn begin(
        &self,
        peer: &Peer,
        socket: &mut Self::Socket,
        incoming: Incoming,
    ) -> Result<Working, Incoming> {
        match socket {
            Either::Chat(socket, _) => self.chat.begin(peer, socket, incoming),
            Either::Admin(_) => Err(incoming),
        }
    }

    async fn event(&self, peer: &Peer, socket: &mut Self::Socket, incoming: Incoming) -> Outgoing {
        match socket {
            Either::Chat(socket, _) => self.chat.event(peer, socket, incoming).await,
            Either::Admin(_) => Outgoing::new(),
        }
    }

    fn acknowledged(&self, peer: &Peer, socket: &Self::Socket, answer: Acknowledged) {
        match socket {
            Either::Chat(socket, _) => self.chat.acknowledged(peer, socket, answer),
            Either::Admin(_) => {}
        }
    }

    async fn disconnect(&self, peer: &Peer, socket: Self::Socket, leaving: Leaving) {
        match socket {
            Either::Chat(socket, _seat) => self.chat.disconnect(peer, socket, leaving).await,
            Either::Admin(looker) if leaving == Leaving::Namespace => {
                peer.hub.unsubscribe_all(peer.id, looker.dialect).await;
            }
            Either::Admin(_) => {}
        }
    }
}
