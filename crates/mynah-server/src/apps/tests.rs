//! Who is found, and how often the store is asked.

use mynah_domain::Timestamp;
use mynah_domain::app::{AppKey, AppSecret};
use mynah_testkit::{ManualClock, MemoryStore, Recorder};

use super::*;
use crate::config::Stage;

const HOUR: Duration = Duration::from_hours(1);

fn app(id: &str, tenant: &str) -> App {
    let key = AppKey {
        key: format!("key-of-{id}"),
        secret: AppSecret::new("s"),
        created_at: Timestamp(1),
        expires_at: None,
    };
    App::new(AppId::trusted(id), TenantId::trusted(tenant), key)
}

struct World {
    store: Arc<MemoryStore>,
    clock: Arc<ManualClock>,
    apps: Apps,
}

fn world(configured: Vec<App>, ttl: Duration) -> World {
    let store = MemoryStore::new(Recorder::new());
    let clock = Arc::new(ManualClock::default());
    let fallback = PusherConfig::default().development_app(Stage::Development);
    let apps = Apps::new(configured, fallback, (store.clone(), ttl), clock.clone());
    World { store, clock, apps }
}

impl World {
    async fn id_of_key(&self, key: &str) -> Option<String> {
        self.apps.of_key(key).await.unwrap().map(|app| app.id.to_string())
    }
}

#[tokio::test]
async fn configured_and_stored_apps_are_found_alike() {
    let w = world(vec![app("shop", "default")], HOUR);
    w.store.create_app(app("desk", "guests")).await.unwrap();
    for (id, tenant) in [("shop", "default"), ("desk", "guests")] {
        let found = w.apps.by_id(id).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.tenant.as_str()), (id, tenant));
        let tenant = TenantId::trusted(tenant);
        assert_eq!(w.apps.of_tenant(&tenant).await, Ok(Some(found.clone())));
        assert_eq!(w.apps.of_key(&format!("key-of-{id}")).await, Ok(Some(found)));
    }
    assert_eq!(w.apps.by_id("none").await, Ok(None));
    assert_eq!(w.id_of_key("app-key").await, None, "not beside other apps");
}

#[tokio::test]
async fn lookups_are_remembered_unknown_ones_too() {
    let w = world(vec![], HOUR);
    w.store.create_app(app("desk", "guests")).await.unwrap();
    let before = w.store.calls();
    for _ in 0..5 {
        assert_eq!(w.id_of_key("key-of-desk").await.as_deref(), Some("desk"));
        assert_eq!(w.id_of_key("unknown").await, None);
    }
    assert_eq!(w.store.calls() - before, 2);
    assert_eq!(w.id_of_key(&"x".repeat(101)).await, None);
    assert_eq!(w.store.calls() - before, 2, "no key is that long");
}

#[tokio::test]
async fn a_change_shows_after_clearing_or_without_memory_at_once() {
    for (ttl, clears) in [(HOUR, true), (Duration::ZERO, false)] {
        let w = world(vec![], ttl);
        assert_eq!(w.id_of_key("key-of-desk").await, None);
        let made = w.store.create_app(app("desk", "guests")).await.unwrap();
        if clears {
            assert_eq!(w.id_of_key("key-of-desk").await, None, "remembered");
            w.apps.clear();
        }
        assert!(w.apps.of_key("key-of-desk").await.unwrap().unwrap().is_enabled);
        w.store.replace_app(App { is_enabled: false, ..made }).await.unwrap();
        if clears {
            w.apps.clear();
        }
        assert!(!w.apps.of_key("key-of-desk").await.unwrap().unwrap().is_enabled);
    }
}

#[tokio::test]
async fn a_key_ends_on_time_whatever_is_remembered() {
    let w = world(vec![], HOUR);
    let mut made = app("desk", "guests");
    let end = w.clock.now().plus_ms(1_000);
    let secret = AppSecret::new("s");
    let created_at = Timestamp(0);
    made.keys.push(AppKey { key: "old".to_owned(), secret, created_at, expires_at: Some(end) });
    w.store.create_app(made).await.unwrap();
    assert_eq!(w.id_of_key("old").await.as_deref(), Some("desk"));
    w.clock.advance_ms(1_000);
    assert_eq!(w.id_of_key("old").await, None);
    assert_eq!(w.id_of_key("key-of-desk").await.as_deref(), Some("desk"));
}

#[tokio::test]
async fn a_configured_app_hides_stored_ones_of_its_id_or_tenant() {
    let w = world(vec![app("shop", "default")], HOUR);
    w.store.create_app(App { keys: app("x", "x").keys, ..app("shop", "y") }).await.unwrap();
    w.store.create_app(app("desk", "default")).await.unwrap();
    assert_eq!(w.id_of_key("key-of-x").await, None);
    assert_eq!(w.id_of_key("key-of-desk").await, None);
    assert_eq!(w.apps.by_id("desk").await, Ok(None));
    assert_eq!(w.apps.of_tenant(&TenantId::trusted("y")).await, Ok(None));
    let shop = w.apps.by_id("shop").await.unwrap().unwrap();
    assert_eq!(shop.tenant, TenantId::single());
}

#[tokio::test]
async fn soketis_default_app_is_there_only_while_no_other_is() {
    let w = world(vec![], HOUR);
    assert_eq!(w.id_of_key("app-key").await.as_deref(), Some("app-id"));
    assert!(w.apps.by_id("app-id").await.unwrap().is_some());
    assert!(w.apps.of_tenant(&TenantId::single()).await.unwrap().is_some());
    w.store.create_app(app("desk", "guests")).await.unwrap();
    w.apps.clear();
    assert_eq!(w.id_of_key("app-key").await, None);
    assert_eq!(PusherConfig::default().development_app(Stage::Production), None);
}

#[tokio::test]
async fn a_failing_store_is_an_error_and_not_remembered() {
    let w = world(vec![], HOUR);
    w.store.fail(StoreError::Overloaded);
    assert_eq!(w.apps.of_key("k").await, Err(StoreError::Overloaded));
    assert_eq!(w.apps.check().await, Err(StoreError::Overloaded));
}

#[test]
fn an_app_has_its_own_limits_or_the_installations() {
    let mut own = app("desk", "guests");
    own.limits.batch_max = Some(3);
    own.limits.reads_per_s = Some(7);
    let limits = Limits::of(&own, &PusherConfig::default());
    assert_eq!((limits.batch_max, limits.event_bytes_max), (3, 102_400));
    assert_eq!((limits.reads_per_s, limits.backend_events_per_s), (Some(7), None));
}
