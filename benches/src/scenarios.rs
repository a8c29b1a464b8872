//! The scenarios, each printing one table.

mod crowd;
mod durable;
mod fanout;
mod history;
mod idle;
mod nodes;
mod pusher;
mod saturation;
mod start;
mod storm;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::launch::{MynahSetup, Server};
use crate::report::Table;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// One room of 1,000 members, 50 messages a second.
    A,
    /// One room of 20 members, 5,000 messages a second in bursts.
    ABurst,
    /// 500 rooms of 10 members, 2,000 messages a second.
    B,
    /// The same at 10,000 messages a second.
    C,
    /// B with PostgreSQL as the store.
    BPostgres,
    /// C with PostgreSQL as the store.
    CPostgres,
    /// The highest rate of deliveries, everything stored and acknowledged.
    Saturation,
    /// Memory of 5,000 idle sessions in three rooms each.
    Idle,
    /// 5,000 connects, 128 under way.
    Storm,
    /// Many senders, each waiting for its acknowledgement; and one alone.
    Durable,
    /// Pages of 50 over HTTP.
    History,
    /// Pusher: one channel of 1,000 sockets, 50 events a second over HTTP.
    PusherA,
    /// Pusher: 500 channels of 10 sockets, 2,000 events a second over HTTP.
    PusherB,
    /// Pusher: the same, as client events.
    PusherClient,
    /// Pusher: memory of 5,000 idle sockets in three channels each.
    PusherIdle,
    /// Three Mynah nodes on one PostgreSQL and Redis.
    NodesRedis,
    /// Three Mynah nodes on one PostgreSQL and NATS.
    NodesNats,
    /// Three Node Socket.IO servers with the Redis adapter, without a store.
    NodesNode,
    /// Cold start and binary size.
    Start,
    /// All of them.
    All,
}

const ALL: [Scenario; 19] = [
    Scenario::Start,
    Scenario::A,
    Scenario::ABurst,
    Scenario::B,
    Scenario::C,
    Scenario::BPostgres,
    Scenario::CPostgres,
    Scenario::Saturation,
    Scenario::Idle,
    Scenario::Storm,
    Scenario::Durable,
    Scenario::History,
    Scenario::PusherA,
    Scenario::PusherB,
    Scenario::PusherClient,
    Scenario::PusherIdle,
    Scenario::NodesRedis,
    Scenario::NodesNats,
    Scenario::NodesNode,
];

impl Scenario {
    /// What was asked for, in a fixed order and each once.
    pub(crate) fn chosen(asked: &[Self]) -> Vec<Self> {
        let all = asked.is_empty() || asked.contains(&Self::All);
        ALL.into_iter().filter(|scenario| all || asked.contains(scenario)).collect()
    }

    /// How long it may take.
    pub(crate) fn limit_s(self, context: &Context) -> u64 {
        // On a slow disk, making rooms and members takes most of it.
        let is_on_nodes = matches!(self, Self::NodesRedis | Self::NodesNats | Self::NodesNode);
        let is_long =
            matches!(self, Self::BPostgres | Self::CPostgres) || context.history_messages > 100_000;
        if is_on_nodes {
            480
        } else if is_long {
            240
        } else {
            90
        }
    }

    pub(crate) fn run(self, context: &mut Context) -> Result<Table> {
        match self {
            Self::A => fanout::a(context),
            Self::ABurst => fanout::a_burst(context),
            Self::B => fanout::b(context),
            Self::C => fanout::c(context),
            Self::BPostgres => fanout::b_postgres(context),
            Self::CPostgres => fanout::c_postgres(context),
            Self::Saturation => saturation::run(context),
            Self::Idle => idle::run(context),
            Self::Storm => storm::run(context),
            Self::Durable => durable::run(context),
            Self::History => history::run(context),
            Self::PusherA => pusher::a(context),
            Self::PusherB => pusher::b(context),
            Self::PusherClient => pusher::client(context),
            Self::PusherIdle => pusher::idle(context),
            Self::NodesRedis => nodes::redis(context),
            Self::NodesNats => nodes::nats(context),
            Self::NodesNode => nodes::node(context),
            Self::Start | Self::All => start::run(context),
        }
    }
}

/// How Mynah delivers, found out once per run by sending one message.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Length of a delivered frame.
    pub(crate) frame_bytes: usize,
    /// Whether the sender gets its own message besides the acknowledgement.
    pub(crate) echo: bool,
}

/// What all scenarios share.
pub(crate) struct Context {
    pub(crate) setup: MynahSetup,
    /// Holds all data directories; removed at the end.
    pub(crate) work: PathBuf,
    pub(crate) quick: bool,
    pub(crate) history_messages: u64,
    pub(crate) sessions: u32,
    shape: Option<Shape>,
}

static DIRECTORIES: AtomicU64 = AtomicU64::new(0);

impl Context {
    pub(crate) fn new(setup: MynahSetup, work: PathBuf, quick: bool) -> Self {
        let (history_messages, sessions) = if quick { (10_000, 1_000) } else { (100_000, 5_000) };
        Self { setup, work, quick, history_messages, sessions, shape: None }
    }

    /// A fresh data directory.
    pub(crate) fn data(&self) -> Result<PathBuf> {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let path = self.work.join(format!("data-{number}"));
        std::fs::create_dir(&path).context("cannot make a data directory")?;
        Ok(path)
    }

    /// Seconds of a full run, or of a quick one.
    pub(crate) fn seconds(&self, full: f64, quick: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { quick } else { full })
    }

    pub(crate) fn floor(&mut self) -> Result<Server> {
        let shape = self.shape()?;
        Server::floor(shape.frame_bytes, &self.work)
    }

    /// Sends one message in a room of two to see how it is delivered.
    pub(crate) fn shape(&mut self) -> Result<Shape> {
        if let Some(shape) = self.shape {
            return Ok(shape);
        }
        let shape = crowd::probe(self).context("probe")?;
        self.shape = Some(shape);
        Ok(shape)
    }
}
