//! What handlers take from a request.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use mynah_domain::permission::Denied;
use mynah_domain::{MessageId, RoomId, UserId};
use serde::Serialize;

use super::error::{ApiError, InputError};
use super::fields::{Form, Violation, read_form};
use crate::bodies::{self, BodyError};
use crate::identity::{Identified, IdentityError, bearer};
use crate::rate::Bucket;
use crate::state::House;

/// Somebody with a valid access token in `Authorization: Bearer …`.
pub(crate) struct Signed(pub(crate) Identified);

impl FromRequestParts<House> for Signed {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, house: &House) -> Result<Self, ApiError> {
        Self::of(&parts.headers, house).await
    }
}

impl Signed {
    /// Who a request's headers say it is.
    ///
    /// # Errors
    /// [`ApiError::Identity`].
    pub(crate) async fn of(headers: &HeaderMap, house: &House) -> Result<Self, ApiError> {
        let verified = match bearer(headers) {
            Some(token) => house.identity.verify(token).await,
            None => Err(IdentityError::Missing),
        };
        verified.map(Self).map_err(|error| {
            house.metrics.refused_token(word(error));
            error.into()
        })
    }
}

/// Label of the metric of refused tokens.
pub(crate) fn word(error: IdentityError) -> &'static str {
    match error {
        IdentityError::Missing => "missing",
        IdentityError::Malformed => "malformed",
        IdentityError::Expired => "expired",
        IdentityError::BadSignature => "bad_signature",
        IdentityError::Revoked => "revoked",
        IdentityError::UnknownUser => "unknown_user",
        IdentityError::Unavailable => "unavailable",
    }
}

/// A JSON body, read as a form.
pub(crate) struct Body<F>(pub(crate) F);

impl<F: Form> FromRequest<House> for Body<F> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _house: &House) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let max = F::BYTES_MAX;
        let bytes =
            bodies::whole(&parts.headers, body, max).await.map_err(|error| match error {
                BodyError::TooLarge => InputError::TooLarge { max },
                BodyError::Broken => InputError::BrokenBody,
            })?;
        let absent = bytes.is_empty() && F::MAY_BE_ABSENT;
        if !absent && !is_json(&parts.headers) {
            return Err(InputError::NotJson.into());
        }
        read_form(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim();
    media.eq_ignore_ascii_case("application/json")
        || (media.starts_with("application/") && media.ends_with("+json"))
}

/// The query string's parameters; of repeated ones the last counts.
pub(crate) struct Params {
    values: BTreeMap<String, String>,
}

impl FromRequestParts<House> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _house: &House) -> Result<Self, ApiError> {
        let values = Query::<BTreeMap<String, String>>::try_from_uri(&parts.uri)
            .map_err(|_bad| invalid("query", "must be URL-encoded pairs"))?;
        Ok(Self { values: values.0 })
    }
}

impl Params {
    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// An optional whole number.
    ///
    /// # Errors
    /// A validation error naming it.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_bad| invalid(name, "must be a number"));
        self.text(name).map(parse).transpose()
    }

    /// `limit`; its bounds are the domain's affair.
    ///
    /// # Errors
    /// A validation error.
    pub(crate) fn limit(&self) -> Result<Option<u32>, ApiError> {
        let limit = self.number("limit")?;
        Ok(limit.map(|n| u32::try_from(n).unwrap_or(u32::MAX)))
    }
}

/// A validation error about one input.
pub(crate) fn invalid(path: &str, problem: &str) -> ApiError {
    let message = format!("{path} {problem}");
    let code = "invalid_value";
    InputError::Violations(vec![Violation { path: path.to_owned(), code, message }]).into()
}

/// Address of the client, as far as it can be believed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

impl ClientAddress {
    /// Key of rate limits. All addresses of one IPv6 /64 are one client: nobody has fewer.
    pub(crate) fn key(self) -> String {
        match self.0 {
            Some(IpAddr::V4(address)) => address.to_string(),
            Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(v4) => v4.to_string(),
                None => format!("{:x}", address.to_bits() >> 64),
            },
            None => "unknown".to_owned(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or(Self(None)))
    }
}

/// Counts one use against a limit.
///
/// # Errors
/// [`ApiError::Limited`].
pub(crate) fn limit(house: &House, bucket: Bucket, key: &str) -> Result<(), ApiError> {
    house.limits.check(bucket, key).map_err(|wait| {
        house.metrics.limited(bucket.as_str());
        ApiError::Limited(wait)
    })
}

/// A room id from a path; one that no room can have is a missing room.
///
/// # Errors
/// As for a room that does not exist.
pub(crate) fn room_id(text: &str) -> Result<RoomId, ApiError> {
    RoomId::parse(text).map_err(|_bad| Denied::Hidden.into())
}

/// A message id from a path.
///
/// # Errors
/// As for a message that does not exist.
pub(crate) fn message_id(text: &str) -> Result<MessageId, ApiError> {
    let missing = mynah_domain::chat::ChatError::MissingMessage;
    MessageId::parse(text).map_err(|_bad| missing.into())
}

/// A user id from a path.
///
/// # Errors
/// As for a user that does not exist.
pub(crate) fn user_id(text: &str) -> Result<UserId, ApiError> {
    let missing = mynah_domain::account::AccountError::MissingUser;
    UserId::parse(text).map_err(|_bad| missing.into())
}

/// Answers with JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    (status, Json(body)).into_response()
}

/// Answers 200 with JSON.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    json(StatusCode::OK, body)
}
