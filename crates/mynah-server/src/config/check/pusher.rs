//! What must not be in `[pusher]`.

use std::collections::HashSet;

use mynah_domain::app::App;

use super::super::pusher::{PusherConfig, SOKETI_DEFAULTS};
use super::super::{Config, Stage};
use super::is_well_known;

/// Shortest secret of an app accepted in production, in bytes; those of hosted services have 20.
const SECRET_BYTES_MIN: usize = 16;
/// Most bytes of one event or batch: what bounds the memory of a request.
const EVENT_BYTES_MAX: u32 = 10_000_000;

type Add<'a> = dyn FnMut(&'static str, &str) + 'a;

/// Names everything that is wrong.
pub(super) fn check(config: &Config, add: &mut Add<'_>) {
    let pusher = &config.pusher;
    if !is_prefix(&pusher.path_prefix) {
        add("pusher.path_prefix", "must be empty, or start with / and not end with it, e.g. /ws");
    }
    let metrics_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !pusher.metrics_prefix.chars().all(metrics_name) {
        add("pusher.metrics_prefix", "must be letters, digits or _, e.g. soketi_");
    }
    ports(config, add);
    ranges(pusher, add);
    if pusher.enabled {
        apps(pusher, config.env == Stage::Production, add);
    }
}

fn is_prefix(prefix: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    let slashes = prefix.starts_with('/') && !prefix.ends_with('/') && !prefix.contains("//");
    prefix.is_empty() || slashes && prefix.bytes().all(plain)
}

fn ports(config: &Config, add: &mut Add<'_>) {
    let (own, metrics) = (config.pusher.port, config.pusher.metrics_port);
    let others = [config.server.port, config.admin.port];
    // The door is on server.port in any case, so the same number asks for nothing new.
    if own.is_some_and(|port| port != 0 && port == config.admin.port) {
        add("pusher.port", "is the port of admin.port: choose another");
    }
    if metrics.is_some_and(|port| port != 0 && (others.contains(&port) || own == Some(port))) {
        add("pusher.metrics_port", "is taken by another listener of Mynah: choose another");
    }
}

fn ranges(pusher: &PusherConfig, add: &mut Add<'_>) {
    let entries = [
        ("pusher.activity_timeout_s", pusher.activity_timeout_s, 3_600),
        ("pusher.channel_name_chars_max", pusher.channel_name_chars_max, 10_000),
        ("pusher.event_name_chars_max", pusher.event_name_chars_max, 10_000),
        ("pusher.event_bytes_max", pusher.event_bytes_max, EVENT_BYTES_MAX),
        ("pusher.event_channels_max", pusher.event_channels_max, 10_000),
        ("pusher.batch_max", pusher.batch_max, 10_000),
        ("pusher.presence_members_max", pusher.presence_members_max, 1_000_000),
        ("pusher.presence_member_bytes_max", pusher.presence_member_bytes_max, 1_000_000),
        ("pusher.user_authentication_timeout_s", pusher.user_authentication_timeout_s, 3_600),
        ("pusher.memory_threshold_percent", u32::from(pusher.memory_threshold_percent), 100),
    ];
    for (entry, value, most) in entries {
        if !(1..=most).contains(&value) {
            add(entry, &format!("must be between 1 and {most}"));
        }
    }
    let webhooks = &pusher.webhooks;
    if !(100..=120_000).contains(&webhooks.timeout_ms) {
        add("pusher.webhooks.timeout_ms", "must be between 100 and 120000");
    }
    if !(1..=60_000).contains(&webhooks.batching_ms) {
        add("pusher.webhooks.batching_ms", "must be between 1 and 60000");
    }
    if pusher.app_cache_ttl_s > 86_400 {
        add("pusher.app_cache_ttl_s", "must be at most 86400");
    }
}

