//! Who comes in waits for a turn before it asks the store.
//!
//! Coming in takes several questions. When thousands come at once, as after a failure of the network, each question
//! would wait behind those of all the others; once that takes longer than an answer may take, everybody gives up,
//! comes back and asks anew, and a store that is merely slow is never caught up with. Who waits for a turn has asked
//! for nothing yet, so that those who have one get through.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::failure;
use crate::vocabulary::field::Failure;

/// Who asks the store at the same time; many times the connections it is read over.
const AT_ONCE: usize = 256;
/// How long somebody waits for a turn: a stock client gives a connection up after 20 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// The turns of a node; taken in the order of asking.
#[derive(Debug)]
pub struct Turns(Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Turns {
    /// Waits for a turn; it is over when the answer is dropped.
    ///
    /// # Errors
    /// 503 `OVERLOADED` after 15 s.
    pub(super) async fn take(&self) -> Result<SemaphorePermit<'_>, Failure> {
        let turn = timeout(PATIENCE, self.0.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(failure::too_many_at_once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_gets_the_next_turn_or_is_told() {
        let turns = Turns::default();
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turns.take().await.expect("a turn"));
        }
        let refused = turns.take().await.expect_err("none is left");
        assert_eq!((refused.status, refused.code), (503, "OVERLOADED"));
        assert!(refused.retry_after_ms.is_some());
        let (next, ()) = tokio::join!(turns.take(), async { drop(taken.pop()) });
        assert!(next.is_ok());
    }
}
