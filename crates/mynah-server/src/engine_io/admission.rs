//! Who may begin a session now: asked before anything is kept for it.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::rate::RetryAfter;

/// The question put to each request that would begin a session, over polling or as a WebSocket.
type Ask = dyn Fn(&Request) -> Result<(), RetryAfter> + Send + Sync;

/// Decides on new sessions; an upgrade of a session is none.
#[derive(Clone)]
pub struct Admission(Arc<Ask>);

impl Admission {
    /// Asks `ask` about each new session.
    pub fn new(ask: impl Fn(&Request) -> Result<(), RetryAfter> + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    /// Admits everybody.
    pub fn unlimited() -> Self {
        Self::new(|_| Ok(()))
    }

    /// `429 Too Many Requests` with `Retry-After` when the caller must wait.
    pub(super) fn refusal(&self, request: &Request) -> Option<Response> {
        let wait = (self.0)(request).err()?;
        let headers = [
            (header::RETRY_AFTER, wait.seconds().to_string()),
            (header::CONNECTION, "close".to_owned()),
        ];
        Some((StatusCode::TOO_MANY_REQUESTS, headers, "Too many connections").into_response())
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admission")
    }
}
