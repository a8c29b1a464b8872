//! The HTTP API of the Pusher door: what back ends call.
//!
//! | call | answer |
//! |---|---|
//! | `POST /apps/ID/events` | `{"ok":true}`, with `info` also `{"channels":{"a":{"subscription_count":1}}}` |
//! | `POST /apps/ID/batch_events` | `{"ok":true}`, with `info` also `{"batch":[{…}]}`; all or nothing |
//! | `GET /apps/ID/channels` | `{"channels":{"a":{"subscription_count":1,"occupied":true}}}` |
//! | `GET /apps/ID/channels/NAME` | `{"occupied":true,"subscription_count":1}` |
//! | `GET /apps/ID/channels/NAME/users` | `{"users":[{"id":"ada"}]}` |
//! | `POST /apps/ID/users/UID/terminate_connections` | `{"ok":true}` |
//! | `GET /apps/ID/connections` | `{"connections":3}` |
//!
//! Bodies of answers are Soketi's with what Pusher has added to them: the official libraries read what they
//! know and ignore the rest. Refusals: `Refusal`.
//!
//! Nothing of a body is read before its signature holds, and no more than an event of the app may need.
//! Source: Pusher's HTTP API reference, Soketi 1.6.1, and Reverb for `connections`.

mod admit;
mod events;
mod ledger;
mod once;
mod reads;
mod refusal;
#[cfg(test)]
mod tests;
mod windows;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use mynah_domain::ports::Clock;
use serde::Serialize;

use super::Channels;
use super::soketi_metrics::AppCounts;
use crate::apps::Apps;
use crate::config::PusherConfig;
use crate::metrics::Metrics;

use admit::Caller;
use ledger::Ledgers;
use once::Once;
use refusal::Refusal;
use windows::Left;

/// What the API stands on.
pub struct ApiParts {
    /// Who may call.
    pub apps: Apps,
    /// What they call for.
    pub channels: Channels,
    /// Limits of apps that have none of their own.
    pub defaults: PusherConfig,
    /// What timestamps are compared with.
    pub clock: Arc<dyn Clock>,
    /// Where calls are counted.
    pub metrics: Arc<Metrics>,
}

/// The API; clones share everything.
#[derive(Clone)]
pub struct PusherApi(Arc<Inner>);

/// What [`PusherApi`] shares.
pub struct Inner {
    parts: ApiParts,
    ledgers: Ledgers,
    once: Once,
}

impl Deref for PusherApi {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}

/// Says that nothing was done again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The calls there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Events,
    BatchEvents,
    Channels,
    Channel,
    Users,
    Terminate,
    Connections,
}

impl Call {
    const ALL: [Self; 7] = [
        Self::Events,
        Self::BatchEvents,
        Self::Channels,
        Self::Channel,
        Self::Users,
        Self::Terminate,
        Self::Connections,
    ];

    /// The path as a route, and the name under which the call is counted.
    fn path(self) -> &'static str {
        match self {
            Self::Events => "/apps/{app}/events",
            Self::BatchEvents => "/apps/{app}/batch_events",
            Self::Channels => "/apps/{app}/channels",
            Self::Channel => "/apps/{app}/channels/{channel}",
            Self::Users => "/apps/{app}/channels/{channel}/users",
            Self::Terminate => "/apps/{app}/users/{user}/terminate_connections",
            Self::Connections => "/apps/{app}/connections",
        }
    }

    fn is_read(self) -> bool {
        match self {
            Self::Channels | Self::Channel | Self::Users | Self::Connections => true,
            Self::Events | Self::BatchEvents | Self::Terminate => false,
        }
    }

    fn method(self) -> &'static str {
        if self.is_read() { "GET" } else { "POST" }
    }

    fn route(self) -> MethodRouter<PusherApi> {
        let filter = if self.is_read() { MethodFilter::GET } else { MethodFilter::POST };
        let serve = move |State(api): State<PusherApi>, params: Params, request: Request| {
            api.serve(self, params, request)
        };
        on(filter, serve).fallback(wrong_method)
    }
}

/// The variable parts of a path, decoded: the app's id, then the channel's name or the user's id.
type Params = Result<Path<Vec<String>>, PathRejection>;

/// A successful answer's body, and what remains of the app's limit.
struct Answer {
    json: Vec<u8>,
    left: Option<Left>,
    /// Whether an earlier request with the same idempotency key had done it all.
    replayed: bool,
}

impl Answer {
    fn new(body: &impl Serialize, left: Option<Left>) -> Self {
        let json = serde_json::to_vec(body).expect("bodies are made of strings and numbers");
        Self { json, left, replayed: false }
    }
}

/// `{"ok":true}`
#[derive(Serialize)]
struct Done {
    ok: bool,
}

impl PusherApi {
    /// Nothing was called yet.
    pub fn new(parts: ApiParts) -> Self {
        Self(Arc::new(Inner { parts, ledgers: Ledgers::default(), once: Once::default() }))
    }

    /// The routes, below `path_prefix` (empty, or `/ws`).
    pub fn router(&self, path_prefix: &str) -> Router {
        let prefix = path_prefix.trim_end_matches('/');
        let routes = Call::ALL.into_iter().fold(Router::new(), |router, call| {
            router.route(&format!("{prefix}{}", call.path()), call.route())
        });
        routes.with_state(self.clone())
    }

    /// What each app's sockets and calls did since the start.
    pub(crate) fn counts(&self) -> Vec<AppCounts> {
        self.0.ledgers.with(self.channels.traffic())
    }

    async fn serve(self, call: Call, params: Params, request: Request) -> Response {
        let started = Instant::now();
        let response = match self.admit(call, params, request).await {
            Ok(caller) => {
                let answer = self.answer(call, &caller).await;
                let response = answer.map_or_else(Refusal::into_response, Answer::into_response);
                let sent = response.body().size_hint().exact().unwrap_or(0);
                caller.ledger.called(caller.body.len() as u64, sent);
                response
            }
            Err(refusal) => refusal.into_response(),
        };
        let status = response.status().as_u16();
        self.metrics.request(call.method(), call.path(), status, started.elapsed());
        response
    }

    async fn answer(&self, call: Call, caller: &Caller) -> Result<Answer, Refusal> {
        let left = if call.is_read() { caller.read()? } else { None };
        match call {
            Call::Events => self.events(caller).await,
            Call::BatchEvents => self.batch_events(caller).await,
            Call::Channels => self.occupied(caller, left).await,
            Call::Channel => self.channel(caller, left).await,
            Call::Users => self.users(caller, left),
            Call::Terminate => {
                self.channels.terminate_user(&caller.app.id, &caller.subject).await;
                Ok(Answer::new(&Done { ok: true }, left))
            }
            Call::Connections => {
                #[derive(Serialize)]
                struct Connections {
                    connections: u64,
                }
                let connections = self.channels.connections_everywhere(&caller.app.id).await;
                Ok(Answer::new(&Connections { connections }, left))
            }
        }
    }
}

impl Answer {
    fn into_response(self) -> Response {
        let mut response = ([(CONTENT_TYPE, "application/json")], self.json).into_response();
        if let Some(left) = self.left {
            left.tell(response.headers_mut());
        }
        if self.replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

async fn wrong_method() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here.")
}
