//! The Socket.IO layer (revisions 5 and 4, JSON and msgpack): namespaces, events and acknowledgements over
//! Engine.IO sessions.
//!
//! Generation and parser are found out per connection: the revision of Engine.IO says the generation, the
//! first message of a v4 client the parser (a msgpack packet is binary, a JSON packet begins as text). A v2
//! client speaks second, so its parser is told by `?parser=msgpack`.
//!
//! A client registers with its namespaces before it is told so, and the events of one connection are
//! handled strictly in order; sends may be *worked on* together but are answered in order.

mod namespaces;

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use mynah_hub::{CloseReason, Frame, TimerKey};
use mynah_protocol::socket_io::{self, Decoder, Limits, MAIN_NAMESPACE, Packet};

pub use namespaces::{
    Acknowledged, ConnectRefused, ConnectRequest, Connected, Incoming, Leaving, Namespaces,
    Outgoing, Working,
};

use crate::deadlines::Deadlines;
use crate::engine_io::{Application, Peer, Refused, Revision};
use crate::wire::{Parser, Wire};

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
    /// Unknown before the first message.
    parser: Option<Parser>,
    sockets: Vec<(Box<str>, S)>,
    connect_deadline: Option<TimerKey>,
    /// When the client is made to come again.
    parting: Option<TimerKey>,
    working: Option<Box<FuturesOrdered<Working>>>,
}

impl<S> Session<S> {
    fn wire(&self) -> Wire {
        Wire { revision: self.peer.handshake.revision, parser: self.parser.unwrap_or(Parser::Json) }
    }

    fn place(&self, namespace: &str) -> Option<usize> {
        self.sockets.iter().position(|(name, _)| **name == *namespace)
    }
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
            Packet::Connect { nsp, auth } => match session.peer.handshake.revision {
                Revision::V4 => self.connect(session, &nsp, auth.as_deref()).await,
                Revision::V3 => {
                    let (name, query) = nsp.split_once('?').unwrap_or((&nsp, ""));
                    let auth = (!query.is_empty()).then(|| query_as_json(query));
                    self.connect(session, name, auth.as_deref()).await
                }
            },
            Packet::Disconnect { nsp } => self.disconnect(session, &nsp).await,
            Packet::Event { nsp, id, event, args, attachments } => {
                let event = event.as_str().to_owned();
                let incoming = Incoming { event, arguments: args, attachments, ack: id };
                self.event(session, &nsp, incoming).await
            }
            Packet::Ack { nsp, id, args, attachments } => {
                let place = session.place(&nsp);
                let found = place.and_then(|place| session.sockets.get(place));
                let (_, socket) = found.ok_or(NOT_CONNECTED)?;
                let answer = Acknowledged { id, arguments: args, attachments };
                self.namespaces.acknowledged(&session.peer, socket, answer);
                Ok(())
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
        if let Some(at) = session.place(namespace) {
            if !session.sockets.get(at).is_some_and(|(_, socket)| self.namespaces.is_over(socket)) {
                return Err(Refused("connected already"));
            }
            self.disconnect(session, namespace).await?;
        }
        self.settle(session).await;
        let wire = session.wire();
        let request = ConnectRequest { namespace, wire, auth };
        match self.namespaces.connect(&session.peer, request).await {
            Ok(Connected { socket, sid, pid }) => {
                if let Some(deadline) = session.connect_deadline.take() {
                    self.deadlines.cancel(deadline);
                }
                session.peer.send(accepted(wire, namespace, &sid, pid.as_deref())).await;
                session.sockets.push((namespace.into(), socket));
                if let Some((_, socket)) = session.sockets.last_mut() {
                    self.namespaces.welcome(&session.peer, socket).await;
                }
            }
            Err(refusal) => match refusal.come_again {
                None => session.peer.send(refused(wire, namespace, &refusal)).await,
                Some(pause) => {
                    tracing::debug!(
                        namespace,
                        ?pause,
                        reason = refusal.message,
                        "asked to come again"
                    );
                    self.part(session, pause);
                }
            },
        }
        Ok(())
    }

    /// Ends the session after a pause, so that its client comes again by itself.
    fn part(&self, session: &mut Session<N::Socket>, pause: Duration) {
        if session.parting.is_none() {
            let late = session.peer.clone();
            let part = move || async move { late.part().await };
            session.parting = Some(self.deadlines.after(pause, part));
        }
    }

