//! `cargo xtask fuzz`: the decoders under libFuzzer, on the stable toolchain.

use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{self, Steps};
use crate::tools;
use crate::workspace::Workspace;

/// Runs each target for some seconds; the first crash ends the task and leaves `fuzz/artifacts`.
pub(crate) fn run(
    workspace: &Workspace,
    steps: &mut Steps,
    seconds: u32,
    targets: &[String],
) -> Result<()> {
    if !workspace.path("fuzz/Cargo.toml").is_file() {
        bail!("fuzz/Cargo.toml is missing: there is nothing to fuzz");
    }
    let mut program = None;
    steps.step("tool: cargo-fuzz", || {
        program = Some(tools::cargo_tool(workspace, &tools::FUZZ)?);
        Ok(())
    })?;
    let Some(program) = program else { bail!("cargo-fuzz was not found") };
    let targets = if targets.is_empty() {
        let mut list = Command::new(&program);
        let list = process::capture(list.current_dir(workspace.root()).args(["fuzz", "list"]))?;
        list.lines().map(str::to_owned).collect()
    } else {
        targets.to_vec()
    };
    for target in targets {
        steps.step(&format!("fuzz: {target}"), || {
            // Sanitizers need a nightly compiler; coverage and our own checks do not.
            let mut command = Command::new(&program);
            command.current_dir(workspace.root());
            command.args(["fuzz", "run", "--sanitizer", "none", target.as_str()]);
            // What a run finds goes to the first folder; the seeds are only read.
            let corpus = format!("fuzz/corpus/{target}");
            std::fs::create_dir_all(workspace.path(&corpus))?;
            command.args([corpus, format!("fuzz/seeds/{target}")]);
            process::run(command.args(["--", &format!("-max_total_time={seconds}")]))
        })?;
    }
    Ok(())
}
