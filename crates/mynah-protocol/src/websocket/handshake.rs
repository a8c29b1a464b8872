//! Opening handshake, RFC 6455 section 4.2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

/// Appended to the client's key before hashing, RFC 6455 section 1.3.
const ACCEPT_GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The parts of an upgrade request that decide about it.
///
/// Feed every header line to [`Self::header`] in any order; each is read once, in linear time.
#[derive(Debug, Clone)]
pub struct Handshake<'a> {
    is_get: bool,
    http_version: (u8, u8),
    upgrade_websocket: bool,
    connection_upgrade: bool,
    version: Once<'a>,
    key: Once<'a>,
}

/// A header that must come exactly once.
#[derive(Debug, Clone, Copy)]
enum Once<'a> {
    Absent,
    Value(&'a str),
    Invalid,
}

impl<'a> Once<'a> {
    fn set(&mut self, value: Option<&'a str>) {
        *self = match (*self, value) {
            (Self::Absent, Some(value)) => Self::Value(value.trim_matches([' ', '\t'])),
            _ => Self::Invalid,
        };
    }
}

/// Why an upgrade request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// Any method but GET.
    #[error("Invalid HTTP method")]
    Method,
    /// HTTP/1.0, or a version that upgrades in another way.
    #[error("WebSocket needs HTTP/1.1")]
    HttpVersion,
    /// No `Upgrade: websocket`, or no `Connection: upgrade`; answer with `Upgrade: websocket`
    /// (RFC 9110 section 15.5.22).
    #[error("Not a WebSocket upgrade")]
    NotUpgrade,
    /// `Sec-WebSocket-Version` is not exactly one `13`; answer with
    /// `Sec-WebSocket-Version: 13` (RFC 6455 section 4.4).
    #[error("Missing or unsupported Sec-WebSocket-Version")]
    Version,
    /// `Sec-WebSocket-Key` is not exactly one base64 of 16 bytes.
    #[error("Missing or invalid Sec-WebSocket-Key")]
    Key,
}

impl HandshakeError {
    /// HTTP status of the refusal; the text is the error's display form.
    pub fn status(&self) -> u16 {
        match self {
            Self::Method => 405,
            Self::HttpVersion | Self::Key => 400,
            Self::NotUpgrade | Self::Version => 426,
        }
    }
}

impl<'a> Handshake<'a> {
    /// Starts with the request line; `http_version` is major and minor, e.g. `(1, 1)`.
    pub fn new(method: &str, http_version: (u8, u8)) -> Self {
        Self {
            is_get: method == "GET",
            http_version,
            upgrade_websocket: false,
            connection_upgrade: false,
            version: Once::Absent,
            key: Once::Absent,
        }
    }

    /// Takes one header line; names are compared without case, others are ignored.
    pub fn header(&mut self, name: &str, value: &'a [u8]) {
        let value = std::str::from_utf8(value).ok();
        let has = |token: &str| {
            value.is_some_and(|value| tokens(value).any(|found| found.eq_ignore_ascii_case(token)))
        };
        if name.eq_ignore_ascii_case("upgrade") {
            self.upgrade_websocket |= has("websocket");
        } else if name.eq_ignore_ascii_case("connection") {
            self.connection_upgrade |= has("upgrade");
        } else if name.eq_ignore_ascii_case("sec-websocket-version") {
            self.version.set(value);
        } else if name.eq_ignore_ascii_case("sec-websocket-key") {
            self.key.set(value);
        }
    }
}

/// Judges an upgrade request; returns the value for `Sec-WebSocket-Accept`.
///
/// # Errors
/// The first rule of RFC 6455 section 4.2.1 the request breaks.
pub fn check_handshake(handshake: &Handshake<'_>) -> Result<String, HandshakeError> {
    if !handshake.is_get {
        return Err(HandshakeError::Method);
    }
    if handshake.http_version != (1, 1) {
        return Err(HandshakeError::HttpVersion);
    }
    if !handshake.upgrade_websocket || !handshake.connection_upgrade {
        return Err(HandshakeError::NotUpgrade);
    }
    if !matches!(handshake.version, Once::Value("13")) {
        return Err(HandshakeError::Version);
    }
    match handshake.key {
        Once::Value(key) if is_key(key) => Ok(accept_key(key)),
        Once::Value(_) | Once::Absent | Once::Invalid => Err(HandshakeError::Key),
    }
}

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub fn accept_key(sec_websocket_key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(sec_websocket_key.as_bytes());
    hash.update(ACCEPT_GUID);
    STANDARD.encode(hash.finalize())
}

/// The elements of a comma-separated header value such as `Connection` or
/// `Sec-WebSocket-Protocol`, trimmed, empty ones skipped. Linear in the length of the value.
pub fn tokens(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(|token| token.trim_matches([' ', '\t'])).filter(|token| !token.is_empty())
}

/// Whether `key` has the form of 16 bytes in padded base64.
fn is_key(key: &str) -> bool {
    key.len() == 24
        && key.strip_suffix("==").is_some_and(|digits| {
            digits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
        })
}
