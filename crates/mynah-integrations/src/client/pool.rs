//! Connections kept for the next call.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection::Connection;
use super::target::Origin;

/// Kept for one origin at most.
const PER_ORIGIN_MAX: usize = 4;
/// Kept at most.
const KEPT_MAX: usize = 256;
/// How long: shorter than what servers usually do.
const KEPT_FOR: Duration = Duration::from_secs(4);

struct Kept {
    connection: Connection,
    until: Instant,
}

/// Idle connections. At the bound one more is closed instead of kept.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Origin, Vec<Kept>>>);

impl Pool {
    /// A connection that is still open, the one used last.
    pub(super) fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut kept = self.0.lock();
        let own = kept.get_mut(origin)?;
        let now = Instant::now();
        let mut found = None;
        while let Some(last) = own.pop() {
            if last.until > now && last.connection.is_open() {
                found = Some(last.connection);
                break;
            }
        }
        if own.is_empty() {
            kept.remove(origin);
        }
        found
    }

    /// Keeps a connection for a short while.
    pub(super) fn keep(&self, origin: Origin, connection: Connection) {
        let now = Instant::now();
        let mut kept = self.0.lock();
        let total: usize = kept.values().map(Vec::len).sum();
        if total >= KEPT_MAX {
            kept.retain(|_, own| {
                own.retain(|k| k.until > now && k.connection.is_open());
                !own.is_empty()
            });
            if kept.values().map(Vec::len).sum::<usize>() >= KEPT_MAX {
                return;
            }
        }
        let own = kept.entry(origin).or_default();
        if own.len() < PER_ORIGIN_MAX {
            own.push(Kept { connection, until: now + KEPT_FOR });
        }
    }
}
