//! Who is here: a key is present while it has a lease and for a grace time after its last one.

use std::collections::HashMap;
use std::hash::Hash;

use crate::{TimerKey, TimerWheel};

/// Present keys, for example users with at least one live session. Times are in the caller's
/// ticks. Bounded: at `keys_max` a new key is refused.
pub struct Leases<K> {
    held: HashMap<K, Lease>,
    leaving: TimerWheel<K>,
    grace: u64,
    keys_max: usize,
}

struct Lease {
    count: u32,
    leaving: Option<TimerKey>,
}

/// What [`Leases::acquire`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The key was absent and is present now: announce it.
    Online,
    /// It was present already, or within its grace.
    Still,
    /// Too many keys; nothing was changed and nothing must be released.
    Refused,
}

impl<K: Hash + Eq + Clone> Leases<K> {
    /// No keys. `now` and `grace` are in ticks.
    pub fn new(now: u64, grace: u64, keys_max: usize) -> Self {
        Self { held: HashMap::new(), leaving: TimerWheel::new(now), grace, keys_max }
    }

    /// One more lease on `key`.
    pub fn acquire(&mut self, key: K) -> Acquired {
        if let Some(lease) = self.held.get_mut(&key) {
            lease.count += 1;
            if let Some(timer) = lease.leaving.take() {
                self.leaving.cancel(timer);
            }
            return Acquired::Still;
        }
        if self.held.len() >= self.keys_max {
            return Acquired::Refused;
        }
        self.held.insert(key, Lease { count: 1, leaving: None });
        Acquired::Online
    }

    /// One lease less. With the last one the grace begins; `true` then.
    pub fn release(&mut self, key: &K, now: u64) -> bool {
        let Some(lease) = self.held.get_mut(key) else { return false };
        if lease.count == 0 {
            return false;
        }
        lease.count -= 1;
        if lease.count > 0 {
            return false;
        }
        lease.leaving = Some(self.leaving.insert(now + self.grace, key.clone()));
        true
    }

    /// Keys whose grace is over: they are absent now, announce it.
    pub fn expire(&mut self, now: u64) -> Vec<K> {
        let mut gone = Vec::new();
        self.leaving.advance(now, |key| gone.push(key));
        for key in &gone {
            self.held.remove(key);
        }
        gone
    }

    /// Whether a key is present, its grace included.
    pub fn is_present(&self, key: &K) -> bool {
        self.held.contains_key(key)
    }

    /// The keys that are present, their graces included, in no order.
    pub fn present(&self) -> impl Iterator<Item = &K> {
        self.held.keys()
    }

    /// How many keys are present.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no key is present.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// When [`Leases::expire`] should next be called.
    pub fn next_tick(&self) -> Option<u64> {
        self.leaving.next_tick()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_leases_starts_the_grace() {
        let mut leases = Leases::new(0, 10, 100);
        assert_eq!(leases.acquire("ann"), Acquired::Online);
        assert_eq!(leases.acquire("ann"), Acquired::Still);
        assert!(!leases.release(&"ann", 5));
        assert!(leases.release(&"ann", 6));
        assert_eq!(leases.expire(15), [] as [&str; 0]);
        assert!(leases.is_present(&"ann"));
        assert_eq!(leases.expire(16), ["ann"]);
        assert!(leases.is_empty());
        assert_eq!(leases.acquire("ann"), Acquired::Online);
    }

    #[test]
    fn coming_back_within_the_grace_is_no_change() {
        let mut leases = Leases::new(0, 10, 100);
        leases.acquire("ann");
        leases.release(&"ann", 1);
        assert_eq!(leases.acquire("ann"), Acquired::Still);
        assert_eq!(leases.expire(1_000), [] as [&str; 0]);
        assert!(leases.is_present(&"ann"));
    }

    #[test]
    fn the_number_of_keys_is_bounded_and_stray_releases_are_harmless() {
        let mut leases = Leases::new(0, 10, 1);
        assert!(!leases.release(&"bob", 0));
        leases.acquire("ann");
        assert_eq!(leases.acquire("bob"), Acquired::Refused);
        leases.release(&"ann", 0);
        assert!(!leases.release(&"ann", 3), "released already");
        assert_eq!(leases.expire(10), ["ann"]);
        assert_eq!(leases.acquire("bob"), Acquired::Online);
    }
}
