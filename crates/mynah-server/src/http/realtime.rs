//! The realtime endpoints of chat front ends: where to connect, and signatures for the socket.
//!
//! Their contract is older than this house: 200, 400, 401, 403 and 503, errors as `{"error"}`. 401 makes a
//! front end renew its session and then sign out, so it says only that nobody knows who is asking (no
//! credential, or one that is over or worthless); whoever is known and may not gets 403.
//!
//! Channels are asked for one by one, as the official libraries do, or many at once by `channel_name[]`.

mod asked;
mod reached;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, options, post};
use mynah_domain::TenantId;
use mynah_domain::permission::Denied;
use mynah_domain::room::Role;
use mynah_protocol::pusher::SocketId;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::Answer;
use super::extract::{ClientAddress, Signed, json, limit, ok, word};
use crate::identity::Identified;
use crate::patience::Patience;
use crate::rate::Bucket;
use crate::realtime::{Face, Grant, Realtime, Refused};
use crate::state::House;
use asked::{Asked, Wanted};
use reached::Reached;

/// How long a caller waits for the store: less than proxies wait for an answer.
const PATIENCE: Duration = Duration::from_secs(25);

/// What the handlers need.
#[derive(Clone)]
struct Door {
    house: House,
    realtime: Realtime,
}

/// An error as these endpoints spell it.
#[derive(Serialize, ToSchema)]
struct Failure {
    /// What is wrong, in a sentence.
    error: String,
}

/// Where to connect.
#[derive(Serialize, ToSchema)]
struct ConfigAnswer<'a> {
    success: bool,
    config: RealtimeConfig<'a>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RealtimeConfig<'a> {
    /// What the client connects with; no secret.
    key: &'a str,
    host: &'a str,
    port: u16,
    /// Whether the socket uses TLS; the client libraries then connect to port 443.
    #[serde(rename = "useTLS")]
    use_tls: bool,
    app_id: &'a str,
    cluster: &'a str,
    /// What stands before `/app/KEY`, if something does.
    #[serde(skip_serializing_if = "str::is_empty")]
    ws_path: &'a str,
}

/// There is nothing to connect to, which is no error.
#[derive(Serialize)]
struct NoConfig {
    success: bool,
    message: String,
}

/// What was forgotten.
#[derive(Serialize, ToSchema)]
struct Cleared {
    success: bool,
    cleared: &'static [&'static str],
}

/// One of many channels.
#[derive(Serialize)]
#[serde(untagged)]
enum Each {
    Granted { status: u16, data: Grant },
    Refused { status: u16, error: String },
}

/// The endpoints, under the paths that their clients use without being told.
pub(super) fn routes(house: &House, realtime: &Realtime) -> OpenApiRouter<House> {
    let door = Door { house: house.clone(), realtime: realtime.clone() };
    let documented = OpenApiRouter::new()
        .routes(routes!(config))
        .routes(routes!(auth))
        .routes(routes!(clear))
        .with_state(door.clone());
    documented.merge(OpenApiRouter::from(more(door)))
}

/// Answers to OPTIONS without a page behind it, and other names: those of Laravel Echo and of pusher-js.
fn more(door: Door) -> Router<House> {
    let mut router = Router::new()
        .route("/chat/realtime/config", options(async || allowed("GET, HEAD, OPTIONS")))
        .route("/chat/realtime/auth", options(async || allowed("POST, OPTIONS")));
    let with_options =
        |handler: MethodRouter<Door>| handler.options(async || allowed("POST, OPTIONS"));
    for path in ["/broadcasting/auth", "/pusher/auth"] {
        router = router.route(path, with_options(post(auth)));
    }
    for path in ["/broadcasting/user-auth", "/pusher/user-auth", "/chat/realtime/user-auth"] {
        router = router.route(path, with_options(post(user_auth)));
    }
    router.with_state(door)
}

