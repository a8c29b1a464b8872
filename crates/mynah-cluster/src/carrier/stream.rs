//! Connections of bytes: TCP, and TLS over it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::tls::Tls;

/// Bytes both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection.
pub(crate) type Stream = Box<dyn Duplex>;

/// Where a broker is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Connects.
pub(crate) async fn dial(place: &Place, tls: Option<&Tls>) -> Result<Stream, String> {
    let tcp = TcpStream::connect((place.host.as_str(), place.port)).await;
    let tcp = tcp.map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    match tls {
        None => Ok(Box::new(tcp)),
        Some(tls) => secure(Box::new(tcp), &place.host, tls).await,
    }
}

/// Speaks TLS from here on.
pub(crate) async fn secure(stream: Stream, host: &str, tls: &Tls) -> Result<Stream, String> {
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(host.to_owned())
            .map_err(|_invalid| format!("`{host}` is no name that a certificate can have"))?,
    };
    let connector = TlsConnector::from(Arc::clone(&tls.config));
    let stream = connector.connect(name, stream).await;
    Ok(Box::new(stream.map_err(|error| format!("TLS: {error}"))?))
}

/// Reads one line, without its end, of at most `bytes_max`; byte by byte, so that nothing behind it is taken.
pub(crate) async fn read_line(stream: &mut Stream, bytes_max: usize) -> Result<String, String> {
    let mut line = Vec::new();
    loop {
        let byte = stream.read_u8().await.map_err(|error| error.to_string())?;
        if byte == b'\n' {
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            return Ok(String::from_utf8_lossy(line).into_owned());
        }
        line.push(byte);
        if line.len() > bytes_max {
            return Err("its answer is too long".to_owned());
        }
    }
}

/// Reads what is there into `space`; how much.
pub(super) fn poll_read(
    stream: &mut Stream,
    context: &mut Context<'_>,
    space: &mut [u8],
) -> Poll<std::io::Result<usize>> {
    let mut buffer = ReadBuf::new(space);
    match Pin::new(stream).poll_read(context, &mut buffer) {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.filled().len())),
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => Poll::Pending,
    }
}
