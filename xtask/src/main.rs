//! The house's tasks: `cargo xtask <command>`.
//!
//! What must hold before a change is merged, and how the product is run, is
//! written here once and is the same on a desk and in continuous integration.
//! Nothing here is part of the server. Entry points: [`gate`] (check, test),
//! [`run`], [`tidy`].

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod build;
mod e2e;
mod faults;
mod fuzz;
mod gate;
mod node;
mod official_suites;
mod process;
mod run;
mod tidy;
mod tools;
mod workspace;

use crate::process::Steps;
use crate::workspace::Workspace;

/// Tasks of the Mynah workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the web application and the server, then serve with data in ./data.
    Run {
        /// Arguments for `mynah serve`.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// The fast gate: formatting, spelling, structure, lints, docs, tests, licences, web.
    Check,
    /// The whole gate: check, release build, crash test, end-to-end tests.
    Test,
    /// End-to-end tests with official clients and a browser against the release build.
    E2e {
        /// Arguments for the test runner (for example a file).
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Load scenarios against the release build.
    Bench {
        /// Arguments for the load program: scenarios and options.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Kill the server again and again while clients send; nothing acknowledged may be lost.
    Crash {
        /// How often the server is killed.
        #[arg(long, default_value_t = 20)]
        rounds: u32,
    },
    /// Harm two nodes, their database and broker in every way of the catalogue; nothing may be lost.
    Faults(faults::Options),
    /// Fuzz the decoders.
    Fuzz {
        /// Seconds per target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Targets; all when none is named.
        targets: Vec<String>,
    },
    /// The rules of structure, names and sizes.
    Tidy {
        /// Write the files that are made from others (crates/*/clippy.toml).
        #[arg(long)]
        fix: bool,
    },
    /// The official Engine.IO and Socket.IO suites against the conformance example.
    OfficialSuites {
        /// A checkout, or a bare git directory, of the socket.io monorepo.
        #[arg(long)]
        path: std::path::PathBuf,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match perform(arguments.task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    let workspace = Workspace::find()?;
    let mut steps = Steps::new();
    match task {
        Task::Run { args } => return run::run(&workspace, &mut steps, &args),
        Task::Check => gate::check(&workspace, &mut steps)?,
        Task::Test => gate::test(&workspace, &mut steps)?,
        Task::E2e { args } => e2e::run(&workspace, &mut steps, &args)?,
        Task::Bench { args } => bench::run(&workspace, &mut steps, &args)?,
        Task::Crash { rounds } => e2e::crash(&workspace, &mut steps, rounds)?,
        Task::Faults(options) => faults::run(&workspace, &mut steps, &options)?,
        Task::Fuzz { seconds, targets } => fuzz::run(&workspace, &mut steps, seconds, &targets)?,
        Task::Tidy { fix } => tidy::run(&workspace, &mut steps, fix)?,
        Task::OfficialSuites { path } => official_suites::run(&workspace, &mut steps, &path)?,
    }
    steps.summary();
    Ok(())
}