    async fn disconnect(
        &self,
        session: &mut Session<N::Socket>,
        namespace: &str,
    ) -> Result<(), Refused> {
        self.settle(session).await;
        let Some(at) = session.place(namespace) else { return Err(NOT_CONNECTED) };
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
        let at = session.place(namespace).ok_or(NOT_CONNECTED)?;
        let Some((_, socket)) = session.sockets.get_mut(at) else { return Err(NOT_CONNECTED) };
        if self.namespaces.is_over(socket) {
            // It was sent before the client heard of the end.
            return Ok(());
        }
        let incoming = match self.namespaces.begin(&session.peer, socket, incoming) {
            Ok(working) => {
                session.working.get_or_insert_default().push_back(working);
                return Ok(());
            }
            Err(incoming) => incoming,
        };
        self.settle(session).await;
        if let Some((_, socket)) = session.sockets.get_mut(at) {
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

const NOT_CONNECTED: Refused = Refused("not connected to the namespace");

/// The answer to an accepted CONNECT: `40{"sid":…,"pid":…}`, to a v2 client `40`, as it takes the Engine.IO
/// session's id for its own.
fn accepted(wire: Wire, namespace: &str, sid: &str, pid: Option<&str>) -> Frame {
    let mut packet = Vec::with_capacity(128);
    match wire.revision {
        Revision::V4 => socket_io::connect(namespace, sid, pid, &mut packet),
        Revision::V3 => socket_io::connect_request(namespace, None, &mut packet),
    }
    wire.frame(&packet)
}

/// The answer to a refused CONNECT: `44{"message":…,"data":…}`, to a v2 client the data alone, or the message
/// if there is none.
fn refused(wire: Wire, namespace: &str, refusal: &ConnectRefused) -> Frame {
    let ConnectRefused { message, data, .. } = refusal;
    let mut packet = Vec::with_capacity(256);
    match (wire.revision, data) {
        (Revision::V4, data) => {
            socket_io::connect_error(namespace, message, data.as_deref(), &mut packet);
        }
        (Revision::V3, Some(data)) => socket_io::error_v4(namespace, data, &mut packet),
        (Revision::V3, None) => {
            let message = serde_json::Value::from(message.as_str()).to_string();
            socket_io::error_v4(namespace, &message, &mut packet);
        }
    }
    wire.frame(&packet)
}

/// The query of a v2 client's namespace as a JSON object: `token=a&x=1` is `{"token":"a","x":"1"}`.
fn query_as_json(query: &str) -> String {
    let pairs = crate::engine_io::query_pairs(query).take(QUERY_PAIRS_MAX);
    let object = pairs.map(|(key, value)| (key, value.into())).collect();
    serde_json::Value::Object(object).to_string()
}

/// Most pairs that are looked at.
const QUERY_PAIRS_MAX: usize = 32;

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
        let parser = match peer.handshake.revision {
            Revision::V4 => None,
            Revision::V3 if peer.handshake.query_value("parser") == Some("msgpack") => {
                Some(Parser::Msgpack)
            }
            Revision::V3 => Some(Parser::Json),
        };
        Session {
            peer,
            decoder: Decoder::new(self.limits),
            parser,
            sockets: Vec::new(),
            connect_deadline: Some(connect_deadline),
            parting: None,
            working: None,
        }
    }

    /// A v2 client joins the main namespace without asking.
    async fn begun(&self, session: &mut Self::Session) -> Result<(), Refused> {
        match session.peer.handshake.revision {
            Revision::V4 => Ok(()),
            Revision::V3 => self.connect(session, MAIN_NAMESPACE, None).await,
        }
    }

    async fn text(&self, session: &mut Self::Session, text: &str) -> Result<(), Refused> {
        match *session.parser.get_or_insert(Parser::Json) {
            Parser::Json => {}
            Parser::Msgpack => return Err(Refused("parse error")),
        }
        match session.decoder.text(text) {
            Ok(Some(packet)) => self.packet(session, packet).await,
            Ok(None) => Ok(()),
            Err(_) => Err(Refused("parse error")),
        }
    }

    async fn binary(&self, session: &mut Self::Session, bytes: Bytes) -> Result<(), Refused> {
        let decoded = match *session.parser.get_or_insert(Parser::Msgpack) {
            Parser::Json => session.decoder.binary(bytes),
            Parser::Msgpack => socket_io::msgpack::decode(&bytes, &self.limits).map(Some),
        };
        match decoded {
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
        let deadlines = [session.connect_deadline.take(), session.parting.take()];
        for deadline in deadlines.into_iter().flatten() {
            self.deadlines.cancel(deadline);
        }
        // What was begun is carried to its end, so that the journal and the answer agree.
        while self.next_reply(&mut session).await.is_some() {}
        for (_, socket) in session.sockets {
            self.namespaces.disconnect(&session.peer, socket, Leaving::Session).await;
        }
    }

    async fn leaving(&self, session: &mut Self::Session) {
        self.settle(session).await;
        let farewells = session.sockets.iter().filter_map(|(_, s)| self.namespaces.farewell(s));
        send_all(&session.peer, farewells.collect()).await;
    }
}
