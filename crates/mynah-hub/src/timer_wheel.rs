//! A hierarchical timer wheel: insert and cancel in constant time, whatever the number of timers.
//!
//! Level 0 has one slot per tick for the next 64 ticks, level 1 one per 64 ticks, and so on. A
//! timer sits on the level of the highest bit in which its deadline differs from the wheel's time
//! and moves down as that time comes nearer.

use std::num::NonZeroU32;

use crate::arena::NIL;

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 7;
/// Deadlines beyond this tick are brought forward to it: 139 years of milliseconds.
const TICK_MAX: u64 = (1 << (SLOT_BITS as u64 * LEVELS as u64)) - 1;

/// Names a timer until it has fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    index: u32,
    /// Never zero, so that an absent key takes no more room than a present one.
    generation: NonZeroU32,
}

struct Timer<T> {
    value: Option<T>,
    deadline: u64,
    generation: NonZeroU32,
    next: u32,
    previous: u32,
    place: u16,
}

/// Timers that carry a `T` each. A tick is what the caller makes it; the hub uses milliseconds.
pub struct TimerWheel<T> {
    timers: Vec<Timer<T>>,
    vacant: u32,
    len: usize,
    now: u64,
    occupied: [u64; LEVELS],
    heads: [[u32; SLOTS]; LEVELS],
}

impl<T> TimerWheel<T> {
    /// An empty wheel whose time is `now`.
    pub fn new(now: u64) -> Self {
        Self {
            timers: Vec::new(),
            vacant: NIL,
            len: 0,
            now: now.min(TICK_MAX - 1),
            occupied: [0; LEVELS],
            heads: [[NIL; SLOTS]; LEVELS],
        }
    }

