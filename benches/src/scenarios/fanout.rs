//! A, A′, B and C: a steady load into rooms, between two runs of the floor.

use std::time::Duration;

use anyhow::Result;

use super::crowd::Crowd;
use super::durable::one_sync;
use super::{Context, Shape};
use crate::launch::Server;
use crate::load::{Measured, Plan, measure};
use crate::machine;
use crate::programs;
use crate::report::{Goal, Table};

#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) crowd: Crowd,
    pub(super) rate: f64,
    pub(super) burst: u32,
    pub(super) volley: u32,
}

impl Load {
    pub(super) fn plan(self, context: &Context, echo: bool, window: Duration) -> Plan {
        Plan {
            senders: self.crowd.senders(echo),
            rate: self.rate,
            burst: self.burst,
            volley: self.volley,
            idle: context.seconds(0.5, 0.2),
            warm_up: context.seconds(1.0, 0.2),
            window,
            drain: Duration::from_secs(3),
        }
    }

    fn floor(self, context: &Context, Shape { frame_bytes, echo }: Shape) -> Result<Measured> {
        let server = Server::floor(frame_bytes, &context.work)?;
        let (mut fleet, _) = self.crowd.connect_floor(&server, echo)?;
        let plan = self.plan(context, echo, context.seconds(2.5, 0.5));
        measure(&mut fleet, &[server.pid()], &plan)
    }

    /// Mynah on its own store, or on a PostgreSQL, which is then watched beside it.
    fn mynah(self, context: &mut Context, postgres: Option<&Server>) -> Result<Measured> {
        let echo = context.shape()?.echo;
        let setup = postgres.map_or_else(
            || context.setup.clone(),
            |postgres| context.setup.with("DATABASE_URL", &programs::database_url(postgres)),
        );
        let server = Server::mynah(&setup, &context.data()?)?;
        if let Some(postgres) = postgres {
            machine::raise_priority(postgres.pid());
        }
        let rooms = self.crowd.settle(&server, &setup, echo)?;
        let (mut fleet, _) = self.crowd.connect(&server, &setup, rooms, (echo, 1))?;
        let mut plan = self.plan(context, echo, context.seconds(5.0, 1.0));
        if postgres.is_some() {
            // What waits in an overloaded one is late, not lost.
            plan.drain = Duration::from_secs(20);
        }
        let pids: Vec<u32> = [&server].into_iter().chain(postgres).map(Server::pid).collect();
        measure(&mut fleet, &pids, &plan)
    }

    /// Floor, Mynah, floor.
    fn run(self, context: &mut Context) -> Result<Sandwich> {
        let shape = context.shape()?;
        self.between_floors(context, shape, |context| self.mynah(context, None))
    }

    /// Floor, Mynah on a fresh PostgreSQL, floor.
    fn run_on_postgres(self, context: &mut Context) -> Result<Sandwich> {
        let shape = context.shape()?;
        self.between_floors(context, shape, |context| {
            let postgres = programs::postgres(&context.work)?;
            self.mynah(context, Some(&postgres))
        })
    }

    /// `mynah` between two runs of a floor whose frames have this shape.
    pub(super) fn between_floors(
        self,
        context: &mut Context,
        shape: Shape,
        mynah: impl FnOnce(&mut Context) -> Result<Measured>,
    ) -> Result<Sandwich> {
        let before = self.floor(context, shape)?;
        let mynah = mynah(context)?;
        let after = self.floor(context, shape)?;
        Ok(Sandwich { floors: [before, after], mynah, load: self })
    }
}

/// What was measured at Mynah and at the floor before and after.
pub(super) struct Sandwich {
    floors: [Measured; 2],
    mynah: Measured,
    load: Load,
}

impl Sandwich {
    pub(super) fn beside(
        &self,
        table: &mut Table,
        metric: &str,
        of: impl Fn(&Measured) -> f64,
        goal: Goal,
    ) {
        let [before, after] = self.floors.each_ref().map(&of);
        table.beside(metric, f64::midpoint(before, after), of(&self.mynah), goal);
    }

