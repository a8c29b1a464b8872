//! Apps.

use async_trait::async_trait;
use mynah_domain::app::{App, AppError};
use mynah_domain::page::Page;
use mynah_domain::ports::{AppStore, StoreError};
use mynah_domain::{AppId, TenantId};

use super::{MemoryStore, State};

#[async_trait]
impl AppStore for MemoryStore {
    async fn create_app(&self, app: App) -> Result<App, AppError> {
        self.write(|state| {
            app.check()?;
            if state.apps.iter().any(|other| other.id == app.id) {
                return Err(AppError::Taken { field: "id" });
            }
            state.is_free(&app)?;
            let app = App { version: 1, ..app };
            state.apps.push(app.clone());
            Ok(app)
        })?
    }

    async fn replace_app(&self, app: App) -> Result<App, AppError> {
        self.write(|state| {
            app.check()?;
            let number = state.apps.iter().position(|other| other.id == app.id);
            let number = number.ok_or(AppError::Missing)?;
            let stored = &state.apps[number];
            if stored.version != app.version {
                return Err(AppError::Changed);
            }
            let created_at = stored.created_at;
            state.is_free(&app)?;
            let app = App { version: app.version + 1, created_at, ..app };
            state.apps[number] = app.clone();
            Ok(app)
        })?
    }

    async fn app(&self, id: &AppId) -> Result<Option<App>, StoreError> {
        self.read(|state| state.apps.iter().find(|app| app.id == *id).cloned())
    }

    async fn app_of_key(&self, key: &str) -> Result<Option<App>, StoreError> {
        let has = |app: &&App| app.keys.iter().any(|own| own.key == key);
        self.read(|state| state.apps.iter().find(has).cloned())
    }

    async fn app_of_tenant(&self, tenant: &TenantId) -> Result<Option<App>, StoreError> {
        self.read(|state| state.apps.iter().find(|app| app.tenant == *tenant).cloned())
    }

    async fn apps(&self, after: u64, limit: u32) -> Result<Page<App>, StoreError> {
        self.read(|state| {
            let rest = state.apps.iter().skip(after as usize);
            let items: Vec<App> = rest.take(limit as usize).cloned().collect();
            let next = after + items.len() as u64;
            Page { next: (next < state.apps.len() as u64 && limit > 0).then_some(next), items }
        })
    }
}

impl State {
    /// Whether no other app has its tenant or a key of it.
    fn is_free(&self, app: &App) -> Result<(), AppError> {
        let others = || self.apps.iter().filter(|other| other.id != app.id);
        if others().any(|other| other.tenant == app.tenant) {
            return Err(AppError::Taken { field: "tenant" });
        }
        let has = |key: &str| others().any(|other| other.keys.iter().any(|own| own.key == key));
        if app.keys.iter().any(|own| has(&own.key)) {
            return Err(AppError::Taken { field: "key" });
        }
        Ok(())
    }
}
