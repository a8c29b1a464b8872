//! The outside world's time and randomness, as adapters of the domain's ports.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mynah_domain::Timestamp;
use mynah_domain::ports::{Clock, IdSource};

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as i64)
    }
}

thread_local! {
    /// Random bytes of the operating system, fetched in larger pieces; used ones are gone from the end.
    static POOL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Bytes fetched from the operating system at once.
const POOL_BYTES: usize = 1_024;

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    POOL.with_borrow_mut(|pool| {
        if pool.len() < N {
            pool.resize(POOL_BYTES, 0);
            getrandom::fill(pool).expect("the operating system gives random bytes");
        }
        let mut bytes = [0_u8; N];
        for (to, from) in bytes.iter_mut().zip(pool.drain(pool.len() - N..)) {
            *to = from;
        }
        bytes
    })
}

/// An Engine.IO session id: 20 URL-safe characters of 15 random bytes. A secret.
pub fn session_id() -> String {
    URL_SAFE_NO_PAD.encode(random::<15>())
}

/// Ids of the form `comb4`: 48 bits of milliseconds, then random bits, shaped as a UUID of version 4,
/// because widespread validators refuse version 7.
#[derive(Debug, Clone, Copy, Default)]
pub struct CombIds;

impl IdSource for CombIds {
    fn id(&self, now: Timestamp) -> String {
        let mut bytes = random::<16>();
        let stamp = now.0.to_be_bytes();
        for (to, from) in bytes.iter_mut().zip(stamp.iter().skip(2)) {
            *to = *from;
        }
        let mut text = String::with_capacity(36);
        for (i, byte) in bytes.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            let byte = match i {
                6 => (byte & 0x0f) | 0x40,
                8 => (byte & 0x3f) | 0x80,
                _ => *byte,
            };
            for nibble in [byte >> 4, byte & 0x0f] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        text
    }

    fn secret(&self) -> String {
        URL_SAFE_NO_PAD.encode(random::<32>())
    }

    fn fingerprint(&self, secret: &str) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
        digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
            for nibble in [byte >> 4, byte & 0x0f] {
                hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            hex
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_version_4_and_start_with_the_time() {
        let id = CombIds.id(Timestamp(0x0123_4567_89ab));
        assert!(id.starts_with("01234567-89ab-4"), "{id}");
        assert_eq!(id.len(), 36);
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{id}");
        assert_ne!(CombIds.id(Timestamp(1)), CombIds.id(Timestamp(1)));
    }

    #[test]
    fn fingerprints_are_sha256() {
        assert_eq!(
            CombIds.fingerprint("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
