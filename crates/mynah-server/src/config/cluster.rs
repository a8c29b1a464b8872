//! Where data is kept, and how several nodes share it.

use serde::{Deserialize, Serialize};

use super::Hidden;

/// The store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// `postgres://…` (`DATABASE_URL`); without it data is kept in SQLite inside `server.data_dir`.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub url: Hidden,
    /// A read replica of it, for history.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub replica_url: Hidden,
    /// Connections to PostgreSQL that read.
    pub pool_max: usize,
    /// How long a statement may take, in milliseconds.
    pub statement_timeout_ms: u64,
    /// Whether statements are prepared once per connection; switch it off behind a PgBouncer older than 1.21
    /// in transaction mode.
    pub prepared_statements: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: Hidden::default(),
            replica_url: Hidden::default(),
            pool_max: 16,
            statement_timeout_ms: 5_000,
            prepared_statements: true,
        }
    }
}

/// How nodes hear of each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// `redis://…`, `rediss://…`, `redis-sentinel://…` or `redis-cluster://…` (`REDIS_URL`).
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub redis_url: Hidden,
    /// `nats://…` or `tls://…` (`NATS_URL`).
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub nats_url: Hidden,
    /// In front of every channel, so that several installations can share a broker.
    pub prefix: String,
    /// The node's name; made anew at each start unless given. A node that starts with the name of one that
    /// runs takes its place.
    pub node_id: String,
    /// Where the other nodes reach this one, as `10.0.0.5:4000`; found out by itself unless given.
    pub advertise: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            redis_url: Hidden::default(),
            nats_url: Hidden::default(),
            prefix: "mynah".to_owned(),
            node_id: String::new(),
            advertise: String::new(),
        }
    }
}

impl ClusterConfig {
    /// Whether a broker is named.
    pub fn has_broker(&self) -> bool {
        !self.redis_url.is_empty() || !self.nats_url.is_empty()
    }
}
