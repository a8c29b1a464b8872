//! What is proven to be delivered, origin by origin.
//!
//! An origin's events are heard in the order in which it stored them, so hearing one proves those before it,
//! unless something was lost on the way. Three things hold a frontier back: a *floor* for each event that was
//! heard and is not delivered yet, a *comparison* of all heads that must end first, and streams whose
//! subscribers go on though their heads are not known.

use std::collections::BTreeMap;

use super::{Beat, Frontier};

/// While the broker is down no comparison that has begun is enough.
pub(super) const NEVER: u64 = u64::MAX;

#[derive(Default)]
pub(super) struct Proof {
    frontier: Frontier,
    origins: BTreeMap<u16, Origin>,
    own: Option<u16>,
    /// The comparison that must end before other origins' places rise; 0 for none.
    needs: u64,
    /// Streams whose heads are not known though their subscribers go on.
    blind: usize,
}

#[derive(Default)]
struct Origin {
    /// Told in order up to here, as far as is known.
    seen: u64,
    /// Stored up to here, wherever that was learnt from.
    known: u64,
    /// `known` when the comparison under way began.
    snapshot: u64,
    /// The comparison that must end before this place rises; 0 for none.
    needs: u64,
    /// The place stays below the first.
    floors: BTreeMap<u64, u32>,
    /// The end of the last beat, if any was heard.
    link: Option<u64>,
    /// `since`, `pos` and number of the part of a beat that must come next.
    part: Option<(u64, u64, u32)>,
    beat_at: u64,
    is_gone: bool,
}

impl Origin {
    fn limit(&self) -> u64 {
        self.floors.first_key_value().map_or(u64::MAX, |(floor, _)| floor.saturating_sub(1))
    }
}

impl Proof {
    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(super) fn start(&mut self, base: u64) {
        self.frontier.raise_base(base);
    }

    /// What is proven of all these, if each is known and nothing of any other is in doubt: that it is gone,
    /// and that all it left was found.
    pub(super) fn low_of(&self, origins: &[u16]) -> Option<u64> {
        let is_done = |origin: u16, place: &Origin| {
            place.is_gone && place.needs == 0 && place.known <= self.frontier.of(origin)
        };
        let in_doubt = |(origin, place): (&u16, &Origin)| {
            (place.is_gone || !origins.contains(origin)) && !is_done(*origin, place)
        };
        if self.origins.iter().any(in_doubt) {
            return None;
        }
        let place = |origin: &u16| self.origins.get(origin).map(|_| self.frontier.of(*origin));
        origins.iter().map(place).min().flatten()
    }

    fn origin(&mut self, origin: u16) -> &mut Origin {
        self.origins.entry(origin).or_default()
    }

    pub(super) fn is_own(&mut self, origin: u16) {
        self.own = Some(origin);
    }

    /// An event of this origin exists.
    pub(super) fn know(&mut self, origin: u16, pos: u64) {
        let known = &mut self.origin(origin).known;
        *known = pos.max(*known);
    }

    /// An event was heard in order and is not delivered yet: the place stays below it, and below all that
    /// may lie between it and the one heard before. Gives the floor.
    pub(super) fn obstruct(&mut self, origin: u16) -> u64 {
        let place = self.origin(origin);
        let floor = place.seen.saturating_add(1);
        *place.floors.entry(floor).or_default() += 1;
        floor
    }

    /// Something of this origin is missing, nobody knows since when: the place stays where it is.
    pub(super) fn obstruct_wholly(&mut self, origin: u16) -> u64 {
        let floor = self.frontier.of(origin).saturating_add(1);
        *self.origin(origin).floors.entry(floor).or_default() += 1;
        floor
    }

    /// What a floor stood for was delivered, or need not be.
    pub(super) fn clear(&mut self, origin: u16, floor: u64) {
        let place = self.origin(origin);
        if let Some(count) = place.floors.get_mut(&floor) {
            *count -= 1;
            if *count == 0 {
                place.floors.remove(&floor);
            }
        }
        self.raise(origin);
    }

    /// All of this origin up to here was told, in order.
    pub(super) fn see(&mut self, origin: u16, pos: u64) {
        let place = self.origin(origin);
        place.seen = place.seen.max(pos);
        place.known = place.known.max(pos);
        self.raise(origin);
    }

