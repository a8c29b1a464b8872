//! The artefacts that more than one task needs: web application, server, conformance server.

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

/// Builds the echo server that the official protocol suites expect.
///
/// Apart from [`server`]: an example brings development dependencies, whose
/// features must not reach the server under test.
pub(crate) fn conformance(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    let example = workspace.path("crates/mynah-server/examples/conformance.rs");
    let folder = workspace.path("crates/mynah-server/examples/conformance/main.rs");
    if !example.is_file() && !folder.is_file() {
        bail!("{} is missing: the protocol suites run against it", example.display());
    }
    steps.step("build: conformance server (release)", || {
        let args =
            ["build", "--release", "--locked", "-p", "mynah-server", "--example", "conformance"];
        process::run(&mut workspace.cargo(args))
    })
}

/// Builds what plays Mynah's side among Node Socket.IO servers.
pub(crate) fn socket_io_side(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.step("build: Mynah's side of a Socket.IO cluster (release)", || {
        let package = ["-p", "mynah-cluster", "--example", "socket_io_side"];
        process::run(workspace.cargo(["build", "--release", "--locked"]).args(package))
    })
}
