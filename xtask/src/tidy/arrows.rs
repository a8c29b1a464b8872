//! Which crate may use which: the walls between the rooms.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::Violation;
use super::source::{Source, words};
use crate::process;
use crate::workspace::cargo;

/// A crate of the workspace.
struct Room {
    name: &'static str,
    /// The workspace crates it may depend on.
    arrows: &'static [&'static str],
    /// The only outside crates it may depend on, for the rooms that keep a list.
    outside: Option<&'static [&'static str]>,
}

/// ARCHITECTURE.md shows the same table with reasons. A new row or arrow needs an ADR.
const ROOMS: [Room; 11] = [
    Room { name: "mynah-domain", arrows: &[], outside: Some(&["async-trait", "thiserror"]) },
    Room {
        name: "mynah-protocol",
        arrows: &[],
        outside: Some(&[
            "base64",
            "bytes",
            "flate2",
            "hmac",
            "md-5",
            "memchr",
            "serde",
            "serde_json",
            "sha1",
            "sha2",
            "thiserror",
        ]),
    },
    Room {
        name: "mynah-hub",
        arrows: &[],
        outside: Some(&[
            "async-trait",
            "bytes",
            "futures-util",
            "parking_lot",
            "socket2",
            "thiserror",
            "tokio",
        ]),
    },
    Room { name: "mynah-store", arrows: &["mynah-domain"], outside: None },
    Room { name: "mynah-cluster", arrows: &["mynah-hub"], outside: None },
    Room { name: "mynah-integrations", arrows: &["mynah-domain"], outside: None },
    Room {
        name: "mynah-server",
        arrows: &[
            "mynah-domain",
            "mynah-protocol",
            "mynah-hub",
            "mynah-store",
            "mynah-cluster",
            "mynah-integrations",
        ],
        outside: None,
    },
    Room { name: TESTKIT, arrows: &["mynah-domain", "mynah-hub"], outside: None },
    Room { name: "mynah-benches", arrows: &["mynah-protocol"], outside: None },
    Room { name: "mynah-faults", arrows: &["mynah-protocol", TESTKIT], outside: None },
    Room { name: "xtask", arrows: &[], outside: None },
];

const TESTKIT: &str = "mynah-testkit";

/// Outside crates that belong to one room.
const OWNED: [(&str, &str); 12] = [
    ("rusqlite", "mynah-store"),
    ("libsqlite3-sys", "mynah-store"),
    ("sqlx", "mynah-store"),
    ("tokio-postgres", "mynah-store"),
    ("deadpool-postgres", "mynah-store"),
    ("mysql_async", "mynah-store"),
    ("rmpv", "mynah-cluster"),
    ("nkeys", "mynah-cluster"),
    ("axum", "mynah-server"),
    ("tower-http", "mynah-server"),
    ("utoipa", "mynah-server"),
    ("figment", "mynah-server"),
];

/// What `cargo metadata --no-deps` says.
#[derive(Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    rename: Option<String>,
    /// `dev`, `build`, or null for an ordinary dependency.
    kind: Option<String>,
    /// Null for a crate of the workspace.
    source: Option<String>,
}

impl Dependency {
    fn is_dev(&self) -> bool {
        self.kind.as_deref() == Some("dev")
    }
}

impl Metadata {
    pub(super) fn of(root: &Path) -> Result<Self> {
        let mut command = Command::new(cargo());
        command.current_dir(root);
        command.args(["metadata", "--no-deps", "--format-version", "1", "--offline"]);
        let text = process::capture(&mut command)?;
        serde_json::from_str(&text).context("cargo metadata printed an unknown shape")
    }
}

/// All rules about dependencies.
pub(super) fn check(metadata: &Metadata, root: &Path, sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &metadata.packages {
        let manifest = Path::new(&package.manifest_path);
        let path = manifest.strip_prefix(root).unwrap_or(manifest).to_string_lossy().into_owned();
        let text = std::fs::read_to_string(manifest).unwrap_or_default();
        let found = check_package(package).into_iter().chain(unused(package, sources));
        for (dependency, rule, problem, fix) in found {
            let line = line_of_dependency(&text, &dependency);
            violations.push(Violation { path: path.clone(), line, rule, problem, fix });
        }
    }
    violations
}

type Finding = (String, &'static str, String, &'static str);

fn check_package(package: &Package) -> Vec<Finding> {
    let name = package.name.as_str();
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        let problem = format!("crate {name} is not in the table of rooms");
        return vec![(
            String::new(),
            "arrows",
            problem,
            "add its row to xtask/src/tidy/arrows.rs and ARCHITECTURE.md, with an ADR",
        )];
    };
    package.dependencies.iter().filter_map(|dependency| judge(room, dependency)).collect()
}

