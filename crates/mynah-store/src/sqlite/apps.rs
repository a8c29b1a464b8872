//! Apps and their keys.

use async_trait::async_trait;
use mynah_domain::app::{App, AppError, AppKey, AppSecret};
use mynah_domain::page::Page;
use mynah_domain::ports::{AppStore, StoreError};
use mynah_domain::{AppId, TenantId, Timestamp};
use rusqlite::{Connection, Row};

use crate::app_json as json;

use super::trouble::{Trouble, inconsistent};
use super::tx::Tx;
use super::{SqliteStore, accounts, rows, sql};

type Outcome<T> = Result<T, Trouble<AppError>>;
type Found<T> = Result<T, Trouble<StoreError>>;

#[async_trait]
impl AppStore for SqliteStore {
    async fn create_app(&self, app: App) -> Result<App, AppError> {
        self.writes.call(move |tx: &mut Tx<'_>| create(tx, &app)).await
    }

    async fn replace_app(&self, app: App) -> Result<App, AppError> {
        self.writes.call(move |tx: &mut Tx<'_>| replace(tx, &app)).await
    }

    async fn app(&self, id: &AppId) -> Result<Option<App>, StoreError> {
        let id = id.clone();
        self.reads.call(move |conn| app_where(conn, sql::APP_BY_ID, id.as_str())).await
    }

    async fn app_of_key(&self, key: &str) -> Result<Option<App>, StoreError> {
        let key = key.to_owned();
        self.reads.call(move |conn| app_where(conn, sql::APP_BY_KEY, &key)).await
    }

    async fn app_of_tenant(&self, tenant: &TenantId) -> Result<Option<App>, StoreError> {
        let tenant = tenant.clone();
        self.reads.call(move |conn| app_where(conn, sql::APP_BY_TENANT, tenant.as_str())).await
    }

    async fn apps(&self, after: u64, limit: u32) -> Result<Page<App>, StoreError> {
        self.reads.call(move |conn| page(conn, after, limit)).await
    }
}

fn create(tx: &mut Tx<'_>, app: &App) -> Outcome<App> {
    app.check().map_err(refused)?;
    if row_of(tx.conn, &app.id)?.is_some() {
        return Err(refused(AppError::Taken { field: "id" }));
    }
    let tenant = free_tenant(tx, app, None)?;
    let params = rusqlite::params![
        app.id.as_str(),
        tenant,
        app.name,
        app.is_enabled,
        app.client_events,
        app.user_authentication,
        app.subscription_counts,
        json::limits(&app.limits),
        json::webhooks(&app.webhooks),
        1,
        app.created_at.0,
        app.updated_at.0,
    ];
    rows::execute(tx.conn, sql::APP_INSERT, params)?;
    let row = tx.conn.last_insert_rowid();
    put_keys(tx.conn, row, &app.keys)?;
    stored(tx.conn, &app.id)
}

fn replace(tx: &mut Tx<'_>, app: &App) -> Outcome<App> {
    app.check().map_err(refused)?;
    let Some((row, version)) = row_of(tx.conn, &app.id)? else {
        return Err(refused(AppError::Missing));
    };
    if version != app.version {
        return Err(refused(AppError::Changed));
    }
    let tenant = free_tenant(tx, app, Some(row))?;
    let params = rusqlite::params![
        row,
        tenant,
        app.name,
        app.is_enabled,
        app.client_events,
        app.user_authentication,
        app.subscription_counts,
        json::limits(&app.limits),
        json::webhooks(&app.webhooks),
        (version + 1).cast_signed(),
        app.updated_at.0,
    ];
    rows::execute(tx.conn, sql::APP_REPLACE, params)?;
    rows::execute(tx.conn, sql::APP_KEYS_DROP, [row])?;
    put_keys(tx.conn, row, &app.keys)?;
    stored(tx.conn, &app.id)
}

fn refused(error: impl Into<AppError>) -> Trouble<AppError> {
    Trouble::Refused(error.into())
}

/// Rowid and version of an app.
fn row_of(conn: &Connection, id: &AppId) -> Outcome<Option<(i64, u64)>> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, rows::count(row, 1)?));
    Ok(rows::first(conn, sql::APP_ROW, [id.as_str()], read)?)
}

