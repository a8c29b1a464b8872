//! The apps that Pusher clients and back ends sign in to: those configured, and those in the store.
//!
//! Lookups are remembered for `pusher.app_cache_ttl_s`, unknown keys and ids included, in caches of
//! bounded size: neither a storm of reconnects nor a stream of guesses reaches the store more often.

mod sealing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use mynah_domain::app::{App, KEY_BYTES_MAX};
use mynah_domain::id::ID_BYTES_MAX;
use mynah_domain::ports::{AppStore, Clock, StoreError};
use mynah_domain::{AppId, TenantId};

pub use sealing::SealedApps;

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

/// Lookups remembered at once, of each kind.
const REMEMBERED_MAX: u64 = 10_000;

/// All apps of the installation; cloning copies a handle.
#[derive(Clone)]
pub struct Apps(Arc<Inner>);

struct Inner {
    configured: Vec<Arc<App>>,
    /// Serves only as long as there is no other app.
    fallback: Option<Arc<App>>,
    stored: Option<Stored>,
    clock: Arc<dyn Clock>,
}

impl Apps {
    /// Configured apps and nothing else.
    pub fn configured(apps: impl IntoIterator<Item = App>, clock: Arc<dyn Clock>) -> Self {
        let configured = apps.into_iter().map(Arc::new).collect();
        Self(Arc::new(Inner { configured, fallback: None, stored: None, clock }))
    }

    /// The configured apps, and those of a store; what is looked up there is believed for `ttl`.
    ///
    /// A configured app hides stored ones that have its id, tenant or key. `fallback` is there as long as
    /// no other app is.
    pub fn new(
        configured: Vec<App>,
        fallback: Option<App>,
        (store, ttl): (Arc<dyn AppStore>, Duration),
        clock: Arc<dyn Clock>,
    ) -> Self {
        let fallback = fallback.filter(|_| configured.is_empty()).map(Arc::new);
        let configured = configured.into_iter().map(Arc::new).collect();
        Self(Arc::new(Inner { configured, fallback, stored: Some(Stored::new(store, ttl)), clock }))
    }

    /// The app that a key opens now; `None` also for a key that has expired. A disabled app is given, too:
    /// whether it serves is for the caller to say.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of_key(&self, key: &str) -> Result<Option<Arc<App>>, StoreError> {
        let now = self.0.clock.now();
        let has = |app: &Arc<App>| app.key(key, now).is_some();
        let find = Lookup::Key(key);
        let is_known = |app: &Arc<App>| app.keys.iter().any(|own| own.key == key);
        Ok(self.find(is_known, find).await?.filter(has))
    }

    /// The app of an id, also when it is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn by_id(&self, id: &str) -> Result<Option<Arc<App>>, StoreError> {
        self.find(|app| app.id.as_str() == id, Lookup::Id(id)).await
    }

    /// The app of a tenant, also when it is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn of_tenant(&self, tenant: &TenantId) -> Result<Option<Arc<App>>, StoreError> {
        self.find(|app| app.tenant == *tenant, Lookup::Tenant(tenant.as_str())).await
    }

    /// Forgets all lookups: what was changed in the store shows at once.
    pub fn clear(&self) {
        if let Some(stored) = &self.0.stored {
            stored.clear();
        }
    }

    /// Whether what is stored can be read.
    ///
    /// # Errors
    /// [`StoreError`], e.g. because the secrets were sealed with another key.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.0.stored {
            Some(stored) => stored.store.apps(0, 1).await.map(drop),
            None => Ok(()),
        }
    }

    async fn find(
        &self,
        is_it: impl Fn(&Arc<App>) -> bool,
        lookup: Lookup<'_>,
    ) -> Result<Option<Arc<App>>, StoreError> {
        let Inner { configured, fallback, stored, .. } = &*self.0;
        if let Some(app) = configured.iter().find(|app| is_it(app)) {
            return Ok(Some(Arc::clone(app)));
        }
        let Some(stored) = stored else { return Ok(None) };
        let hides = |app: &App| configured.iter().any(|c| c.id == app.id || c.tenant == app.tenant);
        if let Some(app) = stored.find(lookup).await? {
            return Ok(Some(app).filter(|app| !hides(app)));
        }
        match fallback {
            Some(app) if is_it(app) && stored.is_empty().await? => Ok(Some(Arc::clone(app))),
            Some(_) | None => Ok(None),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lookup<'a> {
    Key(&'a str),
    Id(&'a str),
    Tenant(&'a str),
}

/// What a lookup found, or that it found nothing.
type Found = Cache<Box<str>, Option<Arc<App>>>;

/// The apps of a store and what is remembered of them.
struct Stored {
    store: Arc<dyn AppStore>,
    by_key: Found,
    by_id: Found,
    by_tenant: Found,
    is_empty: Cache<(), bool>,
    /// Counts the clearings: what was read before one is not remembered after it.
    cleared: AtomicU64,
}

impl Stored {
    fn new(store: Arc<dyn AppStore>, ttl: Duration) -> Self {
        let found = || Cache::builder().max_capacity(REMEMBERED_MAX).time_to_live(ttl).build();
        Self {
            store,
            by_key: found(),
            by_id: found(),
            by_tenant: found(),
            is_empty: Cache::builder().max_capacity(1).time_to_live(ttl).build(),
            cleared: AtomicU64::new(0),
        }
    }

    async fn find(&self, lookup: Lookup<'_>) -> Result<Option<Arc<App>>, StoreError> {
        let (remembered, text, bytes_max) = match lookup {
            Lookup::Key(text) => (&self.by_key, text, KEY_BYTES_MAX),
            Lookup::Id(text) => (&self.by_id, text, ID_BYTES_MAX),
            Lookup::Tenant(text) => (&self.by_tenant, text, ID_BYTES_MAX),
        };
        if text.len() > bytes_max {
            return Ok(None);
        }
        if let Some(found) = remembered.get(text) {
            return Ok(found);
        }
        let cleared = self.cleared.load(Ordering::Acquire);
        let found = match lookup {
            Lookup::Key(key) => self.store.app_of_key(key).await?,
            Lookup::Id(id) => self.store.app(&AppId::trusted(id)).await?,
            Lookup::Tenant(tenant) => self.store.app_of_tenant(&TenantId::trusted(tenant)).await?,
        };
        let found = found.map(Arc::new);
        if cleared == self.cleared.load(Ordering::Acquire) {
            remembered.insert(text.into(), found.clone());
        }
        Ok(found)
    }

    async fn is_empty(&self) -> Result<bool, StoreError> {
        if let Some(known) = self.is_empty.get(&()) {
            return Ok(known);
        }
        let cleared = self.cleared.load(Ordering::Acquire);
        let found = self.store.apps(0, 1).await?.items.is_empty();
        if cleared == self.cleared.load(Ordering::Acquire) {
            self.is_empty.insert((), found);
        }
        Ok(found)
    }

    fn clear(&self) {
        self.cleared.fetch_add(1, Ordering::AcqRel);
        for remembered in [&self.by_key, &self.by_id, &self.by_tenant] {
            remembered.invalidate_all();
        }
        self.is_empty.invalidate_all();
    }
}

#[cfg(test)]
mod tests;