    /// The rows that all have after their own.
    pub(super) fn rest(&self, table: &mut Table, latency: [Goal; 2]) {
        let [p50, p99] = latency;
        self.beside(table, "delivery p50, ms", |m| m.delivery_latency.quantile_ms(0.5), p50);
        self.beside(table, "delivery p99, ms", |m| m.delivery_latency.quantile_ms(0.99), p99);
        let ack = &self.mynah.ack_latency;
        let is_acknowledged = ack.count() > 0 || self.mynah.verdict.acks_lost > 0;
        if is_acknowledged {
            table.row("acknowledgement p50, ms", ack.quantile_ms(0.5), Goal::None);
            table.row("acknowledgement p99, ms", ack.quantile_ms(0.99), Goal::None);
        }
        let asked = self.load.rate * f64::from(self.load.crowd.members);
        let held = Goal::AtLeast((asked * 0.98).floor());
        self.beside(table, "deliveries/s", |m| m.deliveries_per_s, held);
        let goal = Goal::Zero;
        self.beside(table, "lost", |m| m.verdict.lost as f64, goal);
        self.beside(table, "doubled", |m| m.verdict.doubled as f64, goal);
        self.beside(table, "out of order", |m| m.verdict.reordered as f64, goal);
        if is_acknowledged {
            table.row("acknowledgements lost", self.mynah.verdict.acks_lost as f64, goal);
        }
        self.beside(table, "RSS, MB", |m| m.memory.resident as f64 / 1e6, Goal::None);
        let [before, after] = &self.floors;
        table.note(format!(
            "frame {:.0} octets (floor {:.0}); {:.1} frames per read (floor {:.1}); {:.0} messages/s; core of the server {:.0} % (floor {:.0} %), of the generator {:.0} % (floor {:.0} %); floor before/after {:.2} / {:.2} µs per delivery",
            self.mynah.frame_bytes,
            before.frame_bytes,
            self.mynah.frames_per_read,
            f64::midpoint(before.frames_per_read, after.frames_per_read),
            self.mynah.messages_per_s,
            self.mynah.server_cpu * 100.0,
            f64::midpoint(before.server_cpu, after.server_cpu) * 100.0,
            self.mynah.generator_cpu * 100.0,
            f64::midpoint(before.generator_cpu, after.generator_cpu) * 100.0,
            before.cpu_us_per_delivery,
            after.cpu_us_per_delivery,
        ));
        if let Some(remarks) = &self.mynah.remarks {
            table.note(format!("trouble: {remarks}"));
        }
    }
}

pub(super) const PER_DELIVERY: &str = "server CPU per delivery, µs";
pub(super) const PER_MESSAGE: &str = "server CPU per message, µs";

pub(super) fn a(context: &mut Context) -> Result<Table> {
    let crowd = Crowd { rooms: 1, members: 1_000, senders: 1 };
    let runs = Load { crowd, rate: 50.0, burst: 1, volley: 1 }.run(context)?;
    let mut table = Table::new("a", "1 room × 1,000 members, 50 messages/s");
    runs.beside(&mut table, PER_DELIVERY, |m| m.cpu_us_per_delivery, Goal::RatioAtMost(1.15));
    runs.beside(&mut table, PER_MESSAGE, |m| m.cpu_us_per_message, Goal::None);
    runs.rest(&mut table, [Goal::None; 2]);
    Ok(table)
}

pub(super) fn a_burst(context: &mut Context) -> Result<Table> {
    let crowd = Crowd { rooms: 1, members: 20, senders: 10 };
    let runs = Load { crowd, rate: 5_000.0, burst: 4, volley: 10 }.run(context)?;
    let mut table =
        Table::new("a-burst", "1 room × 20 members, 5,000 messages/s, 10 senders × 4 at a time");
    runs.beside(&mut table, PER_DELIVERY, |m| m.cpu_us_per_delivery, Goal::AtMost(2.0));
    let per_delivery = |m: &Measured| m.cpu_us_per_delivery;
    runs.beside(&mut table, "the same against the floor", per_delivery, Goal::RatioAtMost(0.35));
    runs.beside(&mut table, PER_MESSAGE, |m| m.cpu_us_per_message, Goal::None);
    runs.rest(&mut table, [Goal::None; 2]);
    Ok(table)
}

