//! Messages: send, read, change, remove.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use mynah_domain::MessageId;
use mynah_domain::message::{
    CLIENT_ID_BYTES_MAX, Draft, KIND_BYTES_MAX, METADATA_BYTES_MAX, Revision,
};
use mynah_domain::text::{at_most, required};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{Answer, ApiError};
use super::extract::{Body, Params, Signed, invalid, json, limit, message_id, ok, room_id};
use super::fields::{Fields, Form};
use super::openapi::Problem;
use super::paging::{PageInfo, PageParams, anchor};
use crate::rate::Bucket;
use crate::state::House;
use crate::time_text::TimeText;
use crate::views::MessageView;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotent-replayed";

/// A message to be sent.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"content": "Good morning", "clientId": "c-1"}))]
pub(super) struct NewMessage {
    /// The text.
    content: String,
    /// `text` if absent.
    kind: Option<String>,
    /// Any JSON of at most 16 KiB, given back verbatim.
    #[schema(value_type = Option<Object>)]
    metadata: Option<String>,
    /// The message it answers.
    #[schema(value_type = Option<String>)]
    reply_to_id: Option<MessageId>,
    /// The client's own id; a repeat gives the first result. `Idempotency-Key` does the same.
    client_id: Option<String>,
}

impl Form for NewMessage {
    const BYTES_MAX: usize = 1_000_000;

    fn read(fields: &mut Fields<'_>) -> Self {
        let form = Self {
            content: fields.needed_text("content"),
            kind: fields.text("kind"),
            metadata: fields.verbatim("metadata"),
            reply_to_id: fields.id("replyToId", MessageId::parse),
            client_id: fields.text("clientId"),
        };
        fields.rule(required("content", &form.content, usize::MAX));
        if let Some(kind) = &form.kind {
            fields.rule(required("kind", kind, KIND_BYTES_MAX));
        }
        if let Some(id) = &form.client_id {
            fields.rule(required("clientId", id, CLIENT_ID_BYTES_MAX));
        }
        let metadata = form.metadata.as_deref().unwrap_or("");
        fields.rule(at_most("metadata", metadata, METADATA_BYTES_MAX));
        form
    }
}

/// A new text.
#[derive(ToSchema)]
#[schema(example = json!({"content": "Good morning, all"}))]
pub(super) struct Edit {
    /// The text.
    content: String,
}

impl Form for Edit {
    const BYTES_MAX: usize = 1_000_000;

    fn read(fields: &mut Fields<'_>) -> Self {
        let content = fields.needed_text("content");
        fields.rule(required("content", &content, usize::MAX));
        Self { content }
    }
}

/// One page of a room's messages, newest first.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MessagePage<'a> {
    items: Vec<MessageView<'a>>,
    /// `next` is older, `prev` is newer.
    page: PageInfo,
    /// `seq` of the room when this was read; live events after it complete the picture.
    head_seq: u64,
}

/// A text that a message had or has.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Revision)]
struct RevisionView<'a> {
    /// 0 is the original.
    rev: u32,
    content: &'a str,
    edited_by: &'a str,
    #[schema(value_type = String, format = DateTime)]
    at: TimeText,
}

impl<'a> RevisionView<'a> {
    fn of(revision: &'a Revision) -> Self {
        Self {
            rev: revision.rev,
            content: &revision.content,
            edited_by: revision.edited_by.as_str(),
            at: TimeText::of(revision.at),
        }
    }
}

/// A message's texts, original first.
#[derive(Serialize, ToSchema)]
struct Revisions<'a> {
    items: Vec<RevisionView<'a>>,
}

/// Routes under `/rooms` or an alias of it.
pub(super) fn routes_of_rooms() -> OpenApiRouter<House> {
    OpenApiRouter::new().routes(routes!(list, send))
}

/// Routes of single messages.
pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new().routes(routes!(message, edit, delete)).routes(routes!(revisions))
}

