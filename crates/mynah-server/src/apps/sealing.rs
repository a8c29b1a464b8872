//! Secrets of apps, sealed on their way into the store and opened on their way out.
//!
//! AES-256-GCM with a random nonce; the key is derived from `auth.encryption_key` with HKDF-SHA256. What
//! is sealed is bound to its app and key (for a webhook's header: app and name of the header), so that a
//! row moved elsewhere does not open. Form: `v1.` and base64 of nonce, text and tag.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use mynah_domain::app::{App, AppError, AppSecret};
use mynah_domain::page::Page;
use mynah_domain::ports::{AppStore, StoreError};
use mynah_domain::{AppId, TenantId};

use crate::config::Hidden;

const VERSION: &str = "v1.";

/// The store of apps, seen with open secrets.
pub struct SealedApps {
    store: Arc<dyn AppStore>,
    key: Option<RandomizedNonceKey>,
}

impl SealedApps {
    /// Seals with a key derived from `secret`. Without one, what is stored cannot be read nor changed.
    pub fn new(store: Arc<dyn AppStore>, secret: &Hidden) -> Self {
        let key = (!secret.is_empty()).then(|| derived(secret.expose()));
        Self { store, key }
    }

    fn key(&self) -> Result<&RandomizedNonceKey, StoreError> {
        let missing = || {
            StoreError::Unavailable(
                "the secrets of stored apps cannot be opened without auth.encryption_key"
                    .to_owned(),
            )
        };
        self.key.as_ref().ok_or_else(missing)
    }

    fn seal(&self, mut app: App) -> Result<App, AppError> {
        app.check()?;
        let key = self.key()?;
        let sealed = |place: &str, text: &str| seal(key, &about(&app.id, place), text);
        let mut keys = app.keys.clone();
        for own in &mut keys {
            own.secret = AppSecret::new(sealed(&format!("key {}", own.key), own.secret.expose())?);
        }
        let mut webhooks = app.webhooks.clone();
        for (name, value) in webhooks.iter_mut().flat_map(|rule| &mut rule.headers) {
            *value = sealed(&format!("header {name}"), value)?;
        }
        (app.keys, app.webhooks) = (keys, webhooks);
        Ok(app)
    }

    fn open(&self, mut app: App) -> Result<App, StoreError> {
        let key = self.key()?;
        let broken = || StoreError::Inconsistent {
            table: "apps",
            id: format!("{} (its secrets were sealed with another auth.encryption_key)", app.id),
        };
        let opened =
            |place: &str, text: &str| open(key, &about(&app.id, place), text).ok_or_else(broken);
        let mut keys = app.keys.clone();
        for own in &mut keys {
            own.secret = AppSecret::new(opened(&format!("key {}", own.key), own.secret.expose())?);
        }
        let mut webhooks = app.webhooks.clone();
        for (name, value) in webhooks.iter_mut().flat_map(|rule| &mut rule.headers) {
            *value = opened(&format!("header {name}"), value)?;
        }
        (app.keys, app.webhooks) = (keys, webhooks);
        Ok(app)
    }

    fn open_if(&self, found: Option<App>) -> Result<Option<App>, StoreError> {
        found.map(|app| self.open(app)).transpose()
    }
}

#[async_trait]
impl AppStore for SealedApps {
    async fn create_app(&self, app: App) -> Result<App, AppError> {
        let stored = self.store.create_app(self.seal(app)?).await?;
        Ok(self.open(stored)?)
    }

    async fn replace_app(&self, app: App) -> Result<App, AppError> {
        let stored = self.store.replace_app(self.seal(app)?).await?;
        Ok(self.open(stored)?)
    }

    async fn app(&self, id: &AppId) -> Result<Option<App>, StoreError> {
        self.open_if(self.store.app(id).await?)
    }

    async fn app_of_key(&self, key: &str) -> Result<Option<App>, StoreError> {
        self.open_if(self.store.app_of_key(key).await?)
    }

    async fn app_of_tenant(&self, tenant: &TenantId) -> Result<Option<App>, StoreError> {
        self.open_if(self.store.app_of_tenant(tenant).await?)
    }

    async fn apps(&self, after: u64, limit: u32) -> Result<Page<App>, StoreError> {
        let page = self.store.apps(after, limit).await?;
        let items = page.items.into_iter().map(|app| self.open(app)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: page.next })
    }
}

fn derived(secret: &str) -> RandomizedNonceKey {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"mynah");
    let mut bytes = [0_u8; 32];
    let extracted = salt.extract(secret.as_bytes());
    let expanded = extracted.expand(&[b"secrets of apps, v1"], hkdf::HKDF_SHA256);
    let filled = expanded.and_then(|okm| okm.fill(&mut bytes));
    filled.expect("32 bytes are one block of SHA-256");
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).expect("32 bytes are a key of AES-256")
}

