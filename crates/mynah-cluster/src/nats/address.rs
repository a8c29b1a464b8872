//! Where NATS is, read from urls.

use url::Url;

use crate::carrier::Place;

/// What is wrong with a url. It never shows the url, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// No url at all.
    #[error(
        "is no url; write nats://user:password@host:4222, with special characters of the password %-encoded"
    )]
    Unreadable,
    /// Another kind of url.
    #[error("must begin with nats:// or tls://")]
    Scheme,
    /// No host in it.
    #[error("names no host; write nats://host:4222")]
    Host,
}

/// One server, and how to sign in.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) place: Place,
    /// The name in its certificate.
    pub(super) name: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) is_encrypted: bool,
}

const PORT: u16 = 4222;

/// Reads one or several urls with commas between. Who has no user is given that of the first.
pub(super) fn parse(text: &str) -> Result<Vec<Address>, UrlError> {
    let mut addresses: Vec<Address> = Vec::new();
    for url in text.split(',').map(str::trim).filter(|url| !url.is_empty()) {
        let mut address = one(url)?;
        if let Some(first) = addresses.first().filter(|_| address.user.is_none()) {
            address.user.clone_from(&first.user);
            address.password.clone_from(&first.password);
        }
        addresses.push(address);
    }
    if addresses.is_empty() { Err(UrlError::Unreadable) } else { Ok(addresses) }
}

fn one(text: &str) -> Result<Address, UrlError> {
    let url = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
    let url = Url::parse(&url).map_err(|_unreadable| UrlError::Unreadable)?;
    let is_encrypted = match url.scheme() {
        "nats" => false,
        "tls" => true,
        _ => return Err(UrlError::Scheme),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlError::Host)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let secret = |text: &str| Some(crate::percent_decoded(text)).filter(|text| !text.is_empty());
    Ok(Address {
        name: host.clone(),
        place: Place { host, port: url.port().unwrap_or(PORT) },
        user: secret(url.username()),
        password: url.password().and_then(secret),
        is_encrypted,
    })
}

/// Servers that a server tells of: `10.0.0.7:4222`. They are signed in to like `known`, and have its name in
/// their certificates if they are told as numbers.
pub(super) fn told(known: &Address, urls: &[String]) -> Vec<Address> {
    let read = urls.iter().filter_map(|url| one(url).ok());
    let like_known = read.map(|told| {
        let is_number = told.name.parse::<std::net::IpAddr>().is_ok();
        let name = if is_number { known.name.clone() } else { told.name };
        Address { place: told.place, name, ..known.clone() }
    });
    like_known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_several_servers_that_share_a_user() {
        let read = parse("nats://ann:p%40ss@a:1, b,tls://[::1]:3").unwrap();
        let places: Vec<String> = read.iter().map(|address| address.place.to_string()).collect();
        assert_eq!(places, ["a:1", "b:4222", "[::1]:3"]);
        assert!(read.iter().all(|address| address.user.as_deref() == Some("ann")));
        assert!(read.iter().all(|address| address.password.as_deref() == Some("p@ss")));
        assert_eq!(
            read.iter().map(|address| address.is_encrypted).collect::<Vec<_>>(),
            [false, false, true]
        );
    }

    #[test]
    fn an_error_shows_no_secret() {
        for (url, expected) in [
            ("", UrlError::Unreadable),
            ("nats://:s3cret@h:port", UrlError::Unreadable),
            ("http://:s3cret@localhost", UrlError::Scheme),
            ("nats://", UrlError::Host),
        ] {
            let Err(error) = parse(url) else { panic!("{url} was read") };
            assert_eq!(error, expected, "{url}");
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn servers_told_as_numbers_keep_the_name_of_the_certificate() {
        let known = one("tls://ann:secret@nats.example.org").unwrap();
        let told =
            told(&known, &["10.0.0.7:4223".into(), "b.example.org:4222".into(), "::::".into()]);
        let names: Vec<&str> = told.iter().map(|address| address.name.as_str()).collect();
        assert_eq!(names, ["nats.example.org", "b.example.org"]);
        assert!(
            told.iter()
                .all(|address| address.is_encrypted && address.user.as_deref() == Some("ann"))
        );
    }
}
