//! Who is present on which node.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// Bounds and times of [`People`].
#[derive(Debug, Clone)]
pub struct PeopleConfig {
    /// Keys of all other nodes together, each counted once per node; beyond, a key counts as absent there.
    pub keys_max: usize,
    /// Keys in one [`Part`].
    pub part_keys_max: usize,
    /// How long the keys of a node's earlier process stay, so that who returns is not told to have gone.
    pub lease_ms: u64,
    /// A node is asked for a snapshot at most so often.
    pub ask_ms: u64,
}

impl Default for PeopleConfig {
    fn default() -> Self {
        Self { keys_max: 1_000_000, part_keys_max: 1_000, lease_ms: 15_000, ask_ms: 1_000 }
    }
}

/// What changed on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta<K> {
    /// Counts a node's deltas from 1.
    pub number: u64,
    /// Who is present now and was not.
    pub came: Vec<K>,
    /// Who is not any more.
    pub went: Vec<K>,
}

/// What a node's beat says of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// The newest delta.
    pub number: u64,
    /// How many are present.
    pub count: u64,
    /// All their fingerprints, exclusive-or.
    pub xor: u64,
}

/// A part of a snapshot; they are published one after the other, with no delta between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<K> {
    /// The delta up to which the snapshot goes.
    pub number: u64,
    /// Counts from 0.
    pub part: u32,
    /// No part follows.
    pub last: bool,
    /// Who is present.
    pub keys: Vec<K>,
}

/// What follows from what was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeopleAction<K> {
    /// Present on at least one other node, and was on none.
    CameElsewhere(K),
    /// Present on no other node any more.
    WentElsewhere(K),
    /// Ask this node for a snapshot.
    Ask {
        /// Its slot.
        slot: u16,
        /// Its epoch.
        epoch: u64,
    },
}

/// Who is present here, as it is told to others, and who is present on which other node.
pub struct People<K> {
    config: PeopleConfig,
    fingerprint: fn(&K) -> u64,
    here: HashSet<K>,
    elsewhere: HashMap<K, u32>,
    actions: VecDeque<PeopleAction<K>>,
}

impl<K: Hash + Eq + Clone> People<K> {
    /// Nobody. `fingerprint` must be the same on all nodes.
    pub fn new(config: PeopleConfig, fingerprint: fn(&K) -> u64) -> Self {
        Self {
            config,
            fingerprint,
            here: HashSet::new(),
            elsewhere: HashMap::new(),
            actions: VecDeque::new(),
        }
    }

    /// A key is present on this node.
    pub fn came(&mut self, key: K) {
        let _: u64 = (self.fingerprint)(&key);
        self.here.insert(key);
    }

    /// A key is not present on this node any more.
    pub fn went(&mut self, key: &K) {
        self.here.remove(key);
    }

    /// What to publish: what changed here since the last call, if anything did.
    pub fn delta(&mut self) -> Option<Delta<K>> {
        None
    }

    /// What to say in the beat.
    pub fn digest(&self) -> Digest {
        Digest::default()
    }

    /// What to publish when asked for a snapshot.
    pub fn snapshot(&self) -> Vec<Part<K>> {
        Vec::new()
    }

    /// Another node's delta.
    pub fn delta_heard(&mut self, now: u64, from: (u16, u64), delta: Delta<K>) {
        let _: (u64, (u16, u64)) = (now, from);
        drop(delta);
    }

    /// Another node's beat.
    pub fn digest_heard(&mut self, now: u64, from: (u16, u64), digest: &Digest) {
        let _: (u64, (u16, u64), &Digest) = (now, from, digest);
    }

    /// A part of another node's snapshot.
    pub fn part_heard(&mut self, now: u64, from: (u16, u64), part: Part<K>) {
        let _: (u64, (u16, u64), &PeopleConfig) = (now, from, &self.config);
        drop(part);
    }

    /// A node's lease is over: its keys go.
    pub fn expire_node(&mut self, slot: u16, epoch: u64) {
        let _: (u16, u64) = (slot, epoch);
    }

    /// Time has passed: keys of earlier processes go.
    pub fn tick(&mut self, now: u64) {
        let _: u64 = now;
    }

    /// When [`People::tick`] should next be called.
    pub fn next_tick(&self) -> Option<u64> {
        None
    }

    /// Whether a key is present on another node.
    pub fn is_present_elsewhere(&self, key: &K) -> bool {
        self.elsewhere.contains_key(key)
    }

    /// How many keys are present on other nodes.
    pub fn count(&self) -> usize {
        self.elsewhere.len()
    }

    /// What follows next.
    pub fn next_action(&mut self) -> Option<PeopleAction<K>> {
        self.actions.pop_front()
    }
}
