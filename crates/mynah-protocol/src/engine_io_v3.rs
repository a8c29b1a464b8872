//! Engine.IO packets, protocol revision 3 (clients of Socket.IO 2).
//!
//! Packets are those of revision 4, with three differences: the client pings and the server
//! answers, binary messages carry their type (`b4` before base64, a first byte 4 elsewhere), and a
//! polling body gives each packet's length instead of joining them by a separator. A length
//! counts UTF-16 units in a text body (`6:4hello`) and bytes in a binary one (0 or 1 for text or
//! binary, the decimal digits as bytes, 255, the packet).
//! Source: `docs/engine.io-protocol/v3.md` of the Socket.IO repository and engine.io 6.6.

use std::str::from_utf8;

use bytes::Bytes;

use crate::engine_io::{self, DecodeError, Packet, SEPARATOR};

/// First byte of a binary message, in WebSocket messages and binary polling bodies.
pub const BINARY_MESSAGE: u8 = 4;

/// Most digits of a packet's length.
const LENGTH_DIGITS_MAX: usize = 10;
/// Ends the digits of a length in a binary body.
const DIGITS_END: u8 = 255;

/// Decodes one packet that came as text: a WebSocket text message or a part of a polling body.
///
/// # Errors
/// Anything that is not exactly one packet of revision 3.
pub fn decode_text(packet: &str) -> Result<Packet<'_>, DecodeError> {
    match packet.strip_prefix('b') {
        Some(base64) => {
            let base64 = base64.strip_prefix('4').ok_or(DecodeError::UnknownType)?;
            engine_io::decode_base64(base64)
        }
        None => engine_io::decode_text(packet),
    }
}

/// Decodes one packet that came as bytes: a WebSocket binary message or a part of a polling body.
/// Only messages come this way.
///
/// # Errors
/// An empty packet, or one that does not begin with [`BINARY_MESSAGE`].
pub fn decode_binary(packet: &Bytes) -> Result<Packet<'static>, DecodeError> {
    match packet.first() {
        None => Err(DecodeError::Empty),
        Some(&BINARY_MESSAGE) => Ok(Packet::Binary(packet.slice(1..))),
        Some(_) => Err(DecodeError::UnknownType),
    }
}

/// Splits a text polling body into packets, lazily and without copying text. Empty packets are
/// passed over, as the official server does.
///
/// A body that is empty or not UTF-8 yields that one error; after an error the iterator ends.
pub fn decode_payload(body: &[u8], packets_max: usize) -> Payload<'_> {
    let rest = match from_utf8(body) {
        Ok("") => Err(DecodeError::Empty),
        Ok(text) => Ok(text),
        Err(_) => Err(DecodeError::InvalidUtf8),
    };
    Payload { rest: Some(rest), left: packets_max }
}

/// Iterator over the packets of a text polling body, see [`decode_payload`].
#[derive(Debug, Clone)]
pub struct Payload<'a> {
    rest: Option<Result<&'a str, DecodeError>>,
    left: usize,
}

impl<'a> Payload<'a> {
    fn packet(&mut self, text: &'a str) -> Result<&'a str, DecodeError> {
        self.left = self.left.checked_sub(1).ok_or(DecodeError::TooManyPackets)?;
        let head = text.as_bytes().iter().take(LENGTH_DIGITS_MAX + 1);
        let colon =
            head.copied().position(|byte| byte == b':').ok_or(DecodeError::InvalidLength)?;
        let (digits, rest) = text.split_at_checked(colon).ok_or(DecodeError::InvalidLength)?;
        let units = length(digits.bytes().map(|digit| digit.wrapping_sub(b'0')))?;
        let rest = rest.get(1..).unwrap_or_default();
        let end = after_units(rest, units).ok_or(DecodeError::InvalidLength)?;
        let (packet, rest) = rest.split_at_checked(end).ok_or(DecodeError::InvalidLength)?;
        if !rest.is_empty() {
            self.rest = Some(Ok(rest));
        }
        Ok(packet)
    }
}

impl<'a> Iterator for Payload<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let packet = match self.rest.take()? {
                Ok(text) => self.packet(text),
                Err(error) => Err(error),
            };
            match packet.map(|packet| (packet, decode_text(packet))) {
                Ok(("", _)) => {}
                Ok((_, Ok(packet))) => return Some(Ok(packet)),
                Ok((_, Err(error))) | Err(error) => {
                    self.rest = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Splits a binary polling body (`application/octet-stream`) into packets, lazily and without
/// copying. After an error the iterator ends.
pub fn decode_binary_payload(body: &Bytes, packets_max: usize) -> BinaryPayload<'_> {
    BinaryPayload { body, at: 0, left: packets_max }
}

/// Iterator over the packets of a binary polling body, see [`decode_binary_payload`].
#[derive(Debug, Clone)]
pub struct BinaryPayload<'a> {
    body: &'a Bytes,
    at: usize,
    left: usize,
}

