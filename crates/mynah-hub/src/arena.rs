//! A vector whose freed places are used again, addressed by `u32` so that links stay small.

/// "No entry": the end of a list.
pub(crate) const NIL: u32 = u32::MAX;

/// Above this many places an arena that became empty gives its memory back.
const RETAINED_MAX: usize = 1 << 17;

enum Place<T> {
    Vacant { next: u32 },
    Taken(T),
}

/// Values addressed by index. At most `u32::MAX - 1` of them.
pub(crate) struct Arena<T> {
    places: Vec<Place<T>>,
    vacant: u32,
    len: usize,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Self {
        Self { places: Vec::new(), vacant: NIL, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        let index = self.vacant;
        if let Some(place) = self.places.get_mut(index as usize)
            && let Place::Vacant { next } = *place
        {
            self.vacant = next;
            *place = Place::Taken(value);
            return index;
        }
        self.places.push(Place::Taken(value));
        (self.places.len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let place = self.places.get_mut(index as usize)?;
        if matches!(place, Place::Vacant { .. }) {
            return None;
        }
        let taken = std::mem::replace(place, Place::Vacant { next: self.vacant });
        self.vacant = index;
        self.len -= 1;
        if self.len == 0 && self.places.len() > RETAINED_MAX {
            self.places = Vec::new();
            self.vacant = NIL;
        }
        match taken {
            Place::Taken(value) => Some(value),
            Place::Vacant { .. } => None,
        }
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        match self.places.get(index as usize)? {
            Place::Taken(value) => Some(value),
            Place::Vacant { .. } => None,
        }
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.places.get_mut(index as usize)? {
            Place::Taken(value) => Some(value),
            Place::Vacant { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_places_are_used_again() {
        let mut arena = Arena::new();
        let first = arena.insert("a");
        let second = arena.insert("b");
        assert_eq!(arena.remove(first), Some("a"));
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.insert("c"), first);
        assert_eq!(arena.get(second), Some(&"b"));
        assert_eq!(arena.len(), 2);
    }
}
