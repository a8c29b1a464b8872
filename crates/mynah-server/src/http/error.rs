//! The one table from refusals to HTTP status, code and text.
//!
//! Handlers return [`ApiError`]; it travels as a [`Refusal`] in the response's extensions, and
//! `render` writes the body, because only there the request's path, method and id are known.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use mynah_domain::account::AccountError;
use mynah_domain::chat::ChatError;
use mynah_domain::permission::Denied;
use mynah_domain::ports::StoreError;
use mynah_domain::text::InvalidText;

use super::fields::Violation;
use crate::codes;
use crate::identity::IdentityError;
use crate::rate::RetryAfter;

/// What a handler answers.
pub(crate) type Answer = Result<Response, ApiError>;

/// Everything a handler may be refused with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error(transparent)]
    Chat(#[from] ChatError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error("Too Many Requests")]
    Limited(RetryAfter),
}

/// Requests that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("the input breaks {} rule(s)", .0.len())]
    Violations(Vec<Violation>),
    /// The text names the position.
    #[error("{0}")]
    MalformedJson(String),
    #[error("the body must be application/json")]
    NotJson,
    #[error("request entity too large: at most {max} bytes")]
    TooLarge { max: usize },
    #[error("the body ended early")]
    BrokenBody,
    #[error("Cannot {method} {path}")]
    NoRoute { method: String, path: String },
    #[error("{0} is not allowed here")]
    WrongMethod(String),
}

/// A refusal on its way to be written.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) text: String,
    pub(crate) violations: Vec<Violation>,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) limit: Option<RetryAfter>,
    /// Whether a Nest guard would have answered a plain `Unauthorized`.
    pub(crate) bare_unauthorized: bool,
}

impl Refusal {
    /// For answers that did not come from a handler of ours.
    pub(crate) fn bare(status: StatusCode) -> Self {
        let (code, text) = match status {
            StatusCode::METHOD_NOT_ALLOWED => ("METHOD_NOT_ALLOWED", "Method Not Allowed"),
            StatusCode::INTERNAL_SERVER_ERROR => (codes::INTERNAL, "Internal server error"),
            other => ("BAD_REQUEST", other.canonical_reason().unwrap_or("Bad Request")),
        };
        let text = text.to_owned();
        Self {
            status,
            code,
            text,
            violations: Vec::new(),
            retry_after_s: None,
            limit: None,
            bare_unauthorized: false,
        }
    }
}

/// Status, name, and after how many seconds another try makes sense.
struct Row(StatusCode, &'static str, Option<u64>);

fn chat_row(error: &ChatError) -> Row {
    let status = match error {
        ChatError::Text(_) | ChatError::Id(_) | ChatError::TooManyMembers { .. } => {
            StatusCode::BAD_REQUEST
        }
        ChatError::Denied(denied) => denied_status(*denied),
        ChatError::MissingMessage | ChatError::MissingUser(_) => StatusCode::NOT_FOUND,
        ChatError::Store(error) => return store_row(error),
    };
    Row(status, codes::chat(error), None)
}

fn denied_status(denied: Denied) -> StatusCode {
    match denied {
        Denied::Hidden => StatusCode::NOT_FOUND,
        Denied::NotMember
        | Denied::Banned
        | Denied::Role
        | Denied::NotAuthor
        | Denied::DirectRoom
        | Denied::TargetRole => StatusCode::FORBIDDEN,
    }
}

fn store_row(error: &StoreError) -> Row {
    let (status, wait) = match error {
        StoreError::Full => (StatusCode::INSUFFICIENT_STORAGE, None),
        StoreError::Overloaded | StoreError::Fenced => (StatusCode::SERVICE_UNAVAILABLE, Some(1)),
        StoreError::Unavailable(_) | StoreError::Ended => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(5))
        }
        StoreError::Inconsistent { .. } => (StatusCode::INTERNAL_SERVER_ERROR, None),
    };
    Row(status, codes::store(error), wait)
}

fn account_row(error: &AccountError) -> Row {
    let (status, wait) = match error {
        AccountError::Text(_) => (StatusCode::BAD_REQUEST, None),
        AccountError::Taken { .. } => (StatusCode::CONFLICT, None),
        AccountError::WrongCredentials
        | AccountError::InvalidRefresh
        | AccountError::RefreshReused { .. } => (StatusCode::UNAUTHORIZED, None),
        AccountError::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(1)),
        AccountError::MissingUser => (StatusCode::NOT_FOUND, None),
        AccountError::Store(error) => return store_row(error),
    };
    Row(status, codes::account(error), wait)
}

