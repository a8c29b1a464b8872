//! Register, sign in, stay signed in, sign out.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use mynah_domain::TenantId;
use mynah_domain::account::{
    AccountError, EMAIL_MAX, NAME_MAX, PASSWORD_MIN, Registration, SignedIn, USERNAME_MAX,
};
use mynah_domain::ports::StoreError;
use mynah_domain::text::{InvalidText, required};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{Answer, ApiError};
use super::extract::{Body, ClientAddress, Signed, json, limit, ok};
use super::fields::{Fields, Form};
use super::openapi::Problem;
use crate::rate::Bucket;
use crate::state::House;
use crate::views::AccountView;

/// A new account.
#[derive(ToSchema)]
#[schema(example = json!({"email": "ada@example.org", "name": "Ada", "password": "correct horse"}))]
pub(super) struct Register {
    /// Email address.
    email: String,
    /// Short name; made from the address if absent.
    username: Option<String>,
    /// Display name; the username if absent.
    name: Option<String>,
    /// 8 to 256 characters.
    password: String,
}

impl Form for Register {
    fn read(fields: &mut Fields<'_>) -> Self {
        let form = Self {
            email: fields.needed_text("email"),
            username: fields.text("username"),
            name: fields.text("name"),
            password: fields.needed_text("password"),
        };
        fields.rule(required("email", &form.email, EMAIL_MAX));
        if !form.email.contains('@') {
            let problem = "must be an email";
            fields.rule(Err(InvalidText::Malformed { field: "email", problem }));
        }
        if let Some(username) = &form.username {
            fields.rule(required("username", username, USERNAME_MAX));
        }
        if let Some(name) = &form.name {
            fields.rule(required("name", name, NAME_MAX));
        }
        if form.password.chars().count() < PASSWORD_MIN {
            fields.rule(Err(InvalidText::TooShort { field: "password", min: PASSWORD_MIN }));
        }
        form
    }
}

/// A sign-in with either `email` or `username`.
#[derive(ToSchema)]
#[schema(example = json!({"email": "ada@example.org", "password": "correct horse"}))]
pub(super) struct Login {
    /// Email address.
    email: Option<String>,
    /// Short name.
    username: Option<String>,
    /// The password.
    password: String,
}

impl Form for Login {
    fn read(fields: &mut Fields<'_>) -> Self {
        if !fields.has("email") && !fields.has("username") {
            fields.refuse("email", "required", "must be a string");
        }
        Self {
            email: fields.text("email"),
            username: fields.text("username"),
            password: fields.needed_text("password"),
        }
    }
}

/// A refresh token to be exchanged.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refresh {
    /// The last refresh token of the sign-in.
    refresh_token: String,
}

impl Form for Refresh {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { refresh_token: fields.needed_text("refreshToken") }
    }
}

/// A new pair of tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TokenPair<'a> {
    /// For `Authorization: Bearer`.
    access_token: &'a str,
    /// Good for one exchange; keep the new one each time.
    refresh_token: &'a str,
    /// Life of the access token, in seconds.
    expires_in: u32,
}

/// A sign-in with its tokens.
#[derive(Serialize, ToSchema)]
struct Session<'a> {
    user: AccountView<'a>,
    #[serde(flatten)]
    tokens: TokenPair<'a>,
}

/// A short answer in words.
#[derive(Serialize, ToSchema)]
struct Done {
    message: &'static str,
}

pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(logout_all))
}

