//! `[pusher]`: the door for Pusher clients and back ends, and the apps that are written down here.
//!
//! ```toml
//! [pusher]
//! port = 6001                # besides server.port, where the door is as well
//!
//! [[pusher.apps]]
//! id = "shop"
//! key = "8fK2…"
//! secret = "…"
//! client_events = false
//!
//! [[pusher.apps.webhooks]]
//! url = "https://shop.example.org/pusher"
//! events = ["channel_occupied", "channel_vacated"]
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use mynah_domain::app::{App, AppKey, AppLimits, AppSecret, WebhookKind, WebhookRule};
use mynah_domain::{AppId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Hidden, Stage};

/// Id, key and secret that Soketi has when nobody sets any.
pub const SOKETI_DEFAULTS: (&str, &str, &str) = ("app-id", "app-key", "app-secret");

/// The Pusher door. Defaults of an app's limits are here; an app may have its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PusherConfig {
    /// Whether it is there.
    pub enabled: bool,
    /// What stands before `/app/KEY` and `/apps/ID/…`, e.g. `/ws`; empty or starting with `/`.
    pub path_prefix: String,
    /// A port of its own, besides `server.port`; Soketi's is 6001.
    pub port: Option<u16>,
    /// A port for Soketi's `/usage` and `/metrics`; Soketi's is 9601.
    pub metrics_port: Option<u16>,
    /// Address of that port; `server.host` unless said otherwise.
    pub metrics_host: Option<String>,
    /// What stands before the names that the metrics had in Soketi.
    pub metrics_prefix: String,
    /// Silence after which clients ask whether the server is there, and the server asks them, in seconds.
    pub activity_timeout_s: u32,
    /// Longest name of a channel, in characters.
    pub channel_name_chars_max: u32,
    /// Longest name of an event, in characters.
    pub event_name_chars_max: u32,
    /// Largest data of one event, in bytes.
    pub event_bytes_max: u32,
    /// Channels of one published event.
    pub event_channels_max: u32,
    /// Events of one batch.
    pub batch_max: u32,
    /// Members of one presence channel.
    pub presence_members_max: u32,
    /// `user_id` and `user_info` of one member, in bytes of JSON.
    pub presence_member_bytes_max: u32,
    /// How long a cache channel keeps its last event, in seconds.
    pub cache_ttl_s: u64,
    /// Time to sign in, where an app demands it, in seconds.
    pub user_authentication_timeout_s: u32,
    /// Share of the memory from which `/accept-traffic` says no.
    pub memory_threshold_percent: u8,
    /// Whether a client that comes back to a chat channel is given what it missed.
    pub replay: bool,
    /// Most events given so.
    pub replay_events_max: u32,
    /// Oldest events given so, in seconds.
    pub replay_retention_s: u64,
    /// How long a looked-up app is believed, in seconds: so late may a change by `mynah app` show.
    pub app_cache_ttl_s: u64,
    /// A configuration file of Soketi (JSON), read beneath the environment.
    pub soketi_config: Option<PathBuf>,
    /// What clients are told of where to connect.
    pub public: PusherPublicConfig,
    /// How webhooks are delivered.
    pub webhooks: PusherWebhooksConfig,
    /// Apps; those made with `mynah app` are in the store.
    pub apps: Vec<AppConfig>,
}

impl Default for PusherConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path_prefix: String::new(),
            port: None,
            metrics_port: None,
            metrics_host: None,
            metrics_prefix: "soketi_".to_owned(),
            activity_timeout_s: 30,
            channel_name_chars_max: 200,
            event_name_chars_max: 200,
            event_bytes_max: 102_400,
            event_channels_max: 100,
            batch_max: 10,
            presence_members_max: 10_000,
            presence_member_bytes_max: 2_048,
            cache_ttl_s: 3_600,
            user_authentication_timeout_s: 30,
            memory_threshold_percent: 85,
            replay: true,
            replay_events_max: 200,
            replay_retention_s: 3_600,
            app_cache_ttl_s: 30,
            soketi_config: None,
            public: PusherPublicConfig::default(),
            webhooks: PusherWebhooksConfig::default(),
            apps: Vec::new(),
        }
    }
}

/// What clients are told of where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PusherPublicConfig {
    /// Host name (`SOKETI_PUBLIC_HOST`); without one, that of the request.
    pub host: Option<String>,
    /// Port (`SOKETI_PUBLIC_PORT`); without one, that of the request.
    pub port: Option<u16>,
    /// Whether they connect with TLS; without it, what the request says.
    pub tls: Option<bool>,
    /// A word that client libraries want (`SOKETI_PUSHER_CLUSTER`); nothing here depends on it.
    pub cluster: String,
}

