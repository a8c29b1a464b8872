//! From counters that only grow to what happened in each second.

use std::collections::VecDeque;

use mynah_hub::HubStats;
use serde::Serialize;

use crate::engine_io::{Ended, Totals};

/// How long unsent figures are kept, in milliseconds: as far back as the official UI looks.
const KEPT_MS: i64 = 10 * 60 * 1_000;

/// What happened in one second:
/// `{"timestamp":1795255200000,"type":"rawDisconnection","subType":"ping timeout","count":2}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AggregatedEvent {
    /// Beginning of the second, in milliseconds since 1970.
    pub(super) timestamp: i64,
    /// `rawConnection`, `rawDisconnection`, `packetsIn`, `packetsOut`, `bytesIn` or `bytesOut`.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Why sessions ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub_type: Option<&'static str>,
    /// How many.
    pub(super) count: u64,
}

/// All counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    opened: u64,
    ended: [u64; Ended::ALL.len()],
    packets_in: u64,
    packets_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl Reading {
    pub(super) fn of(totals: &Totals, hub: &HubStats) -> Self {
        Self {
            opened: totals.opened,
            ended: totals.ended,
            packets_in: totals.packets_in,
            // Heartbeats are no traffic, as in engine.io.
            packets_out: hub.deliveries.saturating_sub(hub.probes),
            bytes_in: totals.bytes_in,
            bytes_out: hub.bytes_written + totals.bytes_polled,
        }
    }

    /// What happened since an earlier reading.
    fn since(
        &self,
        earlier: &Self,
    ) -> impl Iterator<Item = (&'static str, Option<&'static str>, u64)> {
        let grown = |now: u64, then: u64| now.saturating_sub(then);
        let plain = [
            ("rawConnection", grown(self.opened, earlier.opened)),
            ("packetsIn", grown(self.packets_in, earlier.packets_in)),
            ("packetsOut", grown(self.packets_out, earlier.packets_out)),
            ("bytesIn", grown(self.bytes_in, earlier.bytes_in)),
            ("bytesOut", grown(self.bytes_out, earlier.bytes_out)),
        ];
        let reasons = Ended::ALL.map(|ended| Some(ended.as_str()));
        let ended = reasons.into_iter().zip(self.ended.into_iter().zip(earlier.ended));
        let ended =
            ended.map(move |(why, (now, then))| ("rawDisconnection", why, grown(now, then)));
        plain.into_iter().map(|(kind, count)| (kind, None, count)).chain(ended)
    }
}

/// What happened and was not sent yet.
#[derive(Debug, Default)]
pub(super) struct Tally {
    last: Reading,
    unsent: VecDeque<AggregatedEvent>,
}

impl Tally {
    /// Begins anew: what happened before nobody saw, and nobody knows in which second it was.
    pub(super) fn restart(&mut self, reading: Reading) {
        *self = Self { last: reading, unsent: VecDeque::new() };
    }

    /// Notes what happened in the second that began at `timestamp`.
    pub(super) fn note(&mut self, timestamp: i64, reading: Reading) {
        let new = reading.since(&self.last).filter(|(_, _, count)| *count > 0);
        self.unsent.extend(new.map(|(kind, sub_type, count)| AggregatedEvent {
            timestamp,
            kind,
            sub_type,
            count,
        }));
        self.last = reading;
        while self.unsent.front().is_some_and(|event| event.timestamp < timestamp - KEPT_MS) {
            self.unsent.pop_front();
        }
    }

    /// Everything that was not taken before: the official UI adds up what it is sent.
    pub(super) fn take(&mut self) -> Vec<AggregatedEvent> {
        std::mem::take(&mut self.unsent).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(opened: u64, bytes_in: u64) -> Reading {
        Reading { opened, bytes_in, ..Reading::default() }
    }

    fn shown(events: &[AggregatedEvent]) -> Vec<(i64, &str, u64)> {
        events.iter().map(|event| (event.timestamp, event.kind, event.count)).collect()
    }

    #[test]
    fn each_second_has_its_own_counts_and_each_is_sent_once() {
        let mut tally = Tally::default();
        tally.restart(reading(5, 100));
        tally.note(1_000, reading(7, 100));
        tally.note(2_000, reading(7, 100));
        tally.note(3_000, reading(8, 150));
        let expected =
            [(1_000, "rawConnection", 2), (3_000, "rawConnection", 1), (3_000, "bytesIn", 50)];
        assert_eq!(shown(&tally.take()), expected);
        assert_eq!(tally.take(), []);
    }

    #[test]
    fn ends_are_told_apart_by_their_reason() {
        let mut tally = Tally::default();
        let mut ended = [0; Ended::ALL.len()];
        ended[Ended::ALL.iter().position(|e| *e == Ended::PingTimeout).unwrap()] = 3;
        tally.note(1_000, Reading { ended, ..Reading::default() });
        let json = serde_json::to_value(tally.take()).unwrap();
        let expected = serde_json::json!([
            {"timestamp": 1_000, "type": "rawDisconnection", "subType": "ping timeout", "count": 3}
        ]);
        assert_eq!(json, expected);
    }

    #[test]
    fn heartbeats_are_not_counted_and_polls_are() {
        let hub = HubStats { deliveries: 10, probes: 4, bytes_written: 500, ..HubStats::default() };
        let totals = Totals { bytes_polled: 70, ..Totals::default() };
        let reading = Reading::of(&totals, &hub);
        assert_eq!((reading.packets_out, reading.bytes_out), (6, 570));
    }

    #[test]
    fn nothing_is_kept_for_longer_than_ten_minutes() {
        let mut tally = Tally::default();
        for second in 0..3_600 {
            tally.note(second * 1_000, reading(second as u64 + 1, 0));
        }
        assert!(tally.take().len() <= 601);
    }
}
