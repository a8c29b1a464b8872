//! Building the house: the only place where adapters and ports meet.

pub(crate) mod broker;
pub(crate) mod cluster;
mod doors;
mod gauges;
mod pusher;
mod search;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use mynah_domain::account::{Accounts, SessionRules};
use mynah_domain::chat::{Chat, ChatLimits, ChatPorts};
use mynah_domain::ports::{Clock, CommitListener, IdSource, PasswordHasher};
use mynah_hub::{Hub, HubConfig, Interest, Limits};
use tokio::sync::watch;

use crate::admin_ui::WithAdmin;
use crate::apps::{Apps, SealedApps};
use crate::cluster::interests::Interests;
use crate::config::interop::InteropFormat;
use crate::config::{Config, RateMode};
use crate::deadlines::Deadlines;
use crate::dialects::Dialects;
use crate::dispatch::{Dispatcher, commit_queue};
use crate::engine_io::{compact, engine_rules};
use crate::health::Health;
use crate::http;
use crate::identity::{Identity, IdentityRules, Secret};
use crate::indexer::Indexer;
use crate::interop::{Interop, Relays, interest};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::passwords::{PasswordPool, PasswordRules};
use crate::pusher::webhooks::PusherWebhooks;
use crate::pusher::{Channels, ThreadParts, Threads, pusher_rules};
use crate::rate::{Bucket, Rate, RateLimits};
use crate::recovery::Reached;
use crate::relay::Relay;
use crate::sockets::Sockets;
use crate::state::House;
use crate::stores::Stores;
use crate::system::{CombIds, SystemClock};
use crate::vocabulary::Vocabularies;

pub use broker::check as check_broker;
pub use cluster::Clustered;
use cluster::Newcomer;
use doors::ChatDoor;

/// Everything that runs.
pub struct Built {
    /// What doors call.
    pub house: House,
    /// The public listener's answers.
    pub public: Router,
    /// The operators' listener's answers.
    pub admin: Router,
    /// The answers of the listener on `pusher.port`.
    pub pusher: Option<Router>,
    /// The answers of the listener on `pusher.metrics_port`.
    pub pusher_metrics: Option<Router>,
    /// What goes on beside the doors, for the end.
    beside: Beside,
    /// Connections, for the end.
    pub hub: Hub,
    /// The store, for the end.
    pub stores: Stores,
    /// The other nodes, if there may be any.
    pub cluster: Option<Clustered>,
    head: watch::Sender<u64>,
}

/// What goes on beside the doors: who is told things outside, and what follows the log.
struct Beside {
    webhooks: Option<PusherWebhooks>,
    interop: Option<Interop>,
    indexer: Indexer,
}

impl Built {
    /// Says what is left to be said to back ends, Node servers and the other nodes, and leaves them.
    pub async fn leave(&self) {
        self.beside.indexer.stop().await;
        if let Some(webhooks) = &self.beside.webhooks {
            webhooks.stop().await;
        }
        if let Some(interop) = &self.beside.interop {
            interop.stop().await;
        }
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
    }

    /// Tells everybody where the log stands; before anybody connects.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn begin(&self) -> anyhow::Result<()> {
        let head = self.house.chat.head_pos().await?;
        let epoch = self.house.chat.log_epoch().await?;
        self.house.epoch.get_or_init(|| epoch);
        self.house.apps.check().await?;
        self.hub.start_pos(head).await;
        self.head.send_modify(|known| *known = head.max(*known));
        Ok(())
    }
}

fn hub(config: &Config, interest: Option<Arc<dyn Interest>>) -> Hub {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let interval = Duration::from_millis(config.socketio.ping_interval_ms);
    let timeout = Duration::from_millis(config.socketio.ping_timeout_ms);
    let mut rules = engine_rules(interval, timeout);
    rules.push(pusher_rules(config.pusher.activity_timeout_s));
    let config = HubConfig {
        shards: u16::try_from(cores).unwrap_or(u16::MAX),
        limits: Limits {
            queue_bytes_max: config.limits.queue_bytes_max,
            queue_frames_max: config.limits.queue_frames_max,
            sessions_max: config.limits.connections_max,
            ..Limits::default()
        },
        dialects: rules,
        compact: config.socketio.per_message_deflate.then_some(compact),
        ..HubConfig::default()
    };
    match interest {
        Some(interest) => Hub::watched(config, interest),
        None => Hub::new(config),
    }
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
                | Bucket::Search
                | Bucket::Connect
                | Bucket::Subscribe => RateLimits::usual(bucket),
            })
        }
    }
}

/// Everything that tells what happens.
struct Hearing {
    channels: Channels,
    threads: Threads,
    live: Live,
    dispatcher: Dispatcher,
}

