//! Refusals of Engine.IO HTTP requests.

/// Why a request is refused; the value is the `code` of the answer.
/// Source: error table of the official engine.io server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
#[repr(u8)]
pub enum RequestError {
    /// `transport` is neither `polling` nor `websocket`.
    UnknownTransport = 0,
    /// No session of that `sid`.
    UnknownSid = 1,
    /// A handshake with another method than GET.
    BadHandshakeMethod = 2,
    /// Anything else, e.g. a transport that does not match the session's.
    BadRequest = 3,
    /// Refused by policy, e.g. the origin.
    Forbidden = 4,
    /// `EIO` is not `4`.
    UnsupportedProtocolVersion = 5,
}

impl RequestError {
    /// Number in the answer, 0–5.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// 403 for [`Self::Forbidden`], else 400.
    pub fn http_status(self) -> u16 {
        match self {
            Self::Forbidden => 403,
            Self::UnknownTransport
            | Self::UnknownSid
            | Self::BadHandshakeMethod
            | Self::BadRequest
            | Self::UnsupportedProtocolVersion => 400,
        }
    }

    /// The text; also the whole body (`text/html`) of a refused WebSocket upgrade.
    pub fn message(self) -> &'static str {
        match self {
            Self::UnknownTransport => "Transport unknown",
            Self::UnknownSid => "Session ID unknown",
            Self::BadHandshakeMethod => "Bad handshake method",
            Self::BadRequest => "Bad request",
            Self::Forbidden => "Forbidden",
            Self::UnsupportedProtocolVersion => "Unsupported protocol version",
        }
    }

    /// Body of the answer (`application/json`), e.g. `{"code":1,"message":"Session ID unknown"}`.
    pub fn json_body(self) -> String {
        format!("{{\"code\":{},\"message\":\"{}\"}}", self.code(), self.message())
    }
}
