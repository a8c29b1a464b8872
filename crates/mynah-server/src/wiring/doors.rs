//! The doors and what stands behind each.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use mynah_domain::Timestamp;
use mynah_domain::ports::{Clock, OpenRoomStore, PasswordHasher};
use mynah_hub::Hub;

use crate::admin_ui::{AdminUi, AdminUiOptions, AdminUiPorts, Credentials, WithAdmin};
use crate::chat_socket::{self, ChatSockets, Places, Present, Turns};
use crate::cluster::forward::Forwarder;
use crate::config::Config;
use crate::deadlines::Deadlines;
use crate::dialects::Dialects;
use crate::engine_io::{Admission, Cookie, Edge, EngineOptions, NotNow, Traffic};
use crate::http::{self, HttpOptions, Network};
use crate::identity::{AccessTokens, Verifier, Verifiers};
use crate::interop::Interop;
use crate::origin::Origins;
use crate::pusher::{
    ChannelPolicy, ChatChannels, ChatParts, Door, DoorOptions, DoorParts, ReplayRules, Threads,
};
use crate::rate::Bucket;
use crate::realtime::{Realtime, RealtimeParts};
use crate::recovery::Recovery;
use crate::socket_io::SocketIo;
use crate::state::House;

/// What the chat's Socket.IO door takes of the house beside [`House`].
pub(super) struct ChatDoor {
    pub(super) dialects: Arc<Dialects>,
    pub(super) open_rooms: Arc<dyn OpenRoomStore>,
    pub(super) dispatched: Arc<AtomicU64>,
    pub(super) deadlines: Deadlines,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) interop: Option<Interop>,
}

/// Opens it.
pub(super) fn chat_sockets(config: &Config, house: &House, door: ChatDoor) -> ChatSockets {
    let ChatDoor { dialects, open_rooms, dispatched, deadlines, clock, interop } = door;
    let open_rooms_kept_ms = config.socketio.recovery_rooms_s.saturating_mul(1_000);
    let present = Arc::new(Present::default());
    tokio::spawn(keep_open_rooms(
        Arc::clone(&present),
        Arc::downgrade(&open_rooms),
        Arc::clone(&clock),
        open_rooms_kept_ms,
    ));
    ChatSockets::new(chat_socket::Parts {
        house: house.clone(),
        dialects,
        places: Places::new(config.limits.connections_per_user_max),
        turns: Turns::default(),
        present,
        recovery: recovery(config),
        open_rooms,
        open_rooms_kept_ms,
        dispatched,
        deadlines,
        clock,
        interop,
    })
}

/// How often connections that are here are noted as such.
const KEEP_EVERY: Duration = Duration::from_hours(1);

/// Remembers what open connections have opened, and forgets it of those long gone.
async fn keep_open_rooms(
    present: Arc<Present>,
    store: Weak<dyn OpenRoomStore>,
    clock: Arc<dyn Clock>,
    kept_ms: u64,
) {
    let mut ticks = tokio::time::interval(KEEP_EVERY.min(Duration::from_millis(kept_ms / 4)));
    loop {
        ticks.tick().await;
        let Some(store) = store.upgrade() else { return };
        let now = clock.now();
        if let Err(error) = store.keep_open_rooms(&present.that_open_rooms(), now).await {
            tracing::warn!(%error, "noting who is connected failed; tried again later");
            continue;
        }
        let before = Timestamp(now.0.saturating_sub_unsigned(kept_ms));
        match store.forget_open_rooms(before).await {
            Ok(0) => {}
            Ok(rooms) => tracing::debug!(rooms, "forgot rooms of connections long gone"),
            Err(error) => tracing::warn!(%error, "forgetting old connections failed"),
        }
    }
}

fn recovery(config: &Config) -> Option<Recovery> {
    let secret = config.auth.jwt_secret.expose();
    config.socketio.recovery.then(|| Recovery::new(secret.as_bytes()))
}

/// The Admin UI's namespace, if it is switched on.
pub(super) fn admin_ui(
    config: &Config,
    house: &House,
    (hub, traffic): (&Hub, &Traffic),
    (hasher, clock): (&Arc<dyn PasswordHasher>, &Arc<dyn Clock>),
    dialects: &Dialects,
) -> Option<AdminUi> {
    let settings = &config.admin_ui;
    if !settings.enabled {
        return None;
    }
    if !settings.has_credentials() {
        tracing::warn!(
            "the Admin UI has no credentials: everybody on this machine may look; set \
             admin_ui.username and admin_ui.password_hash"
        );
    }
    let credentials = settings.has_credentials().then(|| Credentials {
        username: settings.username.clone(),
        password_hash: settings.password_hash.expose().to_owned(),
    });
    let rules = dialects.vocabularies().iter().flat_map(|v| &v.namespaces);
    let fixed = rules.filter(|rule| !rule.name.is_pattern());
    let chat_namespaces = fixed.map(|rule| rule.name.as_str().to_owned());
    let options = AdminUiOptions {
        namespace: settings.namespace.clone(),
        credentials,
        chat_namespaces: chat_namespaces.collect(),
    };
    let ports = AdminUiPorts {
        hub: hub.clone(),
        traffic: traffic.clone(),
        hasher: Arc::clone(hasher),
        limits: Arc::clone(&house.limits),
        metrics: Arc::clone(&house.metrics),
        clock: Arc::clone(clock),
    };
    Some(AdminUi::new(options, ports))
}

fn origins(config: &Config) -> Origins {
    let loopback = config.env == crate::config::Stage::Development;
    Origins::new(config.http.allowed_origins.clone(), loopback)
}

