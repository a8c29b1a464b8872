//! Where data is kept, and how several nodes share it.

use std::path::PathBuf;

use mynah_cluster::TlsOptions;
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
    /// Signs in to NATS, with `nats_password`, instead of what the url says.
    pub nats_user: String,
    /// The password, as it is: nothing is %-encoded.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub nats_password: Hidden,
    /// A token that signs in to NATS.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub nats_token: Hidden,
    /// The seed of a user's NKEY that signs in to NATS, `SU…`.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub nats_nkey_seed: Hidden,
    /// A `.creds` file that signs in to NATS.
    pub nats_credentials_file: Option<PathBuf>,
    /// TLS to the broker.
    pub tls: TlsConfig,
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
            nats_user: String::new(),
            nats_password: Hidden::default(),
            nats_token: Hidden::default(),
            nats_nkey_seed: Hidden::default(),
            nats_credentials_file: None,
            tls: TlsConfig::default(),
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

/// TLS to a broker: `rediss://`; for NATS any entry insists on it, as `tls://` does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsConfig {
    /// Authorities in PEM, which are then the only ones that are believed; else those of the system.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate in PEM, and those between it and its authority.
    pub cert_file: Option<PathBuf>,
    /// Its key in PEM, not encrypted.
    pub key_file: Option<PathBuf>,
    /// The name in the broker's certificate, where it is not the one in the url.
    pub server_name: String,
}

impl TlsConfig {
    /// The same, for the adapters.
    pub fn options(&self) -> TlsOptions {
        let name = self.server_name.trim();
        TlsOptions {
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            server_name: (!name.is_empty()).then(|| name.to_owned()),
            is_insecure: false,
        }
    }
}
