//! Databases and brokers that cannot be.

use crate::config::{ClusterConfig, Config, TlsConfig};

/// Longest prefix and node name.
const NAME_CHARS_MAX: usize = 64;

/// What starts the address of each engine.
const STORES: [&str; 2] = ["postgres://", "postgresql://"];
const REDIS: [&str; 6] = [
    "redis://",
    "rediss://",
    "redis-sentinel://",
    "rediss-sentinel://",
    "redis-cluster://",
    "rediss-cluster://",
];
const NATS: [&str; 2] = ["nats://", "tls://"];

pub(super) fn check(config: &Config, add: &mut dyn FnMut(&'static str, &str)) {
    let (store, cluster) = (&config.store, &config.cluster);
    let starts = |url: &str, known: &[&str]| known.iter().any(|start| url.starts_with(start));
    for (entry, url) in [("store.url", &store.url), ("store.replica_url", &store.replica_url)] {
        if !url.is_empty() && !starts(url.expose(), &STORES) {
            add(
                entry,
                "(DATABASE_URL) must start with postgres://; leave it out to keep data in SQLite",
            );
        }
    }
    if store.url.is_empty() && !store.replica_url.is_empty() {
        add("store.replica_url", "is a replica of nothing: set store.url (DATABASE_URL) too");
    }
    if store.pool_max == 0 {
        add("store.pool_max", "must be at least 1");
    }
    if store.statement_timeout_ms < 100 {
        add("store.statement_timeout_ms", "must be at least 100");
    }
    let (redis, nats) = (&cluster.redis_url, &cluster.nats_url);
    if !redis.is_empty() && !starts(redis.expose(), &REDIS) {
        add(
            "cluster.redis_url",
            "(REDIS_URL) must start with redis://, rediss://, redis-sentinel:// or redis-cluster://",
        );
    }
    if !nats.is_empty() && !starts(nats.expose(), &NATS) {
        add("cluster.nats_url", "(NATS_URL) must start with nats:// or tls://");
    }
    if !redis.is_empty() && !nats.is_empty() {
        add("cluster.nats_url", "(NATS_URL) and REDIS_URL are both set: nodes use one broker");
    }
    sign_in(cluster, add);
    tls(cluster, add);
    let is_name = |text: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        text.len() <= NAME_CHARS_MAX && text.chars().all(allowed)
    };
    if cluster.prefix.is_empty() || !is_name(&cluster.prefix) {
        add("cluster.prefix", "must be 1 to 64 letters, digits, -, _ or .");
    }
    if !is_name(&cluster.node_id) {
        add("cluster.node_id", "must be at most 64 letters, digits, -, _ or .");
    }
    let has_port =
        |at: &str| at.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !cluster.advertise.is_empty() && !has_port(&cluster.advertise) {
        add("cluster.advertise", "must be an address with a port, e.g. 10.0.0.5:4000");
    }
    interop(config, add);
}