fn apps(pusher: &PusherConfig, is_production: bool, add: &mut Add<'_>) {
    let (mut ids, mut tenants, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    for app in pusher.configured_apps() {
        let app = match app {
            Ok(app) => app,
            Err(problem) => {
                add("pusher.apps", &format!("has a mistake: {problem}"));
                continue;
            }
        };
        let mut say = |problem: &str| {
            add("pusher.apps", &format!("has app {:?}: {problem}", app.id.as_str()));
        };
        if !ids.insert(app.id.clone()) {
            say("its id is that of another app");
        }
        if !tenants.insert(app.tenant.clone()) {
            say("its tenant is that of another app: each tenant has one");
        }
        if app.keys.iter().any(|key| !keys.insert(key.key.clone())) {
            say("its key is that of another app");
        }
        bounds(&app, &mut say);
        if is_production {
            well_known(&app).into_iter().for_each(say);
        }
    }
}

fn bounds(app: &App, say: &mut dyn FnMut(&str)) {
    let own = &app.limits;
    let limits = [
        ("presence_members_max", own.presence_members_max),
        ("presence_member_bytes_max", own.presence_member_bytes_max),
        ("channel_name_chars_max", own.channel_name_chars_max),
        ("event_channels_max", own.event_channels_max),
        ("event_name_chars_max", own.event_name_chars_max),
        ("event_bytes_max", own.event_bytes_max),
        ("batch_max", own.batch_max),
    ];
    for (name, limit) in limits {
        if limit == Some(0) {
            say(&format!("{name} must be above 0"));
        }
    }
    if own.event_bytes_max.is_some_and(|bytes| bytes > EVENT_BYTES_MAX) {
        say(&format!("event_bytes_max must be at most {EVENT_BYTES_MAX}"));
    }
}

/// What of an app everybody could guess, as ends of sentences that do not repeat it.
pub fn well_known(app: &App) -> Vec<&'static str> {
    let (id, key, secret) = SOKETI_DEFAULTS;
    let mut problems = Vec::new();
    if app.id.as_str() == id {
        problems.push("its id is Soketi's default app-id: choose another");
    }
    if app.keys.iter().any(|own| own.key == key) {
        problems.push("its key is Soketi's default app-key: make a random one");
    }
    for own in &app.keys {
        let own = own.secret.expose();
        if own == secret {
            problems.push("its secret is Soketi's default app-secret: make a random one");
        } else if own.len() < SECRET_BYTES_MIN {
            problems.push("its secret is shorter than 16 bytes: make a random one");
        } else if is_well_known(own) {
            problems.push("its secret is a well-known text: make a random one");
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::super::Hidden;
    use super::super::super::pusher::{AppConfig, OldKeyConfig, WebhookConfig};
    use super::*;

    const SOUND: &str = "kJ8vQm2xT5zR9bN4cW7y";

    fn app(id: &str, key: &str) -> AppConfig {
        AppConfig {
            id: id.to_owned(),
            key: key.to_owned(),
            secret: Hidden::new(SOUND),
            ..AppConfig::default()
        }
    }

    fn with(apps: Vec<AppConfig>) -> Config {
        Config { pusher: PusherConfig { apps, ..PusherConfig::default() }, ..Config::default() }
    }

    fn problems(config: &Config) -> Vec<String> {
        config.problems().into_iter().map(|p| format!("{} {}", p.entry, p.text)).collect()
    }

    #[test]
    fn a_sound_app_is_fine() {
        assert_eq!(problems(&with(vec![app("shop", "k1"), app("desk", "k2")])), [] as [&str; 0]);
    }

    #[test]
    fn apps_that_cannot_be_are_named() {
        let wrong = vec![
            app("", "k1"),
            app("a/b", "k2"),
            app("no-key", ""),
            AppConfig { secret: Hidden::default(), ..app("no-secret", "k3") },
            AppConfig { event_bytes_max: Some(0), ..app("zero", "k4") },
            AppConfig { webhooks: vec![WebhookConfig::default()], ..app("hook", "k5") },
        ];
        assert_eq!(
            problems(&with(wrong)),
            [
                "pusher.apps has a mistake: app \"\": id is missing",
                "pusher.apps has a mistake: app \"a/b\": id must be letters, digits or -_.~, at most \
                 64",
                "pusher.apps has a mistake: app \"no-key\": key must be letters, digits or -_.~, at \
                 most 100",
                "pusher.apps has a mistake: app \"no-secret\": secret must have 1 to 500 bytes",
                "pusher.apps has app \"zero\": event_bytes_max must be above 0",
                "pusher.apps has a mistake: app \"hook\": webhooks need an http:// or https:// URL of \
                 at most 2000 characters",
            ]
        );
    }

    #[test]
    fn no_two_apps_share_id_key_or_tenant() {
        let twins = vec![
            app("a", "k1"),
            AppConfig { tenant: Some("other".to_owned()), ..app("a", "k2") },
            app("c", "k1"),
            AppConfig { tenant: Some("c".to_owned()), ..app("d", "k3") },
        ];
        assert_eq!(
            problems(&with(twins)),
            [
                "pusher.apps has app \"a\": its id is that of another app",
                "pusher.apps has app \"c\": its key is that of another app",
                "pusher.apps has app \"d\": its tenant is that of another app: each tenant has one",
            ]
        );
    }

    #[test]
    fn the_first_app_is_the_face_of_the_default_tenant() {
        let tenants = |apps| {
            let config = PusherConfig { apps, ..PusherConfig::default() };
            let tenants = config.configured_apps().into_iter();
            tenants.map(|app| app.unwrap().tenant.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(tenants(vec![app("a", "k1"), app("b", "k2")]), ["default", "b"]);
        let named = AppConfig { tenant: Some("default".to_owned()), ..app("b", "k2") };
        assert_eq!(tenants(vec![app("a", "k1"), named]), ["a", "default"]);
    }

    #[test]
    fn production_refuses_what_everybody_knows_and_does_not_repeat_it() {
        let mut config = with(vec![
            AppConfig { secret: Hidden::new("app-secret"), ..app("app-id", "app-key") },
            AppConfig { secret: Hidden::new("1234"), ..app("short", "k1") },
            AppConfig { secret: Hidden::new("example-of-a-longer-one"), ..app("known", "k2") },
            AppConfig {
                old_keys: vec![OldKeyConfig {
                    key: "k4".to_owned(),
                    secret: Hidden::new("5678"),
                    expires_at: None,
                }],
                ..app("old", "k3")
            },
        ]);
        assert_eq!(problems(&config), [] as [&str; 0], "development takes them");
        config.env = Stage::Production;
        config.auth.jwt_secret = Hidden::new("kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a");
        let found = problems(&config);
        assert_eq!(found.len(), 6, "{found:#?}");
        for (text, part) in found.iter().zip([
            "app-id\": its id is",
            "app-id\": its key is",
            "app-id\": its secret is Soketi's default",
            "short\": its secret is shorter",
            "known\": its secret is a well-known",
            "old\": its secret is shorter",
        ]) {
            assert!(text.contains(part), "{text}");
        }
        assert!(!found.concat().contains("1234") && !found.concat().contains("5678"), "{found:?}");
        config.pusher.enabled = false;
        assert_eq!(problems(&config), [] as [&str; 0], "switched off");
    }

    #[test]
    fn limits_prefixes_and_ports_must_make_sense() {
        let entries = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.problems().into_iter().map(|p| p.entry).collect::<Vec<_>>()
        };
        for prefix in ["", "/ws", "/a/b"] {
            assert_eq!(entries(&|c| c.pusher.path_prefix = prefix.to_owned()), [] as [&str; 0]);
        }
        for prefix in ["ws", "/", "/ws/", "/a//b", "/a b", "/ä"] {
            let found = entries(&|c| c.pusher.path_prefix = prefix.to_owned());
            assert_eq!(found, ["pusher.path_prefix"], "{prefix:?}");
        }
        assert_eq!(entries(&|c| c.pusher.activity_timeout_s = 0), ["pusher.activity_timeout_s"]);
        assert_eq!(entries(&|c| c.pusher.event_bytes_max = 1 << 30), ["pusher.event_bytes_max"]);
        assert_eq!(entries(&|c| c.pusher.port = Some(4000)), [] as [&str; 0]);
        assert_eq!(entries(&|c| c.pusher.port = Some(4001)), ["pusher.port"]);
        assert_eq!(entries(&|c| c.pusher.metrics_port = Some(4001)), ["pusher.metrics_port"]);
        assert_eq!(
            entries(&|c| c.pusher.metrics_prefix = "a-b".to_owned()),
            ["pusher.metrics_prefix"]
        );
    }
}
