//! Building the house: the only place where adapters and ports meet.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use mynah_domain::Timestamp;
use mynah_domain::account::{Accounts, SessionRules};
use mynah_domain::chat::{Chat, ChatLimits, ChatPorts};
use mynah_domain::ports::{
    AccountStore, Clock, CommitListener, IdSource, JournalStore, MessageStore, OpenRoomStore,
    PasswordHasher, RoomStore,
};
use mynah_hub::{Hub, HubConfig, HubStats, Limits};
use mynah_store::sqlite::{SqliteOptions, SqliteStore};
use tokio::sync::watch;

use crate::admin_ui::{AdminUi, AdminUiOptions, AdminUiPorts, Credentials, WithAdmin};
use crate::chat_socket::{self, ChatSockets, Places, Present};
use crate::config::{Config, RateMode};
use crate::deadlines::Deadlines;
use crate::dialects::Dialects;
use crate::dispatch::{Dispatcher, commit_queue};
use crate::engine_io::{
    Admission, Cookie, Edge, EngineOptions, NotNow, Traffic, compact, engine_rules,
};
use crate::health::Health;
use crate::http::{self, HttpOptions, Network};
use crate::identity::{Identity, IdentityRules, Secret};
use crate::live::Live;
use crate::metrics::{Metrics, Sample, SampleKind};
use crate::origin::Origins;
use crate::passwords::{PasswordPool, PasswordRules};
use crate::rate::{Bucket, Rate, RateLimits};
use crate::recovery::Recovery;
use crate::socket_io::SocketIo;
use crate::sockets::Sockets;
use crate::state::House;
use crate::system::{CombIds, SystemClock};
use crate::vocabulary::Vocabularies;

/// Everything that runs.
pub struct Built {
    /// What doors call.
    pub house: House,
    /// The public listener's answers.
    pub public: Router,
    /// The operators' listener's answers.
    pub admin: Router,
    /// Connections, for the end.
    pub hub: Hub,
    /// The store, for the end.
    pub store: Arc<SqliteStore>,
    head: watch::Sender<u64>,
}

impl Built {
    /// Tells everybody where the log stands; before anybody connects.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn begin(&self) -> anyhow::Result<()> {
        let head = self.house.chat.head_pos().await?;
        self.hub.start_pos(head).await;
        self.head.send_modify(|known| *known = head.max(*known));
        Ok(())
    }
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

fn hub(config: &Config) -> Hub {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let interval = Duration::from_millis(config.socketio.ping_interval_ms);
    let timeout = Duration::from_millis(config.socketio.ping_timeout_ms);
    Hub::new(HubConfig {
        shards: u16::try_from(cores).unwrap_or(u16::MAX),
        limits: Limits {
            queue_bytes_max: config.limits.queue_bytes_max,
            queue_frames_max: config.limits.queue_frames_max,
            sessions_max: config.limits.connections_max,
            ..Limits::default()
        },
        dialects: engine_rules(interval, timeout),
        compact: config.socketio.per_message_deflate.then_some(compact),
        ..HubConfig::default()
    })
}

/// Compiles the vocabularies that a configuration names.
///
/// # Errors
/// What is wrong, with file, line and column or the entry.
pub fn dialects(config: &Config) -> anyhow::Result<Arc<Dialects>> {
    let dialects = Dialects::new(vocabularies(config)?, config.socketio.recovery)
        .map_err(anyhow::Error::msg)?;
    let admin = &config.admin_ui;
    if admin.enabled && dialects.first_in(&admin.namespace).is_some() {
        anyhow::bail!(
            "admin_ui.namespace {} is a namespace of the chat: choose another",
            admin.namespace
        );
    }
    Ok(dialects)
}

