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
mod sign_in;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mynah_hub::{Broker, BrokerEvent};
use tokio::sync::mpsc;

use crate::carrier::{Carrier, Limits, Settings, Timing, TlsError, TlsOptions, tls};
pub use address::UrlError;
use protocol::Nats;
use sign_in::Proof;
pub use sign_in::{CredentialsError, SignIn};

/// How to reach NATS, and how it is used.
#[derive(Debug, Clone)]
pub struct NatsOptions {
    /// `nats://user:password@host:4222`, `nats://token@host`, or `tls://` to insist on TLS; several servers of
    /// one cluster with commas between.
    pub url: String,
    /// The first part of each subject: installations that share a NATS differ in it.
    pub prefix: String,
    /// Instead of user, password and token of the url.
    pub sign_in: Option<SignIn>,
    /// How the server's certificate is checked, if it uses TLS. Any of it set insists on TLS, as `tls://` does.
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
            sign_in: None,
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
    #[error(transparent)]
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
    #[error("nats_credentials_file: {}: {reason}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: CredentialsError,
    },
    /// The key is none.
    #[error("nats_nkey_seed: is no seed of a user's NKEY; it begins with SU")]
    NkeySeed,
}

/// Begins to connect, on the current runtime, and goes on as long as the broker is used.
///
/// # Errors
///
/// If the url, the certificates or the credentials cannot be used. A NATS that is not there yet is waited for.
pub fn connect(
    options: &NatsOptions,
) -> Result<(Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>), NatsError> {
    let settings = Settings { limits: options.limits, timing: options.timing };
    Ok(Carrier::start(Box::new(protocol(options)?), settings))
}

/// Whether the options can be used, files included; nothing is connected.
///
/// # Errors
///
/// As those of [`connect`].
pub fn check(options: &NatsOptions) -> Result<(), NatsError> {
    protocol(options).map(drop)
}

fn protocol(options: &NatsOptions) -> Result<Nats, NatsError> {
    let mut addresses = address::parse(&options.url)?;
    for address in &mut addresses {
        // Else whoever stands between could ask for none.
        address.is_encrypted |= options.tls.is_set();
    }
    let tls = tls(&options.tls)?;
    let proof = options.sign_in.as_ref().map(Proof::read).transpose()?;
    Ok(Nats::new(addresses, &options.prefix, tls, proof))
}
