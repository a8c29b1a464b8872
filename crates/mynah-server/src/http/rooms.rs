//! Rooms: make, find, change, join, leave.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use mynah_domain::UserId;
use mynah_domain::chat::RoomWish;
use mynah_domain::room::{
    INITIAL_MEMBERS_MAX, MembershipChange, ROOM_NAME_MAX, ROOM_TOPIC_MAX, RoomKind, RoomPatch,
    RoomView, Visibility,
};
use mynah_domain::text::{at_most, required};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Answer;
use super::extract::{Body, Params, Signed, invalid, json, limit, ok, room_id};
use super::fields::{Fields, Form};
use super::openapi::Problem;
use super::paging::{Listing, PageInfo, PageParams, offset};
use crate::rate::Bucket;
use crate::state::House;
use crate::views::{RoomBody, RoomLine, RoomSeen};

const KINDS: &str = "direct, group, channel";
const VISIBILITIES: &str = "public, private";

/// A new room.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"name": "General", "kind": "channel", "memberIds": []}))]
pub(super) struct NewRoom {
    /// `group` or `channel`; `direct` with one member opens the direct room.
    #[schema(value_type = String)]
    kind: RoomKind,
    /// Name; not needed for `direct`.
    name: String,
    /// `public` or `private`; channels are public and groups private if absent.
    #[schema(value_type = Option<String>)]
    visibility: Option<Visibility>,
    /// A line about what it is for.
    topic: Option<String>,
    /// Who else is in from the start; at most 100.
    #[schema(value_type = Vec<String>, required = false)]
    member_ids: Vec<UserId>,
}

impl Form for NewRoom {
    fn read(fields: &mut Fields<'_>) -> Self {
        // Older clients say `type`.
        let name_of_kind = if fields.has("kind") { "kind" } else { "type" };
        if !fields.has(name_of_kind) {
            let problem = format!("must be one of the following values: {KINDS}");
            fields.refuse("kind", "required", &problem);
        }
        let kind = fields.word(name_of_kind, RoomKind::from_word, KINDS);
        let direct = kind == Some(RoomKind::Direct);
        let name = if direct { String::new() } else { fields.needed_text("name") };
        let form = Self {
            kind: kind.unwrap_or(RoomKind::Group),
            name,
            visibility: fields.word("visibility", Visibility::from_word, VISIBILITIES),
            topic: fields.text("topic"),
            member_ids: fields.users("memberIds", INITIAL_MEMBERS_MAX),
        };
        if direct && form.member_ids.len() != 1 {
            fields.refuse("memberIds", "invalid_value", "must contain exactly 1 element");
        }
        if !direct {
            fields.rule(required("name", &form.name, ROOM_NAME_MAX));
        }
        fields.rule(at_most("topic", form.topic.as_deref().unwrap_or(""), ROOM_TOPIC_MAX));
        form
    }
}

/// Changes to a room; absent fields stay.
#[derive(ToSchema)]
#[schema(example = json!({"topic": "Everything else"}))]
pub(super) struct RoomChange {
    /// New name.
    name: Option<String>,
    /// New topic.
    topic: Option<String>,
    /// `public` or `private`.
    #[schema(value_type = Option<String>)]
    visibility: Option<Visibility>,
}

impl Form for RoomChange {
    fn read(fields: &mut Fields<'_>) -> Self {
        let form = Self {
            name: fields.text("name"),
            topic: fields.text("topic"),
            visibility: fields.word("visibility", Visibility::from_word, VISIBILITIES),
        };
        if let Some(name) = &form.name {
            fields.rule(required("name", name, ROOM_NAME_MAX));
        }
        fields.rule(at_most("topic", form.topic.as_deref().unwrap_or(""), ROOM_TOPIC_MAX));
        form
    }
}

/// The other member of a direct room.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DirectWith {
    /// Whose.
    #[schema(value_type = String)]
    user_id: UserId,
}

impl Form for DirectWith {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { user_id: fields.needed_user("userId") }
    }
}

/// Routes under `base` (`/rooms`, or an alias of it).
pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(direct))
        .routes(routes!(room, update, delete))
        .routes(routes!(join))
        .routes(routes!(leave))
}

