//! The edge from outside, over polling.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::request::Builder;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use mynah_hub::{
    Close, CloseReason, Dialect, Hub, HubConfig, Limits, Link, NewSession, Pulse, SessionId, Topic,
};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

mod cors;
mod deflate;
mod leaving;
mod meanwhile;
mod polling;
mod revision_3;
mod upgrade;

use super::line::Line;
use super::poll_style::PollStyle;
use super::registry::PollSession;
use super::{
    Admission, Application, Edge, EngineOptions, NotNow, Peer, Refused, Revision, Traffic, compact,
    engine_rules,
};
use crate::frames;
use crate::origin::Origins;
use crate::rate::{Bucket, Rate, RateLimits};

/// A binary message.
const BYTES: &[u8] = &[1, 2, 3, 4];

/// What sessions said and how many are over.
#[derive(Default)]
struct Heard {
    texts: Vec<String>,
    begun: usize,
    closed: usize,
    peers: Vec<Peer>,
}

/// Notes what it is told. `wait` waits for the gate, `end` ends the session.
struct Listener {
    heard: Arc<Mutex<Heard>>,
    gate: Arc<Semaphore>,
}

impl Application for Listener {
    type Session = Peer;
    type Reply = ();

    fn opened(&self, peer: Peer) -> Peer {
        self.heard.lock().peers.push(peer.clone());
        peer
    }

    async fn begun(&self, _peer: &mut Peer) -> Result<(), Refused> {
        Ok(())
    }

    async fn text(&self, peer: &mut Peer, text: &str) -> Result<(), Refused> {
        self.heard.lock().begun += 1;
        match text {
            "much" => peer.send(frames::text(&[b'4'; 5_000])).await,
            "echo" => peer.send(frames::text_with_attachments(b"4back", &[BYTES.into()])).await,
            "long" => peer.send(frames::text(format!("4{}", "word ".repeat(400)).as_bytes())).await,
            "wait" => self.gate.acquire().await.unwrap().forget(),
            "end" => {
                peer.end(CloseReason::Named("end")).await;
                peer.hub.members(&Topic::new("barrier")).await;
            }
            _ => {}
        }
        self.heard.lock().texts.push(text.to_owned());
        Ok(())
    }

    async fn binary(&self, _peer: &mut Peer, bytes: Bytes) -> Result<(), Refused> {
        self.heard.lock().texts.push(format!("{bytes:?}"));
        Ok(())
    }

    fn in_flight(&self, _peer: &Peer) -> usize {
        0
    }

    async fn next_reply(&self, _peer: &mut Peer) -> Option<()> {
        None
    }

    async fn deliver(&self, _peer: &mut Peer, (): ()) {}

    async fn leaving(&self, peer: &mut Peer) {
        peer.send(frames::text(b"4goodbye")).await;
    }

    async fn closed(&self, _peer: Peer) {
        self.heard.lock().closed += 1;
    }
}

struct House {
    edge: Arc<Edge<Listener>>,
    heard: Arc<Mutex<Heard>>,
    gate: Arc<Semaphore>,
}

impl House {
    fn new() -> Self {
        Self::with(Admission::unlimited())
    }

    fn with(admission: Admission) -> Self {
        Self::changed(Limits::default(), |options| options.admission = admission)
    }

    fn changed(limits: Limits, change: impl FnOnce(&mut EngineOptions)) -> Self {
        let (interval, timeout) = (Duration::from_secs(25), Duration::from_secs(20));
        let dialects = engine_rules(interval, timeout);
        let mut options = EngineOptions {
            path: "/socket.io/".to_owned(),
            ping_interval: interval,
            ping_timeout: timeout,
            upgrade_timeout: Duration::from_secs(10),
            max_payload: 1_000_000,
            packets_per_poll_max: 1_000,
            allow_eio3: true,
            per_message_deflate: false,
            http_compression: true,
            cookie: None,
            origins: Origins::new([], true),
            admission: Admission::unlimited(),
            traffic: Traffic::default(),
            forwarder: None,
        };
        change(&mut options);
        let compact: Option<mynah_hub::Compact> = options.per_message_deflate.then_some(compact);
        let hub = Hub::new(HubConfig { dialects, limits, compact, ..HubConfig::default() });
        let (heard, gate) = (Arc::default(), Arc::new(Semaphore::new(0)));
        let app = Listener { heard: Arc::clone(&heard), gate: Arc::clone(&gate) };
        Self { edge: Edge::new(app, hub, options), heard, gate }
    }

