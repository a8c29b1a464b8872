//! Bodies of the HTTP API.
//!
//! Texts of refusals are Soketi's, statuses are Pusher's.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ChannelKind, ChannelName, ChannelNameError, SocketId, read};
use crate::json::write_string;

/// 401: the signature, key or timestamp of a request is wrong.
pub const AUTHENTICATION_FAILED: &str = "The secret authentication failed";
/// 400: users of a channel that has none.
pub const NOT_PRESENCE: &str = "The channel must be a presence channel.";
/// 413: a body above the limit of the listener.
pub const BODY_TOO_LARGE: &str = "The payload size is too big.";
/// 429.
pub const TOO_MANY_REQUESTS: &str = "Too many requests.";
/// 403: the app is switched off.
pub const APP_DISABLED: &str = "The app is not enabled.";

/// 404: `The app 7 could not be found.`
pub fn app_not_found(id: &str) -> String {
    format!("The app {id} could not be found.")
}

/// Body of a refusal: `{"error":"Too many requests.","code":429}`.
pub fn error_body(error: &str, status: u16) -> String {
    let mut out = b"{\"error\":".to_vec();
    write_string(error, &mut out);
    out.extend_from_slice(format!(",\"code\":{status}}}").as_bytes());
    String::from_utf8(out).expect("made of strings")
}

/// What one request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// Characters of a channel's name.
    pub channel_name_chars_max: usize,
    /// Channels of one event.
    pub event_channels_max: usize,
    /// Characters of an event's name.
    pub event_name_chars_max: usize,
    /// Bytes of an event's data.
    pub event_bytes_max: usize,
    /// Events of one batch.
    pub batch_max: usize,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            channel_name_chars_max: 200,
            event_channels_max: 100,
            event_name_chars_max: 200,
            event_bytes_max: 102_400,
            batch_max: 10,
        }
    }
}

/// Nesting of bodies.
const DEPTH_MAX: u32 = 64;
/// Keys of bodies, those of data that is no string included.
const KEYS_MAX: u32 = 100_000;

/// An event to publish, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its name, not empty.
    pub name: String,
    /// What the clients receive. Data that was no string is its JSON text.
    pub data: String,
    /// Where to, at least one.
    pub channels: Vec<ChannelName>,
    /// The socket that does not receive it.
    pub socket_id: Option<SocketId>,
    /// What the answer tells of the channels.
    pub info: Info,
}

/// Attributes to tell of channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Info {
    /// `user_count`, of presence channels.
    pub user_count: bool,
    /// `subscription_count`
    pub subscription_count: bool,
    /// `cache`, of cache channels.
    pub cache: bool,
}

impl Info {
    /// Reads `user_count,subscription_count`; unknown attributes are ignored, as by Pusher.
    pub fn parse(list: &str) -> Self {
        let mut info = Self::default();
        for attribute in list.split(',') {
            match attribute.trim() {
                "user_count" => info.user_count = true,
                "subscription_count" => info.subscription_count = true,
                "cache" => info.cache = true,
                _ => {}
            }
        }
        info
    }

