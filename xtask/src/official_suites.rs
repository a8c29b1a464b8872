//! `cargo xtask official-suites`: the protocols' own test suites, unmodified but for the address and the
//! repairs named here.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::build;
use crate::node;
use crate::process::{self, Steps};
use crate::workspace::Workspace;

struct Suite {
    name: &'static str,
    folder: &'static str,
    /// What is wrong in the suite itself, each text with its replacement.
    repairs: &'static [(&'static str, &'static str)],
}

/// One case of revision 3 waits for the WebSocket to open and only then begins to listen: an open packet that
/// comes in one read with the handshake is lost, and the case waits for ever. Its neighbours listen at
/// once, as it does now. (In revision 4 the next ping saves the same case.)
const LISTEN_AT_ONCE: (&str, &str) = (
    "        await waitFor(socket, \"open\");\n\n        await waitFor(socket, \"message\"); // handshake\n",
    "        await waitFor(socket, \"message\"); // handshake\n",
);

const SUITES: [Suite; 3] = [
    Suite {
        name: "Engine.IO v3",
        folder: "docs/engine.io-protocol/v3-test-suite",
        repairs: &[LISTEN_AT_ONCE],
    },
    Suite { name: "Engine.IO v4", folder: "docs/engine.io-protocol/v4-test-suite", repairs: &[] },
    Suite { name: "Socket.IO v5", folder: "docs/socket.io-protocol/v5-test-suite", repairs: &[] },
];

/// The address that the suites have written into them.
const SUITE_ADDRESS: &str = "http://localhost:3000";
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the suites from a checkout (or bare git directory) of the socket.io monorepo.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps, checkout: &Path) -> Result<()> {
    node::require_node()?;
    // The suites do not see the web application; the server must only compile without it.
    build::test_programs(workspace, steps)?;
    let binary = workspace.dev_binary("examples/conformance");
    let scratch = tempfile::tempdir().context("temporary folder")?;
    let mut failed = Vec::new();
    for suite in &SUITES {
        let mut folder = PathBuf::new();
        steps.step(&format!("{}: install", suite.name), || {
            folder = copy_suite(checkout, suite, scratch.path())?;
            let mut npm = Command::new("npm");
            npm.current_dir(&folder).args(["ci", "--no-audit", "--no-fund"]);
            process::run(&mut npm)
        })?;
        let server = Server::start(&binary)?;
        prepare(&folder.join("test-suite.js"), server.address, suite.repairs)?;
        let mut mocha = Command::new("node");
        mocha.current_dir(&folder).args(["node_modules/mocha/bin/mocha", "test-suite.js"]);
        if let Err(error) = steps.runner(suite.name, &mut mocha) {
            println!("{error:#}");
            failed.push(suite.name);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    steps.summary();
    bail!("failing cases in: {}", failed.join(", "))
}

/// Copies one suite's folder below `scratch`.
fn copy_suite(checkout: &Path, suite: &Suite, scratch: &Path) -> Result<PathBuf> {
    let target = scratch.join(suite.folder);
    let source = checkout.join(suite.folder);
    if source.is_dir() {
        fs::create_dir_all(&target)?;
        for entry in fs::read_dir(&source)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), target.join(entry.file_name()))?;
            }
        }
        return Ok(target);
    }
    ensure!(
        checkout.join("HEAD").is_file() && checkout.join("objects").is_dir(),
        "{} holds neither {} nor a git directory: give a checkout of \
         https://github.com/socketio/socket.io",
        checkout.display(),
        suite.folder
    );
    let archive = scratch.join("suite.tar");
    process::run(
        Command::new("git")
            .arg("--git-dir")
            .arg(checkout)
            .args(["archive", "--format=tar", "--output"])
            .arg(&archive)
            .args(["HEAD", suite.folder]),
    )?;
    process::run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(scratch))?;
    Ok(target)
}

/// Replaces the suite's address by the server's, and makes its repairs.
fn prepare(suite: &Path, address: SocketAddr, repairs: &[(&str, &str)]) -> Result<()> {
    let mut text =
        fs::read_to_string(suite).with_context(|| format!("reading {}", suite.display()))?;
    ensure!(text.contains(SUITE_ADDRESS), "{} has no {SUITE_ADDRESS}", suite.display());
    for (wrong, right) in repairs {
        ensure!(text.contains(wrong), "{} has no {wrong:?} to repair", suite.display());
        text = text.replace(wrong, right);
    }
    fs::write(suite, text.replace(SUITE_ADDRESS, &format!("http://{address}")))?;
    Ok(())
}

/// A running conformance server; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(binary: &Path) -> Result<Self> {
        let address = free_address()?;
        // The suites' constants: heartbeats and largest payload.
        let child = Command::new(binary)
            .args(["--port", &address.port().to_string()])
            .args(["--ping-interval-ms", "300", "--ping-timeout-ms", "200"])
            .args(["--max-payload", "1000000"])
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut server = Self { child, address };
        server.wait_until_listening()?;
        Ok(server)
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if TcpStream::connect(self.address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the conformance server ended at once with {status}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the conformance server does not listen on {} after 10 s", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.kill().and_then(|()| self.child.wait()).is_err() {
            eprintln!("the conformance server (process {}) may still run", self.child.id());
        }
    }
}

fn free_address() -> Result<SocketAddr> {
    let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(probe.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_from_a_checkout_and_points_at_the_server() {
        let checkout = tempfile::tempdir().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let [suite, ..] = &SUITES;
        let source = checkout.path().join(suite.folder);
        fs::create_dir_all(source.join("node_modules")).unwrap();
        fs::write(source.join("test-suite.js"), "const URL = \"http://localhost:3000\";").unwrap();
        let copy = copy_suite(checkout.path(), suite, scratch.path()).unwrap();
        let address = "127.0.0.1:4567".parse().unwrap();
        prepare(&copy.join("test-suite.js"), address, &[]).unwrap();
        let text = fs::read_to_string(copy.join("test-suite.js")).unwrap();
        assert_eq!(text, "const URL = \"http://127.0.0.1:4567\";");
        let outdated = prepare(&source.join("test-suite.js"), address, &[LISTEN_AT_ONCE]);
        assert!(outdated.unwrap_err().to_string().contains("to repair"));
    }

    #[test]
    fn a_folder_without_suites_says_what_to_give() {
        let empty = tempfile::tempdir().unwrap();
        let [suite, ..] = &SUITES;
        let error = copy_suite(empty.path(), suite, empty.path()).unwrap_err().to_string();
        assert!(error.contains("checkout of"), "{error}");
    }
}
