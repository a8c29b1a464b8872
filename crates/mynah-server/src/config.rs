//! Configuration: defaults < `mynah.toml` < Soketi's file and names < environment < flags, read once,
//! checked as a whole.
//!
//! ```toml
//! [server]
//! port = 4000
//! data_dir = "./data"
//!
//! [auth]
//! access_ttl_s = 900
//!
//! [socketio]
//! default_dialect = "native"
//! ```
//!
//! Each entry has an environment name, `MYNAH_SECTION__KEY` (`MYNAH_SERVER__PORT=4000`); the names that the
//! replaced backends use (`PORT`, `JWT_SECRET`, `ALLOWED_ORIGIN` …) are honoured as they are.

mod check;
pub mod cluster;
mod explain;
pub mod interop;
mod load;
pub mod pusher;
pub mod soketi;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::{Problem, well_known};
pub use cluster::{ClusterConfig, StoreConfig, TlsConfig};
pub use interop::InteropConfig;
pub use load::{ConfigError, Loaded, environment, load};
pub use pusher::PusherConfig;

/// Everything an installation can set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Development or production.
    pub env: Stage,
    /// Where and with what files.
    pub server: ServerConfig,
    /// The listener for operators.
    pub admin: AdminConfig,
    /// The official Socket.IO Admin UI.
    pub admin_ui: AdminUiConfig,
    /// Sign-ins and tokens.
    pub auth: AuthConfig,
    /// REST and web pages.
    pub http: HttpConfig,
    /// The Socket.IO door.
    pub socketio: SocketIoConfig,
    /// The Pusher door.
    pub pusher: PusherConfig,
    /// Where data is kept.
    pub store: StoreConfig,
    /// How several nodes share it.
    pub cluster: ClusterConfig,
    /// Node Socket.IO servers beside it.
    pub interop: InteropConfig,
    /// Bounds.
    pub limits: LimitsConfig,
    /// Logging.
    pub log: LogConfig,
}

/// Whether unsafe settings are tolerated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Secrets are made at the first start and kept in the data folder; pages of this machine may call.
    #[default]
    Development,
    /// Refuses to start with weak or missing secrets.
    Production,
}

/// Where and with what files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address to listen on.
    pub host: String,
    /// Port to listen on (`PORT`).
    pub port: u16,
    /// Folder for database and generated secrets (`MYNAH_DATA_DIR`).
    pub data_dir: PathBuf,
    /// How long connections get to end at shutdown, in seconds.
    pub drain_s: u64,
    /// How long before that `/readyz` says that the server leaves while everything is still served, in seconds:
    /// what a load balancer needs to notice.
    pub drain_delay_s: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 4000,
            data_dir: "./data".into(),
            drain_s: 30,
            drain_delay_s: 0,
        }
    }
}

/// The listener for operators: `/metrics` and probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Address to listen on; loopback unless said otherwise.
    pub host: String,
    /// Port to listen on.
    pub port: u16,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 4001 }
    }
}

/// The namespace that the official Socket.IO Admin UI connects to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminUiConfig {
    /// Whether it is there.
    pub enabled: bool,
    /// Its name.
    pub namespace: String,
    /// Who may sign in.
    pub username: String,
    /// Hash of the password: argon2id (`$argon2id$…`) or bcrypt (`$2b$…`).
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub password_hash: Hidden,
}

impl Default for AdminUiConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            namespace: "/admin".to_owned(),
            username: String::new(),
            password_hash: Hidden::default(),
        }
    }
}

impl AdminUiConfig {
    /// Whether somebody can sign in.
    pub fn has_credentials(&self) -> bool {
        !self.username.is_empty() && !self.password_hash.is_empty()
    }
}

/// Sign-ins and tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// Key of access tokens, at least 32 bytes (`JWT_SECRET`, `JWT_ACCESS_SECRET`).
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub jwt_secret: Hidden,
    /// What seals the secrets in the store, at least 32 bytes; needed where apps are stored.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub encryption_key: Hidden,
    /// Life of access tokens, in seconds.
    pub access_ttl_s: u32,
    /// Life of refresh tokens, in seconds.
    pub refresh_ttl_s: u64,
    /// Whether users that the team's own issuer vouches for (a token signed with `jwt_secret`) are made at
    /// first sight.
    pub provision_unknown_users: bool,
    /// Threads that hash passwords; 0 = one per processor.
    pub hash_threads: usize,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            jwt_secret: Hidden::default(),
            encryption_key: Hidden::default(),
            access_ttl_s: 900,
            refresh_ttl_s: 30 * 86_400,
            provision_unknown_users: false,
            hash_threads: 0,
        }
    }
}

/// A secret that is never shown.
#[derive(Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    /// Takes a secret; surrounding white space is not part of it (stored keys often end in a newline).
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        self.0.trim()
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

