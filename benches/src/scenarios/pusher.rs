//! The Pusher dialect: events of back ends over HTTP and of clients, between two runs of the floor; and idle sockets.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::crowd::{AT_ONCE, CONNECT_TIMEOUT, Crowd};
use super::fanout::{Load, PER_DELIVERY, PER_MESSAGE, Sandwich, many_rooms};
use super::idle::{self, ROOMS_EACH, WARM};
use super::{Context, Shape};
use crate::fleet::pusher::{Caller, Subscriber, TARGET};
use crate::fleet::{Dial, Fleet, Speech};
use crate::launch::Server;
use crate::load::{Measured, measure};
use crate::machine::{Cpu, Memory};
use crate::report::{Goal, Table};

/// Who sends.
#[derive(Clone, Copy)]
enum Sender {
    /// A back end with a connection for each channel; it gets answers.
    BackEnd,
    /// A subscriber of each channel; nothing is answered.
    Client,
}

impl Sender {
    fn channel(self, room: u32) -> String {
        match self {
            Self::BackEnd => format!("bench-{room}"),
            Self::Client => format!("private-bench-{room}"),
        }
    }

    /// Connects everybody. Who sends gets nothing of it.
    fn connect(self, crowd: Crowd, server: &Server) -> Result<Fleet> {
        let channels = (0..crowd.rooms).map(|room| self.channel(room)).collect();
        let is_answered = matches!(self, Self::BackEnd);
        let mut fleet = Fleet::new(channels, is_answered)?;
        let dials = crowd.seats(false).into_iter().map(|seat| {
            let (target, speech) = if seat.sends && is_answered {
                ("/readyz", Speech::Http(Caller::default()))
            } else {
                let channels = vec![self.channel(seat.room)];
                (TARGET, Speech::Pusher(Subscriber::new(channels)))
            };
            Dial {
                address: server.address,
                target: target.to_owned(),
                speech,
                room: seat.room,
                receives: seat.receives,
            }
        });
        fleet.connect(dials.collect(), AT_ONCE, CONNECT_TIMEOUT)?;
        Ok(fleet)
    }

    /// How long the frame of an event is.
    fn shape(self, context: &Context) -> Result<Shape> {
        let server = Server::mynah(&context.setup, &context.data()?)?;
        let crowd = Crowd { rooms: 1, members: 1, senders: 1 };
        let mut fleet = self.connect(crowd, &server)?;
        fleet.settle(Duration::from_millis(200), Duration::from_secs(2))?;
        for sender in crowd.senders(false) {
            fleet.publish(sender, 1)?;
        }
        fleet.drain(Duration::from_secs(2))?;
        let delivered = fleet.counts.deliveries;
        ensure!(
            delivered == 1,
            "the first event came {delivered} times: {}",
            fleet.counts.first_trouble.as_deref().unwrap_or("no error said")
        );
        Ok(Shape { frame_bytes: fleet.counts.delivered_bytes as usize, echo: false })
    }

    fn load(self, context: &mut Context, load: Load) -> Result<Sandwich> {
        let shape = self.shape(context)?;
        load.between_floors(context, shape, |context| {
            let server = Server::mynah(&context.setup, &context.data()?)?;
            let mut fleet = self.connect(load.crowd, &server)?;
            let plan = load.plan(context, false, context.seconds(5.0, 1.0));
            measure(&mut fleet, &[server.pid()], &plan)
        })
    }
}

pub(super) fn a(context: &mut Context) -> Result<Table> {
    let crowd = Crowd { rooms: 1, members: 1_000, senders: 1 };
    let load = Load { crowd, rate: 50.0, burst: 1, volley: 1 };
    let runs = Sender::BackEnd.load(context, load)?;
    let mut table =
        Table::new("pusher-a", "Pusher: 1 channel × 1,000 sockets, 50 events/s over HTTP");
    runs.beside(&mut table, PER_DELIVERY, per_delivery, Goal::RatioAtMost(1.15));
    runs.beside(&mut table, PER_MESSAGE, per_message, Goal::None);
    runs.rest(&mut table, [Goal::None; 2]);
    Ok(table)
}

