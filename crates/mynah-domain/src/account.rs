//! Accounts: register, sign in, stay signed in, sign out.

use std::sync::Arc;

use crate::ports::{AccountStore, Clock, IdSource, PasswordHasher, StoreError};
use crate::room::Role;
use crate::text::{InvalidText, at_most, required};
use crate::{SessionFamily, TenantId, Timestamp, UserId};

/// Longest username, in characters.
pub const USERNAME_MAX: usize = 50;
/// Longest email address, in characters.
pub const EMAIL_MAX: usize = 255;
/// Longest display name, in characters.
pub const NAME_MAX: usize = 100;
/// Shortest password, in characters (NIST SP 800-63B).
pub const PASSWORD_MIN: usize = 8;
/// Longest password, in characters: bounds the hashing work.
pub const PASSWORD_MAX: usize = 256;

/// An account, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Unique short name.
    pub username: String,
    /// Unique email address, lower case; `None` for provisioned users.
    pub email: Option<String>,
    /// Display name.
    pub name: String,
    /// Tenant-wide role.
    pub role: Role,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An account to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Id to give it.
    pub id: UserId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Short name.
    pub username: String,
    /// Email address, lower case.
    pub email: Option<String>,
    /// Display name.
    pub name: String,
    /// PHC string of the password; `None` for users whose identity comes from elsewhere.
    pub password_hash: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a user may change of the own profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfilePatch {
    /// New display name.
    pub name: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A user and the hash of the user's password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Whose.
    pub user: User,
    /// PHC string.
    pub password_hash: String,
}

/// A sign-in to be stored.
#[derive(Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The family.
    pub family: SessionFamily,
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// Fingerprint of the first refresh token.
    pub refresh_fingerprint: String,
    /// When it ends without use.
    pub expires_at: Timestamp,
    /// When.
    pub at: Timestamp,
}

/// A refresh token to be exchanged.
#[derive(Clone, PartialEq, Eq)]
pub struct RotateSession {
    /// Fingerprint of the token presented.
    pub presented: String,
    /// Fingerprint of the token to be given.
    pub next: String,
    /// New end.
    pub expires_at: Timestamp,
    /// How long the directly preceding token still counts, in milliseconds (two tabs at once).
    pub grace_ms: u64,
    /// When.
    pub at: Timestamp,
}

/// What an exchange of a refresh token gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// The next token is valid. Within the grace the preceding token gives another valid next token.
    Rotated {
        /// The sign-in.
        family: SessionFamily,
        /// Whose.
        user: User,
    },
    /// The token had been exchanged before: the family is now revoked.
    Reused {
        /// The sign-in.
        family: SessionFamily,
    },
    /// No such token, or its sign-in has ended.
    Invalid,
}

/// Why an account use case was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// A text breaks a rule.
    #[error(transparent)]
    Text(#[from] InvalidText),
    /// Username or email exist already.
    #[error("{field} is already taken")]
    Taken {
        /// `username` or `email`.
        field: &'static str,
    },
    /// Wrong login or password; never says which.
    #[error("wrong login or password")]
    WrongCredentials,
    /// The refresh token is unknown, expired or revoked.
    #[error("the refresh token is not valid")]
    InvalidRefresh,
    /// The refresh token had been used before; its sign-in was ended for safety.
    #[error("the refresh token was used before; sign in again")]
    RefreshReused {
        /// The sign-in that was ended.
        family: SessionFamily,
    },
    /// The password pool's queue is full.
    #[error("too many sign-ins at once; try again shortly")]
    Busy,
    /// No such user.
    #[error("user not found")]
    MissingUser,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long sign-ins last.
#[derive(Debug, Clone, Copy)]
pub struct SessionRules {
    /// Life of a refresh token, in milliseconds.
    pub refresh_ttl_ms: u64,
    /// Grace of the preceding refresh token, in milliseconds.
    pub grace_ms: u64,
}

impl Default for SessionRules {
    fn default() -> Self {
        Self { refresh_ttl_ms: 30 * 24 * 3_600_000, grace_ms: 10_000 }
    }
}

/// Input of [`Accounts::register`].
#[derive(Clone, PartialEq, Eq)]
pub struct Registration {
    /// Email address.
    pub email: String,
    /// Short name; `None`: made from the address.
    pub username: Option<String>,
    /// Display name; `None`: the username.
    pub name: Option<String>,
    /// Password in clear.
    pub password: String,
}

/// A sign-in that succeeded. The door turns it into tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// The sign-in.
    pub family: SessionFamily,
    /// Refresh token in clear, given once.
    pub refresh_token: String,
}

