//! What others see of a user.

use crate::UserId;

/// What others see of a user beside a message or membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The user.
    pub id: UserId,
    /// Unique short name.
    pub username: String,
    /// Display name.
    pub name: String,
}
