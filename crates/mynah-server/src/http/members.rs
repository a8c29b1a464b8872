//! Members of a room.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use mynah_domain::UserId;
use mynah_domain::room::{MembershipChange, Role};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use mynah_domain::presence::PresenceStatus;

use super::error::Answer;
use super::extract::{Body, Params, Signed, json, limit, ok, room_id, user_id};
use super::fields::{Fields, Form};
use super::openapi::Problem;
use super::paging::{Listing, PageInfo, PageParams, offset};
use crate::rate::Bucket;
use crate::state::House;
use crate::views::{MemberView, MembershipView};

const ROLES: &str = "readonly, guest, member, moderator, admin";

fn role_from(word: &str) -> Option<Role> {
    Role::from_word(word).filter(|role| *role != Role::Nobody)
}

/// Somebody to come in.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"userId": "018f3e2a-7c1b-4d5e-9f00-1a2b3c4d5e6f"}))]
pub(super) struct NewMember {
    /// Who.
    #[schema(value_type = String)]
    user_id: UserId,
    /// With a role the user is put in at once; without one the user is invited.
    #[schema(value_type = Option<String>)]
    role: Option<Role>,
}

impl Form for NewMember {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { user_id: fields.needed_user("userId"), role: fields.word("role", role_from, ROLES) }
    }
}

/// Another rank.
#[derive(ToSchema)]
#[schema(example = json!({"role": "moderator"}))]
pub(super) struct RoleForm {
    /// `readonly`, `guest`, `member`, `moderator` or `admin`.
    #[schema(value_type = String)]
    role: Role,
}

impl Form for RoleForm {
    fn read(fields: &mut Fields<'_>) -> Self {
        if !fields.has("role") {
            let problem = format!("must be one of the following values: {ROLES}");
            fields.refuse("role", "required", &problem);
        }
        Self { role: fields.word("role", role_from, ROLES).unwrap_or(Role::Guest) }
    }
}

pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(set_role, remove))
        .routes(routes!(ban))
}

/// Joined and invited members, by time of joining.
#[utoipa::path(get, path = "/{roomId}/members", tag = "members", security(("bearer" = [])),
    params(("roomId" = String, Path), PageParams), responses(
    (status = 200, body = Listing<MemberView<'static>>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let (offset, limit) = (offset(&params)?, params.limit()?);
    let page = house.chat.members(&who.actor, &room_id(&id)?, offset, limit).await?;
    let online =
        |user| house.live.presence(&who.actor.tenant, user).status == PresenceStatus::Online;
    let items = page.items.iter().map(|m| MemberView::of(m, online(&m.membership.user))).collect();
    Ok(ok(&Listing { items, page: PageInfo::by_offset(&page, offset, limit) }))
}

async fn change(
    house: &House,
    who: &Signed,
    room: &str,
    change: MembershipChange,
    fresh: StatusCode,
) -> Answer {
    let actor = &who.0.actor;
    limit(house, Bucket::Change, actor.user.as_str())?;
    let changed = house.chat.change_membership(actor, &room_id(room)?, change).await?;
    let status = if changed.changed { fresh } else { StatusCode::OK };
    Ok(json(status, &MembershipView::of(&changed.membership)))
}

/// Invite somebody, or put somebody in with a role.
#[utoipa::path(post, path = "/{roomId}/members", tag = "members", security(("bearer" = [])),
    params(("roomId" = String, Path)), request_body = NewMember, responses(
    (status = 201, body = MembershipView<'static>),
    (status = 200, body = MembershipView<'static>, description = "It was so already"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn add(
    State(house): State<House>,
    who: Signed,
    Path(id): Path<String>,
    Body(form): Body<NewMember>,
) -> Answer {
    let NewMember { user_id: user, role } = form;
    let wanted = match role {
        Some(role) => MembershipChange::Add { user, role },
        None => MembershipChange::Invite { user },
    };
    change(&house, &who, &id, wanted, StatusCode::CREATED).await
}

/// Give somebody another rank.
#[utoipa::path(patch, path = "/{roomId}/members/{userId}", tag = "members",
    security(("bearer" = [])),
    params(("roomId" = String, Path), ("userId" = String, Path)), request_body = RoleForm,
    responses(
    (status = 200, body = MembershipView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn set_role(
    State(house): State<House>,
    who: Signed,
    Path((id, user)): Path<(String, String)>,
    Body(form): Body<RoleForm>,
) -> Answer {
    let wanted = MembershipChange::SetRole { user: user_id(&user)?, role: form.role };
    change(&house, &who, &id, wanted, StatusCode::OK).await
}

/// Remove somebody; the own id leaves the room.
#[utoipa::path(delete, path = "/{roomId}/members/{userId}", tag = "members",
    security(("bearer" = [])),
    params(("roomId" = String, Path), ("userId" = String, Path)), responses(
    (status = 200, body = MembershipView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn remove(
    State(house): State<House>,
    who: Signed,
    Path((id, user)): Path<(String, String)>,
) -> Answer {
    let user = user_id(&user)?;
    let own = user == who.0.actor.user;
    let wanted = if own { MembershipChange::Leave } else { MembershipChange::Kick { user } };
    change(&house, &who, &id, wanted, StatusCode::OK).await
}

/// Remove somebody and keep them out.
#[utoipa::path(post, path = "/{roomId}/members/{userId}/ban", tag = "members",
    security(("bearer" = [])),
    params(("roomId" = String, Path), ("userId" = String, Path)), responses(
    (status = 200, body = MembershipView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn ban(
    State(house): State<House>,
    who: Signed,
    Path((id, user)): Path<(String, String)>,
) -> Answer {
    let wanted = MembershipChange::Ban { user: user_id(&user)? };
    change(&house, &who, &id, wanted, StatusCode::OK).await
}
