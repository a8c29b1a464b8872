//! `cargo xtask bench`: the load program against the release server.

use std::process::Command;

use anyhow::Result;

use crate::build;
use crate::e2e;
use crate::process::{self, Steps};
use crate::workspace::Workspace;

/// Builds both programs, installs Node's packages if they are measured, too, and runs
/// `mynah-benches <args> --server <path>`.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps, args: &[String]) -> Result<()> {
    build::web(workspace, steps)?;
    build::server(workspace, steps)?;
    if args.iter().any(|arg| ["all", "nodes-node"].contains(&&**arg)) {
        e2e::install(workspace, steps)?;
    }
    steps.step("build: mynah-benches (release)", || {
        let args = ["build", "--release", "--locked", "-p", "mynah-benches"];
        process::run(&mut workspace.cargo(args))
    })?;
    steps.step("bench", || {
        process::run(
            Command::new(workspace.release_binary("mynah-benches"))
                .current_dir(workspace.root())
                .args(args)
                .arg("--server")
                .arg(workspace.release_binary("mynah")),
        )
    })
}
