//! The handshake packet.

use serde::Deserialize;

use super::DecodeError;

/// Handshake of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenPacket<'a> {
    /// Session id, a secret; 20 characters of URL-safe base64 in the reference.
    pub sid: &'a str,
    /// Transports the client may upgrade to: `["websocket"]` over polling, else empty.
    pub upgrades: &'a [&'a str],
    /// Pause between two server pings.
    pub ping_interval_ms: u64,
    /// Time the client has to answer one.
    pub ping_timeout_ms: u64,
    /// Largest message or polling body in bytes.
    pub max_payload: u64,
}

impl OpenPacket<'_> {
    /// Appends `0{"sid":"…","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,
    /// "maxPayload":1000000}` without whitespace; the official suites demand exactly these keys.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"0{\"sid\":");
        crate::json::write_string(self.sid, out);
        out.extend_from_slice(b",\"upgrades\":[");
        for (index, upgrade) in self.upgrades.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            crate::json::write_string(upgrade, out);
        }
        let numbers = format!(
            "],\"pingInterval\":{},\"pingTimeout\":{},\"maxPayload\":{}}}",
            self.ping_interval_ms, self.ping_timeout_ms, self.max_payload
        );
        out.extend_from_slice(numbers.as_bytes());
    }
}

/// An open packet as a client reads it; other keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// Session id.
    pub sid: String,
    /// Transports to upgrade to.
    pub upgrades: Vec<String>,
    /// Pause between two server pings.
    #[serde(rename = "pingInterval")]
    pub ping_interval_ms: u64,
    /// Time to answer one.
    #[serde(rename = "pingTimeout")]
    pub ping_timeout_ms: u64,
    /// Largest message or polling body in bytes.
    pub max_payload: u64,
}

/// Reads the JSON of [`super::Packet::Open`]; for clients.
///
/// # Errors
/// [`DecodeError::InvalidOpen`] if a key is missing or of the wrong type.
pub fn decode_open(json: &str) -> Result<Opened, DecodeError> {
    serde_json::from_str(json).ok().ok_or(DecodeError::InvalidOpen)
}
