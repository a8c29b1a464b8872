//! Three nodes: publishers at the first, members of their rooms at the second, and at the third as many others whose
//! rooms are quiet. Beside it the same load with publishers and members at one node.

use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::crowd::TARGET;
use crate::fleet::{Dial, Fleet, Speech};
use crate::launch::{MynahSetup, Server};
use crate::load::{Measured, Plan, measure};
use crate::machine;
use crate::programs;
use crate::report::{Goal, Table};
use crate::world;

const MEMBERS: u32 = 10;
/// Messages a second: few enough that three nodes, Mynah's or Node's, leave half of their core idle.
const RATE: f64 = 1_000.0;
const CONNECT_TIMEOUT: Duration = Duration::from_mins(1);
/// Handshakes under way at a time: no storm, for each asks the database shared by all.
const AT_ONCE: usize = 32;

/// What the nodes are and how they hear of each other.
#[derive(Clone, Copy)]
enum Kind {
    MynahOnRedis,
    MynahOnNats,
    NodeOnRedis,
}

/// At which node the members are.
#[derive(Clone, Copy)]
enum Members {
    WithPublishers,
    AtAnother,
}

struct Person {
    node: usize,
    room: u32,
    /// Whether messages of its room must reach it.
    is_member: bool,
}

/// Everybody; who sends comes first, one in each of the first `rooms` rooms.
fn people(rooms: u32, members: Members) -> Vec<Person> {
    let node = match members {
        Members::WithPublishers => 0,
        Members::AtAnother => 1,
    };
    let publishers = (0..rooms).map(|room| Person { node: 0, room, is_member: false });
    let crowd = |rooms: std::ops::Range<u32>, node| {
        rooms
            .flat_map(move |room| (0..MEMBERS).map(move |_| Person { node, room, is_member: true }))
    };
    publishers.chain(crowd(0..rooms, node)).chain(crowd(rooms..2 * rooms, 2)).collect()
}

/// The nodes end before what they need.
struct Cluster {
    nodes: Vec<Server>,
    broker: Server,
    postgres: Option<Server>,
    setup: MynahSetup,
}

impl Cluster {
    fn start(kind: Kind, context: &mut Context) -> Result<Self> {
        match kind {
            Kind::MynahOnRedis => {
                let broker = programs::redis(&context.work)?;
                let url = format!("redis://{}", broker.address);
                Self::of_mynah(context, broker, ("REDIS_URL", &url))
            }
            Kind::MynahOnNats => {
                let broker = programs::nats(&context.work)?;
                let url = format!("nats://{}", broker.address);
                Self::of_mynah(context, broker, ("NATS_URL", &url))
            }
            Kind::NodeOnRedis => {
                let frame_bytes = context.shape()?.frame_bytes;
                let broker = programs::redis(&context.work)?;
                let node = |_| programs::node(&context.work, &broker, frame_bytes);
                let nodes = (0..3).map(node).collect::<Result<_>>()?;
                Ok(Self { nodes, broker, postgres: None, setup: context.setup.clone() })
            }
        }
    }

    fn of_mynah(context: &Context, broker: Server, (name, url): (&str, &str)) -> Result<Self> {
        let postgres = programs::postgres(&context.work)?;
        let database = programs::database_url(&postgres);
        let setup = context.setup.with("DATABASE_URL", &database).with(name, url);
        let node = |_| Server::mynah(&setup, &context.data()?);
        let nodes: Vec<Server> = (0..3).map(node).collect::<Result<_>>()?;
        machine::raise_priority(postgres.pid());
        for node in &nodes {
            node.wait_for_metric("mynah_cluster_nodes", nodes.len() as u64)?;
        }
        Ok(Self { nodes, broker, postgres: Some(postgres), setup })
    }

