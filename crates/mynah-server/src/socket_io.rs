//! The Socket.IO layer (revision 5): namespaces, events and acknowledgements over Engine.IO sessions.
//!
//! A client registers with its namespaces before it is told so, and the events of one connection are
//! handled strictly in order; sends may be *worked on* together but are answered in order.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use mynah_hub::{CloseReason, Frame, TimerKey};
use mynah_protocol::socket_io::{self, Args, Decoder, Limits, Packet};

use crate::deadlines::Deadlines;
use crate::engine_io::{Application, Peer, Refused};
use crate::frames;

/// An event of a client.
#[derive(Debug)]
pub struct Incoming {
    /// Its name.
    pub event: String,
    /// Its arguments as JSON.
    pub arguments: Args,
    /// Binary data that the arguments' placeholders stand for.
    pub attachments: Vec<Bytes>,
    /// The acknowledgement that is asked for.
    pub ack: Option<u64>,
}

/// A refused CONNECT: `44{"message":…,"data":…}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRefused {
    /// For people, and for libraries that compare texts.
    pub message: String,
    /// JSON for programs.
    pub data: Option<String>,
}

/// What ended with a connection to a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// Only it: the session lives on.
    Namespace,
    /// The whole session; the hub has dropped its subscriptions.
    Session,
}

/// Frames that answer one event, in order.
pub type Outgoing = Vec<Frame>;

/// An answer being worked on.
pub type Working = Pin<Box<dyn Future<Output = Outgoing> + Send>>;

/// What stands behind the namespaces.
pub trait Namespaces: Send + Sync + 'static {
    /// State of one connection to one namespace.
    type Socket: Send + 'static;

    /// Decides on a connection; everything it will hear is subscribed when this returns. Also gives the
    /// socket id to answer with, which must differ from the Engine.IO session id.
    fn connect(
        &self,
        peer: &Peer,
        namespace: &str,
        auth: Option<&str>,
    ) -> impl Future<Output = Result<(Self::Socket, String), ConnectRefused>> + Send;

    /// The client has been told that it is connected.
    fn welcome(&self, peer: &Peer, socket: &mut Self::Socket) -> impl Future<Output = ()> + Send;

    /// An event that may be answered while later ones are read; gives it back when it may not.
    ///
    /// # Errors
    /// The event, untouched.
    fn begin(
        &self,
        peer: &Peer,
        socket: &mut Self::Socket,
        incoming: Incoming,
    ) -> Result<Working, Incoming>;

    /// An event that is handled to its end before the next one is looked at.
    fn event(
        &self,
        peer: &Peer,
        socket: &mut Self::Socket,
        incoming: Incoming,
    ) -> impl Future<Output = Outgoing> + Send;

    /// The connection to the namespace is over.
    fn disconnect(
        &self,
        peer: &Peer,
        socket: Self::Socket,
        leaving: Leaving,
    ) -> impl Future<Output = ()> + Send;
}

/// The layer with what stands behind it.
pub struct SocketIo<N> {
    namespaces: N,
    deadlines: Deadlines,
    connect_timeout: Duration,
    limits: Limits,
}

/// One Engine.IO session with its namespaces.
pub struct Session<S> {
    peer: Peer,
    decoder: Decoder,
    sockets: Vec<(Box<str>, S)>,
    connect_deadline: Option<TimerKey>,
    working: Option<Box<FuturesOrdered<Working>>>,
}

impl<N: Namespaces> SocketIo<N> {
    /// Puts namespaces behind the layer; a client that joins none within `connect_timeout` is closed.
    pub fn new(
        namespaces: N,
        deadlines: Deadlines,
        connect_timeout: Duration,
        message_bytes_max: usize,
    ) -> Self {
        let limits = Limits { message_bytes_max, ..Limits::default() };
        Self { namespaces, deadlines, connect_timeout, limits }
    }

    async fn packet(
        &self,
        session: &mut Session<N::Socket>,
        packet: Packet,
    ) -> Result<(), Refused> {
        match packet {
            Packet::Connect { nsp, auth } => self.connect(session, &nsp, auth.as_deref()).await,
            Packet::Disconnect { nsp } => self.disconnect(session, &nsp).await,
            Packet::Event { nsp, id, event, args, attachments } => {
                let event = event.as_str().to_owned();
                let incoming = Incoming { event, arguments: args, attachments, ack: id };
                self.event(session, &nsp, incoming).await
            }
            // Mynah asks for no acknowledgements; ids it never gave are ignored, as Node does.
            Packet::Ack { nsp, .. } => {
                let joined = session.sockets.iter().any(|(name, _)| **name == *nsp);
                if joined { Ok(()) } else { Err(Refused("not connected to the namespace")) }
            }
            Packet::ConnectError { .. } => Err(Refused("packet of a server")),
        }
    }

