//! From starting the process to readiness, and the size of the binary.

use anyhow::{Context as _, Result};

use super::Context;
use crate::launch::Server;
use crate::machine::Memory;
use crate::report::{Goal, Table};

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(super) fn run(context: &mut Context) -> Result<Table> {
    let rounds = if context.quick { 3 } else { 7 };
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    let mut memory = Memory::default();
    for _ in 0..rounds {
        let data = context.data()?;
        for times in [&mut fresh, &mut again] {
            let server = Server::mynah(&context.setup, &data)?;
            times.push(server.start_time.as_secs_f64() * 1e3);
            memory = Memory::of(server.pid());
            server.stop()?;
        }
    }
    let binary = std::fs::metadata(&context.setup.binary).context("no such binary")?.len();
    let mut table = Table::new("start", "process start until /readyz answers, and the binary");
    table.row("first start (empty directory), ms", median(fresh), Goal::AtMost(50.0));
    table.row("start on an existing store, ms", median(again), Goal::AtMost(50.0));
    table.row("binary, MB", binary as f64 / 1e6, Goal::AtMost(25.0));
    table.row("RSS after start, MB", memory.resident as f64 / 1e6, Goal::AtMost(25.0));
    table.note(format!("median of {rounds}; binary in the page cache"));
    Ok(table)
}
