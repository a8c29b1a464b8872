//! How many deliveries a second one core makes: the rate rises until the server no longer follows.

use std::time::Duration;

use anyhow::Result;

use super::Context;
use super::crowd::Crowd;
use crate::fleet::Fleet;
use crate::launch::Server;
use crate::load::{Plan, measure};
use crate::report::{Goal, Table};

const CROWD: Crowd = Crowd { rooms: 500, members: 10, senders: 1 };
/// A rate is followed if this share of it is delivered in the window.
const FOLLOWED: f64 = 0.95;

#[derive(Default)]
struct Best {
    deliveries_per_s: f64,
    cpu_us_per_delivery: f64,
    latency_ms: [f64; 2],
    resident: u64,
    steps: Vec<String>,
    verdict_clean: bool,
    remarks: Option<String>,
}

fn ramp(context: &Context, fleet: &mut Fleet, pid: u32, rates: &[f64], echo: bool) -> Result<Best> {
    let mut best = Best { verdict_clean: true, ..Best::default() };
    let mut behind = 0;
    for &rate in rates {
        let plan = Plan {
            senders: CROWD.senders(echo),
            rate,
            burst: 1,
            volley: 1,
            idle: Duration::ZERO,
            warm_up: context.seconds(0.3, 0.1),
            window: context.seconds(1.2, 0.5),
            drain: Duration::from_secs(3),
        };
        let step = measure(fleet, &[pid], &plan)?;
        let verdict = step.verdict;
        let wrong = verdict.lost + verdict.doubled + verdict.reordered + verdict.acks_lost;
        best.steps.push(format!("{:.0}k → {:.0}k", rate / 100.0, step.deliveries_per_s / 1e3));
        best.remarks = step.remarks;
        if wrong > 0 || best.remarks.is_some() {
            best.verdict_clean = false;
            best.steps.push(format!("{wrong} wrong"));
            break;
        }
        if step.deliveries_per_s > best.deliveries_per_s {
            best.deliveries_per_s = step.deliveries_per_s;
            best.cpu_us_per_delivery = step.cpu_us_per_delivery;
            best.latency_ms = [0.5, 0.99].map(|q| step.delivery_latency.quantile_ms(q));
            best.resident = step.memory.resident;
        }
        if step.deliveries_per_s < rate * f64::from(CROWD.members) * FOLLOWED {
            behind += 1;
        }
        if behind == 2 {
            break;
        }
    }
    Ok(best)
}

fn floor(context: &mut Context, rates: &[f64], echo: bool) -> Result<Best> {
    let server = context.floor()?;
    let (mut fleet, _) = CROWD.connect_floor(&server, echo)?;
    ramp(context, &mut fleet, server.pid(), rates, echo)
}

pub(super) fn run(context: &mut Context) -> Result<Table> {
    let echo = context.shape()?.echo;
    let quick = context.quick;
    let floor_rates: &[f64] = if quick { &[20_000.0] } else { &[18_000.0, 22_000.0] };
    let rates: &[f64] = if quick {
        &[8_000.0, 14_000.0, 20_000.0]
    } else {
        &[8_000.0, 10_000.0, 12_000.0, 14_000.0, 16_000.0, 18_000.0, 20_000.0, 22_000.0]
    };
    let before = floor(context, floor_rates, echo)?;
    let mynah = {
        let server = Server::mynah(&context.setup, &context.data()?)?;
        let rooms = CROWD.settle(&server, &context.setup, echo)?;
        let (mut fleet, _) = CROWD.connect(&server, &context.setup, rooms, (echo, 1))?;
        ramp(context, &mut fleet, server.pid(), rates, echo)?
    };
    let after = floor(context, floor_rates, echo)?;

    let mut table = Table::new("saturation", "500 rooms × 10 members, rising rate");
    table.beside(
        "most deliveries/s, all stored and acknowledged",
        f64::midpoint(before.deliveries_per_s, after.deliveries_per_s),
        mynah.deliveries_per_s,
        Goal::AtLeast(150_000.0),
    );
    table.beside(
        "server CPU per delivery there, µs",
        f64::midpoint(before.cpu_us_per_delivery, after.cpu_us_per_delivery),
        mynah.cpu_us_per_delivery,
        Goal::None,
    );
    let latency = |of: fn(&Best) -> f64| (f64::midpoint(of(&before), of(&after)), of(&mynah));
    let (floor, p50) = latency(|best| best.latency_ms[0]);
    table.beside("delivery p50 there, ms", floor, p50, Goal::None);
    let (floor, p99) = latency(|best| best.latency_ms[1]);
    table.beside("delivery p99 there, ms", floor, p99, Goal::None);
    let (floor, resident) = latency(|best| best.resident as f64 / 1e6);
    table.beside("RSS there, MB", floor, resident, Goal::None);
    let wrong = f64::from(u8::from(!mynah.verdict_clean));
    table.row("steps with lost, doubled, reordered or unacknowledged", wrong, Goal::Zero);
    table.note(format!("deliveries/s asked → made: {}", mynah.steps.join(", ")));
    table.note(format!("floor: {}; {}", before.steps.join(", "), after.steps.join(", ")));
    if let Some(remarks) = mynah.remarks {
        table.note(format!("trouble: {remarks}"));
    }
    Ok(table)
}
