//! Programs that the gate needs: found on the PATH or in `.tools`, else installed there once.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::process;
use crate::workspace::{Workspace, find_program};

/// A program published as a crate.
pub(crate) struct CargoTool {
    program: &'static str,
    package: &'static str,
    version: &'static str,
}

pub(crate) const DENY: CargoTool =
    CargoTool { program: "cargo-deny", package: "cargo-deny", version: "0.20.2" };
pub(crate) const FUZZ: CargoTool =
    CargoTool { program: "cargo-fuzz", package: "cargo-fuzz", version: "0.13.2" };
const TYPOS: CargoTool = CargoTool { program: "typos", package: "typos-cli", version: "1.52.0" };

/// Finds the program, or compiles it into `.tools/bin`.
pub(crate) fn cargo_tool(workspace: &Workspace, tool: &CargoTool) -> Result<PathBuf> {
    let tools = workspace.tools();
    let installed = tools.join("bin").join(tool.program);
    if let Some(found) = find_program(tool.program) {
        return Ok(found);
    }
    if installed.is_file() {
        return Ok(installed);
    }
    println!("    installing {} {} into .tools (once)", tool.package, tool.version);
    let mut install = workspace.cargo(["install", "--locked", "--root"]);
    install.arg(&tools).args(["--version", tool.version, tool.package]);
    // Apart from the workspace's target: other profiles, other features, kept for the next try.
    install.env("CARGO_TARGET_DIR", workspace.target().join("tools"));
    process::run(&mut install).with_context(|| {
        format!(
            "cannot install {}; install it yourself: `cargo install --locked {}@{}`",
            tool.program, tool.package, tool.version
        )
    })?;
    Ok(installed)
}

/// The spelling checker; the published wheel holds the finished program, so no compiling.
pub(crate) fn typos(workspace: &Workspace) -> Result<PathBuf> {
    let wheel = workspace.tools().join("python");
    let installed = wheel.join("bin/typos");
    if let Some(found) = find_program(TYPOS.program) {
        return Ok(found);
    }
    if installed.is_file() {
        return Ok(installed);
    }
    let with_pip = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"])
        .arg(&wheel)
        .arg(format!("typos=={}", TYPOS.version))
        .output();
    match with_pip {
        Ok(output) if output.status.success() && installed.is_file() => Ok(installed),
        _ => cargo_tool(workspace, &TYPOS),
    }
}

/// What the C parts of the server (database, allocator, cryptography) are built with.
pub(crate) fn c_toolchain() -> Result<()> {
    let missing = || ["cc", "make"].into_iter().find(|name| find_program(name).is_none());
    if let Some(program) = missing() {
        println!("    `{program}` is missing");
        apt_install("build-essential")?;
    }
    match missing() {
        Some(program) => bail!("`{program}` is missing though build-essential is installed"),
        None => Ok(()),
    }
}

/// The databases, brokers and proxies that tests start for themselves.
pub(crate) fn databases() -> Result<()> {
    let debians = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debians = debians.map(|version| version.path().join("bin/initdb"));
    if find_program("initdb").is_none() && !debians.any(|initdb| initdb.is_file()) {
        apt_install("postgresql")?;
    }
    // Only root has this folder on the PATH.
    let is_there = |program: &str| {
        find_program(program).is_some() || PathBuf::from("/usr/sbin").join(program).is_file()
    };
    if !is_there("mariadbd") || !is_there("mariadb-install-db") {
        apt_install("mariadb-server")?;
    }
    for program in ["redis-server", "nats-server", "sqlite3", "nginx", "haproxy", "pgbouncer"] {
        if !is_there(program) {
            apt_install(program)?;
        }
    }
    Ok(())
}

/// Whether `cargo nextest` can be used.
pub(crate) fn has_nextest() -> bool {
    find_program("cargo-nextest").is_some()
        || env::var_os("CARGO_HOME")
            .is_some_and(|home| PathBuf::from(home).join("bin/cargo-nextest").is_file())
}

/// The folder of the advisory databases that `cargo deny fetch` fills, if it was filled.
pub(crate) fn advisory_database() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    let folder = home.join("advisory-dbs");
    let filled = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    filled.then_some(folder)
}

/// The browser for the end-to-end tests; installs Debian's where we may.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CHROMIUM").map(PathBuf::from) {
        if named.is_file() {
            return Ok(named);
        }
        bail!("CHROMIUM names {}, which is not there", named.display());
    }
    if let Some(found) = find_chromium() {
        return Ok(found);
    }
    println!("    no browser for the end-to-end tests; CHROMIUM may name one");
    apt_install("chromium")?;
    find_chromium().context("apt-get installed chromium, but it is not on the PATH")
}

/// Installs a Debian package where we may, or says what to install.
fn apt_install(package: &str) -> Result<()> {
    let advice = format!("install it yourself (Debian: `apt-get install {package}`)");
    let is_root = process::capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root || find_program("apt-get").is_none() {
        bail!("{package} is missing and only root can install it: {advice}");
    }
    println!("    installing {package} with apt-get (once)");
    let apt = |args: &[&str]| {
        process::run(
            Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(args),
        )
    };
    apt(&["update"])
        .and_then(|()| apt(&["install", "-y", "--no-install-recommends", package]))
        .with_context(|| advice.clone())
}

fn find_chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]
        .iter()
        .find_map(|name| find_program(name))
}
