//! What the store has, beside what senders and listeners were told.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::http::Http;
use crate::ledger::{Ack, Ledger};
use crate::listen::{Habit, Listener, Notes};

const READ_LIMIT: Duration = Duration::from_secs(20);
const PAGE: u64 = 500;
const EXAMPLES_MAX: usize = 6;

/// One event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) seq: u64,
    /// The message and its client id, if the event made one.
    pub(crate) message: Option<(Ack, String)>,
}

/// All events of the rooms of a row, room by room.
pub(crate) type Log = Vec<Vec<Stored>>;

/// What was found wrong, and how much was right.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) acked: usize,
    pub(crate) stored: usize,
    pub(crate) heard: usize,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) out_of_order: u64,
    /// Told explicitly to read instead of being sent.
    pub(crate) told_to_read: usize,
    pub(crate) examples: Vec<String>,
}

impl Findings {
    fn lost(&mut self, text: impl FnOnce() -> String) {
        self.lost += 1;
        self.example("lost", text);
    }

    fn doubled(&mut self, text: impl FnOnce() -> String) {
        self.doubled += 1;
        self.example("doubled", text);
    }

    fn misplaced(&mut self, text: impl FnOnce() -> String) {
        self.out_of_order += 1;
        self.example("out of order", text);
    }

    fn example(&mut self, kind: &str, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            let text: String = text().chars().take(400).collect();
            self.examples.push(format!("{kind}: {text}"));
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.out_of_order == 0
    }
}

/// Reads the log of `rooms` through one node.
pub(crate) async fn read(node: SocketAddr, token: &str, rooms: &[String]) -> Result<Log> {
    let mut http = Http::new(node, token);
    let mut log = vec![Vec::new(); rooms.len()];
    let mut since = "0".to_owned();
    loop {
        let path = format!("/v1/sync?since={since}&limit={PAGE}");
        let page = http.call("GET", &path, None, READ_LIMIT).await?.ok("GET /v1/sync")?;
        let events = page.get("events").and_then(Value::as_array).context("no events")?;
        for event in events {
            let room = event.get("roomId").and_then(Value::as_str).unwrap_or_default();
            let index = rooms.iter().position(|id| id == room);
            if let Some(events) = index.and_then(|index| log.get_mut(index)) {
                events.push(stored(event).context("an event without seq")?);
            }
        }
        let next = page.get("next").and_then(Value::as_str).context("no next")?;
        if events.is_empty() || next == since {
            return Ok(log);
        }
        next.clone_into(&mut since);
    }
}

fn stored(event: &Value) -> Option<Stored> {
    let seq = event.get("seq")?.as_u64()?;
    let is_message = event.get("type")?.as_str()? == "message.created";
    let message = event.get("data").filter(|_| is_message).and_then(|data| {
        let client_id = data.get("clientId").and_then(Value::as_str).unwrap_or_default();
        Some((Ack::read(data)?, client_id.to_owned()))
    });
    Some(Stored { seq, message })
}

/// Compares acknowledgements and hearings with the log.
pub(crate) fn compare(log: &Log, ledger: &Ledger, listeners: &[Listener]) -> Findings {
    let mut findings = Findings::default();
    numbering(log, &mut findings);
    acknowledgements(log, ledger, &mut findings);
    for listener in listeners {
        let notes = listener.notes.lock().clone();
        let is_over = listener.habit == Habit::Stays && !notes.is_connected;
        hearing(log, (&listener.name, &notes, is_over), &mut findings);
    }
    findings
}

