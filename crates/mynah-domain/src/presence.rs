//! Rules for what is state, not history: who is online and who is typing.

/// A typing notice ends by itself after this time, in milliseconds.
pub const TYPING_TTL_MS: u64 = 6_000;
/// A running typing notice is passed on again at most this often, in milliseconds.
pub const TYPING_REFRESH_MIN_MS: u64 = 2_000;
/// How long a user stays online after the last connection ended, in milliseconds: a page reload is not
/// an absence.
pub const OFFLINE_GRACE_MS: u64 = 3_000;
/// Presence is announced into rooms of at most this many members; larger rooms are asked instead.
/// Announcing costs members × arrivals, which in a room of thousands is a storm of its own.
pub const ANNOUNCED_ROOM_MEMBERS_MAX: u64 = 200;

/// Whether a user has a live connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PresenceStatus {
    /// At least one live connection, or one that ended within [`OFFLINE_GRACE_MS`].
    Online,
    /// None.
    Offline,
}

impl PresenceStatus {
    /// The canonical word: `online` or `offline`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }
}