/// One page of a room's messages, newest first.
///
/// A place is a `seq` (digits), `number:N`, a message id, or a cursor.
#[utoipa::path(get, path = "/{roomId}/messages", tag = "messages", security(("bearer" = [])),
    params(("roomId" = String, Path), PageParams,
        ("before" = Option<String>, Query, description = "Messages before a place"),
        ("after" = Option<String>, Query, description = "Messages after a place"),
        ("around" = Option<String>, Query, description = "Messages around a place")),
    responses(
    (status = 200, body = MessagePage<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn list(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    params: Params,
) -> Answer {
    let (anchor, limit) = (anchor(&params)?, params.limit()?);
    let history = house.chat.history(&who.actor, &room_id(&id)?, anchor, limit).await?;
    Ok(ok(&MessagePage {
        items: history.items.iter().map(MessageView::of).collect(),
        page: PageInfo::of_history(&history),
        head_seq: history.head_seq,
    }))
}

/// Send a message; answered after it is stored.
#[utoipa::path(post, path = "/{roomId}/messages", tag = "messages", security(("bearer" = [])),
    params(("roomId" = String, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "As `clientId`")),
    request_body = NewMessage, responses(
    (status = 201, body = MessageView<'static>),
    (status = 200, body = MessageView<'static>, description = "A repeat: the first result"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn send(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(form): Body<NewMessage>,
) -> Answer {
    limit(&house, Bucket::Send, who.actor.user.as_str())?;
    let NewMessage { content, kind, metadata, reply_to_id: reply_to, client_id } = form;
    let client_id = client_id.map_or_else(|| idempotency_key(&headers), |id| Ok(Some(id)))?;
    let draft = Draft { content, kind, metadata, reply_to, client_id };
    let sent = house.chat.send_message(&who.actor, room_id(&id)?, draft).await?;
    let status = if sent.replayed { StatusCode::OK } else { StatusCode::CREATED };
    let mut answer = json(status, &MessageView::of(&sent.message));
    if sent.replayed {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(answer)
}

/// An unreadable key is refused: without it a repeat would be a second message.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let bad = |_| invalid("Idempotency-Key", "must be printable ASCII");
    key.to_str().map(|key| Some(key.to_owned())).map_err(bad)
}

/// One message.
#[utoipa::path(get, path = "/messages/{messageId}", tag = "messages", security(("bearer" = [])),
    params(("messageId" = String, Path)), responses(
    (status = 200, body = MessageView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn message(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
) -> Answer {
    let message = house.chat.message(&who.actor, &message_id(&id)?).await?;
    Ok(ok(&MessageView::of(&message)))
}

/// Change the text of an own message.
#[utoipa::path(patch, path = "/messages/{messageId}", tag = "messages",
    security(("bearer" = [])), params(("messageId" = String, Path)), request_body = Edit,
    responses(
    (status = 200, body = MessageView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn edit(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
    Body(form): Body<Edit>,
) -> Answer {
    limit(&house, Bucket::Change, who.actor.user.as_str())?;
    let message = house.chat.edit_message(&who.actor, &message_id(&id)?, form.content).await?;
    Ok(ok(&MessageView::of(&message)))
}

/// Remove a message; its place stays.
#[utoipa::path(delete, path = "/messages/{messageId}", tag = "messages",
    security(("bearer" = [])), params(("messageId" = String, Path)), responses(
    (status = 200, body = MessageView<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn delete(State(house): State<House>, Signed(who): Signed, Path(id): Path<String>) -> Answer {
    limit(&house, Bucket::Change, who.actor.user.as_str())?;
    let message = house.chat.delete_message(&who.actor, &message_id(&id)?).await?;
    Ok(ok(&MessageView::of(&message)))
}

/// A message's texts, original first.
#[utoipa::path(get, path = "/messages/{messageId}/history", tag = "messages",
    security(("bearer" = [])), params(("messageId" = String, Path)), responses(
    (status = 200, body = Revisions<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn revisions(
    State(house): State<House>,
    Signed(who): Signed,
    Path(id): Path<String>,
) -> Answer {
    let revisions = house.chat.revisions(&who.actor, &message_id(&id)?).await?;
    Ok(ok(&Revisions { items: revisions.iter().map(RevisionView::of).collect() }))
}
