//! What passes an edge, in numbers that only grow: plain atomics, added to once per read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mynah_hub::{CloseReason, SessionEvents, SessionId};
use mynah_protocol::websocket::Message;

/// Why a session ended, in the words of engine.io (`socket.on("close", reason)`), so that boards made for
/// it read the same here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The peer said goodbye or vanished.
    TransportClose,
    /// A write failed, or the peer broke a rule of the transport.
    TransportError,
    /// It did not answer a ping in time.
    PingTimeout,
    /// It sent what cannot be read.
    ParseError,
    /// It was ended from our side.
    ForcedClose,
    /// The server stopped.
    ServerShuttingDown,
    /// It did not read what it was sent; engine.io has no word for it.
    SlowConsumer,
}

impl Ended {
    /// Every way to end, in the order of [`Totals::ended`].
    pub const ALL: [Self; 7] = [
        Self::TransportClose,
        Self::TransportError,
        Self::PingTimeout,
        Self::ParseError,
        Self::ForcedClose,
        Self::ServerShuttingDown,
        Self::SlowConsumer,
    ];

    /// Its text, e.g. `transport close`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
            Self::ForcedClose => "forced close",
            Self::ServerShuttingDown => "server shutting down",
            Self::SlowConsumer => "slow consumer",
        }
    }
}

impl From<CloseReason> for Ended {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::PeerGone => Self::TransportClose,
            CloseReason::LinkFailed | CloseReason::PollOverlap => Self::TransportError,
            CloseReason::PingTimeout => Self::PingTimeout,
            CloseReason::HubStopped => Self::ServerShuttingDown,
            CloseReason::SlowConsumer => Self::SlowConsumer,
            CloseReason::TooManySubscriptions => Self::ForcedClose,
            CloseReason::Named(name) => match name {
                "transport close" => Self::TransportClose,
                "server shutting down" => Self::ServerShuttingDown,
                "parse error" => Self::ParseError,
                "invalid frame" | "overlapping post" | "binary body" | "broken body"
                | "body too large" => Self::TransportError,
                _ => Self::ForcedClose,
            },
        }
    }
}

/// The counters of an edge; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    opened: AtomicU64,
    ended: [AtomicU64; Ended::ALL.len()],
    began_polling: AtomicU64,
    stopped_polling: AtomicU64,
    packets_in: AtomicU64,
    bytes_in: AtomicU64,
    bytes_polled: AtomicU64,
}

/// What [`Traffic`] has counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sessions begun.
    pub opened: u64,
    /// Sessions ended, by [`Ended::ALL`].
    pub ended: [u64; Ended::ALL.len()],
    /// Gauge: sessions that poll.
    pub polling: u64,
    /// Messages received, heartbeats aside.
    pub packets_in: u64,
    /// Their bytes, without framing; whole bodies for polling.
    pub bytes_in: u64,
    /// Bytes of the bodies that answered polls.
    pub bytes_polled: u64,
}

impl Totals {
    /// Gauge: open sessions.
    pub fn open(&self) -> u64 {
        self.opened.saturating_sub(self.ended.iter().sum())
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Traffic {
    /// Reads all counters. A session that ends meanwhile may be missed until the next time.
    pub fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // Ends before beginnings: nothing has ended that has not begun.
        let ended = self.0.ended.each_ref().map(read);
        let stopped_polling = read(&self.0.stopped_polling);
        Totals {
            opened: read(&self.0.opened),
            ended,
            polling: read(&self.0.began_polling).saturating_sub(stopped_polling),
            packets_in: read(&self.0.packets_in),
            bytes_in: read(&self.0.bytes_in),
            bytes_polled: read(&self.0.bytes_polled),
        }
    }

    /// A session has begun as a WebSocket.
    pub(super) fn opened(&self) {
        add(&self.0.opened, 1);
    }

    /// A session has begun with polling.
    pub(super) fn opened_polling(&self) {
        add(&self.0.opened, 1);
        add(&self.0.began_polling, 1);
    }

    /// A session polls no more: it ended or changed its transport.
    pub(super) fn stopped_polling(&self) {
        add(&self.0.stopped_polling, 1);
    }

    /// A session has ended.
    pub(super) fn ended(&self, reason: CloseReason) {
        self.0.ended(reason);
    }

    /// Messages of one read.
    pub(super) fn took(&self, messages: &[Message]) {
        let (mut packets, mut bytes) = (0, 0);
        for message in messages {
            let size = match message {
                Message::Text(text) if text.starts_with('4') => text.len() - 1,
                Message::Binary(data) => data.len(),
                Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Close { .. } => {
                    continue;
                }
            };
            packets += 1;
            bytes += size as u64;
        }
        self.received(packets, bytes);
    }

    /// Packets of one body.
    pub(super) fn received(&self, packets: u64, bytes: u64) {
        if packets > 0 {
            add(&self.0.packets_in, packets);
            add(&self.0.bytes_in, bytes);
        }
    }

    /// The body that answered a poll.
    pub(super) fn polled(&self, bytes: usize) {
        add(&self.0.bytes_polled, bytes as u64);
    }

    /// Hears of the end of sessions that nobody else wants to hear of.
    pub(super) fn events(&self) -> Arc<dyn SessionEvents> {
        Arc::clone(&self.0) as _
    }
}

impl Counters {
    fn ended(&self, reason: CloseReason) {
        let ended = Ended::from(reason);
        let at = Ended::ALL.iter().position(|other| *other == ended);
        if let Some(counter) = at.and_then(|at| self.ended.get(at)) {
            add(counter, 1);
        }
    }
}

impl SessionEvents for Counters {
    fn closed(&self, _id: SessionId, reason: CloseReason) {
        self.ended(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_counted_from_beginning_to_end() {
        let traffic = Traffic::default();
        traffic.opened();
        traffic.opened_polling();
        traffic.opened_polling();
        let before = traffic.totals();
        assert_eq!((before.open(), before.polling), (3, 2));
        traffic.stopped_polling();
        traffic.events().closed(
            SessionId { shard: 0, slot: 0, generation: 0 },
            CloseReason::Named("transport close"),
        );
        let after = traffic.totals();
        assert_eq!((after.opened, after.open(), after.polling), (3, 2, 1));
        assert_eq!(after.ended.iter().sum::<u64>(), 1);
    }

    #[test]
    fn heartbeats_and_control_frames_are_no_traffic() {
        let traffic = Traffic::default();
        traffic.took(&[
            Message::Text("3".to_owned()),
            Message::Ping(bytes::Bytes::new()),
            Message::Text("42[\"a\"]".to_owned()),
            Message::Binary(bytes::Bytes::from_static(b"12345")),
        ]);
        let totals = traffic.totals();
        assert_eq!((totals.packets_in, totals.bytes_in), (2, 11));
    }

    #[test]
    fn reasons_are_spelled_as_engine_io_spells_them() {
        for (reason, text) in [
            (CloseReason::PeerGone, "transport close"),
            (CloseReason::PingTimeout, "ping timeout"),
            (CloseReason::LinkFailed, "transport error"),
            (CloseReason::PollOverlap, "transport error"),
            (CloseReason::HubStopped, "server shutting down"),
            (CloseReason::Named("server shutting down"), "server shutting down"),
            (CloseReason::Named("transport close"), "transport close"),
            (CloseReason::Named("signed out"), "forced close"),
            (CloseReason::SlowConsumer, "slow consumer"),
        ] {
            assert_eq!(Ended::from(reason).as_str(), text, "{reason:?}");
        }
    }
}
