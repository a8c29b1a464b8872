//! What senders were told: every acknowledgement, when it came and by which node.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

/// What an acknowledgement says of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) number: u64,
    pub(crate) created_at: String,
}

impl Ack {
    /// Reads a message as REST and Socket.IO render it.
    pub(crate) fn read(message: &Value) -> Option<Self> {
        let text = |name: &str| Some(message.get(name)?.as_str()?.to_owned());
        let number = |name: &str| message.get(name)?.as_u64();
        Some(Self {
            id: text("id")?,
            seq: number("seq")?,
            number: number("number")?,
            created_at: text("createdAt")?,
        })
    }
}

/// One message that somebody wanted to send.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) client_id: String,
    pub(crate) room: usize,
    pub(crate) sender: usize,
    /// Rises with each new message of the sender.
    pub(crate) turn: u64,
}

/// A draft that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acked {
    pub(crate) draft: Draft,
    pub(crate) ack: Ack,
    /// When the try began that was acknowledged first.
    pub(crate) asked: Instant,
    pub(crate) at: Instant,
}

#[derive(Default)]
struct Book {
    acked: HashMap<String, Acked>,
    conflicts: Vec<String>,
    refusals: BTreeMap<String, u64>,
    /// When each node last acknowledged.
    by_node: HashMap<usize, Instant>,
    last: Option<Instant>,
    longest: Duration,
    repeats: u64,
    given_up: u64,
}

/// The log of acknowledgements of a row; all senders write into it.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Book>);

impl Ledger {
    /// Notes an acknowledgement by a node of a try that began at a moment; one that contradicts an earlier one is a
    /// conflict.
    pub(crate) fn note(&self, draft: &Draft, ack: Ack, (node, asked): (usize, Instant)) {
        let now = Instant::now();
        let mut book = self.0.lock();
        if let Some(last) = book.last {
            book.longest = book.longest.max(now - last);
        }
        book.last = Some(now);
        book.by_node.insert(node, now);
        match book.acked.get(&draft.client_id) {
            None => {
                let acked = Acked { draft: draft.clone(), ack, asked, at: now };
                book.acked.insert(draft.client_id.clone(), acked);
            }
            Some(earlier) if earlier.ack == ack => book.repeats += 1,
            Some(earlier) => {
                let text = format!("{}: first {:?}, then {ack:?}", draft.client_id, earlier.ack);
                book.conflicts.push(text);
            }
        }
    }

    /// Counts a send that was not acknowledged this time.
    pub(crate) fn refused(&self, reason: &str) {
        *self.0.lock().refusals.entry(reason.to_owned()).or_default() += 1;
    }

    /// Counts a draft that was not acknowledged before its sender had to end.
    pub(crate) fn gave_up(&self) {
        self.0.lock().given_up += 1;
    }

    pub(crate) fn given_up(&self) -> u64 {
        self.0.lock().given_up
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().acked.len()
    }

    /// Repeats that were answered as the first time.
    pub(crate) fn repeats(&self) -> u64 {
        self.0.lock().repeats
    }

    /// Drafts acknowledged up to a moment by a try that began after another.
    pub(crate) fn count_asked(&self, after: Instant, to: Instant) -> usize {
        self.0.lock().acked.values().filter(|acked| acked.asked >= after && acked.at < to).count()
    }

    /// When a node last acknowledged anything.
    pub(crate) fn last_of(&self, node: usize) -> Option<Instant> {
        self.0.lock().by_node.get(&node).copied()
    }

    pub(crate) fn last(&self) -> Option<Instant> {
        self.0.lock().last
    }

    /// Longest time without any acknowledgement, up to now.
    pub(crate) fn longest_silence(&self) -> Duration {
        let book = self.0.lock();
        let open = book.last.map_or(Duration::ZERO, |last| last.elapsed());
        book.longest.max(open)
    }

    /// Begins to measure silences anew.
    pub(crate) fn mark(&self) {
        let mut book = self.0.lock();
        book.longest = Duration::ZERO;
        book.last = Some(Instant::now());
    }

    /// Highest acknowledged seq of each of `rooms` rooms.
    pub(crate) fn heads(&self, rooms: usize) -> Vec<u64> {
        let mut heads = vec![0; rooms];
        for acked in self.0.lock().acked.values() {
            if let Some(head) = heads.get_mut(acked.draft.room) {
                *head = acked.ack.seq.max(*head);
            }
        }
        heads
    }

    pub(crate) fn acked(&self) -> Vec<Acked> {
        self.0.lock().acked.values().cloned().collect()
    }

    pub(crate) fn conflicts(&self) -> Vec<String> {
        self.0.lock().conflicts.clone()
    }

    /// How often each kind of refusal or failure was met.
    pub(crate) fn refusals(&self) -> BTreeMap<String, u64> {
        self.0.lock().refusals.clone()
    }
}
