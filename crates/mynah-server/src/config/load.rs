//! Reading the configuration from its sources.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};

use super::Config;

/// File that is read when it is there and no other is named.
const DEFAULT_FILE: &str = "mynah.toml";

/// Names of the replaced backends, with the entry each one sets.
const ALIASES: [(&str, &str); 11] = [
    ("PORT", "server.port"),
    ("MYNAH_DATA_DIR", "server.data_dir"),
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
const WITHOUT_EFFECT: [(&str, &str); 3] = [
    ("REDIS_URL", "this version runs on one node"),
    ("NATS_URL", "this version runs on one node"),
    ("CLERK_SECRET_KEY", "this version knows its own accounts and HS256 tokens only"),
];

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
    /// An entry is wrong or unknown.
    #[error("configuration: {0}")]
    Entry(Box<figment::Error>),
    /// An environment name asks for what this version cannot do.
    #[error("{name}: {reason}")]
    Unsupported {
        /// The name.
        name: &'static str,
        /// What to do.
        reason: String,
    },
}

/// A configuration and what to say about its sources.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Sentences for the log.
    pub remarks: Vec<String>,
}

/// Reads file and environment; `environment` are the process's variables.
///
/// # Errors
/// [`ConfigError`]; a file that was named but cannot be read is an error, not a default.
pub fn load(file: Option<&Path>, environment: &[(String, String)]) -> Result<Loaded, ConfigError> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    let default = Path::new(DEFAULT_FILE);
    let path = file.or_else(|| default.exists().then_some(default));
    if let Some(path) = path {
        let source = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        // Named so that errors say which file they speak of.
        figment = figment.merge(Toml::string(&source));
    }
    for (name, entry) in ALIASES {
        if let Some(value) = lookup(environment, name) {
            figment = merge_text(figment, entry, value.trim());
        }
    }
    if let Some(stage) = lookup(environment, "MYNAH_ENV") {
        figment = merge_text(figment, "env", &stage.trim().to_lowercase());
    }
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("MYNAH_") else { continue };
        if rest.contains("__") {
            figment = merge_text(figment, &rest.to_lowercase().replace("__", "."), value.trim());
        }
    }
    let config: Config = figment.extract().map_err(|e| ConfigError::Entry(Box::new(e)))?;
    unsupported(environment)?;
    let remarks = WITHOUT_EFFECT
        .iter()
        .filter(|(name, _)| lookup(environment, name).is_some())
        .map(|(name, reason)| format!("{name} is set but has no effect: {reason}"))
        .collect();
    Ok(Loaded { config, remarks })
}

fn lookup<'e>(environment: &'e [(String, String)], name: &str) -> Option<&'e str> {
    let found = environment.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str()).filter(|value| !value.trim().is_empty())
}

/// Sets an entry from a text as an environment variable gives it.
fn merge_text(figment: Figment, entry: &str, text: &str) -> Figment {
    const LISTS: [&str; 2] = ["http.allowed_origins", "http.trusted_proxies"];
    const TEXTS: [&str; 3] = ["auth.jwt_secret", "log.level", "server.data_dir"];
    if LISTS.contains(&entry) {
        let list: Vec<&str> = text.split(',').map(str::trim).filter(|t| !t.is_empty()).collect();
        return figment.merge(Serialized::default(entry, list));
    }
    if TEXTS.contains(&entry) {
        return figment.merge(Serialized::default(entry, text));
    }
    // Numbers and booleans are read as TOML reads them, everything else is text.
    let value: figment::value::Value = text.parse().unwrap_or_else(|never| match never {});
    figment.merge(Serialized::default(entry, value))
}

fn unsupported(environment: &[(String, String)]) -> Result<(), ConfigError> {
    let Some(url) = lookup(environment, "DATABASE_URL") else { return Ok(()) };
    let reason = format!(
        "this version stores in SQLite inside server.data_dir and cannot use a {} database: unset \
         DATABASE_URL",
        url.split(':').next().unwrap_or("remote")
    );
    Err(ConfigError::Unsupported { name: "DATABASE_URL", reason })
}

/// The process's environment, for [`load`].
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
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
            ("REDIS_URL", "redis://127.0.0.1"),
        ])
        .unwrap();
        let config = loaded.config;
        assert_eq!(config.server.port, 3000);
        assert_eq!(config.auth.jwt_secret.expose(), "0123");
        assert_eq!(config.http.allowed_origins, ["https://a.example.org", "https://b.example.org"]);
        assert_eq!(config.limits.messages_per_minute, 60);
        assert_eq!(config.socketio.default_dialect, "camel");
        assert_eq!(loaded.remarks.len(), 1, "{:?}", loaded.remarks);
    }

    #[test]
    fn wrong_and_unknown_entries_are_named() {
        let error = from(&[("PORT", "many")]).unwrap_err().to_string();
        assert!(error.contains("port"), "{error}");
        let error = from(&[("MYNAH_SERVER__PROT", "1")]).unwrap_err().to_string();
        assert!(error.contains("prot"), "{error}");
    }

    #[test]
    fn a_named_file_that_is_missing_is_fatal() {
        let error = load(Some(Path::new("no-such.toml")), &[]).unwrap_err().to_string();
        assert!(error.contains("no-such.toml"), "{error}");
    }

    #[test]
    fn another_database_is_refused_with_the_way_out() {
        let error = from(&[("DATABASE_URL", "postgres://x:secret@db/chat")]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("unset DATABASE_URL") && !text.contains("secret"), "{text}");
    }

    #[test]
    fn printing_hides_secrets() {
        let loaded = from(&[("JWT_SECRET", "topsecret")]).unwrap();
        let printed = toml::to_string(&loaded.config).unwrap();
        assert!(!printed.contains("topsecret"), "{printed}");
        assert!(!format!("{:?}", loaded.config).contains("topsecret"));
    }
}
