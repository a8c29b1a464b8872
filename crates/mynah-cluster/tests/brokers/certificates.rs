//! An authority of one's own, and what it vouches for.

use std::path::{Path, PathBuf};

use mynah_cluster::TlsOptions;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

pub(crate) struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// Files with a certificate and its key.
pub(crate) struct Identity {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    pub(crate) fn paths(&self) -> [&str; 2] {
        [self.certificate.to_str().unwrap(), self.key.to_str().unwrap()]
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // OpenSSL takes whoever has the issuer's name for the issuer.
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Vouches for a name.
    pub(crate) fn vouch(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let made = params.signed_by(&key, &self.issuer).unwrap();
        let write = |kind: &str, text: String| {
            let path = self.folder.path().join(format!("{name}.{kind}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Identity { certificate: write("cert", made.pem()), key: write("key", key.serialize_pem()) }
    }

    /// Believes this authority only.
    pub(crate) fn believed(&self) -> TlsOptions {
        TlsOptions { ca_file: Some(self.file()), ..TlsOptions::default() }
    }

    /// Likewise, and shows a certificate.
    pub(crate) fn believed_as(&self, own: &Identity) -> TlsOptions {
        TlsOptions {
            cert_file: Some(own.certificate.clone()),
            key_file: Some(own.key.clone()),
            ..self.believed()
        }
    }
}

/// A file that is no PEM.
pub(crate) fn garbage(folder: &Path) -> PathBuf {
    let path = folder.join("garbage.pem");
    std::fs::write(&path, "-----BEGIN secret").unwrap();
    path
}
