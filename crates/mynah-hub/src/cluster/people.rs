//! Who is present on which node.
//!
//! Each node tells what changed, in numbered deltas, and in its beat the number of the last one with a digest
//! of all its keys. Who missed one notices by either, and asks for all keys. What is told here are changes of
//! the whole: a key that is present on two other nodes comes once, and one that a cut hid for a while does
//! not go. A delta costs as much as it has keys, however many are online.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;

/// Bounds and times of [`People`].
#[derive(Debug, Clone)]
pub struct PeopleConfig {
    /// Keys of all other nodes together, each counted once per node; beyond, a key counts as absent there.
    pub keys_max: usize,
    /// Keys in one [`Delta`] or [`Part`].
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
    /// What was not told yet: `true` for those who came.
    changed: HashMap<K, bool>,
    told: Digest,
    /// On how many nodes each key is present.
    elsewhere: HashMap<K, u32>,
    /// By slot and epoch.
    nodes: BTreeMap<(u16, u64), View<K>>,
    /// Keys of all nodes.
    entries: usize,
    actions: VecDeque<PeopleAction<K>>,
}

/// The keys of another node.
struct View<K> {
    keys: HashSet<K>,
    number: u64,
    xor: u64,
    /// Nothing is missing, as far as is known.
    is_sure: bool,
    /// Not all of its keys found room.
    is_partial: bool,
    incoming: Option<Incoming<K>>,
    asked_at: Option<u64>,
    /// Another process has its slot: until then its keys stay.
    fades_at: Option<u64>,
}

/// A snapshot of which not all parts are there.
struct Incoming<K> {
    number: u64,
    next: u32,
    keys: HashSet<K>,
}

impl<K> Default for View<K> {
    fn default() -> Self {
        Self {
            keys: HashSet::new(),
            number: 0,
            xor: 0,
            is_sure: true,
            is_partial: false,
            incoming: None,
            asked_at: None,
            fades_at: None,
        }
    }
}

impl<K: Hash + Eq + Clone> People<K> {
    /// Nobody. `fingerprint` must be the same on all nodes.
    pub fn new(config: PeopleConfig, fingerprint: fn(&K) -> u64) -> Self {
        Self {
            config,
            fingerprint,
            here: HashSet::new(),
            changed: HashMap::new(),
            told: Digest::default(),
            elsewhere: HashMap::new(),
            nodes: BTreeMap::new(),
            entries: 0,
            actions: VecDeque::new(),
        }
    }

    /// A key is present on this node.
    pub fn came(&mut self, key: K) {
        if self.here.insert(key.clone()) {
            self.change(key, true);
        }
    }

    /// A key is not present on this node any more.
    pub fn went(&mut self, key: &K) {
        if let Some(key) = self.here.take(key) {
            self.change(key, false);
        }
    }

    fn change(&mut self, key: K, came: bool) {
        // Who came and went again was never told of.
        if self.changed.remove(&key).is_none() {
            self.changed.insert(key, came);
        }
    }

    /// What to publish: what changed here and was not told, up to [`PeopleConfig::part_keys_max`] keys. To be
    /// called until it gives none.
    pub fn delta(&mut self) -> Option<Delta<K>> {
        if self.changed.is_empty() {
            return None;
        }
        self.told.number += 1;
        let mut delta = Delta { number: self.told.number, came: Vec::new(), went: Vec::new() };
        let at_once = self.config.part_keys_max.max(1);
        let keys: Vec<K> = if self.changed.len() <= at_once {
            Vec::new()
        } else {
            self.changed.keys().take(at_once).cloned().collect()
        };
        let told: Vec<(K, bool)> = if keys.is_empty() {
            self.changed.drain().collect()
        } else {
            keys.into_iter().filter_map(|key| self.changed.remove_entry(&key)).collect()
        };
        for (key, came) in told {
            self.told.xor ^= (self.fingerprint)(&key);
            if came {
                self.told.count += 1;
                delta.came.push(key);
            } else {
                self.told.count -= 1;
                delta.went.push(key);
            }
        }
        Some(delta)
    }

