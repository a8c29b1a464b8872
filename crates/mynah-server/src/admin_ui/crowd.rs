//! How many sockets each namespace has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::Serialize;

/// Most namespaces that are counted by name; those met later are counted together.
const NAMESPACES_MAX: usize = 100;
/// What they are called.
const OTHERS: &str = "(others)";

#[derive(Debug)]
struct Namespace {
    name: Box<str>,
    sockets: AtomicU64,
}

/// The namespaces in the order in which they were met.
///
/// The list only grows: the official UI merges each list into the one before by position, so that what was
/// left out would stay on its board for ever.
#[derive(Debug)]
pub(super) struct Crowd(Mutex<Vec<Arc<Namespace>>>);

/// One socket; it is counted until this is dropped.
#[derive(Debug)]
pub struct Seat(Arc<Namespace>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One namespace on the board: `{"name":"/","socketsCount":3}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamespaceFigures {
    name: Box<str>,
    sockets_count: u64,
}

impl Crowd {
    /// Begins with namespaces that are listed even if nobody is there.
    pub(super) fn new<'n>(known: impl IntoIterator<Item = &'n str>) -> Self {
        let crowd = Self(Mutex::default());
        for name in known {
            crowd.find(name);
        }
        crowd
    }

    fn find(&self, name: &str) -> Arc<Namespace> {
        let mut list = self.0.lock();
        let at = |name: &str| list.iter().position(|namespace| *namespace.name == *name);
        let full = list.len() >= NAMESPACES_MAX;
        if let Some(found) = at(name).or_else(|| at(OTHERS).filter(|_| full))
            && let Some(namespace) = list.get(found)
        {
            return Arc::clone(namespace);
        }
        let name = if full { OTHERS } else { name };
        let new = Arc::new(Namespace { name: name.into(), sockets: AtomicU64::new(0) });
        list.push(Arc::clone(&new));
        new
    }

    /// A socket has joined a namespace.
    pub(super) fn seat(&self, namespace: &str) -> Seat {
        let namespace = self.find(namespace);
        namespace.sockets.fetch_add(1, Ordering::Relaxed);
        Seat(namespace)
    }

    /// All counts.
    pub(super) fn figures(&self) -> Vec<NamespaceFigures> {
        let of = |namespace: &Arc<Namespace>| NamespaceFigures {
            name: namespace.name.clone(),
            sockets_count: namespace.sockets.load(Ordering::Relaxed),
        };
        self.0.lock().iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(crowd: &Crowd) -> Vec<(String, u64)> {
        crowd.figures().into_iter().map(|f| (f.name.into_string(), f.sockets_count)).collect()
    }

    #[test]
    fn sockets_are_counted_while_they_are_there_and_places_stay() {
        let crowd = Crowd::new(["/", "/admin", "/"]);
        let first = crowd.seat("/chat");
        let _second = crowd.seat("/");
        let expected = |chat| {
            [("/", 1), ("/admin", 0), ("/chat", chat)].map(|(n, c)| (n.to_owned(), c)).to_vec()
        };
        assert_eq!(shown(&crowd), expected(1));
        drop(first);
        assert_eq!(shown(&crowd), expected(0));
    }

    #[test]
    fn names_are_bounded() {
        let crowd = Crowd::new(["/"]);
        let _seats: Vec<Seat> = (0..300).map(|n| crowd.seat(&format!("/{n}"))).collect();
        let _known = crowd.seat("/7");
        let shown = shown(&crowd);
        assert_eq!(shown.len(), NAMESPACES_MAX + 1);
        assert_eq!(shown[8], ("/7".to_owned(), 2));
        assert_eq!(shown[NAMESPACES_MAX], (OTHERS.to_owned(), 201));
    }
}