impl Default for PusherPublicConfig {
    fn default() -> Self {
        Self { host: None, port: None, tls: None, cluster: "mt1".to_owned() }
    }
}

/// How webhooks are delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PusherWebhooksConfig {
    /// Whether events that happen closely together travel in one call.
    pub batching: bool,
    /// How closely, in milliseconds.
    pub batching_ms: u64,
    /// Whether addresses of this machine and of private networks may be called.
    pub allow_private_addresses: bool,
    /// Time for one call, in milliseconds.
    pub timeout_ms: u64,
    /// How long a failing call is repeated, in seconds; then it is a dead letter.
    pub give_up_after_s: u64,
}

impl Default for PusherWebhooksConfig {
    fn default() -> Self {
        Self {
            batching: false,
            batching_ms: 50,
            allow_private_addresses: false,
            timeout_ms: 5_000,
            give_up_after_s: 86_400,
        }
    }
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches that have nothing to do with each other"
)]
pub struct AppConfig {
    /// Its id, as in `/apps/ID/events`.
    pub id: String,
    /// What people call it; its id unless said otherwise.
    pub name: Option<String>,
    /// The tenant whose face it is: `default` for the first app, otherwise named like the app.
    pub tenant: Option<String>,
    /// The key that signs.
    pub key: String,
    /// Its secret.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub secret: Hidden,
    /// Earlier keys that are still good.
    pub old_keys: Vec<OldKeyConfig>,
    /// Whether it serves anybody.
    pub enabled: bool,
    /// Whether clients may send events to each other.
    pub client_events: bool,
    /// Whether sockets must sign in.
    pub user_authentication: bool,
    /// Whether subscribers are told how many they are.
    pub subscription_counts: bool,
    /// Open sockets; no limit unless said otherwise, as for the next three.
    pub connections_max: Option<u64>,
    /// Events published by HTTP, in each second.
    pub backend_events_per_s: Option<u32>,
    /// Events of one socket, in each second.
    pub client_events_per_s: Option<u32>,
    /// Reading HTTP calls, in each second.
    pub reads_per_s: Option<u32>,
    /// As in `[pusher]`, for this app; so are the next six.
    pub presence_members_max: Option<u32>,
    /// See `[pusher]`.
    pub presence_member_bytes_max: Option<u32>,
    /// See `[pusher]`.
    pub channel_name_chars_max: Option<u32>,
    /// See `[pusher]`.
    pub event_channels_max: Option<u32>,
    /// See `[pusher]`.
    pub event_name_chars_max: Option<u32>,
    /// See `[pusher]`.
    pub event_bytes_max: Option<u32>,
    /// See `[pusher]`.
    pub batch_max: Option<u32>,
    /// Who is told what happens.
    pub webhooks: Vec<WebhookConfig>,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            name: None,
            tenant: None,
            key: String::new(),
            secret: Hidden::default(),
            old_keys: Vec::new(),
            enabled: true,
            client_events: true,
            user_authentication: false,
            subscription_counts: false,
            connections_max: None,
            backend_events_per_s: None,
            client_events_per_s: None,
            reads_per_s: None,
            presence_members_max: None,
            presence_member_bytes_max: None,
            channel_name_chars_max: None,
            event_channels_max: None,
            event_name_chars_max: None,
            event_bytes_max: None,
            batch_max: None,
            webhooks: Vec::new(),
        }
    }
}

/// An earlier key of an app.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OldKeyConfig {
    /// The key.
    pub key: String,
    /// Its secret.
    #[serde(skip_serializing_if = "Hidden::is_empty")]
    pub secret: Hidden,
    /// When it stops being valid, e.g. `2027-01-31T00:00:00Z`; never unless said.
    pub expires_at: Option<String>,
}

/// One address that is told of some happenings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Where to.
    pub url: String,
    /// What of; everything unless said.
    pub events: Vec<WebhookEvent>,
    /// Further headers of each call.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Hidden>,
    /// Only channels whose name starts so.
    pub channel_starts_with: Option<String>,
    /// Only channels whose name ends so.
    pub channel_ends_with: Option<String>,
}

/// What a back end can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookEvent {
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

impl From<WebhookEvent> for WebhookKind {
    fn from(event: WebhookEvent) -> Self {
        match event {
            WebhookEvent::ChannelOccupied => Self::ChannelOccupied,
            WebhookEvent::ChannelVacated => Self::ChannelVacated,
            WebhookEvent::MemberAdded => Self::MemberAdded,
            WebhookEvent::MemberRemoved => Self::MemberRemoved,
            WebhookEvent::ClientEvent => Self::ClientEvent,
            WebhookEvent::CacheMiss => Self::CacheMiss,
            WebhookEvent::SubscriptionCount => Self::SubscriptionCount,
        }
    }
}

