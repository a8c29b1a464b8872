//! The task behind a [`Carrier`](super::Carrier): connects, and while connected moves bytes both ways.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use mynah_hub::BrokerEvent;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

use super::line::{Line, Then};
use super::offline::{Offline, note};
use super::outbox::Outbox;
use super::retry::Retry;
use super::{Command, Counters, Incoming, Protocol, Settings, Stream, Teller};

/// One write carries at most so many publications.
const BATCH_MESSAGES_MAX: usize = 64;
/// Or, if they are large, at most so many bytes and one more publication.
const BATCH_BYTES_MAX: usize = 64 << 10;
/// A connection that was up for so long makes the next attempts begin early again.
const LASTING: Duration = Duration::from_secs(2);
/// Reads of one turn: what is left of the turn is for clocks, commands and writes.
const FILLS_MAX: usize = 32;

/// Owns everything; see [`Keeper::run`].
pub(super) struct Keeper {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) settings: Settings,
    pub(super) outbox: Arc<Outbox>,
    pub(super) counters: Arc<Counters>,
    pub(super) teller: Teller,
    pub(super) commands: mpsc::Receiver<Command>,
}

/// Why a session is over.
enum End {
    /// Somebody asked for it, or nobody listens any more.
    Stopped,
    /// Why the connection is of no more use.
    Lost(String),
}

/// Whether there was anything to do.
type Progress = Result<bool, End>;

impl Keeper {
    /// Connects, over and over, until it is stopped.
    pub(super) async fn run(mut self) {
        let mut retry = Retry::new(&self.settings.timing);
        let mut is_told_down = false;
        loop {
            let Some(opened) = self.open().await else { break };
            let began = Instant::now();
            let end = match opened {
                Ok(streams) => self.serve(streams, &mut is_told_down).await,
                Err(reason) => End::Lost(reason),
            };
            self.outbox.clear();
            let was_up = self.counters.is_up.swap(false, Ordering::Relaxed);
            let End::Lost(reason) = end else { break };
            let broker = self.protocol.name();
            if is_told_down {
                debug!(broker, reason, "still no connection to the broker");
            } else {
                warn!(broker, reason, "no connection to the broker; trying until there is one");
                self.teller.tell(BrokerEvent::Down);
                is_told_down = true;
            }
            if was_up && began.elapsed() >= LASTING {
                retry.reset();
            }
            let wait = sleep(retry.wait());
            if self.meanwhile(wait).await.is_none() {
                break;
            }
        }
        self.outbox.clear();
    }

    async fn open(&mut self) -> Option<Result<Vec<Stream>, String>> {
        let Self { protocol, settings, outbox, teller, commands, .. } = self;
        let mut offline = Offline { outbox, teller, commands };
        let patience = settings.timing.connect_timeout;
        let mut noted = Vec::new();
        let opened = {
            let open = timeout(patience, protocol.open());
            offline.until(open, &mut noted).await
        };
        note(protocol.as_mut(), noted);
        let opened = opened?;
        Some(opened.unwrap_or_else(|_elapsed| Err(format!("no connection within {patience:?}"))))
    }

    /// Waits while it goes on telling and answering; `None` if it was stopped.
    async fn meanwhile<T>(&mut self, wait: impl Future<Output = T>) -> Option<T> {
        let Self { protocol, outbox, teller, commands, .. } = self;
        let mut noted = Vec::new();
        let done = Offline { outbox, teller, commands }.until(wait, &mut noted).await;
        note(protocol.as_mut(), noted);
        done
    }

    /// Uses the connections until they are lost.
    async fn serve(&mut self, streams: Vec<Stream>, is_told_down: &mut bool) -> End {
        let period = self.settings.timing.ping_interval.min(self.settings.timing.ping_timeout) / 5;
        let mut ticks = interval(period.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut session = Session {
            lines: streams.into_iter().map(Line::new).collect(),
            ticks,
            is_told_down,
            is_stopping: false,
            keeper: self,
        };
        session.begin();
        let end = poll_fn(|context| session.poll(context)).await;
        for line in &mut session.lines {
            // The peer may be gone; nothing is left to be done about it.
            drop(
                timeout(Duration::from_millis(100), poll_fn(|context| line.poll_shutdown(context)))
                    .await,
            );
        }
        end
    }
}

/// A time of being connected.
struct Session<'a> {
    lines: Vec<Line>,
    ticks: Interval,
    is_told_down: &'a mut bool,
    is_stopping: bool,
    keeper: &'a mut Keeper,
}