/// The own rooms, or the public ones, latest activity first.
#[utoipa::path(get, path = "", tag = "rooms", security(("bearer" = [])),
    params(PageParams, ("filter" = Option<String>, Query, description = "`joined` or `public`")),
    responses(
    (status = 200, body = Listing<RoomLine<'static>>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(State(house): State<House>, Signed(who): Signed, params: Params) -> Answer {
    let (offset, limit) = (offset(&params)?, params.limit()?);
    let page = match params.text("filter") {
        None | Some("joined") => house.chat.rooms_of(&who.actor, offset, limit).await?,
        Some("public") => house.chat.public_rooms(&who.actor, offset, limit).await?,
        Some(_) => {
            return Err(invalid("filter", "must be one of the following values: joined, public"));
        }
    };
    let info = PageInfo::by_offset(&page, offset, limit);
    Ok(ok(&Listing { items: page.items.iter().map(RoomLine::of).collect(), page: info }))
}

/// Make a group or channel.
#[utoipa::path(post, path = "", tag = "rooms", security(("bearer" = [])),
    request_body = NewRoom, responses(
    (status = 201, body = RoomSeen<'static>),
    (status = 200, body = RoomSeen<'static>, description = "The direct room was there already"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn create(
    State(house): State<House>,
    Signed(who): Signed,
    Body(form): Body<NewRoom>,
) -> Answer {
    limit(&house, Bucket::Join, who.actor.user.as_str())?;
    let NewRoom { kind, visibility, name, topic, mut member_ids } = form;
    let created = match (kind, member_ids.pop()) {
        (RoomKind::Direct, Some(peer)) => house.chat.open_direct(&who.actor, peer).await?,
        (_, last) => {
            let members = member_ids.into_iter().chain(last).collect();
            let wish = RoomWish { kind, visibility, name, topic, members };
            house.chat.create_room(&who.actor, wish).await?
        }
    };
    let status = if created.existing { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json(status, &RoomSeen::of(&created.view)))
}

/// The direct room with somebody, made at the first call.
#[utoipa::path(post, path = "/direct", tag = "rooms", security(("bearer" = [])),
    request_body = DirectWith, responses(
    (status = 201, body = RoomSeen<'static>),
    (status = 200, body = RoomSeen<'static>, description = "It was there already"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn direct(
    State(house): State<House>,
    Signed(who): Signed,
    Body(form): Body<DirectWith>,
) -> Answer {
    limit(&house, Bucket::Join, who.actor.user.as_str())?;
    let created = house.chat.open_direct(&who.actor, form.user_id).await?;
    let status = if created.existing { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json(status, &RoomSeen::of(&created.view)))
}

/// One room.
#[utoipa::path(get, path = "/{roomId}", tag = "rooms", security(("bearer" = [])),
    params(("roomId" = String, Path)), responses(
    (status = 200, body = RoomSeen<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn room(State(house): State<House>, Signed(who): Signed, Path(id): Path<String>) -> Answer {
    let view = house.chat.room(&who.actor, &room_id(&id)?).await?;
    Ok(ok(&RoomSeen::of(&view)))
}

/// Change name, topic or visibility.
#[utoipa::path(patch, path = "/{roomId}", tag = "rooms", security(("bearer" = [])),
    params(("roomId" = String, Path)), request_body = RoomChange, responses(
    (status = 200, body = RoomBody<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn update(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    Body(form): Body<RoomChange>,
) -> Answer {
    limit(&house, Bucket::Change, who.actor.user.as_str())?;
    let RoomChange { name, topic, visibility } = form;
    let patch = RoomPatch { name, topic, visibility };
    let room = house.chat.update_room(&who.actor, &room_id(&id)?, patch).await?;
    Ok(ok(&RoomBody::of(&room)))
}

/// Delete a room for everybody.
#[utoipa::path(delete, path = "/{roomId}", tag = "rooms", security(("bearer" = [])),
    params(("roomId" = String, Path)), responses(
    (status = 200, body = Deleted),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete(State(house): State<House>, Signed(who): Signed, Path(id): Path<String>) -> Answer {
    limit(&house, Bucket::Change, who.actor.user.as_str())?;
    house.chat.delete_room(&who.actor, &room_id(&id)?).await?;
    Ok(ok(&Deleted { id, deleted: true }))
}

/// What was deleted.
#[derive(serde::Serialize, ToSchema)]
struct Deleted {
    id: String,
    /// Always `true`.
    deleted: bool,
}

async fn change(house: &House, who: &Signed, id: &str, change: MembershipChange) -> Answer {
    let Signed(who) = who;
    limit(house, Bucket::Join, who.actor.user.as_str())?;
    let changed = house.chat.change_membership(&who.actor, &room_id(id)?, change).await?;
    let view = RoomView { room: changed.room, membership: Some(changed.membership) };
    Ok(ok(&RoomSeen::of(&view)))
}

/// Join a public room, or one the user is invited to.
#[utoipa::path(post, path = "/{roomId}/join", tag = "rooms", security(("bearer" = [])),
    params(("roomId" = String, Path)), responses(
    (status = 200, body = RoomSeen<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn join(State(house): State<House>, who: Signed, Path(id): Path<String>) -> Answer {
    change(&house, &who, &id, MembershipChange::Join).await
}

/// Leave a room.
#[utoipa::path(post, path = "/{roomId}/leave", tag = "rooms", security(("bearer" = [])),
    params(("roomId" = String, Path)), responses(
    (status = 200, body = RoomSeen<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn leave(State(house): State<House>, who: Signed, Path(id): Path<String>) -> Answer {
    change(&house, &who, &id, MembershipChange::Leave).await
}