impl<'a> BinaryPayload<'a> {
    fn packet(&mut self) -> Result<Packet<'a>, DecodeError> {
        self.left = self.left.checked_sub(1).ok_or(DecodeError::TooManyPackets)?;
        let body = self.body;
        let rest = body.get(self.at..).unwrap_or_default();
        let (&kind, rest) = rest.split_first().ok_or(DecodeError::Empty)?;
        let head = rest.iter().take(LENGTH_DIGITS_MAX + 1);
        let digits =
            head.copied().position(|byte| byte == DIGITS_END).ok_or(DecodeError::InvalidLength)?;
        let bytes = length(rest.iter().take(digits).copied())?;
        let start = self.at + 1 + digits + 1;
        let end = start.checked_add(bytes).ok_or(DecodeError::InvalidLength)?;
        let packet = body.get(start..end).ok_or(DecodeError::InvalidLength)?;
        self.at = end;
        match kind {
            0 => decode_text(from_utf8(packet).ok().ok_or(DecodeError::InvalidUtf8)?),
            1 => decode_binary(&body.slice(start..end)),
            _ => Err(DecodeError::UnknownType),
        }
    }
}

impl<'a> Iterator for BinaryPayload<'a> {
    type Item = Result<Packet<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at > 0 && self.at >= self.body.len() {
            return None;
        }
        let packet = self.packet();
        if packet.is_err() {
            self.at = usize::MAX;
        }
        Some(packet)
    }
}

/// A length from its decimal digits.
fn length(digits: impl Iterator<Item = u8>) -> Result<usize, DecodeError> {
    let mut number = None;
    for digit in digits {
        let digit = (digit <= 9).then_some(usize::from(digit));
        let next =
            digit.and_then(|digit| number.unwrap_or(0_usize).checked_mul(10)?.checked_add(digit));
        number = Some(next.ok_or(DecodeError::InvalidLength)?);
    }
    number.ok_or(DecodeError::InvalidLength)
}

/// Bytes of the first `units` UTF-16 units; `None` if there are fewer, or the last is half a pair.
fn after_units(text: &str, units: usize) -> Option<usize> {
    // What is ASCII so far needs no counting.
    if text.as_bytes().get(..units).is_some_and(<[u8]>::is_ascii) {
        return Some(units);
    }
    let mut left = units;
    for (at, char) in text.char_indices() {
        if left == 0 {
            return Some(at);
        }
        left = left.checked_sub(char.len_utf16())?;
    }
    (left == 0).then_some(text.len())
}

/// A polling body of revision 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `text/plain; charset=UTF-8`.
    Text(String),
    /// `application/octet-stream`.
    Binary(Vec<u8>),
}

/// Makes a polling body of finished packets of revision 4 (each may be several, joined by
/// [`SEPARATOR`]). Binary messages become base64 in a text body, or, if `raw` allows it and there
/// is one, all packets go into a binary body. No packet at all is `0:`.
///
/// A packet that is not UTF-8 or not valid base64, which no encoder of this crate makes, is left
/// out.
pub fn encode_payload<'a>(packets: impl Iterator<Item = &'a [u8]> + Clone, raw: bool) -> Body {
    let texts = packets.filter_map(|packet| from_utf8(packet).ok());
    let packets = texts.flat_map(|text| text.split(char::from(SEPARATOR)));
    if raw && packets.clone().any(|packet| packet.starts_with('b')) {
        return Body::Binary(binary_body(packets));
    }
    let mut body = String::new();
    for packet in packets {
        let (mark, rest) = match packet.strip_prefix('b') {
            Some(base64) => ("b4", base64),
            None => ("", packet),
        };
        let units = mark.len() + utf16_len(rest);
        body.push_str(&units.to_string());
        body.push(':');
        body.push_str(mark);
        body.push_str(rest);
    }
    if body.is_empty() {
        body.push_str("0:");
    }
    Body::Text(body)
}

fn binary_body<'a>(packets: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut body = Vec::new();
    for packet in packets {
        match packet.strip_prefix('b').map(engine_io::decode_base64) {
            None => {
                put_head(0, packet.len(), &mut body);
                body.extend_from_slice(packet.as_bytes());
            }
            Some(Ok(Packet::Binary(bytes))) => {
                put_head(1, 1 + bytes.len(), &mut body);
                body.push(BINARY_MESSAGE);
                body.extend_from_slice(&bytes);
            }
            Some(Ok(_) | Err(_)) => {}
        }
    }
    body
}

fn put_head(kind: u8, length: usize, body: &mut Vec<u8>) {
    body.push(kind);
    body.extend(length.to_string().bytes().map(|digit| digit - b'0'));
    body.push(DIGITS_END);
}

fn utf16_len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}