/// Rowid of the app's tenant. Nothing may be written before what can be refused is checked, so keys are
/// looked at here as well.
fn free_tenant(tx: &mut Tx<'_>, app: &App, own: Option<i64>) -> Outcome<i64> {
    let is_own = |found: Option<i64>| found.is_none_or(|row| Some(row) == own);
    let tenant = app.tenant.as_str();
    if !is_own(rows::first(tx.conn, sql::APP_ROW_OF_TENANT, [tenant], |r| r.get(0))?) {
        return Err(refused(AppError::Taken { field: "tenant" }));
    }
    for key in &app.keys {
        if !is_own(rows::first(tx.conn, sql::APP_ROW_OF_KEY, [&key.key], |r| r.get(0))?) {
            return Err(refused(AppError::Taken { field: "key" }));
        }
    }
    accounts::tenant_row(tx, &app.tenant)
}

fn put_keys(conn: &Connection, app: i64, keys: &[AppKey]) -> Outcome<()> {
    for (key, nth) in keys.iter().zip(0_i64..) {
        let ends = key.expires_at.map(|at| at.0);
        let params = (app, nth, &key.key, key.secret.expose(), key.created_at.0, ends);
        rows::execute(conn, sql::APP_KEY_INSERT, params)?;
    }
    Ok(())
}

fn stored(conn: &Connection, id: &AppId) -> Outcome<App> {
    let found = match app_where(conn, sql::APP_BY_ID, id.as_str()) {
        Ok(found) => found,
        Err(Trouble::Engine(error) | Trouble::Refused(error)) => {
            return Err(Trouble::Engine(error));
        }
    };
    found.ok_or_else(|| Trouble::Engine(inconsistent("apps", id)))
}

fn app_where(conn: &Connection, statement: &'static str, text: &str) -> Found<Option<App>> {
    let Some(row) = rows::first(conn, statement, [text], AppRow::read)? else { return Ok(None) };
    row.app(conn).map(Some)
}

fn page(conn: &Connection, after: u64, limit: u32) -> Found<Page<App>> {
    let params = (after.cast_signed(), i64::from(limit) + 1);
    let mut found = rows::all(conn, sql::APPS_PAGE, params, AppRow::read)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map(|row| row.row.cast_unsigned());
    let items = found.into_iter().map(|row| row.app(conn)).collect::<Found<_>>()?;
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
    fn read(row: &Row<'_>) -> Result<Self, rusqlite::Error> {
        let app = App {
            id: AppId::trusted(row.get::<_, String>(1)?),
            tenant: TenantId::trusted(row.get::<_, String>(2)?),
            name: row.get(3)?,
            keys: Vec::new(),
            is_enabled: row.get(4)?,
            client_events: row.get(5)?,
            user_authentication: row.get(6)?,
            subscription_counts: row.get(7)?,
            limits: mynah_domain::app::AppLimits::default(),
            webhooks: Vec::new(),
            version: rows::count(row, 10)?,
            created_at: Timestamp(row.get(11)?),
            updated_at: Timestamp(row.get(12)?),
        };
        Ok(Self { row: row.get(0)?, app, limits: row.get(8)?, webhooks: row.get(9)? })
    }

    fn app(self, conn: &Connection) -> Found<App> {
        let keys = rows::all(conn, sql::APP_KEYS, [self.row], |row| {
            Ok(AppKey {
                key: row.get(0)?,
                secret: AppSecret::new(row.get::<_, String>(1)?),
                created_at: Timestamp(row.get(2)?),
                expires_at: row.get::<_, Option<i64>>(3)?.map(Timestamp),
            })
        })?;
        let unread = || inconsistent("apps", &self.app.id);
        let limits = json::read_limits(&self.limits).ok_or_else(unread)?;
        let webhooks = json::read_webhooks(&self.webhooks).ok_or_else(unread)?;
        Ok(App { keys, limits, webhooks, ..self.app })
    }
}
