//! Names of the hub's topics.

use mynah_domain::{RoomId, SessionFamily, TenantId, UserId};
use mynah_hub::Topic;

/// Everything that is said in a room.
pub fn room(id: &RoomId) -> Topic {
    Topic::new(format!("r:{id}"))
}

/// The sockets of a user that hear all the user's rooms by themselves.
pub fn user_everywhere(tenant: &TenantId, user: &UserId) -> Topic {
    Topic::new(format!("u:{tenant}:{user}"))
}

/// The sockets of a user that join rooms one by one.
pub fn user_by_room(tenant: &TenantId, user: &UserId) -> Topic {
    Topic::new(format!("v:{tenant}:{user}"))
}

/// The sockets of one sign-in.
pub fn sign_in(family: &SessionFamily) -> Topic {
    Topic::new(format!("f:{family}"))
}
