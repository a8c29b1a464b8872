//! The web page, carried inside the binary.

use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::response::{IntoResponse as _, Response};

use super::embedded::Embedded;
use super::error::{ApiError, InputError};

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self' ws: wss:; font-src 'self'; manifest-src 'self'; \
    base-uri 'none'; frame-ancestors 'none'; form-action 'self'";
/// Build tools put a hash into the names of files under this folder.
const HASHED: &str = "assets/";
/// Served elsewhere, see [`super::client_bundle`].
const CLIENT: &str = "client/";
const ABSENT: &str = "The web page is not part of this build.\n\
    Build it with `npm ci && npm run build` in web/, then build the binary again.\n\
    The API is at /v1, its description at /openapi.json.\n";

/// The page itself.
pub(super) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers)
        .unwrap_or_else(|| ([(CONTENT_TYPE, "text/plain; charset=utf-8")], ABSENT).into_response())
}

/// A file of the page, or the answer for paths that nothing serves.
///
/// # Errors
/// `Cannot GET /nope`.
pub(super) async fn file_or_missing(
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = uri.path();
    let wants_file = method == Method::GET || method == Method::HEAD;
    let found = wants_file.then(|| file(path.trim_start_matches('/'), &headers)).flatten();
    found.ok_or_else(|| {
        InputError::NoRoute { method: method.to_string(), path: path.to_owned() }.into()
    })
}

/// A file of the browser builds of socket.io-client, which the page's build puts beside the page.
pub(super) fn client_file(name: &str) -> Option<&'static Embedded> {
    Embedded::find(&format!("{CLIENT}{name}"))
}

fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    if path.starts_with(CLIENT) {
        return None;
    }
    let mut response = Embedded::find(path)?.answer(headers);
    let cache =
        if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    Some(response)
}

/// Value for `Content-Type`, by the end of the name.
pub(super) fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
