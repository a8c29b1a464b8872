//! Signatures: the hexadecimal HMAC-SHA256 of a text with an app's secret.
//!
//! Everything is compared in constant time.

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::query::{as_typed, hex};
use super::{ChannelName, Query, SocketId};

/// Largest difference between a request's timestamp and the clock, in seconds.
pub const TIMESTAMP_WINDOW_S: i64 = 600;

/// Signature of a subscription to a private, encrypted or presence channel, over
/// `SOCKET:CHANNEL` or `SOCKET:CHANNEL:CHANNEL_DATA`.
///
/// Of a [`ChannelName`] only: for "channel" `:user:` with the data `{"id":"7"}` this would be the
/// signature of a sign-in.
pub fn channel(
    secret: &str,
    socket_id: SocketId,
    channel: &ChannelName,
    channel_data: Option<&str>,
) -> String {
    to_hex(&of_channel(secret, socket_id, channel, channel_data).finalize().into_bytes())
}

/// Signature of a sign-in, over `SOCKET::user::USER_DATA`.
pub fn user(secret: &str, socket_id: SocketId, user_data: &str) -> String {
    to_hex(&of_user(secret, socket_id, user_data).finalize().into_bytes())
}

/// Signature of a webhook, over its body as sent.
pub fn webhook(secret: &str, body: &[u8]) -> String {
    to_hex(&mac(secret, &[body]).finalize().into_bytes())
}

/// Signature of a request to the HTTP API, over [`request`].
pub fn of_request(secret: &str, string_to_sign: &str) -> String {
    to_hex(&mac(secret, &[string_to_sign.as_bytes()]).finalize().into_bytes())
}

/// The hexadecimal MD5 of a body, which requests carry as `body_md5`.
pub fn body_md5(body: &[u8]) -> String {
    to_hex(&Md5::digest(body))
}

/// What clients present: `KEY:SIGNATURE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Auth<'a> {
    /// The key whose secret made the signature.
    pub key: &'a str,
    /// Hexadecimal, unchecked.
    pub signature: &'a str,
}

impl<'a> Auth<'a> {
    /// Splits `KEY:SIGNATURE`; `None` if there is no colon.
    pub fn split(auth: &'a str) -> Option<Self> {
        let (key, signature) = auth.split_once(':')?;
        Some(Self { key, signature })
    }

    /// Whether `secret`, that of [`Self::key`], signed this subscription; see [`channel`].
    pub fn signs_channel(
        &self,
        secret: &str,
        socket_id: SocketId,
        channel: &ChannelName,
        channel_data: Option<&str>,
    ) -> bool {
        self.is_plain()
            && is_signature(of_channel(secret, socket_id, channel, channel_data), self.signature)
    }

    /// Whether `secret`, that of [`Self::key`], signed this sign-in; see [`user`].
    pub fn signs_user(&self, secret: &str, socket_id: SocketId, user_data: &str) -> bool {
        self.is_plain() && is_signature(of_user(secret, socket_id, user_data), self.signature)
    }

    /// Whether there are no capital letters: to clients, a signature has one spelling.
    fn is_plain(&self) -> bool {
        !self.signature.bytes().any(|byte| byte.is_ascii_uppercase())
    }
}

/// A request to the HTTP API, as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `POST`
    pub method: &'a str,
    /// `/apps/1/events`, not decoded.
    pub path: &'a str,
    /// Its parameters.
    pub query: &'a Query<'a>,
    /// Its body, empty for GET.
    pub body: &'a [u8],
}

/// Why a request is refused, always with status 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefused {
    /// A parameter is missing or given twice.
    #[error("The parameter {0} is missing or given more than once.")]
    Missing(&'static str),
    /// `auth_version` is not `1.0`.
    #[error("The auth_version is not 1.0.")]
    Version,
    /// `auth_timestamp` is no number of seconds, or too far from the clock.
    #[error("The auth_timestamp is not within {TIMESTAMP_WINDOW_S} seconds of the server's time.")]
    Timestamp,
    /// `auth_key` is no key of the app.
    #[error("The auth_key is not a key of this app.")]
    Key,
    /// `body_md5` is not that of the body.
    #[error("The body_md5 is not that of the body.")]
    BodyMd5,
    /// `auth_signature` is not that of the request.
    #[error("The auth_signature is not that of this request.")]
    Signature,
}

/// The text a request's signature covers: `METHOD\nPATH\nkey=value&…` with lower-case keys in
/// order, decoded values and without `auth_signature`.
///
/// A list, `k[]=a&k[]=b`, `k[0]=a&k[1]=b` or a repeated `k`, is one `k=a,b`: so sign the
/// official libraries for PHP and Node.
pub fn request<'a>(
    method: &str,
    path: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let name = |key: &'a str| key.split_once('[').map_or(key, |(name, _)| name);
    join(method, path, pairs.into_iter().map(|(key, value)| (name(key), value)), true)
}

/// Checks who made a request: [`check_head`], then [`check_body`].
///
/// # Errors
/// [`RequestRefused`].
pub fn check_request(
    request: &Request<'_>,
    key: &str,
    secret: &str,
    now_s: i64,
) -> Result<(), RequestRefused> {
    check_head(request, key, secret, now_s)?;
    check_body(request)
}

