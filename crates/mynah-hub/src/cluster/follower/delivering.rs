//! Bringing events into the order of their streams.

use super::stream::{Held, Missing, Waiting};
use super::{Action, Ask, BACKOFF_MAX_MS, Comparing, Follower, Item, Phase, Settled, Step, Timer};

/// So many answers that know less than a beat said are taken for the truth.
const MISSES_MAX: u8 = 4;

#[derive(Clone, Copy)]
struct Place {
    seq: u64,
    origin: u16,
    pos: u64,
    is_own: bool,
}

impl<E> Follower<E> {
    /// This node's own event in a stream that is followed.
    pub(super) fn take_own(&mut self, now: u64, index: u32, item: Item<E>) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        if stream.phase != Phase::Live && stream.settled == Settled::No {
            // Nobody hears the stream yet who would not read its history after this commit.
            stream.delivered = stream.delivered.max(item.seq);
            stream.target = stream.target.max(item.seq);
            self.deliver(item, true, None);
        } else if stream.phase == Phase::Live && item.seq <= stream.delivered {
            self.see(item.origin, item.pos);
        } else if stream.phase == Phase::Live && item.seq == stream.delivered + 1 {
            stream.delivered = item.seq;
            stream.target = stream.target.max(item.seq);
            self.deliver(item, true, None);
            self.go_on(now, index);
        } else {
            let place = Place { seq: item.seq, origin: item.origin, pos: item.pos, is_own: true };
            self.keep(now, index, place, Some(item.event));
        }
    }

    /// An event of another node in a stream that is followed.
    pub(super) fn take_heard(
        &mut self,
        now: u64,
        index: u32,
        (origin, seq, pos): (u16, u64, u64),
        event: Option<E>,
    ) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        let is_live = stream.phase == Phase::Live;
        if is_live && seq <= stream.delivered {
            self.stats.doubles += 1;
            self.see(origin, pos);
            return;
        }
        match event {
            Some(event) if is_live && seq == stream.delivered + 1 => {
                stream.delivered = seq;
                stream.target = stream.target.max(seq);
                let item = Item { stream: stream.name.clone(), seq, pos, origin, event };
                self.deliver(item, true, None);
                self.go_on(now, index);
            }
            event => self.keep(now, index, Place { seq, origin, pos, is_own: false }, event),
        }
    }

    /// A beat says that a stream goes up to here.
    pub(super) fn take_head_told(&mut self, now: u64, index: u32, from: u16, seq: u64) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        let is_waiting = stream.waiting.as_ref().is_some_and(|waiting| {
            waiting.items.get(&seq).is_some_and(|held| held.event.is_some())
        });
        if is_waiting || (seq <= stream.delivered && stream.phase == Phase::Live) {
            return;
        }
        self.miss(index, from, seq, true);
        self.pursue(now, index);
    }

    /// Remembers that events of `origin` up to `seq` must be read. Unless `wholly`, the last one is new.
    fn miss(&mut self, index: u32, origin: u16, seq: u64, wholly: bool) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        stream.target = stream.target.max(seq);
        stream.urgent = stream.urgent.max(seq);
        let waiting = stream.waiting.get_or_insert_default();
        let floor =
            if wholly { self.proof.obstruct_wholly(origin) } else { self.proof.obstruct(origin) };
        if let Some(missing) = waiting.missing.iter_mut().find(|missing| missing.origin == origin) {
            missing.until = missing.until.max(seq);
            let higher = floor.max(missing.floor);
            missing.floor = floor.min(missing.floor);
            self.proof.clear(origin, higher);
        } else {
            waiting.missing.push(Missing { origin, floor, until: seq });
        }
    }

    /// Keeps an event until its turn comes.
    fn keep(&mut self, now: u64, index: u32, place: Place, event: Option<E>) {
        let Place { seq, origin, pos, is_own } = place;
        let Some(stream) = self.streams.get_mut(index) else { return };
        let waiting = stream.waiting.get_or_insert_default();
        if let Some(held) = waiting.items.get_mut(&seq) {
            if held.event.is_none() {
                held.event = event;
            } else {
                self.stats.doubles += 1;
            }
            self.see(origin, pos);
            return self.go_on(now, index);
        }
        let is_full = waiting.items.len() >= self.config.waiting_max
            || self.waiting >= self.config.waiting_all_max;
        stream.target = stream.target.max(seq);
        if is_full {
            self.miss(index, origin, seq, false);
        } else {
            if event.is_none() {
                stream.urgent = stream.urgent.max(seq);
            }
            let floor = self.proof.obstruct(origin);
            waiting.items.insert(seq, Held { origin, pos, floor, since: now, is_own, event });
            self.waiting += 1;
        }
        self.see(origin, pos);
        self.go_on(now, index);
    }

    /// Delivers what waited and is next, and sees to what is missing.
    pub(super) fn go_on(&mut self, now: u64, index: u32) {
        let is_live = self.streams.get(index).is_some_and(|stream| stream.phase == Phase::Live);
        if is_live {
            self.drain(index);
            self.pursue(now, index);
        }
    }

    fn drain(&mut self, index: u32) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        let Some(waiting) = stream.waiting.as_mut() else {
            return self.compared_up_to_date(index);
        };
        while let Some(entry) = waiting.items.first_entry() {
            let seq = *entry.key();
            let is_next = seq == stream.delivered + 1 && entry.get().event.is_some();
            if seq > stream.delivered && !is_next {
                break;
            }
            self.waiting -= 1;
            let Held { origin, pos, floor, event, .. } = entry.remove();
            let Some(event) = event.filter(|_| is_next) else {
                self.steps.push_back(Step::Clear { origin, floor });
                continue;
            };
            stream.delivered = seq;
            let item = Item { stream: stream.name.clone(), seq, pos, origin, event };
            let floor = Some(floor);
            self.steps.push_back(Step::Deliver { item, in_order: false, floor });
        }
        let delivered = stream.delivered;
        let steps = &mut self.steps;
        waiting.missing.retain(|missing| {
            let is_missing = missing.until > delivered;
            if !is_missing {
                let (origin, floor) = (missing.origin, missing.floor);
                steps.push_back(Step::Clear { origin, floor });
            }
            is_missing
        });
        if waiting.items.is_empty() && waiting.missing.is_empty() {
            stream.waiting = None;
        }
        self.compared_up_to_date(index);
    }

    /// The comparison under way need not wait for a stream that has all it found.
    fn compared_up_to_date(&mut self, index: u32) {
        let Some(stream) = self.streams.get(index) else { return };
        if let Comparing::Behind(head) = stream.comparing
            && stream.delivered >= head
        {
            self.compared(index);
        }
    }

    /// Waits for what is missing, or reads it.
    pub(super) fn pursue(&mut self, now: u64, index: u32) {
        let gap_wait_ms = self.config.gap_wait_ms;
        let Some(stream) = self.streams.get_mut(index) else { return };
        if stream.phase != Phase::Live {
            return;
        }
        if !stream.is_behind() {
            (stream.backoff_ms, stream.misses) = (0, 0);
            if let Some(timer) = stream.read_timer.take() {
                self.wheel.cancel(timer);
            }
            return;
        }
        let waits_for_store = stream.backoff_ms > 0 && stream.read_timer.is_some();
        if stream.read != Ask::Idle || waits_for_store {
            return;
        }
        if let Some(timer) = stream.read_timer.take() {
            self.wheel.cancel(timer);
        }
        let read_at = match stream.waits_since() {
            Some(since) if stream.urgent <= stream.delivered => since + gap_wait_ms,
            _ => now,
        };
        if read_at <= now {
            self.ask_events(index);
        } else {
            stream.read_timer = Some(self.wheel.insert(read_at, (index, Timer::Read)));
        }
    }

    /// The store's events of a stream.
    pub(super) fn take_events(
        &mut self,
        now: u64,
        index: u32,
        events: Vec<Item<E>>,
        (head, is_gap): (u64, bool),
    ) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        let before = stream.delivered;
        let mut is_hole = is_gap;
        for item in events {
            if item.seq <= stream.delivered {
                continue;
            }
            if item.seq != stream.delivered + 1 {
                is_hole = true;
                break;
            }
            stream.delivered = item.seq;
            self.proof.know(item.origin, item.pos);
            self.stats.healed += 1;
            self.steps.push_back(Step::Deliver { item, in_order: false, floor: None });
        }
        stream.target = stream.target.max(head);
        stream.urgent = stream.urgent.max(head);
        if is_hole || head.saturating_sub(stream.delivered) > self.config.behind_max {
            return self.resync(now, index, head);
        }
        if stream.delivered > before {
            (stream.backoff_ms, stream.misses) = (0, 0);
        } else if stream.is_behind() {
            stream.misses = stream.misses.saturating_add(1);
            let is_heard = stream.waiting.as_ref().is_some_and(|w| !w.items.is_empty());
            if stream.misses >= MISSES_MAX && head <= stream.delivered && !is_heard {
                self.forget_told(index);
            } else {
                self.back_off(now, index);
            }
        }
        self.go_on(now, index);
    }

    /// Reads a stream again after a while.
    pub(super) fn back_off(&mut self, now: u64, index: u32) {
        let first = self.config.retry_ms.max(1);
        let Some(stream) = self.streams.get_mut(index) else { return };
        stream.backoff_ms = (stream.backoff_ms * 2).clamp(first, BACKOFF_MAX_MS);
        if let Some(timer) = stream.read_timer.take() {
            self.wheel.cancel(timer);
        }
        let at = now + stream.backoff_ms;
        stream.read_timer = Some(self.wheel.insert(at, (index, Timer::Read)));
    }

    /// The store does not know what a beat told, though it was asked again and again: the head was that of
    /// another stream with the same fingerprint.
    fn forget_told(&mut self, index: u32) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        (stream.target, stream.urgent) = (stream.delivered, 0);
        if let Some(waiting) = stream.waiting.take() {
            self.clear(*waiting);
        }
    }

    pub(super) fn clear(&mut self, waiting: Waiting<E>) {
        for held in waiting.items.into_values() {
            self.note(Step::Clear { origin: held.origin, floor: held.floor });
        }
        for missing in waiting.missing {
            self.note(Step::Clear { origin: missing.origin, floor: missing.floor });
        }
    }

    /// Too much is missing: what is stored up to `head` is for the subscribers to ask for, who are ended.
    pub(super) fn resync(&mut self, now: u64, index: u32, head: u64) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        if stream.is_wanted {
            self.stats.resyncs += 1;
            self.steps.push_back(Step::Act(Action::Resync(stream.name.clone())));
        }
        self.skip_to(index, head);
        self.go_on(now, index);
    }

    /// Everything up to `head` counts as delivered; own events that waited come out all the same.
    fn skip_to(&mut self, index: u32, head: u64) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        stream.delivered = stream.delivered.max(head);
        stream.target = stream.target.max(stream.delivered);
        let Some(waiting) = stream.waiting.as_mut() else { return };
        while let Some(entry) = waiting.items.first_entry()
            && *entry.key() <= stream.delivered
        {
            let seq = *entry.key();
            self.waiting -= 1;
            let Held { origin, pos, floor, is_own, event, .. } = entry.remove();
            self.steps.push_back(match event.filter(|_| is_own) {
                Some(event) => Step::Deliver {
                    item: Item { stream: stream.name.clone(), seq, pos, origin, event },
                    in_order: false,
                    floor: Some(floor),
                },
                None => Step::Clear { origin, floor },
            });
        }
    }

    /// The head of a stream is known for the first time: what was stored until then is history.
    pub(super) fn settle(&mut self, now: u64, index: u32, head: u64) {
        let Some(stream) = self.streams.get_mut(index) else { return };
        stream.phase = Phase::Live;
        if stream.is_wanted
            && let Some(timer) = stream.life_timer.take()
        {
            self.wheel.cancel(timer);
        }
        let was = std::mem::replace(&mut stream.settled, Settled::Yes);
        if was == Settled::Blind && head > 0 && stream.is_wanted {
            // Who went on unseeing may have read less than this.
            self.stats.resyncs += 1;
            self.steps.push_back(Step::Act(Action::Resync(stream.name.clone())));
        }
        let name = stream.name.clone();
        self.skip_to(index, head);
        match was {
            Settled::Blind => self.note(Step::Seeing),
            Settled::No => self.steps.push_back(Step::Act(Action::Settled(name))),
            Settled::Yes => {}
        }
        self.go_on(now, index);
    }
}
