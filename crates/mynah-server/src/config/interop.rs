//! Node Socket.IO servers beside which Mynah runs.

use mynah_cluster::redis::RedisOptions;
use serde::{Deserialize, Serialize};

use super::{Hidden, TlsConfig};

/// A cluster of Node Socket.IO servers that Mynah joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InteropConfig {
    /// The Redis of their adapter, as in `cluster.redis_url`; empty: Mynah joins none.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub redis_url: Hidden,
    /// TLS to it.
    pub tls: TlsConfig,
    /// Namespaces in which both sides have clients, e.g. `["/", "/chat"]`.
    pub namespaces: Vec<String>,
    /// The adapter's option `key`, or `channelPrefix`.
    pub key: String,
    /// Which of the adapters.
    pub format: InteropFormat,
    /// The adapter's option `publishOnSpecificResponseChannel`.
    pub answers_apart: bool,
    /// What the Node servers call a conversation's Socket.IO room: `{room}` stands for its id.
    pub room: String,
    /// What they call the Socket.IO room of a user's connections, e.g. `user:{user}`; empty: they have none.
    pub user: String,
}

impl InteropConfig {
    /// How their Redis is reached.
    pub fn redis(&self) -> RedisOptions {
        let mut options = RedisOptions::new(self.redis_url.expose());
        options.tls = self.tls.options();
        options
    }
}

/// How Node servers spell messages to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InteropFormat {
    /// `createAdapter`, and emitters.
    #[default]
    Classic,
    /// `createShardedAdapter`.
    Sharded,
}

impl Default for InteropConfig {
    fn default() -> Self {
        Self {
            redis_url: Hidden::default(),
            tls: TlsConfig::default(),
            namespaces: Vec::new(),
            key: "socket.io".to_owned(),
            format: InteropFormat::Classic,
            answers_apart: false,
            room: "{room}".to_owned(),
            user: String::new(),
        }
    }
}