/// Seqs 1, 2, 3 … in every room, and the numbers of messages too; no client id twice.
fn numbering(log: &Log, findings: &mut Findings) {
    let mut client_ids = HashMap::new();
    for (index, events) in log.iter().enumerate() {
        let mut number = 0;
        for (place, event) in events.iter().enumerate() {
            if event.seq != place as u64 + 1 {
                findings
                    .misplaced(|| format!("room {index}: {} at place {}", event.seq, place + 1));
            }
            let Some((ack, client_id)) = &event.message else { continue };
            findings.stored += 1;
            number += 1;
            if ack.number != number || ack.seq != event.seq {
                findings.misplaced(|| format!("room {index}: {ack:?} is message {number}"));
            }
            // What the suite itself says now and then has no client id.
            let is_named = !client_id.is_empty();
            if let Some(earlier) = client_ids.insert(client_id, ack).filter(|_| is_named) {
                findings.doubled(|| format!("{client_id} is {earlier:?} and {ack:?}"));
            }
        }
    }
}

/// Everything acknowledged is stored as it was acknowledged, in the sender's order, and was never answered otherwise.
fn acknowledgements(log: &Log, ledger: &Ledger, findings: &mut Findings) {
    let messages = log.iter().flatten().filter_map(|event| event.message.as_ref());
    let by_client_id: HashMap<&str, &Ack> =
        messages.map(|(ack, client_id)| (client_id.as_str(), ack)).collect();
    let mut turns: BTreeMap<(usize, usize, u64), u64> = BTreeMap::new();
    let acked = ledger.acked();
    findings.acked = acked.len();
    for acked in &acked {
        let draft = &acked.draft;
        match by_client_id.get(draft.client_id.as_str()) {
            Some(stored) if **stored == acked.ack => {
                turns.insert((draft.sender, draft.room, draft.turn), acked.ack.seq);
            }
            Some(stored) => findings.lost(|| format!("acked {acked:?}, stored {stored:?}")),
            None => findings.lost(|| format!("acked {acked:?}, not stored")),
        }
    }
    let mut previous: Option<((usize, usize, u64), u64)> = None;
    for (key, seq) in turns {
        if let Some((earlier, earlier_seq)) = previous
            && (earlier.0, earlier.1) == (key.0, key.1)
            && earlier_seq > seq
        {
            findings.misplaced(|| format!("sender {}: turn {} before {}", key.0, key.2, earlier.2));
        }
        previous = Some((key, seq));
    }
    for conflict in ledger.conflicts() {
        findings.doubled(|| format!("two answers for {conflict}"));
    }
}

/// A listener's list is the store's; of one that is over, because it left for good, it is the beginning of it.
fn hearing(log: &Log, (name, notes, is_over): (&str, &Notes, bool), findings: &mut Findings) {
    findings.doubled += notes.doubled;
    findings.out_of_order += notes.misplaced;
    for example in notes.examples.iter().take(2) {
        findings.example("heard", || example.clone());
    }
    if notes.connections == 0 {
        return;
    }
    for (index, (events, room)) in log.iter().zip(&notes.rooms).enumerate() {
        findings.told_to_read += room.told_to_read.len();
        let heard: HashMap<u64, &Option<String>> =
            room.items.iter().map(|item| (item.seq, &item.message)).collect();
        findings.heard += heard.len();
        for event in events.iter().filter(|event| event.seq > room.base) {
            if is_over && event.seq > room.last {
                break;
            }
            let told = |(from, to): &(u64, u64)| event.seq > *from && event.seq <= *to;
            if room.told_to_read.iter().any(told) {
                continue;
            }
            let message = event.message.as_ref().map(|(ack, _)| &ack.id);
            match heard.get(&event.seq) {
                Some(heard) if heard.as_ref() == message => {}
                Some(heard) => {
                    findings.lost(|| format!("{name} heard {heard:?} as {event:?}"));
                }
                None => findings.lost(|| {
                    let end = &notes.last_end;
                    let (base, last) = (room.base, room.last);
                    format!(
                        "{name} never heard {} in room {index} ({base} to {last}, {end})",
                        event.seq
                    )
                }),
            }
        }
        let beyond = room.items.iter().filter(|item| item.seq > events.len() as u64).count();
        if beyond > 0 {
            findings.lost(|| format!("{name} heard {beyond} events that are not stored"));
        }
    }
}
