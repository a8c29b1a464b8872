//! The OpenAPI 3.1 document, made from the routes and their types.

use std::convert::Infallible;
use std::future::{Ready, ready};

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use super::fields::Violation;
use super::probes;
use crate::state::House;

/// An error: RFC 9457 members, the members that Nest clients read, and all broken rules.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Problem<'a> {
    /// `urn:mynah:error:<code>`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The status in words.
    pub(super) title: &'a str,
    pub(super) status: u16,
    /// What went wrong.
    pub(super) detail: &'a str,
    /// The path that was called.
    pub(super) instance: &'a str,
    /// Stable name of the error, e.g. `VALIDATION`, `ROOM_NOT_FOUND`, `TOKEN_EXPIRED`.
    pub(super) code: &'static str,
    pub(super) status_code: u16,
    /// All sentences that `detail` joins.
    pub(super) message: Vec<&'a str>,
    /// The status in words.
    pub(super) error: &'a str,
    /// Broken rules of the input.
    pub(super) errors: &'a [Violation],
    pub(super) request_id: &'a str,
    #[schema(value_type = String, format = DateTime)]
    pub(super) timestamp: crate::time_text::TimeText,
    pub(super) path: &'a str,
    pub(super) method: &'a str,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Mynah", description = "Chat: accounts, rooms, messages, catch-up."),
    tags(
        (name = "auth", description = "Register, sign in, stay signed in, sign out"),
        (name = "users", description = "Profiles"),
        (name = "rooms", description = "Rooms"),
        (name = "members", description = "Members of a room"),
        (name = "messages", description = "Messages"),
        (name = "receipts", description = "Read cursors"),
        (name = "presence", description = "Typing and presence"),
        (name = "realtime", description = "Before a Pusher socket is opened"),
        (name = "sync", description = "Catching up over HTTP"),
        (name = "probes", description = "Health"),
    ),
    components(schemas(Problem<'static>, Violation))
)]
struct Head;

/// The routes under `/v1` with the probes, and their document.
pub(super) fn document(api: OpenApiRouter<House>) -> OpenApiRouter<House> {
    let mut router =
        OpenApiRouter::with_openapi(Head::openapi()).nest("/v1", api).merge(probes::routes());
    let document = router.get_openapi_mut();
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.info.license = None;
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    name_operations(document);
    router
}

/// Operation ids must be unique; handlers' names are so only within their file.
fn name_operations(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        let mut name = String::new();
        for part in path.trim_start_matches("/v1").split(['/', '{', '}', '-']) {
            let mut letters = part.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}{name}"));
            }
        }
    }
}

/// A handler that gives the document, written once.
pub(super) fn serve(
    document: &Document,
) -> impl Fn() -> Ready<Result<Response, Infallible>> + Clone + Send + Sync + use<> {
    let text = Bytes::from(document.to_json().unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
        String::new()
    }));
    move || {
        let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")];
        ready(Ok((headers, text.clone()).into_response()))
    }
}
