//! Why the chat does not let somebody subscribe.

use mynah_domain::chat::ChatError;
use mynah_domain::ports::StoreError;

/// Why the chat does not let somebody subscribe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeRefused {
    /// They may not, and why: a sentence for `pusher:subscription_error`.
    #[error("{0}")]
    Forbidden(String),
    /// The store cannot be asked now: nothing is decided.
    #[error("The chat cannot be asked now. Try again shortly.")]
    Undecided,
    /// Nobody can decide it, however often it is tried; the log says why.
    #[error("The chat cannot decide this: something that is stored is wrong.")]
    Broken,
}

impl SubscribeRefused {
    pub(super) fn forbidden(error: impl Into<String>) -> Self {
        Self::Forbidden(error.into())
    }

    /// They are not in the room, or there is none.
    pub(super) fn no_member() -> Self {
        Self::forbidden("You do not take part in this conversation.")
    }
}

impl From<StoreError> for SubscribeRefused {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "who may hear a channel could not be decided");
        if error.may_pass() { Self::Undecided } else { Self::Broken }
    }
}

impl From<ChatError> for SubscribeRefused {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::Store(error) => error.into(),
            ChatError::Denied(_)
            | ChatError::Text(_)
            | ChatError::Id(_)
            | ChatError::MissingMessage
            | ChatError::MissingUser(_)
            | ChatError::TooManyMembers { .. } => Self::no_member(),
        }
    }
}
