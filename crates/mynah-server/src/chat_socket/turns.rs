//! Who comes in waits for a turn before it asks the store.
//!
//! Coming in takes several questions. When thousands come at once, as after a failure of the network, each question
//! would wait behind those of all the others; once that takes longer than an answer may take, everybody gives up,
//! comes back and asks anew, and a store that is merely slow is never caught up with. Who waits for a turn has asked
//! for nothing yet, so that those who have one get through. Who has begun goes before who has not, and for who has
//! given up nothing is done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::failure;
use crate::vocabulary::field::Failure;

/// Who asks the store at the same time; many times the connections it is read over.
const AT_ONCE: usize = 256;
/// How long somebody waits for a turn: a stock client gives a connection up after 20 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// How far somebody has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing was asked for it.
    New,
    /// Some of what it needs is there.
    Begun,
}

/// The turns of a node; in each of the two lines in the order of asking.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    free: usize,
    begun: VecDeque<oneshot::Sender<Turn>>,
    new: VecDeque<oneshot::Sender<Turn>>,
}

impl Default for Turns {
    fn default() -> Self {
        let lines = Lines { free: AT_ONCE, begun: VecDeque::new(), new: VecDeque::new() };
        Self(Arc::new(Mutex::new(lines)))
    }
}

/// A turn; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Turns>);

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut lines = turns.0.lock();
                let next = lines.begun.pop_front().or_else(|| lines.new.pop_front());
                lines.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(turns.clone()))) {
                Ok(()) => return,
                // It waits no more. The turn came back whole, and is not to be ended by this.
                Err(mut back) => back.0 = None,
            }
        }
    }
}

impl Turns {
    /// Waits for a turn.
    ///
    /// # Errors
    /// 503 `OVERLOADED` after 15 s, and at once if it is nobody's any more.
    pub(super) async fn take(
        &self,
        progress: Progress,
        is_gone: impl Fn() -> bool,
    ) -> Result<Turn, Failure> {
        let turn = match self.line_up(progress) {
            Ok(turn) => Some(turn),
            Err(called) => timeout(PATIENCE, called).await.ok().and_then(Result::ok),
        };
        turn.filter(|_| !is_gone()).ok_or_else(failure::too_many_at_once)
    }

    fn line_up(&self, progress: Progress) -> Result<Turn, oneshot::Receiver<Turn>> {
        let mut lines = self.0.lock();
        if lines.free > 0 {
            lines.free -= 1;
            return Ok(Turn(Some(self.clone())));
        }
        let (call, called) = oneshot::channel();
        match progress {
            Progress::New => lines.new.push_back(call),
            Progress::Begun => lines.begun.push_back(call),
        }
        Err(called)
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use futures_util::poll;

    use super::*;

    async fn all(turns: &Turns) -> Vec<Turn> {
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(take(turns, Progress::New).await.expect("a turn"));
        }
        taken
    }

    fn take(turns: &Turns, progress: Progress) -> impl Future<Output = Result<Turn, Failure>> {
        turns.take(progress, || false)
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_late_gets_the_next_turn_or_is_told() {
        let turns = Turns::default();
        let mut taken = all(&turns).await;
        let refused = take(&turns, Progress::New).await.expect_err("none is left");
        assert_eq!((refused.status, refused.code), (503, "OVERLOADED"));
        assert!(refused.retry_after_ms.is_some());
        let (next, ()) = tokio::join!(take(&turns, Progress::New), async { drop(taken.pop()) });
        assert!(next.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_begun_goes_first() {
        let turns = Turns::default();
        let mut taken = all(&turns).await;
        let mut new = pin!(take(&turns, Progress::New));
        let mut begun = pin!(take(&turns, Progress::Begun));
        assert!(poll!(&mut new).is_pending() && poll!(&mut begun).is_pending());
        taken.pop();
        let first = begun.await.expect("its turn");
        assert!(poll!(&mut new).is_pending());
        drop(first);
        assert!(new.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_given_up_takes_nobodys_turn() {
        let turns = Turns::default();
        let mut taken = all(&turns).await;
        {
            let mut impatient = pin!(take(&turns, Progress::New));
            assert!(poll!(&mut impatient).is_pending());
        }
        let mut gone = pin!(turns.take(Progress::New, || true));
        let mut next = pin!(take(&turns, Progress::New));
        assert!(poll!(&mut gone).is_pending() && poll!(&mut next).is_pending());
        taken.pop();
        assert!(gone.await.is_err());
        assert!(next.await.is_ok());
        drop(taken);
        assert_eq!(turns.0.lock().free, AT_ONCE, "none is lost");
    }
}
