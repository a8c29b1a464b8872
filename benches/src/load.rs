//! Open-loop load at a fixed rate and what a measured window of it costs.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::fleet::{Fleet, Verdict};
use crate::machine::{Cpu, Memory};
use crate::tally::Histogram;

/// Sending stops while this many messages are unanswered: an overloaded server is not buried for minutes.
const UNANSWERED_MAX: u64 = 20_000;

/// A steady load.
pub(crate) struct Plan {
    pub(crate) senders: Vec<u32>,
    /// Messages per second over all senders.
    pub(crate) rate: f64,
    /// Messages that a sender writes at once.
    pub(crate) burst: u32,
    /// Senders that write at the same moment.
    pub(crate) volley: u32,
    /// How long to watch what doing nothing costs; nothing is deducted if zero.
    pub(crate) idle: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    pub(crate) drain: Duration,
}

/// What a window showed.
pub(crate) struct Measured {
    pub(crate) messages_per_s: f64,
    pub(crate) deliveries_per_s: f64,
    pub(crate) cpu_us_per_message: f64,
    pub(crate) cpu_us_per_delivery: f64,
    /// Share of one core.
    pub(crate) server_cpu: f64,
    pub(crate) generator_cpu: f64,
    pub(crate) delivery_latency: Histogram,
    pub(crate) ack_latency: Histogram,
    pub(crate) frame_bytes: f64,
    /// Messages that the generator found in one read: no fewer than one write of the server held.
    pub(crate) frames_per_read: f64,
    pub(crate) memory: Memory,
    pub(crate) verdict: Verdict,
    pub(crate) remarks: Option<String>,
}

/// Sends at `rate` for `length`; falls behind rather than sending more than the server answers.
fn drive(fleet: &mut Fleet, plan: &Plan, length: Duration) -> Result<()> {
    let began = Instant::now();
    let per_second = plan.rate / f64::from(plan.burst * plan.volley);
    let mut fired = 0_u64;
    while began.elapsed() < length {
        let due = (began.elapsed().as_secs_f64() * per_second) as u64 + 1;
        let mut budget = 64;
        while fired < due && budget > 0 {
            if fleet.counts.acknowledged && fleet.counts.unanswered() > UNANSWERED_MAX {
                break;
            }
            let turn = fleet.counts.sent() / u64::from(plan.burst);
            for place in turn..turn + u64::from(plan.volley) {
                let Some(&sender) = plan.senders.get(place as usize % plan.senders.len().max(1))
                else {
                    break;
                };
                fleet.publish(sender, plan.burst)?;
            }
            fired += 1;
            budget -= 1;
        }
        let next = Duration::from_secs_f64(fired as f64 / per_second);
        let wait = if fired < due { Duration::ZERO } else { next.saturating_sub(began.elapsed()) };
        fleet.poll(wait.min(Duration::from_millis(5)))?;
    }
    Ok(())
}

/// Cost of doing nothing, in nanoseconds per second.
fn idle_cost(fleet: &mut Fleet, pid: u32, length: Duration) -> Result<f64> {
    let before = Cpu::of(pid);
    let began = Instant::now();
    if length.is_zero() {
        return Ok(0.0);
    }
    while began.elapsed() < length {
        fleet.poll(Duration::from_millis(20))?;
    }
    Ok(Cpu::of(pid).since(&before) / began.elapsed().as_secs_f64())
}

/// Settles, measures the idle cost, warms up, measures the window and waits for what is under way.
pub(crate) fn measure(fleet: &mut Fleet, pid: u32, plan: &Plan) -> Result<Measured> {
    fleet.settle(Duration::from_millis(200), Duration::from_secs(5))?;
    let idle_ns_per_s = idle_cost(fleet, pid, plan.idle)?;
    drive(fleet, plan, plan.warm_up)?;

    let (sent, delivered) = (fleet.counts.sent(), fleet.counts.deliveries);
    let (bytes, reads) = (fleet.counts.delivered_bytes, fleet.counts.delivering_reads);
    let (server, generator) = (Cpu::of(pid), Cpu::of(std::process::id()));
    let began = Instant::now();
    fleet.counts.delivery_latency = Histogram::default();
    fleet.counts.ack_latency = Histogram::default();
    fleet.counts.window_ns = fleet.now_ns()..u64::MAX;
    drive(fleet, plan, plan.window)?;
    fleet.counts.window_ns.end = fleet.now_ns();
    let seconds = began.elapsed().as_secs_f64();
    let server_ns = Cpu::of(pid).since(&server) - idle_ns_per_s * seconds;
    let generator_ns = Cpu::of(std::process::id()).since(&generator);
    let messages = (fleet.counts.sent() - sent).max(1) as f64;
    let deliveries = (fleet.counts.deliveries - delivered).max(1) as f64;
    let frame_bytes = (fleet.counts.delivered_bytes - bytes) as f64 / deliveries;
    let reads = (fleet.counts.delivering_reads - reads).max(1) as f64;
    let memory = Memory::of(pid);

    fleet.drain(plan.drain)?;
    let nanos = seconds * 1e9;
    Ok(Measured {
        messages_per_s: messages / seconds,
        deliveries_per_s: deliveries / seconds,
        cpu_us_per_message: server_ns / messages / 1e3,
        cpu_us_per_delivery: server_ns / deliveries / 1e3,
        server_cpu: server_ns / nanos,
        generator_cpu: generator_ns / nanos,
        delivery_latency: fleet.counts.delivery_latency.clone(),
        ack_latency: fleet.counts.ack_latency.clone(),
        frame_bytes,
        frames_per_read: deliveries / reads,
        memory,
        verdict: fleet.verdict(),
        remarks: fleet.counts.remarks(),
    })
}