/// One way to sign in to NATS at most, and a whole one.
fn sign_in(cluster: &ClusterConfig, add: &mut dyn FnMut(&'static str, &str)) {
    let (has_user, has_password) =
        (!cluster.nats_user.is_empty(), !cluster.nats_password.is_empty());
    let ways = [
        ("cluster.nats_user", has_user || has_password),
        ("cluster.nats_token", !cluster.nats_token.is_empty()),
        ("cluster.nats_nkey_seed", !cluster.nats_nkey_seed.is_empty()),
        ("cluster.nats_credentials_file", cluster.nats_credentials_file.is_some()),
    ];
    let mut set = ways.into_iter().filter_map(|(entry, is_set)| is_set.then_some(entry));
    let Some(first) = set.next() else { return };
    if cluster.nats_url.is_empty() {
        add(first, "signs in to NATS, and no NATS is named: set cluster.nats_url (NATS_URL)");
    }
    if let Some(second) = set.next() {
        add(second, &format!("and {first} are both set: there is one way to sign in"));
    }
    if has_user && !has_password {
        add("cluster.nats_password", "is missing: cluster.nats_user has one");
    }
    if has_password && !has_user {
        add("cluster.nats_user", "is missing: cluster.nats_password is that of a user");
    }
}

/// What is meant to be encrypted must be.
fn tls(cluster: &ClusterConfig, add: &mut dyn FnMut(&'static str, &str)) {
    let names = [
        "cluster.tls.ca_file",
        "cluster.tls.cert_file",
        "cluster.tls.key_file",
        "cluster.tls.server_name",
    ];
    let Some(entry) = certificates(&cluster.tls, names, add) else { return };
    if !cluster.has_broker() {
        add(entry, "has no effect without a broker: set REDIS_URL or NATS_URL");
    }
    let redis = cluster.redis_url.expose();
    if !redis.is_empty() && !redis.starts_with("rediss") {
        add(entry, "has no effect on an address without TLS: write rediss:// (REDIS_URL)");
    }
}

/// A certificate needs its key, and a key its certificate. Answers the first entry that is set.
fn certificates(
    tls: &TlsConfig,
    names: [&'static str; 4],
    add: &mut dyn FnMut(&'static str, &str),
) -> Option<&'static str> {
    let [_, cert, key, _] = names;
    if tls.cert_file.is_some() && tls.key_file.is_none() {
        add(key, &format!("is missing: the certificate of {cert} needs it"));
    }
    if tls.key_file.is_some() && tls.cert_file.is_none() {
        add(cert, &format!("is missing: the key of {key} is that of one"));
    }
    let set = [
        tls.ca_file.is_some(),
        tls.cert_file.is_some(),
        tls.key_file.is_some(),
        !tls.server_name.is_empty(),
    ];
    names.into_iter().zip(set).find_map(|(name, is_set)| is_set.then_some(name))
}

fn interop(config: &Config, add: &mut dyn FnMut(&'static str, &str)) {
    let interop = &config.interop;
    let names = [
        "interop.tls.ca_file",
        "interop.tls.cert_file",
        "interop.tls.key_file",
        "interop.tls.server_name",
    ];
    if let Some(entry) = certificates(&interop.tls, names, add)
        && !interop.redis_url.expose().starts_with("rediss")
    {
        add(entry, "has no effect on an address without TLS: write rediss:// (interop.redis_url)");
    }
    if interop.redis_url.is_empty() {
        return;
    }
    if !REDIS.iter().any(|start| interop.redis_url.expose().starts_with(start)) {
        add("interop.redis_url", "must start with redis://, rediss:// or redis-sentinel://");
    }
    if interop.namespaces.is_empty() {
        add("interop.namespaces", "must name the namespaces of the Node servers, e.g. [\"/chat\"]");
    }
    if interop.namespaces.iter().any(|namespace| !namespace.starts_with('/')) {
        add("interop.namespaces", "must each begin with /, e.g. /chat");
    }
    if interop.key.is_empty() {
        add("interop.key", "must be the adapter's key; Node's default is socket.io");
    }
    if interop.room.matches("{room}").count() != 1 {
        add("interop.room", "must hold {room} once, where the id of the conversation stands");
    }
    if !interop.user.is_empty() && interop.user.matches("{user}").count() != 1 {
        add("interop.user", "must hold {user} once, where the id of the user stands");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Hidden;

    fn entries(change: impl FnOnce(&mut Config)) -> Vec<&'static str> {
        let mut config = Config::default();
        change(&mut config);
        config.problems().into_iter().map(|problem| problem.entry).collect()
    }

    #[test]
    fn what_is_no_address_of_a_known_engine_is_refused() {
        assert_eq!(entries(|c| c.store.url = Hidden::new("mysql://db")), ["store.url"]);
        assert_eq!(
            entries(|c| c.cluster.redis_url = Hidden::new("http://x")),
            ["cluster.redis_url"]
        );
        assert_eq!(
            entries(|c| c.cluster.nats_url = Hidden::new("redis://x")),
            ["cluster.nats_url"]
        );
        assert_eq!(entries(|c| c.cluster.advertise = "host".to_owned()), ["cluster.advertise"]);
        assert_eq!(entries(|c| c.cluster.prefix = "a b".to_owned()), ["cluster.prefix"]);
        assert_eq!(
            entries(|c| c.store.replica_url = Hidden::new("postgres://r")),
            ["store.replica_url"]
        );
    }

    #[test]
    fn node_servers_are_joined_in_namespaces_that_are_named() {
        let joined = |change: fn(&mut crate::config::InteropConfig)| {
            entries(|c| {
                c.interop.redis_url = Hidden::new("redis://x");
                c.interop.namespaces = vec!["/chat".to_owned()];
                change(&mut c.interop);
            })
        };
        assert!(joined(|_| ()).is_empty());
        assert_eq!(joined(|i| i.namespaces.clear()), ["interop.namespaces"]);
        assert_eq!(joined(|i| i.namespaces = vec!["chat".into()]), ["interop.namespaces"]);
        assert_eq!(joined(|i| i.room = "room".into()), ["interop.room"]);
        assert_eq!(joined(|i| i.user = "user".into()), ["interop.user"]);
        assert_eq!(joined(|i| i.redis_url = Hidden::new("http://x")), ["interop.redis_url"]);
    }

    #[test]
    fn there_is_one_whole_way_to_sign_in_to_nats() {
        let nats = |change: fn(&mut ClusterConfig)| {
            entries(|c| {
                c.cluster.nats_url = Hidden::new("nats://x");
                change(&mut c.cluster);
            })
        };
        let user = |c: &mut ClusterConfig| {
            c.nats_user = "ann".to_owned();
            c.nats_password = Hidden::new("x");
        };
        assert_eq!(nats(user), [] as [&str; 0]);
        assert_eq!(nats(|c| c.nats_token = Hidden::new("x")), [] as [&str; 0]);
        assert_eq!(nats(|c| c.nats_user = "ann".to_owned()), ["cluster.nats_password"]);
        assert_eq!(nats(|c| c.nats_password = Hidden::new("x")), ["cluster.nats_user"]);
        let two = |c: &mut ClusterConfig| {
            c.nats_nkey_seed = Hidden::new("x");
            c.nats_credentials_file = Some("x".into());
        };
        assert_eq!(nats(two), ["cluster.nats_credentials_file"]);
        assert_eq!(
            entries(|c| c.cluster.nats_token = Hidden::new("x")),
            ["cluster.nats_token"],
            "at which NATS?"
        );
    }

    #[test]
    fn tls_settings_must_have_an_effect() {
        let with = |url: &str, change: fn(&mut TlsConfig)| {
            entries(|c| {
                c.cluster.redis_url = Hidden::new(url);
                change(&mut c.cluster.tls);
            })
        };
        for url in ["rediss://x", "rediss-sentinel://x", "rediss-cluster://x"] {
            assert_eq!(with(url, |t| t.ca_file = Some("x".into())), [] as [&str; 0], "{url}");
        }
        for url in ["redis://x", "redis-cluster://x", ""] {
            let named = with(url, |t| t.server_name = "x".to_owned());
            assert_eq!(named, ["cluster.tls.server_name"], "{url}");
        }
        let half = with("rediss://x", |t| t.cert_file = Some("x".into()));
        assert_eq!(half, ["cluster.tls.key_file"]);
        let half = with("rediss://x", |t| t.key_file = Some("x".into()));
        assert_eq!(half, ["cluster.tls.cert_file"]);

        let beside = |url: &str, change: fn(&mut TlsConfig)| {
            entries(|c| {
                c.interop.redis_url = Hidden::new(url);
                c.interop.namespaces = vec!["/".to_owned()];
                change(&mut c.interop.tls);
            })
        };
        assert_eq!(beside("rediss://x", |t| t.ca_file = Some("x".into())), [] as [&str; 0]);
        for url in ["redis://x", ""] {
            let named = beside(url, |t| t.ca_file = Some("x".into()));
            assert_eq!(named, ["interop.tls.ca_file"], "{url}");
        }
        let half = beside("rediss://x", |t| t.cert_file = Some("x".into()));
        assert_eq!(half, ["interop.tls.key_file"]);
    }

    #[test]
    fn one_broker_is_enough() {
        let both = |c: &mut Config| {
            c.cluster.redis_url = Hidden::new("redis://x");
            c.cluster.nats_url = Hidden::new("nats://x");
        };
        assert_eq!(entries(both), ["cluster.nats_url"]);
        assert!(entries(|c| c.store.url = Hidden::new("postgres://db/chat")).is_empty());
    }
}
