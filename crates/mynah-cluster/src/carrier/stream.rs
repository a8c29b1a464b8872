//! Connections of bytes: TCP, and TLS over it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Bytes both ways.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection.
pub(crate) type Stream = Box<dyn Duplex>;

/// How the broker's certificate is checked. Default: against the authorities of the operating system, and
/// where it has none, against those of Mozilla.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// A file of authorities in PEM, which are then the only ones that are believed.
    pub ca_file: Option<PathBuf>,
    /// Believe any certificate. What is sent can then be read and changed on the way.
    pub is_insecure: bool,
}

/// Why the certificates could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file of authorities.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The library refused the settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Reads the authorities; blocking, once at the start.
pub(crate) fn tls_config(options: &TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let config = if options.is_insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        builder.with_root_certificates(roots(options.ca_file.as_deref())?)
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = file {
        let refused = |reason: String| TlsError::File { path: path.to_owned(), reason };
        let read =
            CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))?;
        for certificate in read {
            let certificate = certificate.map_err(|error| refused(error.to_string()))?;
            roots.add(certificate).map_err(|error| refused(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(refused("holds no certificate in PEM".to_owned()));
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
}

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
pub(crate) async fn dial(place: &Place, tls: Option<&Arc<ClientConfig>>) -> Result<Stream, String> {
    let tcp = TcpStream::connect((place.host.as_str(), place.port)).await;
    let tcp = tcp.map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    match tls {
        None => Ok(Box::new(tcp)),
        Some(config) => secure(Box::new(tcp), &place.host, config).await,
    }
}

/// Speaks TLS from here on.
pub(crate) async fn secure(
    stream: Stream,
    host: &str,
    config: &Arc<ClientConfig>,
) -> Result<Stream, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_invalid| format!("`{host}` is no name that a certificate can have"))?;
    let connector = TlsConnector::from(Arc::clone(config));
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

/// Believes any certificate whose key the peer has.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
