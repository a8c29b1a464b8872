//! Where Redis is, read from a url.

use std::fmt;

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
    #[error(
        "must begin with redis:// or rediss:// (TLS), redis-sentinel:// or redis-cluster:// (also with rediss)"
    )]
    Scheme,
    /// No host in it.
    #[error("names no host; write redis://host:6379")]
    Host,
    /// Several hosts of a single Redis.
    #[error("names several hosts; that is for redis-sentinel:// and redis-cluster://")]
    Hosts,
    /// Sentinels, and nothing to ask them for.
    #[error("names no master; write redis-sentinel://host:26379?master=name")]
    Master,
}

/// How many servers there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Single,
    /// The places are those of sentinels, who know where the master of this name is.
    Sentinel {
        master: String,
        user: Option<String>,
        password: Option<String>,
    },
    /// The places are some nodes of a cluster.
    Cluster,
}

/// A url, read.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) kind: Kind,
    pub(super) places: Vec<Place>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) is_encrypted: bool,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.places.iter().map(ToString::to_string);
        f.write_str(&places.collect::<Vec<_>>().join(","))
    }
}

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

impl Address {
    /// Reads a url; `master` is the name that a url of sentinels may leave out.
    pub(super) fn parse(text: &str, master: Option<&str>) -> Result<Self, UrlError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or(UrlError::Unreadable)?;
        let (family, kind) = scheme.split_once('-').unwrap_or((scheme, ""));
        let is_encrypted = match family {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or(UrlError::Unreadable)?;
        let query = rest.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let (kind, port) = match kind {
            "" => (Kind::Single, PORT),
            "cluster" => (Kind::Cluster, PORT),
            "sentinel" => {
                let named = parameter(query, "master").or_else(|| master.map(str::to_owned));
                let sentinel = Kind::Sentinel {
                    master: named.ok_or(UrlError::Master)?,
                    user: parameter(query, "sentinel_user"),
                    password: parameter(query, "sentinel_password"),
                };
                (sentinel, SENTINEL_PORT)
            }
            _ => return Err(UrlError::Scheme),
        };
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let places: Vec<Place> =
            hosts.split(',').map(|host| place(host, port)).collect::<Result<_, _>>()?;
        if kind == Kind::Single && places.len() > 1 {
            return Err(UrlError::Hosts);
        }
        Ok(Self { kind, places, user: secret(user), password: secret(password), is_encrypted })
    }
}

/// `host`, `host:6379`, `[::1]:6379`.
pub(super) fn place(text: &str, port: u16) -> Result<Place, UrlError> {
    let text = text.trim();
    let (host, after) = match text.strip_prefix('[') {
        Some(text) => text.split_once(']').ok_or(UrlError::Unreadable)?,
        None => text.split_at_checked(text.rfind(':').unwrap_or(text.len())).unwrap_or((text, "")),
    };
    if host.is_empty() {
        return Err(UrlError::Host);
    }
    let port = match after.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_no_port| UrlError::Unreadable)?,
        None if after.is_empty() => port,
        None => return Err(UrlError::Unreadable),
    };
    Ok(Place { host: host.to_owned(), port })
}

fn secret(text: &str) -> Option<String> {
    Some(crate::percent_decoded(text)).filter(|text| !text.is_empty())
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).and_then(|(_, value)| secret(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls_with_what_they_leave_out() {
        let address = Address::parse("redis://localhost", None).unwrap();
        assert_eq!(format!("{address:?}"), "localhost:6379");
        assert_eq!((address.user, address.password, address.is_encrypted), (None, None, false));

        let address = Address::parse("rediss://ann:p%40ss%2Fword@[::1]:7000/3", None).unwrap();
        assert_eq!(format!("{address:?}"), "[::1]:7000");
        assert_eq!(address.user.as_deref(), Some("ann"));
        assert_eq!(address.password.as_deref(), Some("p@ss/word"));
        assert!(address.is_encrypted);

        let address = Address::parse("redis://:secret@cache:1", None).unwrap();
        assert_eq!((address.user, address.password.as_deref()), (None, Some("secret")));
    }

    #[test]
    fn reads_urls_of_sentinels_and_clusters() {
        let url = "redis-sentinel://ann:pw@a,b:1,[::1]:2/0?master=main&sentinel_password=x%20y";
        let address = Address::parse(url, None).unwrap();
        assert_eq!(format!("{address:?}"), "a:26379,b:1,[::1]:2");
        let expected =
            Kind::Sentinel { master: "main".into(), user: None, password: Some("x y".into()) };
        assert_eq!(address.kind, expected);
        let address = Address::parse("redis-sentinel://a", Some("main")).unwrap();
        assert!(matches!(address.kind, Kind::Sentinel { master, .. } if master == "main"));

        let address = Address::parse("rediss-cluster://:pw@a,b", None).unwrap();
        assert_eq!((address.kind, address.is_encrypted), (Kind::Cluster, true));
    }

    #[test]
    fn an_error_tells_what_to_write_and_no_secret() {
        for (url, expected) in [
            ("", UrlError::Unreadable),
            ("redis://:s3cret@h:port", UrlError::Unreadable),
            ("redis://:s3cret@[::1", UrlError::Unreadable),
            ("http://:s3cret@localhost", UrlError::Scheme),
            ("redis-cloud://:s3cret@localhost", UrlError::Scheme),
            ("redis://:s3cret@", UrlError::Host),
            ("redis://:s3cret@a,b", UrlError::Hosts),
            ("redis-sentinel://:s3cret@a,b", UrlError::Master),
        ] {
            let error = Address::parse(url, None).unwrap_err();
            assert_eq!(error, expected, "{url}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
