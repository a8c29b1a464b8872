//! What an app's sockets do, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an app's sockets did since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Gauge: open sockets.
    pub connected: u64,
    /// Sockets opened.
    pub opened: u64,
    /// Sockets closed.
    pub closed: u64,
    /// Messages received.
    pub messages_in: u64,
    /// Their bytes, without framing.
    pub bytes_in: u64,
    /// Messages sent: one for each socket.
    pub messages_out: u64,
    /// Their bytes, with framing.
    pub bytes_out: u64,
}

/// The counters behind [`Traffic`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    opened: AtomicU64,
    closed: AtomicU64,
    messages_in: AtomicU64,
    bytes_in: AtomicU64,
    messages_out: AtomicU64,
    bytes_out: AtomicU64,
}

impl Counters {
    /// Counts a socket as open; `false` if there are `max` already.
    pub(super) fn open(&self, max: Option<u64>) -> bool {
        let max = max.unwrap_or(u64::MAX);
        let opened = self.opened.fetch_update(Ordering::AcqRel, Ordering::Acquire, |opened| {
            let closed = self.closed.load(Ordering::Acquire);
            (opened.saturating_sub(closed) < max).then(|| opened + 1)
        });
        opened.is_ok()
    }

    pub(super) fn close(&self) {
        self.closed.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn took(&self, messages: u64, bytes: u64) {
        self.messages_in.fetch_add(messages, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A frame of `bytes` bytes goes to so many sockets.
    pub(super) fn sent(&self, sockets: u64, bytes: usize) {
        self.messages_out.fetch_add(sockets, Ordering::Relaxed);
        self.bytes_out.fetch_add(sockets.saturating_mul(bytes as u64), Ordering::Relaxed);
    }

    pub(super) fn connected(&self) -> u64 {
        // Ends before beginnings: nothing has ended that has not begun.
        let closed = self.closed.load(Ordering::Acquire);
        self.opened.load(Ordering::Acquire).saturating_sub(closed)
    }

    pub(super) fn read(&self) -> Traffic {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let closed = self.closed.load(Ordering::Acquire);
        let opened = self.opened.load(Ordering::Acquire);
        Traffic {
            connected: opened.saturating_sub(closed),
            opened,
            closed,
            messages_in: of(&self.messages_in),
            bytes_in: of(&self.bytes_in),
            messages_out: of(&self.messages_out),
            bytes_out: of(&self.bytes_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_open_than_may_be() {
        let counters = Counters::default();
        assert!(counters.open(Some(2)) && counters.open(Some(2)));
        assert!(!counters.open(Some(2)));
        counters.close();
        assert!(counters.open(Some(2)));
        assert!(counters.open(None));
        assert_eq!((counters.connected(), counters.read().opened), (3, 4));
    }
}
