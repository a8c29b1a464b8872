//! Idempotency keys: a back end that heard no answer may send its events again.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use mynah_domain::AppId;
use tokio::sync::OnceCell;

use super::admit::Caller;
use super::refusal::Refusal;

const HEADER: &str = "idempotency-key";
/// Longest key in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Most keys that are remembered, over all apps; of more, those used longest ago are forgotten.
const KEYS_MAX: u64 = 50_000;
/// How long a key is remembered: as long as a request may be repeated with its signature.
const KEPT: Duration = Duration::from_mins(10);

/// What became of a key's first request.
#[derive(Debug)]
pub(super) struct Entry {
    /// Which request it was.
    digest: [u8; 32],
    /// Set when its events are published. Whoever waits here for another's request shares its success, and
    /// takes over after a failure.
    pub(super) published: OnceCell<()>,
}

/// The keys of the last minutes. They live in this process alone: after a restart an event may be
/// published again.
pub(super) struct Once(Cache<(AppId, Box<str>), Arc<Entry>>);

impl Default for Once {
    fn default() -> Self {
        let cache = Cache::builder().max_capacity(KEYS_MAX).time_to_live(KEPT);
        Self(cache.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Once {
    /// The entry of a request's key; `None` if it has no key.
    ///
    /// # Errors
    /// 400 for a key that is none, 422 for one that another request has used.
    pub(super) fn entry(&self, caller: &Caller) -> Result<Option<Arc<Entry>>, Refusal> {
        let Some(key) = key(&caller.head.headers)? else { return Ok(None) };
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        digest.update(caller.head.uri.path().as_bytes());
        digest.update(b"\n");
        digest.update(&caller.body);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.finish().as_ref());
        let digest = bytes;
        let fresh = || Arc::new(Entry { digest, published: OnceCell::new() });
        let entry = self.0.get_with((caller.app.id.clone(), key.into()), fresh);
        if entry.digest != digest {
            let text = "The Idempotency-Key was used for another request.";
            return Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        Ok(Some(entry))
    }
}

fn key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    key.map(Some).ok_or_else(|| {
        Refusal::bad("The Idempotency-Key must have 1 to 255 visible ASCII characters.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_printable() {
        let read = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, axum::http::HeaderValue::from_bytes(value).unwrap());
            key(&headers).map(|key| key.map(str::to_owned))
        };
        assert_eq!(key(&HeaderMap::new()), Ok(None));
        assert_eq!(read(b"a b"), Ok(Some("a b".to_owned())));
        assert!(read(b"").is_err());
        assert!(read(&[b'x'; 256]).is_err());
        assert!(read(b"\xff").is_err());
    }
}
