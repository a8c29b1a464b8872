//! The browser builds of socket.io-client under the Socket.IO path, for pages that load them from their
//! server: `<script src="/socket.io/socket.io.js">`.

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::assets::{client_file, content_type};
use super::embedded::Embedded;
use crate::origin::Origins;

/// What is served; the names are those of the package.
const FILES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];
const ABSENT: &str = "The Socket.IO client is not part of this build.\n\
    Build the page with `npm ci && npm run build` in web/, then build the binary again,\n\
    or take the client from the npm package socket.io-client.\n";

/// The files below `path`, which ends in a slash. They are the same for everybody; `origins` may also load
/// them as modules from other pages.
pub fn client_router(path: &str, origins: Origins) -> Router {
    let mut router = Router::new();
    for name in FILES {
        let serve = async move |State(origins): State<Origins>, headers: HeaderMap| {
            let mut response = answer(name, client_file(name), &headers);
            origins.answer(&headers, response.headers_mut());
            response
        };
        router = router.route(&format!("{path}{name}"), get(serve));
    }
    router.with_state(origins)
}

fn answer(name: &str, file: Option<&Embedded>, request: &HeaderMap) -> Response {
    let nosniff = (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let Some(file) = file else {
        let kind = (CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return (StatusCode::NOT_FOUND, [kind, nosniff], ABSENT).into_response();
    };
    let kind = (CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    let cache = (CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
    let mut response = file.answer(request);
    for (name, value) in [kind, cache, nosniff] {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::http::header::{ETAG, IF_NONE_MATCH};
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::super::embedded::sample;
    use super::*;

    #[test]
    fn builds_are_checked_for_change_each_time() {
        let file = sample(b"/*! licence */");
        let none = HeaderMap::new();
        let response = answer("socket.io.min.js", Some(&file), &none);
        assert_eq!(response.status(), StatusCode::OK);
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], "text/javascript; charset=utf-8");
        assert_eq!(headers[CACHE_CONTROL], "public, max-age=0");
        let map = answer("socket.io.js.map", Some(&file), &none);
        assert_eq!(map.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
        let tag = headers[ETAG].clone();
        for known in [tag.clone(), format!("W/{}", tag.to_str().unwrap()).parse().unwrap()] {
            let asked = HeaderMap::from_iter([(IF_NONE_MATCH, known)]);
            let unchanged = answer("socket.io.js", Some(&file), &asked);
            assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(unchanged.headers()[ETAG], tag);
        }
        let asked = HeaderMap::from_iter([(IF_NONE_MATCH, "\"4.8.0\"".parse().unwrap())]);
        assert_eq!(answer("socket.io.js", Some(&file), &asked).status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn the_client_is_below_the_configured_path() {
        let origins = Origins::new(["https://app.example.org".to_owned()], false);
        let router = client_router("/realtime/", origins);
        for name in FILES {
            let request = Request::get(format!("/realtime/{name}"))
                .header("origin", "https://app.example.org")
                .body(Body::empty())
                .unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(
                response.headers()["access-control-allow-origin"],
                "https://app.example.org"
            );
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            match client_file(name) {
                Some(file) => {
                    assert_eq!((status, body), (StatusCode::OK, file.content().unwrap().into()));
                }
                None => assert_eq!((status, &body[..]), (StatusCode::NOT_FOUND, ABSENT.as_bytes())),
            }
        }
        let elsewhere = Request::get("/realtime/socket.io.slim.js").body(Body::empty()).unwrap();
        let response = router.oneshot(elsewhere).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