pub(super) fn many_rooms(context: &Context) -> Crowd {
    Crowd { rooms: if context.quick { 200 } else { 500 }, members: 10, senders: 1 }
}

pub(super) fn b(context: &mut Context) -> Result<Table> {
    let crowd = many_rooms(context);
    let runs = Load { crowd, rate: 2_000.0, burst: 1, volley: 1 }.run(context)?;
    let title = format!("{} rooms × 10 members, 2,000 messages/s", crowd.rooms);
    let mut table = Table::new("b", title);
    runs.beside(&mut table, PER_MESSAGE, |m| m.cpu_us_per_message, Goal::RatioAtMost(1.4));
    runs.beside(&mut table, PER_DELIVERY, |m| m.cpu_us_per_delivery, Goal::None);
    runs.rest(&mut table, [Goal::None; 2]);
    Ok(table)
}

pub(super) fn c(context: &mut Context) -> Result<Table> {
    let crowd = many_rooms(context);
    let runs = Load { crowd, rate: 10_000.0, burst: 1, volley: 1 }.run(context)?;
    let title = format!("{} rooms × 10 members, 10,000 messages/s", crowd.rooms);
    let mut table = Table::new("c", title);
    runs.beside(&mut table, PER_MESSAGE, |m| m.cpu_us_per_message, Goal::None);
    runs.beside(&mut table, PER_DELIVERY, |m| m.cpu_us_per_delivery, Goal::None);
    runs.rest(&mut table, [Goal::AtMost(8.0), Goal::AtMost(40.0)]);
    Ok(table)
}

pub(super) fn b_postgres(context: &mut Context) -> Result<Table> {
    let crowd = many_rooms(context);
    let title = format!("on PostgreSQL: {} rooms × 10 members, 2,000 messages/s", crowd.rooms);
    on_postgres(context, Table::new("b-postgres", title), 2_000.0)
}

pub(super) fn c_postgres(context: &mut Context) -> Result<Table> {
    let crowd = many_rooms(context);
    let title = format!("on PostgreSQL: {} rooms × 10 members, 10,000 messages/s", crowd.rooms);
    on_postgres(context, Table::new("c-postgres", title), 10_000.0)
}

fn on_postgres(context: &mut Context, mut table: Table, rate: f64) -> Result<Table> {
    let load = Load { crowd: many_rooms(context), rate, burst: 1, volley: 1 };
    let sync = |context: &Context| one_sync(&context.work, context.seconds(0.7, 0.2));
    let before = sync(context)?;
    let runs = load.run_on_postgres(context)?;
    let after = sync(context)?;
    runs.beside(&mut table, PER_MESSAGE, |m| m.cpu_us_per_message, Goal::None);
    runs.beside(&mut table, PER_DELIVERY, |m| m.cpu_us_per_delivery, Goal::None);
    runs.rest(&mut table, [Goal::None; 2]);
    let mynah = &runs.mynah;
    let per_sent = mynah.beside_us_per_message.first().copied().unwrap_or(f64::NAN);
    let stored_per_s = mynah.deliveries_per_s / f64::from(load.crowd.members);
    table.note(format!(
        "{}; {:.0} µs of its CPU per message delivered, {:.0} % of a core",
        programs::POSTGRES_TERMS,
        per_sent * mynah.messages_per_s / stored_per_s,
        per_sent * mynah.messages_per_s / 1e4,
    ));
    table.note(format!(
        "one fdatasync of 4 KiB on that disk, before and after: p50 {:.1} / {:.1} ms, p99 {:.1} / {:.1} ms",
        before.quantile_ms(0.5),
        after.quantile_ms(0.5),
        before.quantile_ms(0.99),
        after.quantile_ms(0.99),
    ));
    Ok(table)
}
