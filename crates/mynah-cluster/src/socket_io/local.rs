//! What the bus needs of a server.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value as Json;
use tokio::sync::mpsc;

use super::{Arguments, Emission, Flags, Target};

/// Where answers of clients go, one for each client that answers in time.
pub type Answers = mpsc::Sender<Arguments>;

/// A socket of this node, as `fetchSockets` shows it.
#[derive(Debug, Clone)]
pub struct LocalSocket {
    /// Its id in the namespace.
    pub id: String,
    /// The rooms it is in, its own id among them.
    pub rooms: Vec<String>,
    /// `socket.data`
    pub data: Json,
    /// How it came.
    pub handshake: Handshake,
}

/// `socket.handshake`
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    /// Header fields of the request, names in lower case. Credentials are better left out: every server sees them.
    pub headers: BTreeMap<String, String>,
    /// Parameters of the url.
    pub query: BTreeMap<String, String>,
    /// The peer's address.
    pub address: String,
    /// Whether the connection is encrypted.
    pub is_secure: bool,
    /// When it began, in milliseconds since 1970.
    pub issued_ms: u64,
    /// The same for people: `Sat Nov 21 2026 10:00:00 GMT+0000`.
    pub time: String,
    /// Path and parameters of the request.
    pub url: String,
    /// What the client gave as `auth`. Credentials are better left out.
    pub auth: Json,
}

impl LocalSocket {
    /// As Node servers tell each other.
    pub(super) fn to_json(&self) -> Json {
        let handshake = &self.handshake;
        serde_json::json!({
            "id": self.id,
            "handshake": {
                "headers": handshake.headers,
                "time": handshake.time,
                "address": handshake.address,
                "xdomain": handshake.headers.contains_key("origin"),
                "secure": handshake.is_secure,
                "issued": handshake.issued_ms,
                "url": handshake.url,
                "query": handshake.query,
                "auth": handshake.auth,
            },
            "rooms": self.rooms,
            "data": self.data,
        })
    }
}

/// The sockets of this node in the namespaces that were joined. The bus awaits one call before it makes the next, so that what
/// servers say stays in order; a call must not wait for clients.
#[async_trait]
pub trait LocalSockets: Send + Sync + 'static {
    /// Whether any socket is in a room; asked before a message for the room alone is read. `true` if that cannot be told
    /// cheaply.
    fn has_room(&self, namespace: &str, room: &str) -> bool;

    /// Sends an event to those who are meant.
    async fn emit(&self, namespace: &str, target: &Target, emission: Arc<Emission>, flags: Flags);

    /// Sends an event that asks for an acknowledgement; how many are asked. Their answers go to `answers`, which
    /// is dropped when no more are awaited: after `flags.timeout_ms` at the latest.
    async fn emit_with_ack(
        &self,
        namespace: &str,
        (target, flags): (&Target, Flags),
        emission: Arc<Emission>,
        answers: Answers,
    ) -> usize;

    /// Those who are meant.
    async fn sockets(&self, namespace: &str, target: &Target) -> Vec<LocalSocket>;

    /// All rooms that have a socket, ids of sockets among them.
    async fn rooms(&self, namespace: &str) -> Vec<String>;

    /// Makes those who are meant enter rooms.
    async fn join(&self, namespace: &str, target: &Target, rooms: &[String]);

    /// Makes those who are meant leave rooms.
    async fn leave(&self, namespace: &str, target: &Target, rooms: &[String]);

    /// Disconnects those who are meant: from the namespace, or `is_whole` the connection.
    async fn disconnect(&self, namespace: &str, target: &Target, is_whole: bool);

    /// An event between servers (`io.serverSideEmit`); the answer, if somebody waits for one.
    async fn server_side(&self, namespace: &str, emission: Arc<Emission>) -> Arguments;
}
