//! The gate, cheap checks first: what must hold before a change is merged.

use std::env;
use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::build;
use crate::e2e;
use crate::faults;
use crate::node::{self, Package};
use crate::process::{self, Steps};
use crate::tidy;
use crate::tools;
use crate::workspace::Workspace;

/// Enough kills to meet each phase of a commit now and then; `cargo xtask crash` does more.
const CRASH_ROUNDS: u32 = 5;

/// `cargo xtask check`: all that needs no release build.
pub(crate) fn check(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    rust(workspace, steps)?;
    if Package::new(workspace.path("web")).exists() {
        web(workspace, steps)
    } else {
        steps.note("web/ is missing, so its checks did not run; `cargo xtask test` fails on that");
        Ok(())
    }
}

/// `cargo xtask test`: the whole gate, as continuous integration runs it.
pub(crate) fn test(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.step("node and folders", || {
        node::require_node()?;
        for part in ["web/package.json", "e2e/package.json", "e2e/crash.mjs"] {
            ensure!(workspace.path(part).is_file(), "{part} is missing: the gate tests it");
        }
        Ok(())
    })?;
    rust(workspace, steps)?;
    web(workspace, steps)?;
    e2e::build_all(workspace, steps)?;
    let package = e2e::install(workspace, steps)?;
    e2e::crash_rounds(workspace, steps, CRASH_ROUNDS)?;
    faults::short(workspace, steps)?;
    e2e::tests(workspace, steps, &package, &[])
}

fn rust(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let cargo = |args: &[&str]| workspace.cargo(args);
    steps.step("fmt", || process::run(&mut cargo(&["fmt", "--all", "--check"])))?;
    steps.step("typos", || {
        process::run(Command::new(tools::typos(workspace)?).current_dir(workspace.root()))
    })?;
    tidy::run(workspace, steps, false)?;
    steps.step("clippy", || {
        let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
        process::run(&mut cargo(&args))
    })?;
    steps.step("docs", || {
        let args = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
        process::run(cargo(&args).env("RUSTDOCFLAGS", deny_warnings()))
    })?;
    steps.step("databases and brokers for the tests", tools::databases)?;
    if tools::has_nextest() {
        steps.runner("tests", &mut cargo(&["nextest", "run", "--workspace", "--locked"]))?;
    } else {
        let args = ["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"];
        steps.runner("tests", &mut cargo(&args))?;
    }
    steps.runner("doc tests", &mut cargo(&["test", "--workspace", "--doc", "--locked"]))?;
    deny(workspace, steps)
}

fn deny_warnings() -> OsString {
    let mut flags = env::var_os("RUSTDOCFLAGS").unwrap_or_default();
    flags.push(" -D warnings");
    flags
}

fn deny(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let run = |args: &[&str]| {
        let mut command = Command::new(tools::cargo_tool(workspace, &tools::DENY)?);
        process::run(command.current_dir(workspace.root()).args(args))
    };
    steps.step("cargo-deny: bans, licences, sources", || {
        // Optional packages of other platforms are not needed to build, but to be judged.
        process::run(&mut workspace.cargo(["fetch", "--quiet", "--locked"]))?;
        run(&["--offline", "check", "bans", "licenses", "sources"])
    })?;
    if tools::advisory_database().is_some() {
        steps.step("cargo-deny: advisories", || run(&["--offline", "check", "advisories"]))
    } else {
        steps.note(
            "advisories were not checked: no database here; `cargo deny fetch` gets it when online",
        );
        Ok(())
    }
}

fn web(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let package = build::web_packages(workspace, steps)?;
    steps.step("web: lint", || process::run(&mut package.npm(&["run", "lint"])))?;
    steps.step("web: types", || process::run(&mut package.npm(&["run", "typecheck"])))?;
    steps.runner("web: tests", &mut package.npm(&["test"]))
}
