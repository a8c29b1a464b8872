//! Reading the configuration from its sources.

use std::path::{Path, PathBuf};

use figment::providers::Serialized;
use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider};
use serde::Serialize;

use super::Config;
use super::explain::explain;
use super::pusher::AppConfig;
use super::soketi::{self, Soketi};

/// File that is read when it is there and no other is named.
const DEFAULT_FILE: &str = "mynah.toml";

/// Port of the Pusher door where Soketi is replaced and nothing else is said.
const SOKETI_PORT: u16 = 6001;
/// Port of its metrics, where they are switched on.
const SOKETI_METRICS_PORT: u16 = 9601;

/// Names of the replaced backends, with the entry each one sets.
const ALIASES: [(&str, &str); 14] = [
    ("PORT", "server.port"),
    ("MYNAH_DATA_DIR", "server.data_dir"),
    ("DATABASE_URL", "store.url"),
    ("REDIS_URL", "cluster.redis_url"),
    ("NATS_URL", "cluster.nats_url"),
    ("JWT_ACCESS_SECRET", "auth.jwt_secret"),
    ("JWT_SECRET", "auth.jwt_secret"),
    ("FRONTEND_URL", "http.allowed_origins"),
    ("ALLOWED_ORIGIN", "http.allowed_origins"),
    ("SOCKET_IO_PING_INTERVAL", "socketio.ping_interval_ms"),
    ("SOCKET_IO_PING_TIMEOUT", "socketio.ping_timeout_ms"),
    ("RATE_LIMIT_MESSAGES_PER_MINUTE", "limits.messages_per_minute"),
    ("LOG_LEVEL", "log.level"),
    ("RUST_LOG", "log.level"),
];

/// Known names of the replaced backends that have no effect yet, with the reason.
const WITHOUT_EFFECT: [(&str, &str); 1] =
    [("CLERK_SECRET_KEY", "this version knows its own accounts and HS256 tokens only")];

/// A configuration that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The named file cannot be opened.
    #[error("the configuration file {path} cannot be read: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Entries are wrong or unknown: one line each.
    #[error("the configuration cannot be read:\n{0}")]
    Entry(String),
}

/// A configuration and what to say about its sources.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Sentences for the log.
    pub remarks: Vec<String>,
}

/// Reads file and environment; `environment` are the process's variables. A file whose name ends in
/// `.json` is Soketi's, and `mynah.toml` is read beneath it.
///
/// # Errors
/// [`ConfigError`]; a file that was named but cannot be read is an error, not a default.
pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Loaded, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    let default = Path::new(DEFAULT_FILE);
    let (soketi_file, file): (Vec<_>, Vec<_>) = file.into_iter().partition(|file| is_json(file));
    let path = file.first().copied().or_else(|| default.exists().then_some(default));
    if let Some(path) = path {
        let (name, source) = read(path)?;
        figment = figment.merge(Named(name, File(source)));
    }
    let soketi = soketi(&figment, soketi_file.first().copied(), environment)?;
    for (source, entry, value) in &soketi.entries {
        figment = merge(figment, source, entry, value);
    }
    for (name, entry) in ALIASES {
        if let Some(value) = lookup(environment, name) {
            figment = merge_text(figment, name, entry, value.trim());
        }
    }
    if let Some(stage) = lookup(environment, "MYNAH_ENV") {
        figment = merge_text(figment, "MYNAH_ENV", "env", &stage.trim().to_lowercase());
    }
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("MYNAH_") else { continue };
        if rest.contains("__") {
            let entry = rest.to_lowercase().replace("__", ".");
            figment = merge_text(figment, name, &entry, value.trim());
        }
    }
    let mut config: Config = figment.extract().map_err(|e| ConfigError::Entry(explain(e)))?;
    let idle = WITHOUT_EFFECT.iter().filter(|(name, _)| lookup(environment, name).is_some());
    let idle = idle.map(|(name, reason)| format!("{name} is set but has no effect: {reason}"));
    let mut remarks: Vec<String> = idle.collect();
    remarks.extend(soketi.remarks);
    if soketi.is_used {
        config.pusher.port.get_or_insert(SOKETI_PORT);
    }
    if soketi.metrics {
        config.pusher.metrics_port.get_or_insert(SOKETI_METRICS_PORT);
    }
    let own = std::mem::take(&mut config.pusher.apps);
    let (first, then) = match lookup(environment, "MYNAH_PUSHER__APPS") {
        Some(_) => (soketi.apps, own),
        None => (own, soketi.apps),
    };
    config.pusher.apps = joined(first, then);
    Ok(Loaded { config, remarks })
}

