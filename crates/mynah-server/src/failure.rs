//! The error table of the socket doors: every refusal of the house as status, code and sentence.

use std::time::Duration;

use mynah_domain::chat::ChatError;
use mynah_domain::permission::Denied;
use mynah_domain::ports::StoreError;

use crate::identity::IdentityError;
use crate::rate::RetryAfter;
use crate::vocabulary::command::Violation;
use crate::vocabulary::field::Failure;

fn plain(status: u16, code: &'static str, text: impl Into<String>) -> Failure {
    Failure { status, code, text: text.into(), violations: Vec::new(), retry_after_ms: None }
}

impl From<ChatError> for Failure {
    fn from(error: ChatError) -> Self {
        let text = error.to_string();
        match error {
            ChatError::Text(invalid) => Self {
                violations: vec![Violation {
                    path: invalid.field().to_owned(),
                    code: "invalid",
                    message: text.clone(),
                }],
                ..plain(400, "VALIDATION", text)
            },
            ChatError::Id(_) | ChatError::TooManyMembers { .. } => plain(400, "VALIDATION", text),
            ChatError::Denied(denied) => denied.into(),
            ChatError::MissingMessage => plain(404, "MESSAGE_NOT_FOUND", text),
            ChatError::MissingUser(_) => plain(404, "USER_NOT_FOUND", text),
            ChatError::Store(store) => store.into(),
        }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        let text = denied.to_string();
        match denied {
            Denied::Hidden => plain(404, "ROOM_NOT_FOUND", text),
            Denied::NotMember => plain(403, "NOT_A_MEMBER", text),
            Denied::Banned => plain(403, "BANNED", text),
            Denied::Role | Denied::NotAuthor | Denied::DirectRoom | Denied::TargetRole => {
                plain(403, "FORBIDDEN", text)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => plain(507, "STORAGE_FULL", error.to_string()),
            StoreError::Overloaded => {
                Self { retry_after_ms: Some(1_000), ..plain(503, "OVERLOADED", error.to_string()) }
            }
            // What went wrong inside is for the log.
            StoreError::Unavailable(_)
            | StoreError::Ended
            | StoreError::Fenced
            | StoreError::Inconsistent { .. } => {
                tracing::error!(%error, "storage failed");
                Self {
                    retry_after_ms: Some(1_000),
                    ..plain(503, "UNAVAILABLE", "the storage is unavailable; try again shortly")
                }
            }
        }
    }
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        let code = match error {
            IdentityError::Expired => "TOKEN_EXPIRED",
            IdentityError::Revoked => "TOKEN_REVOKED",
            IdentityError::Unavailable => {
                return Self {
                    retry_after_ms: Some(1_000),
                    ..plain(503, "UNAVAILABLE", error.to_string())
                };
            }
            IdentityError::Missing
            | IdentityError::Malformed
            | IdentityError::BadSignature
            | IdentityError::UnknownUser => "UNAUTHORIZED",
        };
        plain(401, code, error.to_string())
    }
}

impl From<RetryAfter> for Failure {
    fn from(limit: RetryAfter) -> Self {
        Self {
            retry_after_ms: Some(limit.ms),
            ..plain(429, "RATE_LIMITED", format!("too many requests; try again in {} ms", limit.ms))
        }
    }
}

/// A request whose inputs are wrong.
pub fn invalid(violations: Vec<Violation>) -> Failure {
    let text = violations.first().map_or("invalid input", |v| v.message.as_str()).to_owned();
    Failure { violations, ..plain(400, "VALIDATION", text) }
}

/// An event with binary data, where no command takes any.
pub fn binary() -> Failure {
    plain(400, "VALIDATION", "binary data is not taken here: send JSON")
}

/// A user with more connections than allowed.
pub fn too_many_connections() -> Failure {
    Failure {
        retry_after_ms: Some(5_000),
        ..plain(
            429,
            "TOO_MANY_CONNECTIONS",
            "too many connections of this user; close others first",
        )
    }
}

