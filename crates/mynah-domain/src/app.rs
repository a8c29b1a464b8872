//! Apps: what a tenant's Pusher clients and back ends sign in to.
//!
//! An app is the Pusher face of one tenant: an id for the HTTP API, keys with secrets that sign, and what
//! its clients may do. Several keys are valid at once, so that a key can be replaced while clients with
//! the old one are still out there.

use std::fmt;

use crate::ports::StoreError;
use crate::{AppId, TenantId, Timestamp};

/// Most keys of one app, expired ones included.
pub const KEYS_MAX: usize = 10;
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 100;
/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 500;
/// Longest name of an app, in characters.
pub const NAME_CHARS_MAX: usize = 100;
/// Most webhook rules of one app.
pub const WEBHOOKS_MAX: usize = 20;

/// An app, as configured or stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub struct App {
    /// Its id, as in `/apps/ID/events`.
    pub id: AppId,
    /// The tenant whose face it is; no two apps have the same.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// Its keys, newest first.
    pub keys: Vec<AppKey>,
    /// Whether it serves anybody: a disabled app refuses sockets and HTTP calls alike.
    pub is_enabled: bool,
    /// Whether clients may send events to each other (`client-…`).
    pub client_events: bool,
    /// Whether sockets must sign in soon after connecting, or be closed; they may sign in either way.
    pub user_authentication: bool,
    /// Whether subscribers are told how many they are (`pusher_internal:subscription_count`).
    pub subscription_counts: bool,
    /// Its own bounds.
    pub limits: AppLimits,
    /// Who is told what happens.
    pub webhooks: Vec<WebhookRule>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Counts its changes from 1: a change is refused when another came in between.
    pub version: u64,
}

impl App {
    /// An enabled app with one key, no limits of its own and no webhooks; clients may send events.
    pub fn new(id: AppId, tenant: TenantId, key: AppKey) -> Self {
        let at = key.created_at;
        Self {
            name: id.as_str().to_owned(),
            id,
            tenant,
            keys: vec![key],
            is_enabled: true,
            client_events: true,
            user_authentication: false,
            subscription_counts: false,
            limits: AppLimits::default(),
            webhooks: Vec::new(),
            created_at: at,
            updated_at: at,
            version: 1,
        }
    }

    /// The key of that text, if it is this app's and has not expired at `now`.
    pub fn key(&self, key: &str, now: Timestamp) -> Option<&AppKey> {
        self.keys.iter().find(|own| own.key == key && own.is_valid(now))
    }

    /// The key that signs: of those valid at `now` the one made last.
    pub fn newest_key(&self, now: Timestamp) -> Option<&AppKey> {
        let valid = self.keys.iter().filter(|own| own.is_valid(now));
        // Of several made at once the first in the list counts.
        valid.rev().max_by_key(|own| own.created_at)
    }

    /// Adds a key that signs from now on, and forgets expired ones. Earlier keys stay valid: for
    /// `old_for_ms` (or less, if they were to end sooner), or until they are expired by another change.
    ///
    /// # Errors
    /// [`InvalidApp`] when the key is malformed or there are too many.
    pub fn rotate(
        &mut self,
        key: String,
        secret: AppSecret,
        now: Timestamp,
        old_for_ms: Option<u64>,
    ) -> Result<(), InvalidApp> {
        self.keys.retain(|own| own.is_valid(now));
        if let Some(ms) = old_for_ms {
            self.keys.iter_mut().for_each(|own| own.expire_at(now.plus_ms(ms)));
        }
        self.keys.retain(|own| own.is_valid(now));
        self.keys.insert(0, AppKey { key, secret, created_at: now, expires_at: None });
        self.updated_at = now;
        self.check()
    }

    /// Ends a key at `at`, unless it ends sooner; `false` if this app has no such key.
    pub fn expire_key(&mut self, key: &str, at: Timestamp) -> bool {
        let found = self.keys.iter_mut().find(|own| own.key == key);
        found.map(|own| own.expire_at(at)).is_some()
    }

    /// Checks what no app may break.
    ///
    /// # Errors
    /// [`InvalidApp`], the first that is found.
    pub fn check(&self) -> Result<(), InvalidApp> {
        let wrong = |field, problem| Err(InvalidApp { field, problem });
        if !is_path_segment(self.id.as_str(), crate::id::ID_BYTES_MAX) {
            return wrong("id", "must be letters, digits or -_.~, at most 64");
        }
        if self.name.trim().is_empty() || self.name.chars().count() > NAME_CHARS_MAX {
            return wrong("name", "must have 1 to 100 characters");
        }
        if self.keys.is_empty() {
            return wrong("key", "is missing");
        }
        if self.keys.len() > KEYS_MAX {
            return wrong("keys", "are too many: at most 10 at once, expire some first");
        }
        for (number, key) in self.keys.iter().enumerate() {
            if !is_path_segment(&key.key, KEY_BYTES_MAX) {
                return wrong("key", "must be letters, digits or -_.~, at most 100");
            }
            let length = key.secret.expose().len();
            if length == 0 || length > SECRET_BYTES_MAX {
                return wrong("secret", "must have 1 to 500 bytes");
            }
            if self.keys.iter().take(number).any(|earlier| earlier.key == key.key) {
                return wrong("keys", "must differ from each other");
            }
        }
        if self.webhooks.len() > WEBHOOKS_MAX {
            return wrong("webhooks", "are too many: at most 20");
        }
        self.webhooks.iter().try_for_each(WebhookRule::check)
    }
}

