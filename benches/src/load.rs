//! Open-loop load at a fixed rate and what a measured window of it costs.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::fleet::{Fleet, Verdict};
use crate::machine::{self, Cpu, FamilyCpu, Memory};
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
    /// CPU per message of the processes watched beside the server, in the order in which they were named.
    pub(crate) beside_us_per_message: Vec<f64>,
    /// Shares of one core that all watched took for doing nothing; they are deducted from the rest.
    pub(crate) idle_cpu: Vec<f64>,
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

/// What processes have cost since some moment.
struct Meter {
    pids: Vec<u32>,
    before: Vec<FamilyCpu>,
    began: Instant,
}

impl Meter {
    fn start(pids: &[u32]) -> Self {
        let before = pids.iter().map(|&pid| FamilyCpu::of(pid)).collect();
        Self { pids: pids.to_vec(), before, began: Instant::now() }
    }

    /// Nanoseconds of each.
    fn read(&self) -> Vec<f64> {
        let now = self.pids.iter().map(|&pid| FamilyCpu::of(pid));
        now.zip(&self.before).map(|(now, before)| now.since(before)).collect()
    }

    fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

/// Cost of doing nothing, in nanoseconds per second, of each process.
fn idle_cost(fleet: &mut Fleet, pids: &[u32], length: Duration) -> Result<Vec<f64>> {
    let meter = Meter::start(pids);
    if length.is_zero() {
        return Ok(vec![0.0; pids.len()]);
    }
    while meter.began.elapsed() < length {
        fleet.poll(Duration::from_millis(20))?;
    }
    let seconds = meter.seconds();
    Ok(meter.read().into_iter().map(|ns| ns / seconds).collect())
}

/// Settles, measures the idle cost, warms up, measures the window and waits for what is under way. The first of
/// `pids` is the server, the others are watched beside it, each with the processes that it has started.
pub(crate) fn measure(fleet: &mut Fleet, pids: &[u32], plan: &Plan) -> Result<Measured> {
    for &pid in pids.iter().skip(1) {
        machine::raise_priority(pid);
    }
    fleet.settle(Duration::from_millis(200), Duration::from_secs(5))?;
    let idle_ns_per_s = idle_cost(fleet, pids, plan.idle)?;
    drive(fleet, plan, plan.warm_up)?;

    let (sent, delivered) = (fleet.counts.sent(), fleet.counts.deliveries);
    let (bytes, reads) = (fleet.counts.delivered_bytes, fleet.counts.delivering_reads);
    let (servers, generator) = (Meter::start(pids), Cpu::of(std::process::id()));
    fleet.counts.delivery_latency = Histogram::default();
    fleet.counts.ack_latency = Histogram::default();
    fleet.counts.window_ns = fleet.now_ns()..u64::MAX;
    drive(fleet, plan, plan.window)?;
    fleet.counts.window_ns.end = fleet.now_ns();
    let seconds = servers.seconds();
    let spent = servers.read().into_iter().zip(&idle_ns_per_s);
    let mut spent_ns = spent.map(|(ns, idle)| ns - idle * seconds);
    let server_ns = spent_ns.next().unwrap_or(f64::NAN);
    let beside_ns: Vec<f64> = spent_ns.collect();
    let generator_ns = Cpu::of(std::process::id()).since(&generator);
    let messages = (fleet.counts.sent() - sent).max(1) as f64;
    let deliveries = (fleet.counts.deliveries - delivered).max(1) as f64;
    let frame_bytes = (fleet.counts.delivered_bytes - bytes) as f64 / deliveries;
    let reads = (fleet.counts.delivering_reads - reads).max(1) as f64;
    let memory = pids.first().map(|&pid| Memory::of(pid)).unwrap_or_default();

    fleet.drain(plan.drain)?;
    let nanos = seconds * 1e9;
    Ok(Measured {
        messages_per_s: messages / seconds,
        deliveries_per_s: deliveries / seconds,
        cpu_us_per_message: server_ns / messages / 1e3,
        cpu_us_per_delivery: server_ns / deliveries / 1e3,
        beside_us_per_message: beside_ns.into_iter().map(|ns| ns / messages / 1e3).collect(),
        idle_cpu: idle_ns_per_s.into_iter().map(|ns| ns / 1e9).collect(),
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