    /// Identifiers of twice as many rooms as are written to, with everybody in.
    fn rooms(&self, rooms: u32, people: &[Person]) -> Result<Vec<String>> {
        match self.nodes.first().filter(|_| self.postgres.is_some()) {
            Some(node) => {
                let joins: Vec<Vec<u32>> = people.iter().map(|one| vec![one.room]).collect();
                world::build(node, &self.setup, 2 * rooms as usize, &joins)
            }
            None => Ok((0..2 * rooms).map(|room| format!("room-{room:031}")).collect()),
        }
    }

    fn connect(&self, rooms: Vec<String>, people: &[Person]) -> Result<Fleet> {
        let dials = people.iter().enumerate().filter_map(|(index, one)| {
            let token = match self.postgres {
                Some(_) => self.setup.token(&world::user(index), 1),
                None => rooms.get(one.room as usize)?.clone(),
            };
            Some(Dial {
                address: self.nodes.get(one.node)?.address,
                target: TARGET.to_owned(),
                speech: Speech::SocketIo(token),
                room: one.room,
                receives: one.is_member,
            })
        });
        let dials = dials.collect();
        let mut fleet = Fleet::new(rooms, true)?;
        fleet.connect(dials, AT_ONCE, CONNECT_TIMEOUT)?;
        Ok(fleet)
    }

    /// The nodes in order, the broker, and PostgreSQL if there is one.
    fn pids(&self) -> Vec<u32> {
        let others = [&self.broker].into_iter().chain(&self.postgres);
        self.nodes.iter().chain(others).map(Server::pid).collect()
    }
}

/// One run of the load.
struct Run {
    measured: Measured,
    /// CPU per message of the three nodes, the broker, and PostgreSQL.
    us_per_message: Vec<f64>,
}

impl Run {
    fn make(kind: Kind, members: Members, rooms: u32, context: &mut Context) -> Result<Self> {
        let cluster = Cluster::start(kind, context)?;
        let people = people(rooms, members);
        let ids = cluster.rooms(rooms, &people)?;
        let mut fleet = cluster.connect(ids, &people)?;
        let plan = Plan {
            senders: (0..rooms).collect(),
            rate: RATE,
            burst: 1,
            volley: 1,
            // Longer than elsewhere: a node without members is to cost next to nothing beyond it.
            idle: context.seconds(5.0, 2.0),
            warm_up: context.seconds(1.0, 0.3),
            window: context.seconds(5.0, 2.0),
            drain: Duration::from_secs(20),
        };
        let measured = measure(&mut fleet, &cluster.pids(), &plan)?;
        let first = measured.cpu_us_per_message;
        let us_per_message =
            [first].into_iter().chain(measured.beside_us_per_message.iter().copied()).collect();
        Ok(Self { measured, us_per_message })
    }

    fn us(&self, process: usize) -> f64 {
        self.us_per_message.get(process).copied().unwrap_or(f64::NAN)
    }

    fn nodes_us(&self) -> f64 {
        self.us_per_message.iter().take(3).sum()
    }

    /// Percent of a core that a cost per message makes.
    fn percent(&self, us_per_message: f64) -> f64 {
        us_per_message * self.measured.messages_per_s / 1e4
    }

    fn idle_percent(&self) -> String {
        let shares = self.measured.idle_cpu.iter().map(|share| format!("{:.2}", share * 100.0));
        shares.collect::<Vec<_>>().join(", ")
    }
}

const BROKER: usize = 3;
const POSTGRES: usize = 4;

pub(super) fn redis(context: &mut Context) -> Result<Table> {
    scenario(context, Kind::MynahOnRedis, "nodes-redis", "Mynah on PostgreSQL and Redis")
}

pub(super) fn nats(context: &mut Context) -> Result<Table> {
    scenario(context, Kind::MynahOnNats, "nodes-nats", "Mynah on PostgreSQL and NATS")
}

pub(super) fn node(context: &mut Context) -> Result<Table> {
    let servers = "Node's Socket.IO with the Redis adapter, nothing stored";
    scenario(context, Kind::NodeOnRedis, "nodes-node", servers)
}