/// Whether a text can stand between two slashes of a URL, and before the `:` of a signature, as it is.
fn is_path_segment(text: &str, bytes_max: usize) -> bool {
    let fits = (1..=bytes_max).contains(&text.len());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    fits && !matches!(text, "." | "..") && text.bytes().all(plain)
}

/// An app that breaks a rule: `secret must have 1 to 500 bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct InvalidApp {
    /// What is wrong: `id`, `name`, `key`, `keys`, `secret` or `webhooks`.
    pub field: &'static str,
    /// Why, as the end of a sentence that starts with the field.
    pub problem: &'static str,
}

/// A key and its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppKey {
    /// What clients connect with; public. Unique over all apps.
    pub key: String,
    /// What signs.
    pub secret: AppSecret,
    /// Since when it is there.
    pub created_at: Timestamp,
    /// When it stops being valid; `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl AppKey {
    /// Whether it may be used at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    fn expire_at(&mut self, at: Timestamp) {
        self.expires_at = Some(self.expires_at.map_or(at, |sooner| sooner.min(at)));
    }
}

/// The secret of a key; never shown by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct AppSecret(String);

impl AppSecret {
    /// Takes a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AppSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Bounds of one app; `None` is none for the first four, and the installation's default for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppLimits {
    /// Open sockets.
    pub connections_max: Option<u64>,
    /// Events published by HTTP, in each second; an event to three channels counts three.
    pub backend_events_per_s: Option<u32>,
    /// Events of one socket, in each second.
    pub client_events_per_s: Option<u32>,
    /// Reading HTTP calls, in each second.
    pub reads_per_s: Option<u32>,
    /// Members of one presence channel.
    pub presence_members_max: Option<u32>,
    /// `user_id` and `user_info` of one member, in bytes of JSON.
    pub presence_member_bytes_max: Option<u32>,
    /// Longest name of a channel, in characters.
    pub channel_name_chars_max: Option<u32>,
    /// Channels of one published event.
    pub event_channels_max: Option<u32>,
    /// Longest name of an event, in characters.
    pub event_name_chars_max: Option<u32>,
    /// Largest data of one event, in bytes.
    pub event_bytes_max: Option<u32>,
    /// Events of one batch.
    pub batch_max: Option<u32>,
}

/// What an app's back end can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookKind {
    /// A channel got its first subscriber.
    ChannelOccupied,
    /// A channel lost its last subscriber.
    ChannelVacated,
    /// A user came to a presence channel.
    MemberAdded,
    /// A user left a presence channel.
    MemberRemoved,
    /// A client sent an event.
    ClientEvent,
    /// A cache channel was subscribed to that holds nothing.
    CacheMiss,
    /// The number of a channel's subscribers changed.
    SubscriptionCount,
}

impl WebhookKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::ChannelOccupied,
        Self::ChannelVacated,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::ClientEvent,
        Self::CacheMiss,
        Self::SubscriptionCount,
    ];

    /// Its word: `channel_occupied`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChannelOccupied => "channel_occupied",
            Self::ChannelVacated => "channel_vacated",
            Self::MemberAdded => "member_added",
            Self::MemberRemoved => "member_removed",
            Self::ClientEvent => "client_event",
            Self::CacheMiss => "cache_miss",
            Self::SubscriptionCount => "subscription_count",
        }
    }

    /// The kind of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One address that is told of some happenings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebhookRule {
    /// Where to: an http or https URL.
    pub url: String,
    /// Further headers of each call.
    pub headers: Vec<(String, String)>,
    /// What of; empty is everything.
    pub kinds: Vec<WebhookKind>,
    /// Only channels whose name starts so.
    pub channel_starts_with: Option<String>,
    /// Only channels whose name ends so.
    pub channel_ends_with: Option<String>,
}

impl WebhookRule {
    /// Whether it is told of something in a channel.
    pub fn covers(&self, kind: WebhookKind, channel: &str) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.channel_starts_with.as_ref().is_none_or(|start| channel.starts_with(start))
            && self.channel_ends_with.as_ref().is_none_or(|end| channel.ends_with(end))
    }

    fn check(&self) -> Result<(), InvalidApp> {
        let wrong = |problem| Err(InvalidApp { field: "webhooks", problem });
        let host = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://"));
        let named = host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', ':', '?']));
        if !named || self.url.len() > 2_000 || !self.url.bytes().all(|b| b.is_ascii_graphic()) {
            return wrong("need an http:// or https:// URL of at most 2000 characters");
        }
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        for (name, value) in &self.headers {
            if name.is_empty() || !name.bytes().all(is_token) {
                return wrong("have a header whose name is none");
            }
            if value.chars().any(char::is_control) {
                return wrong("have a header value with control characters");
            }
        }
        Ok(())
    }
}

