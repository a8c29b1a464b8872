//! Apps and their keys.

use async_trait::async_trait;
use mynah_domain::app::{App, AppError, AppKey, AppSecret};
use mynah_domain::page::Page;
use mynah_domain::ports::{AppStore, StoreError};
use mynah_domain::{AppId, TenantId, Timestamp};
use tokio_postgres::{Error, Row};

use crate::app_json as json;

use super::db::Db;
use super::params::{Param, count};
use super::pool::reading;
use super::trouble::{Failure, Trouble, inconsistent};
use super::tx::Tx;
use super::{PostgresStore, accounts, rows, sql};

type Outcome<T> = Result<T, Trouble<AppError>>;
type Found<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl AppStore for PostgresStore {
    async fn create_app(&self, app: App) -> Result<App, AppError> {
        let write = async move |tx: &mut Tx<'_>| create(tx, &app).await;
        self.writes.call_quietly(write).await
    }

    async fn replace_app(&self, app: App) -> Result<App, AppError> {
        let write = async move |tx: &mut Tx<'_>| replace(tx, &app).await;
        self.writes.call_quietly(write).await
    }

    async fn app(&self, id: &AppId) -> Result<Option<App>, StoreError> {
        reading!(self.reads, db => app_where(db, sql::apps::APP_BY_ID, id.as_str()))
    }

    async fn app_of_key(&self, key: &str) -> Result<Option<App>, StoreError> {
        reading!(self.reads, db => app_where(db, sql::apps::APP_BY_KEY, key))
    }

    async fn app_of_tenant(&self, tenant: &TenantId) -> Result<Option<App>, StoreError> {
        let tenant = tenant.as_str();
        reading!(self.reads, db => app_where(db, sql::apps::APP_BY_TENANT, tenant))
    }

    async fn apps(&self, after: u64, limit: u32) -> Result<Page<App>, StoreError> {
        reading!(self.reads, db => page(db, after, limit))
    }
}

async fn create(tx: &mut Tx<'_>, app: &App) -> Outcome<App> {
    app.check().map_err(refused)?;
    if row_of(tx.db, &app.id).await?.is_some() {
        return Err(refused(AppError::Taken { field: "id" }));
    }
    let tenant = free_tenant(tx, app, None).await?;
    let (limits, webhooks) = (json::limits(&app.limits), json::webhooks(&app.webhooks));
    let id = app.id.as_str();
    let params: [&dyn Param; 11] = [
        &id,
        &tenant,
        &app.name,
        &app.is_enabled,
        &app.client_events,
        &app.user_authentication,
        &app.subscription_counts,
        &limits,
        &webhooks,
        &app.created_at.0,
        &app.updated_at.0,
    ];
    let row = tx.db.first(sql::apps::APP_INSERT, &params, |row| row.try_get::<_, i64>(0)).await?;
    let row = row.ok_or_else(|| inconsistent("apps", &app.id))?;
    put_keys(tx.db, row, &app.keys).await?;
    stored(tx.db, &app.id).await
}

async fn replace(tx: &mut Tx<'_>, app: &App) -> Outcome<App> {
    app.check().map_err(refused)?;
    let Some((row, version)) = row_of(tx.db, &app.id).await? else {
        return Err(refused(AppError::Missing));
    };
    if version != app.version {
        return Err(refused(AppError::Changed));
    }
    let tenant = free_tenant(tx, app, Some(row)).await?;
    let (limits, webhooks) = (json::limits(&app.limits), json::webhooks(&app.webhooks));
    let version = count(version + 1);
    let params: [&dyn Param; 11] = [
        &row,
        &tenant,
        &app.name,
        &app.is_enabled,
        &app.client_events,
        &app.user_authentication,
        &app.subscription_counts,
        &limits,
        &webhooks,
        &version,
        &app.updated_at.0,
    ];
    tx.db.run(sql::apps::APP_REPLACE, &params).await?;
    tx.db.run(sql::apps::APP_KEYS_DROP, &[&row]).await?;
    put_keys(tx.db, row, &app.keys).await?;
    stored(tx.db, &app.id).await
}

fn refused(error: impl Into<AppError>) -> Trouble<AppError> {
    Trouble::Refused(error.into())
}

/// Id within the database and version of an app.
async fn row_of(db: &Db, id: &AppId) -> Outcome<Option<(i64, u64)>> {
    let read = |row: &Row| Ok((row.try_get(0)?, rows::count(row, 1)?));
    Ok(db.first(sql::apps::APP_ROW, &[&id.as_str()], read).await?)
}

