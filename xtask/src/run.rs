//! `cargo xtask run`: from a fresh checkout to a served product.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::build;
use crate::process::Steps;
use crate::workspace::Workspace;

/// Builds what is out of date and becomes `mynah serve`, with data in `./data` unless told otherwise.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps, args: &[String]) -> Result<()> {
    build::web(workspace, steps)?;
    build::server(workspace, steps)?;
    let binary = workspace.release_binary("mynah");
    let mut command = Command::new(&binary);
    command.current_dir(workspace.root()).arg("serve").args(args);
    if env::var_os("MYNAH_DATA_DIR").is_none() {
        command.env("MYNAH_DATA_DIR", workspace.path("data"));
    }
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", binary.display()))
}