impl Failure {
    /// The time after which to try again, if the reason has nothing to do with who asks and what for.
    ///
    /// Example: 1 s for a store that does not answer, nothing for a token that is too old.
    pub fn passes_within(&self) -> Option<Duration> {
        match self.code {
            "UNAVAILABLE" | "OVERLOADED" | "STORAGE_FULL" => {
                Some(Duration::from_millis(self.retry_after_ms.unwrap_or(5_000)))
            }
            _ => None,
        }
    }
}

/// Too many others come in at the same time.
pub fn too_many_at_once() -> Failure {
    Failure {
        retry_after_ms: Some(1_000),
        ..plain(503, "OVERLOADED", "too many connect at once; try again in a few seconds")
    }
}

/// This node does not hear from the others what is said to the client, so that it would miss things.
pub fn not_heard_yet() -> Failure {
    Failure {
        retry_after_ms: Some(1_000),
        ..plain(503, "UNAVAILABLE", "this node does not hear the others; try again shortly")
    }
}

/// A client that did not authenticate in time.
pub fn not_authenticated_in_time() -> Failure {
    plain(401, "AUTH_TIMEOUT", "authenticate was not received in time")
}

/// A token of somebody else than the one who is connected, or claims to be.
pub fn another_users_token() -> Failure {
    plain(
        403,
        "FORBIDDEN",
        "the access token belongs to another user; connect anew to change users",
    )
}

/// An event that the vocabulary does not know.
pub fn unknown_event(event: &str) -> Failure {
    let shown: String = event.chars().take(64).collect();
    plain(400, "UNKNOWN_EVENT", format!("unknown event {shown:?}"))
}

#[cfg(test)]
mod tests {
    use mynah_domain::text::InvalidText;
    use mynah_domain::{RoomId, UserId};

    use super::*;

    #[test]
    fn every_refusal_of_the_house_has_a_status_and_a_code() {
        let missing_user = ChatError::MissingUser(UserId::trusted("u"));
        let bad_id = ChatError::Id(RoomId::parse("").expect_err("empty"));
        for (error, status, code) in [
            (ChatError::Text(InvalidText::Empty { field: "content" }), 400, "VALIDATION"),
            (bad_id, 400, "VALIDATION"),
            (ChatError::TooManyMembers { max: 1 }, 400, "VALIDATION"),
            (ChatError::Denied(Denied::Hidden), 404, "ROOM_NOT_FOUND"),
            (ChatError::Denied(Denied::NotMember), 403, "NOT_A_MEMBER"),
            (ChatError::Denied(Denied::Banned), 403, "BANNED"),
            (ChatError::Denied(Denied::Role), 403, "FORBIDDEN"),
            (ChatError::Denied(Denied::NotAuthor), 403, "FORBIDDEN"),
            (ChatError::Denied(Denied::DirectRoom), 403, "FORBIDDEN"),
            (ChatError::Denied(Denied::TargetRole), 403, "FORBIDDEN"),
            (ChatError::MissingMessage, 404, "MESSAGE_NOT_FOUND"),
            (missing_user, 404, "USER_NOT_FOUND"),
            (ChatError::Store(StoreError::Full), 507, "STORAGE_FULL"),
            (ChatError::Store(StoreError::Overloaded), 503, "OVERLOADED"),
            (ChatError::Store(StoreError::Unavailable("secret".into())), 503, "UNAVAILABLE"),
            (ChatError::Store(StoreError::Ended), 503, "UNAVAILABLE"),
            (ChatError::Store(StoreError::Fenced), 503, "UNAVAILABLE"),
        ] {
            let failure = Failure::from(error.clone());
            assert_eq!((failure.status, failure.code), (status, code), "{error:?}");
            assert!(!failure.text.contains("secret"), "inner reasons stay inside: {error:?}");
        }
    }
}