impl Session<'_> {
    fn begin(&mut self) {
        if let Some(line) = self.lines.first_mut() {
            let answers = self.keeper.protocol.resubscribe(&mut line.output);
            line.expect(answers, Then::Up);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        self.keeper.outbox.register(context.waker());
        match self.advance(context) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Does all that can be done without waiting.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<(), End> {
        loop {
            let mut is_busy = false;
            for index in 0..self.lines.len() {
                is_busy |= self.read(index, context)?;
            }
            // Only now: an answer that lies here already is not late, whoever was held up.
            is_busy |= self.keep_time(context)?;
            is_busy |= self.obey(context);
            self.load();
            for index in 0..self.lines.len() {
                is_busy |= self.write(index, context)?;
            }
            if self.keeper.outbox.take_news() {
                self.keeper.teller.tell(BrokerEvent::Unsent);
            }
            self.keeper.teller.poll(context);
            if self.keeper.teller.is_closed() || self.is_drained() {
                return Err(End::Stopped);
            }
            if !is_busy {
                return Ok(());
            }
        }
    }

    /// Asks for signs of life, and gives up on a peer that owes an answer for too long.
    fn keep_time(&mut self, context: &mut Context<'_>) -> Progress {
        let mut is_busy = false;
        while self.ticks.poll_tick(context).is_ready() {
            is_busy = true;
            let timing = self.keeper.settings.timing;
            for line in &mut self.lines {
                let late = line
                    .pending
                    .front()
                    .filter(|oldest| oldest.since.elapsed() > timing.ping_timeout);
                if late.is_some() {
                    let reason = format!("no answer within {:?}", timing.ping_timeout);
                    return Err(End::Lost(reason));
                }
                if line.pinged.elapsed() >= timing.ping_interval {
                    line.pinged = Instant::now();
                    self.keeper.protocol.ping(&mut line.output);
                    line.expect(1, Then::Nothing);
                }
            }
        }
        Ok(is_busy)
    }

    fn read(&mut self, index: usize, context: &mut Context<'_>) -> Progress {
        let mut is_busy = false;
        for _ in 0..FILLS_MAX {
            let Some(line) = self.lines.get_mut(index) else { return Ok(is_busy) };
            match line.poll_fill(context) {
                Poll::Pending => return Ok(is_busy),
                Poll::Ready(Ok(0)) => return Err(End::Lost("it closed the connection".to_owned())),
                Poll::Ready(Ok(_)) => is_busy = true,
                Poll::Ready(Err(error)) => return Err(End::Lost(error.to_string())),
            }
            self.understand(index)?;
        }
        Ok(true)
    }

    /// Takes in what was read, as far as it is complete.
    fn understand(&mut self, index: usize) -> Result<(), End> {
        while let Some(line) = self.lines.get_mut(index) {
            let input = line.input.get(line.start..line.end).unwrap_or_default();
            let decoded = self.keeper.protocol.decode(index, input).map_err(End::Lost)?;
            let Some((incoming, taken)) = decoded else { break };
            line.start += taken;
            match incoming {
                Incoming::Message(channel, payload) => {
                    if payload.len() > self.keeper.settings.limits.message_bytes_max {
                        self.keeper.teller.missed();
                    } else {
                        self.keeper.teller.message(channel, payload);
                    }
                }
                Incoming::TooLong => self.keeper.teller.missed(),
                Incoming::Answer => self.answered(index),
                Incoming::Unpublished(reason) => {
                    debug!(
                        broker = self.keeper.protocol.name(),
                        reason, "a publication was refused"
                    );
                    self.keeper.outbox.refused();
                }
                Incoming::Ping => self.keeper.protocol.pong(&mut line.output),
                Incoming::Nothing => {}
            }
        }
        Ok(())
    }

    /// The oldest request got one of its answers.
    fn answered(&mut self, index: usize) {
        let Some(line) = self.lines.get_mut(index) else { return };
        if let Some(oldest) = line.pending.front_mut() {
            oldest.left = oldest.left.saturating_sub(1);
            oldest.since = Instant::now();
        }
        while let Some(line) = self.lines.get_mut(index)
            && line.pending.front().is_some_and(|oldest| oldest.left == 0)
            && let Some(done) = line.pending.pop_front()
        {
            if let Some(next) = line.pending.front_mut() {
                // Its turn has only come now.
                next.since = Instant::now();
            }
            match done.then {
                Then::Nothing => {}
                Then::Up => self.up(),
                // Who gave up waiting need not know.
                Then::Tell(waiting) => {
                    let _unheard = waiting.send(true);
                }
            }
        }
    }

    fn up(&mut self) {
        let counters = &self.keeper.counters;
        counters.set_up(true);
        counters.connects.fetch_add(1, Ordering::Relaxed);
        let channels = self.keeper.protocol.channels();
        counters.channels.store(channels as u64, Ordering::Relaxed);
        *self.is_told_down = false;
        info!(broker = self.keeper.protocol.name(), channels, "connected to the broker");
        if !self.is_stopping {
            self.keeper.outbox.open();
        }
        self.keeper.teller.tell(BrokerEvent::Up);
    }

    /// Does what callers ask for.
    fn obey(&mut self, context: &mut Context<'_>) -> bool {
        let mut is_busy = false;
        while let Poll::Ready(command) = self.keeper.commands.poll_recv(context) {
            let Some(line) = self.lines.first_mut() else { return is_busy };
            is_busy = true;
            match command {
                None | Some(Command::Stop) => {
                    self.is_stopping = true;
                    self.keeper.outbox.close();
                    break;
                }
                Some(Command::Subscribe(channels, done)) => {
                    let left = self.keeper.protocol.subscribe(channels, Some(&mut line.output));
                    if left == 0 && line.pending.is_empty() {
                        // Who gave up waiting need not know.
                        let _unheard = done.send(true);
                    } else {
                        line.expect(left, Then::Tell(done));
                    }
                }
                Some(Command::Unsubscribe(channels)) => {
                    let left = self.keeper.protocol.unsubscribe(channels, Some(&mut line.output));
                    if left > 0 {
                        line.expect(left, Then::Nothing);
                    }
                }
            }
            let channels = self.keeper.protocol.channels();
            self.keeper.counters.channels.store(channels as u64, Ordering::Relaxed);
        }
        is_busy
    }

    /// Puts the next publications into an output that is wholly written.
    fn load(&mut self) {
        let Some(line) = self.lines.last_mut() else { return };
        if !line.output.is_empty() && line.carries {
            return;
        }
        let (mut count, mut bytes) = (0, 0);
        while count < BATCH_MESSAGES_MAX
            && line.output.len() < BATCH_BYTES_MAX
            && let Some((channel, payload)) = self.keeper.outbox.pop()
        {
            if self.keeper.protocol.publish(channel.as_str(), &payload, &mut line.output) {
                count += 1;
                bytes += payload.len();
            } else {
                self.keeper.outbox.refused();
            }
        }
        if count > 0 {
            line.carries = true;
            self.keeper.counters.published(count as u64, bytes);
        }
    }

    fn write(&mut self, index: usize, context: &mut Context<'_>) -> Progress {
        let Some(line) = self.lines.get_mut(index) else { return Ok(false) };
        match line.poll_drain(context) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(writes)) => {
                if std::mem::take(&mut line.carries) {
                    self.keeper.counters.writes.fetch_add(writes, Ordering::Relaxed);
                }
                Ok(writes > 0)
            }
            Poll::Ready(Err(error)) => Err(End::Lost(error.to_string())),
        }
    }

    /// Whether it is to stop, and has nothing left to write.
    fn is_drained(&self) -> bool {
        self.is_stopping
            && self.keeper.outbox.is_empty()
            && self.lines.iter().all(|line| line.output.is_empty() && line.is_flushed)
    }
}
