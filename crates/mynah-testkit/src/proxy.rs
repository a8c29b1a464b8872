//! A TCP proxy that does to connections what networks do: pass, lose, delay, cut, limit.
//!
//! The mode can be changed at any time, for all connections or for one. What is lost in a black hole is not
//! thrown away but kept from passing, as with TCP over a network that drops packets: when the mode changes back, the
//! stream goes on where it stood. New connections are always accepted, as an address behind a balancer would be.
//!
//! ```no_run
//! # async fn example(database: std::net::SocketAddr) -> std::io::Result<()> {
//! use mynah_testkit::proxy::{Mode, Proxy, Way};
//!
//! let proxy = Proxy::new();
//! let address = proxy.listen(database).await?; // what the program under test is told to connect to
//! proxy.set(Mode::BlackHole(Way::Both));
//! proxy.set(Mode::Pass);
//! # Ok(()) }
//! ```

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::sleep;

mod carry;
#[cfg(test)]
mod tests;

use carry::{Tap, carry};

/// A direction: *up* is from the client to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the target.
    Up,
    /// From the target to the client.
    Down,
    /// Either.
    Both,
}

impl Way {
    fn covers(self, direction: Way) -> bool {
        self == Way::Both || self == direction
    }
}

/// What happens to connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Nothing.
    Pass,
    /// They are reset (RST), new ones as soon as they are accepted.
    Cut,
    /// They are closed in good order (FIN), new ones as soon as they are accepted.
    Close,
    /// Nothing passes that way, and nobody is told.
    BlackHole(Way),
    /// All bytes arrive later.
    Delay(Way, Duration),
    /// In turn passed for `up` and cut for `down`, beginning with `down`.
    Flap {
        /// How long they pass.
        up: Duration,
        /// How long they are cut.
        down: Duration,
    },
    /// Each is reset after this many more bytes that way.
    DropAfter(Way, usize),
    /// Each passes this many bytes per second each way.
    Rate(usize),
}

/// What went through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections that this proxy has reset or closed because of its mode.
    pub ended: u64,
    /// Connections whose target could not be reached.
    pub unreachable: u64,
    /// Bytes passed from clients to targets.
    pub up_bytes: u64,
    /// Bytes passed from targets to clients.
    pub down_bytes: u64,
}

#[derive(Default)]
struct Counters {
    accepted: AtomicU64,
    open: AtomicU64,
    ended: AtomicU64,
    unreachable: AtomicU64,
    up_bytes: AtomicU64,
    down_bytes: AtomicU64,
}

/// A mode and since when: budgets count from the moment it was set.
#[derive(Clone, Copy)]
struct Setting {
    /// Rises with each change.
    epoch: u64,
    mode: Mode,
    /// How often everything open was to be reset.
    strikes: u64,
}

struct State {
    setting: watch::Sender<Setting>,
    /// Connections and the mode of their own, if they have one.
    own: Mutex<HashMap<u64, watch::Sender<Option<Setting>>>>,
    counters: Counters,
    next: AtomicU64,
}

/// The proxy; all it does ends when it is dropped.
pub struct Proxy {
    state: Arc<State>,
    listeners: Mutex<Vec<JoinHandle<()>>>,
    flapping: Mutex<Option<AbortHandle>>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self::new()
    }
}

impl Proxy {
    /// A proxy in mode [`Mode::Pass`] that listens nowhere yet.
    pub fn new() -> Self {
        let setting = Setting { epoch: 0, mode: Mode::Pass, strikes: 0 };
        let state = State {
            setting: watch::Sender::new(setting),
            own: Mutex::default(),
            counters: Counters::default(),
            next: AtomicU64::new(0),
        };
        Self { state: Arc::new(state), listeners: Mutex::default(), flapping: Mutex::default() }
    }

    /// Listens on a free port of 127.0.0.1 and leads to `target`; may be called for several targets.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn listen(&self, target: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(accept(listener, target, Arc::clone(&self.state)));
        self.listeners.lock().push(task);
        Ok(address)
    }

    /// Changes the mode of all connections, present and to come; budgets begin anew.
    pub fn set(&self, mode: Mode) {
        if let Some(flapping) = self.flapping.lock().take() {
            flapping.abort();
        }
        for own in self.state.own.lock().values() {
            own.send_replace(None);
        }
        if let Mode::Flap { up, down } = mode {
            let state = Arc::clone(&self.state);
            let flapping = tokio::spawn(async move {
                loop {
                    state.set(Mode::Cut);
                    sleep(down).await;
                    state.set(Mode::Pass);
                    sleep(up).await;
                }
            });
            *self.flapping.lock() = Some(flapping.abort_handle());
        } else {
            self.state.set(mode);
        }
    }

    /// Changes the mode of one connection until the next [`Proxy::set`]; false if there is none of that number, or
    /// for [`Mode::Flap`], which one connection cannot do.
    pub fn set_one(&self, connection: u64, mode: Mode) -> bool {
        let own = self.state.own.lock();
        let (Some(sender), false) = (own.get(&connection), matches!(mode, Mode::Flap { .. }))
        else {
            return false;
        };
        let global = *self.state.setting.borrow();
        sender.send_modify(|setting| {
            let epoch = setting.map_or(global.epoch, |setting| setting.epoch) + 1;
            *setting = Some(Setting { epoch, mode, ..global });
        });
        true
    }

    /// Resets everything that is open now; the mode stays.
    pub fn reset_open(&self) {
        self.state.setting.send_modify(|setting| setting.strikes += 1);
    }

    /// Numbers of the open connections, in the order of their beginning.
    pub fn connections(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.state.own.lock().keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// What went through so far.
    pub fn traffic(&self) -> Traffic {
        let Counters { accepted, open, ended, unreachable, up_bytes, down_bytes } =
            &self.state.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            accepted: read(accepted),
            open: read(open),
            ended: read(ended),
            unreachable: read(unreachable),
            up_bytes: read(up_bytes),
            down_bytes: read(down_bytes),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(flapping) = self.flapping.lock().take() {
            flapping.abort();
        }
        for listener in self.listeners.lock().drain(..) {
            listener.abort();
        }
    }
}

impl State {
    fn set(&self, mode: Mode) {
        self.setting.send_modify(|setting| {
            setting.epoch += 1;
            setting.mode = mode;
        });
    }
}

/// Accepts until aborted; its connections end with it.
async fn accept(listener: TcpListener, target: SocketAddr, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of descriptors, for example; the client tries again.
                let Ok((client, _)) = accepted else { continue };
                connections.spawn(serve(client, target, Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A connection's place in the counters and among the numbers.
struct Entry {
    number: u64,
    state: Arc<State>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.state.own.lock().remove(&self.number);
        self.state.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(client: TcpStream, target: SocketAddr, state: Arc<State>) {
    let number = state.next.fetch_add(1, Ordering::Relaxed);
    let own = watch::Sender::new(None);
    let tap = Tap::new(state.setting.subscribe(), own.subscribe());
    state.own.lock().insert(number, own);
    state.counters.accepted.fetch_add(1, Ordering::Relaxed);
    state.counters.open.fetch_add(1, Ordering::Relaxed);
    let entry = Entry { number, state };
    Box::pin(carry(client, target, tap, &entry.state.counters)).await;
}
