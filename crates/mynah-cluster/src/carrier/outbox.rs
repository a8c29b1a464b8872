//! What waits to be published.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Waker;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use mynah_hub::Topic;
use parking_lot::Mutex;

use super::Limits;

/// A bounded queue between those who publish and the task that writes. At the bound, and while there is no
/// connection, what comes is dropped; what waits keeps its order.
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    limits: Limits,
    /// The task that writes.
    waker: AtomicWaker,
    unsent: AtomicU64,
    /// An episode of dropping has begun and was not told of.
    is_news: AtomicBool,
}

#[derive(Default)]
struct Inner {
    queue: VecDeque<(Topic, Bytes)>,
    bytes: usize,
    is_open: bool,
    /// The last one was dropped.
    is_dropping: bool,
}

impl Outbox {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            inner: Mutex::new(Inner::default()),
            limits,
            waker: AtomicWaker::new(),
            unsent: AtomicU64::new(0),
            is_news: AtomicBool::new(false),
        }
    }

    pub(super) fn push(&self, channel: &Topic, payload: Bytes) {
        let mut inner = self.inner.lock();
        let size = size(channel, &payload);
        let fits = inner.is_open
            && payload.len() <= self.limits.message_bytes_max
            && inner.queue.len() < self.limits.queue_messages_max
            && inner.bytes + size <= self.limits.queue_bytes_max;
        if !fits {
            self.dropped(&mut inner, 1);
            return;
        }
        inner.is_dropping = false;
        inner.bytes += size;
        inner.queue.push_back((channel.clone(), payload));
        // Whoever writes comes back by itself as long as there is something to write.
        let was_empty = inner.queue.len() == 1;
        drop(inner);
        if was_empty {
            self.waker.wake();
        }
    }

    pub(super) fn pop(&self) -> Option<(Topic, Bytes)> {
        let mut inner = self.inner.lock();
        let (channel, payload) = inner.queue.pop_front()?;
        inner.bytes -= size(&channel, &payload);
        Some((channel, payload))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inner.lock().queue.is_empty()
    }

    pub(super) fn open(&self) {
        self.inner.lock().is_open = true;
    }

    /// Takes nothing more; what waits stays.
    pub(super) fn close(&self) {
        self.inner.lock().is_open = false;
    }

    /// Takes nothing more and drops what waits.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.is_open = false;
        let count = inner.queue.len() as u64;
        inner.queue.clear();
        inner.bytes = 0;
        if count > 0 {
            self.dropped(&mut inner, count);
        }
    }

    /// The broker did not take one that was written.
    pub(super) fn refused(&self) {
        self.unsent.fetch_add(1, Ordering::Relaxed);
        self.is_news.store(true, Ordering::Release);
    }

    fn dropped(&self, inner: &mut Inner, count: u64) {
        self.unsent.fetch_add(count, Ordering::Relaxed);
        if !inner.is_dropping {
            inner.is_dropping = true;
            self.is_news.store(true, Ordering::Release);
            self.waker.wake();
        }
    }

    pub(super) fn unsent(&self) -> u64 {
        self.unsent.load(Ordering::Relaxed)
    }

    /// Whether an episode of dropping began since this was last asked.
    pub(super) fn take_news(&self) -> bool {
        self.is_news.load(Ordering::Acquire) && self.is_news.swap(false, Ordering::AcqRel)
    }

    pub(super) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }
}

fn size(channel: &Topic, payload: &Bytes) -> usize {
    channel.as_str().len() + payload.len()
}
