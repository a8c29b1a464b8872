//! The edge with the echo handlers that the official Engine.IO and Socket.IO suites expect, and a plain
//! WebSocket echo at `/echo` for the Autobahn suite.
//!
//! `cargo run --release -p mynah-server --example conformance -- --port 3000 --ping-interval-ms 300
//! --ping-timeout-ms 200 --max-payload 1000000`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use clap::Parser;
use mynah_hub::{Frame, Hub, HubConfig};
use mynah_protocol::socket_io;
use mynah_protocol::websocket::Limits;
use mynah_server::deadlines::Deadlines;
use mynah_server::engine_io::{
    Admission, Application, Edge, EngineOptions, Peer, Refused, Revision, Traffic, compact, echo,
    engine_rules,
};
use mynah_server::origin::Origins;
use mynah_server::socket_io::{
    ConnectRefused, ConnectRequest, Connected, Incoming, Leaving, Namespaces, Outgoing, SocketIo,
    Working,
};
use mynah_server::wire::Wire;
use mynah_server::{frames, listener, system};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Serves the echo handlers.
#[derive(Parser)]
struct Options {
    /// Port to listen on.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Pause between two pings.
    #[arg(long, default_value_t = 300)]
    ping_interval_ms: u64,
    /// Time to answer one.
    #[arg(long, default_value_t = 200)]
    ping_timeout_ms: u64,
    /// Largest message.
    #[arg(long, default_value_t = 1_000_000)]
    max_payload: usize,
    /// Agree to permessage-deflate.
    #[arg(long)]
    deflate: bool,
}

/// Engine.IO messages go back as they came.
struct EngineEcho;

impl Application for EngineEcho {
    type Session = Peer;
    type Reply = ();

    fn opened(&self, peer: Peer) -> Peer {
        peer
    }

    async fn begun(&self, _peer: &mut Peer) -> Result<(), Refused> {
        Ok(())
    }

    async fn text(&self, peer: &mut Peer, text: &str) -> Result<(), Refused> {
        peer.send(frames::text(format!("4{text}").as_bytes())).await;
        Ok(())
    }

    async fn binary(&self, peer: &mut Peer, bytes: Bytes) -> Result<(), Refused> {
        let frame = match peer.handshake.revision {
            Revision::V3 => frames::binary_v3(&bytes),
            Revision::V4 => frames::binary(&bytes),
        };
        peer.send(frame).await;
        Ok(())
    }

    fn in_flight(&self, _peer: &Peer) -> usize {
        0
    }

    async fn next_reply(&self, _peer: &mut Peer) -> Option<()> {
        None
    }

    async fn deliver(&self, _peer: &mut Peer, (): ()) {}

    async fn leaving(&self, _peer: &mut Self::Session) {}

    async fn closed(&self, _peer: Peer) {}
}

/// `message` → `message-back`, `message-with-ack` → its acknowledgement, `auth` after connecting.
struct SocketEcho;

struct Socket {
    wire: Wire,
    namespace: String,
    auth: String,
}

fn event(socket: &Socket, name: &str, arguments: &str, attachments: &[Bytes]) -> Frame {
    let (namespace, mut packet) = (&socket.namespace, Vec::new());
    if attachments.is_empty() {
        socket_io::event(namespace, None, name, &[arguments], &mut packet);
    } else {
        let head =
            socket_io::BinaryHead { nsp: namespace, id: None, attachments: attachments.len() };
        socket_io::binary_event(head, name, &[arguments], &mut packet);
    }
    socket.wire.frame_with(&packet, attachments)
}

impl Namespaces for SocketEcho {
    type Socket = Socket;

    async fn connect(
        &self,
        _peer: &Peer,
        request: ConnectRequest<'_>,
    ) -> Result<Connected<Socket>, ConnectRefused> {
        let ConnectRequest { namespace, wire, auth } = request;
        if !matches!(namespace, "/" | "/custom") {
            return Err(ConnectRefused::told("Invalid namespace".to_owned(), None));
        }
        let auth = auth.unwrap_or("{}").to_owned();
        let socket = Socket { wire, namespace: namespace.to_owned(), auth };
        Ok(Connected { socket, sid: system::session_id(), pid: None })
    }

