//! The end of all connections, spread over time: whoever reconnects does not come with everybody
//! else.

use std::time::Duration;

use mynah_hub::{CloseEach, CloseReason, Dialect, Frame, Hub, LazyFrames};
use tokio::time::{Instant, sleep, sleep_until};

use crate::dialects::{PUSHER, PUSHER_PEOPLE};
use crate::frames;
use crate::pusher::{self, PUSHER_RULES};

/// Mean time between two rounds of asking; each is half of it more or less.
const ROUND: Duration = Duration::from_millis(100);
/// Connections asked per second at least: few need no long spreading.
const RATE_MIN: f64 = 200.0;
/// Share of the time in which all are asked.
const ASKING: f64 = 0.8;
/// Share of the time after which those that stay are closed.
const PATIENCE: f64 = 0.87;
/// Share of the time after which nobody is waited for any more; the rest is for the last answers
/// and the store.
const END: f64 = 0.92;
/// How often is looked whether all connections are gone.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two lines in the log.
const REPORT: Duration = Duration::from_secs(1);

/// Ends all connections within a time, so that client libraries reconnect by themselves, to whoever
/// answers then. Each is asked to leave, not all at once; it then finishes what it began. Those that
/// stay are closed. The caller sees to it that no new ones come.
pub async fn drain(hub: &Hub, within: Duration) {
    let begun = Instant::now();
    ask_all(hub, begun, within.mul_f64(ASKING)).await;
    if are_gone(hub, begun + within.mul_f64(PATIENCE)).await {
        tracing::info!("all connections have left");
        return;
    }
    tracing::warn!(open = hub.stats().sessions, "closing the connections that stay");
    cut(hub).await;
    are_gone(hub, begun + within.mul_f64(END)).await;
}

/// The last frame for the subscribers of a topic whose libraries are to connect again by themselves.
pub fn come_back(dialect: Dialect) -> Frame {
    match dialect {
        PUSHER | PUSHER_PEOPLE => pusher::restarting(),
        _ => frames::close(1012, "connect again"),
    }
}

/// Closes all connections at once.
pub async fn cut(hub: &Hub) {
    // In the spelling of each: Pusher clients do not come back at once.
    let last = LazyFrames::new(|rules| {
        Some(match rules {
            PUSHER_RULES => pusher::restarting(),
            _ => frames::close(1012, "server restarting"),
        })
    });
    let reason = CloseReason::Named("server shutting down");
    hub.close_some(usize::MAX, CloseEach { reason, last: Some(last) }).await;
}

async fn ask_all(hub: &Hub, begun: Instant, window: Duration) {
    let sessions = hub.stats().sessions as usize;
    tracing::info!(sessions, ?window, "asking all connections to leave");
    let (mut asked, mut reported) = (0, begun);
    for round in rounds(sessions, window, random_share) {
        sleep_until(begun + round.at).await;
        asked += hub.ask_to_leave(round.sessions).await;
        let open = hub.stats().sessions;
        if open == 0 {
            return;
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            tracing::info!(asked, open, "draining");
        }
    }
    // Those that began while others left.
    hub.ask_to_leave(usize::MAX).await;
}

/// Waits until all connections are gone; `false` if some are left at the deadline.
async fn are_gone(hub: &Hub, deadline: Instant) -> bool {
    let mut reported = Instant::now();
    loop {
        let open = hub.stats().sessions;
        if open == 0 || Instant::now() >= deadline {
            return open == 0;
        }
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            tracing::info!(open, "waiting for connections to leave");
        }
        sleep(LOOK).await;
    }
}

/// A round of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Round {
    /// When, from the begin of the drain.
    at: Duration,
    /// How many.
    sessions: usize,
}

/// Spreads `sessions` evenly over `window`, or over less if they are few. `jitter` gives numbers
/// from 0 to 1 that move each round.
fn rounds(
    sessions: usize,
    window: Duration,
    mut jitter: impl FnMut() -> f64,
) -> impl Iterator<Item = Round> {
    let rate = (sessions as f64 / window.as_secs_f64()).max(RATE_MIN);
    let (mut at, mut asked) = (Duration::ZERO, 0);
    std::iter::from_fn(move || {
        if asked == sessions {
            return None;
        }
        at = window.min(at + ROUND.mul_f64(0.5 + jitter().clamp(0.0, 1.0)));
        let due = (rate * at.as_secs_f64()) as usize;
        let due = if at == window { sessions } else { due.clamp(asked, sessions) };
        let round = Round { at, sessions: due - asked };
        asked = due;
        Some(round)
    })
}