/// The app's tenant within the database. Nothing may be written before what can be refused is checked, so
/// keys are looked at here as well.
async fn free_tenant(tx: &Tx<'_>, app: &App, own: Option<i64>) -> Outcome<i64> {
    let is_own = |found: Option<i64>| found.is_none_or(|row| Some(row) == own);
    let id = |row: &Row| row.try_get::<_, i64>(0);
    let tenant = app.tenant.as_str();
    if !is_own(tx.db.first(sql::apps::APP_ROW_OF_TENANT, &[&tenant], id).await?) {
        return Err(refused(AppError::Taken { field: "tenant" }));
    }
    for key in &app.keys {
        if !is_own(tx.db.first(sql::apps::APP_ROW_OF_KEY, &[&key.key], id).await?) {
            return Err(refused(AppError::Taken { field: "key" }));
        }
    }
    Ok(accounts::tenant_row(tx, &app.tenant).await?)
}

async fn put_keys(db: &Db, app: i64, keys: &[AppKey]) -> Result<(), Failure> {
    for (key, nth) in keys.iter().zip(0_i64..) {
        let (secret, ends) = (key.secret.expose(), key.expires_at.map(|at| at.0));
        let params: [&dyn Param; 6] = [&app, &nth, &key.key, &secret, &key.created_at.0, &ends];
        db.run(sql::apps::APP_KEY_INSERT, &params).await?;
    }
    Ok(())
}

async fn stored(db: &Db, id: &AppId) -> Outcome<App> {
    let found = app_where(db, sql::apps::APP_BY_ID, id.as_str()).await;
    let found = match found {
        Ok(found) => found,
        Err(Trouble::Refused(error)) => return Err(error.into()),
        Err(Trouble::Engine(failure)) => return Err(failure.into()),
    };
    found.ok_or_else(|| inconsistent("apps", id).into())
}

async fn app_where(db: &Db, statement: &'static str, text: &str) -> Found<Option<App>> {
    let Some(row) = db.first(statement, &[&text], AppRow::read).await? else { return Ok(None) };
    row.app(db).await.map(Some)
}

async fn page(db: &Db, after: u64, limit: u32) -> Found<Page<App>> {
    let (after, most) = (count(after), i64::from(limit) + 1);
    let mut found = db.all(sql::apps::APPS_PAGE, &[&after, &most], AppRow::read).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map(|row| row.row.cast_unsigned());
    let mut items = Vec::with_capacity(found.len());
    for row in found {
        items.push(row.app(db).await?);
    }
    Ok(Page { items, next: last.filter(|_| more) })
}

/// An app without its keys.
struct AppRow {
    row: i64,
    app: App,
    limits: String,
    webhooks: String,
}

impl AppRow {
    /// Columns as in `sql::app`.
    fn read(row: &Row) -> Result<Self, Error> {
        let app = App {
            id: AppId::trusted(row.try_get::<_, String>(1)?),
            tenant: TenantId::trusted(row.try_get::<_, String>(2)?),
            name: row.try_get(3)?,
            keys: Vec::new(),
            is_enabled: row.try_get(4)?,
            client_events: row.try_get(5)?,
            user_authentication: row.try_get(6)?,
            subscription_counts: row.try_get(7)?,
            limits: mynah_domain::app::AppLimits::default(),
            webhooks: Vec::new(),
            version: rows::count(row, 10)?,
            created_at: Timestamp(row.try_get(11)?),
            updated_at: Timestamp(row.try_get(12)?),
        };
        Ok(Self { row: row.try_get(0)?, app, limits: row.try_get(8)?, webhooks: row.try_get(9)? })
    }

    async fn app(self, db: &Db) -> Found<App> {
        let read = |row: &Row| {
            Ok(AppKey {
                key: row.try_get(0)?,
                secret: AppSecret::new(row.try_get::<_, String>(1)?),
                created_at: Timestamp(row.try_get(2)?),
                expires_at: rows::time_if(row, 3)?,
            })
        };
        let keys = db.all(sql::apps::APP_KEYS, &[&self.row], read).await?;
        let unread = || inconsistent("apps", &self.app.id);
        let limits = json::read_limits(&self.limits).ok_or_else(unread)?;
        let webhooks = json::read_webhooks(&self.webhooks).ok_or_else(unread)?;
        Ok(App { keys, limits, webhooks, ..self.app })
    }
}
