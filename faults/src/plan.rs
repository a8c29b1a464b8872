//! How large a run is.

use std::time::Duration;

use crate::site::SiteSetup;

/// The size of a run, the same for all rows.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The short run shows that nothing is lost; the long one judges times too.
    pub(crate) short: bool,
    /// Instead of a row's own number of rounds.
    pub(crate) rounds: Option<usize>,
    pub(crate) seed: u64,
    /// Keeps names of this run apart from those of others on the same data.
    pub(crate) nonce: u64,
    pub(crate) setup: SiteSetup,
}

impl Plan {
    pub(crate) fn pick<T>(&self, short: T, long: T) -> T {
        if self.short { short } else { long }
    }

    pub(crate) fn rounds(&self, short: usize, long: usize) -> usize {
        self.rounds.unwrap_or(self.pick(short, long))
    }

    pub(crate) fn seconds(&self, short: f64, long: f64) -> Duration {
        Duration::from_secs_f64(self.pick(short, long))
    }

    /// Between two drafts of a sender.
    pub(crate) fn pace(&self) -> Duration {
        Duration::from_millis(self.pick(25, 15))
    }

    pub(crate) fn nodes(&self) -> usize {
        self.setup.nodes
    }
}