    /// What to say in the beat.
    pub fn digest(&self) -> Digest {
        self.told
    }

    /// What to publish when asked for a snapshot: all parts, and no delta between them.
    pub fn snapshot(&self) -> Vec<Part<K>> {
        let here = self.here.iter().filter(|key| self.changed.get(key) != Some(&true));
        let gone = self.changed.iter().filter(|(_, came)| !**came).map(|(key, _)| key);
        let told: Vec<K> = here.chain(gone).cloned().collect();
        let number = self.told.number;
        let mut parts: Vec<Part<K>> = told
            .chunks(self.config.part_keys_max.max(1))
            .zip(0..)
            .map(|(keys, part)| Part { number, part, last: false, keys: keys.to_vec() })
            .collect();
        match parts.last_mut() {
            Some(part) => part.last = true,
            None => parts.push(Part { number, part: 0, last: true, keys: Vec::new() }),
        }
        parts
    }

    /// The view of a node, unless another process has taken its slot since. The one before that process fades.
    fn view(&mut self, now: u64, from: (u16, u64)) -> Option<&mut View<K>> {
        let (slot, epoch) = from;
        if !self.nodes.contains_key(&from) {
            if self.nodes.range((slot, epoch)..=(slot, u64::MAX)).next().is_some() {
                return None;
            }
            let fades_at = now + self.config.lease_ms;
            for (_, earlier) in self.nodes.range_mut((slot, 0)..(slot, epoch)) {
                earlier.fades_at.get_or_insert(fades_at);
            }
        }
        let view = self.nodes.entry(from).or_default();
        view.fades_at.is_none().then_some(view)
    }

    /// Another node's delta.
    pub fn delta_heard(&mut self, now: u64, from: (u16, u64), delta: Delta<K>) {
        let Some(view) = self.view(now, from) else { return };
        if delta.number <= view.number {
            return;
        }
        let is_next = delta.number == view.number + 1;
        view.number = delta.number;
        // What it was a snapshot of is over.
        view.incoming = None;
        for key in delta.went {
            self.leave(from, &key);
        }
        for key in delta.came {
            self.enter(from, key);
        }
        if !is_next {
            self.doubt(now, from);
        }
    }

    /// Another node's beat.
    pub fn digest_heard(&mut self, now: u64, from: (u16, u64), digest: &Digest) {
        let Some(view) = self.view(now, from) else { return };
        if digest.number < view.number {
            return;
        }
        let held = Digest { number: view.number, count: view.keys.len() as u64, xor: view.xor };
        if held == *digest {
            view.is_sure = true;
        } else if digest.number == view.number && view.is_partial {
            // It would not find room this time either.
        } else {
            self.doubt(now, from);
        }
    }

    fn doubt(&mut self, now: u64, from: (u16, u64)) {
        let ask_ms = self.config.ask_ms;
        let Some(view) = self.nodes.get_mut(&from) else { return };
        view.is_sure = false;
        if view.asked_at.is_none_or(|asked| now >= asked + ask_ms) {
            view.asked_at = Some(now);
            let (slot, epoch) = from;
            self.actions.push_back(PeopleAction::Ask { slot, epoch });
        }
    }

