//! Frames from clients.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CLIENT_EVENT_PREFIX, CloseCode, read};
use crate::json::JsonError;

/// What a frame may hold at most; its size is the limit of the WebSocket decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Nesting of the JSON, at most 128.
    pub depth_max: u32,
    /// Keys of all objects in it.
    pub keys_max: u32,
    /// Characters of a client event's name.
    pub event_name_chars_max: usize,
    /// Bytes of a client event's data as it was sent.
    pub event_bytes_max: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            depth_max: 64,
            keys_max: 10_000,
            event_name_chars_max: 200,
            event_bytes_max: 102_400,
        }
    }
}

/// One decoded frame of a client.
#[derive(Debug, Clone)]
pub enum ClientFrame {
    /// `{"event":"pusher:subscribe","data":{"channel":"private-a","auth":"KEY:SIG"}}`
    Subscribe {
        /// The name as sent; see [`super::ChannelName::parse`].
        channel: String,
        /// `KEY:SIG`; see [`super::signature::Auth::split`]. pusher-js sends `""` for public
        /// channels, which is `None` here.
        auth: Option<String>,
        /// JSON, unchecked and byte for byte what a signature covers; see
        /// [`super::presence::parse_channel_data`].
        channel_data: Option<String>,
    },
    /// `{"event":"pusher:unsubscribe","data":{"channel":"private-a"}}`
    Unsubscribe {
        /// The name as sent.
        channel: String,
    },
    /// `{"event":"pusher:ping","data":{}}`; answer with [`super::encode::pong`].
    Ping,
    /// `{"event":"pusher:pong","data":{}}`
    Pong,
    /// `{"event":"pusher:signin","data":{"auth":"KEY:SIG","user_data":"{\"id\":\"7\"}"}}`
    SignIn {
        /// `KEY:SIG`.
        auth: String,
        /// JSON, unchecked; see [`super::presence::parse_user_data`].
        user_data: String,
    },
    /// `{"event":"client-typing","channel":"presence-a","data":{}}`
    ClientEvent {
        /// A name that starts with `client-`.
        event: String,
        /// The name as sent.
        channel: String,
        /// Any JSON, `null` if there was none.
        data: Box<RawValue>,
    },
    /// Any other event; official clients send none.
    Unknown {
        /// Its name.
        event: String,
    },
}

/// Why a frame is refused; its text is a sentence for [`super::encode::error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not JSON, or not an object.
    #[error("The frame is not a JSON object.")]
    NotAnObject,
    /// Nested deeper than allowed.
    #[error("The frame is nested too deeply.")]
    TooDeep,
    /// More keys than allowed.
    #[error("The frame has too many keys.")]
    TooManyKeys,
    /// `event` is missing or no string.
    #[error("The frame has no event name.")]
    NoEvent,
    /// `data` is neither an object nor a string that holds one.
    #[error("The data of the frame is not an object.")]
    NoData,
    /// `channel` is missing or no string.
    #[error("The frame names no channel.")]
    NoChannel,
    /// `auth` or `channel_data` is no string.
    #[error("The auth and channel_data of a subscription are strings.")]
    InvalidAuth,
    /// A sign-in without `auth` or `user_data`, or they are no strings.
    #[error("Connection not authorized.")]
    InvalidSignIn,
    /// A client event that names no channel.
    #[error("A client event names a channel.")]
    ClientEventNoChannel,
    /// The name of a client event is too long.
    #[error("Event name is too long. Maximum allowed size is {chars_max}.")]
    EventNameTooLong {
        /// The limit.
        chars_max: usize,
    },
    /// The data of a client event is too large.
    #[error("The event data should be less than {} KB.", super::http::kilobytes(*.bytes_max))]
    EventDataTooLarge {
        /// The limit.
        bytes_max: usize,
    },
}

impl FrameError {
    /// Code of the error, if it has one; none of them closes the connection by itself.
    pub fn code(self) -> Option<u16> {
        match self {
            Self::InvalidSignIn => Some(CloseCode::Unauthorised.code()),
            Self::ClientEventNoChannel
            | Self::EventNameTooLong { .. }
            | Self::EventDataTooLarge { .. } => Some(CloseCode::ClientEventRefused.code()),
            Self::NotAnObject
            | Self::TooDeep
            | Self::TooManyKeys
            | Self::NoEvent
            | Self::NoData
            | Self::NoChannel
            | Self::InvalidAuth => None,
        }
    }
}

