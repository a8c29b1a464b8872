//! Who a socket says it is: the data that signatures of subscriptions and sign-ins cover.
//!
//! Check the signature first: what nobody signed is not worth reading.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::read;
use crate::json::write_string;

/// Nesting and keys of the data, far above what anybody sends.
const DEPTH_MAX: u32 = 64;
const KEYS_MAX: u32 = 10_000;

/// What members and users may bring along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberLimits {
    /// Characters of an id.
    pub user_id_chars_max: usize,
    /// Bytes of `user_info` as it was sent.
    pub user_info_bytes_max: usize,
    /// Ids of a watchlist.
    pub watchlist_max: usize,
}

impl Default for MemberLimits {
    fn default() -> Self {
        Self { user_id_chars_max: 200, user_info_bytes_max: 2_048, watchlist_max: 100 }
    }
}

/// A member of a presence channel.
#[derive(Debug, Clone)]
pub struct Member {
    /// Unique in the channel. Numbers are taken as they are written: `7` is `"7"`.
    pub user_id: String,
    /// Any JSON but `null`.
    pub user_info: Option<Box<RawValue>>,
}

/// The user of a socket.
#[derive(Debug, Clone)]
pub struct SignedInUser {
    /// Never empty; must be a string, as pusher-js wants it.
    pub id: String,
    /// Any JSON but `null`.
    pub user_info: Option<Box<RawValue>>,
    /// Whose comings and goings the socket wants to hear of, each id once.
    pub watchlist: Vec<String>,
}

/// Why `channel_data` or `user_data` is refused; a sentence for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// Not JSON, not an object, or nested too deeply.
    #[error("The data is not a JSON object.")]
    NotAnObject,
    /// The id is missing, empty, or neither a string nor a number.
    #[error("The data names no user.")]
    NoUser,
    /// The id is too long or holds control characters.
    #[error("The user id is not valid.")]
    InvalidUser,
    /// `user_info` is too large.
    #[error(
        "The maximum size for a channel member is {} KB.",
        super::http::kilobytes(*.bytes_max)
    )]
    InfoTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// `watchlist` is not an array of ids.
    #[error("The watchlist is not a list of user ids.")]
    InvalidWatchlist,
    /// More ids than allowed.
    #[error("The watchlist is longer than the allowed {ids_max} users.")]
    WatchlistTooLong {
        /// The limit.
        ids_max: usize,
    },
}

#[derive(Deserialize)]
struct ChannelData<'a> {
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct UserData<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_info: Option<&'a RawValue>,
    #[serde(borrow)]
    watchlist: Option<&'a RawValue>,
}

/// Reads the `channel_data` of a subscription: `{"user_id":"7","user_info":{"name":"Ada"}}`.
///
/// # Errors
/// [`MemberError`].
pub fn parse_channel_data(text: &str, limits: &MemberLimits) -> Result<Member, MemberError> {
    let data: ChannelData<'_> = object(text)?;
    Ok(Member {
        user_id: user_id(data.user_id, limits)?,
        user_info: user_info(data.user_info, limits)?,
    })
}

/// Reads the `user_data` of a sign-in: `{"id":"7","user_info":{},"watchlist":["8","9"]}`.
///
/// # Errors
/// [`MemberError`].
pub fn parse_user_data(text: &str, limits: &MemberLimits) -> Result<SignedInUser, MemberError> {
    let data: UserData<'_> = object(text)?;
    if data.id.is_some_and(|id| !id.get().starts_with('"')) {
        return Err(MemberError::NoUser);
    }
    Ok(SignedInUser {
        id: user_id(data.id, limits)?,
        user_info: user_info(data.user_info, limits)?,
        watchlist: watchlist(data.watchlist, limits)?,
    })
}

fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, MemberError> {
    let is_json = read::check(text, DEPTH_MAX, KEYS_MAX).is_ok();
    is_json.then(|| read::object(text)).flatten().ok_or(MemberError::NotAnObject)
}

fn user_id(raw: Option<&RawValue>, limits: &MemberLimits) -> Result<String, MemberError> {
    let raw = raw.ok_or(MemberError::NoUser)?;
    let id = match raw.get().as_bytes().first() {
        Some(b'"') => read::string(raw).ok_or(MemberError::InvalidUser)?,
        Some(b'-' | b'0'..=b'9') => raw.get().to_owned(),
        _ => return Err(MemberError::NoUser),
    };
    if id.is_empty() {
        return Err(MemberError::NoUser);
    }
    let is_long = id.chars().nth(limits.user_id_chars_max).is_some();
    if is_long || id.chars().any(char::is_control) {
        return Err(MemberError::InvalidUser);
    }
    Ok(id)
}

fn user_info(
    raw: Option<&RawValue>,
    limits: &MemberLimits,
) -> Result<Option<Box<RawValue>>, MemberError> {
    let bytes_max = limits.user_info_bytes_max;
    if raw.is_some_and(|raw| raw.get().len() > bytes_max) {
        return Err(MemberError::InfoTooLarge { bytes_max });
    }
    Ok(raw.map(RawValue::to_owned))
}

fn watchlist(raw: Option<&RawValue>, limits: &MemberLimits) -> Result<Vec<String>, MemberError> {
    let Some(raw) = raw else { return Ok(Vec::new()) };
    let ids: Vec<&RawValue> =
        serde_json::from_str(raw.get()).ok().ok_or(MemberError::InvalidWatchlist)?;
    let ids_max = limits.watchlist_max;
    if ids.len() > ids_max {
        return Err(MemberError::WatchlistTooLong { ids_max });
    }
    let ids: Result<Vec<String>, _> = ids.iter().map(|id| user_id(Some(id), limits)).collect();
    let mut ids = ids.map_err(|_any| MemberError::InvalidWatchlist)?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Who is in a presence channel, for [`super::encode::subscription_succeeded`]:
/// `{"ids":["7"],"hash":{"7":{"name":"Ada"}},"count":1}`. Each user once; who brought no
/// `user_info` has `null` in the hash.
pub fn roster<'a, I>(members: I) -> String
where
    I: IntoIterator<Item = (&'a str, Option<&'a RawValue>)>,
{
    let mut ids = b"{\"ids\":[".to_vec();
    let mut hash = b"],\"hash\":{".to_vec();
    let mut count = 0_u64;
    for (user_id, user_info) in members {
        if count > 0 {
            ids.push(b',');
            hash.push(b',');
        }
        write_string(user_id, &mut ids);
        write_string(user_id, &mut hash);
        hash.push(b':');
        hash.extend_from_slice(user_info.map_or("null", RawValue::get).as_bytes());
        count += 1;
    }
    ids.append(&mut hash);
    ids.extend_from_slice(format!("}},\"count\":{count}}}").as_bytes());
    String::from_utf8(ids).expect("made of strings")
}
