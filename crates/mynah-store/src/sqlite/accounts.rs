//! Accounts and credentials.

use async_trait::async_trait;
use mynah_domain::account::{
    AccountError, Credential, NewAccount, NewSession, ProfilePatch, RotateSession, Rotation, User,
};
use mynah_domain::ports::{AccountStore, StoreError};
use mynah_domain::room::Role;
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};
use rusqlite::Connection;

use super::rows::{self, UserRow};
use super::trouble::Trouble;
use super::tx::Tx;
use super::{SqliteStore, sessions, sql};

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_account(&self, account: NewAccount) -> Result<User, AccountError> {
        self.writes.call(move |tx| create(tx, &account)).await
    }

    async fn user(&self, tenant: &TenantId, id: &UserId) -> Result<Option<User>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        let read = move |conn: &Connection| Ok(rows::user_by_id(conn, &tenant, &id)?);
        Ok(self.reads.call::<_, StoreError, _>(read).await?.map(|found| found.user))
    }

    async fn find_users(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let (tenant, prefix) = (tenant.clone(), prefix.to_lowercase());
        self.reads.call(move |conn| find(conn, &tenant, &prefix, limit)).await
    }

    async fn update_profile(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: ProfilePatch,
    ) -> Result<Option<User>, StoreError> {
        let (tenant, id) = (tenant.clone(), id.clone());
        self.writes.call(move |tx| update(tx, &tenant, &id, &patch)).await
    }

    async fn credential(
        &self,
        tenant: &TenantId,
        login: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let (tenant, login) = (tenant.clone(), login.to_lowercase());
        self.reads.call(move |conn| credential(conn, &tenant, &login)).await
    }

    async fn open_session(&self, session: NewSession) -> Result<(), StoreError> {
        self.writes.call(move |tx| sessions::open(tx, &session)).await
    }

    async fn rotate_session(&self, rotation: RotateSession) -> Result<Rotation, StoreError> {
        self.writes.call(move |tx| sessions::rotate(tx, &rotation)).await
    }

    async fn revoke_session(
        &self,
        family: &SessionFamily,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (family, reason) = (family.clone(), reason.to_owned());
        self.writes.call(move |tx| sessions::revoke(tx, &family, &reason, at)).await
    }

    async fn revoke_all_sessions(
        &self,
        tenant: &TenantId,
        user: &UserId,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError> {
        let (tenant, user, reason) = (tenant.clone(), user.clone(), reason.to_owned());
        self.writes.call(move |tx| sessions::revoke_all(tx, (&tenant, &user), &reason, at)).await
    }

    async fn ended_sessions(
        &self,
        families: &[SessionFamily],
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError> {
        let families = families.to_vec();
        self.reads.call(move |conn| sessions::ended(conn, families, at)).await
    }
}

fn create(tx: &mut Tx<'_>, account: &NewAccount) -> Result<User, Trouble<AccountError>> {
    let tenant = account.tenant.as_str();
    let key = account.username.to_lowercase();
    let taken = |field| Trouble::Refused(AccountError::Taken { field });
    if rows::first(tx.conn, sql::USER_BY_USERNAME, (tenant, &key), rows::user)?.is_some() {
        return Err(taken("username"));
    }
    if let Some(email) = &account.email
        && rows::first(tx.conn, sql::USER_BY_EMAIL, (tenant, email), rows::user)?.is_some()
    {
        return Err(taken("email"));
    }
    if rows::user_by_id(tx.conn, &account.tenant, &account.id)?.is_some() {
        return Err(taken("id"));
    }
    let tenant_row = tenant_row(tx, &account.tenant)?;
    let row = (
        tenant_row,
        account.id.as_str(),
        &account.username,
        key,
        &account.name,
        account.name.to_lowercase(),
        &account.email,
        Role::Member.as_str(),
        account.at.0,
    );
    rows::execute(tx.conn, sql::USER_INSERT, row)?;
    let user_row = tx.conn.last_insert_rowid();
    if let Some(hash) = &account.password_hash {
        rows::execute(tx.conn, sql::CREDENTIAL_INSERT, (user_row, hash))?;
    }
    Ok(tx.user_row::<AccountError>(user_row)?.user.clone())
}

/// Rowid of a tenant, made at its first account or app.
pub(super) fn tenant_row<E>(tx: &Tx<'_>, tenant: &TenantId) -> Result<i64, Trouble<E>> {
    let found = rows::first(tx.conn, sql::TENANT_BY_ID, [tenant.as_str()], |r| r.get(0))?;
    if let Some(row) = found {
        return Ok(row);
    }
    rows::execute(tx.conn, sql::TENANT_INSERT, [tenant.as_str()])?;
    Ok(tx.conn.last_insert_rowid())
}

fn update(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: &UserId,
    patch: &ProfilePatch,
) -> Result<Option<User>, Trouble<StoreError>> {
    let Some(who) = tx.user(tenant, id)? else { return Ok(None) };
    if let Some(name) = &patch.name {
        let params = (who.row, name, name.to_lowercase(), patch.at.0);
        rows::execute(tx.conn, sql::USER_RENAME, params)?;
        tx.forget_user(who.row);
    }
    Ok(Some(tx.user_row(who.row)?.user.clone()))
}

fn credential(
    conn: &Connection,
    tenant: &TenantId,
    login: &str,
) -> Result<Option<Credential>, Trouble<StoreError>> {
    let statement = if login.contains('@') { sql::USER_BY_EMAIL } else { sql::USER_BY_USERNAME };
    let Some(found) = rows::first(conn, statement, (tenant.as_str(), login), rows::user)? else {
        return Ok(None);
    };
    let hash = rows::first(conn, sql::CREDENTIAL, [found.row], |r| r.get(0))?;
    Ok(hash.map(|password_hash| Credential { user: found.user, password_hash }))
}

/// Those whose username starts with the prefix come first into a full page: a short prefix matches more
/// names than can be sorted.
fn find(
    conn: &Connection,
    tenant: &TenantId,
    prefix: &str,
    limit: u32,
) -> Result<Vec<User>, Trouble<StoreError>> {
    let end = format!("{prefix}\u{10ffff}");
    let limit = limit as usize;
    let mut found: Vec<UserRow> = Vec::new();
    for statement in [sql::USERS_BY_USERNAME_PREFIX, sql::USERS_BY_NAME_PREFIX] {
        let params = (tenant.as_str(), prefix, &end, limit as i64);
        for user in rows::all(conn, statement, params, rows::user)? {
            if found.len() < limit && found.iter().all(|f| f.row != user.row) {
                found.push(user);
            }
        }
    }
    found.sort_by_cached_key(|f| f.user.username.to_lowercase());
    Ok(found.into_iter().map(|f| f.user).collect())
}
