//! The REST door from outside, on stores in memory.

mod auth;
mod document;
mod errors;
mod messages;
mod realtime;
mod rooms;
mod search;
mod surround;
mod sync;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{HttpOptions, public_router};
use crate::state::House;
use crate::test_world::World;

/// A running door and its world.
struct Door {
    world: Arc<World>,
    house: House,
    router: Router,
}

/// An answer, read to its end.
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    json: Value,
}

impl Answered {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body, after checking the status.
    #[track_caller]
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json
    }
}

impl Door {
    fn new() -> Self {
        Self::with(|_| HttpOptions::default())
    }

    /// With one app, for Pusher sockets.
    fn with_app() -> Self {
        let world = World::new();
        let house = world.house();
        let realtime = world.realtime(&house);
        Self::of(world, house, HttpOptions { realtime, ..HttpOptions::default() })
    }

    fn of(world: Arc<World>, house: House, options: HttpOptions) -> Self {
        Self { world, router: public_router(house.clone(), options), house }
    }

    fn with(change: impl FnOnce(&mut House) -> HttpOptions) -> Self {
        let world = World::new();
        let mut house = world.house();
        let options = change(&mut house);
        Self::of(world, house, options)
    }

    async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answered { status: parts.status, headers: parts.headers, text, json }
    }

    /// `line` is `METHOD /path`; no body for `Value::Null`.
    async fn call(&self, token: &str, line: &str, body: Value) -> Answered {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        self.send(request.body(body).unwrap()).await
    }

    async fn get(&self, token: &str, path: &str) -> Answered {
        self.call(token, &format!("GET {path}"), Value::Null).await
    }

    /// Registers somebody; gives the id and an access token.
    async fn register(&self, name: &str) -> (String, String) {
        let form = json!({"email": format!("{name}@example.org"), "password": "correct horse"});
        let session = self.call("", "POST /v1/auth/register", form).await.expect(201);
        (text(&session["user"]["id"]), text(&session["accessToken"]))
    }

    /// Makes a channel; gives its id.
    async fn channel(&self, token: &str, visibility: &str) -> String {
        let form = json!({"name": "General", "kind": "channel", "visibility": visibility});
        text(&self.call(token, "POST /v1/rooms", form).await.expect(201)["id"])
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
