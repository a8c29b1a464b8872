//! Apps and their keys.

use mynah_domain::app::{
    App, AppError, AppKey, AppLimits, AppSecret, InvalidApp, WebhookKind, WebhookRule,
};
use mynah_domain::{AppId, TenantId, Timestamp};

use super::Subject;

fn key(text: &str, at: Timestamp) -> AppKey {
    let secret = AppSecret::new(format!("secret of {text}"));
    AppKey { key: text.to_owned(), secret, created_at: at, expires_at: None }
}

/// An app whose tenant is called like it.
fn app(id: &str, at: Timestamp) -> App {
    App::new(AppId::trusted(id), TenantId::trusted(id), key(&format!("key-of-{id}"), at))
}

impl Subject {
    async fn make(&self, app: &App) -> App {
        self.apps.create_app(app.clone()).await.expect("made")
    }

    async fn kept(&self, id: &str) -> Option<App> {
        self.apps.app(&AppId::trusted(id)).await.expect("read")
    }
}

/// Nothing is lost, rounded or reordered.
pub async fn an_app_is_kept_word_for_word(s: Subject) {
    let at = s.tick();
    let plain = app("plain", at);
    assert_eq!(s.make(&plain).await, plain);
    assert_eq!(s.kept("plain").await, Some(plain));
    let full = App {
        name: "Größe & \"Co\"".to_owned(),
        is_enabled: false,
        client_events: false,
        user_authentication: true,
        subscription_counts: true,
        keys: vec![
            key("new", s.tick()),
            AppKey { expires_at: Some(Timestamp(i64::MAX)), ..key("middle", at) },
            AppKey { expires_at: Some(Timestamp(-1)), ..key("a-gone", Timestamp(0)) },
        ],
        limits: AppLimits {
            connections_max: Some(i64::MAX as u64),
            backend_events_per_s: Some(0),
            client_events_per_s: Some(1),
            reads_per_s: Some(u32::MAX),
            presence_members_max: Some(2),
            presence_member_bytes_max: Some(3),
            channel_name_chars_max: Some(4),
            event_channels_max: Some(5),
            event_name_chars_max: Some(6),
            event_bytes_max: Some(7),
            batch_max: Some(8),
        },
        webhooks: vec![
            WebhookRule {
                url: "https://b.example.org/hook?x=1".to_owned(),
                headers: vec![
                    ("X-Z".to_owned(), "1".to_owned()),
                    ("X-A".to_owned(), "\"2\"".to_owned()),
                ],
                kinds: WebhookKind::ALL.to_vec(),
                channel_starts_with: Some("presence-".to_owned()),
                channel_ends_with: Some(String::new()),
            },
            WebhookRule { url: "http://a.example.org".to_owned(), ..WebhookRule::default() },
        ],
        updated_at: s.tick(),
        version: 77,
        ..app("full", at)
    };
    let made = s.make(&full).await;
    assert_eq!(made, App { version: 1, ..full });
    assert_eq!(s.kept("full").await, Some(made));
    assert_eq!(s.heard.events().len(), 0, "an app is no event");
}

/// Also by a key that is over: what it opens is not the store's to say.
pub async fn an_app_is_found_by_id_key_and_tenant(s: Subject) {
    let at = s.tick();
    let mut made = app("shop", at);
    made.tenant = TenantId::single();
    made.keys.push(AppKey { expires_at: Some(at), ..key("old", at) });
    let made = s.make(&made).await;
    s.make(&app("other", at)).await;
    assert_eq!(s.kept("shop").await, Some(made.clone()));
    for text in ["key-of-shop", "old"] {
        assert_eq!(s.apps.app_of_key(text).await, Ok(Some(made.clone())));
    }
    assert_eq!(s.apps.app_of_tenant(&TenantId::single()).await, Ok(Some(made)));
    assert_eq!(s.kept("SHOP").await, None, "case matters");
    for text in ["", "key-of-SHOP", "key-of-shop ", "none"] {
        assert_eq!(s.apps.app_of_key(text).await, Ok(None), "{text:?}");
    }
    assert_eq!(s.apps.app_of_tenant(&TenantId::trusted("shop")).await, Ok(None));
}

/// By whom they are taken makes no difference, nor does it whether that one is enabled.
pub async fn ids_keys_and_tenants_are_taken_once(s: Subject) {
    let at = s.tick();
    s.make(&App { is_enabled: false, ..app("one", at) }).await;
    let two = s.make(&app("two", at)).await;
    let taken = |field| Err(AppError::Taken { field });
    let same_id =
        App { tenant: TenantId::trusted("x"), keys: vec![key("x", at)], ..app("one", at) };
    assert_eq!(s.apps.create_app(same_id).await, taken("id"));
    let same_tenant = App { tenant: TenantId::trusted("one"), ..app("three", at) };
    assert_eq!(s.apps.create_app(same_tenant).await, taken("tenant"));
    let mut same_key = app("three", at);
    same_key.keys.push(key("key-of-one", at));
    assert_eq!(s.apps.create_app(same_key).await, taken("key"));
    assert_eq!(s.kept("three").await, None);
    assert_eq!(s.apps.app_of_key("key-of-three").await, Ok(None));
    let moved = App { tenant: TenantId::trusted("one"), ..two.clone() };
    assert_eq!(s.apps.replace_app(moved).await, taken("tenant"));
    let grabbing = App { keys: vec![key("fresh", at), key("key-of-one", at)], ..two.clone() };
    assert_eq!(s.apps.replace_app(grabbing).await, taken("key"));
    assert_eq!(s.kept("two").await, Some(two), "refused is unchanged");
    assert_eq!(s.apps.app_of_key("fresh").await, Ok(None));
}