/// Whether a file is Soketi's: ours is TOML.
fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"))
}

fn read(path: &Path) -> Result<(String, String), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
    Ok((path.display().to_string(), text))
}

/// Soketi's files, that of `pusher.soketi_config` first, and its environment names.
fn soketi(
    figment: &Figment,
    file: Option<&Path>,
    environment: &[(String, String)],
) -> Result<Soketi, ConfigError> {
    let configured: Option<PathBuf> = match lookup(environment, "MYNAH_PUSHER__SOKETI_CONFIG") {
        Some(path) => Some(path.trim().into()),
        // What is wrong with the file is said when all of it is read.
        None => figment.extract_inner("pusher.soketi_config").unwrap_or_default(),
    };
    let files = configured.as_deref().into_iter().chain(file).map(read);
    soketi::read(&files.collect::<Result<Vec<_>, _>>()?, environment)
}

/// Two lists of apps; of two with one id the later counts, in the place of the earlier.
fn joined(mut first: Vec<AppConfig>, then: Vec<AppConfig>) -> Vec<AppConfig> {
    for app in then {
        match first.iter_mut().find(|earlier| earlier.id.trim() == app.id.trim()) {
            Some(earlier) => *earlier = app,
            None => first.push(app),
        }
    }
    first
}

fn lookup<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let found = environment.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str()).filter(|value| !value.trim().is_empty())
}

/// A source of values with the name that messages to people give it.
struct Named<P>(String, P);

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.0.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.1.data()
    }
}

/// The text of a configuration file.
struct File(String);

impl Provider for File {
    fn metadata(&self) -> Metadata {
        Metadata::named("a file")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let entries: Dict = toml::from_str(&self.0).map_err(|e| e.to_string())?;
        Ok(Map::from([(Profile::Default, entries)]))
    }
}

/// Sets an entry from the text of an environment variable.
fn merge_text(figment: Figment, name: &str, entry: &str, text: &str) -> Figment {
    const LISTS: [&str; 3] = ["http.allowed_origins", "http.trusted_proxies", "interop.namespaces"];
    const TEXTS: [&str; 36] = [
        "admin_ui.password_hash",
        "admin_ui.username",
        "auth.encryption_key",
        "auth.jwt_secret",
        "cluster.advertise",
        "cluster.nats_credentials_file",
        "cluster.nats_nkey_seed",
        "cluster.nats_password",
        "cluster.nats_token",
        "cluster.nats_url",
        "cluster.nats_user",
        "cluster.node_id",
        "cluster.prefix",
        "cluster.redis_url",
        "cluster.tls.ca_file",
        "cluster.tls.cert_file",
        "cluster.tls.key_file",
        "cluster.tls.server_name",
        "interop.key",
        "interop.redis_url",
        "interop.room",
        "interop.tls.ca_file",
        "interop.tls.cert_file",
        "interop.tls.key_file",
        "interop.tls.server_name",
        "interop.user",
        "log.level",
        "pusher.metrics_host",
        "pusher.metrics_prefix",
        "pusher.path_prefix",
        "pusher.public.cluster",
        "pusher.public.host",
        "pusher.soketi_config",
        "server.data_dir",
        "store.replica_url",
        "store.url",
    ];
    if LISTS.contains(&entry) {
        let list: Vec<&str> = text.split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
        return merge(figment, name, entry, list);
    }
    if TEXTS.contains(&entry) {
        return merge(figment, name, entry, text);
    }
    // Numbers and booleans are read as TOML reads them, everything else is text.
    let value: figment::value::Value = text.parse().unwrap_or_else(|never| match never {});
    merge(figment, name, entry, value)
}

fn merge(figment: Figment, name: &str, entry: &str, value: impl Serialize) -> Figment {
    figment.merge(Named(name.to_owned(), Serialized::default(entry, value)))
}

