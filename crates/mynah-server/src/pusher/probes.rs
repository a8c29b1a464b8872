//! Soketi's probes and its listener for operators.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::exposition::{self, PROMETHEUS};
use super::memory::MemoryGauge;
use super::soketi_metrics::SoketiMetrics;
use crate::health::{Health, Readiness};

/// What the probes look at; cheap to clone.
#[derive(Clone)]
pub(crate) struct Probes {
    /// Whether the process should get traffic.
    pub(crate) health: Arc<Health>,
    /// The process's memory.
    pub(crate) memory: Arc<MemoryGauge>,
    /// Above this part of its memory the process asks for no more traffic, in per cent.
    pub(crate) memory_threshold_percent: u8,
}

#[derive(Serialize)]
struct Wrapped<T> {
    memory: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Accepting {
    used_size: u64,
    total_size: u64,
    percent_usage: f64,
}

#[derive(Serialize)]
struct Usage {
    free: u64,
    used: u64,
    total: u64,
    percent: f64,
}

#[derive(Serialize)]
struct Failed<'a> {
    error: &'a str,
    code: u16,
}

/// What Soketi's port answers beside the Pusher door: `/`, `/ready` and `/accept-traffic`, and 404 for
/// everything else. Below `path_prefix` as well, where Soketi has them.
pub(crate) fn front_router(probes: Probes, path_prefix: &str) -> Router {
    let routes = bases(path_prefix).fold(Router::new(), |router, base| {
        alive_and_ready(router, base).route(&format!("{base}/accept-traffic"), get(accept_traffic))
    });
    routes.fallback(nothing_here).with_state(probes)
}

/// What Soketi's metrics port answers: `/`, `/ready`, `/usage` and `/metrics` (`?json=1`).
pub(crate) fn back_router(
    probes: Probes,
    metrics: &Arc<SoketiMetrics>,
    path_prefix: &str,
) -> Router {
    let routes = bases(path_prefix).fold(Router::new(), |router, base| {
        let metrics = Arc::clone(metrics);
        let scraped = move |uri: Uri| std::future::ready(scrape(&metrics, &uri));
        alive_and_ready(router, base)
            .route(&format!("{base}/usage"), get(usage))
            .route(&format!("{base}/metrics"), get(scraped))
    });
    routes.fallback(nothing_here).with_state(probes)
}

/// Those of Soketi's probes whose paths are free on the public listener. `/usage` is not for everybody,
/// and `/ready` is there already.
pub(crate) fn public_router(probes: Probes) -> Router {
    Router::new().route("/accept-traffic", get(accept_traffic)).with_state(probes)
}

/// Those whose paths are free on the operators' listener.
pub(crate) fn admin_router(probes: Probes) -> Router {
    Router::new()
        .route("/accept-traffic", get(accept_traffic))
        .route("/usage", get(usage))
        .with_state(probes)
}

/// Where paths start: nowhere, and at the prefix if there is one.
fn bases(path_prefix: &str) -> impl Iterator<Item = &str> {
    let prefix = path_prefix.trim_end_matches('/');
    std::iter::once("").chain((!prefix.is_empty()).then_some(prefix))
}

fn alive_and_ready(router: Router<Probes>, base: &str) -> Router<Probes> {
    router.route(&format!("{base}/"), get(alive)).route(&format!("{base}/ready"), get(ready))
}

async fn alive() -> &'static str {
    "OK"
}

async fn ready(State(probes): State<Probes>) -> Response {
    match probes.health.readiness().await {
        Readiness::Ready => "OK".into_response(),
        Readiness::Draining => leaving(),
        Readiness::StoreDown(_) => {
            failed(StatusCode::SERVICE_UNAVAILABLE, "The storage does not answer.")
        }
    }
}

async fn accept_traffic(State(probes): State<Probes>) -> Response {
    if probes.health.is_draining() {
        return leaving();
    }
    let memory = probes.memory.read();
    if memory.percent() > f64::from(probes.memory_threshold_percent) {
        let text = "Low on memory here. Choose another server. :)";
        return failed(StatusCode::INTERNAL_SERVER_ERROR, text);
    }
    let memory = Accepting {
        used_size: memory.used,
        total_size: memory.total,
        percent_usage: memory.percent(),
    };
    Json(Wrapped { memory }).into_response()
}

