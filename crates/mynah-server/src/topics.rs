//! Names of the hub's topics.

use mynah_domain::{RoomId, SessionFamily, TenantId, UserId};
use mynah_hub::Topic;

/// Everything that is said in a room.
pub fn room(id: &RoomId) -> Topic {
    Topic::new(format!("r:{id}"))
}

/// The sockets of a user that hear all the user's rooms by themselves.
pub fn user_everywhere(tenant: &TenantId, user: &UserId) -> Topic {
    Topic::new(format!("u:{}", person(tenant, user)))
}

/// The sockets of a user that join rooms one by one.
pub fn user_by_room(tenant: &TenantId, user: &UserId) -> Topic {
    Topic::new(format!("v:{}", person(tenant, user)))
}

/// A user of a tenant, as one word that names no other: ids may hold any visible character.
pub fn person(tenant: &TenantId, user: &UserId) -> String {
    format!("{}:{tenant}:{user}", tenant.as_str().len())
}

/// Reads what [`person`] wrote.
pub fn read_person(text: &str) -> Option<(TenantId, UserId)> {
    let (length, rest) = text.split_once(':')?;
    let (tenant, user) = rest.split_at_checked(length.parse().ok()?)?;
    Some((TenantId::trusted(tenant), UserId::trusted(user.strip_prefix(':')?)))
}

/// The sockets of one sign-in.
pub fn sign_in(family: &SessionFamily) -> Topic {
    Topic::new(format!("f:{family}"))
}

/// The sign-in of such a topic; `None` for other topics.
pub fn read_sign_in(topic: &Topic) -> Option<SessionFamily> {
    topic.as_str().strip_prefix("f:").map(SessionFamily::trusted)
}