    async fn call(&self, method: &str, query: &str, body: &str) -> Response {
        let uri = format!("/socket.io/?EIO=4&transport=polling{query}");
        let request = Request::builder().method(method).uri(uri);
        self.answer(request, body.to_owned()).await
    }

    async fn answer(&self, request: Builder, body: impl Into<Body>) -> Response {
        let mut request = request.body(body.into()).unwrap();
        let address = SocketAddr::from(([192, 0, 2, 1], 4_711));
        request.extensions_mut().insert(ConnectInfo(address));
        self.edge.router().oneshot(request).await.unwrap()
    }

    /// Begins a session; gives its `&sid=…`.
    async fn open(&self) -> String {
        let response = self.call("GET", "", "").await;
        assert_eq!(response.status(), StatusCode::OK);
        let text = text(response).await;
        let open: serde_json::Value = serde_json::from_str(&text[1..]).unwrap();
        format!("&sid={}", open["sid"].as_str().unwrap())
    }

    async fn until(&self, holds: impl Fn(&Heard) -> bool) {
        while !holds(&self.heard.lock()) {
            tokio::task::yield_now().await;
        }
    }
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_post_that_is_given_up_is_still_carried_to_its_end() {
    let house = House::new();
    let sid = house.open().await;
    tokio::select! {
        response = house.call("POST", &sid, "4wait\u{1e}4next") => panic!("{response:?}"),
        () = house.until(|heard| heard.begun == 1) => {}
    }
    house.gate.add_permits(1);
    house.until(|heard| heard.texts == ["wait", "next"]).await;
    // The session can post again.
    let session = house.edge.registry.find(&sid[5..]).unwrap();
    while session.posting.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.call("POST", &sid, "4more").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_is_acted_upon_after_the_end_of_the_session() {
    let house = House::new();
    let sid = house.open().await;
    let response = house.call("POST", &sid, "4one\u{1e}4end\u{1e}4two").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    house.until(|heard| heard.closed == 1).await;
    assert_eq!(house.heard.lock().texts, ["one", "end"]);
}

#[tokio::test]
async fn a_session_that_ended_before_it_was_entered_is_not_kept() {
    let house = House::new();
    let (hub, registry) = (house.edge.hub.clone(), &house.edge.registry);
    let pulse = Pulse::default();
    let new = NewSession {
        dialect: Dialect(0),
        link: Link::Polling,
        events: Arc::clone(registry) as _,
        pulse: pulse.clone(),
    };
    let id = hub.attach(new).await.unwrap();
    hub.detach(id, CloseReason::PeerGone).await;
    hub.members(&Topic::new("barrier")).await;
    let handshake = Arc::new(super::Handshake {
        revision: Revision::V4,
        query: Vec::new(),
        authorization: None,
        address: SocketAddr::from(([192, 0, 2, 1], 4_711)),
    });
    let peer = Peer { id, hub, pulse: pulse.clone(), handshake };
    let line = Line { id, pulse, revision: Revision::V4 };
    let session = Arc::new(PollSession::new("sid".to_owned(), line, PollStyle::V4, peer));
    assert!(!registry.enter(&session));
    assert!(registry.find("sid").is_none());
}

#[tokio::test]
async fn too_many_new_sessions_are_refused_for_a_while() {
    let limits = RateLimits::with(|_| Rate { count: 2, window_s: 60 });
    let house = House::with(Admission::new(move |_| limits.check(Bucket::Connect, "one")));
    let sid = house.open().await;
    house.open().await;
    let refused = house.call("GET", "", "").await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    // Who has a session keeps it.
    assert_eq!(house.call("POST", &sid, "4on").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_server_that_is_going_refuses_new_sessions_and_serves_those_it_has() {
    let going = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&going);
    let house = House::with(Admission::new(move |_| {
        if asked.load(Ordering::Relaxed) { Err(NotNow::Leaving) } else { Ok(()) }
    }));
    let sid = house.open().await;
    going.store(true, Ordering::Relaxed);
    let refused = house.call("GET", "", "").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(house.call("POST", &sid, "4on").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_query_is_kept_up_to_a_length() {
    let house = House::new();
    let query = |bytes: usize| format!("&token={}", "t".repeat(bytes));
    let refused = house.call("GET", &query(8 * 1024), "").await;
    assert_eq!(refused.status(), StatusCode::URI_TOO_LONG);
    assert_eq!(house.call("GET", &query(4 * 1024), "").await.status(), StatusCode::OK);
}
