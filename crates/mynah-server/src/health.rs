//! Whether this process should get traffic.

use std::sync::Arc;
use std::time::Duration;

use mynah_domain::ports::{JournalStore, StoreError};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// How long the outcome of a probe is used again.
const PROBE_TTL: Duration = Duration::from_secs(1);
/// How long a probe may take before it counts as failed.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// State of the process, for load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Takes traffic.
    Ready,
    /// Is shutting down: finish what runs, send nothing new.
    Draining,
    /// The store does not answer as it should; why, in a few words without its insides.
    StoreDown(&'static str),
}

/// How near the process is to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// Serves as before, and says that it will not for long.
    Leaving,
    Draining,
}

/// Probes the store and knows whether the process drains.
pub struct Health {
    journal: Arc<dyn JournalStore>,
    phase: watch::Sender<Phase>,
    /// The last probe and what was wrong; the lock also makes concurrent callers share one probe.
    last: Mutex<Option<(Instant, Option<&'static str>)>>,
}

impl Health {
    /// Puts the probes on the store.
    pub fn new(journal: Arc<dyn JournalStore>) -> Self {
        Self { journal, phase: watch::Sender::new(Phase::Serving), last: Mutex::new(None) }
    }

    /// Says from now on that no new traffic is wanted, and still takes it: balancers need a moment to notice.
    pub fn leave(&self) {
        self.phase.send_modify(|phase| *phase = Phase::Leaving.max(*phase));
    }

    /// Takes no new traffic from now on.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Whether [`Self::drain`] was called.
    pub fn is_draining(&self) -> bool {
        *self.phase.borrow() == Phase::Draining
    }

    /// Waits until [`Self::drain`] is called, so that long waits can end early.
    pub async fn drained(&self) {
        let mut phase = self.phase.subscribe();
        if phase.wait_for(|phase| *phase == Phase::Draining).await.is_err() {
            tracing::debug!("the health state is gone; nothing drains any more");
        }
    }

    /// The state now; the store is asked at most once a second.
    pub async fn readiness(&self) -> Readiness {
        if *self.phase.borrow() != Phase::Serving {
            return Readiness::Draining;
        }
        self.store_trouble().await.map_or(Readiness::Ready, Readiness::StoreDown)
    }

    /// What is wrong with the store, if anything is; it is asked at most once a second.
    pub async fn store_trouble(&self) -> Option<&'static str> {
        let mut last = self.last.lock().await;
        match *last {
            Some((at, wrong)) if at.elapsed() < PROBE_TTL => wrong,
            Some(_) | None => {
                let wrong = self.probe().await;
                *last = Some((Instant::now(), wrong));
                wrong
            }
        }
    }

    /// What is wrong, if anything is.
    async fn probe(&self) -> Option<&'static str> {
        match tokio::time::timeout(PROBE_PATIENCE, self.journal.probe()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store's probe failed");
                Some(reason(&error))
            }
            Err(_late) => {
                tracing::warn!("the store's probe took too long");
                Some("gives no answer in time")
            }
        }
    }
}

/// For whoever asks whether the process is ready, which may be anybody.
fn reason(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full => "is full",
        StoreError::Overloaded => "has too much to do",
        StoreError::Ended => "its writer has ended; start this process anew",
        StoreError::Fenced => "this node must be given a new place first",
        StoreError::Unavailable(_) | StoreError::Inconsistent { .. } => "does not work",
    }
}