pub(super) fn b(context: &mut Context) -> Result<Table> {
    let crowd = many_rooms(context);
    let title = format!("Pusher: {} channels × 10 sockets, 2,000 events/s over HTTP", crowd.rooms);
    many(context, crowd, Sender::BackEnd, Table::new("pusher-b", title))
}

pub(super) fn client(context: &mut Context) -> Result<Table> {
    let crowd = many_rooms(context);
    let title = format!("Pusher: {} channels × 10 sockets, 2,000 client events/s", crowd.rooms);
    many(context, crowd, Sender::Client, Table::new("pusher-client", title))
}

fn many(context: &mut Context, crowd: Crowd, sender: Sender, mut table: Table) -> Result<Table> {
    let runs = sender.load(context, Load { crowd, rate: 2_000.0, burst: 1, volley: 1 })?;
    runs.beside(&mut table, PER_MESSAGE, per_message, Goal::RatioAtMost(1.4));
    runs.beside(&mut table, PER_DELIVERY, per_delivery, Goal::None);
    runs.rest(&mut table, [Goal::None; 2]);
    Ok(table)
}

fn per_delivery(measured: &Measured) -> f64 {
    measured.cpu_us_per_delivery
}

fn per_message(measured: &Measured) -> f64 {
    measured.cpu_us_per_message
}

/// Connects sockets that are each in several channels; they send nothing.
fn connect_idle(server: &Server, count: u32) -> Result<Fleet> {
    let mut fleet = Fleet::new(vec![String::new()], false)?;
    let channels = (count * ROOMS_EACH / 10).max(1);
    let dials = (0..count).map(|socket| {
        let of =
            |n: u32| format!("bench-{}", (socket + n * (channels / ROOMS_EACH + 1)) % channels);
        let speech = Speech::Pusher(Subscriber::new((0..ROOMS_EACH).map(of).collect()));
        let address = server.address;
        Dial { address, target: TARGET.to_owned(), speech, room: 0, receives: false }
    });
    fleet.connect(dials.collect(), AT_ONCE, CONNECT_TIMEOUT)?;
    Ok(fleet)
}

pub(super) fn idle(context: &mut Context) -> Result<Table> {
    let floor = idle::floor(context)?;
    let sessions = context.sessions;
    let server = Server::mynah(&context.setup, &context.data()?)?;
    drop(connect_idle(&server, WARM.min(sessions))?);
    std::thread::sleep(Duration::from_secs(1));
    let base = Memory::of(server.pid());
    let mut fleet = connect_idle(&server, sessions)?;
    let cpu = Cpu::of(server.pid());
    let wait = context.seconds(10.0, 2.0);
    fleet.settle(wait, wait)?;
    let idle_ns = Cpu::of(server.pid()).since(&cpu);
    let after = Memory::of(server.pid());
    let per = |now: u64, then: u64| (now as f64 - then as f64) / f64::from(sessions) / 1e3;
    let title = format!("Pusher: {sessions} idle sockets in {ROOMS_EACH} channels each");
    let mut table = Table::new("pusher-idle", title);
    let value = per(after.resident, base.resident);
    table.beside("RSS per connection, kB", floor / 1e3, value, Goal::AtMost(5.0));
    let anonymous = per(after.anonymous, base.anonymous);
    table.row("anonymous memory per connection, kB", anonymous, Goal::None);
    table.row("RSS before, MB", base.resident as f64 / 1e6, Goal::AtMost(25.0));
    table.row("RSS with all connected, MB", after.resident as f64 / 1e6, Goal::AtMost(60.0));
    table.row("CPU while idle, % of a core", idle_ns / wait.as_nanos() as f64 * 100.0, Goal::None);
    table.note(format!(
        "measured {:.0} s after the last connect; base taken after {WARM} connects closed again; kernel memory of sockets is not in RSS",
        wait.as_secs_f64()
    ));
    if let Some(remarks) = fleet.counts.remarks() {
        table.note(format!("trouble: {remarks}"));
    }
    Ok(table)
}
