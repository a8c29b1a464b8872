//! What a token says, and which of it is believed.

use jsonwebtoken::Header;
use mynah_domain::{SessionFamily, TenantId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EXPIRY_LEEWAY_S, IdentityError, OWN_ISSUER, SKEW_S};

/// Claims of the tokens Mynah makes.
#[derive(Serialize)]
pub(super) struct OwnClaims<'a> {
    pub(super) iss: &'static str,
    pub(super) sub: &'a str,
    pub(super) sid: &'a str,
    pub(super) tid: &'a str,
    pub(super) iat: i64,
    pub(super) exp: i64,
}

/// Claims as they come. A claim given twice does not parse (RFC 7519 section 4).
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    #[serde(rename = "userId", default)]
    user_id: Value,
    #[serde(default)]
    id: Value,
    sid: Option<String>,
    tid: Option<String>,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    #[serde(default)]
    name: Value,
    #[serde(default)]
    username: Value,
    #[serde(rename = "type", default)]
    kind: Value,
    #[serde(rename = "tokenType", default)]
    token_type: Value,
    #[serde(default)]
    token_use: Value,
}

/// A token's content after all checks that need no store.
pub(super) struct Bearer {
    pub(super) tenant: TenantId,
    pub(super) user: UserId,
    pub(super) family: Option<SessionFamily>,
    pub(super) expires_at: Timestamp,
    pub(super) name: Option<String>,
}

/// Refuses heads that name a key, hide the payload or demand something we do not do.
///
/// # Errors
/// [`IdentityError::Malformed`].
pub(super) fn check_header(header: &Header) -> Result<(), IdentityError> {
    let typ = header.typ.as_deref();
    let typ_fits =
        typ.is_none_or(|t| t.eq_ignore_ascii_case("JWT") || t.eq_ignore_ascii_case("at+jwt"));
    let names_key = header.jku.is_some()
        || header.jwk.is_some()
        || header.x5u.is_some()
        || header.x5c.is_some()
        || header.x5t.is_some()
        || header.x5t_s256.is_some();
    let demands = header.crit.is_some()
        || header.zip.is_some()
        || header.enc.is_some()
        || header.cty.is_some();
    if typ_fits && !names_key && !demands { Ok(()) } else { Err(IdentityError::Malformed) }
}

impl Claims {
    /// Judges times and subject.
    ///
    /// # Errors
    /// [`IdentityError::Expired`], [`IdentityError::Malformed`].
    pub(super) fn check(self, now: Timestamp) -> Result<Bearer, IdentityError> {
        let now_s = now.0 as f64 / 1_000.0;
        let early = |at: Option<f64>| at.is_some_and(|at| at > now_s + SKEW_S as f64);
        if early(self.nbf) || early(self.iat) {
            return Err(IdentityError::Malformed);
        }
        if self.exp + EXPIRY_LEEWAY_S as f64 <= now_s {
            return Err(IdentityError::Expired);
        }
        // Float to integer saturates, so an absurd `exp` is merely far away.
        let expires_at = Timestamp((self.exp * 1_000.0) as i64);
        if self.iss.as_deref() == Some(OWN_ISSUER) {
            self.own(expires_at)
        } else {
            self.foreign(expires_at)
        }
    }

    fn own(self, expires_at: Timestamp) -> Result<Bearer, IdentityError> {
        let (Some(sub), Some(sid), Some(tid)) = (self.sub, self.sid, self.tid) else {
            return Err(IdentityError::Malformed);
        };
        Ok(Bearer {
            tenant: TenantId::parse(&tid).map_err(|_bad| IdentityError::Malformed)?,
            user: user(&sub)?,
            family: Some(SessionFamily::parse(&sid).map_err(|_bad| IdentityError::Malformed)?),
            expires_at,
            name: None,
        })
    }

    fn foreign(self, expires_at: Timestamp) -> Result<Bearer, IdentityError> {
        // An issuer that signs refresh tokens with the same key must not have them pass for access.
        let kinds = [&self.kind, &self.token_type, &self.token_use];
        if kinds.iter().any(|kind| kind.as_str().is_some_and(|k| k.contains("refresh"))) {
            return Err(IdentityError::Malformed);
        }
        let subject = self.sub.as_deref().or(self.user_id.as_str()).or(self.id.as_str());
        let name = self.name.as_str().or(self.username.as_str()).map(str::to_owned);
        Ok(Bearer {
            tenant: TenantId::single(),
            user: user(subject.ok_or(IdentityError::Malformed)?)?,
            family: None,
            expires_at,
            name,
        })
    }
}

fn user(id: &str) -> Result<UserId, IdentityError> {
    UserId::parse(id).map_err(|_bad| IdentityError::Malformed)
}
