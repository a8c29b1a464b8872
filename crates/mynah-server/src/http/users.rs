//! Profiles and presence.

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use mynah_domain::UserId;
use mynah_domain::account::NAME_MAX;
use mynah_domain::text::required;

use super::error::Answer;
use super::extract::{Body, Params, Signed, limit, ok, user_id};
use super::fields::{Fields, Form};
use super::openapi::Problem;
use super::paging::{Listing, PageInfo};
use crate::rate::Bucket;
use crate::state::House;
use crate::views::{AccountView, PresenceView, ProfileView};

/// Most users asked about at once.
const PRESENCE_QUERY_MAX: usize = 200;

/// Changes to the own profile.
#[derive(ToSchema)]
#[schema(example = json!({"name": "Ada L."}))]
pub(super) struct ProfileForm {
    /// New display name.
    name: Option<String>,
}

impl Form for ProfileForm {
    fn read(fields: &mut Fields<'_>) -> Self {
        let name = fields.text("name");
        if let Some(name) = &name {
            fields.rule(required("name", name, NAME_MAX));
        }
        Self { name }
    }
}

/// Users asked about.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"userIds": ["018f3e2a-7c1b-4d5e-9f00-1a2b3c4d5e6f"]}))]
pub(super) struct PresenceQuery {
    /// At most 200 ids.
    #[schema(value_type = Vec<String>)]
    user_ids: Vec<UserId>,
}

impl Form for PresenceQuery {
    fn read(fields: &mut Fields<'_>) -> Self {
        if !fields.has("userIds") {
            fields.refuse("userIds", "required", "must be an array");
        }
        Self { user_ids: fields.users("userIds", PRESENCE_QUERY_MAX) }
    }
}

/// Who is there.
#[derive(Serialize, ToSchema)]
struct PresenceList<'a> {
    users: Vec<PresenceView<'a>>,
}

pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new()
        .routes(routes!(auth_me))
        .routes(routes!(me, update_me))
        .routes(routes!(search))
        .routes(routes!(user))
        .routes(routes!(presence))
}

async fn own(house: &House, who: &Signed) -> Answer {
    let user = house.accounts.user(&who.0.actor.tenant, &who.0.actor.user).await?;
    Ok(ok(&AccountView::of(&user)))
}

/// The own account.
#[utoipa::path(get, path = "/auth/me", tag = "auth", security(("bearer" = [])), responses(
    (status = 200, body = AccountView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn auth_me(State(house): State<House>, who: Signed) -> Answer {
    own(&house, &who).await
}

/// The own account.
#[utoipa::path(get, path = "/users/me", tag = "users", security(("bearer" = [])), responses(
    (status = 200, body = AccountView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn me(State(house): State<House>, who: Signed) -> Answer {
    own(&house, &who).await
}

/// Change the own profile.
#[utoipa::path(patch, path = "/users/me", tag = "users", security(("bearer" = [])),
    request_body = ProfileForm, responses(
    (status = 200, body = AccountView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update_me(
    State(house): State<House>,
    Signed(who): Signed,
    Body(form): Body<ProfileForm>,
) -> Answer {
    let (tenant, user) = (&who.actor.tenant, &who.actor.user);
    limit(&house, Bucket::Change, user.as_str())?;
    let changed = house.accounts.update_profile(tenant, user, form.name).await?;
    house.sockets.forget_user(tenant, user).await;
    Ok(ok(&AccountView::of(&changed)))
}

/// Find users by the start of their username or name; at most 20.
#[utoipa::path(get, path = "/users/search", tag = "users", security(("bearer" = [])),
    params(("q" = String, Query, description = "Start of the name")), responses(
    (status = 200, body = Listing<ProfileView<'static>>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn search(State(house): State<House>, Signed(who): Signed, params: Params) -> Answer {
    let prefix = params.text("q").unwrap_or_default();
    let users = house.accounts.find_users(&who.actor.tenant, prefix).await?;
    let items = users.iter().map(ProfileView::of_user).collect();
    Ok(ok(&Listing { items, page: PageInfo::default() }))
}

/// Somebody's public profile.
#[utoipa::path(get, path = "/users/{userId}", tag = "users", security(("bearer" = [])),
    params(("userId" = String, Path)), responses(
    (status = 200, body = ProfileView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn user(State(house): State<House>, Signed(who): Signed, Path(id): Path<String>) -> Answer {
    let user = house.accounts.user(&who.actor.tenant, &user_id(&id)?).await?;
    Ok(ok(&ProfileView::of_user(&user)))
}

/// Ask who is online.
#[utoipa::path(post, path = "/presence/query", tag = "presence", security(("bearer" = [])),
    request_body = PresenceQuery, responses(
    (status = 200, body = PresenceList<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn presence(
    State(house): State<House>,
    Signed(who): Signed,
    Body(form): Body<PresenceQuery>,
) -> Answer {
    let tenant = &who.actor.tenant;
    let of = |user| PresenceView::of(user, &house.live.presence(tenant, user));
    Ok(ok(&PresenceList { users: form.user_ids.iter().map(of).collect() }))
}
