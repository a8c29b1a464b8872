//! The artefacts that more than one task needs: web application, server, programs for tests.

use std::fs;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};

use crate::node::{self, Package};
use crate::process::{self, Steps};
use crate::tools;
use crate::workspace::Workspace;

/// Installs the packages of `web/`, if its lock changed.
pub(crate) fn web_packages(workspace: &Workspace, steps: &mut Steps) -> Result<Package> {
    let package = Package::new(workspace.path("web"));
    if !package.exists() {
        bail!("web/package.json is missing: the web application is part of the product");
    }
    steps.step("web: install", || {
        node::require_node()?;
        package.install()
    })?;
    Ok(package)
}

/// Builds `web/dist`, which the server embeds, if a source is newer than it.
pub(crate) fn web(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let package = web_packages(workspace, steps)?;
    steps.step("web: build", || {
        let page = workspace.path("web/dist/index.html");
        let built = fs::metadata(&page).and_then(|file| file.modified());
        let newest = node::newest_source(&workspace.path("web"))?;
        if built.is_ok_and(|built| built >= newest) {
            println!("    web/dist is up to date");
            return Ok(());
        }
        process::run(&mut package.npm(&["run", "build"]))?;
        // A bundler may leave an unchanged page with its old time.
        fs::File::options()
            .append(true)
            .open(&page)
            .and_then(|file| file.set_modified(newest.max(SystemTime::now())))
            .with_context(|| format!("`npm run build` left no {}", page.display()))
    })
}

/// Builds `target/release/mynah`, exactly as users get it.
pub(crate) fn server(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.step("build: mynah (release)", || {
        tools::c_toolchain()?;
        let args = ["build", "--release", "--locked", "-p", "mynah-server", "--bin", "mynah"];
        process::run(&mut workspace.cargo(args))
    })
}

/// Builds the programs that tests talk to beside the server: the echo server that the official protocol
/// suites expect, what plays Mynah's side among Node Socket.IO servers, and the fault suite.
///
/// For development, and of the whole workspace: so they are made of the libraries that the tests were made
/// of, and mostly are there already. Nothing is measured with them.
pub(crate) fn test_programs(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.step("build: programs for tests (dev)", || {
        tools::c_toolchain()?;
        let programs =
            ["--example", "conformance", "--example", "socket_io_side", "--bin", "mynah-faults"];
        process::run(workspace.cargo(["build", "--workspace", "--locked"]).args(programs))
    })
}