/// Why an app was not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppError {
    /// The app breaks a rule.
    #[error(transparent)]
    Invalid(#[from] InvalidApp),
    /// Another app has it already.
    #[error("another app has this {field}")]
    Taken {
        /// `id`, `tenant` or `key`.
        field: &'static str,
    },
    /// There is no such app.
    #[error("there is no such app")]
    Missing,
    /// It changed since it was read.
    #[error("the app was changed by somebody else in the meantime")]
    Changed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn key(text: &str, at: i64) -> AppKey {
        let secret = AppSecret::new("a secret");
        AppKey { key: text.to_owned(), secret, created_at: Timestamp(at), expires_at: None }
    }

    fn app() -> App {
        App::new(AppId::trusted("shop"), TenantId::single(), key("one", 1))
    }

    #[test]
    fn the_newest_valid_key_signs_and_older_ones_still_open() {
        let mut app = app();
        app.rotate("two".to_owned(), AppSecret::new("s"), NOW, Some(500)).unwrap();
        assert_eq!(app.newest_key(NOW).unwrap().key, "two");
        assert!(app.key("one", Timestamp(1_499)).is_some());
        assert!(app.key("one", Timestamp(1_500)).is_none());
        assert!(app.key("other", NOW).is_none());
        app.rotate("three".to_owned(), AppSecret::new("s"), Timestamp(1_200), None).unwrap();
        let ends: Vec<_> = app.keys.iter().map(|k| (k.key.as_str(), k.expires_at)).collect();
        assert_eq!(ends, [("three", None), ("two", None), ("one", Some(Timestamp(1_500)))]);
        app.rotate("four".to_owned(), AppSecret::new("s"), Timestamp(2_000), Some(0)).unwrap();
        assert_eq!(app.keys.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn a_key_never_ends_later_than_it_was_to() {
        let mut app = app();
        assert!(app.expire_key("one", Timestamp(2_000)));
        assert!(app.expire_key("one", Timestamp(9_000)));
        assert_eq!(app.keys[0].expires_at, Some(Timestamp(2_000)));
        assert!(!app.expire_key("none", NOW));
        assert_eq!(app.newest_key(Timestamp(2_000)), None);
    }

    #[test]
    fn what_cannot_stand_in_a_url_or_signature_is_refused() {
        assert_eq!(app().check(), Ok(()));
        for bad in ["", "a/b", "a:b", "a b", "..", "ä", "a%20b", "a?b"] {
            let mut wrong = app();
            wrong.keys[0].key = bad.to_owned();
            assert_eq!(wrong.check().unwrap_err().field, "key", "{bad:?}");
            let wrong = App { id: AppId::trusted(bad), ..app() };
            assert_eq!(wrong.check().unwrap_err().field, "id", "{bad:?}");
        }
        let mut wrong = app();
        wrong.keys[0].secret = AppSecret::new("");
        assert_eq!(wrong.check().unwrap_err().field, "secret");
        let mut wrong = app();
        wrong.keys.push(key("one", 2));
        assert_eq!(wrong.check().unwrap_err().to_string(), "keys must differ from each other");
    }

    #[test]
    fn webhooks_go_to_http_urls_with_sound_headers() {
        let with = |url: &str, name: &str, value: &str| {
            let headers = vec![(name.to_owned(), value.to_owned())];
            let rule = WebhookRule { url: url.to_owned(), headers, ..WebhookRule::default() };
            App { webhooks: vec![rule], ..app() }.check().is_ok()
        };
        assert!(with("https://a.example.org/hook?x=1", "X-Own", "1"));
        for url in ["", "ftp://a", "http://", "https:///x", "http://a b", "file:///etc/passwd"] {
            assert!(!with(url, "X-Own", "1"), "{url:?}");
        }
        assert!(!with("http://a", "X Own", "1"));
        assert!(!with("http://a", "X-Own", "1\r\nX-Other: 2"));
    }

    #[test]
    fn a_rule_covers_its_kinds_and_channels() {
        let rule = WebhookRule {
            kinds: vec![WebhookKind::MemberAdded],
            channel_starts_with: Some("presence-".to_owned()),
            channel_ends_with: Some(".online".to_owned()),
            ..WebhookRule::default()
        };
        assert!(rule.covers(WebhookKind::MemberAdded, "presence-a.online"));
        assert!(!rule.covers(WebhookKind::MemberRemoved, "presence-a.online"));
        assert!(!rule.covers(WebhookKind::MemberAdded, "private-a.online"));
        assert!(!rule.covers(WebhookKind::MemberAdded, "presence-a"));
        assert!(WebhookRule::default().covers(WebhookKind::CacheMiss, "cache-x"));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", app()).contains("a secret"));
    }
}
