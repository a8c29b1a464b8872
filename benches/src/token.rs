//! HS256 access tokens, made here so that the load needs no login.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// HMAC-SHA-256 (RFC 2104) for keys up to 64 bytes, which is all this program signs with.
fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut inner_pad = [0x36_u8; 64];
    let mut outer_pad = [0x5c_u8; 64];
    for ((inner, outer), byte) in inner_pad.iter_mut().zip(&mut outer_pad).zip(key) {
        *inner ^= byte;
        *outer ^= byte;
    }
    let inner = Sha256::new().chain_update(inner_pad).chain_update(data).finalize();
    Sha256::new().chain_update(outer_pad).chain_update(inner).finalize().into()
}

/// A token for `{"sub":"bench-<user>","name":"Bench <user>","iat":…,"exp":…}` (seconds).
pub(crate) fn sign(secret: &str, user: &str, issued_at_s: u64) -> String {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = format!(
        r#"{{"sub":"bench-{user}","name":"Bench {user}","iat":{issued_at_s},"exp":{}}}"#,
        issued_at_s + 86_400
    );
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(hmac(secret.as_bytes(), signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn hmac_matches_the_published_vector() {
        let mac = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(mac[..4], [0x5b, 0xdc, 0xc1, 0x46]);
        assert_eq!(mac[28..], [0x64, 0xec, 0x38, 0x43]);
    }
}
