//! Ids of connections.

use std::fmt;
use std::str::FromStr;

/// Longest spelling of an id in bytes.
const BYTES_MAX: usize = 40;

/// Id of one connection: two numbers, written `123.456`.
///
/// The back end receives it from the client and hands it back to sign subscriptions and to leave
/// a client out of an event. Source: `validateSocketId` of the official server libraries, which
/// take `digits.digits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId {
    high: u64,
    low: u64,
}

/// The text is no [`SocketId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid socket id.")]
pub struct SocketIdError;

impl SocketId {
    /// The id `high.low`.
    pub fn new(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// The two numbers.
    pub fn parts(self) -> (u64, u64) {
        (self.high, self.low)
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.high, self.low)
    }
}

impl FromStr for SocketId {
    type Err = SocketIdError;

    /// Reads what [`fmt::Display`] writes and nothing else: leading zeros would give one
    /// connection two names, of which signatures cover only one.
    fn from_str(text: &str) -> Result<Self, SocketIdError> {
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits.len() == 1 || !digits.starts_with('0'));
            if is_plain { digits.parse().ok() } else { None }
        };
        if text.len() > BYTES_MAX + 1 {
            return Err(SocketIdError);
        }
        let (high, low) = text.split_once('.').ok_or(SocketIdError)?;
        match (number(high), number(low)) {
            (Some(high), Some(low)) => Ok(Self { high, low }),
            _ => Err(SocketIdError),
        }
    }
}
