//! Connection state recovery: what a client shows to be given what it missed.
//!
//! A client of Socket.IO 4.6 or later keeps the `pid` of its CONNECT answer and the last string that ended
//! an event, the *offset*, and sends both when it connects again. Here the offset is a place in the log, and
//! the `pid` says by itself, signed, whose connection it was and where it began. So nothing need be kept for
//! a client that is away, and a restart, a crash or an hour change nothing.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mynah_domain::event::Event;
use mynah_domain::recovery::{LogEpoch, Place};
use mynah_domain::{TenantId, Timestamp, UserId};

use mynah_hub::cluster::Frontier;
use parking_lot::RwLock;

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

/// A place in what a connection was sent, and what else it says has been sent up to there.
///
/// Where several nodes store events, those of one reach another's connections in order, but not in order with
/// those of a third. So a place alone does not tell what was sent before it: the [`Frontier`] does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offset {
    /// The place.
    pub place: Place,
    /// What was sent, where the place does not tell.
    pub sent: Option<Sent>,
}

/// What had been sent, by writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// How far, of each.
    pub frontier: Arc<Frontier>,
    /// Whether everything up to the place itself was sent too, whoever stored it.
    pub and_before: bool,
}

impl Offset {
    /// Whether an event had been sent.
    pub fn covers(&self, event: &Event) -> bool {
        let before = event.pos <= self.place.pos;
        match &self.sent {
            None => before,
            Some(Sent { frontier, and_before }) => {
                (*and_before && before) || event.pos <= frontier.of(event.origin)
            }
        }
    }

    /// Everything up to here had been sent, whoever stored it.
    pub fn floor(&self) -> u64 {
        match &self.sent {
            Some(Sent { frontier, and_before: false }) => low(frontier).min(self.place.pos),
            Some(Sent { and_before: true, .. }) | None => self.place.pos,
        }
    }
}

/// How far this node has delivered what each writer stored; nothing where there is one writer only. Clones
/// share it.
#[derive(Clone, Default)]
pub struct Reached(Arc<RwLock<Option<Frontier>>>);

impl Reached {
    /// What was delivered up to now.
    pub fn advance(&self, frontier: &Frontier) {
        match &mut *self.0.write() {
            Some(reached) => reached.clone_from(frontier),
            nothing => *nothing = Some(frontier.clone()),
        }
    }

    /// What was delivered of every writer that is heard; `None` where a single place tells it.
    pub fn low(&self) -> Option<u64> {
        let reached = self.0.read();
        let reached = reached.as_ref()?;
        let heard = reached.iter().map(|(_, pos)| pos).min();
        Some(heard.unwrap_or_else(|| reached.base()))
    }

    /// Whether what an offset says to have been sent was delivered here too, by each writer that it names; of
    /// what it says of the others, whether this node is as far in the log.
    pub fn covers(&self, seen: &Offset) -> bool {
        let reached = self.0.read();
        let Some(reached) = reached.as_ref() else { return true };
        let furthest = reached.iter().map(|(_, pos)| pos).fold(reached.base(), u64::max);
        let (named, and_before) = match &seen.sent {
            None => (None, true),
            Some(sent) => (Some(&sent.frontier), sent.and_before),
        };
        let mut places = named.into_iter().flat_map(|frontier| frontier.iter());
        places.all(|(writer, pos)| reached.of(writer) >= pos)
            && (!and_before || furthest >= seen.place.pos)
    }

    /// What was delivered, as [`sent_text`] spells it.
    pub fn text(&self) -> String {
        self.0.read().as_ref().map_or_else(String::new, |all| sent_text(all, 0, false))
    }
}

/// What a frontier says of every writer.
pub fn low(frontier: &Frontier) -> u64 {
    frontier.iter().map(|(_, pos)| pos).fold(frontier.base(), u64::min)
}

/// What follows the place in an offset: `~3y1k.2-5.7-0`, the base and how far beyond it each writer is, in
/// base 36; `+` instead of `~` if everything before the place was sent too. Empty if the place tells it all:
/// where `origin` alone stores.
pub fn sent_text(frontier: &Frontier, origin: u16, and_before: bool) -> String {
    if frontier.iter().all(|(writer, _)| writer == origin) {
        return String::new();
    }
    let base = low(frontier);
    let mut text = String::with_capacity(32);
    text.push(if and_before { '+' } else { '~' });
    base_36(base, &mut text);
    for (writer, pos) in frontier.iter() {
        text.push('.');
        base_36(u64::from(writer), &mut text);
        text.push('-');
        base_36(pos - base, &mut text);
    }
    text
}

