//! What a user of Soketi has set means the same here, or is said.

use std::path::Path;

use super::super::{Config, Loaded, load};
use super::*;

fn from(environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    load(None, &owned(environment))
}

fn owned(environment: &[(&str, &str)]) -> Vec<(String, String)> {
    environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

fn config(environment: &[(&str, &str)]) -> Config {
    from(environment).unwrap().config
}

fn from_json(json: &str, environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("soketi.json");
    std::fs::write(&path, json).unwrap();
    load(Some(&path), &owned(environment))
}

#[test]
fn a_default_app_is_the_face_of_the_default_tenant() {
    let config = config(&[
        ("SOKETI_DEFAULT_APP_ID", "0123456789"),
        ("SOKETI_DEFAULT_APP_KEY", " 12345678901234567890\n"),
        ("SOKETI_DEFAULT_APP_SECRET", "12e45\n"),
        ("SOKETI_DEFAULT_APP_ENABLED", "false"),
        ("SOKETI_DEFAULT_APP_MAX_CONNS", "200"),
        ("SOKETI_DEFAULT_APP_ENABLE_CLIENT_MESSAGES", "false"),
        ("SOKETI_DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC", "10"),
        ("SOKETI_DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC", "-1"),
        ("SOKETI_DEFAULT_APP_MAX_READ_REQ_PER_SEC", "5"),
        ("SOKETI_DEFAULT_APP_USER_AUTHENTICATION", "true"),
        (
            "SOKETI_DEFAULT_APP_WEBHOOKS",
            r#"[{"url":"https://a.example.org","event_types":["cache_miss"]}]"#,
        ),
    ]);
    assert_eq!(config.pusher.port, Some(6001));
    let apps: Vec<_> = config.pusher.configured_apps().into_iter().map(Result::unwrap).collect();
    let [app] = &apps[..] else { panic!("{apps:?}") };
    assert_eq!((app.id.as_str(), app.tenant.as_str()), ("0123456789", "default"));
    assert_eq!(app.keys[0].key, "12345678901234567890");
    assert_eq!(app.keys[0].secret.expose(), "12e45");
    assert!(!app.is_enabled && !app.client_events && app.user_authentication);
    let limits = app.limits;
    assert_eq!((limits.connections_max, limits.backend_events_per_s), (Some(200), Some(10)));
    assert_eq!((limits.client_events_per_s, limits.reads_per_s), (None, Some(5)));
    assert_eq!(app.webhooks[0].url, "https://a.example.org");
}

#[test]
fn what_is_not_said_of_the_default_app_is_soketis() {
    let loaded = from(&[("SOKETI_DEFAULT_APP_KEY", "own")]).unwrap();
    let app = &loaded.config.pusher.apps[0];
    assert_eq!((app.id.as_str(), app.key.as_str()), ("app-id", "own"));
    assert_eq!(app.secret.expose(), "app-secret");
    assert!(loaded.remarks[0].contains("ENABLE_CLIENT_MESSAGES"), "{:?}", loaded.remarks);
}

#[test]
fn options_with_a_meaning_set_the_matching_entry() {
    let config = config(&[
        ("SOKETI_HOST", "127.0.0.1"),
        ("SOKETI_PORT", "6002"),
        ("SOKETI_PATH_PREFIX", "ws/"),
        ("SOKETI_DEBUG", "1"),
        ("SOKETI_SHUTDOWN_GRACE_PERIOD", "3500"),
        ("SOKETI_USER_AUTHENTICATION_TIMEOUT", "15000"),
        ("SOKETI_APP_MANAGER_CACHE_TTL", "-1"),
        ("SOKETI_CHANNEL_LIMITS_MAX_NAME_LENGTH", "150"),
        ("SOKETI_CHANNEL_CACHE_TTL", "60"),
        ("SOKETI_EVENT_MAX_BATCH_SIZE", "20"),
        ("SOKETI_EVENT_MAX_CHANNELS_AT_ONCE", "50"),
        ("SOKETI_EVENT_MAX_NAME_LENGTH", "99"),
        ("SOKETI_EVENT_MAX_SIZE_IN_KB", "0.5"),
        ("SOKETI_PRESENCE_MAX_MEMBERS", "\"300\""),
        ("SOKETI_PRESENCE_MAX_MEMBER_SIZE", "4"),
        ("SOKETI_HTTP_ACCEPT_TRAFFIC_MEMORY_THRESHOLD", "90"),
        ("SOKETI_METRICS_ENABLED", "true"),
        ("SOKETI_METRICS_HOST", "10.0.0.1"),
        ("SOKETI_METRICS_PROMETHEUS_PREFIX", "own_"),
        ("SOKETI_WEBHOOKS_BATCHING", "1"),
        ("SOKETI_WEBHOOKS_BATCHING_DURATION", "70"),
        ("SOKETI_PUBLIC_HOST", "ws.example.org"),
        ("SOKETI_PUBLIC_PORT", "443"),
        ("SOKETI_PUSHER_CLUSTER", "eu"),
    ]);
    assert_eq!((config.server.host.as_str(), config.server.drain_s), ("127.0.0.1", 4));
    assert_eq!((config.server.port, config.log.level.as_str()), (4000, "debug"));
    let pusher = &config.pusher;
    assert_eq!((pusher.port, pusher.path_prefix.as_str()), (Some(6002), "/ws"));
    assert_eq!((pusher.user_authentication_timeout_s, pusher.app_cache_ttl_s), (15, 86_400));
    assert_eq!((pusher.channel_name_chars_max, pusher.cache_ttl_s), (150, 60));
    assert_eq!((pusher.batch_max, pusher.event_channels_max), (20, 50));
    assert_eq!((pusher.event_name_chars_max, pusher.event_bytes_max), (99, 512));
    assert_eq!((pusher.presence_members_max, pusher.presence_member_bytes_max), (300, 4_096));
    assert_eq!(pusher.memory_threshold_percent, 90);
    assert_eq!(
        (pusher.metrics_port, pusher.metrics_host.as_deref()),
        (Some(9601), Some("10.0.0.1"))
    );
    assert_eq!(pusher.metrics_prefix, "own_");
    assert_eq!((pusher.webhooks.batching, pusher.webhooks.batching_ms), (true, 70));
    let public = &pusher.public;
    assert_eq!((public.host.as_deref(), public.port), (Some("ws.example.org"), Some(443)));
    assert_eq!(public.cluster, "eu");
    assert_eq!(config.problems(), []);
}

#[test]
fn every_name_is_read_and_what_has_no_meaning_is_said_with_the_reason() {
    let all: Vec<(String, String)> = OPTIONS
        .iter()
        .filter(|known| !known.name.is_empty())
        .map(|known| {
            let is_idle = matches!(known.means, Means::Nothing(_) | Means::NothingBeyond(..));
            let value = match known.name {
                name if name.ends_with("WEBHOOKS") => "[]",
                _ if is_idle || is_text(known) => "hush",
                _ => "1",
            };
            (format!("{PREFIX}{}", known.name), value.to_owned())
        })
        .collect();
    let loaded = load(None, &all).unwrap();
    let said = loaded.remarks.join("\n");
    for known in OPTIONS.iter().filter(|known| !known.name.is_empty()) {
        let name = format!("{PREFIX}{}", known.name);
        let idle = matches!(known.means, Means::Nothing(_) | Means::NothingBeyond(..));
        let named = said.split([' ', ',', '\n']).any(|word| word == name);
        assert_eq!(named, idle, "{name}\n{said}");
    }
    assert!(!said.contains("hush") && !said.contains("unknown"), "{said}");
    for reason in ["runs on one node", "mynah app import", "TLS belongs", "durably"] {
        assert_eq!(said.matches(reason).count(), 1, "one line for each reason: {said}");
    }
}

#[test]
fn a_driver_that_is_what_we_do_is_not_worth_a_word() {
    let loaded = from(&[
        ("SOKETI_ADAPTER_DRIVER", "local"),
        ("SOKETI_APP_MANAGER_DRIVER", "array"),
        ("SOKETI_APP_MANAGER_CACHE_ENABLED", "true"),
        ("SOKETI_CACHE_DRIVER", "memory"),
        ("SOKETI_QUEUE_DRIVER", "sync"),
        ("SOKETI_RATE_LIMITER_DRIVER", "local"),
        ("SOKETI_METRICS_DRIVER", "prometheus"),
        ("SOKETI_METRICS_ENABLED", "false"),
        ("SOKETI_MODE", "full"),
        ("SOKETI_DB_POOLING_ENABLED", "false"),
        ("SOKETI_DEBUG", "false"),
    ])
    .unwrap();
    assert_eq!(loaded.remarks, [] as [&str; 0]);
    assert_eq!(loaded.config.pusher.metrics_port, None);
    assert_eq!(loaded.config.log.level, "info");
}

#[test]
fn unknown_names_are_said() {
    let loaded = from(&[("SOKETI_DEFAULT_APP_KEYS", "hush"), ("SOKETI_X", "hush")]).unwrap();
    assert_eq!(
        loaded.remarks,
        ["without effect: SOKETI_DEFAULT_APP_KEYS, SOKETI_X (unknown to Soketi and to Mynah)"]
    );
}

#[test]
fn wrong_values_are_named_with_their_variable_and_secrets_are_not_shown() {
    for (name, value, problem) in [
        ("SOKETI_PORT", "many", "SOKETI_PORT: must be a number, not \"many\""),
        (
            "SOKETI_PORT",
            "70000",
            "SOKETI_PORT: pusher.port must be a whole number from 0 to 65535, not 70000",
        ),
        ("SOKETI_METRICS_ENABLED", "maybe", "must be true or false, not \"maybe\""),
        (
            "SOKETI_DEFAULT_APP_MAX_CONNS",
            "many",
            "SOKETI_DEFAULT_APP_MAX_CONNS: maxConnections must be a number, not \"many\"",
        ),
        ("SOKETI_DEFAULT_APP_SECRET", "{\"a\":\"hush\"}", "SECRET: secret must be a text"),
        ("SOKETI_DEFAULT_APP_WEBHOOKS", "hush", "WEBHOOKS: webhooks is not JSON"),
        (
            "SOKETI_DEFAULT_APP_WEBHOOKS",
            "[{}]",
            "SOKETI_DEFAULT_APP_WEBHOOKS: webhooks[1] has no url",
        ),
    ] {
        let error = from(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(problem), "{problem}\n{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn a_file_is_read_with_dotted_and_with_nested_keys() {
    let dotted = from_json(
        r#"{
            "debug": true, "port": 6002, "eventLimits.maxBatchSize": 20,
            "appManager.array.apps": [
                {"id": "a", "key": "k1", "secret": "s1", "enableClientMessages": true,
                 "maxConnections": null},
                {"AppId": "b", "AppKey": "k2", "AppSecret": "s2", "EnableClientMessages": false},
                {"id": "c", "key": "k3", "secret": "s3", "enable_client_messages": 1}
            ],
            "metrics.enabled": true, "cors.origin": ["*"], "adapter.driver": "redis",
            "database.redis.host": "10.0.0.1"
        }"#,
        &[],
    )
    .unwrap();
    let nested = from_json(
        r#"{
            "debug": true, "port": 6002, "eventLimits": {"maxBatchSize": 20},
            "appManager": {"driver": "array", "array": {"apps": [
                {"id": "a", "key": "k1", "secret": "s1", "enableClientMessages": true},
                {"id": "b", "key": "k2", "secret": "s2", "enable_client_messages": false},
                {"id": "c", "key": "k3", "secret": "s3", "enableClientMessages": "true"}
            ]}},
            "metrics": {"enabled": true}, "cors": {"origin": ["*"]},
            "adapter": {"driver": "redis"}, "database": {"redis": {"host": "10.0.0.1"}}
        }"#,
        &[],
    )
    .unwrap();
    assert_eq!(dotted.config, nested.config);
    let pusher = &dotted.config.pusher;
    assert_eq!((pusher.port, pusher.metrics_port, pusher.batch_max), (Some(6002), Some(9601), 20));
    let apps: Vec<_> = pusher.configured_apps().into_iter().map(Result::unwrap).collect();
    let seen: Vec<_> =
        apps.iter().map(|app| (app.id.as_str(), app.tenant.as_str(), app.client_events)).collect();
    assert_eq!(seen, [("a", "default", true), ("b", "b", false), ("c", "c", true)]);
    let said = dotted.remarks.join("\n");
    assert!(said.contains("soketi.json: adapter.driver") && !said.contains("10.0.0.1"), "{said}");
}

#[test]
fn later_sources_win() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("soketi.json");
    let file = r#"{"port": 7001, "eventLimits.maxNameLength": 71, "presence.maxMembersPerChannel": 72,
        "appManager.array.apps": [
            {"id": "a", "key": "k1", "secret": "s1", "max_connections": 5, "enabled": false},
            {"id": "shared", "key": "from-json", "secret": "s"}]}"#;
    std::fs::write(&json, file).unwrap();
    let toml = folder.path().join("own.toml");
    let text = format!(
        "[pusher]\nport = 6500\nbatch_max = 61\nevent_name_chars_max = 62\nsoketi_config = {:?}\n\
         [[pusher.apps]]\nid = \"first\"\nkey = \"k0\"\nsecret = \"s0\"\n\
         [[pusher.apps]]\nid = \"shared\"\nkey = \"from-toml\"\nsecret = \"s\"\n",
        json.display().to_string()
    );
    std::fs::write(&toml, text).unwrap();
    let environment = owned(&[
        ("SOKETI_PRESENCE_MAX_MEMBERS", "82"),
        ("SOKETI_EVENT_MAX_SIZE_IN_KB", "1"),
        ("SOKETI_DEFAULT_APP_MAX_CONNS", "8"),
        ("MYNAH_PUSHER__EVENT_BYTES_MAX", "93"),
    ]);
    let config = load(Some(&toml), &environment).unwrap().config;
    let pusher = &config.pusher;
    assert_eq!((pusher.batch_max, pusher.port), (61, Some(7001)));
    assert_eq!((pusher.event_name_chars_max, pusher.presence_members_max), (71, 82));
    assert_eq!(pusher.event_bytes_max, 93);
    let apps: Vec<_> = pusher
        .apps
        .iter()
        .map(|app| (app.id.as_str(), app.key.as_str(), app.connections_max, app.enabled))
        .collect();
    assert_eq!(
        apps,
        [
            ("first", "k0", None, true),
            ("shared", "from-json", None, true),
            ("a", "k1", Some(8), false)
        ]
    );
}

