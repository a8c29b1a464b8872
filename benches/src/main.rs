//! Load program of Mynah: drives a release binary over the stock Socket.IO wire and sets every figure beside the
//! raw floor measured in the same minutes.
//!
//! Entry points: [`Arguments`] (usage), `scenarios` (what is measured), `floor` (what it is measured against).

mod fleet;
mod floor;
mod http;
mod launch;
mod load;
mod machine;
mod programs;
mod report;
mod scenarios;
mod tally;
mod token;
mod wire;
mod world;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};

use launch::MynahSetup;
use scenarios::{Context, Scenario};

/// Measures Mynah beside the raw floor.
#[derive(Parser)]
#[command(name = "mynah-benches", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    #[command(flatten)]
    run: Run,
}

#[derive(Subcommand)]
enum Role {
    /// The raw floor (started by the program itself).
    FloorServer {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        frame_bytes: usize,
    },
    /// Runs a program pinned to a core (started by the program itself).
    #[command(hide = true)]
    Pinned {
        #[arg(long)]
        core: Vec<usize>,
        /// Gives up the rights of root: PostgreSQL wants none.
        #[arg(long)]
        as_nobody: bool,
        #[arg(last = true)]
        program: Vec<String>,
    },
}

#[derive(Args)]
struct Run {
    /// What to measure; everything if left out.
    scenarios: Vec<Scenario>,
    /// The `mynah` binary, built for release.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Short windows and smaller crowds: a check that all works, not a result.
    #[arg(long)]
    quick: bool,
    /// Replaces the sections of the measured scenarios in this file.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Where data directories are made (a real disk, or durability costs nothing).
    #[arg(long)]
    data_parent: Option<PathBuf>,
    /// Further environment of the server, NAME=VALUE.
    #[arg(long)]
    env: Vec<String>,
    /// Messages in the store for `history`.
    #[arg(long)]
    history_messages: Option<u64>,
    /// Sessions for `idle` and `storm`.
    #[arg(long)]
    sessions: Option<u32>,
    /// Set by the program itself once it is pinned.
    #[arg(long, hide = true)]
    pinned: bool,
}

fn secret() -> String {
    // Of no worth beyond this run: the server listens on loopback for seconds.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    format!("{now:032x}{:032x}", u128::from(std::process::id()) * now)
}

/// Ends the program if a scenario takes far too long; the servers die with it.
fn watch_over(deadline_s: Arc<AtomicU64>, started: Instant, work: PathBuf) {
    std::thread::spawn(move || {
        while started.elapsed().as_secs() < deadline_s.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(200));
        }
        eprintln!("a scenario did not end in time");
        drop(std::fs::remove_dir_all(work));
        std::process::exit(3);
    });
}

const WORK_PREFIX: &str = "mynah-benches-";

/// Removes what runs left behind that were killed.
fn sweep(parent: &Path) -> Result<()> {
    for entry in std::fs::read_dir(parent)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix(WORK_PREFIX).and_then(|rest| rest.split('-').next());
        let pid = pid.and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_err()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn measure(run: Run) -> Result<()> {
    let files = machine::raise_file_limit()?;
    let facts = machine::facts();
    let binary = run.server.context("--server <path to mynah> is needed")?;
    let binary = binary.canonicalize().context("no such server binary")?;
    let extra_env = run
        .env
        .iter()
        .map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect::<Option<Vec<_>>>()
        .context("--env wants NAME=VALUE")?;
    let parent = run.data_parent.unwrap_or_else(std::env::temp_dir);
    sweep(&parent)?;
    let prefix = format!("{WORK_PREFIX}{}-", std::process::id());
    let work = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?;
    let setup = MynahSetup { binary, secret: secret(), extra_env };
    let mut context = Context::new(setup, work.path().to_owned(), run.quick);
    context.history_messages = run.history_messages.unwrap_or(context.history_messages);
    context.sessions = run.sessions.unwrap_or(context.sessions);
    if u64::from(context.sessions) + 500 > files {
        bail!("{} sessions need more than {files} open files", context.sessions);
    }

    let started = Instant::now();
    let deadline_s = Arc::new(AtomicU64::new(0));
    let mut failed = Vec::new();
    for (index, scenario) in Scenario::chosen(&run.scenarios).into_iter().enumerate() {
        let limit = scenario.limit_s(&context);
        deadline_s.store(started.elapsed().as_secs() + limit, Ordering::Relaxed);
        if index == 0 {
            watch_over(Arc::clone(&deadline_s), started, work.path().to_owned());
        }
        let kind = if run.quick { "; quick run, not a result" } else { "" };
        let circumstances = format!("{facts}; load average {}{kind}", machine::load_average());
        let began = Instant::now();
        match scenario.run(&mut context) {
            Ok(table) => {
                println!("{}", table.markdown(&circumstances));
                eprintln!("({:.1} s)\n", began.elapsed().as_secs_f64());
                if let Some(file) = &run.write {
                    table.write(file, &circumstances)?;
                }
            }
            Err(error) => {
                eprintln!("{scenario:?} failed: {error:#}\n");
                failed.push(format!("{scenario:?}"));
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Runs this very program again as the generator: pinned and in a scheduling group of its own.
fn run_pinned() -> Result<()> {
    let this = std::env::current_exe()?;
    let status = launch::pinned(&[machine::GENERATOR_CORE], false)?
        .arg(this)
        .args(std::env::args_os().skip(1))
        .arg("--pinned")
        .status()?;
    if !status.success() {
        std::process::exit(status.code().unwrap_or(1));
    }
    Ok(())
}

fn begin() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::FloorServer { port, frame_bytes }) => {
            machine::raise_file_limit()?;
            floor::serve(&TcpListener::bind(("127.0.0.1", port))?, frame_bytes)
        }
        Some(Role::Pinned { core, as_nobody, program }) => {
            launch::become_pinned(&core, as_nobody, &program)
        }
        None if arguments.run.pinned => measure(arguments.run),
        None => run_pinned(),
    }
}

fn main() -> ExitCode {
    match begin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
