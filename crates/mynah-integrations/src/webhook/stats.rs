//! Numbers by app.

use std::collections::BTreeMap;

use mynah_domain::AppId;
use mynah_domain::outbox::OutboxCount;
use parking_lot::Mutex;

/// What was done for an app since the start, and what waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppStats {
    /// Which app.
    pub app: AppId,
    /// Events delivered.
    pub delivered: u64,
    /// Attempts that failed, by event.
    pub failed: u64,
    /// Events given up.
    pub given_up: u64,
    /// Of those, given up because too many waited.
    pub displaced: u64,
    /// Events waiting; a few seconds old.
    pub pending: u64,
    /// Dead letters; a few seconds old.
    pub dead: u64,
}

/// Apps counted at most; those without anything waiting are forgotten beyond.
const APPS_MAX: usize = 10_000;

/// Kept for all apps that had anything to deliver.
#[derive(Default)]
pub(super) struct Stats(Mutex<BTreeMap<AppId, AppStats>>);

impl Stats {
    pub(super) fn delivered(&self, app: &AppId, count: u64) {
        change(&mut self.0.lock(), app, |stats| stats.delivered += count);
    }

    pub(super) fn failed(&self, app: &AppId, count: u64) {
        change(&mut self.0.lock(), app, |stats| stats.failed += count);
    }

    pub(super) fn given_up(&self, app: &AppId, count: u64) {
        change(&mut self.0.lock(), app, |stats| stats.given_up += count);
    }

    pub(super) fn displaced(&self, app: &AppId, count: u64) {
        change(&mut self.0.lock(), app, |stats| {
            stats.displaced += count;
            stats.given_up += count;
        });
    }

    /// Takes over what the store has counted.
    pub(super) fn counted(&self, counts: &[OutboxCount]) {
        let mut apps = self.0.lock();
        for stats in apps.values_mut() {
            (stats.pending, stats.dead) = (0, 0);
        }
        for count in counts {
            change(&mut apps, &count.app, |stats| {
                (stats.pending, stats.dead) = (count.pending, count.dead);
            });
        }
    }

    pub(super) fn all(&self) -> Vec<AppStats> {
        self.0.lock().values().cloned().collect()
    }
}

fn change(apps: &mut BTreeMap<AppId, AppStats>, app: &AppId, change: impl FnOnce(&mut AppStats)) {
    if let Some(stats) = apps.get_mut(app) {
        change(stats);
        return;
    }
    if apps.len() >= APPS_MAX {
        apps.retain(|_, stats| stats.pending + stats.dead > 0);
    }
    if apps.len() >= APPS_MAX {
        return;
    }
    let mut stats = AppStats {
        app: app.clone(),
        delivered: 0,
        failed: 0,
        given_up: 0,
        displaced: 0,
        pending: 0,
        dead: 0,
    };
    change(&mut stats);
    apps.insert(app.clone(), stats);
}
