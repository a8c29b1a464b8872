//! A house on stores that live in memory, for tests of the doors.

mod accounts;
mod chat;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use mynah_domain::account::{Accounts, SessionRules, User};
use mynah_domain::chat::{Chat, ChatLimits, ChatPorts};
use mynah_domain::event::Event;
use mynah_domain::message::Message;
use mynah_domain::ports::{Clock, IdSource, StoreError};
use mynah_domain::room::{Membership, Room};
use mynah_domain::{SessionFamily, Timestamp, UserId};
use mynah_hub::{Hub, HubConfig};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::dialects::Dialects;
use crate::health::Health;
use crate::identity::{Identity, IdentityRules, Secret};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::passwords::{PasswordPool, PasswordRules};
use crate::rate::RateLimits;
use crate::sockets::Sockets;
use crate::state::House;
use crate::vocabulary::Vocabularies;

pub(crate) const SECRET: &[u8] = b"a secret of at least 32 bytes, for tests";
/// 2026-11-21T10:00:00.000Z
pub(crate) const NOW: i64 = 1_795_255_200_000;

/// Everything stored, and how the store fails if it should.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) users: Vec<(User, Option<String>)>,
    pub(crate) sign_ins: Vec<SignIn>,
    pub(crate) rooms: Vec<Room>,
    pub(crate) members: Vec<Membership>,
    pub(crate) messages: Vec<Message>,
    pub(crate) events: Vec<Event>,
    pub(crate) fails: Option<StoreError>,
    pub(crate) reads: u64,
}

pub(crate) struct SignIn {
    pub(crate) family: SessionFamily,
    pub(crate) user: UserId,
    pub(crate) alive: bool,
    pub(crate) fingerprints: Vec<String>,
}

/// The stores and sources.
pub(crate) struct World {
    pub(crate) stored: Mutex<Stored>,
    pub(crate) now: AtomicI64,
    ids: AtomicU64,
    pub(crate) head: watch::Sender<u64>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            stored: Mutex::default(),
            now: AtomicI64::new(NOW),
            ids: AtomicU64::new(0),
            head: watch::Sender::new(0),
        })
    }

    pub(crate) fn house(self: &Arc<Self>) -> House {
        let rules = PasswordRules { memory_kib: 64, passes: 1, threads: 2, queue_max: 64 };
        let accounts = Accounts::new(
            Arc::clone(self) as _,
            Arc::new(PasswordPool::new(rules).unwrap()),
            Arc::clone(self) as _,
            Arc::clone(self) as _,
            SessionRules::default(),
        );
        let ports = ChatPorts {
            rooms: Arc::clone(self) as _,
            messages: Arc::clone(self) as _,
            journal: Arc::clone(self) as _,
            clock: Arc::clone(self) as _,
            ids: Arc::clone(self) as _,
        };
        let chat = Chat::new(ports, ChatLimits::default());
        let hub = Hub::new(HubConfig::default());
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), false).unwrap();
        let sockets = Sockets::new(hub.clone(), Arc::clone(&dialects));
        House {
            live: Live::start(hub, dialects, chat.clone(), Arc::clone(self) as _),
            sockets,
            chat,
            identity: Arc::new(self.identity(accounts.clone(), false)),
            accounts,
            metrics: Arc::new(Metrics::new()),
            limits: Arc::new(RateLimits::off()),
            health: Arc::new(Health::new(Arc::clone(self) as _)),
            head: self.head.subscribe(),
        }
    }

    pub(crate) fn identity(self: &Arc<Self>, accounts: Accounts, provision: bool) -> Identity {
        let rules = IdentityRules {
            secret: Secret::new(SECRET),
            access_ttl_s: 900,
            provision_unknown_users: provision,
        };
        Identity::new(&rules, accounts, Arc::clone(self) as _)
    }

    pub(crate) fn pass(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }
}

impl IdSource for World {
    fn id(&self, _now: Timestamp) -> String {
        format!("id-{}", self.ids.fetch_add(1, Ordering::Relaxed))
    }

    fn secret(&self) -> String {
        format!("secret-{}", self.ids.fetch_add(1, Ordering::Relaxed))
    }

    fn fingerprint(&self, secret: &str) -> String {
        format!("fingerprint of {secret}")
    }
}
