//! How a client reached us.

use axum::extract::Request;
use axum::http::header::HOST;

const HOST_BYTES_MAX: usize = 255;

/// Where a request was sent to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// Without the port; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_tls: bool,
}

impl Reached {
    /// As the request says, or the proxy that it came through. Anybody may write these headers; they decide
    /// nothing but what the writer itself is told, and no cache keeps the answer.
    pub(super) fn of(request: &Request) -> Self {
        let header = |name: &str| {
            let value = request.headers().get(name)?.to_str().ok()?;
            let nearest_client = value.split(',').next()?.trim();
            let fits = (1..=HOST_BYTES_MAX).contains(&nearest_client.len());
            fits.then(|| nearest_client.to_owned())
        };
        let of_uri = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let host = header("x-forwarded-host").or_else(|| header(HOST.as_str())).or(of_uri);
        let is_tls = header("x-forwarded-proto").is_some_and(|p| p.eq_ignore_ascii_case("https"));
        let (host, port) = split(host.as_deref().unwrap_or_default());
        let port = port.or_else(|| header("x-forwarded-port")?.parse().ok());
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        Self { host: host.to_owned(), port, is_tls }
    }
}

/// Host and port of an authority; one that is none is `localhost`.
fn split(authority: &str) -> (&str, Option<u16>) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    };
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._~[]:".contains(&b);
    let is_host = !host.is_empty() && host.bytes().all(is_name);
    if is_host { (host, port) } else { ("localhost", port) }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn reached(headers: &[(&str, &str)]) -> (String, u16, bool) {
        let mut request = Request::builder().uri("/chat/realtime/config");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let Reached { host, port, is_tls } = Reached::of(&request.body(Body::empty()).unwrap());
        (host, port, is_tls)
    }

    #[test]
    fn the_requests_host_or_that_of_the_proxy() {
        for (headers, host, port, is_tls) in [
            (&[("host", "chat.example.org:4000")][..], "chat.example.org", 4_000, false),
            (&[("host", "chat.example.org")], "chat.example.org", 80, false),
            (&[("host", "[::1]:4000")], "[::1]", 4_000, false),
            (&[("host", "[::1]")], "[::1]", 80, false),
            (
                &[("host", "chat.example.org"), ("x-forwarded-proto", "https")],
                "chat.example.org",
                443,
                true,
            ),
            (
                &[
                    ("host", "inside:4000"),
                    ("x-forwarded-host", "chat.example.org, inner"),
                    ("x-forwarded-proto", "https,http"),
                ],
                "chat.example.org",
                443,
                true,
            ),
            (
                &[("host", "a.test"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "8443")],
                "a.test",
                8_443,
                true,
            ),
            (&[("host", "a.test:99999")], "a.test", 80, false),
            (&[("host", "\"><script>")], "localhost", 80, false),
            (&[], "localhost", 80, false),
        ] {
            assert_eq!(reached(headers), (host.to_owned(), port, is_tls), "{headers:?}");
        }
    }
}
