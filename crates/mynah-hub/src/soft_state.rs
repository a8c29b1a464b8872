//! State that fades unless it is refreshed, such as "is typing".

use std::collections::HashMap;
use std::hash::Hash;

use crate::{TimerKey, TimerWheel};

/// Keys that are on until stopped or not touched for a time to live. Times are in the caller's
/// ticks. Bounded: at `keys_max` a new key is throttled.
pub struct SoftState<K> {
    on: HashMap<K, Entry>,
    fading: TimerWheel<K>,
    ttl: u64,
    quiet: u64,
    keys_max: usize,
}

struct Entry {
    timer: TimerKey,
    announced: u64,
}

/// What [`SoftState::touch`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// Off before, on now: announce it.
    Started,
    /// On already; the last announcement is old enough to repeat it.
    Refreshed,
    /// Nothing to announce: announced lately, or too many keys.
    Throttled,
}

impl<K: Hash + Eq + Clone> SoftState<K> {
    /// No keys. A key fades `ttl` ticks after its last touch and is announced again at the
    /// earliest `quiet` ticks after the last announcement.
    pub fn new(now: u64, ttl: u64, quiet: u64, keys_max: usize) -> Self {
        Self { on: HashMap::new(), fading: TimerWheel::new(now), ttl, quiet, keys_max }
    }

    /// Turns `key` on or keeps it on.
    pub fn touch(&mut self, key: K, now: u64) -> Touched {
        if let Some(entry) = self.on.get_mut(&key) {
            self.fading.cancel(entry.timer);
            entry.timer = self.fading.insert(now + self.ttl, key);
            if now < entry.announced + self.quiet {
                return Touched::Throttled;
            }
            entry.announced = now;
            return Touched::Refreshed;
        }
        if self.on.len() >= self.keys_max {
            return Touched::Throttled;
        }
        let timer = self.fading.insert(now + self.ttl, key.clone());
        self.on.insert(key, Entry { timer, announced: now });
        Touched::Started
    }

    /// Turns `key` off; `true` if it was on: announce it.
    pub fn stop(&mut self, key: &K) -> bool {
        let Some(entry) = self.on.remove(key) else { return false };
        self.fading.cancel(entry.timer);
        true
    }

    /// Keys that faded: they are off now, announce it.
    pub fn expire(&mut self, now: u64) -> Vec<K> {
        let mut gone = Vec::new();
        self.fading.advance(now, |key| gone.push(key));
        for key in &gone {
            self.on.remove(key);
        }
        gone
    }

    /// Whether `key` is on.
    pub fn is_on(&self, key: &K) -> bool {
        self.on.contains_key(key)
    }

    /// How many keys are on.
    pub fn len(&self) -> usize {
        self.on.len()
    }

    /// Whether none is on.
    pub fn is_empty(&self) -> bool {
        self.on.is_empty()
    }

    /// When [`SoftState::expire`] should next be called.
    pub fn next_tick(&self) -> Option<u64> {
        self.fading.next_tick()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_touched_key_stays_on_and_is_announced_sparingly() {
        let mut typing = SoftState::new(0, 10, 3, 100);
        assert_eq!(typing.touch("ann", 0), Touched::Started);
        assert_eq!(typing.touch("ann", 2), Touched::Throttled);
        assert_eq!(typing.touch("ann", 3), Touched::Refreshed);
        assert_eq!(typing.touch("ann", 5), Touched::Throttled);
        assert_eq!(typing.expire(14), [] as [&str; 0], "a throttled touch prolongs too");
        assert_eq!(typing.expire(15), ["ann"]);
        assert!(!typing.is_on(&"ann"));
    }

    #[test]
    fn a_stopped_key_neither_fades_nor_stops_twice() {
        let mut typing = SoftState::new(0, 10, 3, 100);
        typing.touch("ann", 0);
        assert!(typing.stop(&"ann"));
        assert!(!typing.stop(&"ann"));
        assert_eq!(typing.expire(100), [] as [&str; 0]);
        assert_eq!(typing.touch("ann", 100), Touched::Started);
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let mut typing = SoftState::new(0, 10, 3, 1);
        typing.touch("ann", 0);
        assert_eq!(typing.touch("bob", 0), Touched::Throttled);
        assert!(!typing.is_on(&"bob"));
        assert_eq!(typing.len(), 1);
    }
}