/// For operators: forget what is remembered.
pub(super) fn operators(realtime: Realtime) -> Router {
    let clear = |State(realtime): State<Realtime>| async move { cleared(&realtime) };
    Router::new()
        .route("/admin/cache/clear", post(clear))
        .route("/v1/admin/cache/clear", post(clear))
        .with_state(realtime)
}

fn allowed(methods: &'static str) -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, methods)]).into_response()
}

/// Where to connect for realtime. The app is that of the caller's tenant; whoever is nobody gets the default
/// tenant's. Switched off, it answers 200 with `{"success":false,"message"}`.
#[utoipa::path(get, path = "/chat/realtime/config", tag = "realtime", responses(
    (status = 200, body = ConfigAnswer<'static>)))]
async fn config(State(door): State<Door>, request: Request) -> Response {
    let headers = request.headers();
    let patience = Patience::new(&door.house.health, PATIENCE);
    let tenant = match patiently(&patience, || door.realtime.identify(headers)).await {
        Ok(who) => who.actor.tenant,
        Err(Refused::Unavailable) => return no_config(&Refused::Unavailable),
        Err(_nobody) => TenantId::single(),
    };
    let face = patiently(&patience, || door.realtime.face(&tenant)).await;
    match (face, door.realtime.settings()) {
        (Ok(face), Some(settings)) => {
            let reached = Reached::of(&request);
            let public = &settings.public;
            ok(&ConfigAnswer {
                success: true,
                config: RealtimeConfig {
                    key: face.key(),
                    host: public.host.as_deref().unwrap_or(&reached.host),
                    port: public.port.unwrap_or(reached.port),
                    use_tls: public.tls.unwrap_or(reached.is_tls),
                    app_id: face.app_id(),
                    cluster: &public.cluster,
                    ws_path: &settings.path_prefix,
                },
            })
        }
        (Ok(_), None) => no_config(&Refused::Off),
        (Err(refused), _) => no_config(&refused),
    }
}

fn no_config(refused: &Refused) -> Response {
    ok(&NoConfig { success: false, message: refused.to_string() })
}

/// Let a socket subscribe to a channel, or (a form without `channel_name`) sign in. The body is a form or JSON:
/// `socket_id`, `channel_name`; with `channel_name[]` the answer has one entry for each channel.
#[utoipa::path(post, path = "/chat/realtime/auth", tag = "realtime", security(("bearer" = [])),
    responses(
    (status = 200, description = "`auth`, and `channel_data` or `user_data`"),
    (status = 400, body = Failure, description = "Something is missing or malformed"),
    (status = 401, body = Failure, description = "Nobody knows who is asking"),
    (status = 403, body = Failure, description = "The caller may not"),
    (status = 503, body = Failure, description = "Realtime is off or unavailable")))]
async fn auth(State(door): State<Door>, address: ClientAddress, request: Request) -> Response {
    serve(&door, address, request, false).await
}

/// Lets a socket sign in.
async fn user_auth(State(door): State<Door>, address: ClientAddress, request: Request) -> Response {
    serve(&door, address, request, true).await
}

async fn serve(
    door: &Door,
    address: ClientAddress,
    request: Request,
    only_signs_in: bool,
) -> Response {
    if door.realtime.settings().is_none() {
        return failure(&Refused::Off);
    }
    let (parts, body) = request.into_parts();
    // The body is read in any case: an answer that overtakes it may be lost.
    let asked = Asked::read(&parts.headers, body, only_signs_in).await;
    let patience = Patience::new(&door.house.health, PATIENCE);
    let who = match patiently(&patience, || door.realtime.identify(&parts.headers)).await {
        Ok(who) => who,
        Err(refused) => {
            if let Refused::Unidentified(error) = &refused {
                door.house.metrics.refused_token(word(*error));
            }
            return late(door, &format!("a {}", address.key()), failure(&refused)).await;
        }
    };
    let answer = match asked {
        Ok(asked) => {
            let desk = Desk { realtime: &door.realtime, who: &who, patience };
            desk.decide(asked.socket_id, asked.wanted).await
        }
        Err(refused) => Err(refused),
    };
    let response = answer.unwrap_or_else(|refused| failure(&refused));
    if response.status() == StatusCode::FORBIDDEN {
        let caller = format!("u {} {}", who.actor.tenant, who.actor.user);
        return late(door, &caller, response).await;
    }
    response
}

