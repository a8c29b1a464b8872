//! Access tokens: who is asking.
//!
//! Mynah's own tokens (`iss` = `mynah`) carry the sign-in they belong to (`sid`) and the tenant (`tid`);
//! they end with the sign-in. Tokens that the team's own issuer signed with the same secret (any other
//! `iss`, or none) name the user in `sub`, `userId` or `id` and live until `exp`.
//!
//! Rules (RFC 7519, RFC 8725, ASVS 9.1 and 9.2): HS256 only, signature before anything is derived from a
//! claim, `exp` required, no key ever taken from the token itself, nothing critical left unread. Role and
//! profile come from the store, never from a claim.

mod claims;
mod verifiers;

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use moka::sync::Cache;
use mynah_domain::account::{AccountError, Accounts, SignedIn, User};
use mynah_domain::permission::Actor;
use mynah_domain::ports::{Clock, StoreError};
use mynah_domain::room::{Profile, Role};
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};

use claims::{Bearer, Claims, OwnClaims};

pub(crate) use verifiers::bearer;
pub use verifiers::{AccessTokens, Verifier, Verifiers};

/// Longest accepted token, in bytes; a request head has 16 KiB in all.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Clock difference tolerated on `nbf` and `iat`, in seconds.
pub const SKEW_S: i64 = 60;
/// Clock difference tolerated on `exp`, in seconds.
pub const EXPIRY_LEEWAY_S: i64 = 5;
/// `iss` of Mynah's own tokens.
pub const OWN_ISSUER: &str = "mynah";

const PROFILES_MAX: u64 = 100_000;
const PROFILE_TTL: Duration = Duration::from_secs(10);
const SIGN_INS_MAX: u64 = 200_000;
const SIGN_IN_TTL: Duration = Duration::from_secs(5);

/// Bytes that must not be shown: without `Debug`, `Display` or `Serialize`.
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }
}

/// What an installation sets.
pub struct IdentityRules {
    /// Key of HS256; at least 32 bytes wanted (RFC 7518 section 3.2).
    pub secret: Secret,
    /// Life of an access token, in seconds; 900 is usual.
    pub access_ttl_s: u32,
    /// Whether users that the team's own issuer vouches for are made at first sight.
    pub provision_unknown_users: bool,
}

/// Somebody whose token was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// For the permission table.
    pub actor: Actor,
    /// For messages and members.
    pub profile: Arc<Profile>,
    /// The sign-in; `None` for tokens of the team's own issuer.
    pub family: Option<SessionFamily>,
    /// When the token ends; a live connection made with it ends then, too.
    pub expires_at: Timestamp,
}

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum IdentityError {
    /// No token at all.
    #[error("Unauthorized")]
    Missing,
    /// Not a token of the accepted form.
    #[error("the access token is malformed")]
    Malformed,
    /// Its time is over.
    #[error("the access token has expired")]
    Expired,
    /// Not signed with our key.
    #[error("the access token's signature is wrong")]
    BadSignature,
    /// Its sign-in was ended.
    #[error("the sign-in has ended; sign in again")]
    Revoked,
    /// Its user does not exist.
    #[error("the access token's user does not exist")]
    UnknownUser,
    /// The store could not be asked.
    #[error("identity cannot be checked now; try again shortly")]
    Unavailable,
}

/// What a sign-in gets, beside the refresh token it brings along.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// Its life, in seconds.
    pub expires_in: u32,
}

#[derive(Clone)]
struct Known {
    profile: Arc<Profile>,
    role: Role,
}

/// Makes and checks access tokens.
///
/// Users and sign-ins are remembered for some seconds, so that a storm of reconnects asks the store once
/// per user, not once per connection.
pub struct Identity {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    access_ttl_s: u32,
    provision_unknown_users: bool,
    accounts: Accounts,
    clock: Arc<dyn Clock>,
    users: Cache<(TenantId, UserId), Known>,
    sign_ins: Cache<SessionFamily, bool>,
}

impl Identity {
    /// Puts identity on its key and the account use cases.
    pub fn new(rules: &IdentityRules, accounts: Accounts, clock: Arc<dyn Clock>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are judged by `Claims::check`, with our clock and a leeway of their own each.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self {
            encoding: EncodingKey::from_secret(&rules.secret.0),
            decoding: DecodingKey::from_secret(&rules.secret.0),
            validation,
            access_ttl_s: rules.access_ttl_s,
            provision_unknown_users: rules.provision_unknown_users,
            accounts,
            clock,
            users: Cache::builder().max_capacity(PROFILES_MAX).time_to_live(PROFILE_TTL).build(),
            sign_ins: Cache::builder().max_capacity(SIGN_INS_MAX).time_to_live(SIGN_IN_TTL).build(),
        }
    }

