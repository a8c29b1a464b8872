//! Harms a running cluster in every way of the fault catalogue and proves that nothing acknowledged is lost.
//!
//! `mynah-faults --server target/release/mynah [--short] [--rows F1,F5]`; `cargo xtask faults` builds and starts it.
//! It starts PostgreSQL, a broker and the nodes with proxies between them, puts load on them through REST and
//! Socket.IO, harms them row by row ([`rows`]), and compares what senders and listeners were told with what is stored
//! ([`judge`]). Exit status 1 if something that decides did not hold.
//!
//! It waits for time to pass where the fault is a time: how long a broker is away, for example. Everything else is
//! waited for by looking.

mod dice;
mod http;
mod judge;
mod ledger;
mod listen;
mod load;
mod machine;
mod outcome;
mod plan;
mod presence;
mod report;
mod rows;
mod scene;
mod site;
mod socket;
mod token;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tokio::time::Instant;

use crate::plan::Plan;
use crate::report::Fate;
use crate::rows::{ROWS, Row};
use crate::site::{BrokerKind, Site, SiteSetup, StoreKind};

/// Harms Mynah and looks whether anything is lost.
#[derive(Parser)]
struct Arguments {
    /// The program under test.
    #[arg(long, default_value = "target/release/mynah")]
    server: PathBuf,
    /// A few minutes; times are reported and do not decide.
    #[arg(long)]
    short: bool,
    /// Rows to play, such as `F1,F5`; all if absent.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Rounds of each row, instead of its own number.
    #[arg(long)]
    rounds: Option<usize>,
    #[arg(long, value_enum, default_value = "redis")]
    broker: BrokerKind,
    #[arg(long, default_value_t = 2)]
    nodes: usize,
    #[arg(long, value_enum, default_value = "postgres")]
    store: StoreKind,
    /// Chooses moments and lengths; another one each time if absent.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the report is written, instead of to the terminal.
    #[arg(long)]
    report: Option<PathBuf>,
    /// A folder for the logs of the nodes, after rows that are not good.
    #[arg(long)]
    logs: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let run = runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(arguments)));
    match run {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    let binary = arguments.server.canonicalize();
    let binary = binary.with_context(|| format!("no program {}", arguments.server.display()))?;
    let (nodes, store, broker) = (arguments.nodes, arguments.store, arguments.broker);
    if nodes == 0 || nodes > 1 && store == StoreKind::Sqlite {
        bail!("one node on SQLite, or any number on PostgreSQL");
    }
    let plan = Plan {
        short: arguments.short,
        rounds: arguments.rounds,
        seed: arguments.seed.unwrap_or(now as u64),
        nonce: now as u64 % 1_000_000,
        setup: SiteSetup { binary, nodes, store, broker },
    };
    let rows = chosen(&arguments.rows)?;
    println!("seed {}", plan.seed);
    let mut fates = Vec::new();
    // Started when a row needs it, and anew after one that broke off.
    let mut site = None;
    for row in rows {
        let began = Instant::now();
        println!("{} {} …", row.id, row.fault);
        let fate = play(row, &plan, &mut site).await;
        println!("    {} ({:.1} s)", fate.line(plan.short), began.elapsed().as_secs_f64());
        for line in complaints(&fate, plan.short) {
            println!("    {line}");
        }
        if let (Some(folder), false) = (&arguments.logs, fate.is_good(plan.short)) {
            save_logs(folder, row, site.as_ref())?;
        }
        if matches!(fate, Fate::Broken(_)) {
            site = None;
        }
        fates.push((row, fate, began.elapsed()));
    }
    drop(site);
    let text = report::markdown(&plan, &fates);
    match &arguments.report {
        Some(file) => std::fs::write(file, &text).context("the report")?,
        None => println!("\n{text}"),
    }
    let bad: Vec<&str> = fates
        .iter()
        .filter(|(_, fate, _)| !fate.is_good(plan.short))
        .map(|(row, ..)| row.id)
        .collect();
    let verdict = if bad.is_empty() { "OK" } else { "VIOLATED" };
    let total: u64 = fates.iter().map(|(_, fate, _)| fate.faults()).sum();
    println!("{verdict}: {} rows, {total} faults{}", fates.len(), named(&bad));
    Ok(bad.is_empty())
}

fn save_logs(folder: &Path, row: &Row, site: Option<&Site>) -> Result<()> {
    std::fs::create_dir_all(folder).context("the folder of logs")?;
    for (index, node) in site.iter().flat_map(|site| site.nodes.iter().enumerate()) {
        let file = folder.join(format!("{}-node{index}.log", row.id));
        std::fs::write(file, node.program.log()).context("a log")?;
    }
    Ok(())
}

fn named(bad: &[&str]) -> String {
    if bad.is_empty() { String::new() } else { format!("; not good: {}", bad.join(", ")) }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| {
        let row = ROWS.iter().find(|row| row.id.eq_ignore_ascii_case(name.trim()));
        row.with_context(|| format!("there is no row {name}"))
    };
    names.iter().map(find).collect()
}

/// Plays one row on a site in good order.
async fn play(row: &Row, plan: &Plan, site: &mut Option<Site>) -> Fate {
    if let Some(reason) = row.cannot(plan) {
        return Fate::Left(reason);
    }
    match play_on(row, plan, site).await {
        Ok(outcome) => Fate::Played(Box::new(outcome)),
        Err(error) => {
            let mut said = format!("{error:#}");
            if let Some(site) = site {
                let logs = site.nodes.iter().map(|node| node.program.log_tail());
                said.extend(logs.enumerate().map(|(n, log)| format!("\nnode {n} said:\n{log}")));
            }
            Fate::Broken(said)
        }
    }
}

/// No row takes longer, unless it hangs.
const ROW_LIMIT: Duration = Duration::from_mins(40);

async fn play_on(row: &Row, plan: &Plan, place: &mut Option<Site>) -> Result<outcome::Outcome> {
    let site = match place {
        Some(site) => site,
        empty => empty.insert(Site::start(&plan.setup).await?),
    };
    site.mend().await?;
    tokio::time::timeout(ROW_LIMIT, row.play(site, plan)).await.context("the row hangs")?
}

fn complaints(fate: &Fate, short: bool) -> Vec<String> {
    let Fate::Played(outcome) = fate else { return Vec::new() };
    let failed = outcome.checks.iter().filter(|check| !check.holds);
    let mut lines: Vec<String> = failed
        .map(|check| {
            let weight =
                if short && check.is_timed { "not held (reported only)" } else { "NOT HELD" };
            format!("{weight}: {}: {}", check.what, check.seen)
        })
        .collect();
    lines.extend(outcome.findings.examples.iter().cloned());
    lines
}
