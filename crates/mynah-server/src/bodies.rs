//! Reading request bodies, with a bound.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

/// Most bytes that are taken and thrown away of a body that is too large.
const DISCARDED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long that may take.
const DISCARDED_TIME_MAX: Duration = Duration::from_secs(5);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// More bytes than allowed; an announced length is refused before anything is read.
    TooLarge,
    /// It broke off, or is no HTTP body.
    Broken,
}

/// A request's whole body of at most `max` bytes.
pub(crate) async fn whole(
    headers: &HeaderMap,
    mut body: Body,
    max: usize,
) -> Result<Bytes, BodyError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let collected = if announced.is_some_and(|length: u64| length > max as u64) {
        None
    } else {
        Some(Limited::new(&mut body, max).collect().await)
    };
    match collected {
        Some(Ok(collected)) => Ok(collected.to_bytes()),
        Some(Err(error)) if !error.is::<LengthLimitError>() => Err(BodyError::Broken),
        Some(Err(_)) | None => {
            discard(&mut body).await;
            Err(BodyError::TooLarge)
        }
    }
}

/// Takes the rest of a body that is too large, without keeping it. A connection closed with unread data
/// is reset, and the client would see that instead of the answer. What still comes after
/// [`DISCARDED_BYTES_MAX`] or [`DISCARDED_TIME_MAX`] has to live with it.
pub(crate) async fn discard(body: &mut Body) {
    let all = async {
        let mut left = DISCARDED_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else { break };
            left = rest;
        }
    };
    if timeout(DISCARDED_TIME_MAX, all).await.is_err() {
        tracing::debug!("a body that is too large took too long");
    }
}