fn scenario(context: &mut Context, kind: Kind, name: &'static str, servers: &str) -> Result<Table> {
    let rooms = if context.quick { 100 } else { 500 };
    let one = Run::make(kind, Members::WithPublishers, rooms, context)?;
    let three = Run::make(kind, Members::AtAnother, rooms, context)?;
    let title = format!("{servers}: {rooms} rooms × {MEMBERS} members, {RATE:.0} messages/s");
    let mut table = Table::new(name, title).with_columns(["one node", "across nodes"]);
    costs(&mut table, kind, &one, &three);
    deliveries(&mut table, &one.measured, &three.measured);
    notes(&mut table, &one, &three);
    Ok(table)
}

fn costs(table: &mut Table, kind: Kind, one: &Run, three: &Run) {
    let without = match kind {
        Kind::MynahOnRedis | Kind::MynahOnNats => Goal::AtMost(1.0),
        Kind::NodeOnRedis => Goal::None,
    };
    let per_delivery = f64::from(MEMBERS);
    table.row("CPU per message at the node of publishers, µs", three.us(0), Goal::None);
    table.row("CPU per message at the node of members, µs", three.us(1), Goal::None);
    table.row("the same per delivery, µs", three.us(1) / per_delivery, Goal::None);
    table.row("CPU per message at the node without, µs", three.us(2), without);
    table.beside("CPU per message of all nodes, µs", one.nodes_us(), three.nodes_us(), Goal::None);
}

fn deliveries(table: &mut Table, one: &Measured, three: &Measured) {
    let mut beside = |metric: &str, of: &dyn Fn(&Measured) -> f64, goal| {
        table.beside(metric, of(one), of(three), goal);
    };
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let of = |m: &Measured| m.delivery_latency.quantile_ms(q);
        beside(&format!("delivery {name}, ms"), &of, Goal::None);
    }
    for (name, q) in [("p50", 0.5), ("p99", 0.99)] {
        let of = |m: &Measured| m.ack_latency.quantile_ms(q);
        beside(&format!("acknowledgement {name}, ms"), &of, Goal::None);
    }
    let held = Goal::AtLeast((RATE * f64::from(MEMBERS) * 0.98).floor());
    beside("deliveries/s", &|m| m.deliveries_per_s, held);
    beside("lost", &|m| m.verdict.lost as f64, Goal::Zero);
    beside("doubled", &|m| m.verdict.doubled as f64, Goal::Zero);
    beside("out of order", &|m| m.verdict.reordered as f64, Goal::Zero);
    beside("acknowledgements lost", &|m| m.verdict.acks_lost as f64, Goal::Zero);
}

fn notes(table: &mut Table, one: &Run, three: &Run) {
    table.note(
        "publishers at the first node, members at the second, as many clients in quiet rooms at the third; in the column “one node” the members are at the first, too. Publishers get their own messages back, which is counted in the CPU only",
    );
    table.note(format!(
        "nodes on core 0 ({:.0} % of it, with one node {:.0} %), generator on core 1 ({:.0} %, {:.0} %), all else on both; frame {:.0} octets",
        three.percent(three.nodes_us()),
        one.percent(one.nodes_us()),
        three.measured.generator_cpu * 100.0,
        one.measured.generator_cpu * 100.0,
        three.measured.frame_bytes,
    ));
    table.note(format!(
        "the broker: {:.1} µs of CPU per message (one node {:.1})",
        three.us(BROKER),
        one.us(BROKER),
    ));
    if three.us_per_message.len() > POSTGRES {
        table.note(format!(
            "{}; {:.0} µs of its CPU per message (one node {:.0})",
            programs::POSTGRES_TERMS,
            three.us(POSTGRES),
            one.us(POSTGRES),
        ));
    }
    table.note(format!(
        "deducted, for it is spent on nothing, in % of a core at each node, the broker and PostgreSQL: {} (one node: {})",
        three.idle_percent(),
        one.idle_percent(),
    ));
    for (run, place) in [(three, "across nodes"), (one, "one node")] {
        if let Some(remarks) = &run.measured.remarks {
            table.note(format!("trouble {place}: {remarks}"));
        }
    }
}
