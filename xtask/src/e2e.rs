//! Tests from outside: official clients, a browser, and `kill -9` against the release server.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build;
use crate::node::{self, Package};
use crate::process::Steps;
use crate::tools;
use crate::workspace::Workspace;

/// `cargo xtask e2e`: builds what the tests need and runs them.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps, args: &[String]) -> Result<()> {
    build_all(workspace, steps)?;
    let package = install(workspace, steps)?;
    tests(workspace, steps, &package, args)
}

/// `cargo xtask crash`.
pub(crate) fn crash(workspace: &Workspace, steps: &mut Steps, rounds: u32) -> Result<()> {
    build::web(workspace, steps)?;
    build::server(workspace, steps)?;
    install(workspace, steps)?;
    crash_rounds(workspace, steps, rounds)
}

/// Everything that [`tests`] and [`crash_rounds`] run.
pub(crate) fn build_all(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    build::web(workspace, steps)?;
    build::server(workspace, steps)?;
    build::test_programs(workspace, steps)
}

/// Kills and restarts the built server; the program fails if anything acknowledged is missing.
pub(crate) fn crash_rounds(workspace: &Workspace, steps: &mut Steps, rounds: u32) -> Result<()> {
    let program = workspace.path("e2e/crash.mjs");
    if !program.is_file() {
        bail!("e2e/crash.mjs is missing: it is the crash test");
    }
    let mut command = Command::new("node");
    command.current_dir(workspace.path("e2e")).arg(program);
    command.args(["--rounds", &rounds.to_string(), "--bin"]);
    command.arg(workspace.release_binary("mynah"));
    steps.runner(&format!("crash: {rounds} rounds"), &mut command)
}

/// Runs the end-to-end tests against what was built.
pub(crate) fn tests(
    workspace: &Workspace,
    steps: &mut Steps,
    package: &Package,
    args: &[String],
) -> Result<()> {
    let mut browser = PathBuf::new();
    steps.step("e2e: browser", || {
        browser = tools::chromium()?;
        println!("    {}", browser.display());
        Ok(())
    })?;
    let mut command = package.npm(&["test"]);
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    command
        .env("MYNAH_BIN", workspace.release_binary("mynah"))
        .env("MYNAH_CONFORMANCE_BIN", workspace.dev_binary("examples/conformance"))
        .env("MYNAH_SOCKET_IO_SIDE_BIN", workspace.dev_binary("examples/socket_io_side"))
        .env("CHROMIUM", browser);
    steps.runner("e2e", &mut command)
}

/// Installs the official clients that the tests use.
pub(crate) fn install(workspace: &Workspace, steps: &mut Steps) -> Result<Package> {
    let package = Package::new(workspace.path("e2e"));
    if !package.exists() {
        bail!("e2e/package.json is missing: the end-to-end tests are part of the gate");
    }
    steps.step("e2e: install", || {
        node::require_node()?;
        package.install()
    })?;
    Ok(package)
}
