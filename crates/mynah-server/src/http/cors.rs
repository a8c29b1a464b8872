//! Which pages of other origins may read our answers (Fetch standard, section 3.2).

use axum::extract::Request;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};

const METHODS: &str = "GET, POST, PATCH, DELETE";
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, X-Request-Id";
const EXPOSED: &str =
    "X-Request-Id, Idempotent-Replayed, Retry-After, RateLimit, RateLimit-Policy, ETag";
const MAX_AGE: &str = "600";

/// The origins that may call.
pub(super) struct Cors {
    origins: Vec<String>,
    any: bool,
}

impl Cors {
    pub(super) fn new(origins: Vec<String>) -> Self {
        let any = origins.iter().any(|origin| origin == "*");
        Self { origins, any }
    }

    /// Whether a browser asks for permission first.
    pub(super) fn is_preflight(request: &Request) -> bool {
        request.method() == Method::OPTIONS
            && request.headers().contains_key(ORIGIN)
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The request's origin, if it may call.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        if self.origins.iter().any(|allowed| allowed == text) {
            Some(origin.clone())
        } else {
            self.any.then(|| HeaderValue::from_static("*"))
        }
    }

    /// Adds the headers to an answer, errors included.
    pub(super) fn write(
        &self,
        origin: Option<&HeaderValue>,
        preflight: bool,
        headers: &mut HeaderMap,
    ) {
        if !self.origins.is_empty() {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        let Some(origin) = origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        let mut put = |name: HeaderName, value| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        if origin != "*" {
            put(ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if preflight {
            put(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            put(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            put(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        } else {
            put(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