#[test]
fn broken_files_are_fatal_and_named() {
    for (json, problem) in [
        ("{", "soketi.json: is not the JSON of a Soketi configuration"),
        ("[]", "soketi.json: must hold an object"),
        (r#"{"appManager.array.apps": {}}"#, "appManager.array.apps: must be a list of apps"),
        (r#"{"appManager.array.apps": [1]}"#, "appManager.array.apps: must hold objects"),
        (
            r#"{"appManager.array.apps": [{"id": "a"}, {"maxConnections": []}]}"#,
            "soketi.json: appManager.array.apps.1: maxConnections must be a number, not a list",
        ),
        (r#"{"appManager.array.apps.5.id": "a"}"#, "names an app beyond the end of the list"),
        (r#"{"port": []}"#, "soketi.json: port: must be a number, not a list"),
    ] {
        let error = from_json(json, &[]).unwrap_err().to_string();
        assert!(error.contains(problem), "{problem}\n{error}");
    }
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    assert!(from_json(&deep, &[]).is_err(), "and does not end the process");
    let missing = [("MYNAH_PUSHER__SOKETI_CONFIG", "no-such.json")];
    assert!(from(&missing).unwrap_err().to_string().contains("no-such.json"));
    assert!(load(Some(Path::new("no-such.json")), &[]).is_err());
}

#[test]
fn unknown_options_of_a_file_are_said() {
    let loaded = from_json(r#"{"colour": "red", "eventLimits": {"maxColour": 1}}"#, &[]).unwrap();
    let said = loaded.remarks.join("\n");
    assert!(
        said.contains("soketi.json: colour,") || said.contains("soketi.json: colour "),
        "{said}"
    );
    assert!(said.contains("soketi.json: eventLimits.maxColour"), "{said}");
}

#[test]
fn production_names_soketis_defaults() {
    let loaded = from(&[
        ("MYNAH_ENV", "production"),
        ("JWT_SECRET", "kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a"),
        ("SOKETI_DEFAULT_APP_SECRET", "app-secret"),
    ]);
    let problems = loaded.unwrap().config.problems();
    let texts: Vec<_> = problems.iter().map(|problem| problem.text.as_str()).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    for (text, part) in texts.iter().zip(["app-id", "app-key", "app-secret"]) {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn printing_hides_what_soketi_had() {
    let config = config(&[
        ("SOKETI_DEFAULT_APP_SECRET", "topsecret"),
        (
            "SOKETI_DEFAULT_APP_WEBHOOKS",
            r#"[{"url":"https://a","event_types":["cache_miss"],"headers":{"X":"topsecret"}}]"#,
        ),
    ]);
    assert_eq!(config.pusher.apps[0].webhooks[0].headers["X"].expose(), "topsecret");
    assert!(!toml::to_string(&config).unwrap().contains("topsecret"));
    assert!(!format!("{config:?}").contains("topsecret"));
}
