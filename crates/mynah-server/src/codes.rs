//! Names of refusals, the same at every door: `code` in REST problems and in socket acks.

use mynah_domain::account::AccountError;
use mynah_domain::chat::ChatError;
use mynah_domain::permission::Denied;
use mynah_domain::ports::StoreError;

use crate::identity::IdentityError;

/// An input breaks a rule; the message names the field.
pub const VALIDATION: &str = "VALIDATION";
/// A rate limit was hit.
pub const RATE_LIMITED: &str = "RATE_LIMITED";
/// A fault of ours.
pub const INTERNAL: &str = "INTERNAL";

/// Name of a refusal by the chat use cases, e.g. `ROOM_NOT_FOUND`.
pub fn chat(error: &ChatError) -> &'static str {
    match error {
        ChatError::Text(_) => VALIDATION,
        ChatError::Id(_) => "INVALID_ID",
        ChatError::Denied(denied) => self::denied(*denied),
        ChatError::MissingMessage => "MESSAGE_NOT_FOUND",
        ChatError::MissingUser(_) => "USER_NOT_FOUND",
        ChatError::TooManyMembers { .. } => "TOO_MANY_MEMBERS",
        ChatError::Store(error) => store(error),
    }
}

/// Name of a refusal by the permission table.
pub fn denied(denied: Denied) -> &'static str {
    match denied {
        Denied::Hidden => "ROOM_NOT_FOUND",
        Denied::NotMember => "NOT_A_MEMBER",
        Denied::Banned => "BANNED",
        Denied::Role => "INSUFFICIENT_ROLE",
        Denied::NotAuthor => "NOT_AUTHOR",
        Denied::DirectRoom => "DIRECT_ROOM",
        Denied::TargetRole => "TARGET_ROLE",
    }
}

/// Name of a store's failure, e.g. `STORAGE_FULL`.
pub fn store(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full => "STORAGE_FULL",
        StoreError::Overloaded => "OVERLOADED",
        StoreError::Unavailable(_) | StoreError::Ended | StoreError::Fenced => "UNAVAILABLE",
        StoreError::Inconsistent { .. } => INTERNAL,
    }
}

/// Name of a refusal by the account use cases, e.g. `TOKEN_REUSED`.
pub fn account(error: &AccountError) -> &'static str {
    match error {
        AccountError::Text(_) => VALIDATION,
        AccountError::Taken { field: "email" } => "EMAIL_TAKEN",
        AccountError::Taken { .. } => "USERNAME_TAKEN",
        AccountError::WrongCredentials => "WRONG_CREDENTIALS",
        AccountError::InvalidRefresh => "INVALID_REFRESH_TOKEN",
        AccountError::RefreshReused { .. } => "TOKEN_REUSED",
        AccountError::Busy => "BUSY",
        AccountError::MissingUser => "USER_NOT_FOUND",
        AccountError::Store(error) => store(error),
    }
}

/// Name of a refused access token, e.g. `TOKEN_EXPIRED`.
pub fn identity(error: IdentityError) -> &'static str {
    match error {
        IdentityError::Missing => "UNAUTHORIZED",
        IdentityError::Malformed | IdentityError::BadSignature => "TOKEN_INVALID",
        IdentityError::Expired => "TOKEN_EXPIRED",
        IdentityError::Revoked => "TOKEN_REVOKED",
        IdentityError::UnknownUser => "UNKNOWN_USER",
        IdentityError::Unavailable => "UNAVAILABLE",
    }
}
