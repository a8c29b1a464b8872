//! From Engine.IO packets to the hub's frames: one buffer that is a finished WebSocket frame and holds
//! the polling packet as its tail.

use bytes::Bytes;
use mynah_hub::Frame;
use mynah_protocol::{engine_io, engine_io_v3, websocket};

/// A frame of one text packet, e.g. `42["newMessage",{…}]`.
pub fn text(packet: &[u8]) -> Frame {
    let (stream, header) = websocket::frame_text(packet);
    let packet = stream.slice(header..);
    Frame::new(stream, packet)
}

/// A frame of one binary message.
pub fn binary(message: &[u8]) -> Frame {
    let (stream, _) = websocket::frame_binary(message);
    let mut packet = Vec::new();
    engine_io::encode_binary(message, &mut packet);
    Frame::new(stream, packet.into())
}

/// A frame of one binary message for a session of revision 3: on a stream, a byte 4 comes first.
pub fn binary_v3(message: &[u8]) -> Frame {
    let (stream, packet) = (with_type(message), binary(message).packet().clone());
    Frame::new(websocket::frame_binary(&stream).0, packet)
}

fn with_type(message: &[u8]) -> Vec<u8> {
    [&[engine_io_v3::BINARY_MESSAGE], message].concat()
}

/// A text packet and the binary messages that belong to it, so that nothing can come between them.
pub fn text_with_attachments(packet: &[u8], attachments: &[Bytes]) -> Frame {
    with_attachments(packet, attachments, |bytes, stream| {
        websocket::encode(websocket::OpCode::Binary, bytes, stream);
    })
}

/// The same for a session of revision 3.
pub fn text_with_attachments_v3(packet: &[u8], attachments: &[Bytes]) -> Frame {
    with_attachments(packet, attachments, |bytes, stream| {
        websocket::encode(websocket::OpCode::Binary, &with_type(bytes), stream);
    })
}

fn with_attachments(
    packet: &[u8],
    attachments: &[Bytes],
    put: impl Fn(&[u8], &mut Vec<u8>),
) -> Frame {
    if attachments.is_empty() {
        return text(packet);
    }
    let mut stream = Vec::new();
    let mut polled = packet.to_vec();
    websocket::encode(websocket::OpCode::Text, packet, &mut stream);
    for attachment in attachments {
        put(attachment, &mut stream);
        polled.push(engine_io::SEPARATOR);
        engine_io::encode_binary(attachment, &mut polled);
    }
    Frame::new(stream.into(), polled.into())
}

/// The last frame of a session: a WebSocket close with a code (RFC 6455 section 7.4) and reason, a close
/// packet over polling.
pub fn close(code: u16, reason: &str) -> Frame {
    let mut stream = Vec::new();
    websocket::encode_close(code, reason, &mut stream);
    Frame::new(stream.into(), Bytes::from_static(engine_io::CLOSE.as_bytes()))
}

/// Ends a waiting poll without saying anything.
pub fn noop() -> Frame {
    Frame::packet_only(Bytes::from_static(engine_io::NOOP.as_bytes()))
}

/// Answer to a WebSocket ping.
pub fn pong(payload: &[u8]) -> Frame {
    let mut stream = Vec::new();
    websocket::encode(websocket::OpCode::Pong, payload, &mut stream);
    Frame::stream_only(stream.into())
}
