//! What is kept of a connection, so that it can go on after its transport or the server is gone.

use std::fmt;

use crate::RoomId;

/// Open rooms kept of one viewer's connection at most.
pub const OPEN_ROOMS_MAX: usize = 200;

/// One life of the log. A log that was taken back to an earlier state (a restored backup) begins another: the
/// same `seq` and `pos` then name other events, so what somebody has seen in one life says nothing in another.
///
/// ```
/// use mynah_domain::recovery::LogEpoch;
/// assert_eq!(LogEpoch(0xa1b2).to_string(), "000000000000a1b2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogEpoch(pub u64);

impl LogEpoch {
    /// Whether a client that names this epoch (`None`: it names none) speaks of this log. Texts that no server
    /// has given out are another epoch.
    pub fn is_of(self, named: Option<&str>) -> bool {
        named.is_none_or(|named| named == self.to_string())
    }
}

impl fmt::Display for LogEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Place in what a connection was sent: after the event with that `pos`, the `nth` frame meant for it
/// alone (0: the event itself). Orders as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// `pos` of the last event before or at the place.
    pub pos: u64,
    /// Frames for this connection alone since that event.
    pub nth: u32,
}

/// A room that a connection has opened: it hears it from `after_seq` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRoom {
    /// The room.
    pub room: RoomId,
    /// Events of the room with a higher `seq` belong to the connection.
    pub after_seq: u64,
    /// Where in what it was sent the room's history was shown.
    pub shown: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_ones_own_lie_between_two_events() {
        let event = Place { pos: 7, nth: 0 };
        let own = Place { pos: 7, nth: 1 };
        let next = Place { pos: 8, nth: 0 };
        assert!(event < own && own < next);
    }
}
