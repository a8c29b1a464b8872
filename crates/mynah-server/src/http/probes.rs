//! Probes for load balancers, and the scrape target.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{ClientAddress, json, ok};
use crate::health::Readiness;
use crate::state::House;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A health report in the form of Terminus.
#[derive(Serialize, ToSchema)]
struct Report {
    /// `ok`, `error` or `shutting_down`.
    status: &'static str,
    info: Parts,
    error: Parts,
    details: Parts,
}

/// Parts of the system and how they are.
#[derive(Serialize, ToSchema, Clone, Copy, Default)]
struct Parts {
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<Part>,
}

#[derive(Serialize, ToSchema, Clone, Copy)]
struct Part {
    /// `up` or `down`.
    status: &'static str,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

pub(super) fn routes() -> OpenApiRouter<House> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready))
}

/// Other names of the probes.
pub(super) fn aliases() -> Router<House> {
    Router::new()
        .route("/healthz", get(health))
        .route("/livez", get(live))
        .route("/readyz", get(ready))
}

/// Whether the process runs.
#[utoipa::path(get, path = "/health", tag = "probes", responses((status = 200, body = Report)))]
async fn health() -> Response {
    let none = Parts::default();
    ok(&Report { status: "ok", info: none, error: none, details: none })
}

/// Whose request a request is taken for, which the doctor asks through proxies.
#[derive(Serialize)]
struct Caller {
    status: &'static str,
    /// The client's address.
    client: Option<String>,
    /// Whether somebody says it is another than that of the connection.
    forwarded: bool,
    /// Whether that is believed.
    believed: bool,
}

/// Whether the process runs; with `?client`, also who asks.
async fn live(request: Request) -> Response {
    if request.uri().query() != Some("client") {
        return health().await;
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let client = request.extensions().get::<ClientAddress>().and_then(|client| client.0);
    ok(&Caller {
        status: "ok",
        client: client.map(|client| client.to_canonical().to_string()),
        forwarded: request.headers().contains_key("x-forwarded-for"),
        believed: client.is_some() && client != peer,
    })
}

/// Whether the process should get traffic.
#[utoipa::path(get, path = "/ready", tag = "probes", responses(
    (status = 200, body = Report),
    (status = 503, body = Report, description = "The storage is down, or the process shuts down")))]
async fn ready(State(house): State<House>) -> Response {
    let none = Parts::default();
    let storage = |status, message| Parts { storage: Some(Part { status, message }) };
    let (code, report) = match house.health.readiness().await {
        Readiness::Ready => {
            let up = storage("up", None);
            (StatusCode::OK, Report { status: "ok", info: up, error: none, details: up })
        }
        Readiness::Draining => {
            let status = "shutting_down";
            let report = Report { status, info: none, error: none, details: none };
            (StatusCode::SERVICE_UNAVAILABLE, report)
        }
        Readiness::StoreDown(why) => {
            let down = storage("down", Some(why));
            let report = Report { status: "error", info: none, error: down, details: down };
            (StatusCode::SERVICE_UNAVAILABLE, report)
        }
    };
    json(code, &report)
}

/// All counters in the OpenMetrics text format.
pub(super) async fn metrics(State(house): State<House>) -> Response {
    match house.metrics.text() {
        Ok(text) => ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the counters cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
