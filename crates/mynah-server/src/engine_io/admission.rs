//! Who may begin a session now: asked before anything is kept for it.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::rate::RetryAfter;

/// What a client that comes while the server drains is told to wait, in seconds: by then a load
/// balancer has looked away, or the server is back.
const LEAVING_RETRY_S: u64 = 5;

/// Why a session may not begin now.
#[derive(Clone, Copy, Debug)]
pub enum NotNow {
    /// The client has begun too many.
    Limited(RetryAfter),
    /// The server asks its sessions to leave.
    Leaving,
}

impl From<RetryAfter> for NotNow {
    fn from(wait: RetryAfter) -> Self {
        Self::Limited(wait)
    }
}

/// The question put to each request that would begin a session, over polling or as a WebSocket.
type Ask = dyn Fn(&Request) -> Result<(), NotNow> + Send + Sync;

/// Decides on new sessions; an upgrade of a session is none.
#[derive(Clone)]
pub struct Admission(Arc<Ask>);

impl Admission {
    /// Asks `ask` about each new session.
    pub fn new<E: Into<NotNow>>(
        ask: impl Fn(&Request) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |request| ask(request).map_err(Into::into)))
    }

    /// Admits everybody.
    pub fn unlimited() -> Self {
        Self(Arc::new(|_| Ok(())))
    }

    /// Asks about a request that would begin a session.
    ///
    /// # Errors
    /// [`NotNow`]
    pub fn check(&self, request: &Request) -> Result<(), NotNow> {
        (self.0)(request)
    }

    /// `429 Too Many Requests` when the caller must wait, `503 Service Unavailable` when the server
    /// is going; both with `Retry-After`.
    pub(super) fn refusal(&self, request: &Request) -> Option<Response> {
        let (status, seconds, text) = match self.check(request).err()? {
            NotNow::Limited(wait) => {
                (StatusCode::TOO_MANY_REQUESTS, wait.seconds(), "Too many connections")
            }
            NotNow::Leaving => {
                (StatusCode::SERVICE_UNAVAILABLE, LEAVING_RETRY_S, "The server is restarting")
            }
        };
        let headers =
            [(header::RETRY_AFTER, seconds.to_string()), (header::CONNECTION, "close".to_owned())];
        Some((status, headers, text).into_response())
    }
}

impl std::fmt::Debug for Admission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admission")
    }
}