async fn usage(State(probes): State<Probes>) -> Response {
    let memory = probes.memory.read();
    let memory = Usage {
        free: memory.total.saturating_sub(memory.used),
        used: memory.used,
        total: memory.total,
        percent: memory.percent(),
    };
    Json(Wrapped { memory }).into_response()
}

fn scrape(metrics: &SoketiMetrics, uri: &Uri) -> Response {
    let families = metrics.families();
    let mut query = uri.query().unwrap_or_default().split('&');
    if query.any(|pair| pair.strip_prefix("json=").is_some_and(|value| !value.is_empty())) {
        return Json(exposition::as_json(&families)).into_response();
    }
    ([(CONTENT_TYPE, PROMETHEUS)], exposition::prometheus(&families)).into_response()
}

fn leaving() -> Response {
    let text = "The server is closing. Choose another server. :)";
    failed(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn failed(status: StatusCode, error: &str) -> Response {
    let mut response = (status, Json(Failed { error, code: status.as_u16() })).into_response();
    response.headers_mut().insert(RETRY_AFTER, 1.into());
    response
}

async fn nothing_here() -> Response {
    let (status, error) = (StatusCode::NOT_FOUND, "Nothing is served at this path.");
    (status, Json(Failed { error, code: 404 })).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::pusher::soketi_metrics::AppCounts;
    use crate::test_world::World;

    fn probes() -> Probes {
        let health = World::new().house().health;
        Probes { health, memory: Arc::default(), memory_threshold_percent: 100 }
    }

    fn metrics() -> Arc<SoketiMetrics> {
        let app = AppCounts { app: "shop".to_owned(), connected: 7, ..AppCounts::default() };
        let read = Box::new(move || vec![app.clone()]);
        Arc::new(SoketiMetrics::new("soketi_".to_owned(), 6001, Arc::default(), read))
    }

    async fn get(router: &Router, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[tokio::test]
    async fn a_ready_process_says_ok_also_below_the_prefix() {
        let router = front_router(probes(), "/ws");
        for path in ["/", "/ready", "/ws/", "/ws/ready"] {
            assert_eq!(get(&router, path).await, (200, "OK".to_owned()), "{path}");
        }
        let (status, text) = get(&router, "/nope").await;
        assert_eq!((status, json(&text)["code"].clone()), (404, 404.into()));
    }

    #[tokio::test]
    async fn a_leaving_process_wants_no_traffic() {
        let probes = probes();
        probes.health.drain();
        let router = front_router(probes, "");
        let refused =
            "{\"error\":\"The server is closing. Choose another server. :)\",\"code\":503}";
        for path in ["/ready", "/accept-traffic"] {
            assert_eq!(get(&router, path).await, (503, refused.to_owned()), "{path}");
        }
        assert_eq!(get(&router, "/").await.0, 200, "the process lives");
    }

    #[tokio::test]
    async fn traffic_is_taken_until_memory_runs_low() {
        let roomy = probes();
        let (status, text) = get(&front_router(roomy.clone(), ""), "/accept-traffic").await;
        let memory = &json(&text)["memory"];
        assert_eq!(status, 200);
        assert!(memory["usedSize"].as_u64().unwrap() > 0, "{text}");
        assert!(memory["totalSize"].as_u64() > memory["usedSize"].as_u64(), "{text}");
        assert!(memory["percentUsage"].as_f64().unwrap() > 0.0, "{text}");
        let full = Probes { memory_threshold_percent: 0, ..roomy };
        let (status, text) = get(&public_router(full), "/accept-traffic").await;
        assert_eq!((status, json(&text)["code"].clone()), (500, 500.into()));
    }

    #[tokio::test]
    async fn the_metrics_port_tells_usage_and_counters() {
        let router = back_router(probes(), &metrics(), "/ws");
        let (_, text) = get(&router, "/usage").await;
        let memory = &json(&text)["memory"];
        let part = |name: &str| memory[name].as_u64().unwrap();
        assert_eq!(part("free") + part("used"), part("total"));
        let line = "\nsoketi_connected{app_id=\"shop\",port=\"6001\"} 7\n";
        for path in ["/metrics", "/ws/metrics", "/metrics?json="] {
            assert!(get(&router, path).await.1.contains(line), "{path}");
        }
        let (_, text) = get(&router, "/metrics?json=1").await;
        assert_eq!(json(&text)[0]["values"][0]["value"], 7);
        assert_eq!(get(&router, "/accept-traffic").await.0, 404);
    }
}
