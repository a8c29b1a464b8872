//! The REST door: routes, and what surrounds them.
//!
//! One set of routes is served under `/v1` (errors as RFC 9457 problems) and, for existing clients,
//! unprefixed and under `/api` and `/api/v1` (errors in the shape Nest gives). `/channels` and
//! `/chat/rooms` are other names of `/rooms`.

mod address;
mod assets;
mod auth;
mod client_bundle;
mod embedded;
mod error;
mod extract;
mod fields;
mod members;
mod messages;
mod openapi;
mod paging;
mod probes;
mod realtime;
mod receipts;
mod render;
mod rooms;
mod search;
mod sync;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;

pub(crate) use address::client_address;
pub use address::{BadNetwork, Network};
pub use client_bundle::client_router;

use crate::origin::Origins;
use crate::realtime::Realtime;
use crate::state::House;
use error::{ApiError, InputError};

/// What an installation sets about HTTP.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Pages that may call and read the answers.
    pub origins: Origins,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// What front ends ask before they open a Pusher socket.
    pub realtime: Realtime,
}

/// Everything that the public listener answers, but sockets.
pub fn public_router(house: House, options: HttpOptions) -> Router {
    let realtime = options.realtime.clone();
    let door = render::Door::new(&house, options);
    let api = || api().merge(realtime::routes(&house, &realtime));
    let (v1, document) = openapi::document(api()).split_for_parts();
    let mut router = v1.route("/openapi.json", get(openapi::serve(&document)));
    let plain: Router<House> = api().split_for_parts().0;
    for prefix in ["/api", "/api/v1"] {
        router = router.nest(prefix, plain.clone());
    }
    router
        .merge(plain)
        .merge(probes::aliases())
        .route("/", get(assets::index))
        .fallback(assets::file_or_missing)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(render::panicked))
        .layer(from_fn_with_state(Arc::new(door), render::surround))
        .with_state(house)
}

/// What the admin listener answers: `/metrics` and the probes.
pub fn admin_router(house: House) -> Router {
    probes::routes()
        .split_for_parts()
        .0
        .merge(probes::aliases())
        .route("/metrics", get(probes::metrics))
        .with_state(house)
}

/// What operators may do on the admin listener beside looking.
pub fn operators_router(realtime: Realtime) -> Router {
    realtime::operators(realtime)
}

/// The routes without a prefix.
fn api() -> OpenApiRouter<House> {
    let rooms = || {
        rooms::routes()
            .merge(members::routes())
            .merge(messages::routes_of_rooms())
            .merge(receipts::routes())
    };
    let plain: Router<House> = rooms().split_for_parts().0;
    let aliases = |router: OpenApiRouter<House>, path: &str| {
        // Served, but not a second time in the document.
        router.merge(OpenApiRouter::from(Router::new().nest(path, plain.clone())))
    };
    let router = OpenApiRouter::new()
        .merge(auth::routes())
        .merge(users::routes())
        .nest("/rooms", rooms())
        .merge(messages::routes())
        .merge(search::routes())
        .merge(sync::routes());
    aliases(aliases(router, "/channels"), "/chat/rooms")
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    InputError::WrongMethod(format!("{method} {}", uri.path())).into()
}

#[cfg(test)]
mod tests;