/// The account use cases.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<dyn AccountStore>,
    hasher: Arc<dyn PasswordHasher>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    rules: SessionRules,
}

impl Accounts {
    /// Puts the use cases on their ports.
    pub fn new(
        store: Arc<dyn AccountStore>,
        hasher: Arc<dyn PasswordHasher>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
        rules: SessionRules,
    ) -> Self {
        Self { store, hasher, clock, ids, rules }
    }

    /// Makes an account and signs it in.
    ///
    /// # Errors
    /// [`AccountError::Text`], [`AccountError::Taken`], [`AccountError::Busy`],
    /// [`AccountError::Store`].
    pub async fn register(
        &self,
        tenant: &TenantId,
        form: Registration,
    ) -> Result<SignedIn, AccountError> {
        let email = form.email.trim().to_lowercase();
        check_email(&email)?;
        let username = match form.username {
            Some(name) => name.trim().to_owned(),
            None => username_from(&email),
        };
        check_username(&username)?;
        let name = form.name.unwrap_or_else(|| username.clone());
        required("name", &name, NAME_MAX)?;
        check_password(&form.password)?;
        let password_hash = Some(self.hasher.hash(form.password).await?);
        let at = self.clock.now();
        let id = UserId::trusted(self.ids.id(at));
        let tenant = tenant.clone();
        let email = Some(email);
        let account = NewAccount { id, tenant, username, email, name, password_hash, at };
        let user = self.store.create_account(account).await?;
        self.sign_in(user).await
    }

    /// Signs in with an email address or username. Unknown logins take the same time as wrong passwords.
    ///
    /// # Errors
    /// [`AccountError::WrongCredentials`], [`AccountError::Busy`], [`AccountError::Store`].
    pub async fn login(
        &self,
        tenant: &TenantId,
        login: &str,
        password: String,
    ) -> Result<SignedIn, AccountError> {
        if password.len() > PASSWORD_MAX * 4 || login.len() > EMAIL_MAX * 4 {
            return Err(AccountError::WrongCredentials);
        }
        let credential = self.store.credential(tenant, &login.trim().to_lowercase()).await?;
        let hash = credential.as_ref().map(|c| c.password_hash.clone());
        let right = self.hasher.verify(password, hash).await?;
        match credential {
            Some(credential) if right => self.sign_in(credential.user).await,
            Some(_) | None => Err(AccountError::WrongCredentials),
        }
    }

    async fn sign_in(&self, user: User) -> Result<SignedIn, AccountError> {
        let at = self.clock.now();
        let family = SessionFamily::trusted(self.ids.id(at));
        let refresh_token = self.ids.secret();
        let session = NewSession {
            family: family.clone(),
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            refresh_fingerprint: self.ids.fingerprint(&refresh_token),
            expires_at: at.plus_ms(self.rules.refresh_ttl_ms),
            at,
        };
        self.store.open_session(session).await?;
        Ok(SignedIn { user, family, refresh_token })
    }

    /// Exchanges a refresh token. Presenting one a second time, beyond the grace, ends the sign-in.
    ///
    /// # Errors
    /// [`AccountError::InvalidRefresh`], [`AccountError::RefreshReused`], [`AccountError::Store`].
    pub async fn refresh(&self, token: &str) -> Result<SignedIn, AccountError> {
        let at = self.clock.now();
        let refresh_token = self.ids.secret();
        let rotation = RotateSession {
            presented: self.ids.fingerprint(token),
            next: self.ids.fingerprint(&refresh_token),
            expires_at: at.plus_ms(self.rules.refresh_ttl_ms),
            grace_ms: self.rules.grace_ms,
            at,
        };
        match self.store.rotate_session(rotation).await? {
            Rotation::Rotated { family, user } => Ok(SignedIn { user, family, refresh_token }),
            Rotation::Reused { family } => Err(AccountError::RefreshReused { family }),
            Rotation::Invalid => Err(AccountError::InvalidRefresh),
        }
    }

