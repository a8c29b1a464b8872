//! Refusals of the HTTP API: Pusher's statuses with Soketi's bodies.

use axum::Json;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mynah_protocol::pusher::http::{
    APP_DISABLED, AUTHENTICATION_FAILED, BODY_TOO_LARGE, TOO_MANY_REQUESTS, app_not_found,
};
use serde::Serialize;

use super::windows::Full;

/// Why a call is refused.
///
/// `{"error":"The secret authentication failed","code":401,"reason":"auth_timestamp is …"}`: `error` is
/// Soketi's text, letter by letter, where Soketi has one; `reason` says more and may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) reason: Option<String>,
    pub(super) full: Option<Full>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), reason: None, full: None }
    }

    pub(super) fn bad(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// The request is not signed, or not as it should be.
    pub(super) fn unsigned(reason: impl Into<String>) -> Self {
        let refusal = Self::new(StatusCode::UNAUTHORIZED, AUTHENTICATION_FAILED);
        Self { reason: Some(reason.into()), ..refusal }
    }

    pub(super) fn no_app(id: &str) -> Self {
        let id: String = id.chars().take(64).collect();
        Self::new(StatusCode::NOT_FOUND, app_not_found(&id))
    }

    pub(super) fn disabled() -> Self {
        Self::new(StatusCode::FORBIDDEN, APP_DISABLED)
    }

    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, BODY_TOO_LARGE)
    }

    /// The store does not answer; the caller may try again.
    pub(super) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "A server error has occurred.")
    }

    /// A fault of ours.
    pub(super) fn failed() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "A server error has occurred.")
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, TOO_MANY_REQUESTS);
        Self { full: Some(full), ..refusal }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let code = self.status.as_u16();
        let body = Body { error: &self.error, code, reason: self.reason.as_deref() };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(full) = self.full {
            headers.insert(RETRY_AFTER, HeaderValue::from(full.retry_after_s()));
            full.left().tell(headers);
        } else if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(1_u16));
        }
        response
    }
}
