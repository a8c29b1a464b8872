//! Engine.IO packets, protocol revision 4.
//!
//! Over WebSocket a text message is one packet and a binary message is a binary packet without
//! any prefix. Over polling, packets are joined by [`SEPARATOR`] and binary is `b` + base64.
//! Source: `docs/engine.io-protocol/v4-current.md` of the Socket.IO repository.

use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD as STANDARD_BASE64,
};
use bytes::Bytes;

mod open;
mod request;

pub use open::{OpenPacket, Opened, decode_open};
pub use request::RequestError;

/// Stands between the packets of a polling body.
pub const SEPARATOR: u8 = 0x1E;

/// Server heartbeat.
pub const PING: &str = "2";
/// Client answer to [`PING`].
pub const PONG: &str = "3";
/// First message of a client on the WebSocket it wants to upgrade to.
pub const PING_PROBE: &str = "2probe";
/// Server answer to [`PING_PROBE`].
pub const PONG_PROBE: &str = "3probe";
/// Ends the session.
pub const CLOSE: &str = "1";
/// The client has switched transports.
pub const UPGRADE: &str = "5";
/// Ends a waiting poll without a message.
pub const NOOP: &str = "6";
/// Prefix of a text message packet.
pub const MESSAGE: u8 = b'4';

/// Packet type; the value is the digit on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PacketKind {
    /// Handshake, server to client.
    Open = 0,
    /// End of the session.
    Close = 1,
    /// Heartbeat or probe.
    Ping = 2,
    /// Answer to a ping.
    Pong = 3,
    /// Payload of the layer above.
    Message = 4,
    /// Transport switch.
    Upgrade = 5,
    /// Nothing.
    Noop = 6,
}

/// One decoded packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// `0{…}`; read the JSON with [`decode_open`]. Only clients may receive it.
    Open(&'a str),
    /// `1`
    Close,
    /// `2` with its payload, which is empty or `probe`.
    Ping(&'a str),
    /// `3` with its payload.
    Pong(&'a str),
    /// `4` and the text of the message.
    Text(&'a str),
    /// `b` and base64 of the message.
    Binary(Bytes),
    /// `5`
    Upgrade,
    /// `6`
    Noop,
}

impl Packet<'_> {
    /// Whether it carries a message of the layer above.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Binary(_))
    }

    /// The type, with both kinds of message as [`PacketKind::Message`].
    pub fn kind(&self) -> PacketKind {
        match self {
            Self::Open(_) => PacketKind::Open,
            Self::Close => PacketKind::Close,
            Self::Ping(_) => PacketKind::Ping,
            Self::Pong(_) => PacketKind::Pong,
            Self::Text(_) | Self::Binary(_) => PacketKind::Message,
            Self::Upgrade => PacketKind::Upgrade,
            Self::Noop => PacketKind::Noop,
        }
    }
}

/// Why packets are refused; the session has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A packet without its type digit, or an empty polling body.
    #[error("empty packet")]
    Empty,
    /// A first character that is no packet type.
    #[error("unknown packet type")]
    UnknownType,
    /// Close, upgrade and noop carry nothing.
    #[error("packet has an unexpected payload")]
    PayloadUnexpected,
    /// Binary that is not standard base64.
    #[error("invalid base64")]
    InvalidBase64,
    /// A polling body that is not UTF-8.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// More packets in one polling body than allowed.
    #[error("too many packets")]
    TooManyPackets,
    /// A length of revision 3 that is no number or does not fit the body.
    #[error("invalid packet length")]
    InvalidLength,
    /// An open packet that lacks a key or is not JSON.
    #[error("invalid open packet")]
    InvalidOpen,
}

/// Decodes one packet: a WebSocket text message or one part of a polling body.
///
/// # Errors
/// Anything that is not exactly one packet of revision 4.
pub fn decode_text(packet: &str) -> Result<Packet<'_>, DecodeError> {
    let mut chars = packet.chars();
    let kind = chars.next().ok_or(DecodeError::Empty)?;
    let payload = chars.as_str();
    let bare = |packet| match payload {
        "" => Ok(packet),
        _ => Err(DecodeError::PayloadUnexpected),
    };
    match kind {
        '0' => Ok(Packet::Open(payload)),
        '1' => bare(Packet::Close),
        '2' => Ok(Packet::Ping(payload)),
        '3' => Ok(Packet::Pong(payload)),
        '4' => Ok(Packet::Text(payload)),
        '5' => bare(Packet::Upgrade),
        '6' => bare(Packet::Noop),
        'b' => decode_base64(payload),
        _ => Err(DecodeError::UnknownType),
    }
}

/// The binary message that a base64 text stands for.
pub(crate) fn decode_base64(text: &str) -> Result<Packet<'static>, DecodeError> {
    let bytes = BASE64_READ.decode(text).ok().ok_or(DecodeError::InvalidBase64)?;
    Ok(Packet::Binary(bytes.into()))
}

/// Splits a polling body into packets, lazily and without copying text.
///
/// A body that is not UTF-8 or has more than `packets_max` packets yields that one error and no
/// packet. After an error the iterator ends.
pub fn decode_payload(body: &[u8], packets_max: usize) -> Payload<'_> {
    let separators = memchr::memchr_iter(SEPARATOR, body).count();
    if separators >= packets_max {
        return Payload(Rest::Failed(DecodeError::TooManyPackets));
    }
    match std::str::from_utf8(body) {
        Ok(text) => Payload(Rest::Packets(text)),
        Err(_) => Payload(Rest::Failed(DecodeError::InvalidUtf8)),
    }
}

/// Iterator over the packets of a polling body, see [`decode_payload`].
#[derive(Debug, Clone)]
pub struct Payload<'a>(Rest<'a>);

#[derive(Debug, Clone, Copy)]
enum Rest<'a> {
    Packets(&'a str),
    Failed(DecodeError),
    Done,
}

impl<'a> Iterator for Payload<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = match self.0 {
            Rest::Done => return None,
            Rest::Failed(error) => Err(error),
            Rest::Packets(text) => {
                let (packet, rest) = match text.split_once(char::from(SEPARATOR)) {
                    Some((packet, rest)) => (packet, Rest::Packets(rest)),
                    None => (text, Rest::Done),
                };
                self.0 = rest;
                decode_text(packet)
            }
        };
        if result.is_err() {
            self.0 = Rest::Done;
        }
        Some(result)
    }
}

/// Appends a text message packet, `4` and `text`.
pub fn encode_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(1 + text.len());
    out.push(MESSAGE);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a binary message packet as text, `b` and base64; over polling only.
pub fn encode_binary(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'b');
    out.extend_from_slice(STANDARD_BASE64.encode(bytes).as_bytes());
}

/// Appends a finished packet to a polling body, after a separator unless the body is empty.
pub fn append_packet(packet: &[u8], body: &mut Vec<u8>) {
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
    body.extend_from_slice(packet);
}

/// Reads with or without padding: official clients pad, other implementations may not.
const BASE64_READ: GeneralPurpose = GeneralPurpose::new(
    &STANDARD_ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
