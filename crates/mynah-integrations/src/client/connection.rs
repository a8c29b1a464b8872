//! One connection to one address.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::target::Target;

/// Headers of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// So much of an answer's body is read, only to use the connection again.
const BODY_BYTES_MAX: usize = 64 << 10;
/// So long.
const BODY_TIME_MAX: Duration = Duration::from_millis(250);

/// An open connection; it ends when this is dropped.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Connects to this very address, and asks for the url's name when it speaks TLS.
    pub(super) async fn open(
        address: IpAddr,
        target: &Target,
        tls: &Arc<ClientConfig>,
        timeout: Duration,
    ) -> Result<Self, String> {
        let to = SocketAddr::new(address, target.origin.port);
        let stream = tokio::time::timeout(timeout, TcpStream::connect(to)).await;
        let stream = stream.map_err(|_elapsed| format!("{to} does not answer"))?;
        let stream = stream.map_err(|error| format!("{to} cannot be reached: {error}"))?;
        stream.set_nodelay(true).map_err(|error| format!("{to}: {error}"))?;
        if !target.origin.is_tls {
            return Self::over(stream).await;
        }
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|_invalid| format!("no certificate can name {}", target.host))?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, stream).await;
        Self::over(stream.map_err(|error| format!("{to} failed to do TLS: {error}"))?).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, String> {
        let made = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, connection) = made.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to a webhook ended");
            }
        });
        Ok(Self { sender, driver })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// Sends a request and waits for the answer's headers.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    /// Reads a short body to its end; `false` if it is long or slow, so that the connection is of no more
    /// use.
    pub(super) async fn is_reusable_after(&mut self, mut body: Incoming) -> bool {
        if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
            return false;
        }
        let read = async {
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                bytes += frame.data_ref().map_or(0, Bytes::len);
                if bytes > BODY_BYTES_MAX {
                    return false;
                }
            }
            self.sender.ready().await.is_ok()
        };
        tokio::time::timeout(BODY_TIME_MAX, read).await.unwrap_or(false)
    }
}

/// Certificate authorities of the system, or of Mozilla where there are none (in an empty container).
pub(crate) fn authorities() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (_, unreadable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::info!(
            unreadable,
            "no certificate authorities on this system: those of Mozilla are trusted"
        );
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

pub(crate) fn tls(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites of these versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
