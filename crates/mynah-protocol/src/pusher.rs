//! The Pusher protocol, version 7: frames, signatures, and the bodies of the HTTP API and of
//! webhooks.
//!
//! [`decode`] reads what a socket sends and [`encode`] writes what it receives;
//! [`signature`] makes and checks every signature, [`presence`] reads the data they cover,
//! [`http`] and [`webhook`] hold the bodies that back ends send and receive.
//! Source: Pusher's protocol, HTTP and webhook references, pusher-js 8.6 and `pusher` 5.3.

mod channel;
pub mod encode;
mod frame;
pub mod http;
pub mod presence;
mod query;
mod read;
pub mod signature;
mod socket_id;
pub mod webhook;

pub use channel::{ChannelKind, ChannelName, ChannelNameError};
pub use frame::{ClientFrame, FrameError, FrameLimits, decode};
pub use query::Query;
pub use socket_id::{SocketId, SocketIdError};

/// Prefix a client event must start with.
pub const CLIENT_EVENT_PREFIX: &str = "client-";

/// Why a connection is closed or an error sent; the number decides what pusher-js does next.
///
/// 4000–4099: never again, 4100–4199: again after a second, 4200–4299: again at once.
/// Source: `protocol.ts` and `connection_manager.ts` of pusher-js.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{}", self.message())]
#[repr(u16)]
pub enum CloseCode {
    /// The app wants TLS.
    TlsOnly = 4000,
    /// No app has the key.
    AppUnknown = 4001,
    /// The app is switched off.
    AppDisabled = 4003,
    /// The app has all the connections it may have.
    OverQuota = 4004,
    /// Not `/app/KEY`.
    PathNotFound = 4005,
    /// `protocol` is not a number.
    BadVersion = 4006,
    /// `protocol` is a number nobody speaks.
    UnsupportedVersion = 4007,
    /// `protocol` is missing.
    NoVersion = 4008,
    /// Sign-in failed or did not come in time, or the user was terminated.
    Unauthorised = 4009,
    /// This node takes no more connections.
    OverCapacity = 4100,
    /// Come back at once.
    Reconnect = 4200,
    /// A ping was not answered.
    NoPong = 4201,
    /// Silent for too long.
    Idle = 4202,
    /// A client event was refused; sent as an error, the connection stays open.
    ClientEventRefused = 4301,
    /// The watchlist is too long; sent as an error, the connection stays open.
    WatchlistTooLong = 4302,
}

impl CloseCode {
    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// A sentence for [`encode::error`] and the reason of the close frame.
    pub fn message(self) -> &'static str {
        match self {
            Self::TlsOnly => "Application only accepts SSL connections, reconnect using wss://",
            Self::AppUnknown => "App key does not exist.",
            Self::AppDisabled => "The app is not enabled.",
            Self::OverQuota => "The current concurrent connections quota has been reached.",
            Self::PathNotFound => "Path not found.",
            Self::BadVersion => "Invalid version string format.",
            Self::UnsupportedVersion => "Unsupported protocol version.",
            Self::NoVersion => "No protocol version supplied.",
            Self::Unauthorised => "Connection not authorized.",
            Self::OverCapacity => "The server is over capacity, try again later.",
            Self::Reconnect => "Server closed the connection, reconnect immediately.",
            Self::NoPong => "Pong reply not received.",
            Self::Idle => "Closed after inactivity.",
            Self::ClientEventRefused => "Client event rejected.",
            Self::WatchlistTooLong => "The watchlist is too long.",
        }
    }
}

/// Largest protocol version there is.
pub const VERSION_MAX: u8 = 7;

/// Reads `protocol` of a connection's query, 1 to [`VERSION_MAX`].
///
/// # Errors
/// [`CloseCode::NoVersion`], [`CloseCode::BadVersion`] or [`CloseCode::UnsupportedVersion`]. The
/// peers connect such clients all the same.
pub fn protocol_version(query: &Query) -> Result<u8, CloseCode> {
    let version = query.get("protocol").ok_or(CloseCode::NoVersion)?;
    if version.is_empty() || version.len() > 9 || !version.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CloseCode::BadVersion);
    }
    let version = version.parse().ok().filter(|version| (1..=VERSION_MAX).contains(version));
    version.ok_or(CloseCode::UnsupportedVersion)
}