    /// Whether nothing is asked for.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Why a body is refused; its text goes into [`error_body`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not JSON, or something is missing or of the wrong type.
    #[error("The received data is incorrect")]
    Incorrect,
    /// More channels than allowed.
    #[error("Cannot broadcast to more than {channels_max} channels at once")]
    TooManyChannels {
        /// The limit.
        channels_max: usize,
    },
    /// More events than allowed.
    #[error("Cannot batch-send more than {events_max} messages at once")]
    BatchTooLarge {
        /// The limit.
        events_max: usize,
    },
    /// The name of an event is too long.
    #[error("Event name is too long. Maximum allowed size is {chars_max}.")]
    NameTooLong {
        /// The limit.
        chars_max: usize,
    },
    /// The data of an event is too large.
    #[error("The event data should be less than {} KB.", kilobytes(*.bytes_max))]
    DataTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// A channel has no valid name.
    #[error(transparent)]
    Channel(#[from] ChannelNameError),
    /// `socket_id` is none.
    #[error("Invalid socket id.")]
    SocketId,
    /// An event for an encrypted channel and others: each channel has its own secret.
    #[error("Cannot trigger to multiple channels when using encrypted channels.")]
    EncryptedWithOthers,
}

impl BodyError {
    /// 413 for too much data, else 400.
    pub fn status(self) -> u16 {
        match self {
            Self::DataTooLarge { .. } => 413,
            Self::Incorrect
            | Self::TooManyChannels { .. }
            | Self::BatchTooLarge { .. }
            | Self::NameTooLong { .. }
            | Self::Channel(_)
            | Self::SocketId
            | Self::EncryptedWithOthers => 400,
        }
    }
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    channels: Option<&'a RawValue>,
    #[serde(borrow)]
    socket_id: Option<&'a RawValue>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawBatch<'a> {
    #[serde(borrow)]
    batch: Option<&'a RawValue>,
}

/// Decodes the body of `POST /apps/ID/events`: `{"name":"greeting","channels":["a"],
/// "data":"{\"text\":\"hi\"}","socket_id":"1.2","info":"user_count"}`, or with `channel`.
///
/// # Errors
/// [`BodyError`].
pub fn decode_event(body: &[u8], limits: &EventLimits) -> Result<Event, BodyError> {
    check(&read::object(checked(body)?).ok_or(BodyError::Incorrect)?, limits)
}

/// Decodes the body of `POST /apps/ID/batch_events`: `{"batch":[{"name":"greeting",
/// "channel":"a","data":"{}"}]}`.
///
/// # Errors
/// [`BodyError`] of the first event that is refused; then none is to be published.
pub fn decode_batch(body: &[u8], limits: &EventLimits) -> Result<Vec<Event>, BodyError> {
    let body: RawBatch<'_> = read::object(checked(body)?).ok_or(BodyError::Incorrect)?;
    let batch = array(body.batch.ok_or(BodyError::Incorrect)?)?;
    let events_max = limits.batch_max;
    if batch.len() > events_max {
        return Err(BodyError::BatchTooLarge { events_max });
    }
    let one =
        |raw: &&RawValue| check(&read::object(raw.get()).ok_or(BodyError::Incorrect)?, limits);
    batch.iter().map(one).collect()
}

fn checked(body: &[u8]) -> Result<&str, BodyError> {
    let text = str::from_utf8(body).ok().ok_or(BodyError::Incorrect)?;
    let is_json = read::check(text, DEPTH_MAX, KEYS_MAX).is_ok();
    is_json.then_some(text).ok_or(BodyError::Incorrect)
}

fn array(raw: &RawValue) -> Result<Vec<&RawValue>, BodyError> {
    serde_json::from_str(raw.get()).ok().ok_or(BodyError::Incorrect)
}

fn check(raw: &RawEvent<'_>, limits: &EventLimits) -> Result<Event, BodyError> {
    let channels = match (raw.channels, raw.channel) {
        (Some(channels), _) => array(channels)?,
        (None, Some(channel)) => vec![channel],
        (None, None) => return Err(BodyError::Incorrect),
    };
    let name = raw.name.and_then(read::string).ok_or(BodyError::Incorrect)?;
    let data = raw.data.ok_or(BodyError::Incorrect)?;
    if channels.is_empty() || name.is_empty() {
        return Err(BodyError::Incorrect);
    }
    let channels_max = limits.event_channels_max;
    if channels.len() > channels_max {
        return Err(BodyError::TooManyChannels { channels_max });
    }
    let chars_max = limits.event_name_chars_max;
    if name.chars().nth(chars_max).is_some() {
        return Err(BodyError::NameTooLong { chars_max });
    }
    Ok(Event {
        name,
        data: event_data(data, limits)?,
        channels: channel_names(&channels, limits)?,
        socket_id: socket_id(raw.socket_id)?,
        info: info(raw.info)?,
    })
}

fn event_data(raw: &RawValue, limits: &EventLimits) -> Result<String, BodyError> {
    let data = if raw.get().starts_with('"') {
        read::string(raw).ok_or(BodyError::Incorrect)?
    } else {
        raw.get().to_owned()
    };
    let bytes_max = limits.event_bytes_max;
    if data.len() > bytes_max {
        return Err(BodyError::DataTooLarge { bytes_max });
    }
    Ok(data)
}

/// The names, each once: an event reaches a channel once.
fn channel_names(raw: &[&RawValue], limits: &EventLimits) -> Result<Vec<ChannelName>, BodyError> {
    let mut names = Vec::with_capacity(raw.len());
    let mut seen = HashSet::with_capacity(raw.len());
    for raw in raw {
        let name = read::string(raw).ok_or(BodyError::Incorrect)?;
        let name = ChannelName::parse(&name, limits.channel_name_chars_max)?;
        if seen.insert(name.shared()) {
            names.push(name);
        }
    }
    let is_encrypted = |name: &ChannelName| name.kind() == ChannelKind::Encrypted;
    if names.len() > 1 && names.iter().any(is_encrypted) {
        return Err(BodyError::EncryptedWithOthers);
    }
    Ok(names)
}

fn socket_id(raw: Option<&RawValue>) -> Result<Option<SocketId>, BodyError> {
    let text = read::optional_string(raw).map_err(|_not| BodyError::SocketId)?;
    text.map(|text| text.parse().ok().ok_or(BodyError::SocketId)).transpose()
}

/// `"a,b"`, or, as some libraries send it, `["a","b"]`.
fn info(raw: Option<&RawValue>) -> Result<Info, BodyError> {
    let Some(raw) = raw else { return Ok(Info::default()) };
    if !raw.get().starts_with('[') {
        return Ok(Info::parse(&read::string(raw).ok_or(BodyError::Incorrect)?));
    }
    let list: Option<Vec<String>> = array(raw)?.into_iter().map(read::string).collect();
    Ok(Info::parse(&list.ok_or(BodyError::Incorrect)?.join(",")))
}

/// A size as Soketi writes it: `100` for 102,400 bytes.
pub(super) fn kilobytes(bytes: usize) -> f64 {
    bytes as f64 / 1024.0
}
