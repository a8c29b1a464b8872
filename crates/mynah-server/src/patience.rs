//! Asking the store again, where whoever asks would not.
//!
//! A refusal that passes is no use to a client whose library takes every refusal for good: pusher-js does not
//! ask again for a channel whose authorisation failed, so its page would stay deaf until the next connection.
//! Such questions wait here until the store answers again, a bounded time; all that wait share one probe of the
//! store a second, however many they are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::health::Health;

/// The least time before a question is asked again.
const PAUSE: Duration = Duration::from_millis(250);
/// A random part of this comes on top, so that not all ask at once when the store is back.
const SPREAD: Duration = Duration::from_secs(1);

/// How long one question waits, over all its tries.
pub struct Patience {
    health: Arc<Health>,
    end: Instant,
}

impl Patience {
    /// Begins now and lasts `at_most` so long.
    pub fn new(health: &Arc<Health>, at_most: Duration) -> Self {
        Self { health: Arc::clone(health), end: Instant::now() + at_most }
    }

    /// What comes of a question, if it is answered in time; what is known at once always is.
    pub async fn within<T>(&self, ask: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.end, ask).await.ok()
    }

    /// Waits until the store seems to answer again. `false`: the time is over, or this process is about to
    /// end and another one may answer.
    pub async fn ask_again(&self) -> bool {
        loop {
            let share =
                getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
            let next = Instant::now() + PAUSE + SPREAD.mul_f64(share);
            if next > self.end {
                return false;
            }
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.health.drained() => return false,
            }
            // On its own: who gives up must not take the probe from those who wait for it, too.
            let health = Arc::clone(&self.health);
            let probe = tokio::spawn(async move { health.store_trouble().await });
            match self.within(probe).await {
                Some(Ok(None)) => return true,
                Some(Ok(Some(_trouble))) => {}
                Some(Err(_)) | None => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mynah_domain::ports::StoreError;
    use tokio::time::timeout;

    use super::*;
    use crate::test_world::World;

    const AT_MOST: Duration = Duration::from_secs(20);

    fn away() -> (Arc<World>, Arc<Health>) {
        let world = World::new();
        world.store.fail(StoreError::Unavailable("away".to_owned()));
        let health = world.house().health;
        (world, health)
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_asked_again_when_the_store_is_back() {
        let (world, health) = away();
        let patience = Patience::new(&health, AT_MOST);
        let mut waiting = tokio::spawn(async move { patience.ask_again().await });
        let early = timeout(Duration::from_secs(10), &mut waiting).await;
        assert!(early.is_err(), "the store is away");
        world.store.mend();
        assert!(waiting.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_does_not_wait_for_ever() {
        let (_world, health) = away();
        let start = Instant::now();
        assert!(!Patience::new(&health, AT_MOST).ask_again().await);
        assert!(start.elapsed() <= AT_MOST, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_process_that_ends() {
        let (_world, health) = away();
        let patience = Patience::new(&health, AT_MOST);
        let waiting = tokio::spawn(async move { patience.ask_again().await });
        let start = Instant::now();
        health.drain();
        assert!(!waiting.await.unwrap());
        assert!(start.elapsed() < PAUSE + SPREAD);
    }

    /// Probes of the store while a thousand wait for it, all for as long.
    async fn probes_of_a_crowd(world: &World, health: &Arc<Health>) -> u64 {
        let (before, start) = (world.store.calls(), Instant::now());
        let waiting: Vec<_> = (0..1_000)
            .map(|_| {
                let patience = Patience::new(health, AT_MOST);
                tokio::spawn(async move { patience.ask_again().await })
            })
            .collect();
        for one in waiting {
            assert!(!one.await.unwrap());
        }
        assert!(start.elapsed() <= AT_MOST, "{:?}", start.elapsed());
        world.store.calls() - before
    }

    #[tokio::test(start_paused = true)]
    async fn all_that_wait_share_the_probes() {
        let (world, health) = away();
        let probes = probes_of_a_crowd(&world, &health).await;
        assert!(probes <= 21, "{probes} probes in twenty seconds");
        health.leave();
        let probes = probes_of_a_crowd(&world, &health).await;
        assert!(probes <= 21, "{probes} probes by a process that leaves");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_shared_too() {
        let (world, health) = away();
        world.store.silence_probes();
        let probes = probes_of_a_crowd(&world, &health).await;
        // Each ends after five seconds.
        assert!(probes <= 5, "{probes} probes in twenty seconds");
    }
}