/// Make an account and sign in.
#[utoipa::path(post, path = "/auth/register", tag = "auth", request_body = Register, responses(
    (status = 201, body = Session<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn register(
    State(house): State<House>,
    address: ClientAddress,
    Body(form): Body<Register>,
) -> Answer {
    limit(&house, Bucket::Register, &address.key())?;
    let Register { email, username, name, password } = form;
    let form = Registration { email, username, name, password };
    let signed_in = house.accounts.register(&TenantId::single(), form).await?;
    session(&house, StatusCode::CREATED, &signed_in)
}

/// Sign in.
#[utoipa::path(post, path = "/auth/login", tag = "auth", request_body = Login, responses(
    (status = 200, body = Session<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn login(
    State(house): State<House>,
    address: ClientAddress,
    Body(form): Body<Login>,
) -> Answer {
    let name = form.email.or(form.username).unwrap_or_default();
    let address = address.key();
    limit(&house, Bucket::LoginAddress, &address)?;
    let account: String = name.trim().to_lowercase().chars().take(EMAIL_MAX).collect();
    limit(&house, Bucket::LoginAccount, &format!("{address} {account}"))?;
    let outcome = house.accounts.login(&TenantId::single(), &name, form.password).await;
    house.metrics.login(match &outcome {
        Ok(_) => "ok",
        Err(AccountError::WrongCredentials) => "wrong_credentials",
        Err(AccountError::Busy) => "busy",
        Err(_) => "failed",
    });
    session(&house, StatusCode::OK, &outcome?)
}

/// Exchange a refresh token for a new pair.
///
/// A token presented a second time ends the whole sign-in, unless it is the preceding one and the
/// exchange was a moment ago (two tabs at once).
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", request_body = Refresh, responses(
    (status = 200, body = TokenPair<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn refresh(
    State(house): State<House>,
    address: ClientAddress,
    Body(form): Body<Refresh>,
) -> Answer {
    limit(&house, Bucket::Refresh, &address.key())?;
    let door = house.clone();
    let signed_in = to_the_end(async move {
        let outcome = door.accounts.refresh(&form.refresh_token).await;
        if let Err(AccountError::RefreshReused { family }) = &outcome {
            door.sockets.end_sign_in(family).await;
        }
        outcome
    })
    .await?;
    let tokens = house.identity.issue(&signed_in)?;
    Ok(ok(&TokenPair {
        access_token: &tokens.access,
        refresh_token: &signed_in.refresh_token,
        expires_in: tokens.expires_in,
    }))
}

/// End this sign-in, its tokens and its connections.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", security(("bearer" = [])), responses(
    (status = 200, body = Done),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn logout(State(house): State<House>, Signed(who): Signed) -> Answer {
    if let Some(family) = who.family {
        to_the_end(async move {
            house.accounts.logout(&family).await?;
            house.sockets.end_sign_in(&family).await;
            Ok(())
        })
        .await?;
    }
    Ok(ok(&Done { message: "Logged out" }))
}

/// End all sign-ins of the user.
#[utoipa::path(post, path = "/auth/logout-all", tag = "auth", security(("bearer" = [])), responses(
    (status = 200, body = Done),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn logout_all(State(house): State<House>, Signed(who): Signed) -> Answer {
    let (tenant, user) = (who.actor.tenant, who.actor.user);
    to_the_end(async move {
        for family in house.accounts.logout_all(&tenant, &user).await? {
            house.sockets.end_sign_in(&family).await;
        }
        house.sockets.end_user(&tenant, &user).await;
        Ok(())
    })
    .await?;
    Ok(ok(&Done { message: "Logged out everywhere" }))
}

/// Runs to the end even when the caller hangs up: a sign-in that was ended in the store but whose
/// connections live on would be worse than either.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, AccountError>> + Send + 'static,
) -> Result<T, AccountError> {
    tokio::spawn(work).await.unwrap_or_else(|error| {
        Err(StoreError::Unavailable(format!("a sign-out was not finished: {error}")).into())
    })
}

fn session(house: &House, status: StatusCode, signed_in: &SignedIn) -> Result<Response, ApiError> {
    let tokens = house.identity.issue(signed_in)?;
    let tokens = TokenPair {
        access_token: &tokens.access,
        refresh_token: &signed_in.refresh_token,
        expires_in: tokens.expires_in,
    };
    Ok(json(status, &Session { user: AccountView::of(&signed_in.user), tokens }))
}