fn identity_row(error: IdentityError) -> Row {
    let (status, wait) = match error {
        IdentityError::Missing
        | IdentityError::Malformed
        | IdentityError::Expired
        | IdentityError::BadSignature
        | IdentityError::Revoked
        | IdentityError::UnknownUser => (StatusCode::UNAUTHORIZED, None),
        IdentityError::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, Some(5)),
    };
    Row(status, codes::identity(error), wait)
}

fn input_row(error: &InputError) -> Row {
    let row = |status, code| Row(status, code, None);
    match error {
        InputError::Violations(_) => row(StatusCode::BAD_REQUEST, codes::VALIDATION),
        InputError::MalformedJson(_) => row(StatusCode::BAD_REQUEST, "MALFORMED_JSON"),
        InputError::BrokenBody => row(StatusCode::BAD_REQUEST, "BROKEN_BODY"),
        InputError::NotJson => row(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        InputError::TooLarge { .. } => row(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE"),
        InputError::NoRoute { .. } => row(StatusCode::NOT_FOUND, "NO_ROUTE"),
        InputError::WrongMethod(_) => row(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
    }
}

impl ApiError {
    fn row(&self) -> Row {
        match self {
            Self::Chat(error) => chat_row(error),
            Self::Account(error) => account_row(error),
            Self::Identity(error) => identity_row(*error),
            Self::Input(error) => input_row(error),
            Self::Limited(wait) => {
                Row(StatusCode::TOO_MANY_REQUESTS, codes::RATE_LIMITED, Some(wait.seconds()))
            }
        }
    }

    fn store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Chat(ChatError::Store(error)) | Self::Account(AccountError::Store(error)) => {
                Some(error)
            }
            Self::Chat(_)
            | Self::Account(_)
            | Self::Identity(_)
            | Self::Input(_)
            | Self::Limited(_) => None,
        }
    }

    /// The text for the client: what the error says, but nothing of the store's insides.
    fn text(&self) -> String {
        match self.store_error() {
            Some(StoreError::Unavailable(_) | StoreError::Ended | StoreError::Fenced) => {
                "the storage is unavailable".to_owned()
            }
            Some(StoreError::Inconsistent { .. }) => "Internal server error".to_owned(),
            Some(StoreError::Full | StoreError::Overloaded) | None => self.to_string(),
        }
    }

    fn violations(self) -> Vec<Violation> {
        match self {
            Self::Chat(ChatError::Text(text)) | Self::Account(AccountError::Text(text)) => {
                vec![Violation::of(&text)]
            }
            Self::Input(InputError::Violations(violations)) => violations,
            Self::Chat(_)
            | Self::Account(_)
            | Self::Identity(_)
            | Self::Input(_)
            | Self::Limited(_) => Vec::new(),
        }
    }
}

impl From<InvalidText> for ApiError {
    fn from(text: InvalidText) -> Self {
        Self::Chat(ChatError::Text(text))
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        Self::Chat(ChatError::Denied(denied))
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let Row(status, code, retry_after_s) = error.row();
        if let Some(error) = error.store_error() {
            tracing::error!(%error, "a request met a failing store");
        }
        let limit = if let ApiError::Limited(wait) = &error { Some(*wait) } else { None };
        let bare_unauthorized =
            matches!(error, ApiError::Identity(_)) && status == StatusCode::UNAUTHORIZED;
        let text = error.text();
        let violations = error.violations();
        Self { status, code, text, violations, retry_after_s, limit, bare_unauthorized }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refusal = Refusal::from(self);
        let mut response = refusal.status.into_response();
        response.extensions_mut().insert(refusal);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::{Bucket, Rate};
    use mynah_domain::id::InvalidId;
    use mynah_domain::{SessionFamily, UserId};

    fn store_errors() -> [(StoreError, u16, &'static str); 6] {
        [
            (StoreError::Full, 507, "STORAGE_FULL"),
            (StoreError::Overloaded, 503, "OVERLOADED"),
            (StoreError::Unavailable("disk 7".into()), 503, "UNAVAILABLE"),
            (StoreError::Ended, 503, "UNAVAILABLE"),
            (StoreError::Fenced, 503, "UNAVAILABLE"),
            (StoreError::Inconsistent { table: "rooms", id: "7".into() }, 500, "INTERNAL"),
        ]
    }

    #[test]
    fn chat_refusals_have_their_status_and_code() {
        let text = InvalidText::Empty { field: "content" };
        let missing_user = ChatError::MissingUser(UserId::trusted("u"));
        let rows: [(ChatError, u16, &str); 12] = [
            (text.into(), 400, "VALIDATION"),
            (InvalidId.into(), 400, "INVALID_ID"),
            (Denied::Hidden.into(), 404, "ROOM_NOT_FOUND"),
            (Denied::NotMember.into(), 403, "NOT_A_MEMBER"),
            (Denied::Banned.into(), 403, "BANNED"),
            (Denied::Role.into(), 403, "INSUFFICIENT_ROLE"),
            (Denied::NotAuthor.into(), 403, "NOT_AUTHOR"),
            (Denied::DirectRoom.into(), 403, "DIRECT_ROOM"),
            (Denied::TargetRole.into(), 403, "TARGET_ROLE"),
            (ChatError::MissingMessage, 404, "MESSAGE_NOT_FOUND"),
            (missing_user, 404, "USER_NOT_FOUND"),
            (ChatError::TooManyMembers { max: 100 }, 400, "TOO_MANY_MEMBERS"),
        ];
        for (error, status, code) in rows {
            let refusal = Refusal::from(ApiError::from(error));
            assert_eq!((refusal.status.as_u16(), refusal.code), (status, code));
        }
        for (error, status, code) in store_errors() {
            let refusal = Refusal::from(ApiError::Chat(error.into()));
            assert_eq!((refusal.status.as_u16(), refusal.code), (status, code));
            assert!(!refusal.text.contains("disk 7") && !refusal.text.contains("rooms"));
        }
    }

    #[test]
    fn account_refusals_have_their_status_and_code() {
        let reused = AccountError::RefreshReused { family: SessionFamily::trusted("f") };
        let text = InvalidText::TooShort { field: "password", min: 8 };
        let rows: [(AccountError, u16, &str, Option<u64>); 8] = [
            (text.into(), 400, "VALIDATION", None),
            (AccountError::Taken { field: "email" }, 409, "EMAIL_TAKEN", None),
            (AccountError::Taken { field: "username" }, 409, "USERNAME_TAKEN", None),
            (AccountError::WrongCredentials, 401, "WRONG_CREDENTIALS", None),
            (AccountError::InvalidRefresh, 401, "INVALID_REFRESH_TOKEN", None),
            (reused, 401, "TOKEN_REUSED", None),
            (AccountError::Busy, 503, "BUSY", Some(1)),
            (AccountError::MissingUser, 404, "USER_NOT_FOUND", None),
        ];
        for (error, status, code, wait) in rows {
            let refusal = Refusal::from(ApiError::from(error));
            assert_eq!((refusal.status.as_u16(), refusal.code), (status, code));
            assert_eq!(refusal.retry_after_s, wait);
        }
        for (error, status, code) in store_errors() {
            let refusal = Refusal::from(ApiError::Account(error.into()));
            assert_eq!((refusal.status.as_u16(), refusal.code), (status, code));
        }
    }

    #[test]
    fn identity_and_input_refusals_have_their_status_and_code() {
        let limited =
            RetryAfter { bucket: Bucket::Send, rate: Rate { count: 200, window_s: 60 }, ms: 1_200 };
        let no_route = InputError::NoRoute { method: "GET".into(), path: "/nope".into() };
        let rows: [(ApiError, u16, &str); 15] = [
            (IdentityError::Missing.into(), 401, "UNAUTHORIZED"),
            (IdentityError::Malformed.into(), 401, "TOKEN_INVALID"),
            (IdentityError::BadSignature.into(), 401, "TOKEN_INVALID"),
            (IdentityError::Expired.into(), 401, "TOKEN_EXPIRED"),
            (IdentityError::Revoked.into(), 401, "TOKEN_REVOKED"),
            (IdentityError::UnknownUser.into(), 401, "UNKNOWN_USER"),
            (IdentityError::Unavailable.into(), 503, "UNAVAILABLE"),
            (InputError::Violations(Vec::new()).into(), 400, "VALIDATION"),
            (InputError::MalformedJson(String::new()).into(), 400, "MALFORMED_JSON"),
            (InputError::BrokenBody.into(), 400, "BROKEN_BODY"),
            (InputError::NotJson.into(), 415, "UNSUPPORTED_MEDIA_TYPE"),
            (InputError::TooLarge { max: 1 }.into(), 413, "BODY_TOO_LARGE"),
            (no_route.into(), 404, "NO_ROUTE"),
            (InputError::WrongMethod("PUT".into()).into(), 405, "METHOD_NOT_ALLOWED"),
            (ApiError::Limited(limited), 429, "RATE_LIMITED"),
        ];
        for (error, status, code) in rows {
            let refusal = Refusal::from(error);
            assert_eq!((refusal.status.as_u16(), refusal.code), (status, code));
        }
    }
}
