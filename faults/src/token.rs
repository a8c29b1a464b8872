//! HS256 access tokens, made here so that the load needs no login.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What all nodes sign and verify with.
pub(crate) const SECRET: &str = "fault-suite-only-secret-0123456789-abcdef";
/// Longer than any run.
const LIFE_S: u64 = 86_400;

/// A token of the user `fault-<name>`.
pub(crate) fn sign(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let (issued, expires) = (now.saturating_sub(1), now + LIFE_S);
    let claims =
        format!(r#"{{"sub":"fault-{name}","name":"Fault {name}","iat":{issued},"exp":{expires}}}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()) else { return signed };
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{signed}.{signature}")
}
