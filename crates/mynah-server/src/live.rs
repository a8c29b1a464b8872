//! State that is not history: who is typing, who is online.

use std::sync::Arc;

use mynah_domain::message::ReadCursor;
use mynah_domain::presence::PresenceStatus;
use mynah_domain::room::Profile;
use mynah_domain::{RoomId, TenantId, Timestamp, UserId};

/// Whether a user is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Online or offline.
    pub status: PresenceStatus,
    /// When the last connection ended, while offline and known.
    pub last_seen: Option<Timestamp>,
}

/// Handle on the live state.
#[derive(Clone, Default)]
pub struct Live {}

#[expect(clippy::unused_self, clippy::unused_async, reason = "announces nothing yet")]
impl Live {
    /// Announces that somebody types, or has stopped.
    pub async fn typing(&self, _who: &Arc<Profile>, _room: &RoomId, _is_typing: bool) {}

    /// Whether a user is there now.
    pub fn presence(&self, _tenant: &TenantId, _user: &UserId) -> Presence {
        Presence { status: PresenceStatus::Offline, last_seen: None }
    }

    /// Announces that a read cursor moved.
    pub async fn read_moved(&self, _cursor: &ReadCursor) {}
}
