//! `cargo xtask faults`: the fault suite against the release server.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::build;
use crate::process::{self, Steps};
use crate::workspace::Workspace;

#[derive(Args)]
pub(crate) struct Options {
    /// A few minutes instead of an hour; times are reported and do not decide.
    #[arg(long)]
    pub(crate) short: bool,
    /// This program instead of one built now.
    #[arg(long)]
    pub(crate) server: Option<PathBuf>,
    /// More for the runner: `--rows F1,F5`, `--rounds N`, `--broker nats`, `--report FILE`, `--seed N`,
    /// `--nodes 1 --store sqlite`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) args: Vec<String>,
}

/// Builds the server, unless one is given, and `mynah-faults`, and runs it.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps, options: &Options) -> Result<()> {
    // Whatever follows the first option of the runner is the runner's, `--server` too.
    let names_server = |arg: &String| arg == "--server" || arg.starts_with("--server=");
    if options.args.iter().any(names_server) {
        let mut runner = runner(workspace, steps)?;
        runner.args(options.short.then_some("--short"));
        return steps.runner("faults", runner.args(&options.args));
    }
    let server = if let Some(server) = &options.server {
        server.canonicalize()?
    } else {
        build::web(workspace, steps)?;
        build::server(workspace, steps)?;
        workspace.release_binary("mynah")
    };
    let mut runner = runner(workspace, steps)?;
    runner.args(options.short.then_some("--short")).arg("--server").arg(server);
    steps.runner("faults", runner.args(&options.args))
}

/// The short run against the release server; both it and [`build::test_programs`] must be built.
pub(crate) fn short(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let mut runner = Command::new(workspace.dev_binary("mynah-faults"));
    runner.arg("--short").arg("--server").arg(workspace.release_binary("mynah"));
    steps.runner("faults, short", &mut runner)
}

fn runner(workspace: &Workspace, steps: &mut Steps) -> Result<Command> {
    steps.step("build: mynah-faults (release)", || {
        let args = ["build", "--release", "--locked", "-p", "mynah-faults"];
        process::run(&mut workspace.cargo(args))
    })?;
    Ok(Command::new(workspace.release_binary("mynah-faults")))
}
