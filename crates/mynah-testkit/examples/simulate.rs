//! Runs simulated histories: `--seed N` replays one with a trace, `--seeds N [--from M]` runs many.

use std::process::ExitCode;
use std::time::Instant;

use mynah_testkit::simulation::{Run, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = number("--seed") {
        return match run(Run { seed, is_traced: true, ..Run::default() }) {
            Ok(report) => {
                println!("seed {seed} is well: {report:?}");
                ExitCode::SUCCESS
            }
            Err(failure) => {
                println!("{failure}");
                ExitCode::FAILURE
            }
        };
    }
    let (from, seeds) = (number("--from").unwrap_or(0), number("--seeds").unwrap_or(1_000));
    let begun = Instant::now();
    let (mut failures, mut stored, mut received, mut upheavals, mut mishaps) = (0, 0, 0, 0, 0);
    let (mut slowest, mut healed, mut resyncs) = ((0, 0), 0, 0);
    for seed in from..from + seeds {
        match run(Run { seed, ..Run::default() }) {
            Ok(report) => {
                stored += report.stored;
                received += report.received;
                upheavals += report.upheavals;
                mishaps += report.mishaps;
                healed += report.healed;
                resyncs += report.resyncs;
                slowest = slowest.max((report.settled_ms, seed));
            }
            Err(failure) => {
                failures += 1;
                println!("{failure}");
            }
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds in {took:.1} s ({:.0}/s): {failures} failures; {stored} events stored, {received} received, \
         {healed} healed, {resyncs} resyncs, {upheavals} upheavals, {mishaps} mishaps; slowest to settle {} ms (seed {})",
        seeds as f64 / took,
        slowest.0,
        slowest.1,
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
