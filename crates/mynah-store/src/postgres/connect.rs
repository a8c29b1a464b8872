//! Reaching the database: what the address says, and how each connection is made.

use std::path::PathBuf;
use std::time::Duration;

use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio::time::Instant;
use tokio_postgres::config::{ChannelBinding, Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, NoTls};

use crate::tls::Tls;

use super::db::{Db, Patience};
use super::open_error::OpenError;
use super::trouble::{Failure, describe};

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: Option<Tls>,
    prepared: bool,
    patience: Duration,
    begin_write: String,
    begin_read: String,
}

/// What of an address is ours, not the driver's.
struct Address {
    url: String,
    authorities: Option<PathBuf>,
    verifies: bool,
}

/// Takes `sslrootcert` out of an address, and the modes of `sslmode` that say what is done anyway.
fn address(url: &str) -> Address {
    let mut found = Address { url: url.to_owned(), authorities: None, verifies: false };
    let Some((start, query)) = url.split_once('?') else { return found };
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => {
                found.authorities = Some(path.replace("%2F", "/").into());
            }
            Some(("sslmode", "verify-full" | "verify-ca")) => found.verifies = true,
            Some(_) | None => kept.push(pair),
        }
    }
    found.url =
        if kept.is_empty() { start.to_owned() } else { format!("{start}?{}", kept.join("&")) };
    found
}

impl Connector {
    /// Reads an address; `setting` is its name, for messages.
    pub(super) fn new(
        setting: &'static str,
        url: &str,
        (patience, prepared): (Duration, bool),
    ) -> Result<Self, OpenError> {
        let wrong = |problem: &str| OpenError::Address { setting, problem: problem.to_owned() };
        let address = address(url);
        let parsed: Result<Config, _> = address.url.parse();
        let mut config = parsed.map_err(|_repeats| wrong("cannot be understood"))?;
        if config.get_hosts().is_empty() {
            return Err(wrong("names no host"));
        }
        if config.get_channel_binding() == ChannelBinding::Require {
            return Err(wrong(
                "asks for channel_binding=require, which is not supported: leave it out, the \
                 certificate is verified anyway",
            ));
        }
        let bad = |(path, problem)| OpenError::Authorities { path, problem };
        let encrypted = address.verifies || config.get_ssl_mode() == SslMode::Require;
        let tls = if encrypted {
            Some(Tls::new(address.authorities.as_deref()).map_err(bad)?)
        } else {
            None
        };
        // Encrypted without looking at the certificate would be no better than not at all.
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        if !encrypted && !config.get_hosts().iter().all(is_near) {
            tracing::warn!(setting, "the connection is not encrypted: add ?sslmode=require");
        }
        if config.get_application_name().is_none() {
            config.application_name("mynah");
        }
        config.connect_timeout(patience).tcp_user_timeout(patience).keepalives(true);
        config.keepalives_idle(Duration::from_secs(15)).keepalives_retries(3);
        config.keepalives_interval(Duration::from_secs(5));
        let ms = patience.as_millis();
        // Less than the rest, so that a lock held by others is told as such, and early enough for the writes that
        // wait behind.
        let lock_ms = (ms / 2).max(1);
        // Everything is found by its key. A new table looks as if it were quicker read whole, and a plan that does
        // is kept while the table grows.
        let keys = "SET LOCAL enable_seqscan = off";
        // What a batch writes it looks up one by one.
        let each = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";
        // No value makes another way the better one, and to look for it costs as much as to go it.
        let plans = if prepared { "; SET LOCAL plan_cache_mode = force_generic_plan" } else { "" };
        Ok(Self {
            config,
            tls,
            prepared,
            patience,
            begin_write: format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
                 SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {lock_ms}; \
                 SET LOCAL idle_in_transaction_session_timeout = {ms}; {keys}; {each}{plans}"
            ),
            begin_read: format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                 SET LOCAL statement_timeout = {ms}; \
                 SET LOCAL idle_in_transaction_session_timeout = {ms}; {keys}"
            ),
        })
    }

    /// Of several hosts the one that can be written to.
    pub(super) fn seeking_primary(mut self) -> Self {
        if self.config.get_hosts().len() > 1 {
            self.config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        self
    }

    /// Makes commits wait for the disk although the database does not ask for it.
    pub(super) fn synchronous(&mut self) {
        self.begin_write.push_str("; SET LOCAL synchronous_commit = on");
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    pub(super) fn begin_write(&self) -> &str {
        &self.begin_write
    }

    pub(super) fn begin_read(&self) -> &str {
        &self.begin_read
    }

    /// Where it leads, without secrets.
    pub(super) fn place(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let ports: Vec<String> = self.config.get_ports().iter().map(u16::to_string).collect();
        let hosts: Vec<String> = hosts.collect();
        let ports = if ports.is_empty() { "5432".to_owned() } else { ports.join(",") };
        let name = self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres");
        format!("{} port {ports}, database {name:?}", hosts.join(","))
    }

    /// A connection of one's own.
    pub(super) async fn own(&self) -> Result<Db, Failure> {
        let made = tokio::time::timeout(self.patience, Box::pin(self.client())).await;
        let client = made.map_err(|_elapsed| Failure::Hung)??;
        let patience = Patience { statement: self.patience + self.patience / 10, until: None };
        Ok(Db::own(client, self.prepared, patience))
    }

    async fn client(&self) -> Result<ClientWrapper, tokio_postgres::Error> {
        let (client, serving) = if let Some(tls) = self.tls.clone() {
            let (client, connection) = Box::pin(self.config.connect(tls)).await?;
            (client, tokio::spawn(async move { note(connection.await) }))
        } else {
            let (client, connection) = Box::pin(self.config.connect(NoTls)).await?;
            (client, tokio::spawn(async move { note(connection.await) }))
        };
        Ok(ClientWrapper::new(client, serving))
    }

    /// A pool of at most `most` connections.
    pub(super) fn pool(&self, most: usize) -> Result<Pool, OpenError> {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let config = self.config.clone();
        let made = match self.tls.clone() {
            Some(tls) => Manager::from_config(config, tls, recycling),
            None => Manager::from_config(config, NoTls, recycling),
        };
        let longest = Some(self.patience);
        let timeouts = Timeouts { wait: longest, create: longest, recycle: longest };
        let built = Pool::builder(made).max_size(most.max(1)).timeouts(timeouts);
        let built = built.runtime(Runtime::Tokio1).build();
        built.map_err(|error| OpenError::Engine { problem: error.to_string() })
    }

    /// A connection of a pool, in use.
    pub(super) fn borrowed(&self, object: deadpool_postgres::Object) -> Db {
        let patience =
            Patience { statement: self.patience, until: Some(Instant::now() + self.patience) };
        Db::pooled(object, self.prepared, patience)
    }
}

fn is_near(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        }
        Host::Unix(_) => true,
    }
}

fn note(ended: Result<(), tokio_postgres::Error>) {
    if let Err(error) = ended {
        tracing::warn!(error = describe(&error), "the writer's connection ended");
    }
}