/// Keys that are no longer there open nothing and are free again.
pub async fn a_change_replaces_the_whole_app(s: Subject) {
    let at = s.tick();
    let mut made = app("shop", at);
    made.webhooks.push(WebhookRule { url: "http://a".to_owned(), ..WebhookRule::default() });
    made.limits.batch_max = Some(5);
    let made = s.make(&made).await;
    let later = s.tick();
    let changed = App {
        tenant: TenantId::trusted("moved"),
        name: "Shop".to_owned(),
        keys: vec![key("second", later), key("first", at)],
        is_enabled: false,
        limits: AppLimits { connections_max: Some(9), ..AppLimits::default() },
        webhooks: Vec::new(),
        created_at: later,
        updated_at: later,
        ..made
    };
    let stored = s.apps.replace_app(changed.clone()).await.expect("changed");
    assert_eq!(stored, App { version: 2, created_at: at, ..changed });
    assert_eq!(s.kept("shop").await, Some(stored.clone()));
    assert_eq!(s.apps.app_of_key("key-of-shop").await, Ok(None));
    assert_eq!(s.apps.app_of_tenant(&TenantId::trusted("shop")).await, Ok(None));
    let next = App { keys: vec![key("key-of-shop", later)], ..app("heir", later) };
    let next = s.make(&App { tenant: TenantId::trusted("shop"), ..next }).await;
    assert_eq!(s.apps.app_of_key("key-of-shop").await, Ok(Some(next)));
    let again = s.apps.replace_app(stored).await.expect("its own keys are no hindrance");
    assert_eq!(again.version, 3);
}

/// Whoever read before the other's change hears of it instead of undoing it.
pub async fn of_two_changes_one_is_refused(s: Subject) {
    let read = s.make(&app("shop", s.tick())).await;
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (apps, change) = (s.apps.clone(), App { name: format!("name {n}"), ..read.clone() });
        calls.spawn(async move { apps.replace_app(change).await });
    }
    let outcomes = calls.join_all().await;
    let won: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    assert_eq!(s.kept("shop").await.as_ref(), Some(won[0]));
    let refused = outcomes.iter().filter(|outcome| **outcome == Err(AppError::Changed));
    assert_eq!(refused.count(), 7, "{outcomes:?}");
}

/// A change never makes an app.
pub async fn what_is_not_there_is_not_changed(s: Subject) {
    assert_eq!(s.apps.replace_app(app("none", s.tick())).await, Err(AppError::Missing));
    assert_eq!(s.kept("none").await, None);
}

/// The store asks the rule; nothing is written.
pub async fn malformed_apps_are_not_stored(s: Subject) {
    let at = s.tick();
    let keyless = App { keys: Vec::new(), ..app("shop", at) };
    let invalid = Err(AppError::Invalid(InvalidApp { field: "key", problem: "is missing" }));
    assert_eq!(s.apps.create_app(keyless).await, invalid);
    let made = s.make(&app("shop", at)).await;
    let keyless = App { keys: Vec::new(), ..made.clone() };
    assert_eq!(s.apps.replace_app(keyless).await, invalid);
    assert_eq!(s.kept("shop").await, Some(made));
}

/// Page by page, each app once, whatever was changed since.
pub async fn apps_are_listed_as_they_were_made(s: Subject) {
    assert_eq!(s.apps.apps(0, 10).await.expect("read").items, []);
    let mut made = Vec::new();
    for id in ["z", "a", "m", "b", "c"] {
        made.push(s.make(&app(id, s.tick())).await);
    }
    made[1] = s.apps.replace_app(made[1].clone()).await.expect("changed");
    let (mut listed, mut after, mut sizes) = (Vec::new(), 0, Vec::new());
    loop {
        let page = s.apps.apps(after, 2).await.expect("read");
        sizes.push(page.items.len());
        listed.extend(page.items);
        let Some(next) = page.next else { break };
        after = next;
    }
    assert_eq!((listed, sizes), (made.clone(), vec![2, 2, 1]));
    let all = s.apps.apps(0, 5).await.expect("read");
    assert_eq!((all.items, all.next), (made, None));
}

/// It makes no difference which of both was there first.
pub async fn an_apps_tenant_has_users(s: Subject) {
    s.user("ada").await;
    let own = App { tenant: TenantId::single(), ..app("own", s.tick()) };
    s.make(&own).await;
    s.make(&app("guests", s.tick())).await;
    let account = mynah_domain::account::NewAccount {
        tenant: TenantId::trusted("guests"),
        ..s.account("eve")
    };
    let made = s.accounts.create_account(account).await.expect("made");
    assert_eq!(made.tenant.as_str(), "guests");
}