/// REST and web pages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Origins of pages that may call, besides our own (`ALLOWED_ORIGIN`, `FRONTEND_URL`: comma lists).
    pub allowed_origins: Vec<String>,
    /// Networks of proxies whose `X-Forwarded-For` is believed, e.g. `10.0.0.0/8`.
    pub trusted_proxies: Vec<String>,
}

/// The Socket.IO door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub struct SocketIoConfig {
    /// Where it is mounted.
    pub path: String,
    /// Whether clients of Socket.IO 2 (Engine.IO 3) may connect.
    pub allow_eio3: bool,
    /// Whether the browser builds of socket.io-client are served below `path`
    /// (`/socket.io/socket.io.js`).
    pub serve_client: bool,
    /// Cookie with the session's id for balancers that keep a client at its node; off when not there.
    pub cookie: Option<CookieConfig>,
    /// Pause between two pings, in milliseconds (`SOCKET_IO_PING_INTERVAL`).
    pub ping_interval_ms: u64,
    /// Time to answer one, in milliseconds (`SOCKET_IO_PING_TIMEOUT`).
    pub ping_timeout_ms: u64,
    /// Time to join a namespace, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Time for a change of transport, in milliseconds.
    pub upgrade_timeout_ms: u64,
    /// Largest message or polling body, in bytes.
    pub max_payload_bytes: usize,
    /// Whether WebSocket messages are compressed for clients that offer it (permessage-deflate):
    /// less traffic for more work.
    pub per_message_deflate: bool,
    /// Whether polling answers of 1,024 bytes and more are compressed for clients that take it.
    pub http_compression: bool,
    /// Vocabulary of clients that name none: `native`, `camel` or an own one.
    pub default_dialect: String,
    /// Folder with own vocabulary files (`*.toml`).
    pub vocabulary_dir: Option<PathBuf>,
    /// Whether clients may recover the state of a lost connection (connection state recovery).
    pub recovery: bool,
    /// How long the rooms that a lost connection had opened are remembered for that, in seconds.
    pub recovery_rooms_s: u64,
}

impl Default for SocketIoConfig {
    fn default() -> Self {
        Self {
            path: "/socket.io/".to_owned(),
            allow_eio3: true,
            serve_client: true,
            cookie: None,
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            connect_timeout_ms: 45_000,
            upgrade_timeout_ms: 10_000,
            max_payload_bytes: 1_000_000,
            per_message_deflate: false,
            http_compression: true,
            default_dialect: "native".to_owned(),
            vocabulary_dir: None,
            recovery: true,
            recovery_rooms_s: 86_400,
        }
    }
}

/// The cookie of the handshake over polling, `io=…; Path=/; HttpOnly; SameSite=Lax`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CookieConfig {
    /// Its name.
    pub name: String,
    /// Paths it is sent to.
    pub path: String,
    /// Whether scripts cannot read it.
    pub http_only: bool,
    /// Whether pages of other sites send it: `strict`, `lax` or `none` (only with `secure`).
    pub same_site: SameSite,
    /// Whether it is sent over https only.
    pub secure: bool,
    /// Its life in seconds; without it, it ends with the browser's session.
    pub max_age_s: Option<u64>,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: "io".to_owned(),
            path: "/".to_owned(),
            http_only: true,
            same_site: SameSite::Lax,
            secure: false,
            max_age_s: None,
        }
    }
}

/// Whether pages of other sites send a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Never.
    Strict,
    /// When they lead to us.
    Lax,
    /// Always.
    None,
}

/// Bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Whether requests are counted and limited.
    pub rate: RateMode,
    /// Messages per user and minute (`RATE_LIMIT_MESSAGES_PER_MINUTE`).
    pub messages_per_minute: u32,
    /// Longest message text, in characters.
    pub content_chars_max: usize,
    /// Open connections; beyond, new ones are refused at once.
    pub connections_max: usize,
    /// Open Socket.IO connections of one user, over all namespaces and devices.
    pub connections_per_user_max: usize,
    /// Bytes waiting for one slow connection; beyond, it is closed and catches up later.
    pub queue_bytes_max: usize,
    /// Frames waiting for one slow connection.
    pub queue_frames_max: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            rate: RateMode::Standard,
            messages_per_minute: 200,
            content_chars_max: 8_000,
            connections_max: 100_000,
            connections_per_user_max: 100,
            queue_bytes_max: 1 << 20,
            queue_frames_max: 1_000,
        }
    }
}

/// Whether requests are counted and limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateMode {
    /// The usual limits.
    #[default]
    Standard,
    /// None: for measurements, or behind a gateway that limits.
    Off,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// What is logged (`LOG_LEVEL`, `RUST_LOG`): `error`, `warn`, `info`, `debug`, or by module.
    pub level: String,
    /// Text for people or JSON for machines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
