//! A connection to a server that the operator names, with or without TLS, for diagnosis: every way to fail has
//! its own sentence.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::client::{authorities, tls};

/// Time for each of name, connection and TLS.
const PATIENCE: Duration = Duration::from_secs(5);

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection.
pub struct Dialled {
    /// Where bytes go and come from.
    pub stream: Box<dyn Duplex>,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// Connects to `host` (a name, or an address without brackets).
///
/// # Errors
/// A sentence that says what fails: the name, the connection or TLS.
pub async fn dial(host: &str, port: u16, is_tls: bool) -> Result<Dialled, String> {
    let found = timeout(PATIENCE, lookup_host((host, port))).await;
    let found = found.map_err(|_late| format!("looking up {host} takes too long"))?;
    let found: Vec<SocketAddr> =
        found.map_err(|error| format!("{host} is no known name: {error}"))?.collect();
    let mut refused = format!("{host} has no address");
    for peer in found {
        match timeout(PATIENCE, TcpStream::connect(peer)).await {
            Err(_late) => refused = format!("{peer} does not answer"),
            Ok(Err(error)) => refused = format!("{peer} cannot be reached: {error}"),
            Ok(Ok(stream)) => return secured(stream, host, is_tls).await,
        }
    }
    Err(refused)
}

async fn secured(stream: TcpStream, host: &str, is_tls: bool) -> Result<Dialled, String> {
    let lost = |error: std::io::Error| format!("the connection to {host} is gone: {error}");
    let (local, peer) = (stream.local_addr().map_err(lost)?, stream.peer_addr().map_err(lost)?);
    if !is_tls {
        return Ok(Dialled { stream: Box::new(stream), local, peer });
    }
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_invalid| format!("no certificate can name {host}"))?;
    let connector = TlsConnector::from(Arc::clone(&tls(authorities())));
    let secured = timeout(PATIENCE, connector.connect(name, stream)).await;
    let secured = secured.map_err(|_late| format!("{peer} does not answer to TLS"))?;
    let stream = secured.map_err(|error| format!("{peer} fails to do TLS for {host}: {error}"))?;
    Ok(Dialled { stream: Box::new(stream), local, peer })
}
