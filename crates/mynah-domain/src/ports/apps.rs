//! What is asked of apps.

use async_trait::async_trait;

use super::StoreError;
use crate::app::{App, AppError};
use crate::page::Page;
use crate::{AppId, TenantId};

/// Apps and their keys.
///
/// What stands in [`AppSecret`](crate::app::AppSecret) is kept as it is given: whoever calls sees to it
/// that it is sealed.
#[async_trait]
pub trait AppStore: Send + Sync {
    /// Makes an app; its `version` is 1 afterwards, whatever was given.
    ///
    /// # Errors
    /// [`AppError::Taken`] naming `id`, `tenant` or the first `key` that another app has;
    /// [`AppError::Invalid`]; [`AppError::Store`].
    async fn create_app(&self, app: App) -> Result<App, AppError>;

    /// Puts an app in the place of the stored one with its id, keys and webhooks included, and counts
    /// `version` up. `created_at` stays as it is stored.
    ///
    /// # Errors
    /// [`AppError::Missing`]; [`AppError::Changed`] when the stored `version` is another than the given
    /// one; [`AppError::Taken`], [`AppError::Invalid`], [`AppError::Store`].
    async fn replace_app(&self, app: App) -> Result<App, AppError>;

    /// An app by id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn app(&self, id: &AppId) -> Result<Option<App>, StoreError>;

    /// The app that has a key, also when the key has expired or the app is disabled.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn app_of_key(&self, key: &str) -> Result<Option<App>, StoreError>;

    /// The app of a tenant.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn app_of_tenant(&self, tenant: &TenantId) -> Result<Option<App>, StoreError>;

    /// All apps, made first coming first: from the beginning with 0, then with `next` of the page before.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn apps(&self, after: u64, limit: u32) -> Result<Page<App>, StoreError>;
}
