//! Socket ids hold the session's id in the hub, mixed with numbers drawn at the start: to leave a socket out
//! of an event, nothing needs to be looked up.

use mynah_hub::SessionId;
use mynah_protocol::pusher::SocketId;

const RANDOM_BITS: u32 = 48;

/// The numbers of this process.
pub(super) struct SocketIds {
    keys: [u64; 2],
}

impl SocketIds {
    pub(super) fn new() -> Self {
        Self { keys: [random(), random()] }
    }

    /// The id of a session on the wire; no two sessions of any process share one.
    pub(super) fn of(&self, id: SessionId) -> SocketId {
        let [first, second] = self.keys;
        let place = u64::from(id.slot) << 32 | u64::from(id.generation);
        let rest = u64::from(id.shard) << RANDOM_BITS | random() >> (64 - RANDOM_BITS);
        SocketId::new(place ^ first, rest ^ second)
    }

    /// The session behind an id. An id that this process did not give out names one that does not exist
    /// or, with luck, one that nobody asked for; it must not be trusted with more than leaving that out.
    pub(super) fn session(&self, id: SocketId) -> SessionId {
        let (high, low) = id.parts();
        let [first, second] = self.keys;
        let place = high ^ first;
        let shard = ((low ^ second) >> RANDOM_BITS) as u16;
        SessionId { shard, slot: (place >> 32) as u32, generation: place as u32 }
    }
}

/// Without randomness ids are unique for the process only.
fn random() -> u64 {
    getrandom::u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_id_leads_back_to_its_session() {
        let ids = SocketIds::new();
        for (shard, slot, generation) in [(0, 0, 0), (3, 17, 5), (u16::MAX, u32::MAX, u32::MAX)] {
            let session = SessionId { shard, slot, generation };
            let (one, other) = (ids.of(session), ids.of(session));
            assert_eq!((ids.session(one), ids.session(other)), (session, session));
            assert_ne!(one, other, "another session's id differs, whenever it is");
            assert_eq!(one.to_string().parse(), Ok(one));
        }
    }
}