/// From 0 to 1; the middle if there is no randomness.
fn random_share() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mynah_hub::{Dialect, HubConfig, Link, NewSession, Pulse, SessionEvents, SessionId};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn all_are_asked_within_the_window_and_not_faster_than_needed(
            sessions in 0..2_000_000_usize,
            window_ms in 0..120_000_u64,
            shares in proptest::collection::vec(0.0..=1.0_f64, 1..50),
        ) {
            let window = Duration::from_millis(window_ms);
            let mut shares = shares.into_iter().cycle();
            let (mut before, mut asked) = (Duration::ZERO, 0);
            for round in rounds(sessions, window, || shares.next().unwrap_or_default()) {
                asked += round.sessions;
                prop_assert!(round.at <= window);
                let pause = round.at.saturating_sub(before);
                prop_assert!(pause <= ROUND * 3 / 2);
                prop_assert!(pause >= ROUND / 2 || round.at == window);
                // What an even spread asks until then, and nobody before the first round.
                let even = (sessions as f64 / window.as_secs_f64()).max(RATE_MIN);
                let most = even * round.at.as_secs_f64();
                prop_assert!(round.at == window || asked as f64 <= most);
                // It lags behind by what rounding takes, not by the jitter.
                prop_assert!(asked == sessions || asked as f64 + 1.0 >= most);
                before = round.at;
            }
            prop_assert_eq!(asked, sessions);
            // Few are not spread over all of a long window.
            let enough = Duration::from_secs_f64(sessions as f64 / RATE_MIN) + ROUND * 3;
            prop_assert!(sessions as f64 > RATE_MIN * window.as_secs_f64() || before <= enough);
        }
    }

    /// Leaves when it is asked, or does not.
    struct Visitor {
        leaves: tokio::sync::mpsc::Sender<SessionId>,
        polite: bool,
    }

    impl SessionEvents for Visitor {
        fn closed(&self, _: SessionId, _: CloseReason) {}

        fn leaving(&self, id: SessionId) {
            if self.polite {
                self.leaves.try_send(id).expect("there is room for all");
            }
        }
    }

    /// A hub with visitors and a task that lets the polite ones go. Gives how long its drain took
    /// and how many were closed by force.
    async fn drained(polite: usize, stubborn: usize, within: Duration) -> (Duration, u64) {
        let hub = Hub::new(HubConfig { shards: 2, ..HubConfig::default() });
        let (leaves, mut left) = tokio::sync::mpsc::channel(polite + 1);
        for number in 0..polite + stubborn {
            let visitor = Visitor { leaves: leaves.clone(), polite: number < polite };
            let new = NewSession {
                dialect: Dialect(0),
                link: Link::Polling,
                events: Arc::new(visitor),
                pulse: Pulse::default(),
            };
            hub.attach(new).await.expect("there is room");
        }
        let leaving = hub.clone();
        tokio::spawn(async move {
            while let Some(id) = left.recv().await {
                leaving.detach(id, CloseReason::PeerGone).await;
            }
        });
        let begun = Instant::now();
        drain(&hub, within).await;
        let took = begun.elapsed();
        hub.members(&mynah_hub::Topic::new("none")).await;
        let stats = hub.stats();
        assert_eq!(stats.closed, (polite + stubborn) as u64);
        (took, stats.closed_named)
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_leave_are_spread_and_nobody_is_closed() {
        let within = Duration::from_secs(10);
        let (took, closed) = drained(4_000, 0, within).await;
        assert_eq!(closed, 0);
        assert!(took > Duration::from_secs(7) && took < Duration::from_secs(9), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn few_are_gone_soon() {
        let (took, closed) = drained(40, 0, Duration::from_mins(1)).await;
        assert_eq!(closed, 0);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_stay_are_closed_and_the_time_is_kept() {
        let within = Duration::from_secs(5);
        let (took, closed) = drained(20, 3, within).await;
        assert_eq!(closed, 3);
        assert!(took > within.mul_f64(ASKING) && took < within, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_at_all_closes_all_at_once() {
        let (took, closed) = drained(0, 3, Duration::ZERO).await;
        assert_eq!(closed, 3);
        assert!(took <= LOOK, "{took:?}");
    }
}