    async fn connect(
        &self,
        session: &mut Session<N::Socket>,
        namespace: &str,
        auth: Option<&str>,
    ) -> Result<(), Refused> {
        if session.sockets.iter().any(|(name, _)| **name == *namespace) {
            return Err(Refused("connected already"));
        }
        self.settle(session).await;
        let mut answer = Vec::with_capacity(64);
        match self.namespaces.connect(&session.peer, namespace, auth).await {
            Ok((socket, sid)) => {
                if let Some(deadline) = session.connect_deadline.take() {
                    self.deadlines.cancel(deadline);
                }
                socket_io::connect(namespace, &sid, None, &mut answer);
                session.peer.send(frames::text(&answer)).await;
                session.sockets.push((namespace.into(), socket));
                if let Some((_, socket)) = session.sockets.last_mut() {
                    self.namespaces.welcome(&session.peer, socket).await;
                }
            }
            Err(ConnectRefused { message, data }) => {
                socket_io::connect_error(namespace, &message, data.as_deref(), &mut answer);
                session.peer.send(frames::text(&answer)).await;
            }
        }
        Ok(())
    }

    async fn disconnect(
        &self,
        session: &mut Session<N::Socket>,
        namespace: &str,
    ) -> Result<(), Refused> {
        self.settle(session).await;
        let at = session.sockets.iter().position(|(name, _)| **name == *namespace);
        let Some(at) = at else { return Err(Refused("not connected to the namespace")) };
        let (_, socket) = session.sockets.swap_remove(at);
        self.namespaces.disconnect(&session.peer, socket, Leaving::Namespace).await;
        Ok(())
    }

    async fn event(
        &self,
        session: &mut Session<N::Socket>,
        namespace: &str,
        incoming: Incoming,
    ) -> Result<(), Refused> {
        let socket = session.sockets.iter_mut().find(|(name, _)| **name == *namespace);
        let Some((_, socket)) = socket else {
            return Err(Refused("not connected to the namespace"));
        };
        let incoming = match self.namespaces.begin(&session.peer, socket, incoming) {
            Ok(working) => {
                session.working.get_or_insert_default().push_back(working);
                return Ok(());
            }
            Err(incoming) => incoming,
        };
        self.settle(session).await;
        let socket = session.sockets.iter_mut().find(|(name, _)| **name == *namespace);
        if let Some((_, socket)) = socket {
            let outgoing = self.namespaces.event(&session.peer, socket, incoming).await;
            send_all(&session.peer, outgoing).await;
        }
        Ok(())
    }

    /// Answers everything that is being worked on.
    async fn settle(&self, session: &mut Session<N::Socket>) {
        while let Some(outgoing) = self.next_reply(session).await {
            send_all(&session.peer, outgoing).await;
        }
    }
}

async fn send_all(peer: &Peer, outgoing: Outgoing) {
    for frame in outgoing {
        peer.send(frame).await;
    }
}

impl<N: Namespaces> Application for SocketIo<N> {
    type Session = Session<N::Socket>;
    type Reply = Outgoing;

    fn opened(&self, peer: Peer) -> Self::Session {
        let late = peer.clone();
        let connect_deadline = self.deadlines.after(self.connect_timeout, move || async move {
            late.end(CloseReason::Named("no namespace joined in time")).await;
        });
        Session {
            peer,
            decoder: Decoder::new(self.limits),
            sockets: Vec::new(),
            connect_deadline: Some(connect_deadline),
            working: None,
        }
    }

    async fn begun(&self, _session: &mut Self::Session) -> Result<(), Refused> {
        Ok(())
    }

    async fn text(&self, session: &mut Self::Session, text: &str) -> Result<(), Refused> {
        match session.decoder.text(text) {
            Ok(Some(packet)) => self.packet(session, packet).await,
            Ok(None) => Ok(()),
            Err(_) => Err(Refused("parse error")),
        }
    }

    async fn binary(&self, session: &mut Self::Session, bytes: Bytes) -> Result<(), Refused> {
        match session.decoder.binary(bytes) {
            Ok(Some(packet)) => self.packet(session, packet).await,
            Ok(None) => Ok(()),
            Err(_) => Err(Refused("parse error")),
        }
    }

    fn in_flight(&self, session: &Self::Session) -> usize {
        session.working.as_ref().map_or(0, |working| working.len())
    }

    async fn next_reply(&self, session: &mut Self::Session) -> Option<Outgoing> {
        let working = session.working.as_mut()?;
        let next = working.next().await;
        if working.is_empty() {
            session.working = None;
        }
        next
    }

    async fn deliver(&self, session: &mut Self::Session, outgoing: Outgoing) {
        send_all(&session.peer, outgoing).await;
    }

    async fn closed(&self, mut session: Self::Session) {
        if let Some(deadline) = session.connect_deadline.take() {
            self.deadlines.cancel(deadline);
        }
        // What was begun is carried to its end, so that the journal and the answer agree.
        while self.next_reply(&mut session).await.is_some() {}
        for (_, socket) in session.sockets {
            self.namespaces.disconnect(&session.peer, socket, Leaving::Session).await;
        }
    }
}
