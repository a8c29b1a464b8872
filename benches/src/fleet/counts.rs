//! What a fleet counts while it runs.

use std::ops::Range;

use crate::tally::Histogram;
use crate::wire;

struct Sent {
    at_ns: u64,
    room: u32,
    answered: bool,
}

/// Deliveries that went wrong.
#[derive(Clone, Copy, Default)]
pub(crate) struct Verdict {
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
    pub(crate) acks_lost: u64,
}

pub(crate) struct Counts {
    pub(crate) acknowledged: bool,
    /// By acknowledgement id.
    sent: Vec<Sent>,
    sent_per_room: Vec<u64>,
    acked_per_room: Vec<u64>,
    pub(crate) acked: u64,
    pub(crate) refused: u64,
    acked_twice: u64,
    /// Messages delivered, the same one to the same client counted once.
    pub(crate) received_distinct: u64,
    /// Messages delivered and octets of their frames.
    pub(crate) deliveries: u64,
    pub(crate) delivered_bytes: u64,
    /// Reads that brought at least one message.
    pub(crate) delivering_reads: u64,
    /// Messages that reached a client of another room.
    pub(crate) misdirected: u64,
    pub(crate) ready: usize,
    pub(crate) closed: u64,
    pub(crate) first_trouble: Option<String>,
    /// Latencies are recorded for messages sent within.
    pub(crate) window_ns: Range<u64>,
    pub(crate) delivery_latency: Histogram,
    pub(crate) ack_latency: Histogram,
    pub(crate) connect_latency: Histogram,
    /// Clients whose message was acknowledged, for those who want to send the next one.
    pub(crate) freed: Vec<u32>,
    pub(crate) keep_freed: bool,
}

impl Counts {
    pub(crate) fn new(rooms: usize, acknowledged: bool) -> Self {
        Self {
            acknowledged,
            sent: Vec::new(),
            sent_per_room: vec![0; rooms],
            acked_per_room: vec![0; rooms],
            acked: 0,
            refused: 0,
            acked_twice: 0,
            received_distinct: 0,
            deliveries: 0,
            delivered_bytes: 0,
            delivering_reads: 0,
            misdirected: 0,
            ready: 0,
            closed: 0,
            first_trouble: None,
            window_ns: 0..0,
            delivery_latency: Histogram::default(),
            ack_latency: Histogram::default(),
            connect_latency: Histogram::default(),
            freed: Vec::new(),
            keep_freed: false,
        }
    }

    /// Counts a message as sent and gives it an acknowledgement id.
    pub(crate) fn note_sent(&mut self, at_ns: u64, room: u32) -> u64 {
        self.sent.push(Sent { at_ns, room, answered: false });
        if let Some(count) = self.sent_per_room.get_mut(room as usize) {
            *count += 1;
        }
        self.sent.len() as u64 - 1
    }

    /// Messages sent to a room.
    pub(crate) fn sent_to(&self, room: u32) -> u64 {
        self.sent_per_room.get(room as usize).copied().unwrap_or(0)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.len() as u64
    }

    /// Messages sent and neither acknowledged nor refused.
    pub(crate) fn unanswered(&self) -> u64 {
        self.sent().saturating_sub(self.acked + self.refused)
    }

    /// Messages that each receiver of a room must have got, by room.
    pub(crate) fn expected(&self) -> impl Iterator<Item = u64> {
        let expected = if self.acknowledged { &self.acked_per_room } else { &self.sent_per_room };
        expected.iter().copied()
    }

    /// Takes the text after `43`: `<id>[{"success":true,…}]`.
    pub(crate) fn note_answer(&mut self, client: u32, text: &[u8], now_ns: u64) {
        let Some((id, _)) = wire::digits(text) else { return };
        let is_ok = memchr::memmem::find(text, b"\"success\":true").is_some();
        self.note_result(client, id, if is_ok { Ok(()) } else { Err(text) }, now_ns);
    }

    /// Takes what became of a message; an error shows what was said.
    pub(crate) fn note_result(
        &mut self,
        client: u32,
        id: u64,
        result: Result<(), &[u8]>,
        now_ns: u64,
    ) {
        let Some(sent) = self.sent.get_mut(id as usize) else { return };
        if std::mem::replace(&mut sent.answered, true) {
            self.acked_twice += 1;
            return;
        }
        if self.keep_freed {
            self.freed.push(client);
        }
        if let Err(text) = result {
            self.refused += 1;
            return note_trouble(&mut self.first_trouble, "message refused", text);
        }
        self.acked += 1;
        if let Some(count) = self.acked_per_room.get_mut(sent.room as usize) {
            *count += 1;
        }
        if self.window_ns.contains(&sent.at_ns) {
            self.ack_latency.record(now_ns.saturating_sub(sent.at_ns));
        }
    }

    pub(crate) fn note_delivery(&mut self, sent_ns: u64, now_ns: u64, bytes: usize) {
        self.deliveries += 1;
        self.delivered_bytes += bytes as u64;
        if self.window_ns.contains(&sent_ns) {
            self.delivery_latency.record(now_ns.saturating_sub(sent_ns));
        }
    }

    pub(crate) fn trouble(&mut self, what: &str, text: &[u8]) {
        note_trouble(&mut self.first_trouble, what, text);
    }

    /// What else went wrong, for the notes; `None` if nothing.
    pub(crate) fn remarks(&self) -> Option<String> {
        let counts = [
            ("refused", self.refused),
            ("acknowledged twice", self.acked_twice),
            ("misdirected", self.misdirected),
            ("connections closed", self.closed),
        ];
        let said: Vec<String> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name}: {count}"))
            .collect();
        let trouble = self.first_trouble.as_deref().unwrap_or("");
        (!said.is_empty()).then(|| format!("{} ({trouble})", said.join(", ")))
    }
}

fn note_trouble(first: &mut Option<String>, what: &str, text: &[u8]) {
    if first.is_none() {
        let shown = text.get(..300).unwrap_or(text);
        *first = Some(format!("{what}: {}", String::from_utf8_lossy(shown)));
    }
}