fn judge(room: &Room, dependency: &Dependency) -> Option<Finding> {
    let name = dependency.name.as_str();
    let finding = |rule, problem, fix| Some((name.to_owned(), rule, problem, fix));
    if dependency.source.is_none() {
        if name == TESTKIT && dependency.is_dev() || room.arrows.contains(&name) {
            return None;
        }
        let problem = format!("{} must not depend on {name}", room.name);
        let fix = if name == TESTKIT {
            "the testkit is for tests: move it to [dev-dependencies]"
        } else {
            "move the code to the crate that may, or pass the value in as an argument"
        };
        return finding("arrows", problem, fix);
    }
    if dependency.is_dev() {
        return None;
    }
    if room.outside.is_some_and(|allowed| !allowed.contains(&name)) {
        return finding(
            "outside crates",
            format!("{} must not use {name}", room.name),
            "do it at the rim; a new crate in the inner three needs an ADR and a table entry",
        );
    }
    let (_, owner) = OWNED.iter().find(|(owned, _)| *owned == name)?;
    if *owner == room.name {
        return None;
    }
    finding(
        "outside crates",
        format!("{name} belongs to {owner} alone"),
        "use the port or function that the owner offers",
    )
}

/// Dependencies whose name is nowhere in the crate's code.
fn unused(package: &Package, sources: &[Source]) -> Vec<Finding> {
    let own: Vec<&Source> = sources
        .iter()
        .filter(|source| {
            // The load program's crate is not called like its folder.
            let folder = package.name.strip_prefix("mynah-").unwrap_or(&package.name);
            source.package() == package.name || source.package() == folder
        })
        .collect();
    let is_used = |name: &str| own.iter().any(|s| words(&s.code).any(|word| word == name));
    package
        .dependencies
        .iter()
        .filter(|dependency| {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
            !is_used(&name.replace('-', "_"))
        })
        .map(|dependency| {
            let problem = format!("{} does not use {}", package.name, dependency.name);
            (dependency.name.clone(), "unused dependency", problem, "remove the line")
        })
        .collect()
}

fn line_of_dependency(manifest: &str, name: &str) -> usize {
    let names_it = |line: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| !name.is_empty() && rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(names_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &str) -> Package {
        let manifest = format!("crates/{name}/Cargo.toml");
        let json = format!(
            r#"{{"name":"{name}","manifest_path":"{manifest}","dependencies":[{dependencies}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn dependency(name: &str, kind: &str, source: &str) -> String {
        format!(r#"{{"name":"{name}","rename":null,"kind":{kind},"source":{source}}}"#)
    }

    fn rules(name: &str, on: &str, kind: &str, source: &str) -> Vec<&'static str> {
        let package = package(name, &dependency(on, kind, source));
        check_package(&package).into_iter().map(|(_, rule, _, _)| rule).collect()
    }

    const OUTSIDE: &str = r#""registry""#;

    #[test]
    fn arrows_point_inward() {
        assert!(rules("mynah-store", "mynah-domain", "null", "null").is_empty());
        assert_eq!(rules("mynah-domain", "mynah-store", "null", "null"), ["arrows"]);
        assert_eq!(rules("mynah-store", "mynah-hub", "null", "null"), ["arrows"]);
        assert_eq!(rules("mynah-hub", "mynah-protocol", r#""dev""#, "null"), ["arrows"]);
        assert_eq!(rules("mynah-extras", "mynah-domain", "null", "null"), ["arrows"]);
    }

    #[test]
    fn the_testkit_is_for_tests() {
        assert!(rules("mynah-store", TESTKIT, r#""dev""#, "null").is_empty());
        assert_eq!(rules("mynah-store", TESTKIT, "null", "null"), ["arrows"]);
        assert_eq!(rules("mynah-server", TESTKIT, r#""build""#, "null"), ["arrows"]);
    }

    #[test]
    fn outside_crates_stay_in_their_rooms() {
        assert!(rules("mynah-domain", "thiserror", "null", OUTSIDE).is_empty());
        assert_eq!(rules("mynah-domain", "tokio", "null", OUTSIDE), ["outside crates"]);
        assert!(rules("mynah-domain", "tokio", r#""dev""#, OUTSIDE).is_empty());
        assert_eq!(rules("mynah-hub", "serde_json", "null", OUTSIDE), ["outside crates"]);
        assert_eq!(rules("mynah-protocol", "tokio", "null", OUTSIDE), ["outside crates"]);
        assert!(rules("mynah-store", "rusqlite", "null", OUTSIDE).is_empty());
        assert_eq!(rules("mynah-server", "rusqlite", "null", OUTSIDE), ["outside crates"]);
        assert_eq!(rules("mynah-store", "axum", "null", OUTSIDE), ["outside crates"]);
    }

    #[test]
    fn a_dependency_that_no_code_names_is_unused() {
        let list =
            [dependency("serde_json", "null", OUTSIDE), dependency("tower-http", "null", OUTSIDE)];
        let package = package("mynah-server", &list.join(","));
        let code = "use tower_http::trace; // serde_json";
        let sources = [Source::new("crates/mynah-server/src/main.rs", code)];
        let found = unused(&package, &sources);
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["serde_json"]);
    }

    #[test]
    fn a_finding_points_at_the_manifest_line() {
        let manifest = "[dependencies]\ntower.workspace = true\ntower-http.workspace = true\n";
        assert_eq!(line_of_dependency(manifest, "tower-http"), 3);
        assert_eq!(line_of_dependency(manifest, "tower"), 2);
        assert_eq!(line_of_dependency(manifest, ""), 1);
    }
}
