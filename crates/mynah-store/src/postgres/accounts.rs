//! Accounts and credentials.

use async_trait::async_trait;
use mynah_domain::account::{
    AccountError, Credential, NewAccount, NewSession, ProfilePatch, RotateSession, Rotation, User,
};
use mynah_domain::ports::{AccountStore, StoreError};
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};

use super::db::Db;
use super::params::{Param, clean};
use super::pool::reading;
use super::rows::{self, UserRow};
use super::trouble::{Failure, Trouble, inconsistent};
use super::tx::Tx;
use super::{PostgresStore, sessions, sql};

#[async_trait]
impl AccountStore for PostgresStore {
    async fn create_account(&self, account: NewAccount) -> Result<User, AccountError> {
        self.writes.create(account).await
    }

    async fn user(&self, tenant: &TenantId, id: &UserId) -> Result<Option<User>, StoreError> {
        reading!(self.reads, db => async {
            Ok(rows::user_by_id(db, tenant, id).await?.map(|found| found.user))
        })
    }

    async fn find_users(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let mut prefix = prefix.to_lowercase();
        clean(&mut prefix);
        reading!(self.reads, db => find(db, tenant, &prefix, limit))
    }

    async fn update_profile(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: ProfilePatch,
    ) -> Result<Option<User>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let write = async move |tx: &mut Tx<'_>| update(tx, &tenant, &id, &patch).await;
        self.writes.call_quietly(write).await
    }

    async fn credential(
        &self,
        tenant: &TenantId,
        login: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let mut login = login.to_lowercase();
        clean(&mut login);
        reading!(self.reads, db => credential(db, tenant, &login))
    }

    async fn open_session(&self, session: NewSession) -> Result<(), StoreError> {
        let write = async move |tx: &mut Tx<'_>| sessions::open(tx, &session).await;
        self.writes.call_quietly(write).await
    }

    async fn rotate_session(&self, rotation: RotateSession) -> Result<Rotation, StoreError> {
        let write = async move |tx: &mut Tx<'_>| sessions::rotate(tx, &rotation).await;
        self.writes.call_quietly(write).await
    }

    async fn revoke_session(
        &self,
        family: &SessionFamily,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (family, reason) = (family.clone(), reason.to_owned());
        let write = async move |tx: &mut Tx<'_>| sessions::revoke(tx, &family, &reason, at).await;
        self.writes.call_quietly(write).await
    }

    async fn revoke_all_sessions(
        &self,
        tenant: &TenantId,
        user: &UserId,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError> {
        let (tenant, user, reason) = (tenant.clone(), user.clone(), reason.to_owned());
        let write = async move |tx: &mut Tx<'_>| {
            sessions::revoke_all(tx, (&tenant, &user), &reason, at).await
        };
        self.writes.call_quietly(write).await
    }

    async fn ended_sessions(
        &self,
        families: &[SessionFamily],
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError> {
        reading!(self.reads, db => sessions::ended(db, families, at))
    }
}

/// A tenant's id within the database; the tenant is made at its first account or app.
pub(super) async fn tenant_row(tx: &Tx<'_>, tenant: &TenantId) -> Result<i64, Failure> {
    let id = |row: &tokio_postgres::Row| row.try_get::<_, i64>(0);
    let name = tenant.as_str();
    if let Some(row) = tx.db.first(sql::accounts::TENANT_BY_ID, &[&name], id).await? {
        return Ok(row);
    }
    let made = tx.db.first(sql::accounts::TENANT_MADE, &[&name], id).await?;
    made.ok_or_else(|| Failure::Final(inconsistent("tenants", tenant)))
}

async fn update(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: &UserId,
    patch: &ProfilePatch,
) -> Result<Option<User>, Trouble<StoreError>> {
    let Some(who) = tx.user(tenant, id).await? else { return Ok(None) };
    if let Some(name) = &patch.name {
        let mut name = name.clone();
        clean(&mut name);
        let key = name.to_lowercase();
        let params: [&dyn Param; 4] = [&who.row, &name, &key, &patch.at.0];
        tx.db.run(sql::accounts::USER_RENAME, &params).await?;
        tx.forget_user(who.row);
    }
    Ok(Some(tx.user_row(who.row).await?.user.clone()))
}

async fn credential(
    db: &Db,
    tenant: &TenantId,
    login: &str,
) -> Result<Option<Credential>, Trouble<StoreError>> {
    let statement = if login.contains('@') {
        sql::accounts::USER_BY_EMAIL
    } else {
        sql::accounts::USER_BY_USERNAME
    };
    let found = db.first(statement, &[&tenant.as_str(), &login], rows::user).await?;
    let Some(found) = found else { return Ok(None) };
    let hash = db.first(sql::accounts::CREDENTIAL, &[&found.row], |row| row.try_get(0)).await?;
    Ok(hash.map(|password_hash| Credential { user: found.user, password_hash }))
}

/// Those whose username starts with the prefix come first into a full page: a short prefix matches more
/// names than can be sorted.
async fn find(
    db: &Db,
    tenant: &TenantId,
    prefix: &str,
    limit: u32,
) -> Result<Vec<User>, Trouble<StoreError>> {
    let end = format!("{prefix}\u{10ffff}");
    let limit = limit as usize;
    let mut found: Vec<UserRow> = Vec::new();
    let statements = [sql::accounts::USERS_BY_USERNAME_PREFIX, sql::accounts::USERS_BY_NAME_PREFIX];
    for statement in statements {
        let (tenant, most) = (tenant.as_str(), limit as i64);
        let params: [&dyn Param; 4] = [&tenant, &prefix, &end, &most];
        for user in db.all(statement, &params, rows::user).await? {
            if found.len() < limit && found.iter().all(|f| f.row != user.row) {
                found.push(user);
            }
        }
    }
    found.sort_by_cached_key(|f| f.user.username.to_lowercase());
    Ok(found.into_iter().map(|f| f.user).collect())
}
