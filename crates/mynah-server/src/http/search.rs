//! Searching messages.

use axum::extract::State;
use mynah_domain::UserId;
use mynah_domain::search::{Feature, Found, FoundMessage, Limit, SearchWish};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{Answer, ApiError};
use super::extract::{Params, Signed, invalid, limit, ok, room_id};
use super::openapi::Problem;
use super::paging::{Listing, PageInfo, below, position};
use crate::rate::Bucket;
use crate::state::House;
use crate::time_text;
use crate::views::MessageView;

/// What was found in the snippet.
#[derive(Serialize, ToSchema)]
struct Span {
    /// In UTF-16 units, as JavaScript's `slice` counts.
    start: usize,
    /// Behind the last.
    end: usize,
}

/// A message that was found.
#[derive(Serialize, ToSchema)]
struct FoundItem<'a> {
    message: MessageView<'a>,
    /// The part of the text that was found, at most 160 characters, `…` where it goes on. Text, never markup.
    snippet: &'a str,
    /// Where in the snippet, ascending; at most 32.
    matches: Vec<Span>,
    /// How well it fits: above 0, at most 1.
    score: f64,
}

impl<'a> FoundItem<'a> {
    fn of(found: &'a FoundMessage) -> Self {
        let matches = found.snippet.matches.iter();
        Self {
            message: MessageView::of(&found.message),
            snippet: &found.snippet.text,
            matches: matches.map(|span| Span { start: span.start, end: span.end }).collect(),
            score: (found.score * 10_000.0).round() / 10_000.0,
        }
    }
}

pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new().routes(routes!(messages))
}

/// Find messages by words, newest first.
///
/// In the rooms that the user has joined, or in one that the user may read. All words must be there, in any order,
/// case and accents aside; `"a phrase"` as it stands; `-word` must not be there; the last word may go on. A page may
/// be short, or empty, and yet have a next one. What was sent or edited within the last second may be missing.
#[utoipa::path(get, path = "/search/messages", tag = "messages", security(("bearer" = [])), params(
    ("q" = String, Query, description = "At most 256 characters and 16 words and phrases"),
    ("roomId" = Option<String>, Query, description = "Only in this room"),
    ("from" = Option<String>, Query, description = "Only of this user"),
    ("has" = Option<String>, Query, description = "`link`, `attachment` (the kind is not `text`) or `reply`; several with commas"),
    ("before" = Option<String>, Query, description = "Sent before a time (ISO 8601, or a day), or with `roomId` before a place"),
    ("after" = Option<String>, Query, description = "Sent at or after a time, or with `roomId` after a place"),
    ("cursor" = Option<String>, Query, description = "`page.next` of another answer"),
    ("limit" = Option<u32>, Query, description = "Messages wanted: 1 to 100, 20 if absent")), responses(
    (status = 200, body = Listing<FoundItem<'static>>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn messages(State(house): State<House>, Signed(who): Signed, params: Params) -> Answer {
    limit(&house, Bucket::Search, who.actor.user.as_str())?;
    let wish = wish(&params)?;
    let Found { items, next } = Box::pin(house.search.search_messages(&who.actor, wish)).await?;
    let items = items.iter().map(FoundItem::of).collect();
    Ok(ok(&Listing { items, page: PageInfo::by_place(next) }))
}

fn wish(params: &Params) -> Result<SearchWish, ApiError> {
    let from = |text| UserId::parse(text).map_err(|_bad| invalid("from", "must be an id"));
    Ok(SearchWish {
        text: params.text("q").unwrap_or_default().to_owned(),
        room: params.text("roomId").map(room_id).transpose()?,
        from: params.text("from").map(from).transpose()?,
        has: features(params)?,
        before: end(params, "before")?,
        after: end(params, "after")?,
        cursor: below(params)?,
        limit: params.limit()?,
    })
}

fn features(params: &Params) -> Result<Vec<Feature>, ApiError> {
    let mut features = Vec::new();
    for word in params.text("has").into_iter().flat_map(|text| text.split(',')) {
        let problem = "must be one of the following values: link, attachment, reply";
        let feature = Feature::from_word(word).ok_or_else(|| invalid("has", problem))?;
        if !features.contains(&feature) {
            features.push(feature);
        }
    }
    Ok(features)
}

/// A time, or a place.
fn end(params: &Params, name: &str) -> Result<Option<Limit>, ApiError> {
    let read = |text| {
        let time = time_text::read(text).map(Limit::Time);
        let end = time.or_else(|| position(text).map(Limit::Place));
        end.ok_or_else(|| invalid(name, "must be a time or a place"))
    };
    params.text(name).map(read).transpose()
}
