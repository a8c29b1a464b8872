//! Things to do later: one timer wheel, one task, for all connections.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mynah_hub::{TimerKey, TimerWheel};
use parking_lot::Mutex;

/// Resolution of the wheel.
const TICK: Duration = Duration::from_millis(50);

type Action = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// The wheel; clones share it.
#[derive(Clone)]
pub struct Deadlines {
    wheel: Arc<Mutex<TimerWheel<Action>>>,
    start: Instant,
}

impl Deadlines {
    /// An empty wheel with its task on the current runtime.
    pub fn start() -> Self {
        let deadlines =
            Self { wheel: Arc::new(Mutex::new(TimerWheel::new(0))), start: Instant::now() };
        tokio::spawn(run(deadlines.clone()));
        deadlines
    }

    fn tick_at(&self, at: Instant) -> u64 {
        (at.duration_since(self.start).as_millis() / TICK.as_millis()) as u64
    }

    /// Runs an action once the time has passed, at most a tick late.
    pub fn after<F, T>(&self, delay: Duration, action: F) -> TimerKey
    where
        F: FnOnce() -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let tick = self.tick_at(Instant::now() + delay) + 1;
        self.wheel.lock().insert(tick, Box::new(move || Box::pin(action())))
    }

    /// Forgets an action that has not run.
    pub fn cancel(&self, key: TimerKey) {
        drop(self.wheel.lock().cancel(key));
    }
}

async fn run(deadlines: Deadlines) {
    let mut interval = tokio::time::interval(TICK);
    loop {
        interval.tick().await;
        let now = deadlines.tick_at(Instant::now());
        let mut due = Vec::new();
        deadlines.wheel.lock().advance(now, |action| due.push(action));
        for action in due {
            // On its own: a slow action must not delay the others.
            tokio::spawn(action());
        }
    }
}