    /// A part of another node's snapshot, whoever asked for it.
    pub fn part_heard(&mut self, now: u64, from: (u16, u64), part: Part<K>) {
        let room = self.config.keys_max.saturating_sub(self.entries);
        let Some(view) = self.view(now, from) else { return };
        if part.number < view.number || (part.number == view.number && view.is_sure) {
            return;
        }
        let room = room + view.keys.len();
        if part.part == 0 {
            let (number, keys) = (part.number, HashSet::new());
            view.incoming = Some(Incoming { number, next: 0, keys });
        }
        let Some(incoming) = view.incoming.as_mut().filter(|it| it.number == part.number) else {
            return;
        };
        if part.part != incoming.next {
            // A repeated part does no harm; after a missing one the node is asked again.
            if part.part > incoming.next {
                view.incoming = None;
            }
            return;
        }
        incoming.next += 1;
        let left = room.saturating_sub(incoming.keys.len());
        let is_partial = part.keys.len() > left;
        incoming.keys.extend(part.keys.into_iter().take(left));
        view.is_partial = (view.is_partial && part.part > 0) || is_partial;
        if part.last
            && let Some(whole) = view.incoming.take()
        {
            (view.number, view.is_sure) = (whole.number, true);
            self.replace(from, whole.keys);
        }
    }

    /// Only real differences are told.
    fn replace(&mut self, from: (u16, u64), keys: HashSet<K>) {
        let Some(view) = self.nodes.get(&from) else { return };
        let gone: Vec<K> = view.keys.difference(&keys).cloned().collect();
        for key in gone {
            self.leave(from, &key);
        }
        for key in keys {
            self.enter(from, key);
        }
    }

    fn enter(&mut self, from: (u16, u64), key: K) {
        let Some(view) = self.nodes.get_mut(&from) else { return };
        if view.keys.contains(&key) {
            return;
        }
        if self.entries >= self.config.keys_max {
            view.is_partial = true;
            return;
        }
        self.entries += 1;
        view.xor ^= (self.fingerprint)(&key);
        view.keys.insert(key.clone());
        let nodes = self.elsewhere.entry(key.clone()).or_default();
        *nodes += 1;
        if *nodes == 1 {
            self.actions.push_back(PeopleAction::CameElsewhere(key));
        }
    }

    fn leave(&mut self, from: (u16, u64), key: &K) {
        let Some(view) = self.nodes.get_mut(&from) else { return };
        if view.keys.remove(key) {
            view.xor ^= (self.fingerprint)(key);
            self.left(key);
        }
    }

    /// A key is present on one node less.
    fn left(&mut self, key: &K) {
        self.entries -= 1;
        let Some(nodes) = self.elsewhere.get_mut(key) else { return };
        *nodes -= 1;
        if *nodes == 0
            && let Some((key, _)) = self.elsewhere.remove_entry(key)
        {
            self.actions.push_back(PeopleAction::WentElsewhere(key));
        }
    }

    /// A node's lease is over: its keys go, and those of the processes before it.
    pub fn expire_node(&mut self, slot: u16, epoch: u64) {
        while let Some((&from, _)) = self.nodes.range((slot, 0)..=(slot, epoch)).next() {
            self.forget(from);
        }
    }

    fn forget(&mut self, from: (u16, u64)) {
        let Some(view) = self.nodes.remove(&from) else { return };
        for key in view.keys {
            self.left(&key);
        }
    }

    /// Time has passed: keys of earlier processes go.
    pub fn tick(&mut self, now: u64) {
        let is_over = |view: &View<K>| view.fades_at.is_some_and(|at| at <= now);
        while let Some((&from, _)) = self.nodes.iter().find(|(_, view)| is_over(view)) {
            self.forget(from);
        }
    }

    /// When [`People::tick`] should next be called.
    pub fn next_tick(&self) -> Option<u64> {
        self.nodes.values().filter_map(|view| view.fades_at).min()
    }

    /// Whether a key is present on another node.
    pub fn is_present_elsewhere(&self, key: &K) -> bool {
        self.elsewhere.contains_key(key)
    }

    /// How many keys are present on other nodes.
    pub fn count(&self) -> usize {
        self.elsewhere.len()
    }

    /// What follows next. To be taken until it gives none, before more is heard: only that bounds what
    /// waits here.
    pub fn next_action(&mut self) -> Option<PeopleAction<K>> {
        self.actions.pop_front()
    }
}

#[cfg(test)]
mod tests;
