//! NATS as a broker, over core publish and subscribe.
//!
//! One connection. A publication goes to the subject `PREFIX.TOPIC`, where bytes of the topic that mean something in a
//! subject are written `=2E`. Own publications are not heard (`echo: false`).
//!
//! The protocol is spoken here, not through the `async-nats` library, because the contract of
//! [`Broker`] cannot be kept with it: it gives each subscription a queue of its own, so that order over
//! channels is lost and a bound holds per channel only; its `flush` confirms that bytes were written, not that the server took the
//! subscription; and `publish` waits.

mod address;
mod protocol;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mynah_hub::{Broker, BrokerEvent};
use tokio::sync::mpsc;

use crate::carrier::{Carrier, Limits, Settings, Timing, TlsError, TlsOptions, tls_config};
pub use address::UrlError;
pub use protocol::CredentialsError;
use protocol::{Credentials, Nats};

/// How to reach NATS, and how it is used.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// `nats://user:password@host:4222`, `nats://token@host`, or `tls://` to insist on TLS; several servers of
    /// one cluster with commas between.
    pub url: String,
    /// The first part of each subject: installations that share a NATS differ in it.
    pub prefix: String,
    /// A `.creds` file with a JWT and its key.
    pub credentials_file: Option<PathBuf>,
    /// How the server's certificate is checked, if it uses TLS.
    pub tls: TlsOptions,
    /// Bounds.
    pub limits: Limits,
    /// Times.
    pub timing: Timing,
}

impl NatsOptions {
    /// The defaults with this url.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "mynah".to_owned(),
            credentials_file: None,
            tls: TlsOptions::default(),
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }
}

/// Why NATS cannot be used at all. That it cannot be reached is no such reason: it is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// The url.
    #[error("nats_url: {0}")]
    Url(#[from] UrlError),
    /// The certificates.
    #[error("nats_ca_file: {0}")]
    Tls(#[from] TlsError),
    /// The file cannot be read.
    #[error("nats_credentials_file: {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is in the file.
    #[error("nats_credentials_file: {0}")]
    Credentials(#[from] CredentialsError),
}

/// Begins to connect, on the current runtime, and goes on as long as the broker is used.
///
/// # Errors
///
/// If the url, the certificates or the credentials cannot be used. A NATS that is not there yet is waited for.
pub fn connect(
    options: &NatsOptions,
) -> Result<(Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>), NatsError> {
    let addresses = address::parse(&options.url)?;
    let tls = tls_config(&options.tls)?;
    let credentials = match &options.credentials_file {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path)
                .map_err(|source| NatsError::File { path: path.clone(), source })?;
            Some(Credentials::parse(&text)?)
        }
    };
    let protocol = Nats::new(addresses, &options.prefix, tls, credentials);
    let settings = Settings { limits: options.limits, timing: options.timing };
    Ok(Carrier::start(Box::new(protocol), settings))
}
