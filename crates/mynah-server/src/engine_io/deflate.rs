//! permessage-deflate on WebSocket sessions: what is agreed on, and which frames are worth it.

use axum::http::HeaderMap;
use axum::http::header::SEC_WEBSOCKET_EXTENSIONS;
use bytes::Bytes;
use mynah_protocol::websocket::deflate::{self, Agreement, WINDOW_BITS_MAX};

/// Shorter messages go as they are; the official server's default too.
const MESSAGE_BYTES_MIN: usize = 1024;

/// Longer frames go as they are: compressing holds up everybody on the same shard, 64 KiB for a
/// third of a millisecond.
const FRAMES_BYTES_MAX: usize = 64 * 1024;

/// Compresses a finished frame for all streams that agreed; for [`mynah_hub::HubConfig`].
pub fn compact(frames: &[u8]) -> Option<Bytes> {
    if frames.len() > FRAMES_BYTES_MAX {
        return None;
    }
    deflate::compact(frames, MESSAGE_BYTES_MIN, WINDOW_BITS_MAX)
}

/// What to agree on with a client, if compression is on and it offers that.
pub(crate) fn agree(headers: &HeaderMap, is_on: bool) -> Option<Agreement> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS);
    is_on.then(|| deflate::negotiate(lines.iter().map(axum::http::HeaderValue::as_bytes)))?
}

/// Whether a client can read what [`compact`] makes; one that asked for a smaller window may
/// compress, but is sent plain frames.
pub(crate) fn is_compact(agreement: Option<Agreement>) -> bool {
    agreement.is_some_and(|agreement| agreement.window_bits() == WINDOW_BITS_MAX)
}
