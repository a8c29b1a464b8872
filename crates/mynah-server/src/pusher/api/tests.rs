//! The HTTP API from outside, signed as the official libraries sign.

mod idempotency;
mod limits;
mod publishing;
mod reading;
mod signing;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use mynah_domain::app::{App, AppKey, AppSecret};
use mynah_domain::{AppId, TenantId, Timestamp};
use mynah_hub::{Hub, HubConfig};
use mynah_protocol::pusher::Query;
use mynah_protocol::pusher::signature;
use mynah_testkit::ManualClock;
use serde_json::Value;
use tower::ServiceExt as _;

use super::{ApiParts, PusherApi};
use crate::apps::Apps;
use crate::config::PusherConfig;
use crate::metrics::Metrics;
use crate::pusher::Channels;
use crate::test_world::NOW;

const KEY: &str = "shop-key";
const SECRET: &str = "shop-secret";

/// The API of an installation with the apps `shop` and `other`.
struct Shop {
    api: PusherApi,
    router: Router,
    clock: Arc<ManualClock>,
    app: Arc<App>,
}

fn app(id: &str, key: &str, secret: &str) -> App {
    let key = AppKey {
        key: key.to_owned(),
        secret: AppSecret::new(secret),
        created_at: Timestamp(1),
        expires_at: None,
    };
    App::new(AppId::trusted(id), TenantId::trusted(id), key)
}

impl Shop {
    fn new() -> Self {
        Self::with(|_app| {}, "")
    }

    fn with(change: impl FnOnce(&mut App), path_prefix: &str) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(NOW)));
        let mut shop = app("shop", KEY, SECRET);
        change(&mut shop);
        let other = app("other", "other-key", "other-secret");
        let channels = Channels::new(Hub::new(HubConfig::default()), &PusherConfig::default());
        let api = PusherApi::new(ApiParts {
            apps: Apps::configured([shop.clone(), other], Arc::clone(&clock) as _),
            channels,
            defaults: PusherConfig::default(),
            clock: Arc::clone(&clock) as _,
            metrics: Arc::new(Metrics::new()),
        });
        Self { router: api.router(path_prefix), api, clock, app: Arc::new(shop) }
    }

    async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answered { status: parts.status.as_u16(), headers: parts.headers, json }
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(Call::get(path).signed()).await
    }

    async fn post(&self, path: &str, body: impl Into<Text>) -> Answered {
        self.send(Call::post(path, body).signed()).await
    }

    /// Publishes one event and gives the answer.
    async fn publish(&self, body: impl Into<Text>) -> Answered {
        self.post("/apps/shop/events", body).await
    }
}

struct Answered {
    status: u16,
    headers: HeaderMap,
    json: Value,
}

impl Answered {
    #[track_caller]
    fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.json);
        self.json
    }

    /// `error`, after checking that the body is Soketi's.
    #[track_caller]
    fn refused(self, status: u16) -> String {
        let body = self.expect(status);
        assert_eq!(body["code"], status, "{body}");
        body["error"].as_str().unwrap().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A body.
struct Text(String);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Value> for Text {
    fn from(json: Value) -> Self {
        Self(json.to_string())
    }
}

/// A request in the making.
struct Call {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    body: Bytes,
    key: &'static str,
    secret: &'static str,
    at: i64,
}

impl Call {
    /// `path` may have a query.
    fn get(path: &str) -> Self {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self {
            method: "GET",
            path: path.to_owned(),
            query: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            body: Bytes::new(),
            key: KEY,
            secret: SECRET,
            at: NOW / 1_000,
        }
    }

    fn post(path: &str, body: impl Into<Text>) -> Self {
        Self { method: "POST", body: body.into().0.into(), ..Self::get(path) }
    }

    /// The query without its signature.
    fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = self.query.clone();
        let mut add = |key: &str, value: &str| pairs.push((key.to_owned(), value.to_owned()));
        add("auth_key", self.key);
        add("auth_timestamp", &self.at.to_string());
        add("auth_version", "1.0");
        if !self.body.is_empty() {
            add("body_md5", &signature::body_md5(&self.body));
        }
        pairs
    }

    fn signed(self) -> Request<Body> {
        let mut pairs = self.pairs();
        let signed = pairs.iter().map(|(key, value)| (&**key, &**value));
        let text = signature::request(self.method, &self.path, signed);
        pairs.push(("auth_signature".to_owned(), signature::of_request(self.secret, &text)));
        self.with_query(&pairs)
    }

    fn with_query(self, pairs: &[(String, String)]) -> Request<Body> {
        let pairs: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let uri = format!("{}?{}", self.path, pairs.join("&"));
        Request::builder().method(self.method).uri(uri).body(Body::from(self.body)).unwrap()
    }
}

/// The query of a request that is sent as it was signed, with one parameter changed or gone.
fn altered(request: Request<Body>, name: &str, value: Option<&str>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap());
    let kept = query.pairs().filter(|(key, _)| *key != name);
    let mut pairs: Vec<String> = kept.map(|(key, value)| format!("{key}={value}")).collect();
    pairs.extend(value.map(|value| format!("{name}={value}")));
    parts.uri = format!("{}?{}", parts.uri.path(), pairs.join("&")).parse().unwrap();
    Request::from_parts(parts, body)
}
