//! Names of channels and what they say about them.

use std::fmt;
use std::sync::Arc;

const PRIVATE: &str = "private-";
const PRESENCE: &str = "presence-";
const ENCRYPTED: &str = "private-encrypted-";
const CACHE: &str = "cache-";
const USER: &str = "#server-to-user-";

/// Who may subscribe to a channel, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// No prefix: everybody.
    Public,
    /// `private-`: with a signature.
    Private,
    /// `private-encrypted-`: with a signature; the server cannot read the events.
    Encrypted,
    /// `presence-`: with a signature over who the subscriber is.
    Presence,
    /// `#server-to-user-ID`: the signed-in user alone.
    User,
}

impl ChannelKind {
    /// Whether subscribing needs a signature.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Private | Self::Encrypted | Self::Presence)
    }

    /// Whether clients may send events to it: not to everybody's channels, and not to channels
    /// whose events the receivers would have to decrypt.
    pub fn takes_client_events(self) -> bool {
        matches!(self, Self::Private | Self::Presence)
    }
}

/// A valid name of a channel, cheap to clone.
///
/// `[A-Za-z0-9_\-=@,.;]+`, of a kind told by its prefix, which counts at the start only:
/// `my-private-room` is public. `cache-` after the prefix makes the channel remember its last
/// event. Source: the expressions of the official server libraries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(Arc<str>);

/// Why a text is no name of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChannelNameError {
    /// Nothing, or nothing after `#server-to-user-`.
    #[error("The channel name is empty.")]
    Empty,
    /// More characters than allowed.
    #[error("The channel name is longer than the allowed {chars_max} characters.")]
    TooLong {
        /// The limit.
        chars_max: usize,
    },
    /// A character no name may have.
    #[error("The channel name has characters that are not allowed.")]
    Characters,
}

impl ChannelName {
    /// Checks a name of at most `chars_max` characters.
    ///
    /// # Errors
    /// [`ChannelNameError`], which shows itself as a sentence for the client.
    pub fn parse(name: &str, chars_max: usize) -> Result<Self, ChannelNameError> {
        let of_user = name.strip_prefix(USER);
        let rest = of_user.unwrap_or(name);
        if rest.is_empty() {
            return Err(ChannelNameError::Empty);
        }
        if rest.len() > chars_max && rest.chars().nth(chars_max).is_some() {
            return Err(ChannelNameError::TooLong { chars_max });
        }
        let is_valid = match of_user {
            // Ids of users are any text.
            Some(id) => !id.chars().any(char::is_control),
            None => name.bytes().all(is_name_byte),
        };
        if is_valid { Ok(Self(name.into())) } else { Err(ChannelNameError::Characters) }
    }

    /// The channel of one user, as [`Self::parse`] would read it.
    ///
    /// # Errors
    /// [`ChannelNameError`] if the id is empty, longer than `chars_max` or holds control
    /// characters.
    pub fn of_user(user_id: &str, chars_max: usize) -> Result<Self, ChannelNameError> {
        Self::parse(&format!("{USER}{user_id}"), chars_max)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The kind its prefix tells.
    pub fn kind(&self) -> ChannelKind {
        if self.0.starts_with(ENCRYPTED) {
            ChannelKind::Encrypted
        } else if self.0.starts_with(PRIVATE) {
            ChannelKind::Private
        } else if self.0.starts_with(PRESENCE) {
            ChannelKind::Presence
        } else if self.0.starts_with(USER) {
            ChannelKind::User
        } else {
            ChannelKind::Public
        }
    }

    /// Whether the channel remembers its last event.
    pub fn is_cache(&self) -> bool {
        let prefix = match self.kind() {
            ChannelKind::Public => "",
            ChannelKind::Private => PRIVATE,
            ChannelKind::Encrypted => ENCRYPTED,
            ChannelKind::Presence => PRESENCE,
            ChannelKind::User => return false,
        };
        self.0.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(CACHE))
    }

    /// Whose channel it is, if of [`ChannelKind::User`].
    pub fn user_id(&self) -> Option<&str> {
        self.0.strip_prefix(USER)
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte)
}
