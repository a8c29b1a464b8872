//! Where Redis is, read from a url.

use std::fmt;

use url::Url;

use crate::carrier::Place;

/// What is wrong with a url. It never shows the url, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// No url at all.
    #[error(
        "is no url; write redis://user:password@host:6379, with special characters of the password %-encoded"
    )]
    Unreadable,
    /// Another kind of url.
    #[error("must begin with redis:// or rediss:// (TLS)")]
    Scheme,
    /// No host in it.
    #[error("names no host; write redis://host:6379")]
    Host,
}

/// A url, read.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) is_encrypted: bool,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)
    }
}

const PORT: u16 = 6379;

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let url = Url::parse(text.trim()).map_err(|_unreadable| UrlError::Unreadable)?;
        let is_encrypted = match url.scheme() {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(UrlError::Scheme),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlError::Host)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secret =
            |text: &str| Some(crate::percent_decoded(text)).filter(|text| !text.is_empty());
        Ok(Self {
            place: Place { host, port: url.port().unwrap_or(PORT) },
            user: secret(url.username()),
            password: url.password().and_then(secret),
            is_encrypted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls_with_what_they_leave_out() {
        let address = Address::parse("redis://localhost").unwrap();
        assert_eq!(address.place.to_string(), "localhost:6379");
        assert_eq!((address.user, address.password, address.is_encrypted), (None, None, false));

        let address = Address::parse("rediss://ann:p%40ss%2Fword@[::1]:7000/3").unwrap();
        assert_eq!(address.place.to_string(), "[::1]:7000");
        assert_eq!(address.user.as_deref(), Some("ann"));
        assert_eq!(address.password.as_deref(), Some("p@ss/word"));
        assert!(address.is_encrypted);

        let address = Address::parse("redis://:secret@cache:1").unwrap();
        assert_eq!((address.user, address.password.as_deref()), (None, Some("secret")));
    }

    #[test]
    fn an_error_tells_what_to_write_and_no_secret() {
        for (url, expected) in [
            ("", UrlError::Unreadable),
            ("redis://:s3cret@h:port", UrlError::Unreadable),
            ("http://:s3cret@localhost", UrlError::Scheme),
            ("redis:s3cret", UrlError::Host),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error, expected, "{url}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