pub(super) fn socket_router(
    config: &Config,
    sockets: WithAdmin<ChatSockets>,
    (hub, deadlines): (&Hub, &Deadlines),
    (house, trusted): (&House, &[Network]),
    (traffic, forwarder): (Traffic, Option<Forwarder>),
) -> Router {
    let settings = &config.socketio;
    let options = EngineOptions {
        path: settings.path.clone(),
        ping_interval: Duration::from_millis(settings.ping_interval_ms),
        ping_timeout: Duration::from_millis(settings.ping_timeout_ms),
        upgrade_timeout: Duration::from_millis(settings.upgrade_timeout_ms),
        max_payload: settings.max_payload_bytes,
        packets_per_poll_max: 1_000,
        allow_eio3: settings.allow_eio3,
        per_message_deflate: settings.per_message_deflate,
        http_compression: settings.http_compression,
        cookie: settings.cookie.as_ref().map(Cookie::from),
        origins: origins(config),
        admission: admission(house, trusted.to_vec()),
        traffic,
        forwarder,
    };
    let connect_timeout = Duration::from_millis(settings.connect_timeout_ms);
    let layer =
        SocketIo::new(sockets, deadlines.clone(), connect_timeout, settings.max_payload_bytes);
    let router = Edge::new(layer, hub.clone(), options).router();
    let router = behind_proxies(router, trusted.to_vec());
    if settings.serve_client {
        router.merge(http::client_router(&settings.path, origins(config)))
    } else {
        router
    }
}

/// The chat behind channels.
pub(super) fn chat_channels(config: &Config, house: &House, threads: Threads) -> ChatChannels {
    let settings = &config.pusher;
    let rules = ReplayRules {
        events_max: settings.replay_events_max,
        retention: Duration::from_secs(settings.replay_retention_s),
    };
    ChatChannels::new(ChatParts {
        threads,
        chat: house.chat.clone(),
        live: house.live.clone(),
        identity: Arc::clone(&house.identity),
        policy: ChannelPolicy::new(house.accounts.clone()),
        health: Arc::clone(&house.health),
        replay: settings.replay.then_some(rules),
    })
}

/// Opens the door of Pusher clients, if it is switched on.
pub(super) fn pusher_router(
    config: &Config,
    parts: DoorParts,
    (house, trusted): (&House, &[Network]),
) -> Router {
    if !config.pusher.enabled {
        return Router::new();
    }
    let options = DoorOptions {
        path_prefix: config.pusher.path_prefix.clone(),
        per_message_deflate: config.socketio.per_message_deflate,
        admission: admission(house, trusted.to_vec()),
    };
    Door::new(parts, options).router()
}

/// Sessions see the client's address, not that of a trusted proxy.
fn behind_proxies(router: Router, trusted: Vec<Network>) -> Router {
    if trusted.is_empty() {
        return router;
    }
    let trusted: Arc<[Network]> = trusted.into();
    router.layer(axum::middleware::map_request(move |mut request: Request| {
        if let Some(address) = http::client_address(&request, &trusted).0 {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 0)));
        }
        std::future::ready(request)
    }))
}

/// New connections are counted by address of the client, and refused while the process drains.
fn admission(house: &House, trusted: Vec<Network>) -> Admission {
    let (limits, metrics) = (Arc::clone(&house.limits), Arc::clone(&house.metrics));
    let health = Arc::clone(&house.health);
    Admission::new(move |request| {
        if health.is_draining() {
            return Err(NotNow::Leaving);
        }
        let client = http::client_address(request, &trusted);
        limits.check(Bucket::Connect, &client.key()).map_err(|wait| {
            metrics.limited(wait.bucket.as_str());
            NotNow::Limited(wait)
        })
    })
}

pub(super) fn trusted_proxies(config: &Config) -> anyhow::Result<Vec<Network>> {
    let networks = config.http.trusted_proxies.iter();
    let networks = networks
        .map(|network| network.parse().map_err(|e| anyhow::anyhow!("http.trusted_proxies: {e}")));
    networks.collect()
}

/// What front ends ask before they open a Pusher socket.
pub(super) fn realtime(config: &Config, house: &House, clock: &Arc<dyn Clock>) -> Realtime {
    let tokens = Box::new(AccessTokens(Arc::clone(&house.identity)));
    Realtime::new(RealtimeParts {
        apps: house.apps.clone(),
        accounts: house.accounts.clone(),
        verifiers: Verifiers::new([tokens as Box<dyn Verifier>]),
        limits: Arc::clone(&house.limits),
        clock: Arc::clone(clock),
        settings: config.pusher.clone(),
    })
}

pub(super) fn public_http(
    config: &Config,
    house: &House,
    trusted_proxies: Vec<Network>,
    realtime: Realtime,
) -> Router {
    let options = HttpOptions { origins: origins(config), trusted_proxies, realtime };
    http::public_router(house.clone(), options)
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn sessions_see_the_clients_address_behind_trusted_proxies() {
        let shown =
            |ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.ip().to_string() };
        let seen = async |trusted: &[&str]| {
            let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
            let router = Router::new().route("/", axum::routing::get(shown));
            let mut request = Request::new(axum::body::Body::empty());
            let headers = request.headers_mut();
            headers.insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
            let peer = SocketAddr::from(([10, 0, 0, 1], 4_711));
            request.extensions_mut().insert(ConnectInfo(peer));
            let response = behind_proxies(router, trusted).oneshot(request).await.unwrap();
            let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
            String::from_utf8(body.to_vec()).unwrap()
        };
        assert_eq!(seen(&[]).await, "10.0.0.1");
        assert_eq!(seen(&["192.0.2.0/24"]).await, "10.0.0.1");
        assert_eq!(seen(&["10.0.0.0/8"]).await, "203.0.113.9");
    }
}
