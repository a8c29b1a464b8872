//! Which web pages may call: the allowed origins, for REST, polling and WebSocket alike.

use axum::http::{HeaderMap, HeaderValue, header};

/// The allowed origins of an installation.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Exact origins, e.g. `https://app.example.org`.
    allowed: Vec<String>,
    /// Whether pages of this machine may call, for development.
    loopback: bool,
}

impl Origins {
    /// Exact origins (`https://app.example.org`; `*` is not one) and whether pages served from loopback
    /// addresses may call too.
    pub fn new(allowed: impl IntoIterator<Item = String>, loopback: bool) -> Self {
        let tidy = |origin: String| origin.trim().trim_end_matches('/').to_lowercase();
        let allowed = allowed.into_iter().map(tidy).filter(|o| !o.is_empty()).collect();
        Self { allowed, loopback }
    }

    /// Whether a request may be served: without an origin (no browser), from the page's own origin, or
    /// from an allowed one.
    pub fn permits(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
        self.lists(origin) || host.is_some_and(|host| same_host(origin, host))
    }

    /// Whether a cross-origin page is allowed by configuration.
    pub fn lists(&self, origin: &str) -> bool {
        let origin = origin.to_lowercase();
        self.allowed.contains(&origin) || (self.loopback && is_loopback(&origin))
    }

    /// Adds the CORS headers for a request's origin: the exact origin with credentials, or nothing.
    pub fn answer(&self, request: &HeaderMap, response: &mut HeaderMap) {
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = request.get(header::ORIGIN) else { return };
        if origin.to_str().is_ok_and(|text| self.lists(text)) {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            let yes = HeaderValue::from_static("true");
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
    }

    /// Adds the headers of a preflight answer: methods, and the request headers echoed.
    pub fn answer_preflight(&self, request: &HeaderMap, response: &mut HeaderMap) {
        self.answer(request, response);
        if !response.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            return;
        }
        let methods = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
        response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(wanted) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        response.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
}

fn same_host(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && rest.eq_ignore_ascii_case(host)
    })
}

fn is_loopback(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => authority.split(':').next(),
    };
    matches!(scheme, "http" | "https") && matches!(host, Some("localhost" | "127.0.0.1" | "::1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: Option<&str>, host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_listed_and_own_origins_pass() {
        let origins = Origins::new(["https://App.example.org/".to_owned()], false);
        let ok = |origin| origins.permits(&headers(origin, "chat.example.org"));
        assert!(ok(None));
        assert!(ok(Some("https://app.example.org")));
        assert!(ok(Some("https://chat.example.org")));
        for forged in [
            "https://app.example.org.evil.test",
            "https://evil.test/https://app.example.org",
            "http://app.example.org",
            "https://app.example.org:444",
            "null",
            "file://",
            "https://xapp.example.org",
            "ftp://chat.example.org",
            "http://localhost:3000",
            "*",
        ] {
            assert!(!ok(Some(forged)), "{forged}");
        }
    }

    #[test]
    fn development_lets_pages_of_this_machine_in() {
        let origins = Origins::new([], true);
        for page in ["http://localhost:5173", "http://127.0.0.1", "http://[::1]:3000"] {
            assert!(origins.lists(page), "{page}");
        }
        for page in ["http://localhost.evil.test", "http://127.0.0.1.evil.test", "localhost"] {
            assert!(!origins.lists(page), "{page}");
        }
    }
}
