//! From what happens to what a back end gets, in paused time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mynah_domain::app::{App, AppKey, AppSecret, WebhookKind, WebhookRule};
use mynah_domain::ports::{Clock, OutboxStore, StoreError};
use mynah_domain::{AppId, TenantId, Timestamp};
use mynah_integrations::client::{Answer, Post, PostError, Transport};
use mynah_protocol::pusher::signature;
use mynah_testkit::{CountingIds, MemoryStore, Recorder};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{PusherWebhookParts, PusherWebhooks};
use crate::apps::Apps;
use crate::config::pusher::PusherWebhooksConfig;
use crate::metrics::Metrics;
use crate::pusher::Happening;
use crate::test_world::NOW;

struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp(NOW).plus_ms(self.0.elapsed().as_millis() as u64)
    }
}

/// A call as a back end gets it.
#[derive(Debug, Clone)]
struct Call {
    url: String,
    headers: Vec<(String, String)>,
    body: String,
    at_ms: u64,
}

impl Call {
    fn header(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    fn envelope(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Its events without their ids, which are there.
    fn events(&self) -> Vec<Value> {
        let mut events = self.envelope()["events"].as_array().unwrap().clone();
        for event in &mut events {
            let id = event.as_object_mut().unwrap().remove("event_id");
            assert!(id.is_some_and(|id| id.as_str().unwrap().len() == 36));
        }
        events
    }
}

/// Takes everything, unless told otherwise.
struct BackEnd {
    begin: Instant,
    calls: Mutex<Vec<Call>>,
    count: watch::Sender<usize>,
    status: Mutex<u16>,
}

#[async_trait]
impl Transport for BackEnd {
    async fn post(&self, request: Post) -> Result<Answer, PostError> {
        self.calls.lock().push(Call {
            url: request.url.to_string(),
            headers: request.headers,
            body: String::from_utf8(request.body.to_vec()).unwrap(),
            at_ms: self.begin.elapsed().as_millis() as u64,
        });
        self.count.send_modify(|count| *count += 1);
        Ok(Answer { status: *self.status.lock(), retry_after_s: None })
    }
}

struct World {
    store: Arc<MemoryStore>,
    back_end: Arc<BackEnd>,
    clock: Arc<PausedClock>,
    webhooks: PusherWebhooks,
    apps: Vec<Arc<App>>,
}

impl World {
    fn new(apps: Vec<App>) -> Self {
        Self::with(apps, &PusherWebhooksConfig::default())
    }

    fn with(apps: Vec<App>, config: &PusherWebhooksConfig) -> Self {
        let store = MemoryStore::new(Recorder::new());
        let back_end = Arc::new(BackEnd {
            begin: Instant::now(),
            calls: Mutex::default(),
            count: watch::Sender::new(0),
            status: Mutex::new(200),
        });
        let clock = Arc::new(PausedClock(Instant::now()));
        let parts = PusherWebhookParts {
            store: Arc::clone(&store) as Arc<dyn OutboxStore>,
            apps: Apps::configured(apps.clone(), Arc::clone(&clock) as Arc<dyn Clock>),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Arc::new(CountingIds::default()),
        };
        let webhooks =
            PusherWebhooks::over(config, parts, Arc::clone(&back_end) as Arc<dyn Transport>);
        let apps = apps.into_iter().map(Arc::new).collect();
        Self { store, back_end, clock, webhooks, apps }
    }

    /// Something happens in an app.
    fn happens(&self, app: usize, what: Happening) {
        self.webhooks.observer().happened(&self.apps[app], what);
    }

    async fn calls(&self, count: usize) -> Vec<Call> {
        let mut counted = self.back_end.count.subscribe();
        let reached = counted.wait_for(|now| *now >= count);
        let in_time = tokio::time::timeout(Duration::from_hours(1), reached).await.is_ok();
        let calls = self.back_end.calls.lock().clone();
        assert!(in_time, "{count} calls expected: {calls:?}");
        calls
    }

    /// All events so far, after `time`.
    async fn events_after(&self, time: Duration) -> Vec<Value> {
        drop(tokio::time::timeout(time, std::future::pending::<()>()).await);
        self.back_end.calls.lock().iter().flat_map(Call::events).collect()
    }
}

fn rule(url: &str) -> WebhookRule {
    WebhookRule { url: url.to_owned(), ..WebhookRule::default() }
}

fn app(id: &str, webhooks: Vec<WebhookRule>) -> App {
    let key = AppKey {
        key: format!("{id}-key"),
        secret: AppSecret::new(format!("{id}-secret")),
        created_at: Timestamp(NOW - 1_000),
        expires_at: None,
    };
    App { webhooks, ..App::new(AppId::trusted(id), TenantId::trusted(id), key) }
}

fn occupied(channel: &str) -> Happening {
    Happening::ChannelOccupied { channel: channel.into() }
}

fn vacated(channel: &str) -> Happening {
    Happening::ChannelVacated { channel: channel.into() }
}

fn said(channel: &str, data: &str) -> Happening {
    Happening::ClientEvent {
        channel: channel.into(),
        event: "client-said".to_owned(),
        data: data.to_owned(),
        socket_id: "1.2".to_owned(),
        user_id: Some("7".into()),
    }
}

const SECONDS_3: Duration = Duration::from_secs(3);

#[tokio::test(start_paused = true)]
async fn a_call_is_signed_with_the_newest_key_of_the_moment() {
    let own = [("X-Own", "1"), ("x-pusher-key", "forged"), ("Content-Type", "text/plain")];
    let headers = own.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut shop = app("shop", vec![WebhookRule { headers, ..rule("http://a/hook") }]);
    let newest = AppKey {
        key: "newest".to_owned(),
        secret: AppSecret::new("other secret"),
        created_at: Timestamp(NOW),
        expires_at: None,
    };
    shop.keys.push(newest);
    let w = World::new(vec![shop]);
    w.happens(0, occupied("a"));
    let call = w.calls(1).await.remove(0);
    assert_eq!(call.url, "http://a/hook");
    assert_eq!(call.header("X-Own"), ["1"]);
    assert_eq!(call.header("Content-Type"), ["application/json"]);
    assert_eq!(call.header("X-Pusher-Key"), ["newest"]);
    let signature = signature::webhook("other secret", call.body.as_bytes());
    assert_eq!(call.header("X-Pusher-Signature"), [signature]);
    assert_eq!(call.envelope()["time_ms"], NOW);
    assert_eq!(call.events(), [json!({ "name": "channel_occupied", "channel": "a" })]);
}

#[tokio::test(start_paused = true)]
async fn every_kind_has_its_fields() {
    let w = World::new(vec![app("a", vec![rule("http://a/")])]);
    let (channel, user_id): (Arc<str>, Arc<str>) = ("presence-x".into(), "7".into());
    for what in [
        Happening::MemberAdded { channel: channel.clone(), user_id: user_id.clone() },
        Happening::MemberRemoved { channel: channel.clone(), user_id },
        said("presence-x", r#"{"n":[1,"\"é"]}"#),
        Happening::CacheMiss { channel: "presence-x".into() },
        Happening::SubscriptionCount { channel, count: 3 },
        vacated("presence-x"),
    ] {
        w.happens(0, what);
    }
    let told = w.events_after(SECONDS_3 * 2).await;
    let expected = [
        json!({ "name": "member_added", "channel": "presence-x", "user_id": "7" }),
        json!({ "name": "member_removed", "channel": "presence-x", "user_id": "7" }),
        json!({
            "name": "client_event", "channel": "presence-x", "event": "client-said",
            "data": r#"{"n":[1,"\"é"]}"#, "socket_id": "1.2", "user_id": "7",
        }),
        json!({ "name": "cache_miss", "channel": "presence-x" }),
        json!({ "name": "subscription_count", "channel": "presence-x", "subscription_count": 3 }),
        json!({ "name": "channel_vacated", "channel": "presence-x" }),
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn only_what_a_rule_covers_is_told() {
    let kinds = vec![WebhookKind::ChannelOccupied];
    let some = WebhookRule {
        kinds,
        channel_starts_with: Some("private-".to_owned()),
        channel_ends_with: Some("-room".to_owned()),
        ..rule("http://some/")
    };
    let all = rule("http://all/");
    let w = World::new(vec![app("a", vec![some, all]), app("b", Vec::new())]);
    for channel in ["private-a-room", "private-a", "a-room", "my-private-a-room"] {
        w.happens(0, occupied(channel));
        w.happens(1, occupied(channel));
    }
    w.happens(0, said("private-b-room", "1"));
    let calls = w.calls(6).await;
    let some: Vec<Value> =
        calls.iter().filter(|c| c.url == "http://some/").flat_map(Call::events).collect();
    assert_eq!(some, [json!({ "name": "channel_occupied", "channel": "private-a-room" })]);
    assert_eq!(calls.len(), 6);
    let mut ids: Vec<Value> = calls
        .iter()
        .map(|call| call.envelope()["events"][0].clone())
        .filter(|event| event["channel"] == "private-a-room")
        .map(|event| event["event_id"].clone())
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one event has one id, at every endpoint");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_loaded_again_is_not_told() {
    let w = World::new(vec![app("a", vec![rule("http://a/")])]);
    w.happens(0, occupied("x"));
    for _ in 0..3 {
        w.happens(0, vacated("x"));
        assert_eq!(w.events_after(Duration::from_millis(2_900)).await.len(), 1);
        w.happens(0, occupied("x"));
    }
    w.happens(0, vacated("y"));
    assert_eq!(w.events_after(SECONDS_3 * 2).await.len(), 2, "the other is told");
    w.happens(0, vacated("x"));
    assert_eq!(w.events_after(Duration::from_millis(2_900)).await.len(), 2);
    let told = w.events_after(Duration::from_millis(200)).await;
    assert_eq!(told[2], json!({ "name": "channel_vacated", "channel": "x" }));
    let last = w.calls(3).await.remove(2);
    assert_eq!(last.envelope()["time_ms"], NOW + 3 * 2_900 + 6_000, "when it happened");
    w.happens(0, occupied("x"));
    assert_eq!(w.events_after(SECONDS_3).await.len(), 4);
}

/// A webhook for one of both depends on the other as well.
#[tokio::test(start_paused = true)]
async fn patience_does_not_depend_on_the_kinds_asked_for() {
    let only = |kind, url| WebhookRule { kinds: vec![kind], ..rule(url) };
    let gone = app("gone", vec![only(WebhookKind::ChannelVacated, "http://gone/")]);
    let come = app("come", vec![only(WebhookKind::ChannelOccupied, "http://come/")]);
    let w = World::new(vec![gone, come]);
    for app in 0..2 {
        w.happens(app, occupied("x"));
        w.happens(app, vacated("x"));
        w.happens(app, occupied("x"));
    }
    let told = w.events_after(SECONDS_3 * 2).await;
    assert_eq!(told, [json!({ "name": "channel_occupied", "channel": "x" })]);
    assert_eq!(w.calls(1).await[0].url, "http://come/");
}

#[tokio::test(start_paused = true)]
async fn apps_are_never_mixed_also_with_batching_and_one_url() {
    let config = PusherWebhooksConfig { batching: true, ..PusherWebhooksConfig::default() };
    let apps = vec![app("a", vec![rule("http://x/")]), app("b", vec![rule("http://x/")])];
    let w = World::with(apps, &config);
    for n in 0..10 {
        w.happens(n % 2, occupied(&format!("{}-{n}", ["a", "b"][n % 2])));
    }
    let calls = w.calls(2).await;
    assert_eq!((calls.len(), calls[0].at_ms), (2, 50));
    for call in calls {
        let [key] = call.header("X-Pusher-Key").try_into().unwrap();
        let id = key.strip_suffix("-key").unwrap();
        let signature = signature::webhook(&format!("{id}-secret"), call.body.as_bytes());
        assert_eq!(call.header("X-Pusher-Signature"), [signature]);
        let events = call.events();
        assert_eq!(events.len(), 5);
        assert!(events.iter().all(|e| e["channel"].as_str().unwrap().starts_with(id)));
    }
}

/// Two webhooks with one url keep their own headers.
#[tokio::test(start_paused = true)]
async fn webhooks_with_one_url_keep_their_headers() {
    let with = |value: &str, kind| WebhookRule {
        headers: vec![("X-For".to_owned(), value.to_owned())],
        kinds: vec![kind],
        ..rule("http://x/")
    };
    let rules =
        vec![with("miss", WebhookKind::CacheMiss), with("come", WebhookKind::ChannelOccupied)];
    let w = World::new(vec![app("a", rules)]);
    w.happens(0, occupied("c"));
    w.happens(0, Happening::CacheMiss { channel: "c".into() });
    for call in w.calls(2).await {
        let expected = if call.events()[0]["name"] == "cache_miss" { "miss" } else { "come" };
        assert_eq!(call.header("X-For"), [expected]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_any_more_is_a_dead_letter_and_a_disabled_app_waits() {
    let hook = || vec![rule("http://x/")];
    let mut asleep = app("asleep", hook());
    asleep.is_enabled = false;
    let changed = app("changed", vec![rule("http://other/")]);
    let mut w = World::new(vec![asleep, changed]);
    // What happened before the apps became what they are.
    w.apps = vec![
        Arc::new(app("asleep", hook())),
        Arc::new(app("changed", hook())),
        Arc::new(app("deleted", hook())),
    ];
    for app in 0..3 {
        w.happens(app, occupied("x"));
    }
    assert_eq!(w.events_after(SECONDS_3).await, Vec::<Value>::new());
    let dead = w.store.dead_letters(None, None, 9).await.unwrap();
    let why: Vec<_> = dead.iter().map(|d| d.last_error.as_deref().unwrap()).collect();
    assert_eq!(why, ["the app has no such webhook any more", "there is no such app any more"]);
    let counts = w.store.counts().await.unwrap();
    assert_eq!(counts.iter().map(|c| c.pending).sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_everything_that_happened_is_in_the_outbox() {
    let w = World::new(vec![app("a", vec![rule("http://a/")])]);
    *w.back_end.status.lock() = 503;
    for n in 0..100 {
        w.happens(0, said("private-x", &format!("{n}")));
    }
    w.happens(0, vacated("private-x"));
    w.webhooks.stop().await;
    let now = w.clock.now().plus_ms(3_600_000);
    let waiting = w.store.waiting(None, 9).await.unwrap();
    let left = w.store.lease(&waiting[0].endpoint, now, now, 1_000).await.unwrap().deliveries;
    assert_eq!(left.len(), 101);
    assert!(left.iter().any(|d| d.event.contains("channel_vacated")));
}

/// The disk is full: what comes is lost in the end, and counted; the channels are not held up.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_is_counted() {
    let w = World::new(vec![app("a", vec![rule("http://a/")])]);
    let metrics = Metrics::new();
    w.webhooks.watch(&metrics);
    w.store.fail_writes(StoreError::Full);
    for _ in 0..20_000 {
        w.happens(0, said("private-x", "1"));
    }
    w.events_after(Duration::from_mins(5)).await;
    assert!(metrics.text().unwrap().contains("\nmynah_webhook_lost_total 20000\n"));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_wait_are_bounded() {
    let w = World::new(vec![app("a", vec![rule("http://a/")])]);
    let metrics = Metrics::new();
    w.webhooks.watch(&metrics);
    let large = "x".repeat(100_000);
    for _ in 0..400 {
        w.happens(0, said("private-x", &large));
    }
    let lost = metrics.text().unwrap();
    let lost = lost.lines().find_map(|line| line.strip_prefix("mynah_webhook_lost_total "));
    let lost: usize = lost.unwrap().parse().unwrap();
    assert!((50..100).contains(&lost), "{lost} of 400");
    assert_eq!(w.calls(400 - lost).await.len(), 400 - lost);
    w.happens(0, said("private-x", &large));
    w.calls(401 - lost).await;
}

#[tokio::test(start_paused = true)]
async fn operators_see_what_waits_and_what_was_given_up_by_app() {
    let w = World::new(vec![app("a", vec![rule("http://a/")]), app("b", vec![rule("http://b/")])]);
    let metrics = Metrics::new();
    w.webhooks.watch(&metrics);
    w.happens(0, occupied("x"));
    w.calls(1).await;
    *w.back_end.status.lock() = 500;
    w.happens(1, occupied("x"));
    w.events_after(Duration::from_secs(6)).await;
    let text = metrics.text().unwrap();
    for line in [
        "mynah_webhook_delivered_total{app_id=\"a\"} 1",
        "mynah_webhook_delivered_total{app_id=\"b\"} 0",
        "mynah_webhook_pending{app_id=\"b\"} 1",
        "mynah_webhook_dead{app_id=\"b\"} 0",
        "mynah_webhook_lost_total 0",
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line} in\n{text}");
    }
}
