//! What a url says.

use std::net::IpAddr;

use url::{Host, Position, Url};

use super::PostError;

/// Longest url, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// A url that may be tried; where it leads is judged when its name is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) origin: Origin,
    /// A name, or an address as text without brackets.
    pub(super) host: String,
    /// `example.org:8443`, for the header `Host`.
    pub(super) authority: String,
    pub(super) path_and_query: String,
    address: Option<IpAddr>,
}

/// Whom a connection may serve.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) is_tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Target {
    /// Reads a url as browsers do: hosts such as `2130706433`, `0x7f.1` and `0177.0.0.1` are addresses.
    pub(super) fn parse(text: &str) -> Result<Self, PostError> {
        let invalid = |why: &str| PostError::Invalid(format!("the url {why}"));
        if text.len() > URL_BYTES_MAX {
            return Err(invalid("is too long"));
        }
        let url = Url::parse(text).map_err(|error| invalid(&format!("is none: {error}")))?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("is neither http nor https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("has a user name or password"));
        }
        let (host, address) = match url.host() {
            Some(Host::Domain(name)) => (name.to_owned(), None),
            Some(Host::Ipv4(v4)) => (v4.to_string(), Some(IpAddr::V4(v4))),
            Some(Host::Ipv6(v6)) => (v6.to_string(), Some(IpAddr::V6(v6))),
            None => return Err(invalid("has no host")),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0);
        let port = port.ok_or_else(|| invalid("has no port"))?;
        let authority = url[Position::BeforeHost..Position::AfterPort].to_owned();
        let path_and_query = url[Position::BeforePath..Position::AfterQuery].to_owned();
        let origin = Origin { is_tls, host: host.clone(), port };
        Ok(Self { origin, host, authority, path_and_query, address })
    }

    /// Whether the name can only mean the machine itself.
    pub(super) fn is_this_machine(&self) -> bool {
        let name = self.host.strip_suffix('.').unwrap_or(&self.host);
        name == "localhost" || name.ends_with(".localhost")
    }

    /// The address, if the url has one instead of a name.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("https://Hooks.example.org:8443/a%20b?x=1&y=%2F#part").unwrap();
        assert_eq!(target.host, "hooks.example.org");
        assert_eq!(target.authority, "hooks.example.org:8443");
        assert_eq!(target.path_and_query, "/a%20b?x=1&y=%2F");
        assert_eq!((target.origin.is_tls, target.origin.port), (true, 8443));
        let target = Target::parse("http://[::1]").unwrap();
        assert_eq!((target.authority.as_str(), target.path_and_query.as_str()), ("[::1]", "/"));
        assert_eq!(target.address(), Some("::1".parse().unwrap()));
    }

    #[test]
    fn other_urls_are_refused_with_the_reason() {
        for (text, reason) in [
            ("ftp://example.org/", "is neither http nor https"),
            ("file:///etc/passwd", "is neither http nor https"),
            ("http://u@example.org/", "has a user name or password"),
            ("http://:p@example.org/", "has a user name or password"),
            ("http://example.org:0/", "has no port"),
        ] {
            let refused = Target::parse(text).unwrap_err();
            assert_eq!(refused.to_string(), format!("the url {reason}"), "{text}");
        }
        for text in ["", "example.org", "http://", "http://exa mple.org/", "http://1.2.3.4.5/"] {
            assert!(matches!(Target::parse(text), Err(PostError::Invalid(_))), "{text}");
        }
    }
}