impl PusherConfig {
    /// The apps written down here, checked; what is wrong with one comes in its place as a sentence.
    ///
    /// The first app without a tenant is the face of `default`, unless another names it.
    pub fn configured_apps(&self) -> Vec<Result<App, String>> {
        let single = TenantId::single();
        let is_named =
            |app: &AppConfig| app.tenant.as_deref().map(str::trim) == Some(single.as_str());
        let mut free = (!self.apps.iter().any(is_named)).then_some(single.clone());
        self.apps.iter().map(|app| app.to_app(|| free.take())).collect()
    }

    /// The app of a development installation that has none.
    pub fn development_app(&self, stage: Stage) -> Option<App> {
        let (id, key, secret) = SOKETI_DEFAULTS;
        let app = AppConfig {
            id: id.to_owned(),
            key: key.to_owned(),
            secret: Hidden::new(secret),
            tenant: Some(TenantId::single().as_str().to_owned()),
            ..AppConfig::default()
        };
        (stage == Stage::Development).then(|| app.to_app(|| None).ok()).flatten()
    }
}

impl AppConfig {
    /// The app that is meant; `default` gives the tenant of an app that names none.
    pub(crate) fn to_app(&self, default: impl FnOnce() -> Option<TenantId>) -> Result<App, String> {
        let id = AppId::parse(self.id.trim()).map_err(|_invalid| self.named("id is missing"))?;
        let tenant = match &self.tenant {
            Some(name) => TenantId::parse(name.trim())
                .map_err(|error| self.named(&format!("tenant: {error}")))?,
            None => default().unwrap_or_else(|| TenantId::trusted(id.as_str())),
        };
        let mut keys = vec![AppKey {
            key: self.key.trim().to_owned(),
            secret: AppSecret::new(self.secret.expose()),
            created_at: Timestamp(1),
            expires_at: None,
        }];
        for old in &self.old_keys {
            keys.push(old.to_key().map_err(|problem| self.named(&problem))?);
        }
        let app = App {
            name: self.name.clone().unwrap_or_else(|| id.as_str().to_owned()),
            id,
            tenant,
            keys,
            is_enabled: self.enabled,
            client_events: self.client_events,
            user_authentication: self.user_authentication,
            subscription_counts: self.subscription_counts,
            limits: self.limits(),
            webhooks: self.webhooks.iter().map(WebhookConfig::to_rule).collect(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            version: 1,
        };
        app.check().map_err(|error| self.named(&error.to_string()))?;
        Ok(app)
    }

    fn limits(&self) -> AppLimits {
        AppLimits {
            connections_max: self.connections_max,
            backend_events_per_s: self.backend_events_per_s,
            client_events_per_s: self.client_events_per_s,
            reads_per_s: self.reads_per_s,
            presence_members_max: self.presence_members_max,
            presence_member_bytes_max: self.presence_member_bytes_max,
            channel_name_chars_max: self.channel_name_chars_max,
            event_channels_max: self.event_channels_max,
            event_name_chars_max: self.event_name_chars_max,
            event_bytes_max: self.event_bytes_max,
            batch_max: self.batch_max,
        }
    }

    /// `app "shop": secret is missing`
    fn named(&self, problem: &str) -> String {
        format!("app {:?}: {problem}", self.id)
    }
}

impl OldKeyConfig {
    fn to_key(&self) -> Result<AppKey, String> {
        let moment = |text: &str| {
            let parsed: Result<jiff::Timestamp, _> = text.trim().parse();
            parsed.map(|at| Timestamp(at.as_millisecond()))
        };
        let expires_at = self.expires_at.as_deref().map(moment).transpose();
        let expires_at = expires_at.map_err(|_unread| {
            "old_keys: expires_at must be a moment such as 2027-01-31T00:00:00Z".to_owned()
        })?;
        Ok(AppKey {
            key: self.key.trim().to_owned(),
            secret: AppSecret::new(self.secret.expose()),
            created_at: Timestamp(0),
            expires_at,
        })
    }
}

fn opened((name, value): (&String, &Hidden)) -> (String, String) {
    (name.clone(), value.expose().to_owned())
}

impl WebhookConfig {
    fn to_rule(&self) -> WebhookRule {
        WebhookRule {
            url: self.url.trim().to_owned(),
            headers: self.headers.iter().map(opened).collect(),
            kinds: self.events.iter().copied().map(WebhookKind::from).collect(),
            channel_starts_with: self.channel_starts_with.clone(),
            channel_ends_with: self.channel_ends_with.clone(),
        }
    }
}
