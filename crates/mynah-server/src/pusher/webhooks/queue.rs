//! The bounded queue between the channels and the teller.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

use mynah_domain::Timestamp;
use mynah_domain::app::{App, WebhookKind};
use mynah_domain::ports::Clock;
use tokio::sync::{mpsc, watch};

use crate::pusher::happening::{Happening, Observer};

/// Happenings that wait at most.
const QUEUE_MAX: usize = 16_384;
/// Bytes of client events among them at most.
const QUEUE_BYTES_MAX: usize = 32 << 20;
/// Milliseconds between two log lines about lost happenings.
const SAY_EVERY_MS: i64 = 10_000;

/// Something that happened, and when.
pub(super) struct Told {
    pub(super) app: Arc<App>,
    pub(super) what: Happening,
    pub(super) at: Timestamp,
    bytes: usize,
}

/// What the teller gets.
pub(super) struct Happenings {
    pub(super) queue: mpsc::Receiver<Told>,
    /// Becomes true when no more will come.
    pub(super) closed: watch::Receiver<bool>,
}

/// The observer's end. At the bound what comes is lost and counted.
pub(super) struct Queue {
    clock: Arc<dyn Clock>,
    sender: mpsc::Sender<Told>,
    closed: watch::Sender<bool>,
    bytes: AtomicUsize,
    lost: AtomicU64,
    said_at: AtomicI64,
}

impl Queue {
    pub(super) fn new(clock: Arc<dyn Clock>) -> (Self, Happenings) {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        let (close, closed) = watch::channel(false);
        let queue_end = Self {
            clock,
            sender,
            closed: close,
            bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            said_at: AtomicI64::new(i64::MIN),
        };
        (queue_end, Happenings { queue, closed })
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// The teller took it.
    pub(super) fn taken(&self, told: &Told) {
        self.bytes.fetch_sub(told.bytes, Ordering::Relaxed);
    }

    /// Events that nobody will be told of.
    pub(super) fn lose(&self, count: u64, why: &str) {
        let lost = self.lost.fetch_add(count, Ordering::Relaxed) + count;
        let (now, said_at) = (self.clock.now().0, self.said_at.load(Ordering::Relaxed));
        let is_first = now.saturating_sub(said_at) >= SAY_EVERY_MS
            && self
                .said_at
                .compare_exchange(said_at, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_first {
            tracing::error!(lost, why, "webhooks were lost before they could be stored");
        }
    }

    /// How many were lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Observer for Queue {
    fn happened(&self, app: &Arc<App>, what: Happening) {
        if !concerns(app, &what) {
            return;
        }
        let bytes = bytes_of(&what);
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.lose(1, "too many bytes wait");
            return;
        }
        let told = Told { app: Arc::clone(app), what, at: self.clock.now(), bytes };
        if self.sender.try_send(told).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.lose(1, "too many wait");
        }
    }
}

/// Kind and channel of what happened.
pub(super) fn kind_of(what: &Happening) -> (WebhookKind, &Arc<str>) {
    match what {
        Happening::ChannelOccupied { channel } => (WebhookKind::ChannelOccupied, channel),
        Happening::ChannelVacated { channel } => (WebhookKind::ChannelVacated, channel),
        Happening::MemberAdded { channel, .. } => (WebhookKind::MemberAdded, channel),
        Happening::MemberRemoved { channel, .. } => (WebhookKind::MemberRemoved, channel),
        Happening::ClientEvent { channel, .. } => (WebhookKind::ClientEvent, channel),
        Happening::CacheMiss { channel } => (WebhookKind::CacheMiss, channel),
        Happening::SubscriptionCount { channel, .. } => (WebhookKind::SubscriptionCount, channel),
    }
}

/// Whether any of the app's webhooks depends on it. Coming and going of a channel cancel each other, so
/// whoever is told of one depends on both.
fn concerns(app: &App, what: &Happening) -> bool {
    let (kind, channel) = kind_of(what);
    let other = match kind {
        WebhookKind::ChannelOccupied => Some(WebhookKind::ChannelVacated),
        WebhookKind::ChannelVacated => Some(WebhookKind::ChannelOccupied),
        WebhookKind::MemberAdded
        | WebhookKind::MemberRemoved
        | WebhookKind::ClientEvent
        | WebhookKind::CacheMiss
        | WebhookKind::SubscriptionCount => None,
    };
    let covers = |kind| app.webhooks.iter().any(|rule| rule.covers(kind, channel));
    covers(kind) || other.is_some_and(covers)
}

fn bytes_of(what: &Happening) -> usize {
    match what {
        Happening::ClientEvent { event, data, .. } => event.len() + data.len(),
        Happening::ChannelOccupied { .. }
        | Happening::ChannelVacated { .. }
        | Happening::MemberAdded { .. }
        | Happening::MemberRemoved { .. }
        | Happening::CacheMiss { .. }
        | Happening::SubscriptionCount { .. } => 0,
    }
}