/// Asks until the store can answer, while there is patience.
async fn patiently<T, F: Future<Output = Result<T, Refused>>>(
    patience: &Patience,
    ask: impl Fn() -> F,
) -> Result<T, Refused> {
    loop {
        match patience.within(ask()).await.unwrap_or(Err(Refused::Unavailable)) {
            Err(Refused::Unavailable) if patience.ask_again().await => {}
            answer => return answer,
        }
    }
}

/// Where one caller asks for signatures.
struct Desk<'a> {
    realtime: &'a Realtime,
    who: &'a Identified,
    patience: Patience,
}

impl Desk<'_> {
    async fn decide(&self, socket: SocketId, wanted: Wanted) -> Result<Response, Refused> {
        let tenant = &self.who.actor.tenant;
        let face = patiently(&self.patience, || self.realtime.face(tenant)).await?;
        match wanted {
            Wanted::SignIn => {
                let sign_in = || self.realtime.sign_in(&face, self.who, socket);
                Ok(ok(&patiently(&self.patience, sign_in).await?))
            }
            Wanted::Channel(name) => Ok(ok(&self.channel(&face, socket, &name).await?)),
            Wanted::Channels(names) => {
                let mut all = BTreeMap::new();
                for name in names {
                    let each = match self.channel(&face, socket, &name).await {
                        Ok(data) => Each::Granted { status: 200, data },
                        Err(refused) => {
                            let status = status(&refused).as_u16();
                            Each::Refused { status, error: refused.to_string() }
                        }
                    };
                    all.insert(name, each);
                }
                Ok(ok(&all))
            }
        }
    }

    async fn channel(&self, face: &Face, socket: SocketId, name: &str) -> Result<Grant, Refused> {
        let authorise = || self.realtime.authorise(face, self.who, socket, name);
        patiently(&self.patience, authorise).await
    }
}

fn status(refused: &Refused) -> StatusCode {
    match refused {
        Refused::Input(_) => StatusCode::BAD_REQUEST,
        Refused::Unidentified(_) => StatusCode::UNAUTHORIZED,
        Refused::NoAccess(_) => StatusCode::FORBIDDEN,
        Refused::Off | Refused::Unavailable | Refused::Broken => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn failure(refused: &Refused) -> Response {
    let status = status(refused);
    let mut response = json(status, &Failure { error: refused.to_string() });
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A refusal; late, if this caller had too many of them.
async fn late(door: &Door, caller: &str, mut response: Response) -> Response {
    if let Some(late) = door.realtime.refused(caller).await {
        door.house.metrics.limited(Bucket::Subscribe.as_str());
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(late.retry_after_s));
    }
    response
}

/// Forget what is remembered of apps and of where to connect. For admins of the tenant.
#[utoipa::path(post, path = "/admin/cache/clear", tag = "realtime", security(("bearer" = [])),
    responses(
    (status = 200, body = Cleared),
    (status = "default", body = super::openapi::Problem, content_type = "application/problem+json")))]
async fn clear(State(door): State<Door>, headers: HeaderMap) -> Answer {
    let Signed(who) = Signed::of(&headers, &door.house).await?;
    limit(&door.house, Bucket::Change, who.actor.user.as_str())?;
    if who.actor.role < Role::Admin || who.actor.role == Role::Nobody {
        return Err(Denied::Role.into());
    }
    Ok(cleared(&door.realtime))
}

fn cleared(realtime: &Realtime) -> Response {
    let cleared = realtime.clear();
    tracing::info!(?cleared, "caches cleared by hand");
    ok(&Cleared { success: true, cleared })
}