fn base_36(mut number: u64, text: &mut String) {
    let mut digits = [0_u8; 13];
    let mut first = digits.len();
    loop {
        first -= 1;
        if let Some(digit) = digits.get_mut(first) {
            *digit = (number % 36) as u8;
        }
        number /= 36;
        if number == 0 {
            break;
        }
    }
    let digits = digits.iter().skip(first);
    text.extend(digits.filter_map(|digit| char::from_digit(u32::from(*digit), 36)));
}

/// The offset of a place: `184467`, or `184467.1` for what was sent to one connection alone.
pub fn place_text(place: Place) -> String {
    match place.nth {
        0 => place.pos.to_string(),
        nth => format!("{}.{nth}", place.pos),
    }
}

/// Longest offset; one of 64 writers is shorter.
const OFFSET_BYTES_MAX: usize = 1_536;

/// Reads an offset.
pub fn read_offset(text: &str) -> Option<Offset> {
    if text.len() > OFFSET_BYTES_MAX {
        return None;
    }
    let (place, sent) = match text.split_once(['~', '+']) {
        Some((place, sent)) => (place, Some((sent, text.contains('+')))),
        None => (text, None),
    };
    let place = read_place(place)?;
    let sent = match sent {
        Some((frontier, and_before)) => {
            Some(Sent { frontier: Arc::new(read_frontier(frontier)?), and_before })
        }
        None => None,
    };
    Some(Offset { place, sent })
}

fn read_place(text: &str) -> Option<Place> {
    let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let (pos, nth) = text.split_once('.').unwrap_or((text, "0"));
    if !plain(pos) || !plain(nth) {
        return None;
    }
    Some(Place { pos: pos.parse().ok()?, nth: nth.parse().ok()? })
}

fn read_frontier(text: &str) -> Option<Frontier> {
    let number = |digits: &str| u64::from_str_radix(digits, 36).ok();
    let mut parts = text.split('.');
    let base = number(parts.next()?)?;
    let mut frontier = Frontier::new(base);
    for part in parts {
        let (writer, ahead) = part.split_once('-')?;
        let writer = u16::try_from(number(writer)?).ok()?;
        frontier.raise(writer, base.checked_add(number(ahead)?)?);
    }
    Some(frontier)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holder<'a>(tenant: &'a TenantId, user: &'a UserId) -> Holder<'a> {
        Holder { tenant, user, namespace: "/", vocabulary: "native", epoch: LogEpoch(7) }
    }

    #[test]
    fn a_node_knows_whether_it_is_as_far_as_the_one_before() {
        let reached = Reached::default();
        let offset = |text: &str| read_offset(text).unwrap();
        assert!(reached.covers(&offset("90~0.1-2g")), "one writer's places are told at once");
        let mut here = Frontier::new(50);
        here.raise(1, 80);
        here.raise(2, 60);
        reached.advance(&here);
        let at = |one: u64, two: u64| {
            let mut there = Frontier::new(0);
            there.raise(1, one);
            there.raise(2, two);
            sent_text(&there, 0, false)
        };
        for (text, is_covered) in [
            ("80".to_owned(), true),
            ("81".to_owned(), false),
            (format!("80{}", at(80, 60)), true),
            (format!("80{}", at(80, 61)), false),
            (format!("61{}", at(81, 10)), false),
            (format!("99{}", at(80, 60)), true),
            (format!("99{}", at(80, 60).replace('~', "+")), false),
        ] {
            assert_eq!(reached.covers(&offset(&text)), is_covered, "{text}");
        }
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
        fn offsets_are_read_as_written(
            pos: u64, nth: u32, base in 0..u64::MAX / 2, and_before: bool,
            writers in proptest::collection::btree_map(1_u16..1_024, 0..u64::MAX / 2, 0..64),
        ) {
            let place = Place { pos, nth };
            prop_assert_eq!(read_offset(&place_text(place)), Some(Offset { place, sent: None }));
            let mut frontier = Frontier::new(base);
            for (writer, pos) in &writers {
                frontier.raise(*writer, *pos);
            }
            let text = sent_text(&frontier, 0, and_before);
            let read = read_offset(&(place_text(place) + &text)).unwrap();
            prop_assert!(text.len() < OFFSET_BYTES_MAX - 32);
            prop_assert_eq!(read.sent.is_some(), frontier.iter().count() > 0);
            if let Some(sent) = read.sent {
                prop_assert_eq!(sent.and_before, and_before);
                for writer in writers.keys() {
                    prop_assert_eq!(sent.frontier.of(*writer), frontier.of(*writer));
                }
            }
        }

        #[test]
        fn nothing_else_is_a_place(text in "[a-z+. -]{0,6}|-?[0-9]*\\.[a-z]") {
            prop_assert_eq!(read_offset(&text), None);
        }
    }
}