    /// Makes the access token of a sign-in.
    ///
    /// # Errors
    /// [`IdentityError::Unavailable`] when signing fails (never with HMAC keys).
    pub fn issue(&self, signed_in: &SignedIn) -> Result<Tokens, IdentityError> {
        let user = &signed_in.user;
        let now = self.clock.now();
        let claims = OwnClaims {
            iss: OWN_ISSUER,
            sub: user.id.as_str(),
            sid: signed_in.family.as_str(),
            tid: user.tenant.as_str(),
            iat: now.0.div_euclid(1_000),
            exp: now.0.div_euclid(1_000) + i64::from(self.access_ttl_s),
        };
        let access =
            encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(|error| {
                tracing::error!(%error, "signing an access token failed");
                IdentityError::Unavailable
            })?;
        self.remember(user);
        self.sign_ins.entry(signed_in.family.clone()).or_insert(true);
        Ok(Tokens { access, expires_in: self.access_ttl_s })
    }

    /// Checks a token (without `Bearer `).
    ///
    /// # Errors
    /// [`IdentityError`], each variant with its own reason.
    pub async fn verify(&self, token: &str) -> Result<Identified, IdentityError> {
        let bearer = self.read(token)?;
        if let Some(family) = &bearer.family
            && !self.is_alive(family).await?
        {
            return Err(IdentityError::Revoked);
        }
        let known = self.known(&bearer).await?;
        let Bearer { tenant, user, family, expires_at, name: _ } = bearer;
        let actor = Actor { tenant, user, role: known.role };
        Ok(Identified { actor, profile: known.profile, family, expires_at })
    }

    /// Whether a sign-in goes on.
    ///
    /// # Errors
    /// [`IdentityError::Revoked`], [`IdentityError::Unavailable`].
    pub async fn still_alive(&self, family: &SessionFamily) -> Result<(), IdentityError> {
        if self.is_alive(family).await? { Ok(()) } else { Err(IdentityError::Revoked) }
    }

    /// Forgets a sign-in that was ended, so that its tokens are refused at once.
    pub fn forget_sign_in(&self, family: &SessionFamily) {
        // Kept as "ended" rather than removed: a check that read the store before the end and comes
        // back after it must not bring the sign-in to life again.
        self.sign_ins.insert(family.clone(), false);
    }

    /// Forgets a user's profile and role after a change.
    pub fn forget_user(&self, tenant: &TenantId, user: &UserId) {
        self.users.invalidate(&(tenant.clone(), user.clone()));
    }

    /// A user whom somebody else vouches for: profile and role, `None` if there is no such user.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn user(
        &self,
        tenant: &TenantId,
        id: &UserId,
    ) -> Result<Option<(Arc<Profile>, Role)>, StoreError> {
        let key = (tenant.clone(), id.clone());
        if let Some(known) = self.users.get(&key) {
            return Ok(Some((known.profile, known.role)));
        }
        match self.accounts.user(tenant, id).await {
            Ok(user) => {
                let known = self.remember(&user);
                Ok(Some((known.profile, known.role)))
            }
            Err(AccountError::MissingUser) => Ok(None),
            Err(AccountError::Store(error)) => Err(error),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    fn read(&self, token: &str) -> Result<Bearer, IdentityError> {
        use jsonwebtoken::errors::ErrorKind;
        if token.is_empty() {
            return Err(IdentityError::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(IdentityError::Malformed);
        }
        let token = decode::<Claims>(token, &self.decoding, &self.validation).map_err(|error| {
            if matches!(error.kind(), ErrorKind::InvalidSignature) {
                IdentityError::BadSignature
            } else {
                IdentityError::Malformed
            }
        })?;
        claims::check_header(&token.header)?;
        token.claims.check(self.clock.now())
    }

    async fn is_alive(&self, family: &SessionFamily) -> Result<bool, IdentityError> {
        if let Some(alive) = self.sign_ins.get(family) {
            return Ok(alive);
        }
        let alive = self.accounts.session_alive(family).await.map_err(|e| unavailable(&e))?;
        Ok(self.sign_ins.entry(family.clone()).or_insert(alive).into_value())
    }

    async fn known(&self, bearer: &Bearer) -> Result<Known, IdentityError> {
        let key = (bearer.tenant.clone(), bearer.user.clone());
        if let Some(known) = self.users.get(&key) {
            return Ok(known);
        }
        let foreign = bearer.family.is_none();
        let user = if foreign && self.provision_unknown_users {
            self.accounts.provision(&bearer.tenant, &bearer.user, bearer.name.as_deref()).await
        } else {
            self.accounts.user(&bearer.tenant, &bearer.user).await
        };
        user.map(|user| self.remember(&user)).map_err(|error| match error {
            AccountError::MissingUser | AccountError::Text(_) | AccountError::Taken { .. } => {
                IdentityError::UnknownUser
            }
            AccountError::Store(_)
            | AccountError::Busy
            | AccountError::WrongCredentials
            | AccountError::InvalidRefresh
            | AccountError::RefreshReused { .. } => unavailable(&error),
        })
    }

    fn remember(&self, user: &User) -> Known {
        let profile = Profile {
            id: user.id.clone(),
            username: user.username.clone(),
            name: user.name.clone(),
        };
        let known = Known { profile: Arc::new(profile), role: user.role };
        self.users.insert((user.tenant.clone(), user.id.clone()), known.clone());
        known
    }
}

fn unavailable(error: &AccountError) -> IdentityError {
    tracing::warn!(%error, "the account store could not be asked");
    IdentityError::Unavailable
}

#[cfg(test)]
mod tests;
