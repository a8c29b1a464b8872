//! In whose name this process stores, and whether the name is still its own.
//!
//! Others tell events apart by the slot of the node that stored them. A node that was held up for longer than
//! its lease lasts may wake when its slot is another's: what it stored then would pass for the other's. So the
//! database is asked by the last statement of each transaction that stores events (`LOG_HEAD_INSERT`), and a
//! transaction that then waits for us is ended by the database before a lease can run out.

use parking_lot::Mutex;
use tokio::sync::watch;

/// A slot, and for the how manieth time it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u16,
    pub(super) epoch: u64,
}

/// The place of this process; none before it takes part, and then nobody's is taken.
pub(super) struct Fence {
    place: Mutex<Option<Place>>,
    is_lost: watch::Sender<bool>,
}

impl Default for Fence {
    fn default() -> Self {
        Self { place: Mutex::default(), is_lost: watch::Sender::new(false) }
    }
}

impl Fence {
    pub(super) fn place(&self) -> Option<Place> {
        *self.place.lock()
    }

    /// Stores under this place from now on.
    pub(super) fn take(&self, place: Place) {
        let mut own = self.place.lock();
        *own = Some(place);
        self.is_lost.send_replace(false);
    }

    /// A place turned out to be another's; it may have been changed meanwhile.
    pub(super) fn lose(&self, place: Option<Place>) {
        let own = self.place.lock();
        if *own == place && !self.is_lost.send_replace(true) {
            tracing::error!(
                "another node has this one's place; nothing is stored until it has a new one"
            );
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        *self.is_lost.borrow()
    }

    /// Tells whether the place is lost, now and whenever that changes.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.is_lost.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_that_is_held_can_be_lost() {
        let fence = Fence::default();
        let [old, new] = [1, 2].map(|slot| Place { slot, epoch: 1 });
        fence.take(old);
        fence.take(new);
        fence.lose(Some(old));
        assert!(!fence.is_lost(), "a refusal that comes late");
        fence.lose(Some(new));
        assert!(fence.is_lost());
        fence.take(old);
        assert!(!fence.is_lost());
    }
}
