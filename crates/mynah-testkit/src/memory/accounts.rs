//! Accounts and sign-ins.

use async_trait::async_trait;
use mynah_domain::account::{
    AccountError, Credential, NewAccount, NewSession, ProfilePatch, RotateSession, Rotation, User,
};
use mynah_domain::ports::{AccountStore, StoreError};
use mynah_domain::room::Role;
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};

use super::{Account, MemoryStore, Session, State, Token};

#[async_trait]
impl AccountStore for MemoryStore {
    async fn create_account(&self, account: NewAccount) -> Result<User, AccountError> {
        self.write(|state| state.create_account(account))?
    }

    async fn user(&self, tenant: &TenantId, id: &UserId) -> Result<Option<User>, StoreError> {
        self.read(|state| state.account(tenant, id).map(|a| a.user.clone()))
    }

    async fn find_users(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<User>, StoreError> {
        let prefix = prefix.to_lowercase();
        self.read(|state| state.find_users(tenant, &prefix, limit as usize))
    }

    async fn update_profile(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: ProfilePatch,
    ) -> Result<Option<User>, StoreError> {
        self.write(|state| {
            let mut accounts = state.accounts.iter_mut();
            let user = &mut accounts.find(|a| a.user.tenant == *tenant && a.user.id == *id)?.user;
            if let Some(name) = patch.name {
                user.name = name;
                user.updated_at = patch.at;
            }
            Some(user.clone())
        })
    }

    async fn credential(
        &self,
        tenant: &TenantId,
        login: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let login = login.to_lowercase();
        self.read(|state| {
            let found = state.accounts.iter().find(|a| {
                a.user.tenant == *tenant
                    && if login.contains('@') {
                        a.user.email.as_ref() == Some(&login)
                    } else {
                        a.user.username.to_lowercase() == login
                    }
            })?;
            let password_hash = found.password_hash.clone()?;
            Some(Credential { user: found.user.clone(), password_hash })
        })
    }

    async fn open_session(&self, session: NewSession) -> Result<(), StoreError> {
        self.write(|state| state.open_session(session))
    }

    async fn rotate_session(&self, rotation: RotateSession) -> Result<Rotation, StoreError> {
        self.write(|state| state.rotate(&rotation))
    }

    async fn revoke_session(
        &self,
        family: &SessionFamily,
        _reason: &str,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|state| {
            for session in state.sessions.iter_mut().filter(|s| s.family == *family) {
                session.revoked = true;
            }
        })
    }

    async fn revoke_all_sessions(
        &self,
        tenant: &TenantId,
        user: &UserId,
        _reason: &str,
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError> {
        self.write(|state| {
            let own = state.sessions.iter_mut().filter(|s| s.tenant == *tenant && s.user == *user);
            let alive = own.filter(|s| !s.revoked && s.expires_at > at);
            alive
                .map(|session| {
                    session.revoked = true;
                    session.family.clone()
                })
                .collect()
        })
    }

    async fn ended_sessions(
        &self,
        families: &[SessionFamily],
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError> {
        self.read(|state| {
            let is_alive = |family: &SessionFamily| {
                let mut sessions = state.sessions.iter();
                sessions.any(|s| s.family == *family && !s.revoked && s.expires_at > at)
            };
            families.iter().filter(|family| !is_alive(family)).cloned().collect()
        })
    }
}

impl State {
    fn create_account(&mut self, new: NewAccount) -> Result<User, AccountError> {
        let own = || self.accounts.iter().map(|a| &a.user).filter(|u| u.tenant == new.tenant);
        let key = new.username.to_lowercase();
        if own().any(|u| u.username.to_lowercase() == key) {
            return Err(AccountError::Taken { field: "username" });
        }
        if new.email.is_some() && own().any(|u| u.email == new.email) {
            return Err(AccountError::Taken { field: "email" });
        }
        if own().any(|u| u.id == new.id) {
            return Err(AccountError::Taken { field: "id" });
        }
        let user = User {
            id: new.id,
            tenant: new.tenant,
            username: new.username,
            email: new.email,
            name: new.name,
            role: Role::Member,
            created_at: new.at,
            updated_at: new.at,
        };
        let password_hash = new.password_hash;
        self.accounts.push(Account { user: user.clone(), password_hash, inbox_seq: 0 });
        Ok(user)
    }

    fn find_users(&self, tenant: &TenantId, prefix: &str, limit: usize) -> Vec<User> {
        let own = || self.accounts.iter().map(|a| &a.user).filter(|u| u.tenant == *tenant);
        let name = |u: &&User| u.name.to_lowercase();
        let username = |u: &&User| u.username.to_lowercase();
        let mut first: Vec<_> = own().filter(|u| username(u).starts_with(prefix)).collect();
        first.sort_by_key(username);
        let mut then: Vec<_> = own().filter(|u| name(u).starts_with(prefix)).collect();
        then.sort_by_key(name);
        then.retain(|u| !first.contains(u));
        first.extend(then);
        first.truncate(limit);
        first.sort_by_key(username);
        first.into_iter().cloned().collect()
    }

    fn open_session(&mut self, new: NewSession) {
        self.tokens.push(Token {
            session: self.sessions.len(),
            fingerprint: new.refresh_fingerprint,
            parent: None,
            expires_at: new.expires_at,
            used_at: None,
        });
        self.sessions.push(Session {
            family: new.family,
            tenant: new.tenant,
            user: new.user,
            expires_at: new.expires_at,
            revoked: false,
        });
    }

    fn rotate(&mut self, wish: &RotateSession) -> Rotation {
        let found = self.tokens.iter().position(|t| t.fingerprint == wish.presented);
        let Some(index) = found else { return Rotation::Invalid };
        let token = &self.tokens[index];
        let (number, used_at) = (token.session, token.used_at);
        let session = &self.sessions[number];
        let family = session.family.clone();
        if session.revoked || token.expires_at <= wish.at {
            return Rotation::Invalid;
        }
        if let Some(used_at) = used_at {
            let mut children = self.tokens.iter().filter(|t| t.parent == Some(index));
            let overtaken = children.any(|t| t.used_at.is_some());
            if overtaken || wish.at.since_ms(used_at) > wish.grace_ms {
                self.sessions[number].revoked = true;
                return Rotation::Reused { family };
            }
        }
        self.tokens[index].used_at = used_at.or(Some(wish.at));
        self.tokens.push(Token {
            session: number,
            fingerprint: wish.next.clone(),
            parent: Some(index),
            expires_at: wish.expires_at,
            used_at: None,
        });
        let session = &mut self.sessions[number];
        session.expires_at = session.expires_at.max(wish.expires_at);
        let (tenant, user) = (session.tenant.clone(), session.user.clone());
        match self.account(&tenant, &user) {
            Some(account) => Rotation::Rotated { family, user: account.user.clone() },
            None => Rotation::Invalid,
        }
    }
}
