//! Opaque external ids.
//!
//! Mynah makes ids of 36 characters that look like UUID version 4 with a millisecond prefix
//! (`018f3e2a-7c1b-4d5e-9f00-1a2b3c4d5e6f`); imported ids are kept verbatim. **Nothing is ever sorted
//! by id**: `seq`, `number` and `pos` are the only orders.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest accepted id in bytes.
pub const ID_BYTES_MAX: usize = 64;

/// A text that cannot be an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to {ID_BYTES_MAX} visible characters without spaces")]
pub struct InvalidId;

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes an id as it came from outside.
            ///
            /// # Errors
            /// [`InvalidId`] when it is empty, longer than [`ID_BYTES_MAX`] bytes, or contains spaces
            /// or control characters.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let fits = !text.is_empty()
                    && text.len() <= ID_BYTES_MAX
                    && !text.chars().any(|c| c.is_control() || c.is_whitespace());
                if fits { Ok(Self(text.into())) } else { Err(InvalidId) }
            }

            /// Takes an id that Mynah itself made or stored.
            pub fn trusted(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id_type!(
    /// An isolated customer of one installation; single-tenant installs have `default`.
    TenantId
);
id_type!(
    /// A person or bot with an account.
    UserId
);
id_type!(
    /// A conversation.
    RoomId
);
id_type!(
    /// A chat message.
    MessageId
);
id_type!(
    /// One sign-in: all refresh tokens that descend from it share the family, and revoking the family
    /// ends them and every live connection made with their access tokens.
    SessionFamily
);
id_type!(
    /// Id of a connection to a namespace, which survives changes of transport and reconnects
    /// (Socket.IO: the socket id).
    ConnectionId
);

id_type!(
    /// The Pusher face of a tenant; stands in URLs (`/apps/ID/events`).
    AppId
);

id_type!(
    /// One of the processes that serve an installation.
    NodeId
);

impl TenantId {
    /// The tenant of a single-tenant installation.
    pub fn single() -> Self {
        Self::trusted("default")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_from_outside_are_bounded_and_printable() {
        assert!(RoomId::parse("018f3e2a-7c1b-4d5e-9f00-1a2b3c4d5e6f").is_ok());
        assert!(UserId::parse("user_2abC").is_ok());
        for bad in ["", "a b", "a\nb", &"x".repeat(65)] {
            assert_eq!(RoomId::parse(bad), Err(InvalidId), "{bad:?}");
        }
    }
}
