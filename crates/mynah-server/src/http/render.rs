//! What surrounds every request: its id, the client's address, error bodies, headers, counters.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, RETRY_AFTER,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use mynah_domain::Timestamp;
use serde::Serialize;

use super::address::client_address;
use super::error::Refusal;
use super::openapi::Problem;
use super::{HttpOptions, Network};
use crate::metrics::Metrics;
use crate::origin::{Origins, is_preflight};
use crate::state::House;
use crate::time_text::TimeText;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_MAX: usize = 128;
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// What [`surround`] needs.
pub(super) struct Door {
    metrics: Arc<Metrics>,
    origins: Origins,
    trusted_proxies: Vec<Network>,
    /// Start of the request ids this process makes.
    run: u64,
    requests: AtomicU64,
}

impl Door {
    pub(super) fn new(house: &House, options: HttpOptions) -> Self {
        Self {
            metrics: Arc::clone(&house.metrics),
            origins: options.origins,
            trusted_proxies: options.trusted_proxies,
            run: getrandom::u64().unwrap_or_default(),
            requests: AtomicU64::new(0),
        }
    }

    fn request_id(&self, headers: &HeaderMap) -> String {
        let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let fits = |id: &&str| {
            (1..=REQUEST_ID_MAX).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        match given.filter(fits) {
            Some(id) => id.to_owned(),
            None => format!("{:016x}-{}", self.run, self.requests.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// One request from outside, as far as its answer needs it.
struct Asked {
    method: Method,
    path: String,
    id: String,
}

/// Wraps a request.
pub(super) async fn surround(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let asked = Asked {
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        id: door.request_id(request.headers()),
    };
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let preflight = is_preflight(&asked.method, request.headers());
    let mut cors = HeaderMap::new();
    if preflight {
        door.origins.answer_preflight(request.headers(), &mut cors);
    } else {
        door.origins.answer(request.headers(), &mut cors);
    }
    let address = client_address(&request, &door.trusted_proxies);
    request.extensions_mut().insert(address);
    let mut response = if preflight {
        StatusCode::NO_CONTENT.into_response()
    } else if asked.method == Method::TRACE || asked.method == Method::CONNECT {
        StatusCode::METHOD_NOT_ALLOWED.into_response()
    } else {
        next.run(request).await
    };
    if response.status().is_client_error() || response.status().is_server_error() {
        write_error(&asked, &mut response);
    }
    for (name, value) in &cors {
        // Handlers may have said what else their answer varies with.
        response.headers_mut().append(name, value.clone());
    }
    secure(&mut response, &asked.id);
    let (status, took) = (response.status().as_u16(), started.elapsed());
    door.metrics.request(method_word(&asked.method), &route, status, took);
    tracing::debug!(method = %asked.method, route, status, ?took, request_id = asked.id, "answered");
    response
}

fn method_word(method: &Method) -> &'static str {
    let known = [
        (Method::GET, "GET"),
        (Method::POST, "POST"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
        (Method::PUT, "PUT"),
        (Method::HEAD, "HEAD"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    known.iter().find(|(known, _)| known == method).map_or("OTHER", |(_, word)| word)
}

/// Headers that every answer has; those already set stay.
fn secure(response: &mut Response, request_id: &str) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Answers for a handler that panicked; the panic itself is in the log.
pub(super) fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// What Nest writes for an exception with an `error` member.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NestError<'a> {
    message: NestMessage<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    status_code: u16,
}

/// What Nest writes for exceptions that have nothing but a status and a text.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NestBare<'a> {
    status_code: u16,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum NestMessage<'a> {
    One(&'a str),
    All(Vec<&'a str>),
}

fn write_error(asked: &Asked, response: &mut Response) {
    let refusal = match response.extensions_mut().remove::<Refusal>() {
        Some(refusal) => refusal,
        // A probe's report is an answer of its own.
        None if response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind == "application/json") =>
        {
            return;
        }
        None => Refusal::bare(response.status()),
    };
    let native = asked.path == "/v1" || asked.path.starts_with("/v1/");
    let body = if native { problem(asked, &refusal) } else { nest(&refusal) };
    let body = body.unwrap_or_else(|error| {
        tracing::error!(%error, "an error body cannot be written");
        Vec::new()
    });
    let headers = response.headers_mut();
    headers.remove(axum::http::header::CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, if native { PROBLEM } else { JSON });
    if refusal.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = refusal.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(limit) = refusal.limit {
        let (name, rate) = (limit.bucket.as_str(), limit.rate);
        let policy = format!("\"{name}\";q={};w={}", rate.count, rate.window_s);
        let state = format!("\"{name}\";r=0;t={}", limit.seconds());
        for (name, value) in [("ratelimit-policy", policy), ("ratelimit", state)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
    *response.body_mut() = body.into();
}

fn problem(asked: &Asked, refusal: &Refusal) -> serde_json::Result<Vec<u8>> {
    let status = refusal.status.as_u16();
    let title = refusal.status.canonical_reason().unwrap_or("Error");
    let message: Vec<&str> = if refusal.violations.is_empty() {
        vec![&refusal.text]
    } else {
        refusal.violations.iter().map(|v| v.message.as_str()).collect()
    };
    serde_json::to_vec(&Problem {
        kind: format!("urn:mynah:error:{}", refusal.code),
        title,
        status,
        detail: &message.join("; "),
        instance: &asked.path,
        code: refusal.code,
        status_code: status,
        message,
        error: title,
        errors: &refusal.violations,
        request_id: &asked.id,
        timestamp: TimeText::of(Timestamp(jiff::Timestamp::now().as_millisecond())),
        path: &asked.path,
        method: asked.method.as_str(),
    })
}

fn nest(refusal: &Refusal) -> serde_json::Result<Vec<u8>> {
    let status_code = refusal.status.as_u16();
    match refusal.status {
        StatusCode::INTERNAL_SERVER_ERROR => {
            serde_json::to_vec(&NestBare { status_code, message: "Internal server error" })
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let message = "ThrottlerException: Too Many Requests";
            serde_json::to_vec(&NestBare { status_code, message })
        }
        // Nest has no exception class for it.
        StatusCode::INSUFFICIENT_STORAGE => {
            serde_json::to_vec(&NestBare { status_code, message: &refusal.text })
        }
        _ if refusal.bare_unauthorized => serde_json::to_vec(&NestError {
            message: NestMessage::One("Unauthorized"),
            error: None,
            status_code,
        }),
        _ => serde_json::to_vec(&NestError {
            message: if refusal.violations.is_empty() {
                NestMessage::One(&refusal.text)
            } else {
                NestMessage::All(refusal.violations.iter().map(|v| v.message.as_str()).collect())
            },
            error: refusal.status.canonical_reason(),
            status_code,
        }),
    }
}
