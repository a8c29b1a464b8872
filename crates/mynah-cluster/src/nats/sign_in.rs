//! Who we are for NATS.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};

use super::NatsError;

/// How to sign in, where the url does not say it.
#[derive(Clone, PartialEq, Eq)]
pub enum SignIn {
    /// A name and a password.
    User {
        /// The name.
        name: String,
        /// The password, as it is: nothing is %-encoded.
        password: String,
    },
    /// A token.
    Token(String),
    /// The seed of a user's NKEY, `SU…`, whose public key the server knows.
    NkeySeed(String),
    /// A `.creds` file with a JWT and its key.
    CredentialsFile(PathBuf),
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "User({name})"),
            Self::Token(_) => f.write_str("Token"),
            Self::NkeySeed(_) => f.write_str("NkeySeed"),
            Self::CredentialsFile(path) => write!(f, "CredentialsFile({})", path.display()),
        }
    }
}

/// What is wrong with a `.creds` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// A part is missing.
    #[error(
        "must hold a section `NATS USER JWT` and one `USER NKEY SEED`, as `nsc generate creds` writes them"
    )]
    Incomplete,
    /// The key is none.
    #[error("its seed is no NKEY")]
    Seed,
}

/// What proves who we are.
pub(super) enum Proof {
    User { name: String, password: String },
    Token(String),
    Nkey(KeyPair),
    Jwt { jwt: String, key: KeyPair },
}

impl Proof {
    /// Reads what is in files; blocking, once at the start.
    pub(super) fn read(sign_in: &SignIn) -> Result<Self, NatsError> {
        match sign_in {
            SignIn::User { name, password } => {
                Ok(Self::User { name: name.clone(), password: password.clone() })
            }
            SignIn::Token(token) => Ok(Self::Token(token.clone())),
            SignIn::NkeySeed(seed) => {
                let key = KeyPair::from_seed(seed.trim()).ok();
                let key = key.filter(|key| key.key_pair_type() == KeyPairType::User);
                key.map(Self::Nkey).ok_or(NatsError::NkeySeed)
            }
            SignIn::CredentialsFile(path) => Self::from_file(path),
        }
    }

    fn from_file(path: &Path) -> Result<Self, NatsError> {
        let text = fs::read_to_string(path)
            .map_err(|source| NatsError::File { path: path.to_owned(), source })?;
        let wrong = |reason| NatsError::Credentials { path: path.to_owned(), reason };
        let jwt = section(&text, "JWT").ok_or_else(|| wrong(CredentialsError::Incomplete))?;
        let seed = section(&text, "SEED").ok_or_else(|| wrong(CredentialsError::Incomplete))?;
        let key = KeyPair::from_seed(seed).map_err(|_no_seed| wrong(CredentialsError::Seed))?;
        Ok(Self::Jwt { jwt: jwt.to_owned(), key })
    }

    /// The members of `CONNECT` that show it; `nonce` is what the server wants to have signed.
    pub(super) fn members(&self, nonce: &str) -> Result<Vec<(&'static str, String)>, String> {
        Ok(match self {
            Self::User { name, password } => {
                vec![("user", name.clone()), ("pass", password.clone())]
            }
            Self::Token(token) => vec![("auth_token", token.clone())],
            Self::Nkey(key) => vec![("nkey", key.public_key()), ("sig", sign(key, nonce)?)],
            Self::Jwt { jwt, key } => vec![("jwt", jwt.clone()), ("sig", sign(key, nonce)?)],
        })
    }
}

fn sign(key: &KeyPair, nonce: &str) -> Result<String, String> {
    let signed = key.sign(nonce.as_bytes());
    let signed = signed.map_err(|_error| "the key of the credentials cannot sign".to_owned())?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(signed))
}

/// The first line after `-----BEGIN … NAME-----`.
fn section<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().map(str::trim);
    lines.find(|line| {
        line.starts_with("-----BEGIN") && line.trim_end_matches('-').ends_with(name)
    })?;
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with('-'))
}