fn hearing(
    config: &Config,
    (hub, dialects): (&Hub, &Arc<Dialects>),
    (chat, accounts): (&Chat, &Accounts),
    (clock, interop): (&Arc<dyn Clock>, Option<&Interop>),
) -> Hearing {
    let channels = Channels::new(hub.clone(), &config.pusher);
    let threads = Threads::new(ThreadParts {
        hub: hub.clone(),
        dialects: Arc::clone(dialects),
        chat: chat.clone(),
        accounts: accounts.clone(),
        channels: channels.clone(),
        clock: Arc::clone(clock),
    });
    let told: Vec<Arc<dyn Relay>> = match interop {
        Some(interop) => vec![Arc::new(threads.clone()), Arc::new(interop.clone())],
        None => vec![Arc::new(threads.clone())],
    };
    let relay: Option<Arc<dyn Relay>> = Some(Arc::new(Relays(told)));
    let (all, now) = (Arc::clone(dialects), Arc::clone(clock));
    let live = Live::start(hub.clone(), all, chat.clone(), now, relay.clone());
    let dispatcher = Dispatcher {
        hub: hub.clone(),
        dispatched: Arc::default(),
        dialects: Arc::clone(dialects),
        live: live.clone(),
        relay,
        hears_from: None,
        head: watch::channel(0).0,
    };
    Hearing { channels, threads, live, dispatcher }
}

/// Puts everything together on the current runtime.
///
/// # Errors
/// A sentence that names the setting, file or resource that is wrong.
pub async fn build(config: &Config, data_dir: &Path) -> anyhow::Result<Built> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(CombIds);
    let newcomer = cluster::newcomer(config)?;
    let (hub, rooms) = watched_hub(config, newcomer.as_ref());
    let dialects = dialects(config)?;
    let deadlines = Deadlines::start();
    let (queue, commits) = commit_queue();
    let listener: Arc<dyn CommitListener> = queue;
    let stores = Stores::open(&config.store, data_dir, listener).await?;
    let chat = chat(config, &stores, &clock, &ids);
    let hasher = hasher(config)?;
    let accounts = accounts(config, &hasher, &stores, &clock, &ids);
    let interop = interop(config, (&hub, &dialects), (newcomer.as_ref(), rooms))?;
    let told = (&clock, interop.as_ref());
    let Hearing { channels, threads, live, dispatcher } =
        hearing(config, (&hub, &dialects), (&chat, &accounts), told);
    let (head_sender, head) = (dispatcher.head.clone(), dispatcher.head.subscribe());
    let dispatched = Arc::clone(&dispatcher.dispatched);
    let metrics = Arc::new(Metrics::new());
    let traffic = gauges::watched_traffic(&metrics);
    gauges::watch(&metrics, (&hub, &stores, &live), interop.as_ref());
    let identity = Arc::new(identity(config, &accounts, &clock));
    let voice = newcomer.as_ref().map(|newcomer| newcomer.voice.clone());
    let house = House {
        apps: apps(config, &stores, &clock)?,
        chat,
        search: search::message_search(&stores),
        identity: Arc::clone(&identity),
        accounts,
        live,
        sockets: Sockets::new(hub.clone(), Arc::clone(&dialects), identity, voice),
        metrics,
        limits: Arc::new(rates(config)),
        health: Arc::new(Health::new(Arc::clone(&stores.journal))),
        head,
        reached: Reached::default(),
        epoch: Arc::default(),
    };
    let forwarder = newcomer.as_ref().map(Newcomer::forwarder);
    let (parts, sources) = ((&stores, &house), (&clock, &ids));
    let heard = (dispatcher, &channels, commits);
    let cluster = cluster::begin(config, newcomer, parts, sources, heard).await?;
    let webhooks = pusher::webhooks(config, &stores, &house, (&clock, &ids), &channels);
    let admin_ui = doors::admin_ui(config, &house, (&hub, &traffic), (&hasher, &clock), &dialects);
    let realtime = doors::realtime(config, &house, &clock);
    let open_rooms = Arc::clone(&stores.open_rooms);
    let (waits, beside) = (deadlines.clone(), interop.clone());
    let door =
        ChatDoor { dialects, open_rooms, dispatched, deadlines: waits, clock, interop: beside };
    let trusted = doors::trusted_proxies(config)?;
    let parts = pusher::parts(config, &house, (channels, threads), (&deadlines, &door.clock));
    let pusher = pusher::routers(config, parts, (&house, &trusted));
    let sockets = doors::chat_sockets(config, &house, door);
    let sockets = WithAdmin::new(sockets, admin_ui);
    let (hubs, askers) = ((&hub, &deadlines), (&house, &trusted[..]));
    let public = doors::socket_router(config, sockets, hubs, askers, (traffic, forwarder))
        .merge(pusher.public)
        .merge(doors::public_http(config, &house, trusted, realtime.clone()));
    let operators = http::operators_router(realtime);
    let admin = http::admin_router(house.clone()).merge(operators).merge(pusher.admin);
    let (head, pusher, pusher_metrics) = (head_sender, pusher.own, pusher.metrics);
    let indexer = search::begin(&house.metrics, &stores, house.head.clone());
    let beside = Beside { webhooks, interop, indexer };
    Ok(Built { house, public, admin, pusher, pusher_metrics, beside, hub, stores, cluster, head })
}

