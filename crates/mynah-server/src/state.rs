//! What every door gets.

use std::sync::{Arc, OnceLock};

use mynah_domain::account::Accounts;
use mynah_domain::chat::Chat;
use mynah_domain::recovery::LogEpoch;
use mynah_domain::search::MessageSearch;
use tokio::sync::watch;

use crate::apps::Apps;
use crate::health::Health;
use crate::identity::Identity;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::rate::RateLimits;
use crate::recovery::Reached;
use crate::sockets::Sockets;

/// Handles on everything a door may call; cloning copies handles only.
#[derive(Clone)]
pub struct House {
    /// Rooms, messages, receipts, catch-up.
    pub chat: Chat,
    /// Finding messages.
    pub search: MessageSearch,
    /// What Pusher clients sign in to.
    pub apps: Apps,
    /// Accounts and sign-ins.
    pub accounts: Accounts,
    /// Access tokens.
    pub identity: Arc<Identity>,
    /// Typing and presence.
    pub live: Live,
    /// Live connections.
    pub sockets: Sockets,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Rate limits.
    pub limits: Arc<RateLimits>,
    /// Probes.
    pub health: Arc<Health>,
    /// `pos` of the newest committed event; long polls of `/v1/sync` wait on it.
    pub head: watch::Receiver<u64>,
    /// How far delivery is, where several nodes store.
    pub reached: Reached,
    /// Which life of the log this is; read before anybody connects.
    pub epoch: Arc<OnceLock<LogEpoch>>,
}

impl House {
    /// Which life of the log this is.
    pub fn log_epoch(&self) -> LogEpoch {
        self.epoch.get().copied().unwrap_or_default()
    }
}