/// Checks who made a request by all but its body, so that a body need not be read before it is
/// known whose it is: the parameters are there once, the version is 1.0, the key is `key`, the
/// timestamp within [`TIMESTAMP_WINDOW_S`] of `now_s` (Unix time) and the signature right.
///
/// Libraries differ in what they sign when a URL parser escapes something: decoded values (as
/// documented), lists as one value (PHP), the path and query string as they were before (Node), or
/// as they are sent. All are taken.
///
/// # Errors
/// [`RequestRefused`], any but [`RequestRefused::BodyMd5`].
pub fn check_head(
    request: &Request<'_>,
    key: &str,
    secret: &str,
    now_s: i64,
) -> Result<(), RequestRefused> {
    let auth_key = single(request.query, "auth_key")?;
    if auth_key != key {
        return Err(RequestRefused::Key);
    }
    if single(request.query, "auth_version")? != "1.0" {
        return Err(RequestRefused::Version);
    }
    let timestamp = single(request.query, "auth_timestamp")?;
    let timestamp: i64 = timestamp.parse().ok().ok_or(RequestRefused::Timestamp)?;
    if timestamp.abs_diff(now_s) > TIMESTAMP_WINDOW_S.unsigned_abs() {
        return Err(RequestRefused::Timestamp);
    }
    let signature = single(request.query, "auth_signature")?;
    if is_signed(request, secret, signature) { Ok(()) } else { Err(RequestRefused::Signature) }
}

/// Checks the body, which is covered by its digest, which the signature covers.
///
/// # Errors
/// [`RequestRefused::BodyMd5`], or [`RequestRefused::Missing`] if there is a body without a
/// digest.
pub fn check_body(request: &Request<'_>) -> Result<(), RequestRefused> {
    if request.body.is_empty() && request.query.get("body_md5").is_none() {
        return Ok(());
    }
    let given = single(request.query, "body_md5")?;
    let is_same = given.eq_ignore_ascii_case(&body_md5(request.body));
    if is_same { Ok(()) } else { Err(RequestRefused::BodyMd5) }
}

fn is_signed(request: &Request<'_>, secret: &str, signature: &str) -> bool {
    let Request { method, path, query, .. } = *request;
    let sent = as_sent(query.raw());
    let is_by = |text: String| is_signature(mac(secret, &[text.as_bytes()]), signature);
    is_by(self::request(method, path, query.pairs()))
        || is_by(join(method, path, query.pairs(), false))
        || is_by(format!("{method}\n{}\n{}", as_typed(path), as_typed(&sent)))
        || is_by(format!("{method}\n{path}\n{sent}"))
}

/// The parameters in the order they came, without the signature.
fn as_sent(query: &str) -> String {
    let is_covered = |part: &&str| !part.starts_with("auth_signature=");
    query.split('&').filter(is_covered).collect::<Vec<_>>().join("&")
}

/// Puts the parameters in order, those of one key as they came.
fn join<'a>(
    method: &str,
    path: &str,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    merges_lists: bool,
) -> String {
    let lower = |(key, value): (&'a str, &'a str)| (key.to_ascii_lowercase(), value);
    let mut pairs: Vec<_> = pairs.into_iter().map(lower).collect();
    pairs.retain(|(key, _)| key != "auth_signature");
    pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut out = format!("{}\n{path}\n", method.to_ascii_uppercase());
    let mut last: Option<&str> = None;
    for (key, value) in &pairs {
        if merges_lists && last == Some(key) {
            out.push(',');
        } else {
            out.push_str(if last.is_some() { "&" } else { "" });
            out.push_str(key);
            out.push('=');
        }
        out.push_str(value);
        last = Some(key);
    }
    out
}

/// The only value of a parameter.
fn single<'q>(query: &'q Query<'_>, key: &'static str) -> Result<&'q str, RequestRefused> {
    let mut values = query.all(key);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(RequestRefused::Missing(key)),
    }
}

fn of_channel(
    secret: &str,
    socket_id: SocketId,
    channel: &ChannelName,
    channel_data: Option<&str>,
) -> Hmac<Sha256> {
    let socket_id = socket_id.to_string();
    match channel_data {
        Some(data) => mac(
            secret,
            &[socket_id.as_bytes(), b":", channel.as_str().as_bytes(), b":", data.as_bytes()],
        ),
        None => mac(secret, &[socket_id.as_bytes(), b":", channel.as_str().as_bytes()]),
    }
}

fn of_user(secret: &str, socket_id: SocketId, user_data: &str) -> Hmac<Sha256> {
    let socket_id = socket_id.to_string();
    mac(secret, &[socket_id.as_bytes(), b"::user::", user_data.as_bytes()])
}

fn mac(secret: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(secret.as_bytes()).expect("keys may have any length");
    for part in parts {
        mac.update(part);
    }
    mac
}

fn is_signature(mac: Hmac<Sha256>, signature: &str) -> bool {
    let mut given = [0_u8; 32];
    let (digits, rest) = signature.as_bytes().as_chunks::<2>();
    if digits.len() != given.len() || !rest.is_empty() {
        return false;
    }
    for (byte, [high, low]) in given.iter_mut().zip(digits) {
        let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return false };
        *byte = high << 4 | low;
    }
    mac.verify_slice(&given).is_ok()
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