    /// Ends one sign-in.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn logout(&self, family: &SessionFamily) -> Result<(), AccountError> {
        Ok(self.store.revoke_session(family, "logout", self.clock.now()).await?)
    }

    /// Ends all sign-ins of a user; returns those that were alive.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn logout_all(
        &self,
        tenant: &TenantId,
        user: &UserId,
    ) -> Result<Vec<SessionFamily>, AccountError> {
        let now = self.clock.now();
        Ok(self.store.revoke_all_sessions(tenant, user, "logout-all", now).await?)
    }

    /// Whether a sign-in still counts.
    ///
    /// # Errors
    /// [`AccountError::Store`].
    pub async fn session_alive(&self, family: &SessionFamily) -> Result<bool, AccountError> {
        let family = std::slice::from_ref(family);
        Ok(self.store.ended_sessions(family, self.clock.now()).await?.is_empty())
    }

    /// A user by id.
    ///
    /// # Errors
    /// [`AccountError::MissingUser`], [`AccountError::Store`].
    pub async fn user(&self, tenant: &TenantId, id: &UserId) -> Result<User, AccountError> {
        self.store.user(tenant, id).await?.ok_or(AccountError::MissingUser)
    }

    /// The user behind a token of the team's own issuer, made at first sight.
    ///
    /// # Errors
    /// [`AccountError::Text`] when `name` is unusable, [`AccountError::Store`].
    pub async fn provision(
        &self,
        tenant: &TenantId,
        id: &UserId,
        name: Option<&str>,
    ) -> Result<User, AccountError> {
        if let Some(user) = self.store.user(tenant, id).await? {
            return Ok(user);
        }
        let name = name.unwrap_or(id.as_str());
        required("name", name, NAME_MAX)?;
        let account = NewAccount {
            id: id.clone(),
            tenant: tenant.clone(),
            username: id.as_str().to_owned(),
            email: None,
            name: name.to_owned(),
            password_hash: None,
            at: self.clock.now(),
        };
        match self.store.create_account(account).await {
            // Another connection of the same user was first.
            Err(AccountError::Taken { .. }) => self.user(tenant, id).await,
            other => other,
        }
    }

    /// Users whose name starts with `prefix`; at most 20.
    ///
    /// # Errors
    /// [`AccountError::Text`], [`AccountError::Store`].
    pub async fn find_users(
        &self,
        tenant: &TenantId,
        prefix: &str,
    ) -> Result<Vec<User>, AccountError> {
        at_most("q", prefix, NAME_MAX)?;
        Ok(self.store.find_users(tenant, prefix.trim(), 20).await?)
    }

    /// Changes the own display name.
    ///
    /// # Errors
    /// [`AccountError::Text`], [`AccountError::MissingUser`], [`AccountError::Store`].
    pub async fn update_profile(
        &self,
        tenant: &TenantId,
        id: &UserId,
        name: Option<String>,
    ) -> Result<User, AccountError> {
        if let Some(name) = &name {
            required("name", name, NAME_MAX)?;
        }
        let patch = ProfilePatch { name, at: self.clock.now() };
        self.store.update_profile(tenant, id, patch).await?.ok_or(AccountError::MissingUser)
    }
}

fn check_email(email: &str) -> Result<(), InvalidText> {
    required("email", email, EMAIL_MAX)?;
    let well_formed = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    }) && !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if well_formed {
        Ok(())
    } else {
        Err(InvalidText::Malformed { field: "email", problem: "must be an email" })
    }
}

fn check_username(username: &str) -> Result<(), InvalidText> {
    required("username", username, USERNAME_MAX)?;
    let bad = |c: char| c.is_whitespace() || c.is_control() || c == '@';
    if username.chars().any(bad) {
        let problem = "must not contain spaces or @";
        return Err(InvalidText::Malformed { field: "username", problem });
    }
    Ok(())
}

fn check_password(password: &str) -> Result<(), InvalidText> {
    let length = password.chars().take(PASSWORD_MAX + 1).count();
    if length < PASSWORD_MIN {
        return Err(InvalidText::TooShort { field: "password", min: PASSWORD_MIN });
    }
    at_most("password", password, PASSWORD_MAX)
}

/// `ada.l+x@example.org` gives `ada.l`; the store says when it is taken.
fn username_from(email: &str) -> String {
    let local = email.split(['@', '+']).next().unwrap_or_default();
    local.chars().take(USERNAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_registrations_name_the_field_and_the_rule() {
        let field = |r: Result<(), InvalidText>| r.expect_err("must be refused").field();
        for bad in ["", "plain", "@x", "x@", "a b@c", "a@b@c"] {
            assert_eq!(field(check_email(bad)), "email", "{bad:?}");
        }
        for bad in ["", "a b", "a@b", &"x".repeat(51)] {
            assert_eq!(field(check_username(bad)), "username", "{bad:?}");
        }
        for bad in ["", "1234567", &"x".repeat(257)] {
            assert_eq!(field(check_password(bad)), "password", "{bad:?}");
        }
        assert!(check_email("ada@example.org").is_ok());
        assert!(check_password("12345678").is_ok());
    }

    #[test]
    fn a_username_is_made_from_the_address() {
        assert_eq!(username_from("ada.l+x@example.org"), "ada.l");
    }
}
