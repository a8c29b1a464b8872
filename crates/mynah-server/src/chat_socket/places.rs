//! How many connections one user may have at once.

use std::collections::HashMap;
use std::sync::Arc;

use mynah_domain::permission::Actor;
use mynah_domain::{TenantId, UserId};
use parking_lot::Mutex;

type Taken = Arc<Mutex<HashMap<(TenantId, UserId), usize>>>;

/// The places of all users; an entry lives as long as a connection of its user.
#[derive(Clone, Debug)]
pub struct Places {
    taken: Taken,
    per_user_max: usize,
}

/// One connection's place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    taken: Taken,
    person: (TenantId, UserId),
}

impl Places {
    /// At most `per_user_max` connections for each user.
    pub fn new(per_user_max: usize) -> Self {
        Self { taken: Taken::default(), per_user_max }
    }

    /// A place, if the user has one left; who takes over from a connection that still has its place gets one
    /// in any case.
    pub(super) fn take(&self, actor: &Actor, takes_over: bool) -> Option<Place> {
        let person = (actor.tenant.clone(), actor.user.clone());
        let mut taken = self.taken.lock();
        let count = taken.entry(person.clone()).or_insert(0);
        if *count >= self.per_user_max && !takes_over {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Place { taken: Arc::clone(&self.taken), person })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.person);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mynah_domain::room::Role;

    use super::*;

    #[test]
    fn a_user_has_so_many_places_and_gets_them_back() {
        let places = Places::new(2);
        let actor = |user| Actor {
            tenant: TenantId::single(),
            user: UserId::trusted(user),
            role: Role::Member,
        };
        let first = places.take(&actor("a"), false);
        let second = places.take(&actor("a"), false);
        assert!(first.is_some() && second.is_some());
        assert!(places.take(&actor("a"), false).is_none());
        assert!(places.take(&actor("b"), false).is_some(), "each user has own places");
        assert!(places.take(&actor("a"), true).is_some(), "the old one is about to be free");
        drop(first);
        assert!(places.take(&actor("a"), false).is_some());
        drop(second);
        assert!(places.taken.lock().is_empty(), "nothing is kept of users without connections");
    }
}
