//! Codecs of the wire protocols Mynah speaks: bytes to packets and back, and nothing else.
//!
//! It deliberately has no async code, sockets, clock or randomness: sessions, timers and
//! delivery belong to the server and the hub.
//!
//! Invariants:
//! * every limit is checked before the bytes it guards are buffered or parsed;
//! * malformed input is a typed error, never a panic and never silently accepted;
//! * an idle decoder owns no heap memory;
//! * encoders append to a buffer of the caller, so one buffer becomes the frame.
//!
//! Entry points: [`websocket::Decoder`], [`websocket::check_handshake`],
//! [`engine_io::decode_text`], [`engine_io::decode_payload`], [`engine_io_v3::decode_payload`],
//! [`socket_io::Decoder`], [`pusher::decode`], [`pusher::http::decode_event`].

pub mod engine_io;
pub mod engine_io_v3;
mod json;
pub mod pusher;
pub mod socket_io;
pub mod websocket;
