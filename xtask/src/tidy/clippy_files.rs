//! `crates/{mynah-domain,mynah-protocol,mynah-hub}/clippy.toml`: the root's file and more bans.
//!
//! Clippy reads only the nearest file, so the inner ones must repeat the root's.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Violation;

const HEAD: &str = "# Made by `cargo xtask tidy --fix` from the root's clippy.toml: edit that, or \
                    xtask/src/tidy/clippy_files.rs.\n";
const LIST: &str = "disallowed-methods = [\n";

const ENVIRONMENT: &str = "configuration is an argument";
const SOCKET: &str = "no blocking sockets; the inner crates are handed their links";
const SPAWN: &str = "the caller decides what runs where";

const BANS: [(&str, &str); 9] = [
    ("std::time::SystemTime::now", "time is an argument"),
    ("std::env::var", ENVIRONMENT),
    ("std::env::var_os", ENVIRONMENT),
    ("std::env::vars", ENVIRONMENT),
    ("std::net::TcpListener::bind", SOCKET),
    ("std::net::TcpStream::connect", SOCKET),
    ("std::net::UdpSocket::bind", SOCKET),
    ("std::thread::spawn", SPAWN),
    ("std::thread::sleep", SPAWN),
];

/// The files, each with what to do instead of `std::time::Instant::now`.
///
/// The hub's shards run on tokio and read tokio's clock.
const FILES: [(&str, &str); 3] = [
    ("crates/mynah-domain/clippy.toml", "time is an argument"),
    ("crates/mynah-protocol/clippy.toml", "time is an argument"),
    ("crates/mynah-hub/clippy.toml", "use tokio::time::Instant, which tests can pause"),
];

/// Each file must be what [`write()`] would write.
pub(super) fn check(root: &Path) -> Result<Vec<Violation>> {
    let base = read_base(root)?;
    let mut violations = Vec::new();
    for (path, instead_of_instant) in FILES {
        let actual = fs::read_to_string(root.join(path)).unwrap_or_default();
        let expected = with_bans(&base, instead_of_instant)?;
        if actual != expected {
            let same = actual.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
            violations.push(Violation {
                path: path.to_owned(),
                line: same + 1,
                rule: "clippy files",
                problem: "is not the root's clippy.toml plus the bans of this crate".to_owned(),
                fix: "run `cargo xtask tidy --fix`",
            });
        }
    }
    Ok(violations)
}

/// Writes the inner files.
pub(super) fn write(root: &Path) -> Result<()> {
    let base = read_base(root)?;
    for (path, instead_of_instant) in FILES {
        fs::write(root.join(path), with_bans(&base, instead_of_instant)?)
            .with_context(|| format!("writing {path}"))?;
    }
    Ok(())
}

fn read_base(root: &Path) -> Result<String> {
    fs::read_to_string(root.join("clippy.toml")).context("reading clippy.toml")
}

fn with_bans(base: &str, instead_of_instant: &str) -> Result<String> {
    let (before, after) = base
        .split_once(LIST)
        .with_context(|| format!("clippy.toml has no line `{}`", LIST.trim_end()))?;
    let mut file = format!("{HEAD}{before}{LIST}");
    let instant = ("std::time::Instant::now", instead_of_instant);
    for (path, reason) in std::iter::once(&instant).chain(&BANS) {
        writeln!(file, "  {{ path = \"{path}\", reason = \"{reason}\" }},")?;
    }
    file.push_str(after);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_files_are_the_root_file_and_more_bans() {
        let base =
            "too-many-lines-threshold = 70\ndisallowed-methods = [\n  { path = \"a::b\" },\n]\n";
        let file = with_bans(base, "wait").unwrap();
        let table: toml::Table = file.parse().unwrap();
        let bans = table["disallowed-methods"].as_array().unwrap();
        assert_eq!(bans.len(), BANS.len() + 2);
        assert_eq!(table["too-many-lines-threshold"].as_integer(), Some(70));
        assert!(with_bans("a = 1\n", "wait").is_err());
    }

    #[test]
    fn a_changed_file_is_found_and_mended() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("clippy.toml"), "a = 1\ndisallowed-methods = [\n]\n").unwrap();
        for (path, _) in FILES {
            fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        }
        assert_eq!(check(root.path()).unwrap().len(), FILES.len());
        write(root.path()).unwrap();
        assert_eq!(check(root.path()).unwrap(), []);
        let (first, _) = FILES[0];
        fs::write(root.path().join(first), format!("{HEAD}a = 2\n")).unwrap();
        let found = check(root.path()).unwrap();
        assert_eq!(found.iter().map(|v| v.line).collect::<Vec<_>>(), [2]);
    }
}