    async fn welcome(&self, peer: &Peer, socket: &mut Socket) {
        peer.send(event(socket, "auth", &socket.auth, &[])).await;
    }

    fn begin(
        &self,
        _peer: &Peer,
        _socket: &mut Socket,
        incoming: Incoming,
    ) -> Result<Working, Incoming> {
        Err(incoming)
    }

    async fn event(&self, _peer: &Peer, socket: &mut Socket, incoming: Incoming) -> Outgoing {
        let Incoming { event: name, arguments, attachments, ack } = incoming;
        match (name.as_str(), ack) {
            ("message", _) => {
                let back = arguments.joined();
                vec![event(socket, "message-back", back, &attachments)]
            }
            ("message-with-ack", Some(id)) => {
                let mut packet = Vec::new();
                let arguments = [arguments.joined()];
                if attachments.is_empty() {
                    socket_io::ack(&socket.namespace, id, &arguments, &mut packet);
                } else {
                    let attachments = attachments.len();
                    let nsp = socket.namespace.as_str();
                    let head = socket_io::BinaryHead { nsp, id: Some(id), attachments };
                    socket_io::binary_ack(head, &arguments, &mut packet);
                }
                vec![socket.wire.frame_with(&packet, &attachments)]
            }
            _ => Vec::new(),
        }
    }

    async fn disconnect(&self, _peer: &Peer, _socket: Socket, _leaving: Leaving) {}

    fn is_over(&self, _socket: &Socket) -> bool {
        false
    }

    fn farewell(&self, _socket: &Socket) -> Option<Frame> {
        None
    }
}

/// A plain WebSocket that sends every message back.
async fn plain_echo(State((limits, deflate)): State<(Limits, bool)>, request: Request) -> Response {
    echo::respond(request, limits, deflate)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let ping_interval = Duration::from_millis(options.ping_interval_ms);
    let ping_timeout = Duration::from_millis(options.ping_timeout_ms);
    let dialects = engine_rules(ping_interval, ping_timeout);
    let compact: Option<mynah_hub::Compact> = options.deflate.then_some(compact);
    let hub = Hub::new(HubConfig { dialects, compact, ..HubConfig::default() });
    let deadlines = Deadlines::start();
    let engine = |path: &str| EngineOptions {
        path: path.to_owned(),
        ping_interval,
        ping_timeout,
        upgrade_timeout: Duration::from_secs(10),
        max_payload: options.max_payload,
        packets_per_poll_max: 1_000,
        allow_eio3: true,
        per_message_deflate: options.deflate,
        http_compression: true,
        cookie: None,
        origins: Origins::new([], true),
        admission: Admission::unlimited(),
        traffic: Traffic::default(),
        forwarder: None,
    };
    let layer = SocketIo::new(SocketEcho, deadlines, Duration::from_secs(1), options.max_payload);
    let sockets = Edge::new(layer, hub.clone(), engine("/socket.io/"));
    let engines = Edge::new(EngineEcho, hub, engine("/engine.io/"));
    // The suite sends messages of 4 MiB in 65,536 fragments.
    let limits = Limits { message_bytes_max: options.max_payload, fragments_max: 1 << 17 };
    let plain = Router::new().route("/echo", any(plain_echo)).with_state((limits, options.deflate));
    let router = Arc::clone(&sockets).router().merge(engines.router()).merge(plain);
    let address = SocketAddr::from(([127, 0, 0, 1], options.port));
    let listener = TcpListener::bind(address).await?;
    let (_stop, stopped) = watch::channel(listener::Stage::Open);
    listener::serve(listener, router, 10_000, stopped).await;
    Ok(())
}
