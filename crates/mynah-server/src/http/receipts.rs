//! Read cursors, who has read what, and typing.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use mynah_domain::MessageId;
use mynah_domain::message::{Position, ReadBy, ReadCursor};
use mynah_domain::permission::Operation;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Answer;
use super::extract::{Body, Params, Signed, invalid, limit, message_id, ok, room_id};
use super::fields::{Fields, Form};
use super::openapi::Problem;
use crate::rate::Bucket;
use crate::state::House;
use crate::time_text::TimeText;

/// Where to move the own read cursor; empty means to the newest message.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"seq": 17}))]
pub(super) struct ReadUpTo {
    /// A place in the room's stream.
    seq: Option<u64>,
    /// A message number.
    number: Option<u64>,
    /// A message.
    #[schema(value_type = Option<String>)]
    message_id: Option<MessageId>,
}

impl Form for ReadUpTo {
    const MAY_BE_ABSENT: bool = true;

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            seq: fields.number("seq"),
            number: fields.number("number"),
            message_id: fields.id("messageId", MessageId::parse),
        }
    }
}

/// Whether somebody types.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"isTyping": true}))]
pub(super) struct Typing {
    /// `false` ends the notice; it also ends by itself after 6 seconds.
    is_typing: bool,
}

impl Form for Typing {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { is_typing: fields.needed_flag("isTyping") }
    }
}

/// A read cursor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReadCursor)]
struct CursorView<'a> {
    room_id: &'a str,
    user_id: &'a str,
    seq: u64,
    number: u64,
    #[schema(required = true)]
    message_id: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    read_at: TimeText,
}

impl<'a> CursorView<'a> {
    fn of(cursor: &'a ReadCursor) -> Self {
        Self {
            room_id: cursor.room.as_str(),
            user_id: cursor.user.as_str(),
            seq: cursor.seq,
            number: cursor.number,
            message_id: cursor.message.as_ref().map(MessageId::as_str),
            read_at: TimeText::of(cursor.at),
        }
    }
}

/// Somebody who has read a message.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Reader<'a> {
    user_id: &'a str,
    #[schema(value_type = String, format = DateTime)]
    at: TimeText,
}

impl<'a> Reader<'a> {
    fn of(read: &'a ReadBy) -> Self {
        Self { user_id: read.user.as_str(), at: TimeText::of(read.at) }
    }
}

/// Who has read a message.
#[derive(Serialize, ToSchema)]
struct Receipts<'a> {
    read: Vec<Reader<'a>>,
}

pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new()
        .routes(routes!(mark_read))
        .routes(routes!(typing))
        .routes(routes!(receipts))
}

/// Move the own read cursor forward.
#[utoipa::path(post, path = "/{roomId}/read", tag = "receipts", security(("bearer" = [])),
    params(("roomId" = String, Path)), request_body = ReadUpTo, responses(
    (status = 200, body = CursorView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn mark_read(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    Body(form): Body<ReadUpTo>,
) -> Answer {
    limit(&house, Bucket::Change, who.actor.user.as_str())?;
    let to = (form.message_id.map(Position::Message))
        .or(form.seq.map(Position::Seq))
        .or(form.number.map(Position::Number));
    let cursor = house.chat.mark_read(&who.actor, room_id(&id)?, to).await?;
    if cursor.moved {
        house.live.read_moved(&cursor).await;
    }
    Ok(ok(&CursorView::of(&cursor)))
}

/// Show that the user types, or has stopped.
#[utoipa::path(post, path = "/{roomId}/typing", tag = "presence", security(("bearer" = [])),
    params(("roomId" = String, Path)), request_body = Typing, responses(
    (status = 204),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn typing(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    Body(form): Body<Typing>,
) -> Answer {
    limit(&house, Bucket::Typing, who.actor.user.as_str())?;
    let room = room_id(&id)?;
    house.chat.may(&who.actor, Operation::ShowTyping, &room).await?;
    house.live.typing(&who.profile, &room, form.is_typing).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Who has read a message, and since when.
#[utoipa::path(get, path = "/{roomId}/receipts", tag = "receipts", security(("bearer" = [])),
    params(("roomId" = String, Path), ("messageId" = String, Query)), responses(
    (status = 200, body = Receipts<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn receipts(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    room_id(&id)?;
    let message = params.text("messageId").ok_or_else(|| invalid("messageId", "must be an id"))?;
    let readers = house.chat.readers(&who.actor, &message_id(message)?).await?;
    Ok(ok(&Receipts { read: readers.iter().map(Reader::of).collect() }))
}
