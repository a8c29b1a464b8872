//! The programs under test: nodes, database and broker, with a proxy on every way between them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use mynah_testkit::programs::{Data, Mynah, MynahSetup, Nats, Postgres, Redis};
use mynah_testkit::proxy::{Mode, Proxy};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::http::Http;
use crate::token;

/// What carries messages between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BrokerKind {
    Redis,
    Nats,
}

/// Where messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StoreKind {
    Postgres,
    Sqlite,
}

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct SiteSetup {
    pub(crate) binary: PathBuf,
    pub(crate) nodes: usize,
    pub(crate) store: StoreKind,
    pub(crate) broker: BrokerKind,
}

/// Heartbeat of the nodes under test: short, so that half-open connections are found while a test waits.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(3);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a node may take to leave.
pub(crate) const DRAIN_S: u64 = 10;
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// A running broker.
pub(crate) enum Broker {
    Redis(Redis),
    Nats(Nats),
}

impl Broker {
    fn start(kind: BrokerKind) -> Result<Self> {
        Ok(match kind {
            BrokerKind::Redis => Self::Redis(Redis::start()?),
            BrokerKind::Nats => Self::Nats(Nats::start()?),
        })
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Redis(redis) => redis.port(),
            Self::Nats(nats) => nats.port(),
        }
    }

    fn variable(&self, port: u16) -> (String, String) {
        match self {
            Self::Redis(redis) => ("REDIS_URL".to_owned(), redis.url(port)),
            Self::Nats(nats) => ("NATS_URL".to_owned(), nats.url(port)),
        }
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        let killed = match self {
            Self::Redis(redis) => redis.kill(),
            Self::Nats(nats) => nats.kill(),
        };
        Ok(killed?)
    }

    /// Starts it again without data.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let started = match self {
            Self::Redis(redis) => redis.restart(Data::Lost),
            Self::Nats(nats) => nats.restart(),
        };
        Ok(started?)
    }
}

/// A node with the proxies around it.
pub(crate) struct Node {
    pub(crate) program: Mynah,
    /// In front of it, for clients whose connections are to be harmed.
    pub(crate) entry: Proxy,
    pub(crate) entry_address: SocketAddr,
    /// Between it and PostgreSQL.
    pub(crate) store_link: Option<Proxy>,
    /// Between it and the broker.
    pub(crate) broker_link: Option<Proxy>,
}

impl Node {
    /// Where clients reach it directly.
    pub(crate) fn address(&self) -> SocketAddr {
        local(self.program.port())
    }

    /// A value of its metrics, all label sets added up; `None` if it has no such metric.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let mut http = Http::new(local(self.program.admin_port()), "");
        let answer = http.call("GET", "/metrics", None, ASK_LIMIT).await.ok()?;
        let values = answer.text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let rest = if rest.starts_with('{') { rest.split_once('}')?.1 } else { rest };
            rest.strip_prefix(' ')?.split(' ').next()?.parse::<f64>().ok()
        });
        values.reduce(|sum, value| sum + value)
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// All that runs. Changing what runs blocks, so rows do it through these methods.
pub(crate) struct Site {
    pub(crate) nodes: Vec<Node>,
    pub(crate) database: Option<Postgres>,
    pub(crate) broker: Option<Broker>,
    pub(crate) setup: SiteSetup,
}

impl Site {
    pub(crate) async fn start(setup: &SiteSetup) -> Result<Self> {
        let database = match setup.store {
            StoreKind::Postgres => Some(block_in_place(|| Postgres::start(&[]))?),
            StoreKind::Sqlite => None,
        };
        let broker = if setup.nodes > 1 {
            Some(block_in_place(|| Broker::start(setup.broker))?)
        } else {
            None
        };
        let mut site = Self { nodes: Vec::new(), database, broker, setup: setup.clone() };
        for _ in 0..setup.nodes {
            let node = site.new_node(&[]).await?;
            site.nodes.push(node);
        }
        for node in &mut site.nodes {
            block_in_place(|| node.program.wait_ready())?;
        }
        Ok(site)
    }