/// What the sealed text belongs to.
fn about(app: &AppId, place: &str) -> Vec<u8> {
    format!("{app}\n{place}").into_bytes()
}

fn seal(key: &RandomizedNonceKey, about: &[u8], text: &str) -> Result<String, StoreError> {
    let mut sealed = text.as_bytes().to_vec();
    let failed = |_| StoreError::Unavailable("a secret could not be sealed".to_owned());
    let nonce = key.seal_in_place_append_tag(Aad::from(about), &mut sealed).map_err(failed)?;
    let mut bytes = nonce.as_ref().to_vec();
    bytes.append(&mut sealed);
    Ok(format!("{VERSION}{}", STANDARD_NO_PAD.encode(bytes)))
}

fn open(key: &RandomizedNonceKey, about: &[u8], text: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(text.strip_prefix(VERSION)?).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let opened = key.open_in_place(nonce, Aad::from(about), &mut sealed).ok()?;
    String::from_utf8(opened.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use mynah_domain::Timestamp;
    use mynah_domain::app::{AppKey, WebhookRule};
    use mynah_testkit::{MemoryStore, Recorder};

    use super::*;

    fn app(id: &str) -> App {
        let key = AppKey {
            key: format!("key-of-{id}"),
            secret: AppSecret::new("the secret"),
            created_at: Timestamp(1),
            expires_at: None,
        };
        let mut app = App::new(AppId::trusted(id), TenantId::trusted(id), key);
        app.webhooks.push(WebhookRule {
            url: "https://a.example.org".to_owned(),
            headers: vec![("Authorization".to_owned(), "Bearer the token".to_owned())],
            ..WebhookRule::default()
        });
        app
    }

    fn key(text: &str) -> Hidden {
        Hidden::new(text)
    }

    #[tokio::test]
    async fn the_store_sees_no_secret_and_the_caller_no_seal() {
        let store = MemoryStore::new(Recorder::new());
        let apps = SealedApps::new(store.clone(), &key("k"));
        let made = apps.create_app(app("shop")).await.unwrap();
        assert_eq!(made, app("shop"));
        let kept = store.app(&made.id).await.unwrap().unwrap();
        let secret = kept.keys[0].secret.expose();
        assert!(secret.starts_with("v1.") && !secret.contains("secret"), "{secret}");
        assert!(kept.webhooks[0].headers[0].1.starts_with("v1."), "{:?}", kept.webhooks);
        let changed = apps.replace_app(App { name: "Shop".to_owned(), ..made }).await.unwrap();
        assert_eq!(apps.app(&changed.id).await, Ok(Some(changed.clone())));
        assert_eq!(apps.app_of_key("key-of-shop").await, Ok(Some(changed.clone())));
        assert_eq!(apps.app_of_tenant(&changed.tenant).await, Ok(Some(changed.clone())));
        assert_eq!(apps.apps(0, 5).await.unwrap().items, [changed]);
        let again = store.app(&AppId::trusted("shop")).await.unwrap().unwrap();
        assert_ne!(again.keys[0].secret, kept.keys[0].secret, "each sealing has its own nonce");
    }

    #[tokio::test]
    async fn what_another_key_sealed_or_was_moved_does_not_open() {
        let store = MemoryStore::new(Recorder::new());
        let apps = SealedApps::new(store.clone(), &key("k"));
        apps.create_app(app("shop")).await.unwrap();
        let other = SealedApps::new(store.clone(), &key("another"));
        let error = other.app_of_key("key-of-shop").await.unwrap_err().to_string();
        assert!(error.contains("auth.encryption_key"), "{error}");
        let sealed = store.app(&AppId::trusted("shop")).await.unwrap().unwrap();
        let mut thief = app("thief");
        thief.webhooks.clear();
        thief.keys[0].secret = sealed.keys[0].secret.clone();
        store.create_app(thief).await.unwrap();
        assert!(apps.app_of_key("key-of-thief").await.is_err(), "bound to its app");
        let mut plain = app("plain");
        plain.webhooks.clear();
        store.create_app(plain).await.unwrap();
        assert!(apps.app_of_key("key-of-plain").await.is_err(), "never was sealed");
    }

    #[tokio::test]
    async fn without_a_key_nothing_is_made_and_nothing_shown() {
        let store = MemoryStore::new(Recorder::new());
        SealedApps::new(store.clone(), &key("k")).create_app(app("shop")).await.unwrap();
        let apps = SealedApps::new(store.clone(), &Hidden::default());
        assert_eq!(apps.app_of_key("unknown").await, Ok(None));
        let error = apps.app_of_key("key-of-shop").await.unwrap_err().to_string();
        assert!(error.contains("auth.encryption_key"), "{error}");
        assert!(apps.create_app(app("desk")).await.is_err());
        assert_eq!(store.app(&AppId::trusted("desk")).await, Ok(None));
    }
}