impl From<JsonError> for FrameError {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Syntax(_) => Self::NotAnObject,
            JsonError::TooDeep => Self::TooDeep,
            JsonError::TooManyKeys => Self::TooManyKeys,
        }
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    auth: Option<&'a RawValue>,
    #[serde(borrow)]
    channel_data: Option<&'a RawValue>,
    #[serde(borrow)]
    user_data: Option<&'a RawValue>,
}

/// Decodes the text of one WebSocket message.
///
/// The data of `pusher:` events may be an object, or, as some clients send it, a string that
/// holds one.
///
/// # Errors
/// [`FrameError`]; the connection can go on.
pub fn decode(text: &str, limits: &FrameLimits) -> Result<ClientFrame, FrameError> {
    read::check(text, limits.depth_max, limits.keys_max)?;
    let frame: Envelope<'_> = read::object(text).ok_or(FrameError::NotAnObject)?;
    let event = frame.event.and_then(read::string).ok_or(FrameError::NoEvent)?;
    match event.as_str() {
        "pusher:ping" => Ok(ClientFrame::Ping),
        "pusher:pong" => Ok(ClientFrame::Pong),
        "pusher:subscribe" => with_data(&frame, limits, |data| {
            let text = |raw| read::optional_string(raw).map_err(|_not| FrameError::InvalidAuth);
            Ok(ClientFrame::Subscribe {
                channel: data.channel.and_then(read::string).ok_or(FrameError::NoChannel)?,
                auth: text(data.auth)?,
                channel_data: text(data.channel_data)?,
            })
        }),
        "pusher:unsubscribe" => with_data(&frame, limits, |data| {
            let channel = data.channel.and_then(read::string).ok_or(FrameError::NoChannel)?;
            Ok(ClientFrame::Unsubscribe { channel })
        }),
        "pusher:signin" => {
            let signed_in = with_data(&frame, limits, |data| {
                let text = |raw: Option<&RawValue>| {
                    raw.and_then(read::string).ok_or(FrameError::InvalidSignIn)
                };
                Ok(ClientFrame::SignIn { auth: text(data.auth)?, user_data: text(data.user_data)? })
            });
            signed_in.map_err(|_any| FrameError::InvalidSignIn)
        }
        name if name.starts_with(CLIENT_EVENT_PREFIX) => client_event(event, &frame, limits),
        _ => Ok(ClientFrame::Unknown { event }),
    }
}

/// Reads `data` of a `pusher:` event and hands it on.
fn with_data(
    frame: &Envelope<'_>,
    limits: &FrameLimits,
    then: impl FnOnce(Data<'_>) -> Result<ClientFrame, FrameError>,
) -> Result<ClientFrame, FrameError> {
    let raw = frame.data.ok_or(FrameError::NoData)?;
    let object = if raw.get().starts_with('"') {
        let inner = read::string(raw).ok_or(FrameError::NoData)?;
        read::check(&inner, limits.depth_max, limits.keys_max).map_err(|error| match error {
            JsonError::Syntax(_) => FrameError::NoData,
            JsonError::TooDeep => FrameError::TooDeep,
            JsonError::TooManyKeys => FrameError::TooManyKeys,
        })?;
        Cow::Owned(inner)
    } else {
        Cow::Borrowed(raw.get())
    };
    then(read::object(&object).ok_or(FrameError::NoData)?)
}

fn client_event(
    event: String,
    frame: &Envelope<'_>,
    limits: &FrameLimits,
) -> Result<ClientFrame, FrameError> {
    let chars_max = limits.event_name_chars_max;
    if event.len() > chars_max && event.chars().nth(chars_max).is_some() {
        return Err(FrameError::EventNameTooLong { chars_max });
    }
    let data = frame.data.unwrap_or(RawValue::NULL);
    if data.get().len() > limits.event_bytes_max {
        return Err(FrameError::EventDataTooLarge { bytes_max: limits.event_bytes_max });
    }
    let channel = frame.channel.and_then(read::string).ok_or(FrameError::ClientEventNoChannel)?;
    Ok(ClientFrame::ClientEvent { event, channel, data: data.to_owned() })
}