    /// How many timers wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets a timer. One whose deadline has passed fires at the next tick.
    pub fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        let deadline = deadline.clamp(self.now + 1, TICK_MAX.max(self.now + 1));
        self.len += 1;
        let index = self.vacant;
        let key = if let Some(timer) = self.timers.get_mut(index as usize) {
            self.vacant = timer.next;
            timer.value = Some(value);
            timer.deadline = deadline;
            TimerKey { index, generation: timer.generation }
        } else {
            let index = self.timers.len() as u32;
            self.timers.push(Timer {
                value: Some(value),
                deadline,
                generation: NonZeroU32::MIN,
                next: NIL,
                previous: NIL,
                place: 0,
            });
            TimerKey { index, generation: NonZeroU32::MIN }
        };
        self.link(key.index, deadline);
        key
    }

    /// Takes a timer back; `None` if it has fired or was cancelled before.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let timer = self.timers.get(key.index as usize)?;
        if timer.generation != key.generation || timer.value.is_none() {
            return None;
        }
        self.unlink(key.index);
        self.free(key.index)
    }

    /// The first tick at which [`TimerWheel::advance`] has something to do. Never later than the
    /// first deadline; earlier if timers must only move down a level.
    pub fn next_tick(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, tick)| tick)
    }

    /// Moves the wheel's time to `now` and hands over every timer that is due, in the order of
    /// their deadlines. Time does not go back.
    pub fn advance(&mut self, now: u64, mut due: impl FnMut(T)) {
        while let Some((level, slot, tick)) = self.next_slot()
            && tick <= now
        {
            self.now = tick;
            let mut index = self.take_slot(level, slot);
            while let Some(timer) = self.timers.get(index as usize) {
                let (next, deadline) = (timer.next, timer.deadline);
                if deadline > tick {
                    self.link(index, deadline);
                } else if let Some(value) = self.free(index) {
                    due(value);
                }
                index = next;
            }
        }
        self.now = self.now.max(now.min(TICK_MAX - 1));
    }

    /// Level, slot and tick of the nearest slot with timers.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let mut nearest: Option<(usize, usize, u64)> = None;
        for (level, &occupied) in self.occupied.iter().enumerate() {
            if occupied == 0 {
                continue;
            }
            // Slots on a level are of its present turn and never behind the wheel's time, so the
            // lowest set bit is the nearest.
            let slot = occupied.trailing_zeros();
            let shift = SLOT_BITS * level as u32;
            let turn = self.now >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
            let tick = turn | (u64::from(slot) << shift);
            if nearest.is_none_or(|(_, _, best)| tick < best) {
                nearest = Some((level, slot as usize, tick));
            }
        }
        nearest
    }

    fn link(&mut self, index: u32, deadline: u64) {
        let level = ((deadline ^ self.now).max(1).ilog2() / SLOT_BITS) as usize;
        let slot = (deadline >> (SLOT_BITS * level as u32)) as usize % SLOTS;
        let Some(head) = self.heads.get_mut(level).and_then(|slots| slots.get_mut(slot)) else {
            return;
        };
        let next = std::mem::replace(head, index);
        if let Some(occupied) = self.occupied.get_mut(level) {
            *occupied |= 1 << slot;
        }
        if let Some(after) = self.timers.get_mut(next as usize) {
            after.previous = index;
        }
        if let Some(timer) = self.timers.get_mut(index as usize) {
            timer.next = next;
            timer.previous = NIL;
            timer.place = (level * SLOTS + slot) as u16;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(timer) = self.timers.get(index as usize) else { return };
        let (next, previous, place) = (timer.next, timer.previous, usize::from(timer.place));
        if let Some(after) = self.timers.get_mut(next as usize) {
            after.previous = previous;
        }
        if let Some(before) = self.timers.get_mut(previous as usize) {
            before.next = next;
        } else if let Some(head) =
            self.heads.get_mut(place / SLOTS).and_then(|slots| slots.get_mut(place % SLOTS))
        {
            *head = next;
            if next == NIL
                && let Some(occupied) = self.occupied.get_mut(place / SLOTS)
            {
                *occupied &= !(1 << (place % SLOTS));
            }
        }
    }

    /// Empties a slot and returns the first of its timers.
    fn take_slot(&mut self, level: usize, slot: usize) -> u32 {
        if let Some(occupied) = self.occupied.get_mut(level) {
            *occupied &= !(1 << slot);
        }
        self.heads
            .get_mut(level)
            .and_then(|slots| slots.get_mut(slot))
            .map_or(NIL, |head| std::mem::replace(head, NIL))
    }

    fn free(&mut self, index: u32) -> Option<T> {
        let timer = self.timers.get_mut(index as usize)?;
        timer.generation = timer.generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        timer.next = self.vacant;
        self.vacant = index;
        self.len -= 1;
        timer.value.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(wheel: &mut TimerWheel<u64>, now: u64) -> Vec<u64> {
        let mut out = Vec::new();
        wheel.advance(now, |value| out.push(value));
        out
    }

    #[test]
    fn timers_fire_at_their_tick_on_every_level() {
        let deadlines = [1, 2, 63, 64, 65, 4_095, 4_096, 300_000, 20_000_000, 3_000_000_000];
        let mut wheel = TimerWheel::new(0);
        for deadline in deadlines {
            wheel.insert(deadline, deadline);
        }
        for deadline in deadlines {
            assert_eq!(fired(&mut wheel, deadline - 1), [] as [u64; 0], "before {deadline}");
            assert_eq!(fired(&mut wheel, deadline), [deadline]);
        }
        assert!(wheel.is_empty());
        assert_eq!(wheel.next_tick(), None);
    }

    #[test]
    fn one_long_step_fires_all_in_order() {
        let mut wheel = TimerWheel::new(1_000_003);
        // A fixed linear congruence stands in for random deadlines.
        let mut deadlines: Vec<u64> =
            (0..500_u64).map(|i| 1_000_004 + i * 7_919 % 90_001).collect();
        for &deadline in &deadlines {
            wheel.insert(deadline, deadline);
        }
        deadlines.sort_unstable();
        assert_eq!(fired(&mut wheel, 2_000_000), deadlines);
    }

    #[test]
    fn next_tick_is_never_later_than_the_first_deadline() {
        let mut wheel = TimerWheel::new(77);
        wheel.insert(100_000, 100_000);
        let mut steps = 0;
        let mut out = Vec::new();
        while let Some(tick) = wheel.next_tick() {
            assert!(tick <= 100_000);
            out = fired(&mut wheel, tick);
            steps += 1;
        }
        assert_eq!(out, [100_000]);
        assert!(steps <= LEVELS);
    }

    #[test]
    fn a_cancelled_timer_is_silent_and_its_key_is_dead() {
        let mut wheel = TimerWheel::new(0);
        let first = wheel.insert(10, 1);
        let second = wheel.insert(10, 2);
        let third = wheel.insert(10, 3);
        assert_eq!(wheel.cancel(second), Some(2));
        assert_eq!(wheel.cancel(second), None);
        let reused = wheel.insert(10, 4);
        assert_eq!(wheel.cancel(second), None, "the place is used by another timer");
        assert_eq!(wheel.cancel(third), Some(3));
        let mut out = fired(&mut wheel, 10);
        out.sort_unstable();
        assert_eq!(out, [1, 4]);
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(wheel.cancel(reused), None);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_the_next_tick() {
        let mut wheel = TimerWheel::new(500);
        wheel.insert(3, 3);
        assert_eq!(fired(&mut wheel, 500), [] as [u64; 0]);
        assert_eq!(fired(&mut wheel, 501), [3]);
    }
}
