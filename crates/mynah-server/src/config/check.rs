//! What must not be, above all in production.

mod cluster;
mod pusher;

use super::{Config, CookieConfig, SameSite, Stage};
use crate::http::Network;
use crate::passwords::check_hash;

pub use pusher::well_known;

/// Shortest secret accepted in production, in bytes.
const SECRET_BYTES_MIN: usize = 32;

/// One setting that must be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which entry.
    pub entry: &'static str,
    /// What is wrong and what to do.
    pub text: String,
}

impl Config {
    /// Everything that forbids a start.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |entry, text: &str| problems.push(Problem { entry, text: text.to_owned() });
        if self.socketio.ping_interval_ms == 0 || self.socketio.ping_timeout_ms == 0 {
            add("socketio.ping_interval_ms", "pings need an interval and a timeout above 0");
        }
        if !(self.socketio.path.starts_with('/') && self.socketio.path.ends_with('/')) {
            add("socketio.path", "must start and end with /, e.g. /socket.io/");
        }
        if let Some(cookie) = &self.socketio.cookie {
            check_cookie(cookie, &mut add);
        }
        if !(1_024..=100_000_000).contains(&self.socketio.max_payload_bytes) {
            add("socketio.max_payload_bytes", "must be between 1024 and 100000000");
        }
        if !(1..=16_000).contains(&self.limits.content_chars_max) {
            add("limits.content_chars_max", "must be between 1 and 16000");
        }
        if self.limits.messages_per_minute == 0 {
            add("limits.messages_per_minute", "must be above 0; limits.rate = \"off\" lifts it");
        }
        if self.http.allowed_origins.iter().any(|origin| origin == "*") {
            add(
                "http.allowed_origins",
                "* would let every web page act for its visitors: list the exact origins",
            );
        }
        for network in &self.http.trusted_proxies {
            if let Err(error) = network.parse::<Network>() {
                add("http.trusted_proxies", &error.to_string());
            }
        }
        if self.admin_ui.enabled {
            self.admin_ui(&mut add);
        }
        pusher::check(self, &mut add);
        cluster::check(self, &mut add);
        if self.env == Stage::Production {
            self.production(&mut add);
        }
        problems
    }

    fn admin_ui(&self, add: &mut dyn FnMut(&'static str, &str)) {
        let settings = &self.admin_ui;
        if !is_namespace(&settings.namespace) {
            add(
                "admin_ui.namespace",
                "must be / and 1 to 63 letters, digits, - or _, e.g. /admin: the chat has / itself",
            );
        }
        let (no_user, no_hash) = (settings.username.is_empty(), settings.password_hash.is_empty());
        if !no_hash && let Err(problem) = check_hash(settings.password_hash.expose()) {
            add("admin_ui.password_hash", problem);
        }
        if no_user && no_hash && self.env == Stage::Development {
            return;
        }
        if no_user {
            add(
                "admin_ui.username",
                "is missing: set it, or switch the Admin UI off with admin_ui.enabled = false",
            );
        }
        if no_hash {
            add(
                "admin_ui.password_hash",
                "is missing: set it to a bcrypt or argon2id hash of the password, or switch the Admin \
                 UI off with admin_ui.enabled = false",
            );
        }
    }

    fn production(&self, add: &mut dyn FnMut(&'static str, &str)) {
        let secret = self.auth.jwt_secret.expose();
        if secret.is_empty() {
            add("auth.jwt_secret", "is missing: set JWT_SECRET to at least 32 random bytes");
        } else if secret.len() < SECRET_BYTES_MIN {
            add("auth.jwt_secret", "is shorter than 32 bytes: set JWT_SECRET to random bytes");
        } else if is_well_known(secret) {
            add("auth.jwt_secret", "is a well-known text: set JWT_SECRET to random bytes");
        }
        let key = self.auth.encryption_key.expose();
        if !key.is_empty() && (key.len() < SECRET_BYTES_MIN || is_well_known(key)) {
            add("auth.encryption_key", "is too easy to guess: set it to at least 32 random bytes");
        }
        for origin in &self.http.allowed_origins {
            if origin.starts_with("http://") && !origin.contains("localhost") {
                add("http.allowed_origins", "has an http:// origin: pages must come over https");
            }
        }
    }
}

fn check_cookie(cookie: &CookieConfig, add: &mut dyn FnMut(&'static str, &str)) {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if cookie.name.is_empty() || !cookie.name.chars().all(is_token) {
        add("socketio.cookie.name", "must be letters, digits, - or _, e.g. io");
    }
    let is_visible = |c: char| c.is_ascii_graphic() && c != ';';
    if !cookie.path.starts_with('/') || !cookie.path.chars().all(is_visible) {
        add("socketio.cookie.path", "must start with / and hold no ; or spaces, e.g. /");
    }
    if cookie.same_site == SameSite::None && !cookie.secure {
        add("socketio.cookie.same_site", "browsers take none only with secure = true");
    }
}

fn is_namespace(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.strip_prefix('/')
        .is_some_and(|rest| (1..=63).contains(&rest.len()) && rest.chars().all(allowed))
}

fn is_well_known(secret: &str) -> bool {
    let lower = secret.to_lowercase();
    let words = ["secret", "changeme", "change-me", "password", "example", "your-"];
    let first = secret.chars().next();
    words.iter().any(|word| lower.contains(word)) || secret.chars().all(|c| Some(c) == first)
}

#[cfg(test)]
mod tests {
    use super::super::Hidden;
    use super::*;

    fn entries(config: &Config) -> Vec<&'static str> {
        config.problems().into_iter().map(|problem| problem.entry).collect()
    }

    #[test]
    fn development_starts_with_nothing_set() {
        assert_eq!(entries(&Config::default()), [] as [&str; 0]);
    }

    #[test]
    fn production_refuses_weak_secrets() {
        let mut config = Config { env: Stage::Production, ..Config::default() };
        for weak in ["", "short", "my-super-secret-key-that-is-long-enough", &"a".repeat(40)] {
            config.auth.jwt_secret = Hidden::new(weak);
            assert_eq!(entries(&config), ["auth.jwt_secret"], "{weak:?}");
        }
        config.auth.jwt_secret = Hidden::new("kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a");
        assert_eq!(entries(&config), [] as [&str; 0]);
    }

    #[test]
    fn cookies_must_be_what_browsers_take() {
        let with = |cookie| {
            let mut config = Config::default();
            config.socketio.cookie = Some(cookie);
            entries(&config)
        };
        let usual = CookieConfig::default;
        assert_eq!(with(usual()), [] as [&str; 0]);
        for name in ["", "a b", "a;b", "a=b", "ä"] {
            let cookie = CookieConfig { name: name.to_owned(), ..usual() };
            assert_eq!(with(cookie), ["socketio.cookie.name"], "{name:?}");
        }
        for path in ["", "x", "/a; Secure", "/\r\nSet-Cookie: a"] {
            let cookie = CookieConfig { path: path.to_owned(), ..usual() };
            assert_eq!(with(cookie), ["socketio.cookie.path"], "{path:?}");
        }
        let cookie = CookieConfig { same_site: SameSite::None, ..usual() };
        assert_eq!(with(cookie), ["socketio.cookie.same_site"]);
        let cookie = CookieConfig { same_site: SameSite::None, secure: true, ..usual() };
        assert_eq!(with(cookie), [] as [&str; 0]);
    }

    #[test]
    fn the_admin_ui_needs_credentials_in_production() {
        let mut config = Config { env: Stage::Production, ..Config::default() };
        config.auth.jwt_secret = Hidden::new("kJ8vQm2xT5zR9bN4cW7yL1pD6fH3gS0a");
        config.admin_ui.username = "half".to_owned();
        assert_eq!(entries(&config), [] as [&str; 0], "switched off");
        config.admin_ui.enabled = true;
        assert_eq!(entries(&config), ["admin_ui.password_hash"]);
        config.admin_ui.password_hash = Hidden::new("the password itself");
        let problems = config.problems();
        assert_eq!(problems.len(), 1);
        assert!(problems[0].text.contains("bcrypt") && !problems[0].text.contains("itself"));
        config.admin_ui.password_hash =
            Hidden::new("$2b$04$lz0tWNMJvUKxbwR.zTFyquFI1znJcceYQPSbUtlpelvW2j95hhte2");
        assert_eq!(entries(&config), [] as [&str; 0]);
        config.admin_ui.username = String::new();
        assert_eq!(entries(&config), ["admin_ui.username"]);
    }

    #[test]
    fn the_admin_ui_may_be_open_in_development_but_not_half_open() {
        let mut config = Config::default();
        config.admin_ui.enabled = true;
        assert_eq!(entries(&config), [] as [&str; 0]);
        config.admin_ui.username = "admin".to_owned();
        assert_eq!(entries(&config), ["admin_ui.password_hash"]);
        config.admin_ui.username = String::new();
        for bad in ["", "/", "admin", "/a,b", "/a?b", "/\u{e9}"] {
            config.admin_ui.namespace = bad.to_owned();
            assert_eq!(entries(&config), ["admin_ui.namespace"], "{bad:?}");
        }
    }

    #[test]
    fn a_wildcard_origin_is_refused_everywhere() {
        let mut config = Config::default();
        config.http.allowed_origins = vec!["*".to_owned()];
        assert_eq!(entries(&config), ["http.allowed_origins"]);
    }
}