    fn raise(&mut self, origin: u16) {
        let is_own = self.own == Some(origin);
        if !is_own && (self.needs > 0 || self.blind > 0) {
            return;
        }
        let Some(place) = self.origins.get(&origin).filter(|place| place.needs == 0) else {
            return;
        };
        self.frontier.raise(origin, place.seen.min(place.limit()));
    }

    /// No place of others rises before this comparison has ended.
    pub(super) fn freeze(&mut self, comparison: u64) {
        self.needs = comparison;
    }

    pub(super) fn is_frozen_until(&self, comparison: u64) -> bool {
        self.needs == comparison
    }

    /// This origin's place does not rise before this comparison has ended.
    pub(super) fn freeze_one(&mut self, origin: u16, comparison: u64) {
        let needs = &mut self.origin(origin).needs;
        *needs = comparison.max(*needs);
    }

    /// One stream more whose subscribers go on unseeing.
    pub(super) fn blind(&mut self) {
        self.blind += 1;
    }

    pub(super) fn seeing(&mut self) {
        self.blind = self.blind.saturating_sub(1);
    }

    pub(super) fn comparison_began(&mut self) {
        for place in self.origins.values_mut() {
            place.snapshot = place.known;
        }
    }

    /// What the comparison under way proves when it ends, which may be known before all that it found is
    /// handed out, and another one begins: whatever was stored before it began. As each origin stores in the
    /// order of its places, that is all up to the newest that was known of by then.
    pub(super) fn snapshot(&self) -> Vec<(u16, u64)> {
        self.origins.iter().map(|(origin, place)| (*origin, place.snapshot)).collect()
    }

    /// All that the comparison found is handed out.
    pub(super) fn comparison_ended(&mut self, comparison: u64, proven: &[(u16, u64)]) {
        if self.needs <= comparison {
            self.needs = 0;
        }
        for place in self.origins.values_mut().filter(|place| place.needs <= comparison) {
            place.needs = 0;
        }
        for &(origin, snapshot) in proven {
            let place = self.origin(origin);
            place.seen = place.seen.max(snapshot);
            let proven = snapshot.min(place.limit());
            if self.blind == 0 {
                self.frontier.raise(origin, proven);
            }
        }
        let origins: Vec<u16> = self.origins.keys().copied().collect();
        for origin in origins {
            self.raise(origin);
        }
    }

    /// A beat, or a part of one, was heard, and the streams it names looked after. `true` if beats before it
    /// were missed, or it says itself that it is not all.
    pub(super) fn beat(&mut self, now: u64, origin: u16, beat: &Beat) -> bool {
        let place = self.origin(origin);
        (place.beat_at, place.is_gone) = (now, false);
        place.known = place.known.max(beat.pos);
        let follows = beat.part == 0 || place.part == Some((beat.since, beat.pos, beat.part));
        if beat.more {
            place.part = follows.then(|| (beat.since, beat.pos, beat.part.saturating_add(1)));
            return false;
        }
        place.part = None;
        // The first one of a node that has stored nothing says nothing of those who had its slot before.
        let is_linked = place.link.is_some_and(|link| beat.since <= link);
        place.link = place.link.max(Some(beat.pos));
        beat.lost || !follows || !is_linked
    }

    /// A node is over: what it did not tell is found by a comparison, and its beats begin anew.
    pub(super) fn gone(&mut self, origin: u16) {
        let place = self.origin(origin);
        (place.is_gone, place.link, place.part) = (true, None, None);
    }

    /// Origins that are known, not gone, and never told a beat.
    pub(super) fn strangers(&self) -> Vec<u16> {
        let is_strange = |place: &Origin| !place.is_gone && place.link.is_none();
        let strange = self.origins.iter().filter(|(_, place)| is_strange(place));
        strange.map(|(origin, _)| *origin).filter(|origin| self.own != Some(*origin)).collect()
    }

    /// Whether a node is silent that told beats, or one that is gone left more than is proven.
    pub(super) fn is_doubtful(&self, heard_after: u64) -> bool {
        self.origins.iter().any(|(&origin, place)| {
            let is_silent = !place.is_gone && place.link.is_some() && place.beat_at < heard_after;
            is_silent || (place.is_gone && place.known > self.frontier.of(origin))
        })
    }
}
