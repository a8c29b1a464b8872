//! A connect storm: everybody comes back at once.

use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::crowd::{AT_ONCE, Crowd};
use crate::fleet::{Connected, Fleet};
use crate::launch::Server;
use crate::machine::{Cpu, Memory};
use crate::report::{Goal, Table};

struct Storm {
    per_s: f64,
    cpu_us: f64,
    p99_ms: f64,
    resident_mb: f64,
}

fn storm(pid: u32, connect: impl FnOnce() -> Result<(Fleet, Connected)>) -> Result<Storm> {
    let before = Cpu::of(pid);
    let (fleet, connected) = connect()?;
    let cpu = Cpu::of(pid).since(&before);
    let count = fleet.counts.ready as f64;
    Ok(Storm {
        per_s: count / connected.elapsed.as_secs_f64(),
        cpu_us: cpu / count / 1e3,
        p99_ms: connected.latency.quantile_ms(0.99),
        resident_mb: Memory::of(pid).resident as f64 / 1e6,
    })
}

fn floor(context: &mut Context, crowd: Crowd) -> Result<Storm> {
    let server = context.floor()?;
    drop(crowd.connect_floor(&server, true)?);
    std::thread::sleep(Duration::from_millis(300));
    storm(server.pid(), || crowd.connect_floor(&server, true))
}

pub(super) fn run(context: &mut Context) -> Result<Table> {
    let crowd = Crowd { rooms: context.sessions / 10, members: 10, senders: 0 };
    let before = floor(context, crowd)?;
    let mynah = {
        let server = Server::mynah(&context.setup, &context.data()?)?;
        let rooms = crowd.settle(&server, &context.setup, true)?;
        // Once to warm up; then again with other tokens of the same users, so that none was seen before.
        drop(crowd.connect(&server, &context.setup, rooms.clone(), (true, 30))?);
        std::thread::sleep(Duration::from_millis(500));
        storm(server.pid(), || crowd.connect(&server, &context.setup, rooms, (true, 60)))?
    };
    let after = floor(context, crowd)?;
    let mean = |of: fn(&Storm) -> f64| f64::midpoint(of(&before), of(&after));
    let title = format!("{} connects, {AT_ONCE} handshakes under way", context.sessions);
    let mut table = Table::new("storm", title);
    table.beside("connects/s", mean(|s| s.per_s), mynah.per_s, Goal::AtLeast(12_000.0));
    table.beside(
        "server CPU per connect, µs",
        mean(|s| s.cpu_us),
        mynah.cpu_us,
        Goal::AtMost(80.0),
    );
    table.beside("connect p99, ms", mean(|s| s.p99_ms), mynah.p99_ms, Goal::None);
    table.beside(
        "RSS with all connected, MB",
        mean(|s| s.resident_mb),
        mynah.resident_mb,
        Goal::None,
    );
    table.note(
        "a connect is TCP, upgrade, Engine.IO open, Socket.IO CONNECT with an HS256 token never seen before, and `connection.ready` (subscribed to one room); users exist",
    );
    Ok(table)
}
