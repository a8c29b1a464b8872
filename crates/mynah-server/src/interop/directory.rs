//! Our sockets in the joined namespaces, and the Socket.IO rooms that other servers put them into.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use mynah_domain::UserId;
use mynah_hub::{Dialect, SessionId};

/// A socket that has come.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Where.
    pub namespace: String,
    /// Its id there.
    pub sid: String,
    /// The connection, and how it hears the namespace.
    pub heard: Heard,
    /// Whose it is, once that is known.
    pub user: Option<UserId>,
    /// The peer's address.
    pub address: String,
    /// Parameters of its request, without credentials.
    pub query: Vec<(String, String)>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Set when it is sent away.
    pub is_over: Arc<AtomicBool>,
}

/// A connection, and one of the dialects it hears.
pub type Heard = (SessionId, Dialect);

/// A socket and the rooms it was put into.
pub(super) struct Known {
    pub(super) arrived: Arrived,
    pub(super) rooms: BTreeSet<String>,
}

/// Rooms that one socket may be put into.
const ROOMS_MAX: usize = 1_000;

/// All sockets.
#[derive(Default)]
pub(super) struct Sockets {
    by_id: HashMap<(String, String), Known>,
    by_heard: HashMap<Heard, (String, String)>,
    /// Ids in each room of each namespace.
    rooms: HashMap<(String, String), HashSet<String>>,
}

impl Sockets {
    /// Adds a socket, or learns more of it; whether it is new.
    pub(super) fn add(&mut self, arrived: Arrived) -> bool {
        let id = (arrived.namespace.clone(), arrived.sid.clone());
        // A client that comes back may have its old id while its old connection still seems open.
        self.by_heard.insert(arrived.heard, id.clone());
        if let Some(known) = self.by_id.get_mut(&id) {
            known.arrived = arrived;
            return false;
        }
        self.by_id.insert(id, Known { arrived, rooms: BTreeSet::new() });
        true
    }

    /// Forgets a socket; which rooms have none now.
    pub(super) fn remove(&mut self, namespace: &str, sid: &str) -> Vec<String> {
        let id = (namespace.to_owned(), sid.to_owned());
        let Some(known) = self.by_id.remove(&id) else { return Vec::new() };
        self.by_heard.remove(&known.arrived.heard);
        let mut closed = vec![sid.to_owned()];
        closed.extend(known.rooms.iter().filter(|room| self.leave(namespace, sid, room)).cloned());
        closed
    }

    pub(super) fn get(&self, namespace: &str, sid: &str) -> Option<&Known> {
        self.by_id.get(&(namespace.to_owned(), sid.to_owned()))
    }

    /// The socket of a connection.
    pub(super) fn find(&self, namespace: &str, heard: Heard) -> Option<&Known> {
        let id = self.by_heard.get(&heard).filter(|(theirs, _)| theirs == namespace)?;
        self.by_id.get(id)
    }

    /// All of a namespace.
    pub(super) fn all(&self, namespace: &str) -> impl Iterator<Item = &Known> {
        self.by_id.values().filter(move |known| known.arrived.namespace == namespace)
    }

    /// Ids in a room that sockets were put into.
    pub(super) fn in_room(&self, namespace: &str, room: &str) -> Option<&HashSet<String>> {
        self.rooms.get(&(namespace.to_owned(), room.to_owned()))
    }

    /// Puts a socket into a room; whether the room is new.
    pub(super) fn enter(&mut self, namespace: &str, sid: &str, room: &str) -> bool {
        let id = (namespace.to_owned(), sid.to_owned());
        let Some(known) = self.by_id.get_mut(&id) else { return false };
        if known.rooms.len() >= ROOMS_MAX || !known.rooms.insert(room.to_owned()) {
            return false;
        }
        let members = self.rooms.entry((namespace.to_owned(), room.to_owned())).or_default();
        members.insert(sid.to_owned());
        members.len() == 1
    }

    /// Takes a socket out of a room; whether nobody is in it now.
    pub(super) fn leave(&mut self, namespace: &str, sid: &str, room: &str) -> bool {
        let id = (namespace.to_owned(), sid.to_owned());
        if let Some(known) = self.by_id.get_mut(&id) {
            known.rooms.remove(room);
        }
        let key = (namespace.to_owned(), room.to_owned());
        let Some(members) = self.rooms.get_mut(&key) else { return false };
        let is_last = members.remove(sid) && members.is_empty();
        if is_last {
            self.rooms.remove(&key);
        }
        is_last
    }
}
