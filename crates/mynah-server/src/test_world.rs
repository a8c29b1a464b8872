//! A house on stores that live in memory, for tests of the doors.

use std::sync::Arc;

use mynah_domain::account::{Accounts, SessionRules};
use mynah_domain::app::{App, AppKey, AppSecret};
use mynah_domain::chat::{Chat, ChatLimits, ChatPorts};
use mynah_domain::event::{CatchUp, Stream};
use mynah_domain::ports::{Commit, CommitListener, FeedStore, StoreError};
use mynah_domain::search::MessageSearch;
use mynah_domain::{AppId, TenantId, Timestamp};
use mynah_hub::{Hub, HubConfig};
use mynah_testkit::{CountingIds, ManualClock, MemoryStore};
use tokio::sync::watch;

use crate::apps::Apps;
use crate::config::{PusherConfig, Stage};
use crate::dialects::Dialects;
use crate::health::Health;
use crate::identity::{AccessTokens, Identity, IdentityRules, Secret, Verifier, Verifiers};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::passwords::{PasswordPool, PasswordRules};
use crate::rate::RateLimits;
use crate::realtime::{Realtime, RealtimeParts};
use crate::recovery::Reached;
use crate::sockets::Sockets;
use crate::state::House;
use crate::vocabulary::Vocabularies;

pub(crate) const SECRET: &[u8] = b"a secret of at least 32 bytes, for tests";
pub(crate) const APP_KEY: &str = "app-key";
pub(crate) const APP_SECRET: &str = "app-secret";
/// 2026-11-21T10:00:00.000Z
pub(crate) const NOW: i64 = 1_795_255_200_000;

/// Tells where the log ends, as the dispatcher does.
struct Head(watch::Sender<u64>);

impl CommitListener for Head {
    fn committed(&self, mut commit: Commit) {
        if let Some(last) = commit.take_events().last() {
            self.0.send_replace(last.pos);
        }
    }
}

/// Nothing durable is said.
pub(crate) struct Silence;

#[async_trait::async_trait]
impl FeedStore for Silence {
    async fn stream_events(
        &self,
        _: &TenantId,
        _: &Stream,
        _: u64,
        _: u32,
    ) -> Result<CatchUp, StoreError> {
        Ok(CatchUp { events: Vec::new(), head_seq: 0, gap: false })
    }

    async fn settled_pos(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn heads(&self, streams: &[(TenantId, Stream)]) -> Result<Vec<u64>, StoreError> {
        Ok(vec![0; streams.len()])
    }
}

/// The stores and sources.
pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<ManualClock>,
    ids: Arc<CountingIds>,
    head: watch::Receiver<u64>,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let (head, heads) = watch::channel(0);
        Arc::new(Self {
            store: MemoryStore::new(Arc::new(Head(head))),
            clock: Arc::new(ManualClock::at(Timestamp(NOW))),
            ids: Arc::default(),
            head: heads,
        })
    }

    pub(crate) fn house(&self) -> House {
        let rules = PasswordRules { memory_kib: 64, passes: 1, threads: 2, queue_max: 64 };
        let accounts = Accounts::new(
            Arc::clone(&self.store) as _,
            Arc::new(PasswordPool::new(rules).unwrap()),
            Arc::clone(&self.clock) as _,
            Arc::clone(&self.ids) as _,
            SessionRules::default(),
        );
        let ports = ChatPorts {
            rooms: Arc::clone(&self.store) as _,
            messages: Arc::clone(&self.store) as _,
            journal: Arc::clone(&self.store) as _,
            clock: Arc::clone(&self.clock) as _,
            ids: Arc::clone(&self.ids) as _,
        };
        let chat = Chat::new(ports, ChatLimits::default());
        let hub = Hub::new(HubConfig::default());
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), false).unwrap();
        let identity = Arc::new(self.identity(accounts.clone(), false));
        let sockets = Sockets::new(hub.clone(), Arc::clone(&dialects), Arc::clone(&identity), None);
        let app = PusherConfig::default().development_app(Stage::Development);
        House {
            live: Live::start(hub, dialects, chat.clone(), Arc::clone(&self.clock) as _, None),
            apps: Apps::configured(app, Arc::clone(&self.clock) as _),
            sockets,
            chat,
            search: MessageSearch::new(Arc::clone(&self.store) as _),
            identity,
            accounts,
            metrics: Arc::new(Metrics::new()),
            limits: Arc::new(RateLimits::off()),
            health: Arc::new(Health::new(Arc::clone(&self.store) as _)),
            head: self.head.clone(),
            reached: Reached::default(),
            epoch: Arc::default(),
        }
    }

    /// What front ends ask before they open a Pusher socket, with one app of the default tenant.
    pub(crate) fn realtime(&self, house: &House) -> Realtime {
        let key = AppKey {
            key: APP_KEY.to_owned(),
            secret: AppSecret::new(APP_SECRET),
            created_at: Timestamp(NOW),
            expires_at: None,
        };
        let app = App::new(AppId::trusted("app-id"), TenantId::single(), key);
        self.realtime_of(house, [app], PusherConfig::default())
    }

    /// The same, with these apps and settings.
    pub(crate) fn realtime_of(
        &self,
        house: &House,
        apps: impl IntoIterator<Item = App>,
        settings: PusherConfig,
    ) -> Realtime {
        let tokens = Box::new(AccessTokens(Arc::clone(&house.identity)));
        Realtime::new(RealtimeParts {
            apps: Apps::configured(apps, Arc::clone(&self.clock) as _),
            accounts: house.accounts.clone(),
            verifiers: Verifiers::new([tokens as Box<dyn Verifier>]),
            limits: Arc::clone(&house.limits),
            clock: Arc::clone(&self.clock) as _,
            settings,
        })
    }

    pub(crate) fn identity(&self, accounts: Accounts, provision: bool) -> Identity {
        let rules = IdentityRules {
            secret: Secret::new(SECRET),
            access_ttl_s: 900,
            provision_unknown_users: provision,
        };
        Identity::new(&rules, accounts, Arc::clone(&self.clock) as _)
    }
}
