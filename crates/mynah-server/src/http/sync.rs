//! Catching up over HTTP: what happened since a place in the log.

use std::time::Duration;

use axum::extract::State;
use mynah_domain::chat::CATCH_UP_MAX;
use mynah_domain::event::LogPage;
use mynah_domain::recovery::LogEpoch;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::{Answer, ApiError};
use super::extract::{Params, Signed, invalid, ok};
use super::openapi::Problem;
use crate::identity::Identified;
use crate::state::House;
use crate::views::EventView;

/// Longest wait of one call, in seconds.
const WAIT_S_MAX: u64 = 25;
/// After a commit a waiting call looks at most this often: commits of others, in rooms the caller is
/// not in, must not turn each waiting call into a busy reader.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Events since a place.
#[derive(Serialize, ToSchema)]
struct EventPage<'a> {
    events: Vec<EventView<'a>>,
    /// `since` of the next call.
    next: String,
    /// Whether something in between is gone, or the log is another than that of `since`: read the lists anew.
    gap: bool,
    /// Whether more is waiting now.
    more: bool,
}

/// A place in a log, `184467-8f1d0c4b2a6e9357`: its `pos`, and which log it is. The `pos` of an event alone is
/// taken, too; such a caller cannot be told that the log is another one now.
struct Cursor {
    pos: u64,
    epoch: Option<String>,
}

impl Cursor {
    fn read(text: &str) -> Result<Self, ApiError> {
        let (pos, epoch) = match text.split_once('-') {
            Some((pos, epoch)) => (pos, Some(epoch.to_owned())),
            None => (text, None),
        };
        let pos = pos.parse().map_err(|_bad| invalid("since", "must be a number"))?;
        Ok(Self { pos, epoch })
    }

    fn text(pos: u64, epoch: LogEpoch) -> String {
        format!("{pos}-{epoch}")
    }
}

pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new().routes(routes!(sync))
}

/// What happened since a place in the log, in all rooms of the user and the inbox.
///
/// Without `since` it answers the place to start from. With `timeout` it waits for something to happen.
#[utoipa::path(get, path = "/sync", tag = "sync", security(("bearer" = [])), params(
    ("since" = Option<String>, Query, description = "`next` of the last answer, or the `pos` of an event"),
    ("limit" = Option<u32>, Query, description = "Events wanted: 1 to 1000, 100 if absent"),
    ("timeout" = Option<u64>, Query, description = "Seconds to wait: 0 to 25")), responses(
    (status = 200, body = EventPage<'static>),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
async fn sync(State(house): State<House>, Signed(who): Signed, params: Params) -> Answer {
    let epoch = house.log_epoch();
    let since = params.text("since").map(Cursor::read).transpose()?;
    let is_of = since.as_ref().is_none_or(|since| epoch.is_of(since.epoch.as_deref()));
    let Some(since) = since.filter(|_| is_of) else {
        let pos = house.chat.head_pos().await?;
        let next = Cursor::text(pos, epoch);
        return Ok(ok(&EventPage { events: Vec::new(), next, gap: !is_of, more: false }));
    };
    let wait = params.number("timeout")?.unwrap_or(0).min(WAIT_S_MAX);
    let until = Instant::now() + Duration::from_secs(wait);
    let limit = params.limit()?.map(|n| n.min(CATCH_UP_MAX));
    let page = Box::pin(wait_for(&house, &who, (since.pos, limit), until)).await?;
    Ok(ok(&EventPage {
        events: page.events.iter().map(EventView::of).collect(),
        next: Cursor::text(page.next, epoch),
        gap: page.gap,
        more: page.more,
    }))
}

async fn wait_for(
    house: &House,
    who: &Identified,
    (mut since, limit): (u64, Option<u32>),
    until: Instant,
) -> Result<LogPage, ApiError> {
    let mut head = house.head.clone();
    loop {
        // Marked before the read, so that a commit during the read is not missed.
        head.mark_unchanged();
        let looked = Instant::now();
        let page = house.chat.events_for(&who.actor, since, limit).await?;
        let over = Instant::now() >= until || house.health.is_draining();
        if over || page.gap || !page.events.is_empty() {
            return Ok(page);
        }
        since = page.next;
        let changed = tokio::select! {
            changed = timeout_at(until, head.changed()) => matches!(changed, Ok(Ok(()))),
            () = house.health.drained() => false,
        };
        if !changed {
            return Ok(page);
        }
        tokio::time::sleep_until(until.min(looked + LOOK_EVERY)).await;
    }
}