/// The hub, and what tells which Socket.IO rooms have sockets here if Node servers need to know.
fn watched_hub(config: &Config, newcomer: Option<&Newcomer>) -> (Hub, Option<Interests>) {
    let rooms = has_room_channels(config).then(Interests::default);
    let interests = newcomer.map(|newcomer| newcomer.interests.clone());
    (hub(config, interest(interests, rooms.clone())), rooms)
}

/// The place among Node Socket.IO servers, if there are any.
fn interop(
    config: &Config,
    (hub, dialects): (&Hub, &Arc<Dialects>),
    (newcomer, rooms): (Option<&Newcomer>, Option<Interests>),
) -> anyhow::Result<Option<Interop>> {
    if config.interop.redis_url.is_empty() {
        return Ok(None);
    }
    let nodes = newcomer.map(Newcomer::directory);
    let interop = Interop::new(&config.interop, (hub, dialects), nodes)?;
    interop.join(&config.interop).map_err(|error| anyhow::anyhow!("interop.{error}"))?;
    if let Some(rooms) = rooms {
        tokio::spawn(interop.clone().follow(rooms));
    }
    Ok(Some(interop))
}

/// Whether Node servers send what is for a Socket.IO room over a channel of its own.
fn has_room_channels(config: &Config) -> bool {
    let interop = &config.interop;
    !interop.redis_url.is_empty() && interop.format == InteropFormat::Sharded
}

fn chat(config: &Config, stores: &Stores, clock: &Arc<dyn Clock>, ids: &Arc<dyn IdSource>) -> Chat {
    let ports = ChatPorts {
        rooms: Arc::clone(&stores.rooms),
        messages: Arc::clone(&stores.messages),
        journal: Arc::clone(&stores.journal),
        clock: Arc::clone(clock),
        ids: Arc::clone(ids),
    };
    Chat::new(ports, ChatLimits { content_chars_max: config.limits.content_chars_max })
}

fn apps(config: &Config, stores: &Stores, clock: &Arc<dyn Clock>) -> anyhow::Result<Apps> {
    let configured: Result<_, _> = config.pusher.configured_apps().into_iter().collect();
    let configured = configured.map_err(|problem| anyhow::anyhow!("pusher.apps: {problem}"))?;
    let fallback = config.pusher.development_app(config.env);
    let sealed = Arc::new(SealedApps::new(Arc::clone(&stores.apps), &config.auth.encryption_key));
    let ttl = Duration::from_secs(config.pusher.app_cache_ttl_s);
    Ok(Apps::new(configured, fallback, (sealed, ttl), Arc::clone(clock)))
}

fn identity(config: &Config, accounts: &Accounts, clock: &Arc<dyn Clock>) -> Identity {
    let rules = IdentityRules {
        secret: Secret::new(config.auth.jwt_secret.expose().as_bytes()),
        access_ttl_s: config.auth.access_ttl_s,
        provision_unknown_users: config.auth.provision_unknown_users,
    };
    Identity::new(&rules, accounts.clone(), Arc::clone(clock))
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
    stores: &Stores,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn IdSource>,
) -> Accounts {
    let sessions = SessionRules {
        refresh_ttl_ms: config.auth.refresh_ttl_s.saturating_mul(1_000),
        ..SessionRules::default()
    };
    Accounts::new(
        Arc::clone(&stores.accounts),
        Arc::clone(hasher),
        Arc::clone(clock),
        Arc::clone(ids),
        sessions,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_stores_numbers_are_scraped() {
        let folder = tempfile::tempdir().unwrap();
        let built = build(&Config::default(), folder.path()).await.unwrap();
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
    async fn the_admin_uis_namespace_must_not_be_one_of_the_chat() {
        let mut config = Config::default();
        config.admin_ui.namespace = "/mynah".to_owned();
        assert!(dialects(&config).is_ok(), "switched off");
        config.admin_ui.enabled = true;
        let problem = dialects(&config).unwrap_err().to_string();
        assert!(problem.starts_with("admin_ui.namespace /mynah "), "{problem}");
    }
}
