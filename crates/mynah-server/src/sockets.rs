//! Live connections, as the other doors see them.

use mynah_domain::{SessionFamily, TenantId, UserId};

/// Handle on the live connections.
#[derive(Clone, Default)]
pub struct Sockets {}

#[expect(clippy::unused_self, clippy::unused_async, reason = "no socket door yet")]
impl Sockets {
    /// Ends every connection of a sign-in that was revoked.
    pub async fn end_sign_in(&self, _family: &SessionFamily) {}

    /// Ends every connection of a user.
    pub async fn end_user(&self, _tenant: &TenantId, _user: &UserId) {}
}
