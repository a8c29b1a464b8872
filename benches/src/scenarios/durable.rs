//! Durable messages: many senders that each wait for their acknowledgement, and one alone beside one `fdatasync`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Context;
use super::crowd::Crowd;
use crate::fleet::{Fleet, Verdict};
use crate::launch::Server;
use crate::machine::{Cpu, Memory};
use crate::report::{Goal, Table};
use crate::tally::Histogram;

struct Closed {
    per_s: f64,
    cpu_us: f64,
    ack: Histogram,
    verdict: Verdict,
    remarks: Option<String>,
    memory: Memory,
}

/// Everyone sends, and sends again when acknowledged.
fn closed_loop(fleet: &mut Fleet, pid: u32, warm_up: Duration, window: Duration) -> Result<Closed> {
    fleet.counts.keep_freed = true;
    for sender in 0..fleet.clients.len() as u32 {
        fleet.publish(sender, 1)?;
    }
    let mut freed = Vec::new();
    let mut turn = |fleet: &mut Fleet, length: Duration| -> Result<f64> {
        let began = Instant::now();
        while began.elapsed() < length {
            fleet.poll(Duration::from_millis(20))?;
            freed.append(&mut fleet.counts.freed);
            for sender in freed.drain(..) {
                fleet.publish(sender, 1)?;
            }
        }
        Ok(began.elapsed().as_secs_f64())
    };
    turn(fleet, warm_up)?;
    let (acked, cpu) = (fleet.counts.acked, Cpu::of(pid));
    fleet.counts.window_ns = fleet.now_ns()..u64::MAX;
    let seconds = turn(fleet, window)?;
    fleet.counts.window_ns.end = fleet.now_ns();
    let messages = (fleet.counts.acked - acked) as f64;
    let cpu_us = Cpu::of(pid).since(&cpu) / messages.max(1.0) / 1e3;
    fleet.drain(Duration::from_secs(3))?;
    Ok(Closed {
        per_s: messages / seconds,
        cpu_us,
        ack: fleet.counts.ack_latency.clone(),
        verdict: fleet.verdict(),
        remarks: fleet.counts.remarks(),
        memory: Memory::of(pid),
    })
}

/// Appends 4 KiB and syncs, as one commit does.
pub(super) fn one_sync(directory: &Path, length: Duration) -> Result<Histogram> {
    let mut file = File::create(directory.join("sync-probe"))?;
    let mut histogram = Histogram::default();
    let began = Instant::now();
    while began.elapsed() < length {
        let start = Instant::now();
        file.write_all(&[0x61; 4_096])?;
        rustix::fs::fdatasync(&file)?;
        histogram.record(start.elapsed().as_nanos() as u64);
    }
    std::fs::remove_file(directory.join("sync-probe"))?;
    Ok(histogram)
}

fn with_senders(
    context: &mut Context,
    senders: u32,
    window: Duration,
) -> Result<(Closed, [Histogram; 2])> {
    let echo = context.shape()?.echo;
    let data = context.data()?;
    let server = Server::mynah(&context.setup, &data)?;
    // A room of one's own each: what is measured is storing, not fan-out.
    let crowd = Crowd { rooms: senders, members: u32::from(echo), senders: 1 };
    let rooms = crowd.settle(&server, &context.setup, echo)?;
    let (mut fleet, _) = crowd.connect(&server, &context.setup, rooms, (echo, 1))?;
    fleet.settle(Duration::from_millis(200), Duration::from_secs(3))?;
    let sync_length = context.seconds(0.7, 0.2);
    let before = one_sync(&data, sync_length)?;
    let closed = closed_loop(&mut fleet, server.pid(), context.seconds(0.7, 0.3), window)?;
    let after = one_sync(&data, sync_length)?;
    Ok((closed, [before, after]))
}

pub(super) fn run(context: &mut Context) -> Result<Table> {
    let window = context.seconds(4.0, 1.0);
    let mut table =
        Table::new("durable", "senders waiting for acknowledgements, each in its own room");
    let (rate_goal, p99_goal) = (Goal::AtLeast(20_000.0), Goal::AtMost(30.0));
    let crowds: &[u32] = if context.quick { &[512] } else { &[512, 1_000] };
    for &senders in crowds {
        let (closed, _) = with_senders(context, senders, window)?;
        let label = |what: &str| format!("{senders} senders: {what}");
        table.row(&label("messages/s acknowledged"), closed.per_s, rate_goal);
        table.row(&label("acknowledgement p50, ms"), closed.ack.quantile_ms(0.5), Goal::None);
        table.row(&label("acknowledgement p99, ms"), closed.ack.quantile_ms(0.99), p99_goal);
        table.row(&label("server CPU per message, µs"), closed.cpu_us, Goal::None);
        table.row(&label("RSS, MB"), closed.memory.resident as f64 / 1e6, Goal::None);
        let verdict = closed.verdict;
        let wrong = verdict.lost + verdict.doubled + verdict.reordered + verdict.acks_lost;
        table.row(&label("lost, doubled, reordered, unacknowledged"), wrong as f64, Goal::Zero);
        if let Some(remarks) = closed.remarks {
            table.note(format!("{senders} senders, trouble: {remarks}"));
        }
    }
    let (alone, [before, after]) = with_senders(context, 1, context.seconds(2.0, 0.7))?;
    let mean = |q: f64| f64::midpoint(before.quantile_ms(q), after.quantile_ms(q));
    table.beside(
        "1 sender: acknowledgement p50, ms",
        mean(0.5),
        alone.ack.quantile_ms(0.5),
        Goal::RatioAtMost(1.3),
    );
    table.beside(
        "1 sender: acknowledgement p99, ms",
        mean(0.99),
        alone.ack.quantile_ms(0.99),
        Goal::None,
    );
    table.note(format!(
        "floor of the single sender: appending 4 KiB and one fdatasync in the same data directory, directly before and after (p50 {:.2} / {:.2} ms)",
        before.quantile_ms(0.5),
        after.quantile_ms(0.5)
    ));
    Ok(table)
}