/// The process's environment, for [`load`].
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::CookieConfig;
    use super::*;

    fn from(environment: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let environment: Vec<_> =
            environment.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        load(None, &environment)
    }

    #[test]
    fn the_names_of_replaced_backends_are_honoured() {
        let loaded = from(&[
            ("PORT", "3000"),
            ("JWT_SECRET", "0123\n"),
            ("ALLOWED_ORIGIN", "https://a.example.org, https://b.example.org"),
            ("RATE_LIMIT_MESSAGES_PER_MINUTE", "60"),
            ("MYNAH_SOCKETIO__DEFAULT_DIALECT", "camel"),
            ("MYNAH_SOCKETIO__ALLOW_EIO3", "false"),
            ("MYNAH_SOCKETIO__COOKIE__NAME", "node"),
            ("REDIS_URL", "redis://127.0.0.1"),
            ("DATABASE_URL", "postgres://db/chat"),
            ("CLERK_SECRET_KEY", "sk_test"),
        ])
        .unwrap();
        let config = loaded.config;
        assert_eq!(config.server.port, 3000);
        assert_eq!(config.auth.jwt_secret.expose(), "0123");
        assert_eq!(config.http.allowed_origins, ["https://a.example.org", "https://b.example.org"]);
        assert_eq!(config.limits.messages_per_minute, 60);
        assert_eq!(config.socketio.default_dialect, "camel");
        assert!(!config.socketio.allow_eio3);
        let cookie = CookieConfig { name: "node".to_owned(), ..CookieConfig::default() };
        assert_eq!(config.socketio.cookie, Some(cookie));
        assert_eq!(config.cluster.redis_url.expose(), "redis://127.0.0.1");
        assert_eq!(config.store.url.expose(), "postgres://db/chat");
        assert_eq!(loaded.remarks.len(), 1, "{:?}", loaded.remarks);
    }

    #[test]
    fn wrong_and_unknown_entries_are_named() {
        for (name, value, problem) in [
            (
                "PORT",
                "many",
                "PORT: server.port must be a whole number from 0 to 65535, not \"many\"",
            ),
            (
                "MYNAH_SERVER__PROT",
                "1",
                "MYNAH_SERVER__PROT: server.prot is not an entry; known here: host, port, \
                 data_dir, drain_s, drain_delay_s",
            ),
            (
                "MYNAH_SOCKETIO__COOKIE__SAME_SITE",
                "any",
                "MYNAH_SOCKETIO__COOKIE__SAME_SITE: socketio.cookie.same_site must be one of \
                 strict, lax, none, not \"any\"",
            ),
            (
                "MYNAH_LIMITS__RATE",
                "on",
                "MYNAH_LIMITS__RATE: limits.rate must be one of standard, off, not \"on\"",
            ),
            (
                "MYNAH_AUTH__PROVISION_UNKNOWN_USERS",
                "1",
                "MYNAH_AUTH__PROVISION_UNKNOWN_USERS: auth.provision_unknown_users must be true or \
                 false, not 1",
            ),
        ] {
            let error = from(&[(name, value)]).unwrap_err().to_string();
            assert_eq!(error, format!("the configuration cannot be read:\n{problem}"));
        }
    }

    #[test]
    fn wrong_entries_of_a_file_are_named_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.toml");
        for (text, problem) in [
            (
                "[server]\nport = 70000",
                "server.port must be a whole number from 0 to 65535, not 70000",
            ),
            ("[auth]\njwt_secret = 4711", "auth.jwt_secret must be a text, not something else"),
            ("[sever]", "sever is not an entry; known here: env, server, "),
            ("server = 1", "server must be a section, not 1"),
            ("[server", "TOML parse error at line 1"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = load(Some(&path), &[]).unwrap_err().to_string();
            let own = format!("own.toml: {problem}");
            assert!(error.contains(&own), "{own}\n{error}");
            assert!(!error.contains("4711") && !error.contains("src/"), "{error}");
        }
    }

    #[test]
    fn a_named_file_that_is_missing_is_fatal() {
        let error = load(Some(Path::new("no-such.toml")), &[]).unwrap_err().to_string();
        assert!(error.contains("no-such.toml"), "{error}");
    }

    #[test]
    fn printing_hides_secrets() {
        let loaded = from(&[
            ("JWT_SECRET", "topsecret"),
            ("MYNAH_ADMIN_UI__PASSWORD_HASH", "$2b$topsecret"),
            ("DATABASE_URL", "postgres://chat:topsecret@db/chat"),
            ("REDIS_URL", "redis://:topsecret@cache"),
            ("NATS_URL", "nats://topsecret@bus"),
            ("MYNAH_CLUSTER__NATS_PASSWORD", "topsecret"),
            ("MYNAH_CLUSTER__NATS_TOKEN", "topsecret"),
            ("MYNAH_CLUSTER__NATS_NKEY_SEED", "topsecret"),
        ]);
        let config = loaded.unwrap().config;
        assert_eq!(config.admin_ui.password_hash.expose(), "$2b$topsecret");
        let printed = toml::to_string(&config).unwrap();
        assert!(!printed.contains("topsecret"), "{printed}");
        assert!(!format!("{config:?}").contains("topsecret"));
    }
}
