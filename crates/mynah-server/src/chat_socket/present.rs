//! The sockets that are here now, by their ids: whom a recovering client takes over from.

use std::collections::HashMap;

use mynah_domain::ConnectionId;
use mynah_hub::SessionId;
use parking_lot::Mutex;

use crate::recovery::SocketKey;

#[derive(Debug, Clone, Copy)]
struct Here {
    session: SessionId,
    opens_rooms: bool,
}

/// All sockets that can be recovered.
#[derive(Debug, Default)]
pub struct Present(Mutex<HashMap<SocketKey, Here>>);

impl Present {
    /// A socket is here; gives the connection that had it until now.
    pub(super) fn enter(
        &self,
        key: SocketKey,
        session: SessionId,
        opens_rooms: bool,
    ) -> Option<SessionId> {
        let before = self.0.lock().insert(key, Here { session, opens_rooms });
        before.map(|here| here.session).filter(|before| *before != session)
    }

    /// Takes the socket from the connection that has it, if one does: one taker gets it.
    pub(super) fn take(&self, key: SocketKey) -> Option<SessionId> {
        self.0.lock().remove(&key).map(|here| here.session)
    }

    /// The socket is gone, unless another connection has it by now.
    pub(super) fn leave(&self, key: SocketKey, session: SessionId) {
        let mut here = self.0.lock();
        if here.get(&key).is_some_and(|here| here.session == session) {
            here.remove(&key);
        }
    }

    /// The sockets that may have opened rooms.
    pub fn that_open_rooms(&self) -> Vec<ConnectionId> {
        let here = self.0.lock();
        let opening = here.iter().filter(|(_, here)| here.opens_rooms);
        opening.map(|(key, _)| ConnectionId::trusted(key.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use mynah_domain::Timestamp;

    use super::*;
    use crate::recovery::Recovery;

    #[test]
    fn a_socket_belongs_to_the_connection_that_came_last() {
        let present = Present::default();
        let key = SocketKey::of(&Recovery::issue(None, 0, Timestamp(0)));
        let session = |slot| SessionId { shard: 0, slot, generation: 0 };
        assert_eq!(present.enter(key, session(1), true), None);
        assert_eq!(present.enter(key, session(2), true), Some(session(1)));
        present.leave(key, session(1));
        assert_eq!(present.that_open_rooms().len(), 1);
        assert_eq!(present.take(key), Some(session(2)));
        assert_eq!(present.take(key), None, "only one takes over");
        present.enter(key, session(3), true);
        present.leave(key, session(3));
        assert_eq!(present.take(key), None);
    }
}
