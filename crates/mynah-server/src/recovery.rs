//! Connection state recovery: what a client shows to be given what it missed.
//!
//! A client of Socket.IO 4.6 or later keeps the `pid` of its CONNECT answer and the last string that ended
//! an event, the *offset*, and sends both when it connects again. Here the offset is a place in the log, and
//! the `pid` says by itself, signed, whose connection it was and where it began. So nothing need be kept for
//! a client that is away, and a restart, a crash or an hour change nothing.

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mynah_domain::recovery::{LogEpoch, Place};
use mynah_domain::{TenantId, Timestamp, UserId};

use crate::system::random;

const ORIGIN_BYTES: usize = 11;
const SALT_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
const BODY_BYTES: usize = ORIGIN_BYTES + SALT_BYTES + 8 + 8;

/// Names one client object (a `Socket` of the library) through all its connections, recovered or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin([u8; ORIGIN_BYTES]);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}

/// What a `pid` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pid {
    /// Whose.
    pub origin: Origin,
    salt: [u8; SALT_BYTES],
    /// Everything up to here was before the connection.
    pub start: u64,
    /// When it was made.
    pub issued_at: Timestamp,
}

/// For whom and where a `pid` is good.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The user.
    pub user: &'a UserId,
    /// The namespace.
    pub namespace: &'a str,
    /// The vocabulary.
    pub vocabulary: &'a str,
    /// The life of the log: its places mean something else in another.
    pub epoch: LogEpoch,
}

/// Makes and reads `pid`s; none when recovery is off.
pub struct Recovery {
    key: hmac::Key,
}

impl Recovery {
    /// With a key derived from the installation's secret.
    pub fn new(secret: &[u8]) -> Self {
        let root = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&root, b"mynah connection state recovery 1");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()) }
    }

    /// A new `pid`; of the same `origin` for a client that was here before.
    pub fn issue(origin: Option<Origin>, start: u64, issued_at: Timestamp) -> Pid {
        let origin = origin.unwrap_or_else(|| Origin(random()));
        Pid { origin, salt: random(), start, issued_at }
    }

    /// Its text, 63 characters. A secret of the client.
    pub fn text(&self, pid: &Pid, holder: Holder<'_>) -> String {
        let mut bytes = pid.body().to_vec();
        let tag = hmac::sign(&self.key, &message(&pid.body(), holder));
        bytes.extend(tag.as_ref().iter().take(TAG_BYTES));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text; `None` if it was not made here, or for somebody else.
    pub fn read(&self, text: &str, holder: Holder<'_>) -> Option<Pid> {
        if text.len() > 2 * (BODY_BYTES + TAG_BYTES) {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, tag) = bytes.split_first_chunk::<BODY_BYTES>()?;
        let expected = hmac::sign(&self.key, &message(body, holder));
        let expected = expected.as_ref().get(..TAG_BYTES)?;
        aws_lc_rs::constant_time::verify_slices_are_equal(expected, tag).ok()?;
        let (origin, rest) = body.split_first_chunk::<ORIGIN_BYTES>()?;
        let (salt, rest) = rest.split_first_chunk::<SALT_BYTES>()?;
        let (start, issued_at) = rest.split_first_chunk()?;
        let start = u64::from_be_bytes(*start);
        let issued_at = Timestamp(i64::from_be_bytes(*issued_at.first_chunk()?));
        Some(Pid { origin: Origin(*origin), salt: *salt, start, issued_at })
    }
}

impl Pid {
    fn body(&self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        let parts = self.origin.0.iter().chain(&self.salt).copied();
        let parts = parts.chain(self.start.to_be_bytes()).chain(self.issued_at.0.to_be_bytes());
        for (to, from) in body.iter_mut().zip(parts) {
            *to = from;
        }
        body
    }

    /// The socket id that goes with it: 20 URL-safe characters, the same as long as the `pid` is. It tells
    /// nothing of the signature.
    pub fn socket_id(&self) -> String {
        SocketKey::of(self).to_string()
    }
}

/// A socket id as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SocketKey([u8; ORIGIN_BYTES + SALT_BYTES]);