    /// Launches one more node of this site, which is not waited for and not in the list.
    pub(crate) async fn new_node(&self, more: &[(&str, &str)]) -> Result<Node> {
        let mut environment = environment();
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        environment.extend(more);
        let (mut store_link, mut broker_link) = (None, None);
        if let Some(database) = &self.database {
            let proxy = Proxy::new();
            let port = proxy.listen(local(database.port())).await?.port();
            environment.push(("DATABASE_URL".to_owned(), database.url(port)));
            store_link = Some(proxy);
        }
        if let Some(broker) = &self.broker {
            let proxy = Proxy::new();
            let port = proxy.listen(local(broker.port())).await?.port();
            environment.push(broker.variable(port));
            let own = "127.0.0.1:{port}".to_owned();
            environment.push(("MYNAH_CLUSTER__ADVERTISE".to_owned(), own));
            broker_link = Some(proxy);
        }
        let setup = MynahSetup { binary: self.setup.binary.clone(), environment };
        let program = block_in_place(|| Mynah::launch(setup))?;
        let entry = Proxy::new();
        let entry_address = entry.listen(local(program.port())).await?;
        Ok(Node { program, entry, entry_address, store_link, broker_link })
    }

    pub(crate) fn node(&self, index: usize) -> Result<&Node> {
        self.nodes.get(index).context("no such node")
    }

    pub(crate) fn node_mut(&mut self, index: usize) -> Result<&mut Node> {
        self.nodes.get_mut(index).context("no such node")
    }

    pub(crate) fn database(&mut self) -> Result<&mut Postgres> {
        self.database.as_mut().context("this row needs PostgreSQL")
    }

    pub(crate) fn broker(&mut self) -> Result<&mut Broker> {
        self.broker.as_mut().context("this row needs a broker")
    }

    /// Where clients reach the nodes directly.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.program.pid()).collect()
    }

    /// Sets the mode of every node's way to the broker.
    pub(crate) fn set_broker_links(&self, mode: Mode) {
        self.nodes.iter().filter_map(|node| node.broker_link.as_ref()).for_each(|p| p.set(mode));
    }

    /// Lets everything pass, and starts what does not run.
    pub(crate) async fn mend(&mut self) -> Result<()> {
        for node in &self.nodes {
            node.entry.set(Mode::Pass);
            let links = [&node.store_link, &node.broker_link];
            links.into_iter().flatten().for_each(|proxy| proxy.set(Mode::Pass));
        }
        if let Some(database) = &mut self.database {
            block_in_place(|| database.resume())?;
            if block_in_place(|| database.query("SELECT 1")).is_err() {
                block_in_place(|| database.restart(Data::Kept))?;
            }
        }
        for node in &mut self.nodes {
            block_in_place(|| {
                node.program.resume()?;
                if node.program.ended()?.is_some() { node.program.restart() } else { Ok(()) }
            })?;
        }
        for address in self.addresses() {
            wait_ready(address, Duration::from_secs(30)).await?;
        }
        Ok(())
    }
}

/// What all nodes are started with.
pub(crate) fn environment() -> Vec<(String, String)> {
    let pairs = [
        ("JWT_SECRET", token::SECRET.to_owned()),
        ("RUST_LOG", "info".to_owned()),
        ("MYNAH_AUTH__PROVISION_UNKNOWN_USERS", "true".to_owned()),
        ("MYNAH_LIMITS__RATE", "off".to_owned()),
        ("MYNAH_SERVER__DRAIN_S", DRAIN_S.to_string()),
        ("MYNAH_SOCKETIO__PING_INTERVAL_MS", PING_INTERVAL.as_millis().to_string()),
        ("MYNAH_SOCKETIO__PING_TIMEOUT_MS", PING_TIMEOUT.as_millis().to_string()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Waits until a node answers that it is ready.
pub(crate) async fn wait_ready(address: SocketAddr, limit: Duration) -> Result<()> {
    let began = Instant::now();
    let mut http = Http::new(address, "");
    loop {
        let answer = http.call("GET", "/readyz", None, ASK_LIMIT).await;
        if answer.is_ok_and(|answer| answer.status == 200) {
            return Ok(());
        }
        ensure!(began.elapsed() < limit, "the node at {address} is not ready");
        sleep(Duration::from_millis(20)).await;
    }
}
