//! Who calls, and whether the request is theirs.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, Path, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use mynah_domain::Timestamp;
use mynah_domain::app::App;
use mynah_protocol::pusher::Query;
use mynah_protocol::pusher::signature::{self, RequestRefused};

use super::ledger::Ledger;
use super::refusal::Refusal;
use super::windows::Left;
use super::{Call, Params, PusherApi};
use crate::apps::Limits;
use crate::bodies::{self, BodyError};

/// Largest body of a call that needs none.
const EMPTY_BODY_BYTES_MAX: usize = 16 * 1024;
/// How long a body may take.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// Most of the signed text that a refusal shows, in bytes.
const SHOWN_BYTES_MAX: usize = 2_048;

/// A call whose signature holds, with its body.
pub(super) struct Caller {
    pub(super) app: Arc<App>,
    pub(super) limits: Limits,
    pub(super) ledger: Arc<Ledger>,
    /// What the path names beside the app: a channel or a user; else empty.
    pub(super) subject: String,
    pub(super) now: Timestamp,
    pub(super) head: Parts,
    pub(super) body: Bytes,
}

impl Caller {
    /// The query, decoded.
    pub(super) fn query(&self) -> Query<'_> {
        Query::parse(self.head.uri.query().unwrap_or_default())
    }

    fn check_body(&self) -> Result<(), Refusal> {
        let query = self.query();
        let request = request(&self.head.method, self.head.uri.path(), &query, &self.body);
        signature::check_body(&request).map_err(|why| unsigned(why, None))
    }

    /// Takes a reading call out of the app's window.
    pub(super) fn read(&self) -> Result<Option<Left>, Refusal> {
        let taken = self.limits.reads_per_s.map(|max| self.ledger.reads.take(self.now, 1, max));
        Ok(taken.transpose()?)
    }

    /// The app's window of published events.
    pub(super) fn window(&self) -> EventWindow {
        let max = self.limits.backend_events_per_s;
        EventWindow { ledger: Arc::clone(&self.ledger), now: self.now, max }
    }
}

/// The window of published events of an app.
pub(super) struct EventWindow {
    ledger: Arc<Ledger>,
    now: Timestamp,
    max: Option<u32>,
}

impl EventWindow {
    /// Takes so many events out of it.
    pub(super) fn take(&self, events: usize) -> Result<Option<Left>, Refusal> {
        let points = u32::try_from(events).unwrap_or(u32::MAX);
        let taken = self.max.map(|max| self.ledger.events.take(self.now, points, max));
        Ok(taken.transpose()?)
    }
}

impl PusherApi {
    /// Checks a call as far as its head tells, then reads its body and checks that. What is refused
    /// before is taken from the connection without being kept, so that the caller sees the answer.
    pub(super) async fn admit(
        &self,
        call: Call,
        params: Params,
        request: Request,
    ) -> Result<Caller, Refusal> {
        let (mut head, mut body) = request.into_parts();
        if let Some(OriginalUri(whole)) = head.extensions.remove() {
            head.uri = whole;
        }
        match self.head(params, head).await {
            Ok(mut caller) => {
                let most = body_bytes_max(call, &caller.limits);
                caller.body = whole_body(&caller.head, body, most).await?;
                caller.check_body()?;
                Ok(caller)
            }
            Err(refusal) => {
                bodies::discard(&mut body).await;
                Err(refusal)
            }
        }
    }

    async fn head(&self, params: Params, head: Parts) -> Result<Caller, Refusal> {
        let Path(params) = params.map_err(|_encoding| Refusal::bad("The path is not UTF-8."))?;
        let mut params = params.into_iter();
        let id = params.next().unwrap_or_default();
        let found = self.apps.by_id(&id).await.map_err(|error| {
            tracing::warn!(%error, "an app could not be looked up");
            Refusal::unavailable()
        })?;
        let app = found.ok_or_else(|| Refusal::no_app(&id))?;
        let now = self.clock.now();
        check_signature(&app, &head, now)?;
        if !app.is_enabled {
            return Err(Refusal::disabled());
        }
        Ok(Caller {
            limits: Limits::of(&app, &self.defaults),
            ledger: self.0.ledgers.of(&app.id),
            subject: params.next().unwrap_or_default(),
            app,
            now,
            head,
            body: Bytes::new(),
        })
    }
}

/// Whether one of the app's keys signed the request's head: method, path and query, which holds the
/// digest of the body.
fn check_signature(app: &App, head: &Parts, now: Timestamp) -> Result<(), Refusal> {
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let key = query.get("auth_key").ok_or(RequestRefused::Missing("auth_key"));
    let key = key.and_then(|key| app.key(key, now).ok_or(RequestRefused::Key));
    let key = key.map_err(|why| unsigned(why, None))?;
    let head_only = request(&head.method, head.uri.path(), &query, &[]);
    let now_s = now.0.div_euclid(1_000);
    let checked = signature::check_head(&head_only, &key.key, key.secret.expose(), now_s);
    checked.map_err(|why| unsigned(why, Some((head, &query))))
}

fn request<'a>(
    method: &'a Method,
    path: &'a str,
    query: &'a Query<'a>,
    body: &'a [u8],
) -> signature::Request<'a> {
    signature::Request { method: method.as_str(), path, query, body }
}

/// A refusal that says what is wrong. For a wrong signature it shows the text that had to be signed: it is
/// made of what the caller sent, and without the secret nobody can use it.
fn unsigned(why: RequestRefused, signed: Option<(&Parts, &Query<'_>)>) -> Refusal {
    let Some((head, query)) = signed.filter(|_| why == RequestRefused::Signature) else {
        return Refusal::unsigned(why.to_string());
    };
    let text = signature::request(head.method.as_str(), head.uri.path(), query.pairs());
    let shown = text.get(..text.floor_char_boundary(SHOWN_BYTES_MAX)).unwrap_or_default();
    Refusal::unsigned(format!(
        "{why} It must be the HMAC-SHA256 of {shown:?} with the app's secret."
    ))
}

/// What the largest permitted body needs, whatever of it is escaped (`\u0000` is six bytes for one).
fn body_bytes_max(call: Call, limits: &Limits) -> usize {
    const ESCAPED: usize = 6;
    let event = |channels: usize| {
        let names = channels.saturating_mul(limits.channel_name_chars_max.saturating_add(8));
        let texts = limits.event_bytes_max.saturating_add(limits.event_name_chars_max);
        names.saturating_add(texts).saturating_mul(ESCAPED).saturating_add(1_024)
    };
    match call {
        Call::Events => event(limits.event_channels_max),
        Call::BatchEvents => event(1).saturating_mul(limits.batch_max.max(1)),
        Call::Channels | Call::Channel | Call::Users | Call::Terminate | Call::Connections => {
            EMPTY_BODY_BYTES_MAX
        }
    }
}

async fn whole_body(head: &Parts, body: Body, most: usize) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(BODY_TIME_MAX, bodies::whole(&head.headers, body, most)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(BodyError::TooLarge)) => Err(Refusal::too_large()),
        Ok(Err(BodyError::Broken)) => Err(Refusal::bad("The received data is incorrect.")),
        Err(_late) => {
            let text = "The body did not arrive in time.";
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, text))
        }
    }
}
