//! What is asked of accounts.

use async_trait::async_trait;

use super::StoreError;
use crate::account::{
    AccountError, Credential, NewAccount, NewSession, ProfilePatch, RotateSession, Rotation, User,
};
use crate::{SessionFamily, TenantId, Timestamp, UserId};

/// Accounts, credentials and sign-in sessions.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// Makes an account with its credential, if it has one.
    ///
    /// # Errors
    /// [`AccountError::Taken`] naming the field when username or email exist already.
    async fn create_account(&self, account: NewAccount) -> Result<User, AccountError>;

    /// A user by id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn user(&self, tenant: &TenantId, id: &UserId) -> Result<Option<User>, StoreError>;

    /// Users whose username or name starts with `prefix` (any case), by username.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find_users(
        &self,
        tenant: &TenantId,
        prefix: &str,
        limit: u32,
    ) -> Result<Vec<User>, StoreError>;

    /// Changes what a user may change of the own profile; `None` if there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn update_profile(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: ProfilePatch,
    ) -> Result<Option<User>, StoreError>;

    /// The password credential behind an email address or username.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn credential(
        &self,
        tenant: &TenantId,
        login: &str,
    ) -> Result<Option<Credential>, StoreError>;

    /// Stores a new sign-in.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_session(&self, session: NewSession) -> Result<(), StoreError>;

    /// Exchanges a refresh token for the next one. A token that was exchanged before revokes its whole
    /// family, unless it is the directly preceding one and was exchanged within the grace.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rotate_session(&self, rotation: RotateSession) -> Result<Rotation, StoreError>;

    /// Ends one sign-in. Ending it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn revoke_session(
        &self,
        family: &SessionFamily,
        reason: &str,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends all sign-ins of a user and returns those that were alive.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn revoke_all_sessions(
        &self,
        tenant: &TenantId,
        user: &UserId,
        reason: &str,
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError>;

    /// Which of these sign-ins are revoked or expired at `at`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ended_sessions(
        &self,
        families: &[SessionFamily],
        at: Timestamp,
    ) -> Result<Vec<SessionFamily>, StoreError>;
}

/// Hashes and checks passwords in a bounded pool.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password with a fresh salt (argon2id, PHC string).
    ///
    /// # Errors
    /// [`AccountError::Busy`] when the pool's queue is full.
    async fn hash(&self, password: String) -> Result<String, AccountError>;

    /// Checks a password; `None` for the hash does the same work against a dummy and answers `false`,
    /// so that unknown users cost the same time.
    ///
    /// # Errors
    /// [`AccountError::Busy`] when the pool's queue is full.
    async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, AccountError>;
}