fn vocabularies(config: &Config) -> anyhow::Result<Vocabularies> {
    let mut own = Vec::new();
    if let Some(folder) = &config.socketio.vocabulary_dir {
        let context = |e| anyhow::anyhow!("socketio.vocabulary_dir {}: {e}", folder.display());
        for entry in std::fs::read_dir(folder).map_err(context)? {
            let path = entry.map_err(context)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).map_err(context)?;
                own.push((path.display().to_string(), text));
            }
        }
        own.sort();
    }
    Ok(Vocabularies::load(&own, &config.socketio.default_dialect)?)
}

fn rates(config: &Config) -> RateLimits {
    match config.limits.rate {
        RateMode::Off => RateLimits::off(),
        RateMode::Standard => {
            let messages = config.limits.messages_per_minute;
            RateLimits::with(move |bucket| match bucket {
                Bucket::Send => Rate { count: messages, window_s: 60 },
                Bucket::LoginAccount
                | Bucket::LoginAddress
                | Bucket::Register
                | Bucket::Refresh
                | Bucket::Typing
                | Bucket::Join
                | Bucket::Change
                | Bucket::Connect => RateLimits::usual(bucket),
            })
        }
    }
}

/// Puts everything together on the current runtime.
///
/// # Errors
/// A sentence that names the setting, file or resource that is wrong.
pub fn build(config: &Config, data_dir: &Path) -> anyhow::Result<Built> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(CombIds);
    let hub = hub(config);
    let dialects = dialects(config)?;
    let deadlines = Deadlines::start();
    let (queue, commits) = commit_queue();
    let listener: Arc<dyn CommitListener> = queue;
    let store = SqliteStore::open(data_dir, &SqliteOptions::default(), listener)?;
    let ports = ChatPorts {
        rooms: Arc::clone(&store) as Arc<dyn RoomStore>,
        messages: Arc::clone(&store) as Arc<dyn MessageStore>,
        journal: Arc::clone(&store) as Arc<dyn JournalStore>,
        clock: Arc::clone(&clock),
        ids: Arc::clone(&ids),
    };
    let limits = ChatLimits { content_chars_max: config.limits.content_chars_max };
    let chat = Chat::new(ports, limits);
    let hasher = hasher(config)?;
    let accounts = accounts(config, &hasher, &store, &clock, &ids);
    let live = Live::start(hub.clone(), Arc::clone(&dialects), chat.clone(), Arc::clone(&clock));
    let (head_sender, head) = watch::channel(0);
    let dispatched = Arc::default();
    let dispatcher = Dispatcher {
        hub: hub.clone(),
        dispatched: Arc::clone(&dispatched),
        dialects: Arc::clone(&dialects),
        live: live.clone(),
        head: head_sender.clone(),
    };
    tokio::spawn(dispatcher.run(commits));
    let metrics = Arc::new(Metrics::new());
    watch_hub(&metrics, &hub);
    watch_store(&metrics, &store);
    watch_live(&metrics, &live);
    let traffic = watched_traffic(&metrics);
    let identity = Identity::new(
        &IdentityRules {
            secret: Secret::new(config.auth.jwt_secret.expose().as_bytes()),
            access_ttl_s: config.auth.access_ttl_s,
            provision_unknown_users: config.auth.provision_unknown_users,
        },
        accounts.clone(),
        Arc::clone(&clock),
    );
    let house = House {
        chat,
        accounts,
        identity: Arc::new(identity),
        live,
        sockets: Sockets::new(hub.clone(), Arc::clone(&dialects)),
        metrics,
        limits: Arc::new(rates(config)),
        health: Arc::new(Health::new(Arc::clone(&store) as _)),
        head,
    };
    let open_rooms: Arc<dyn OpenRoomStore> = Arc::clone(&store) as Arc<dyn OpenRoomStore>;
    let open_rooms_kept_ms = config.socketio.recovery_rooms_s.saturating_mul(1_000);
    let present = Arc::new(Present::default());
    tokio::spawn(keep_open_rooms(
        Arc::clone(&present),
        Arc::downgrade(&open_rooms),
        Arc::clone(&clock),
        open_rooms_kept_ms,
    ));
    let admin_ui = admin_ui(config, &house, (&hub, &traffic), (&hasher, &clock), &dialects);
    let sockets = ChatSockets::new(chat_socket::Parts {
        house: house.clone(),
        dialects,
        places: Places::new(config.limits.connections_per_user_max),
        present: Arc::clone(&present),
        recovery: recovery(config),
        open_rooms: Arc::clone(&open_rooms),
        open_rooms_kept_ms,
        dispatched,
        deadlines: deadlines.clone(),
        clock,
    });
    let trusted = trusted_proxies(config)?;
    let sockets = WithAdmin::new(sockets, admin_ui);
    let public = socket_router(config, sockets, (&hub, &deadlines), (&house, &trusted), traffic)
        .merge(public_http(config, &house, trusted));
    let admin = http::admin_router(house.clone());
    Ok(Built { house, public, admin, hub, store, head: head_sender })
}

