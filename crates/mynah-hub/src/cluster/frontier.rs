//! What a node has delivered, in few numbers.

/// Which events a node has delivered of the streams it follows: all of origin `o` with
/// `pos <= frontier.of(o)`. At most 64 origins are kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    base: u64,
    /// Sorted by origin.
    places: Vec<(u16, u64)>,
}

const ORIGINS_MAX: usize = 64;

impl Frontier {
    /// Everything up to `base`, whoever stored it.
    pub fn new(base: u64) -> Self {
        Self { base, places: Vec::new() }
    }

    /// All of this origin up to here.
    pub fn of(&self, origin: u16) -> u64 {
        let found = self.places.binary_search_by_key(&origin, |place| place.0);
        let place = found.ok().and_then(|index| self.places.get(index));
        place.map_or(self.base, |place| place.1)
    }

    /// What holds for every origin that [`Frontier::iter`] does not name.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Origins and their places, by origin.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.places.iter().copied()
    }

    /// All of this origin up to `pos`. A place does not go back. Beyond 64 origins the one that is furthest
    /// back counts as the base says: too little is claimed of it, never too much.
    pub fn raise(&mut self, origin: u16, pos: u64) {
        match self.places.binary_search_by_key(&origin, |place| place.0) {
            Ok(index) => {
                if let Some(place) = self.places.get_mut(index) {
                    place.1 = place.1.max(pos);
                }
            }
            Err(index) if pos > self.base => {
                self.places.insert(index, (origin, pos));
                if self.places.len() > ORIGINS_MAX {
                    let last = self.places.iter().enumerate().min_by_key(|(_, place)| place.1);
                    if let Some((last, _)) = last {
                        self.places.remove(last);
                    }
                }
            }
            Err(_) => {}
        }
    }

    /// Everything up to `base`, whoever stored it. It does not go back.
    pub fn raise_base(&mut self, base: u64) {
        self.base = self.base.max(base);
        self.places.retain(|place| place.1 > base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_rise_and_the_base_holds_for_the_rest() {
        let mut frontier = Frontier::new(10);
        frontier.raise(3, 15);
        frontier.raise(3, 12);
        frontier.raise(1, 9);
        assert_eq!((frontier.of(3), frontier.of(1), frontier.of(7)), (15, 10, 10));
        frontier.raise_base(20);
        assert_eq!((frontier.of(3), frontier.of(1)), (20, 20));
        assert_eq!(frontier.iter().count(), 0);
    }

    #[test]
    fn the_number_of_origins_is_bounded_and_nothing_too_much_is_claimed() {
        let mut frontier = Frontier::default();
        for origin in 0..200 {
            frontier.raise(origin, 1_000 + u64::from(origin));
        }
        assert_eq!(frontier.iter().count(), 64);
        for origin in 0..200 {
            assert!(frontier.of(origin) <= 1_000 + u64::from(origin));
        }
        assert_eq!(frontier.of(199), 1_199);
    }
}
