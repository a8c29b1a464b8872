//! What the Socket.IO layer asks of the doors behind it, and what it tells them.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use mynah_hub::Frame;
use mynah_protocol::socket_io::Args;

use crate::engine_io::Peer;
use crate::wire::Wire;

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

/// An answer of a client to an event that asked for one.
#[derive(Debug)]
pub struct Acknowledged {
    /// The id that the event had.
    pub id: u64,
    /// Its arguments as JSON.
    pub arguments: Args,
    /// Binary data that the arguments' placeholders stand for.
    pub attachments: Vec<Bytes>,
}

/// A refused CONNECT: `44{"message":…,"data":…}`.
///
/// A library that is told so does not try again by itself. For a reason that passes, like a store that does not
/// answer, the transport is ended instead, which every library answers with a new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRefused {
    /// For people, and for libraries that compare texts.
    pub message: String,
    /// JSON for programs.
    pub data: Option<String>,
    /// Tells nothing of this and ends the transport after this time.
    pub come_again: Option<Duration>,
}

impl ConnectRefused {
    /// A refusal that stands.
    pub fn told(message: String, data: Option<String>) -> Self {
        Self { message, data, come_again: None }
    }
}

/// A client that wants to join a namespace.
#[derive(Debug, Clone, Copy)]
pub struct ConnectRequest<'a> {
    /// Which.
    pub namespace: &'a str,
    /// How the client's packets are spelled.
    pub wire: Wire,
    /// JSON object of its credentials and wishes; of a v2 client, the query of the namespace.
    pub auth: Option<&'a str>,
}

/// A client that has joined a namespace.
#[derive(Debug)]
pub struct Connected<S> {
    /// Its state.
    pub socket: S,
    /// The socket id to answer with, which must differ from the Engine.IO session id.
    pub sid: String,
    /// What the client shows to recover its state later.
    pub pid: Option<String>,
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

    /// Decides on a connection; everything it will hear is subscribed when this returns.
    fn connect(
        &self,
        peer: &Peer,
        request: ConnectRequest<'_>,
    ) -> impl Future<Output = Result<Connected<Self::Socket>, ConnectRefused>> + Send;

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

    /// A client answered an event. The chat asks for no answers; ids that nobody gave are ignored, as Node does.
    fn acknowledged(&self, _peer: &Peer, _socket: &Self::Socket, _answer: Acknowledged) {}

    /// The connection to the namespace is over.
    fn disconnect(
        &self,
        peer: &Peer,
        socket: Self::Socket,
        leaving: Leaving,
    ) -> impl Future<Output = ()> + Send;

    /// Whether the connection was ended from our side, with a DISCONNECT packet.
    fn is_over(&self, socket: &Self::Socket) -> bool;

    /// What the client is told when the server goes, before the transport ends.
    fn farewell(&self, socket: &Self::Socket) -> Option<Frame>;
}