fn hasher(config: &Config) -> anyhow::Result<Arc<dyn PasswordHasher>> {
    let mut rules = PasswordRules::default();
    if config.auth.hash_threads > 0 {
        rules.threads = config.auth.hash_threads;
    }
    Ok(Arc::new(PasswordPool::new(rules).map_err(anyhow::Error::msg)?))
}

fn accounts(
    config: &Config,
    hasher: &Arc<dyn PasswordHasher>,
    store: &Arc<SqliteStore>,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdSource>,
) -> Accounts {
    let sessions = SessionRules {
        refresh_ttl_ms: config.auth.refresh_ttl_s.saturating_mul(1_000),
        ..SessionRules::default()
    };
    let store = Arc::clone(store) as Arc<dyn AccountStore>;
    Accounts::new(store, Arc::clone(hasher), Arc::clone(clock), Arc::clone(ids), sessions)
}

/// The Admin UI's namespace, if it is switched on.
fn admin_ui(
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

fn socket_router(
    config: &Config,
    sockets: WithAdmin<ChatSockets>,
    (hub, deadlines): (&Hub, &Deadlines),
    (house, trusted): (&House, &[Network]),
    traffic: Traffic,
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
        cookie: settings.cookie.as_ref().map(Cookie::from),
        origins: origins(config),
        admission: admission(house, trusted.to_vec()),
        traffic,
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

fn trusted_proxies(config: &Config) -> anyhow::Result<Vec<Network>> {
    let networks = config.http.trusted_proxies.iter();
    let networks = networks
        .map(|network| network.parse().map_err(|e| anyhow::anyhow!("http.trusted_proxies: {e}")));
    networks.collect()
}

fn public_http(config: &Config, house: &House, trusted_proxies: Vec<Network>) -> Router {
    let options = HttpOptions { origins: origins(config), trusted_proxies };
    http::public_router(house.clone(), options)
}

fn gauge(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample { name, help, kind: SampleKind::Gauge, value }
}

fn counter(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample { name, help, kind: SampleKind::Counter, value }
}

fn watch_hub(metrics: &Metrics, hub: &Hub) {
    let hub = hub.clone();
    metrics.add_source(move || {
        let stats = hub.stats();
        let mut samples = closes(&stats);
        samples.extend([
            gauge("sessions", "Open connections", stats.sessions),
            gauge("topics", "Topics with subscribers", stats.topics),
            gauge("subscriptions", "Subscriptions", stats.subscriptions),
            gauge("queued_frames", "Frames waiting for slow connections", stats.queued_frames),
            gauge("queued_bytes", "Bytes waiting for slow connections", stats.queued_bytes),
            gauge(
                "kept_frames",
                "Frames kept back while a connection catches up",
                stats.kept_frames,
            ),
            gauge("kept_bytes", "Bytes kept back while a connection catches up", stats.kept_bytes),
            counter("publications", "Publications fanned out", stats.publications),
            counter("deliveries", "Frames written to connections", stats.deliveries),
            counter("write_calls", "Write system calls", stats.write_calls),
            counter(
                "dropped_ephemeral",
                "Typing and presence frames dropped for slow connections",
                stats.dropped_ephemeral,
            ),
        ]);
        samples
    });
}

/// Why connections ended.
fn closes(stats: &HubStats) -> Vec<Sample> {
    vec![
        counter("closed_slow", "Connections closed as too slow", stats.closed_slow),
        counter(
            "closed_ping_timeout",
            "Connections closed because pings were not answered",
            stats.closed_ping_timeout,
        ),
        counter(
            "closed_poll_overlap",
            "Connections closed because they polled twice at once",
            stats.closed_poll_overlap,
        ),
        counter(
            "closed_link_failed",
            "Connections that ended because a write failed",
            stats.closed_link_failed,
        ),
        counter(
            "closed_too_many_subscriptions",
            "Connections closed because they entered too many rooms",
            stats.closed_too_many_subscriptions,
        ),
        counter("closed_peer_gone", "Connections that their peer ended", stats.closed_peer_gone),
        counter(
            "closed_hub_stopped",
            "Connections closed because the process ended",
            stats.closed_hub_stopped,
        ),
        counter(
            "closed_named",
            "Connections closed for other reasons, such as a sign-out or a drain",
            stats.closed_named,
        ),
    ]
}

/// The store is watched without being held: its owner closes it at the end.
fn watch_store(metrics: &Metrics, store: &Arc<SqliteStore>) {
    let store = Arc::downgrade(store);
    metrics.add_source(move || {
        let Some(stats) = store.upgrade().map(|store| store.stats()) else { return Vec::new() };
        vec![
            counter("store_commits", "Commits that are on disk", stats.commits),
            counter("store_failed_commits", "Commits that failed", stats.failed_commits),
            counter("store_writes", "Writes taken from the queue", stats.writes),
            gauge("store_last_batch", "Writes in the last commit", stats.last_batch),
            gauge("store_largest_batch", "Writes in the largest commit", stats.largest_batch),
            gauge("store_write_queue", "Writes waiting", stats.write_queue as u64),
            gauge("store_read_queue", "Reads waiting", stats.read_queue as u64),
            gauge("store_wal_bytes", "Size of the write-ahead log", stats.wal_bytes),
        ]
    });
}

fn watch_live(metrics: &Metrics, live: &Live) {
    let live = live.clone();
    metrics.add_source(move || {
        let help = "Comings and goings not announced because too many waited";
        vec![counter("unannounced_presence", help, live.unannounced())]
    });
}

fn watched_traffic(metrics: &Metrics) -> Traffic {
    let watched = Traffic::default();
    let traffic = watched.clone();
    metrics.add_source(move || {
        let totals = traffic.totals();
        vec![
            counter("sessions_opened", "Connections begun", totals.opened),
            gauge("polling_sessions", "Open connections that poll", totals.polling),
            counter("packets_received", "Messages received, heartbeats aside", totals.packets_in),
            counter("bytes_received", "Bytes of messages received", totals.bytes_in),
        ]
    });
    watched
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_stores_numbers_are_scraped() {
        let folder = tempfile::tempdir().unwrap();
        let built = build(&Config::default(), folder.path()).unwrap();
        let text = built.house.metrics.text().unwrap();
        for line in [
            "\nmynah_sessions 0\n",
            "\nmynah_store_failed_commits_total 0\n",
            "\nmynah_store_write_queue 0\n",
            "\nmynah_store_wal_bytes ",
            "\nmynah_unannounced_presence_total 0\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
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

    #[tokio::test]
    async fn the_admin_uis_namespace_must_not_be_one_of_the_chat() {
        let mut config = Config::default();
        config.admin_ui.namespace = "/mynah".to_owned();
        assert!(dialects(&config).is_ok(), "switched off");
        config.admin_ui.enabled = true;
        let problem = dialects(&config).unwrap_err().to_string();
        assert!(problem.starts_with("admin_ui.namespace /mynah "), "{problem}");
    }
}
