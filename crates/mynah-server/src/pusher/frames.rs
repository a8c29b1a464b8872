//! Finished frames of what the server says: one WebSocket text message each.

use bytes::Bytes;
use mynah_hub::Frame;
use mynah_protocol::pusher::{CloseCode, encode};
use mynah_protocol::websocket;
use serde_json::value::RawValue;

use super::channels::ChannelEvent;

/// Room for a usual frame.
const USUAL_BYTES: usize = 256;

/// A frame of the text that `write` appends.
pub(super) fn text(write: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut text = Vec::with_capacity(USUAL_BYTES);
    write(&mut text);
    Frame::stream_only(websocket::frame_text(&text).0)
}

pub(super) fn event(event: &ChannelEvent) -> Frame {
    let ChannelEvent { channel, name, data, user_id, .. } = event;
    let user_id = user_id.as_deref();
    let mut text = Vec::with_capacity(USUAL_BYTES + data.len() + data.len() / 8);
    encode::event(Some(channel.as_str()), name, data, user_id, &mut text);
    Frame::stream_only(websocket::frame_text(&text).0)
}

pub(super) fn member_added(channel: &str, user_id: &str, info: Option<&RawValue>) -> Frame {
    text(|out| encode::member_added(channel, user_id, info, out))
}

pub(super) fn member_removed(channel: &str, user_id: &str) -> Frame {
    text(|out| encode::member_removed(channel, user_id, out))
}

pub(super) fn error(code: Option<u16>, message: &str) -> Frame {
    text(|out| encode::error(code, message, out))
}

/// An error that the handlers of a channel are told.
pub(super) fn channel_error(channel: &str, code: u16, message: &str) -> Frame {
    text(|out| encode::channel_error(channel, Some(code), message, out))
}

/// The last bytes of a connection: the error, for those who read it, and the close code, which is what
/// client libraries act on.
pub(super) fn goodbye_bytes(code: CloseCode) -> Bytes {
    goodbye_because(code, code.message())
}

/// The same with a sentence of its own.
pub(super) fn goodbye_because(code: CloseCode, message: &str) -> Bytes {
    let mut text = Vec::with_capacity(USUAL_BYTES);
    encode::error(Some(code.code()), message, &mut text);
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    websocket::encode(websocket::OpCode::Text, &text, &mut bytes);
    websocket::encode_close(code.code(), message, &mut bytes);
    bytes.into()
}

pub(super) fn goodbye(code: CloseCode) -> Frame {
    Frame::stream_only(goodbye_bytes(code))
}
