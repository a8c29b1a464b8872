//! Memory of idle sessions, each in three rooms, and what a heartbeat costs.

use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::crowd::{Crowd, connect_sessions};
use crate::launch::Server;
use crate::machine::{Cpu, Memory};
use crate::report::{Goal, Table};
use crate::world;

pub(super) const ROOMS_EACH: u32 = 3;
const MEMBERS: u32 = 10;
/// Connected and closed again before the base is taken: code pages and pools count once, not per session.
pub(super) const WARM: u32 = 200;

/// Resident octets per connection at the floor server, which keeps next to nothing.
pub(super) fn floor(context: &mut Context) -> Result<f64> {
    let server = context.floor()?;
    let crowd = |rooms| Crowd { rooms, members: MEMBERS, senders: 0 };
    drop(crowd(WARM / MEMBERS).connect_floor(&server, true)?);
    std::thread::sleep(Duration::from_millis(300));
    let base = Memory::of(server.pid());
    let (fleet, _) = crowd(context.sessions / MEMBERS).connect_floor(&server, true)?;
    std::thread::sleep(Duration::from_millis(500));
    let grown = Memory::of(server.pid()).resident.saturating_sub(base.resident);
    Ok(grown as f64 / fleet.counts.ready as f64)
}

/// Pause between two pings where heartbeats are measured.
const FAST_PINGS_MS: u64 = 1_000;
/// The usual pause.
const USUAL_PINGS_S: f64 = 25.0;

/// Nanoseconds of CPU for a ping and its pong, with all sessions connected and nothing else going on.
fn heartbeat(context: &Context, data: &std::path::Path) -> Result<f64> {
    let interval = FAST_PINGS_MS.to_string();
    let setup = context.setup.with("MYNAH_SOCKETIO__PING_INTERVAL_MS", &interval);
    let server = Server::mynah(&setup, data)?;
    let mut fleet = connect_sessions(&server, &setup, context.sessions, 60)?;
    // Twice the pause, so that everybody has been pinged before.
    let pause = Duration::from_millis(FAST_PINGS_MS);
    fleet.settle(pause * 2, pause * 2)?;
    let cpu = Cpu::of(server.pid());
    let wait = context.seconds(10.0, 2.0);
    fleet.settle(wait, wait)?;
    let spent = Cpu::of(server.pid()).since(&cpu);
    let beats = f64::from(context.sessions) * wait.as_secs_f64() / pause.as_secs_f64();
    Ok(spent / beats)
}

pub(super) fn run(context: &mut Context) -> Result<Table> {
    let floor = floor(context)?;
    let sessions = context.sessions;
    let rooms = sessions * ROOMS_EACH / MEMBERS;
    let data = context.data()?;
    let first = Server::mynah(&context.setup, &data)?;
    // Three rooms far apart, so that no two sessions share all of theirs.
    let joins: Vec<Vec<u32>> = (0..sessions)
        .map(|user| {
            (0..ROOMS_EACH).map(|k| (user + k * (rooms / ROOMS_EACH + 1)) % rooms).collect()
        })
        .collect();
    world::build(&first, &context.setup, rooms as usize, &joins)?;
    first.stop()?;

    let server = Server::mynah(&context.setup, &data)?;
    drop(connect_sessions(&server, &context.setup, WARM.min(sessions), 30)?);
    std::thread::sleep(Duration::from_secs(1));
    let base = Memory::of(server.pid());
    let mut fleet = connect_sessions(&server, &context.setup, sessions, 60)?;
    let at_once = Memory::of(server.pid());
    let cpu = Cpu::of(server.pid());
    let wait = context.seconds(10.0, 2.0);
    fleet.settle(wait, wait)?;
    let idle_ns = Cpu::of(server.pid()).since(&cpu);
    let after = Memory::of(server.pid());

    let per = |now: u64, then: u64| (now as f64 - then as f64) / f64::from(sessions) / 1e3;
    let mut table =
        Table::new("idle", format!("{sessions} idle sessions in {ROOMS_EACH} rooms each"));
    let value = per(after.resident, base.resident);
    table.beside("RSS per connection, kB", floor / 1e3, value, Goal::AtMost(5.0));
    table.row(
        "anonymous memory per connection, kB",
        per(after.anonymous, base.anonymous),
        Goal::None,
    );
    table.row(
        "RSS per connection right after connecting, kB",
        per(at_once.resident, base.resident),
        Goal::None,
    );
    table.row("RSS before, MB", base.resident as f64 / 1e6, Goal::AtMost(25.0));
    table.row("RSS with all connected, MB", after.resident as f64 / 1e6, Goal::AtMost(60.0));
    table.row("CPU while idle, % of a core", idle_ns / wait.as_nanos() as f64 * 100.0, Goal::None);
    drop(server);
    let beat_ns = heartbeat(context, &data)?;
    table.row("CPU per heartbeat, µs", beat_ns / 1e3, Goal::None);
    let share = beat_ns * f64::from(sessions) / USUAL_PINGS_S / 1e9 * 100.0;
    table.row("heartbeats of all sessions at 25 s, % of a core", share, Goal::None);
    table.note(format!(
        "measured {:.0} s after the last connect; base taken after a restart on the filled store and {WARM} connects closed again; kernel memory of sockets is not in RSS",
        wait.as_secs_f64()
    ));
    if let Some(remarks) = fleet.counts.remarks() {
        table.note(format!("trouble: {remarks}"));
    }
    Ok(table)
}
