//! What the adapters have in common: a task that keeps a connection to a broker, makes it again when it is lost, and
//! moves messages both ways without ever making a caller wait.
//!
//! A [`Protocol`] says how things are spelled and how a connection is opened. One task owns its connections,
//! reads, writes, answers and keeps time; whatever is published while a write is under way leaves in the next.
//! Every request that has an answer (a subscription, a ping) waits in one queue per connection, and an answer
//! that is late ends the connection: so a network that swallows everything is noticed, whatever was asked last.

mod line;
mod offline;
mod outbox;
mod retry;
mod session;
mod stream;
mod teller;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use mynah_hub::{Broker, BrokerEvent, BrokerStats, Topic};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use outbox::Outbox;
pub(crate) use stream::{Place, Stream, dial, read_line, secure};
pub(crate) use teller::Teller;
pub(crate) use tls::{Tls, tls};
pub use tls::{TlsError, TlsOption, TlsOptions};

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that wait to be published; what comes beyond is dropped.
    pub queue_bytes_max: usize,
    /// Messages that wait to be published.
    pub queue_messages_max: usize,
    /// Bytes heard that wait for the node; what comes beyond is dropped.
    pub inbox_bytes_max: usize,
    /// Messages heard that wait for the node.
    pub inbox_messages_max: usize,
    /// Bytes of one message; a larger one is neither sent nor passed on.
    pub message_bytes_max: usize,
}

impl Default for Limits {
    /// 8 MiB or 16,384 messages each way, 1 MiB each.
    fn default() -> Self {
        Self {
            queue_bytes_max: 8 << 20,
            queue_messages_max: 16_384,
            inbox_bytes_max: 8 << 20,
            inbox_messages_max: 16_384,
            message_bytes_max: 1 << 20,
        }
    }
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// The broker is asked for a sign of life this often.
    pub ping_interval: Duration,
    /// It is given up when anything asked is not answered in this time.
    pub ping_timeout: Duration,
    /// Opening a connection takes at most this long.
    pub connect_timeout: Duration,
    /// The first wait after a failure. Each further one doubles it, and is cut by up to a half at random.
    pub retry_min: Duration,
    /// The longest wait.
    pub retry_max: Duration,
}

impl Default for Timing {
    /// A connection that swallows everything is given up after at most 12 seconds.
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(5),
            ping_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(2),
        }
    }
}

/// What was read.
pub(crate) enum Incoming {
    /// Somebody published.
    Message(Topic, Bytes),
    /// Somebody published more than may be.
    TooLong,
    /// The oldest request of this connection is answered, or one of several answers of it is there.
    Answer,
    /// A publication was not taken: why.
    Unpublished(String),
    /// The peer asks for a sign of life.
    Ping,
    /// Nothing of interest.
    Nothing,
}

/// How a broker is spoken to. Encoders append to what is to be written.
#[async_trait]
pub(crate) trait Protocol: Send + 'static {
    /// For logs: `redis`.
    fn name(&self) -> &'static str;

    /// Opens the connections, authenticated and ready: the first is for subscriptions, the last for
    /// publications. An error says where and why, and never a secret.
    async fn open(&mut self) -> Result<Vec<Stream>, String>;

    /// Notes the channels and, if there is a connection, asks for those that are new. How many answers come.
    fn subscribe(&mut self, channels: Vec<Topic>, out: Option<&mut Vec<u8>>) -> usize;

    /// The opposite.
    fn unsubscribe(&mut self, channels: Vec<Topic>, out: Option<&mut Vec<u8>>) -> usize;

    /// Asks for all channels noted, on a new connection, and for a sign of life after them. How many answers
    /// come, at least one.
    fn resubscribe(&mut self, out: &mut Vec<u8>) -> usize;

    /// How many channels are noted.
    fn channels(&self) -> usize;

    /// Publishes; `false` if the broker would refuse it.
    fn publish(&mut self, channel: &str, payload: &[u8], out: &mut Vec<u8>) -> bool;

    /// Asks for a sign of life; there is one answer.
    fn ping(&self, out: &mut Vec<u8>);

    /// Gives one.
    fn pong(&self, out: &mut Vec<u8>);

    /// Reads one item from the front of what came on a connection, and how many bytes it took; `None` if it
    /// is not all there. An error ends the connection.
    fn decode(&mut self, line: usize, input: &[u8]) -> Result<Option<(Incoming, usize)>, String>;
}

