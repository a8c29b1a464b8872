//! Accounts in memory.

use async_trait::async_trait;
use mynah_domain::account::{
    AccountError, Credential, NewAccount, NewSession, ProfilePatch, RotateSession, Rotation, User,
};
use mynah_domain::ports::{AccountStore, StoreError};
use mynah_domain::room::Role;
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};

use super::{SignIn, World};

#[async_trait]
impl AccountStore for World {
    async fn create_account(&self, account: NewAccount) -> Result<User, AccountError> {
        let mut stored = self.stored.lock();
        if let Some(error) = stored.fails.clone() {
            return Err(error.into());
        }
        for (user, _) in &stored.users {
            if account.email.is_some() && user.email == account.email {
                return Err(AccountError::Taken { field: "email" });
            }
            if user.username == account.username || user.id == account.id {
                return Err(AccountError::Taken { field: "username" });
            }
        }
        let user = User {
            id: account.id,
            tenant: account.tenant,
            username: account.username,
            email: account.email,
            name: account.name,
            role: Role::Member,
            created_at: account.at,
            updated_at: account.at,
        };
        stored.users.push((user.clone(), account.password_hash));
        Ok(user)
    }

    async fn user(&self, tenant: &TenantId, id: &UserId) -> Result<Option<User>, StoreError> {
        let mut stored = self.stored.lock();
        stored.reads += 1;
        if let Some(error) = stored.fails.clone() {
            return Err(error);
        }
        let found = stored.users.iter().find(|(u, _)| u.tenant == *tenant && u.id == *id);
        Ok(found.map(|(user, _)| user.clone()))
    }

    async fn find_users(
        &self,
        _tenant: &TenantId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let stored = self.stored.lock();
        let users = stored.users.iter().map(|(user, _)| user);
        Ok(users.filter(|u| u.username.starts_with(prefix)).take(limit as usize).cloned().collect())
    }

    async fn update_profile(
        &self,
        _tenant: &TenantId,
        id: &UserId,
        patch: ProfilePatch,
    ) -> Result<Option<User>, StoreError> {
        let mut stored = self.stored.lock();
        let user = stored.users.iter_mut().find(|(u, _)| u.id == *id);
        Ok(user.map(|(user, _)| {
            user.name = patch.name.unwrap_or_else(|| user.name.clone());
            user.updated_at = patch.at;
            user.clone()
        }))
    }

    async fn credential(
        &self,
        _tenant: &TenantId,
        login: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let stored = self.stored.lock();
        if let Some(error) = stored.fails.clone() {
            return Err(error);
        }
        let is = |u: &User| u.username == login || u.email.as_deref() == Some(login);
        Ok(stored.users.iter().find(|(u, _)| is(u)).and_then(|(user, hash)| {
            Some(Credential { user: user.clone(), password_hash: hash.clone()? })
        }))
    }

    async fn open_session(&self, session: NewSession) -> Result<(), StoreError> {
        self.stored.lock().sign_ins.push(SignIn {
            family: session.family,
            user: session.user,
            alive: true,
            fingerprints: vec![session.refresh_fingerprint],
        });
        Ok(())
    }

    async fn rotate_session(&self, rotation: RotateSession) -> Result<Rotation, StoreError> {
        let mut stored = self.stored.lock();
        let users = stored.users.clone();
        let Some(sign_in) =
            stored.sign_ins.iter_mut().find(|s| s.fingerprints.contains(&rotation.presented))
        else {
            return Ok(Rotation::Invalid);
        };
        if !sign_in.alive {
            return Ok(Rotation::Invalid);
        }
        let family = sign_in.family.clone();
        if sign_in.fingerprints.last() != Some(&rotation.presented) {
            sign_in.alive = false;
            return Ok(Rotation::Reused { family });
        }
        sign_in.fingerprints.push(rotation.next);
        let user = users.into_iter().find(|(u, _)| u.id == sign_in.user);
        Ok(user.map_or(Rotation::Invalid, |(user, _)| Rotation::Rotated { family, user }))
    }

    async fn revoke_session(
        &self,
        family: &SessionFamily,
        _reason: &str,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut stored = self.stored.lock();
        stored.sign_ins.iter_mut().filter(|s| s.family == *family).for_each(|s| s.alive = false);
        Ok(())
    }

    async fn revoke_all_sessions(
        &self,
        _tenant: &TenantId,
        user: &UserId,
        _reason: &str,
        _at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError> {
        let mut stored = self.stored.lock();
        let alive = stored.sign_ins.iter_mut().filter(|s| s.user == *user && s.alive);
        Ok(alive
            .map(|sign_in| {
                sign_in.alive = false;
                sign_in.family.clone()
            })
            .collect())
    }

    async fn session_alive(
        &self,
        family: &SessionFamily,
        _at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut stored = self.stored.lock();
        stored.reads += 1;
        if let Some(error) = stored.fails.clone() {
            return Err(error);
        }
        Ok(stored.sign_ins.iter().any(|s| s.family == *family && s.alive))
    }
}
