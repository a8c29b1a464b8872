//! Putting a node among others.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::http::Uri;
use mynah_cluster::{InProcess, Limits};
use mynah_domain::NodeId;
use mynah_domain::node::NewNode;
use mynah_domain::ports::{Clock, Commit, IdSource, NodeStore};
use mynah_hub::BrokerEvent;
use tokio::sync::{mpsc, oneshot};

use super::{broker, gauges};
use crate::cluster::directory::Directory;
use crate::cluster::forward::Forwarder;
use crate::cluster::interests::Interests;
use crate::cluster::membership::{self, Membership, Usurped};
use crate::cluster::node::{Inputs, Node, Parts};
use crate::cluster::people::Crowd;
use crate::cluster::voice::Voice;
use crate::cluster::wire::Kind;
use crate::config::Config;
use crate::dispatch::{Dispatcher, HearsFrom};
use crate::ears::{Ears, watch_sign_ins};
use crate::pusher::{Channels, Company};
use crate::state::House;
use crate::stores::Stores;

/// A node that has not begun to listen.
pub(super) struct Newcomer {
    pub(super) interests: Interests,
    pub(super) voice: Voice,
    directory: Directory,
    broker: mpsc::Receiver<BrokerEvent>,
}

/// A node among others.
pub struct Clustered {
    nodes: Arc<dyn NodeStore>,
    directory: Directory,
    voice: Voice,
    usurped: oneshot::Receiver<Usurped>,
}

impl Clustered {
    /// Waits until another process takes this node's place.
    pub async fn usurped(&mut self) -> Usurped {
        match (&mut self.usurped).await {
            Ok(usurped) => usurped,
            // Its task ended with the process.
            Err(_stopped) => std::future::pending().await,
        }
    }

    /// Says goodbye: others need not wait for the lease to run out.
    pub async fn leave(&self) {
        self.voice.call(Kind::Goodbye, Vec::new());
        self.voice.fall_silent();
        membership::leave(&self.nodes, self.directory.own()).await;
        self.voice.broker().stop().await;
    }
}

/// Connects to the broker, if the store may have several nodes.
///
/// # Errors
/// The entry that is wrong.
pub(super) fn newcomer(config: &Config) -> anyhow::Result<Option<Newcomer>> {
    if config.store.url.is_empty() {
        return Ok(None);
    }
    let named = broker::connect(config)?;
    // Else nobody else is there.
    let (broker, events) = named.unwrap_or_else(|| InProcess::new().join(Limits::default()));
    let voice = Voice::new(broker);
    let (interests, directory) = (Interests::default(), Directory::default());
    Ok(Some(Newcomer { interests, voice, directory, broker: events }))
}

/// Begins to deliver: among others, or alone.
///
/// # Errors
/// The store does not let the node take part.
pub(super) async fn begin(
    config: &Config,
    newcomer: Option<Newcomer>,
    parts: (&Stores, &House),
    sources: (&Arc<dyn Clock>, &Arc<dyn IdSource>),
    (dispatcher, channels, commits): (Dispatcher, &Channels, mpsc::Receiver<Commit>),
) -> anyhow::Result<Option<Clustered>> {
    let Some(newcomer) = newcomer else {
        tokio::spawn(dispatcher.run(commits));
        return Ok(None);
    };
    newcomer.begin(config, parts, sources, (dispatcher, channels, commits)).await.map(Some)
}

impl Newcomer {
    /// Which node this is.
    pub(super) fn directory(&self) -> Directory {
        self.directory.clone()
    }

    /// The way to the sessions of the other nodes.
    pub(super) fn forwarder(&self) -> Forwarder {
        Forwarder::new(self.directory.clone())
    }

    /// Takes part from now on.
    ///
    /// # Errors
    /// The store does not let the node take part.
    async fn begin(
        self,
        config: &Config,
        (stores, house): (&Stores, &House),
        (clock, ids): (&Arc<dyn Clock>, &Arc<dyn IdSource>),
        (dispatcher, channels, commits): (Dispatcher, &Channels, mpsc::Receiver<Commit>),
    ) -> anyhow::Result<Clustered> {
        let Self { interests, voice, directory, broker } = self;
        let settings = &config.cluster;
        let is_named = !settings.node_id.is_empty();
        let id = if is_named { settings.node_id.clone() } else { ids.id(clock.now()) };
        let address = match settings.advertise.as_str() {
            "" => membership::own_address(towards(config).await, config.server.port).to_string(),
            given => given.to_owned(),
        };
        let store = stores.clone();
        let parts = membership::Parts {
            nodes: Arc::clone(&stores.nodes),
            directory: directory.clone(),
            voice: voice.clone(),
            take_place: Box::new(move |lease| store.take_place(lease)),
            fenced: stores.fenced(),
        };
        let node = NewNode { id: NodeId::trusted(id), address };
        let membership = Membership::join(parts, node, is_named).await;
        let membership = membership.context("this node cannot take part in the cluster")?;
        if !settings.has_broker() && directory.all().len() > 1 {
            tracing::error!(
                "another node uses this database and no broker is set: messages of one do not reach the \
                 other's clients; set REDIS_URL or NATS_URL on all nodes"
            );
        }
        let (told, usurped) = oneshot::channel();
        tokio::spawn(async move {
            let usurped = membership.keep().await;
            // Nobody listens only while the process ends.
            drop(told.send(usurped));
        });
        let parts = Parts {
            dispatcher: Dispatcher { hears_from: Some(hears_from(&interests)), ..dispatcher },
            voice: voice.clone(),
            directory: directory.clone(),
            interests: interests.clone(),
            reached: house.reached.clone(),
            feed: Arc::clone(&stores.feed),
        };
        let (node, words, stats) = Node::new(parts, house.chat.head_pos().await?);
        gauges::watch_cluster(&house.metrics, &voice, &stats);
        let crowd = Crowd::new(voice.clone());
        house.live.connect(voice.clone(), crowd.clone());
        let ways = (voice.clone(), crowd.clone(), interests.clone());
        channels.connect(Company::new(ways, house.apps.clone(), Arc::clone(&stores.feed)));
        tokio::spawn(node.run(Inputs { commits, broker }));
        let ears = Ears {
            live: house.live.clone(),
            sockets: house.sockets.clone(),
            crowd,
            channels: channels.clone(),
            stats,
        };
        tokio::spawn(ears.listen(words));
        let accounts = (Arc::clone(&stores.accounts), Arc::clone(clock));
        tokio::spawn(watch_sign_ins((interests, voice.clone()), accounts, house.sockets.clone()));
        Ok(Clustered { nodes: Arc::clone(&stores.nodes), directory, voice, usurped })
    }
}

/// Where the others are, as far as this machine's own address is concerned: where the database is.
async fn towards(config: &Config) -> Option<SocketAddr> {
    let url: Uri = config.store.url.expose().parse().ok()?;
    let host = url.host()?.trim_matches(['[', ']']).to_owned();
    let mut found = tokio::net::lookup_host((host, url.port_u16().unwrap_or(5432))).await.ok()?;
    found.next()
}

fn hears_from(interests: &Interests) -> HearsFrom {
    let interests = interests.clone();
    Box::new(move |topic, pos| interests.start_after(topic, pos))
}
