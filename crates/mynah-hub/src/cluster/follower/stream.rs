//! One stream, and all of them.

use std::collections::{BTreeMap, HashMap};

use crate::cluster::fingerprint;
use crate::{TimerKey, Topic};

/// A stream that is followed.
pub(super) struct Stream<E> {
    pub(super) name: Topic,
    fingerprint: u64,
    pub(super) phase: Phase,
    pub(super) settled: Settled,
    pub(super) is_wanted: bool,
    /// Up to here all is delivered, or known to those who ask the store.
    pub(super) delivered: u64,
    /// Up to here there is something, as far as was heard.
    pub(super) target: u64,
    /// Up to here it must be read, as it is not on its way.
    pub(super) urgent: u64,
    pub(super) waiting: Option<Box<Waiting<E>>>,
    pub(super) heads: Ask,
    pub(super) read: Ask,
    /// The wait after the last failure; 0 after success.
    pub(super) backoff_ms: u64,
    /// Answers in a row that knew less than was heard.
    pub(super) misses: u8,
    /// When to read.
    pub(super) read_timer: Option<TimerKey>,
    /// When to give up settling, or to follow no more.
    pub(super) life_timer: Option<TimerKey>,
    /// The comparison that this stream was last part of, and is done with.
    pub(super) compared: u64,
    pub(super) comparing: Comparing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// The broker has not answered.
    Subscribing,
    /// The store has not.
    Asking,
    /// In order from `delivered` on.
    Live,
}

/// Whether those who wait for the stream may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Settled {
    No,
    /// They were told, though the head is not known.
    Blind,
    Yes,
}

/// A question to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ask {
    Idle,
    Queued,
    Out,
    /// Under way, and to be asked again, as the answer may be older than the question.
    OutAgain,
}

/// Where a stream is in the comparison under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparing {
    No,
    /// The next answer counts.
    Asked,
    /// The answer after the next.
    AskedAgain,
    /// All up to here must be delivered.
    Behind(u64),
}

/// What cannot be delivered yet.
pub(super) struct Waiting<E> {
    pub(super) items: BTreeMap<u64, Held<E>>,
    /// What was heard and not kept; at most one per origin.
    pub(super) missing: Vec<Missing>,
}

pub(super) struct Held<E> {
    pub(super) origin: u16,
    pub(super) pos: u64,
    pub(super) floor: u64,
    pub(super) since: u64,
    pub(super) is_own: bool,
    /// `None`: to be read.
    pub(super) event: Option<E>,
}

/// Events of an origin up to `until` that must be read.
pub(super) struct Missing {
    pub(super) origin: u16,
    pub(super) floor: u64,
    pub(super) until: u64,
}

impl<E> Default for Waiting<E> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), missing: Vec::new() }
    }
}

impl<E> Stream<E> {
    pub(super) fn is_behind(&self) -> bool {
        self.target > self.delivered
    }

    /// When the event arrived that waits longest.
    pub(super) fn waits_since(&self) -> Option<u64> {
        self.waiting.as_ref()?.items.values().map(|held| held.since).min()
    }

    /// How many events lie before the first that need not be read.
    pub(super) fn gap(&self) -> Option<u64> {
        let items = &self.waiting.as_ref()?.items;
        let (seq, _) = items.iter().find(|(_, held)| held.event.is_some())?;
        Some(seq.saturating_sub(self.delivered).saturating_sub(1))
    }
}

/// Streams by number, name and fingerprint.
pub(super) struct Streams<E> {
    slots: Vec<Option<Stream<E>>>,
    vacant: Vec<u32>,
    names: HashMap<Topic, u32>,
    fingerprints: HashMap<u64, u32>,
    /// Streams whose fingerprint another one had already.
    twins: Vec<(u64, u32)>,
}

impl<E> Streams<E> {
    pub(super) fn new() -> Self {
        Self {
            slots: Vec::new(),
            vacant: Vec::new(),
            names: HashMap::new(),
            fingerprints: HashMap::new(),
            twins: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// One more than the highest number.
    pub(super) fn end(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(super) fn find(&self, name: &Topic) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// Calls `each` with every stream of this fingerprint.
    pub(super) fn with_fingerprint(&self, print: u64) -> impl Iterator<Item = u32> + use<E> {
        let first = self.fingerprints.get(&print).copied();
        let twins: Vec<u32> =
            self.twins.iter().filter(|twin| twin.0 == print).map(|twin| twin.1).collect();
        first.into_iter().chain(twins)
    }

    pub(super) fn get(&self, index: u32) -> Option<&Stream<E>> {
        self.slots.get(index as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Stream<E>> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    /// A stream that is not there yet.
    pub(super) fn insert(&mut self, name: &Topic, compared: u64) -> u32 {
        let fingerprint = fingerprint(name.as_str());
        let stream = Stream {
            name: name.clone(),
            fingerprint,
            phase: Phase::Subscribing,
            settled: Settled::No,
            is_wanted: true,
            delivered: 0,
            target: 0,
            urgent: 0,
            waiting: None,
            heads: Ask::Idle,
            read: Ask::Idle,
            backoff_ms: 0,
            misses: 0,
            read_timer: None,
            life_timer: None,
            compared,
            comparing: Comparing::No,
        };
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = Some(stream);
        }
        self.names.insert(name.clone(), index);
        if *self.fingerprints.entry(fingerprint).or_insert(index) != index {
            self.twins.push((fingerprint, index));
        }
        index
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Stream<E>> {
        let stream = self.slots.get_mut(index as usize)?.take()?;
        self.vacant.push(index);
        self.names.remove(&stream.name);
        if self.fingerprints.get(&stream.fingerprint) == Some(&index) {
            self.fingerprints.remove(&stream.fingerprint);
            // A twin moves up.
            if let Some(twin) = self.twins.iter().position(|twin| twin.0 == stream.fingerprint) {
                let (fingerprint, index) = self.twins.swap_remove(twin);
                self.fingerprints.insert(fingerprint, index);
            }
        } else {
            self.twins.retain(|twin| twin.1 != index);
        }
        Some(stream)
    }
}
