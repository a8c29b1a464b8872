//! From settings to a broker.

use std::sync::Arc;

use mynah_cluster::nats::{self, NatsOptions, SignIn};
use mynah_cluster::redis::{self, RedisOptions};
use mynah_hub::{Broker, BrokerEvent};
use tokio::sync::mpsc;

use crate::config::{ClusterConfig, Config};

/// A connection to a broker and what it tells.
pub(crate) type Connected = (Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>);

/// How to connect to the broker that is set.
enum BrokerOptions {
    Redis(RedisOptions),
    Nats(NatsOptions),
}

impl BrokerOptions {
    fn of(settings: &ClusterConfig) -> Option<Self> {
        if !settings.redis_url.is_empty() {
            let mut options = RedisOptions::new(settings.redis_url.expose());
            options.prefix.clone_from(&settings.prefix);
            options.tls = settings.tls.options();
            return Some(Self::Redis(options));
        }
        if settings.nats_url.is_empty() {
            return None;
        }
        let mut options = NatsOptions::new(settings.nats_url.expose());
        options.prefix.clone_from(&settings.prefix);
        options.sign_in = sign_in(settings);
        options.tls = settings.tls.options();
        Some(Self::Nats(options))
    }
}

fn sign_in(settings: &ClusterConfig) -> Option<SignIn> {
    if let Some(path) = &settings.nats_credentials_file {
        return Some(SignIn::CredentialsFile(path.clone()));
    }
    if !settings.nats_nkey_seed.is_empty() {
        return Some(SignIn::NkeySeed(settings.nats_nkey_seed.expose().to_owned()));
    }
    if !settings.nats_token.is_empty() {
        return Some(SignIn::Token(settings.nats_token.expose().to_owned()));
    }
    (!settings.nats_user.is_empty()).then(|| SignIn::User {
        name: settings.nats_user.clone(),
        password: settings.nats_password.expose().to_owned(),
    })
}

/// Connects to the broker that is set, if one is.
///
/// # Errors
/// The entry that is wrong.
pub(crate) fn connect(config: &Config) -> anyhow::Result<Option<Connected>> {
    let connected = match BrokerOptions::of(&config.cluster) {
        None => return Ok(None),
        Some(BrokerOptions::Redis(options)) => redis::connect(&options).map_err(|e| wrong(&e)),
        Some(BrokerOptions::Nats(options)) => nats::connect(&options).map_err(|e| wrong(&e)),
    };
    connected.map(Some)
}

/// Whether the broker's settings can be used, files included; nothing is connected.
///
/// # Errors
/// The entry that is wrong, and the file.
pub fn check(config: &Config) -> anyhow::Result<()> {
    if !config.interop.redis_url.is_empty() {
        let options = config.interop.redis();
        redis::check(&options).map_err(|error| anyhow::anyhow!("interop.{error}"))?;
    }
    match BrokerOptions::of(&config.cluster) {
        None => Ok(()),
        Some(BrokerOptions::Redis(options)) => redis::check(&options).map_err(|e| wrong(&e)),
        Some(BrokerOptions::Nats(options)) => nats::check(&options).map_err(|e| wrong(&e)),
    }
}

/// The adapters name their settings as the section has them.
fn wrong(error: &dyn std::error::Error) -> anyhow::Error {
    anyhow::anyhow!("cluster.{error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn refusal(environment: &[(&str, &str)]) -> String {
        let environment: Vec<_> =
            environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let config = config::load(None, &environment).unwrap().config;
        assert_eq!(config.problems(), []);
        check(&config).unwrap_err().to_string()
    }

    #[test]
    fn files_that_cannot_be_read_are_named_with_their_setting() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let missing = missing.to_str().unwrap();
        let (redis, nats) = (("REDIS_URL", "rediss://cache"), ("NATS_URL", "nats://bus"));
        let ca = ("MYNAH_CLUSTER__TLS__CA_FILE", missing);
        for broker in [redis, nats] {
            let start = format!("cluster.tls.ca_file: {missing}: ");
            assert!(refusal(&[broker, ca]).starts_with(&start));
        }
        let cert = ("MYNAH_CLUSTER__TLS__CERT_FILE", missing);
        let key = ("MYNAH_CLUSTER__TLS__KEY_FILE", missing);
        let start = format!("cluster.tls.cert_file: {missing}: ");
        assert!(refusal(&[redis, cert, key]).starts_with(&start));
        let name = ("MYNAH_CLUSTER__TLS__SERVER_NAME", "no name");
        assert!(refusal(&[nats, name]).starts_with("cluster.tls.server_name: "));
        let beside = [
            ("MYNAH_INTEROP__REDIS_URL", "rediss://cache"),
            ("MYNAH_INTEROP__NAMESPACES", "/chat"),
            ("MYNAH_INTEROP__TLS__CA_FILE", missing),
        ];
        assert!(refusal(&beside).starts_with(&format!("interop.tls.ca_file: {missing}: ")));
        let credentials = ("MYNAH_CLUSTER__NATS_CREDENTIALS_FILE", missing);
        let start = format!("cluster.nats_credentials_file: {missing}: ");
        assert!(refusal(&[nats, credentials]).starts_with(&start));
        let seed = refusal(&[nats, ("MYNAH_CLUSTER__NATS_NKEY_SEED", "topsecret")]);
        assert!(seed.starts_with("cluster.nats_nkey_seed: ") && !seed.contains("topsecret"));
    }

    #[test]
    fn each_way_to_sign_in_reaches_nats() {
        let set = |change: fn(&mut ClusterConfig)| {
            let mut settings = ClusterConfig::default();
            change(&mut settings);
            sign_in(&settings)
        };
        assert_eq!(set(|_| ()), None);
        let user = SignIn::User { name: "42".to_owned(), password: "x y".to_owned() };
        let environment = [
            ("NATS_URL", "nats://x"),
            ("MYNAH_CLUSTER__NATS_USER", "42"),
            ("MYNAH_CLUSTER__NATS_PASSWORD", "x y"),
        ];
        let environment: Vec<_> =
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let config = config::load(None, &environment).unwrap().config;
        assert_eq!(sign_in(&config.cluster), Some(user));
        let token = set(|c| c.nats_token = config::Hidden::new("x"));
        assert_eq!(token, Some(SignIn::Token("x".to_owned())));
        let seed = set(|c| c.nats_nkey_seed = config::Hidden::new("x"));
        assert_eq!(seed, Some(SignIn::NkeySeed("x".to_owned())));
        let file = set(|c| c.nats_credentials_file = Some("x".into()));
        assert_eq!(file, Some(SignIn::CredentialsFile("x".into())));
    }
}