impl SocketKey {
    /// That of the socket with this `pid`.
    pub fn of(pid: &Pid) -> Self {
        let mut key = [0; ORIGIN_BYTES + SALT_BYTES];
        for (to, from) in key.iter_mut().zip(pid.origin.0.iter().chain(&pid.salt)) {
            *to = *from;
        }
        Self(key)
    }
}

impl fmt::Display for SocketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// What is signed: the numbers, then each text with its length in front, so that none can run into another.
fn message(body: &[u8], holder: Holder<'_>) -> Vec<u8> {
    let mut message = body.to_vec();
    message.extend(holder.epoch.0.to_be_bytes());
    for part in [holder.tenant.as_str(), holder.user.as_str(), holder.namespace, holder.vocabulary]
    {
        message.extend((part.len() as u64).to_be_bytes());
        message.extend(part.as_bytes());
    }
    message
}

/// The offset of a place: `184467`, or `184467.1` for what was sent to one connection alone.
pub fn place_text(place: Place) -> String {
    match place.nth {
        0 => place.pos.to_string(),
        nth => format!("{}.{nth}", place.pos),
    }
}

/// Reads an offset.
pub fn read_place(text: &str) -> Option<Place> {
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let (pos, nth) = text.split_once('.').unwrap_or((text, "0"));
    if !plain(pos) || !plain(nth) {
        return None;
    }
    Some(Place { pos: pos.parse().ok()?, nth: nth.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holder<'a>(tenant: &'a TenantId, user: &'a UserId) -> Holder<'a> {
        Holder { tenant, user, namespace: "/", vocabulary: "native", epoch: LogEpoch(7) }
    }

    #[test]
    fn a_pid_is_good_for_its_holder_alone() {
        let recovery = Recovery::new(b"a secret of at least thirty-two bytes");
        let (tenant, ann, bob) =
            (TenantId::single(), UserId::trusted("ann"), UserId::trusted("bob"));
        let pid = Recovery::issue(None, 17, Timestamp(1_700_000_000_000));
        let text = recovery.text(&pid, holder(&tenant, &ann));
        assert_eq!(recovery.read(&text, holder(&tenant, &ann)), Some(pid));
        assert_eq!(recovery.read(&text, holder(&tenant, &bob)), None, "another user");
        for other in [
            Holder { namespace: "/chat", ..holder(&tenant, &ann) },
            Holder { vocabulary: "camel", ..holder(&tenant, &ann) },
            Holder { epoch: LogEpoch(8), ..holder(&tenant, &ann) },
        ] {
            assert_eq!(recovery.read(&text, other), None);
        }
        let elsewhere = Recovery::new(b"another secret of thirty-two bytes");
        assert_eq!(elsewhere.read(&text, holder(&tenant, &ann)), None);
        assert_ne!(
            pid.socket_id(),
            Recovery::issue(Some(pid.origin), 17, Timestamp(0)).socket_id()
        );
        assert_eq!(pid.socket_id().len(), 20);
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_pid(
            at in 0_usize..64, flip in 1_u8..255, garbage in ".{0,100}",
        ) {
            let recovery = Recovery::new(b"secret");
            let (tenant, user) = (TenantId::single(), UserId::trusted("ann"));
            let text = recovery.text(&Recovery::issue(None, 3, Timestamp(0)), holder(&tenant, &user));
            let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let place = at % bytes.len();
            bytes[place] ^= flip;
            let changed = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(recovery.read(&changed, holder(&tenant, &user)), None);
            prop_assert_eq!(recovery.read(&garbage, holder(&tenant, &user)), None);
        }

        #[test]
        fn places_are_read_as_written(pos: u64, nth: u32) {
            let place = Place { pos, nth };
            prop_assert_eq!(read_place(&place_text(place)), Some(place));
        }

        #[test]
        fn nothing_else_is_a_place(text in "[a-z+. -]{0,6}|-?[0-9]*\\.[a-z]") {
            prop_assert_eq!(read_place(&text), None);
        }
    }
}
