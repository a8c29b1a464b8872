//! One connection: two pumps, and an eye on the mode.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Counters, Mode, Setting, Way};

const CHUNK_BYTES: usize = 16_384;
/// Chunks under way each way: what a long delay can hold at most.
const CHUNKS_MAX: usize = 256;
/// How often a limited connection may write.
const WRITES_PER_S: usize = 50;

/// What a connection sees of the mode.
#[derive(Clone)]
pub(super) struct Tap {
    all: watch::Receiver<Setting>,
    own: watch::Receiver<Option<Setting>>,
    /// Strikes before it began.
    strikes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Finished,
    Reset,
    Closed,
}

impl Tap {
    pub(super) fn new(
        all: watch::Receiver<Setting>,
        own: watch::Receiver<Option<Setting>>,
    ) -> Self {
        let strikes = all.borrow().strikes;
        Self { all, own, strikes }
    }

    fn now(&self) -> Setting {
        self.own.borrow().unwrap_or(*self.all.borrow())
    }

    async fn changed(&mut self) {
        let is_gone = tokio::select! {
            changed = self.all.changed() => changed.is_err(),
            changed = self.own.changed() => changed.is_err(),
        };
        if is_gone {
            pending::<()>().await;
        }
    }

    /// Waits while nothing passes in that direction.
    async fn until_open(&mut self, direction: Way) -> Setting {
        loop {
            let setting = self.now();
            let is_open = !matches!(setting.mode, Mode::BlackHole(way) if way.covers(direction));
            if is_open {
                return setting;
            }
            self.changed().await;
        }
    }

    /// Waits until the mode ends the connection.
    async fn until_ended(mut self) -> End {
        loop {
            if self.all.borrow().strikes > self.strikes {
                return End::Reset;
            }
            let mode = self.now().mode;
            if mode == Mode::Cut {
                return End::Reset;
            }
            if mode == Mode::Close {
                return End::Closed;
            }
            self.changed().await;
        }
    }
}

struct Chunk {
    due: Instant,
    bytes: Vec<u8>,
}

/// Serves one connection to its end.
pub(super) async fn carry(
    mut client: TcpStream,
    target: SocketAddr,
    tap: Tap,
    counters: &Counters,
) {
    let mut server = tokio::select! {
        end = tap.clone().until_ended() => {
            counters.ended.fetch_add(1, Ordering::Relaxed);
            return finish(&client, end);
        }
        server = reach(target, tap.clone()) => server,
    };
    let Ok(server) = server.as_mut() else {
        counters.unreachable.fetch_add(1, Ordering::Relaxed);
        return finish(&client, End::Reset);
    };
    // Small writes shall arrive as they were sent; without it they only arrive later.
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = pump(Way::Up, from_client, to_server, (tap.clone(), &counters.up_bytes));
    let down = pump(Way::Down, from_server, to_client, (tap.clone(), &counters.down_bytes));
    let end = tokio::select! {
        end = tap.clone().until_ended() => end,
        end = both(up, down) => end,
    };
    let by_mode = tap.now().mode != Mode::Pass && end != End::Finished;
    if by_mode || tap.all.borrow().strikes > tap.strikes {
        counters.ended.fetch_add(1, Ordering::Relaxed);
    }
    finish(&client, end);
    finish(server, end);
}

/// Connects to the target, unless nothing passes there now.
async fn reach(target: SocketAddr, mut tap: Tap) -> io::Result<TcpStream> {
    tap.until_open(Way::Up).await;
    TcpStream::connect(target).await
}

/// Both have finished, or one was reset.
async fn both(up: impl Future<Output = End>, down: impl Future<Output = End>) -> End {
    tokio::pin!(up, down);
    let (first, is_up) = tokio::select! {
        end = &mut up => (end, true),
        end = &mut down => (end, false),
    };
    match (first, is_up) {
        (End::Finished, true) => down.await,
        (End::Finished, false) => up.await,
        (other, _) => other,
    }
}

fn finish(stream: &TcpStream, end: End) {
    if end == End::Reset {
        // Closing with unsent data thrown away is what sends RST; if it fails the end is an ordinary one.
        drop(stream.set_zero_linger());
    }
}

async fn pump(
    direction: Way,
    from: ReadHalf<'_>,
    to: WriteHalf<'_>,
    (tap, passed): (Tap, &AtomicU64),
) -> End {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let read = take_in(direction, from, sender, tap.clone());
    let write = give_out(direction, to, receiver, (tap, passed));
    tokio::pin!(read, write);
    tokio::select! {
        end = &mut read => if end == End::Finished { write.await } else { end },
        end = &mut write => end,
    }
}

async fn take_in(
    direction: Way,
    mut from: ReadHalf<'_>,
    queue: mpsc::Sender<Chunk>,
    mut tap: Tap,
) -> End {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        tap.until_open(direction).await;
        let count = tokio::select! {
            count = from.read(&mut buffer) => count,
            () = tap.changed() => continue,
        };
        let Ok(count) = count else { return End::Reset };
        if count == 0 {
            return End::Finished;
        }
        let mut delay = Duration::ZERO;
        if let Mode::Delay(way, by) = tap.now().mode
            && way.covers(direction)
        {
            delay = by;
        }
        let bytes = buffer.iter().take(count).copied().collect();
        if queue.send(Chunk { due: Instant::now() + delay, bytes }).await.is_err() {
            return End::Finished;
        }
    }
}

async fn give_out(
    direction: Way,
    mut to: WriteHalf<'_>,
    mut queue: mpsc::Receiver<Chunk>,
    (mut tap, passed): (Tap, &AtomicU64),
) -> End {
    let (mut epoch, mut spent) = (0, 0);
    while let Some(chunk) = queue.recv().await {
        sleep_until(chunk.due).await;
        let mut rest = chunk.bytes.as_slice();
        while !rest.is_empty() {
            let setting = tap.until_open(direction).await;
            if setting.epoch != epoch {
                (epoch, spent) = (setting.epoch, 0);
            }
            let (mut most, mut pause) = (rest.len(), Duration::ZERO);
            if let Mode::DropAfter(way, budget) = setting.mode
                && way.covers(direction)
            {
                most = most.min(budget.saturating_sub(spent));
            }
            if let Mode::Rate(per_s) = setting.mode {
                most = most.min((per_s / WRITES_PER_S).max(1));
                pause = Duration::from_secs_f64(most as f64 / per_s.max(1) as f64);
            }
            let (now, later) = rest.split_at(most);
            if now.is_empty() || to.write_all(now).await.is_err() {
                return End::Reset;
            }
            spent += now.len();
            passed.fetch_add(now.len() as u64, Ordering::Relaxed);
            if matches!(setting.mode, Mode::DropAfter(way, budget) if way.covers(direction) && spent >= budget)
            {
                return End::Reset;
            }
            if !pause.is_zero() {
                sleep(pause).await;
            }
            rest = later;
        }
    }
    // The other side may be gone already.
    drop(to.shutdown().await);
    End::Finished
}
