//! Who stands behind a request, whatever the credential: verifiers are asked one after the other.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use super::{Identified, Identity, IdentityError};

/// Knows one kind of credential.
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Whose request it is; `None` if it carries no credential of this kind. Whether a credential is of the
    /// kind is told by its form alone: who recognises it decides, nobody is asked after.
    async fn verify(&self, headers: &HeaderMap) -> Option<Result<Identified, IdentityError>>;
}

/// Verifiers in the order in which they are asked; cloning copies a handle.
#[derive(Clone)]
pub struct Verifiers(Arc<[Box<dyn Verifier>]>);

impl Verifiers {
    /// Asks these, in this order.
    pub fn new(verifiers: impl IntoIterator<Item = Box<dyn Verifier>>) -> Self {
        Self(verifiers.into_iter().collect())
    }

    /// Whose request it is, as the first says that recognises a credential.
    ///
    /// # Errors
    /// What that one says; [`IdentityError::Missing`] if nobody recognises any.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<Identified, IdentityError> {
        for verifier in &*self.0 {
            if let Some(verdict) = verifier.verify(headers).await {
                return verdict;
            }
        }
        Err(IdentityError::Missing)
    }
}

/// Access tokens in `Authorization: Bearer …`. It recognises every bearer token: others stand before it.
pub struct AccessTokens(pub Arc<Identity>);

#[async_trait]
impl Verifier for AccessTokens {
    async fn verify(&self, headers: &HeaderMap) -> Option<Result<Identified, IdentityError>> {
        Some(self.0.verify(bearer(headers)?).await)
    }
}

/// The token of `Authorization: Bearer TOKEN`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recognises one header, and refuses whoever has it.
    struct Refusing(&'static str, IdentityError);

    #[async_trait]
    impl Verifier for Refusing {
        async fn verify(&self, headers: &HeaderMap) -> Option<Result<Identified, IdentityError>> {
            headers.contains_key(self.0).then_some(Err(self.1))
        }
    }

    #[tokio::test]
    async fn the_first_that_recognises_its_credential_decides() {
        let verifiers = Verifiers::new([
            Box::new(Refusing("x-one", IdentityError::Expired)) as Box<dyn Verifier>,
            Box::new(Refusing("x-two", IdentityError::Revoked)),
        ]);
        for (names, error) in [
            (&[][..], IdentityError::Missing),
            (&["x-one"], IdentityError::Expired),
            (&["x-two"], IdentityError::Revoked),
            (&["x-two", "x-one"], IdentityError::Expired),
        ] {
            let mut headers = HeaderMap::new();
            for name in names {
                headers.insert(*name, "1".parse().unwrap());
            }
            assert_eq!(verifiers.identify(&headers).await, Err(error), "{names:?}");
        }
    }

    #[test]
    fn bearer_tokens_are_found_in_their_header() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer", None),
            ("abc", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert_eq!(bearer(&headers), token, "{value}");
        }
    }
}
