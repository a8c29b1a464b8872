//! Whom a broker must prove to be, and who we are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// How the broker's certificate is checked, and which is shown to it. Default: the authorities of the operating
/// system, and where it has none, those of Mozilla; the name in the url; no certificate of our own.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// A file of authorities in PEM, which are then the only ones that are believed.
    pub ca_file: Option<PathBuf>,
    /// A file with our own certificate in PEM, and those between it and its authority.
    pub cert_file: Option<PathBuf>,
    /// A file with its key in PEM (PKCS #8, PKCS #1 or SEC 1), not encrypted.
    pub key_file: Option<PathBuf>,
    /// The name that the broker's certificate must have, where it is not the one in the url.
    pub server_name: Option<String>,
    /// Believe any certificate. What is sent can then be read and changed on the way.
    pub is_insecure: bool,
}

impl TlsOptions {
    /// Whether anything says that TLS is meant.
    pub(crate) fn is_set(&self) -> bool {
        self.is_insecure
            || self.server_name.is_some()
            || [&self.ca_file, &self.cert_file, &self.key_file].iter().any(|file| file.is_some())
    }
}

/// Which of the options is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsOption {
    /// The file of authorities.
    CaFile,
    /// The file with our certificate.
    CertFile,
    /// The file with its key.
    KeyFile,
    /// The name of the broker.
    ServerName,
}

impl fmt::Display for TlsOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CaFile => "tls.ca_file",
            Self::CertFile => "tls.cert_file",
            Self::KeyFile => "tls.key_file",
            Self::ServerName => "tls.server_name",
        })
    }
}

/// Why the certificates could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// What is in a file, or that it cannot be read.
    #[error("{option}: {}: {reason}", path.display())]
    File {
        /// Which one.
        option: TlsOption,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate is nothing without its key, and a key nothing without its certificate.
    #[error("{0}: is missing; tls.cert_file and tls.key_file go together")]
    Half(TlsOption),
    /// No certificate can have this name.
    #[error("tls.server_name: `{0}` is no name that a certificate can have")]
    ServerName(String),
    /// The library refused the settings.
    #[error("tls: cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// What is needed to speak TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    /// Instead of the host's.
    pub(super) server_name: Option<ServerName<'static>>,
}

/// Reads the files; blocking, once at the start.
pub(crate) fn tls(options: &TlsOptions) -> Result<Tls, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = if options.is_insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        builder.with_root_certificates(roots(options.ca_file.as_deref())?)
    };
    let config = match (&options.cert_file, &options.key_file) {
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) => return Err(TlsError::Half(TlsOption::KeyFile)),
        (None, Some(_)) => return Err(TlsError::Half(TlsOption::CertFile)),
        (Some(cert_file), Some(key_file)) => {
            let own = certificates(TlsOption::CertFile, cert_file)?;
            let key = PrivateKeyDer::from_pem_file(key_file)
                .map_err(|error| refused(TlsOption::KeyFile, key_file, &reason(error)))?;
            builder
                .with_client_auth_cert(own, key)
                .map_err(|error| refused(TlsOption::KeyFile, key_file, &error.to_string()))?
        }
    };
    let server_name = options.server_name.as_ref().map(|name| {
        ServerName::try_from(name.clone()).map_err(|_invalid| TlsError::ServerName(name.clone()))
    });
    Ok(Tls { config: Arc::new(config), server_name: server_name.transpose()? })
}

fn refused(option: TlsOption, path: &Path, reason: &str) -> TlsError {
    TlsError::File { option, path: path.to_owned(), reason: reason.to_owned() }
}

/// For people: what is in the file is not shown, it may be a key.
fn reason(error: pem::Error) -> String {
    if let pem::Error::Io(error) = error {
        return error.to_string();
    }
    let is_empty = matches!(error, pem::Error::NoItemsFound);
    let reason = if is_empty { "holds no key in PEM that can be used" } else { "is no PEM" };
    reason.to_owned()
}

fn certificates(option: TlsOption, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let refused = |error| refused(option, path, &reason(error));
    let read = CertificateDer::pem_file_iter(path).map_err(refused)?;
    let read = read.collect::<Result<Vec<_>, _>>().map_err(refused)?;
    if read.is_empty() {
        return Err(self::refused(option, path, "holds no certificate in PEM"));
    }
    Ok(read)
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = file {
        for certificate in certificates(TlsOption::CaFile, path)? {
            roots
                .add(certificate)
                .map_err(|error| refused(TlsOption::CaFile, path, &error.to_string()))?;
        }
        return Ok(roots);
    }
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Ok(roots)
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