/// Bounds, times and names of one carrier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) timing: Timing,
}

enum Command {
    Subscribe(Vec<Topic>, oneshot::Sender<bool>),
    Unsubscribe(Vec<Topic>),
    Stop,
}

/// Callers beyond this many wait to subscribe.
const COMMANDS_MAX: usize = 1024;

/// Longest time that [`Broker::stop`] waits for what is queued.
const STOP_MAX: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(crate) struct Counters {
    is_up: AtomicBool,
    published: AtomicU64,
    published_bytes: AtomicU64,
    writes: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    missed: AtomicU64,
    connects: AtomicU64,
    channels: AtomicU64,
}

impl Counters {
    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.store(is_up, Ordering::Relaxed);
    }

    pub(crate) fn published(&self, count: u64, bytes: usize) {
        self.published.fetch_add(count, Ordering::Relaxed);
        self.published_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All but what was not sent.
    pub(crate) fn stats(&self) -> BrokerStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BrokerStats {
            is_up: self.is_up.load(Ordering::Relaxed),
            published: read(&self.published),
            published_bytes: read(&self.published_bytes),
            unsent: 0,
            writes: read(&self.writes),
            received: read(&self.received),
            received_bytes: read(&self.received_bytes),
            missed: read(&self.missed),
            connects: read(&self.connects),
            channels: read(&self.channels),
        }
    }
}

/// A broker behind a connection.
pub(crate) struct Carrier {
    outbox: Arc<Outbox>,
    counters: Arc<Counters>,
    commands: mpsc::Sender<Command>,
    task: AbortHandle,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Carrier {
    /// Starts the task, on the current runtime.
    pub(crate) fn start(
        protocol: Box<dyn Protocol>,
        settings: Settings,
    ) -> (Arc<dyn Broker>, mpsc::Receiver<BrokerEvent>) {
        let outbox = Arc::new(Outbox::new(settings.limits));
        let counters = Arc::new(Counters::default());
        let (teller, events) = Teller::new(settings.limits, Arc::clone(&counters));
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (end, ended) = oneshot::channel();
        let keeper = session::Keeper {
            protocol,
            settings,
            outbox: Arc::clone(&outbox),
            counters: Arc::clone(&counters),
            teller,
            commands: receiver,
        };
        let task = tokio::spawn(async move {
            keeper.run().await;
            drop(end);
        });
        let carrier = Self {
            outbox,
            counters,
            commands,
            task: task.abort_handle(),
            ended: Mutex::new(Some(ended)),
        };
        (Arc::new(carrier), events)
    }
}

#[async_trait]
impl Broker for Carrier {
    fn publish(&self, channel: &Topic, payload: Bytes) {
        self.outbox.push(channel, payload);
    }

    async fn subscribe(&self, channels: Vec<Topic>) -> bool {
        let (done, confirmed) = oneshot::channel();
        if self.commands.send(Command::Subscribe(channels, done)).await.is_err() {
            return false;
        }
        confirmed.await.unwrap_or(false)
    }

    async fn unsubscribe(&self, channels: Vec<Topic>) {
        // After the end nothing is heard anyway.
        drop(self.commands.send(Command::Unsubscribe(channels)).await);
    }

    async fn stop(&self) {
        let ended = self.ended.lock().take();
        let Some(ended) = ended else { return };
        let orderly = async {
            if self.commands.send(Command::Stop).await.is_ok() {
                drop(ended.await);
            }
        };
        drop(tokio::time::timeout(STOP_MAX, orderly).await);
        self.task.abort();
        self.outbox.clear();
        self.counters.set_up(false);
    }

    fn stats(&self) -> BrokerStats {
        BrokerStats { unsent: self.outbox.unsent(), ..self.counters.stats() }
    }
}
