//! What is kept of each app that calls: its windows and its counters.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use mynah_domain::AppId;

use super::windows::Window;
use crate::pusher::Traffic;
use crate::pusher::soketi_metrics::AppCounts;

/// Most apps that are remembered. Of more, those that called longest ago are forgotten: their counters
/// begin anew, and windows that long ago are over.
const APPS_MAX: u64 = 10_000;

/// Of one app.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Published events.
    pub(super) events: Window,
    /// Reading calls.
    pub(super) reads: Window,
    calls: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Ledger {
    /// Counts an answered call.
    pub(super) fn called(&self, bytes_in: u64, bytes_out: u64) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    fn tell(&self, counts: &mut AppCounts) {
        counts.http_calls = self.calls.load(Ordering::Relaxed);
        counts.http_bytes_in = self.bytes_in.load(Ordering::Relaxed);
        counts.http_bytes_out = self.bytes_out.load(Ordering::Relaxed);
    }
}

/// Of all apps.
pub(super) struct Ledgers(Cache<AppId, Arc<Ledger>>);

impl Default for Ledgers {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(APPS_MAX);
        Self(cache.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Ledgers {
    /// The ledger of an app that exists.
    pub(super) fn of(&self, app: &AppId) -> Arc<Ledger> {
        match self.0.get(app) {
            Some(ledger) => ledger,
            None => self.0.get_with_by_ref(app, Arc::default),
        }
    }

    /// All counters, with those of the apps' sockets.
    pub(super) fn with(&self, sockets: Vec<(AppId, Traffic)>) -> Vec<AppCounts> {
        let mut apps: HashMap<String, AppCounts> = HashMap::with_capacity(sockets.len());
        let named = |id: &AppId| AppCounts { app: id.as_str().to_owned(), ..AppCounts::default() };
        for (id, traffic) in sockets {
            let counts = apps.entry(id.as_str().to_owned()).or_insert_with(|| named(&id));
            counts.connected = traffic.connected;
            counts.opened = traffic.opened;
            counts.closed = traffic.closed;
            counts.bytes_in = traffic.bytes_in;
            counts.bytes_out = traffic.bytes_out;
            counts.frames_in = traffic.messages_in;
            counts.frames_out = traffic.messages_out;
        }
        for (id, ledger) in &self.0 {
            ledger.tell(apps.entry(id.as_str().to_owned()).or_insert_with(|| named(&id)));
        }
        apps.into_values().collect()
    }
}
