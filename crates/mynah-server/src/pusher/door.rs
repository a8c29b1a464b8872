//! `GET /app/KEY`: from the request to a socket, or to a refusal that the client understands.
//!
//! A browser cannot read the status of a refused handshake, and client libraries act on the close code. So
//! whatever is wrong with key, version or place, the handshake is completed and the code follows. Any
//! origin may call: keys are public, and what a socket may do is decided by signatures.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use mynah_domain::app::App;
use mynah_domain::ports::Clock;
use mynah_hub::{CloseReason, Dialect, DialectRules, Farewell, Keepalive, Probing};
use mynah_protocol::pusher::{CloseCode, Query, encode, protocol_version};

use super::channels::Channels;
use super::chat::ChatChannels;
use super::frames;
use super::socket::{self, Nobody};
use crate::apps::Apps;
use crate::deadlines::Deadlines;
use crate::engine_io::{Admission, accept, agree, refuse_handshake, switching_protocols};

/// Whose keepalive and farewell the sockets get: the hub's rules after those of Engine.IO.
pub const PUSHER_RULES: Dialect = Dialect(2);

/// Longest key that is looked up, in bytes.
const KEY_BYTES_MAX: usize = 200;

/// Oldest version of the protocol that is spoken: before it, data was no text.
const VERSION_MIN: u8 = 5;

/// Longest query that is read, in bytes.
const QUERY_BYTES_MAX: usize = 8 * 1024;

/// How the door is set.
pub struct DoorOptions {
    /// What stands before `/app/KEY`; empty or starting with a slash.
    pub path_prefix: String,
    /// Whether messages are compressed for clients that offer it.
    pub per_message_deflate: bool,
    /// Who may begin a connection now.
    pub admission: Admission,
}

/// What the door stands on.
pub struct DoorParts {
    /// All channels.
    pub channels: Channels,
    /// The chat behind some of them; `None`: all are plain.
    pub chat: Option<ChatChannels>,
    /// All apps.
    pub apps: Apps,
    /// Things to do later.
    pub deadlines: Deadlines,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// The door.
pub struct Door {
    pub(super) channels: Channels,
    pub(super) chat: Option<ChatChannels>,
    pub(super) apps: Apps,
    pub(super) deadlines: Deadlines,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) nobody: Arc<Nobody>,
    options: DoorOptions,
}

/// What a request asks for.
pub(super) enum Asked {
    /// The app of a key.
    App(String),
    /// Nothing that can be had.
    Refused(CloseCode),
}

impl Door {
    /// A door that is open.
    pub fn new(parts: DoorParts, options: DoorOptions) -> Arc<Self> {
        let DoorParts { channels, chat, apps, deadlines, clock } = parts;
        let nobody = Arc::new(Nobody);
        Arc::new(Self { channels, chat, apps, deadlines, clock, nobody, options })
    }

    /// Its routes. The service must be made with `ConnectInfo<SocketAddr>`.
    pub fn router(self: &Arc<Self>) -> Router {
        let prefix = self.options.path_prefix.trim_end_matches('/');
        Router::new()
            .route(&format!("{prefix}/app"), any(entry))
            .route(&format!("{prefix}/app/"), any(entry))
            .route(&format!("{prefix}/app/{{*key}}"), any(entry))
            .with_state(Arc::clone(self))
    }

    /// The app of a key.
    pub(super) async fn app_of(&self, key: &str) -> Result<Arc<App>, CloseCode> {
        match self.apps.of_key(key).await {
            Ok(Some(app)) if app.is_enabled => Ok(app),
            Ok(Some(_)) => Err(CloseCode::AppDisabled),
            Ok(None) => Err(CloseCode::AppUnknown),
            Err(error) => {
                tracing::warn!(%error, "the app of a key could not be looked up");
                Err(CloseCode::OverCapacity)
            }
        }
    }

    fn asked(&self, request: &Request) -> Asked {
        if self.options.admission.check(request).is_err() {
            return Asked::Refused(CloseCode::OverCapacity);
        }
        let prefix = self.options.path_prefix.trim_end_matches('/');
        let path = request.uri().path().strip_prefix(prefix).unwrap_or_default();
        let key = path.strip_prefix("/app/").unwrap_or_default();
        if key.is_empty() || key.contains('/') {
            return Asked::Refused(CloseCode::PathNotFound);
        }
        let query = request.uri().query().unwrap_or_default();
        if key.len() > KEY_BYTES_MAX || query.len() > QUERY_BYTES_MAX {
            return Asked::Refused(CloseCode::AppUnknown);
        }
        match protocol_version(&Query::parse(query)) {
            // No key needs an escape: one that has any is none.
            Ok(VERSION_MIN..) => Asked::App(key.to_owned()),
            Ok(_) => Asked::Refused(CloseCode::UnsupportedVersion),
            Err(code) => Asked::Refused(code),
        }
    }
}

async fn entry(State(door): State<Arc<Door>>, mut request: Request) -> Response {
    let key = match accept(&request) {
        Ok(key) => key,
        Err(error) => return refuse_handshake(error),
    };
    let asked = door.asked(&request);
    let agreement = agree(request.headers(), door.options.per_message_deflate);
    let pending = hyper::upgrade::on(&mut request);
    tokio::spawn(socket::serve(door, pending, asked, agreement));
    switching_protocols(&key, agreement)
}

/// What the hub says by itself to Pusher clients; must be its rules of [`PUSHER_RULES`].
///
/// A client that hears nothing for `activity_timeout_s` asks by itself. The server asks when it has heard
/// nothing for half as long again, as of clients that are sent so much that they need not ask.
pub fn pusher_rules(activity_timeout_s: u32) -> DialectRules {
    let quiet = Duration::from_secs(u64::from(activity_timeout_s.max(1)));
    DialectRules {
        keepalive: Some(Keepalive {
            interval: quiet * 3 / 2,
            timeout: PONG_TIMEOUT,
            spread: quiet / 4,
            probe: frames::text(encode::ping),
            probing: Probing::WhenQuiet,
        }),
        farewell: Some(Farewell::new(|reason| {
            let code = match reason {
                CloseReason::PingTimeout => CloseCode::NoPong,
                CloseReason::SlowConsumer
                | CloseReason::HubStopped
                | CloseReason::PollOverlap
                | CloseReason::LinkFailed
                | CloseReason::TooManySubscriptions
                | CloseReason::PeerGone
                | CloseReason::Named(_) => CloseCode::OverCapacity,
            };
            Some(frames::goodbye(code))
        })),
    }
}

/// Time a client has to answer a ping; pusher-js gives the server as long.
const PONG_TIMEOUT: Duration = Duration::from_secs(30);
