//! Sign-ins of the Admin UI that need no password again.

use std::collections::VecDeque;

use mynah_domain::Timestamp;
use mynah_domain::ports::IdSource as _;

use crate::system::{CombIds, session_id};

/// Most sign-ins that are remembered; the oldest goes.
const SESSIONS_MAX: usize = 1_000;
/// How long each is remembered, in milliseconds.
const SESSION_MS: i64 = 24 * 60 * 60 * 1_000;
/// Longest id that is looked at, in bytes; ours have 20.
const ID_BYTES_MAX: usize = 64;

/// The sign-ins, oldest first. They are kept in memory only: a restart forgets them.
#[derive(Debug, Default)]
pub(super) struct Sessions(VecDeque<Kept>);

/// Ids are kept as fingerprints, so that comparing them tells nothing about them.
#[derive(Debug)]
struct Kept {
    fingerprint: String,
    until: Timestamp,
}

impl Sessions {
    /// Remembers a new sign-in; gives its id.
    pub(super) fn open(&mut self, now: Timestamp) -> String {
        self.0.retain(|kept| kept.until > now);
        if self.0.len() >= SESSIONS_MAX {
            self.0.pop_front();
        }
        let id = session_id();
        let fingerprint = CombIds.fingerprint(&id);
        self.0.push_back(Kept { fingerprint, until: Timestamp(now.0 + SESSION_MS) });
        id
    }

    /// Whether a sign-in is remembered.
    pub(super) fn knows(&self, id: &str, now: Timestamp) -> bool {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return false;
        }
        let fingerprint = CombIds.fingerprint(id);
        self.0.iter().any(|kept| kept.until > now && kept.fingerprint == fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_remembered_for_a_day() {
        let mut sessions = Sessions::default();
        let id = sessions.open(Timestamp(0));
        assert!(sessions.knows(&id, Timestamp(SESSION_MS - 1)));
        assert!(!sessions.knows(&id, Timestamp(SESSION_MS)));
        for unknown in ["", "x", &session_id(), &"x".repeat(1_000)] {
            assert!(!sessions.knows(unknown, Timestamp(0)), "{unknown}");
        }
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut sessions = Sessions::default();
        let first = sessions.open(Timestamp(0));
        let second = sessions.open(Timestamp(0));
        for _ in 2..=SESSIONS_MAX {
            sessions.open(Timestamp(1));
        }
        assert_eq!(sessions.0.len(), SESSIONS_MAX);
        assert!(!sessions.knows(&first, Timestamp(1)));
        assert!(sessions.knows(&second, Timestamp(1)));
    }

    #[test]
    fn those_that_ended_make_room() {
        let mut sessions = Sessions::default();
        sessions.open(Timestamp(0));
        sessions.open(Timestamp(SESSION_MS));
        assert_eq!(sessions.0.len(), 1);
    }
}
