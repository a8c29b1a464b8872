//! Which web pages may call: the allowed origins, for REST, polling and WebSocket alike.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// Methods that pages may use.
const METHODS: &str = "GET, POST, PATCH, DELETE";
/// Request headers allowed to a page that does not say which it wants.
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, X-Request-Id";
/// Answer headers that pages may read.
const EXPOSED: &str =
    "X-Request-Id, Idempotent-Replayed, Retry-After, RateLimit, RateLimit-Policy, ETag";
/// Seconds for which a browser need not ask again.
const MAX_AGE_S: &str = "600";

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
        let allowed = allowed
            .into_iter()
            .map(|o| as_browsers_write(&o))
            .filter(|o| !matches!(o.as_str(), "" | "*"));
        Self { allowed: allowed.collect(), loopback }
    }

    /// Whether a request may be served: without an origin (no browser), from the page's own origin, or
    /// from an allowed one.
    pub fn permits(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
        self.lists(origin) || host.is_some_and(|host| same_host(origin, host))
    }

    /// Whether an answer may be a script, which every page could include and read without an `Origin`:
    /// browsers that say where a request comes from must come from the page's own or an allowed origin.
    pub fn permits_script(&self, headers: &HeaderMap) -> bool {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let is_foreign = matches!(
            text(HeaderName::from_static("sec-fetch-site")),
            Some("cross-site" | "same-site")
        );
        let page = text(header::REFERER).and_then(origin_of);
        !is_foreign || page.is_some_and(|origin| self.lists(origin))
    }

    /// Whether a cross-origin page is allowed by configuration.
    pub fn lists(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == origin)
            || (self.loopback && is_loopback(origin))
    }

    /// Adds the CORS headers for a request's origin: the exact origin with credentials, or nothing.
    pub fn answer(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if self.admit(request, response) {
            put(response, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }

    /// Adds the headers of a preflight answer: methods, and the request headers echoed.
    pub fn answer_preflight(&self, request: &HeaderMap, response: &mut HeaderMap) {
        const WANTED: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
        let admitted = self.admit(request, response);
        response.append(header::VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
        if admitted {
            let usual = HeaderValue::from_static(HEADERS);
            let headers = request.get(WANTED).cloned().unwrap_or(usual);
            response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers);
            put(response, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            put(response, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
        }
    }

    fn admit(&self, request: &HeaderMap, response: &mut HeaderMap) -> bool {
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        let listed = |origin: &&HeaderValue| origin.to_str().is_ok_and(|text| self.lists(text));
        let Some(origin) = request.get(header::ORIGIN).filter(listed) else { return false };
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        put(response, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        true
    }
}

/// Whether a browser asks for permission first.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// An origin as people write it, as browsers send it: lower case, no path, no default port.
fn as_browsers_write(origin: &str) -> String {
    let origin = origin.trim().trim_end_matches('/').to_lowercase();
    let port = match origin.split_once("://") {
        Some(("https", _)) => ":443",
        Some(("http", _)) => ":80",
        Some(_) | None => return origin,
    };
    origin.strip_suffix(port).unwrap_or(&origin).to_owned()
}

/// The origin of an address: `https://app.example.org` of `https://app.example.org/page`.
fn origin_of(address: &str) -> Option<&str> {
    let authority = address.find("://")? + "://".len();
    let length = address.get(authority..)?.find('/');
    length.map_or(Some(address), |length| address.get(..authority + length))
}

fn same_host(origin: &str, host: &str) -> bool {
    origin.split_once("://").is_some_and(|(scheme, rest)| {
        matches!(scheme, "http" | "https") && rest.eq_ignore_ascii_case(host)
    })
}

fn is_loopback(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let own = |name: &&str| authority.starts_with(name);
    let Some(name) = ["localhost", "127.0.0.1", "[::1]"].iter().find(|name| own(name)) else {
        return false;
    };
    let rest = authority.get(name.len()..).unwrap_or_default();
    let port = rest.strip_prefix(':').filter(|port| port.parse::<u16>().is_ok());
    matches!(scheme, "http" | "https") && (rest.is_empty() || port.is_some())
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
            "https://APP.example.org",
            "https://app.example.org/",
            "https://app.example.org, https://evil.test",
            "",
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
        for page in [
            "http://localhost.evil.test",
            "http://127.0.0.1.evil.test",
            "http://localhost:1@evil.test",
            "http://localhost:",
            "http://[::1].evil.test",
            "ws://localhost",
            "localhost",
            "null",
        ] {
            assert!(!origins.lists(page), "{page}");
        }
    }

    #[test]
    fn origins_of_the_configuration_are_read_as_people_write_them() {
        let written =
            ["https://a.example.org:443/", " HTTP://B.example.org:80 ", "http://c.test:443"];
        let origins = Origins::new(written.map(str::to_owned), false);
        for page in ["https://a.example.org", "http://b.example.org", "http://c.test:443"] {
            assert!(origins.lists(page), "{page}");
        }
        assert!(!Origins::new([String::new(), "/".to_owned()], false).lists(""));
    }

    #[test]
    fn answers_name_the_page_and_vary_with_it() {
        let origins = Origins::new(["https://app.example.org".to_owned()], false);
        let asked = headers(Some("https://app.example.org"), "chat.example.org");
        let mut answer = HeaderMap::new();
        origins.answer(&asked, &mut answer);
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.org");
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(answer[header::ACCESS_CONTROL_EXPOSE_HEADERS], EXPOSED);
        assert_eq!(answer[header::VARY], "Origin");
        let mut refused = HeaderMap::new();
        origins.answer(&headers(Some("https://evil.test"), "chat.example.org"), &mut refused);
        assert_eq!(refused.keys().collect::<Vec<_>>(), [header::VARY]);
    }

    #[test]
    fn preflights_get_methods_and_the_headers_they_ask_for() {
        let origins = Origins::new([], true);
        let mut asked = headers(Some("http://localhost:3000"), "localhost:4000");
        let mut answer = HeaderMap::new();
        origins.answer_preflight(&asked, &mut answer);
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_METHODS], METHODS);
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_HEADERS], HEADERS);
        assert_eq!(answer[header::ACCESS_CONTROL_MAX_AGE], "600");
        asked.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, "x-mine".parse().unwrap());
        origins.answer_preflight(&asked, &mut answer);
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_HEADERS], "x-mine");
        let mut refused = HeaderMap::new();
        origins.answer_preflight(&headers(Some("https://evil.test"), "localhost"), &mut refused);
        assert_eq!(refused.keys().collect::<Vec<_>>(), [header::VARY]);
    }
}
