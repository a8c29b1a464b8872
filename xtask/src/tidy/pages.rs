//! Rules on written pages and on what a checkout must not say about the machine it was made on.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::Violation;

const PAGES: [&str; 3] = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];
const COMMANDS: [&str; 2] = ["cargo xtask run", "cargo xtask test"];
const FOLDERS: [&str; 13] = [
    "crates/",
    "web/",
    "e2e/",
    "sdk/",
    "vocabularies/",
    "benches/",
    "faults/",
    "fuzz/",
    "xtask/",
    "docs/",
    ".ci/",
    ".config/",
    "deploy/",
];
/// Made by the build, so absent from a fresh checkout.
const BUILT: [&str; 3] = ["web/dist", "fuzz/artifacts", "fuzz/corpus"];
const TEXT: [&str; 15] = [
    ".rs",
    ".toml",
    ".md",
    ".ts",
    ".tsx",
    ".js",
    ".mjs",
    ".json",
    ".yml",
    ".yaml",
    ".sh",
    ".html",
    ".css",
    ".ci/run",
    "Dockerfile",
];

pub(super) fn check(root: &Path, files: &[String]) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    let machine = machine_paths(root);
    for path in files.iter().filter(|path| TEXT.iter().any(|end| path.ends_with(end))) {
        let text = super::read(root, path)?;
        if path.ends_with("package-lock.json") {
            violations.extend(lock_hosts(path, &text));
            continue;
        }
        violations.extend(machine_mentions(path, &text, &machine));
        if PAGES.contains(&path.as_str()) {
            violations.extend(missing_paths(path, &text, |named| root.join(named).exists()));
        }
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap_or_default();
    violations.extend(missing_commands(&readme));
    Ok(violations)
}

/// The folders that exist only where this runs.
fn machine_paths(root: &Path) -> Vec<String> {
    let mut paths: Vec<String> =
        ["home", "Users", "root"].iter().map(|folder| format!("/{folder}/")).collect();
    let home = env::var_os("HOME").map(Into::into);
    // `/app` or `/src` may stand in an image recipe for good reasons; a deeper path may not.
    let own = [Some(root.to_path_buf()), home].into_iter().flatten();
    let deep = own.filter(|path: &std::path::PathBuf| path.components().count() > 2);
    paths.extend(deep.map(|path| path.to_string_lossy().into_owned()));
    paths
}

fn machine_mentions(path: &str, text: &str, machine: &[String]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mention = machine.iter().find(|known| {
            line.match_indices(known.as_str()).any(|(offset, _)| {
                let left = line.get(..offset).and_then(|left| left.chars().next_back());
                left.is_none_or(|c| c.is_whitespace() || "\"'`(=:[<".contains(c))
            })
        });
        if let Some(known) = mention {
            violations.push(Violation {
                path: path.to_owned(),
                line: index + 1,
                rule: "machine path",
                problem: format!("names `{known}`, a folder of one machine"),
                fix: "use a path relative to the checkout, or a setting",
            });
        }
    }
    violations
}

/// Packages locked to a host cannot be installed where another one serves them.
fn lock_hosts(path: &str, lock: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, line) in lock.lines().enumerate() {
        let resolved = line.trim().strip_prefix("\"resolved\": \"");
        if resolved.is_some_and(|url| url.starts_with("http")) {
            violations.push(Violation {
                path: path.to_owned(),
                line: index + 1,
                rule: "lock host",
                problem: "a package is locked to a host".to_owned(),
                fix: "set omit-lockfile-registry-resolved=true in .npmrc and lock again",
            });
        }
    }
    violations
}

/// Paths in backticks, and targets of links, that do not exist.
fn missing_paths(path: &str, page: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut fenced = false;
    for (index, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for named in quoted_paths(line).into_iter().chain(link_targets(line)) {
            if !exists(named) {
                violations.push(Violation {
                    path: path.to_owned(),
                    line: index + 1,
                    rule: "page path",
                    problem: format!("names `{named}`, which does not exist"),
                    fix: "name what is there now",
                });
            }
        }
    }
    violations
}

fn quoted_paths(line: &str) -> Vec<&str> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| FOLDERS.iter().any(|folder| quoted.starts_with(folder)))
        .filter(|quoted| !BUILT.iter().any(|built| quoted.starts_with(built)))
        .filter_map(|quoted| quoted.split([' ', ':', '#', ',']).next())
        .filter(|quoted| !quoted.contains(['*', '<', '{', '\u{2026}']) && !quoted.contains("..."))
        .collect()
}

fn link_targets(line: &str) -> Vec<&str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#', ' ']).next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
        .collect()
}

fn missing_commands(readme: &str) -> Vec<Violation> {
    let missing = COMMANDS.iter().filter(|command| !readme.contains(**command));
    missing
        .map(|command| Violation {
            path: "README.md".to_owned(),
            line: 1,
            rule: "readme",
            problem: format!("does not mention `{command}`"),
            fix: "say how the product is run and how it is tested",
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(found: &[Violation]) -> Vec<usize> {
        found.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn finds_paths_that_do_not_exist() {
        let page = "`crates/a/src/lib.rs` and `crates/b`\n`web/` [x](docs/c.md#d) [y](https://z)\n\
                    `crates/<x>/src` `web/dist/index.html` `GET /crates/x`\n```\n`docs/none`\n```\n\
                    `docs/d.md:12`\n";
        let found = missing_paths("ARCHITECTURE.md", page, |named| named == "crates/a/src/lib.rs");
        let named: Vec<&str> =
            found.iter().filter_map(|violation| violation.problem.split('`').nth(1)).collect();
        assert_eq!(named, ["crates/b", "web/", "docs/c.md", "docs/d.md"]);
        assert_eq!(lines(&found), [1, 2, 2, 7]);
    }

    #[test]
    fn finds_paths_of_one_machine() {
        let machine = machine_paths(Path::new("/builds/one/mynah"));
        let user = format!("/{}/ann/mynah", "home");
        let text =
            format!("a\nsee {user}\nPATH=\"/builds/one/mynah/x\"\nhttps://a.example{user}\n");
        assert_eq!(lines(&machine_mentions("a.md", &text, &machine)), [2, 3]);
        assert!(!machine_paths(Path::new("/app")).contains(&"/app".to_owned()));
    }

    #[test]
    fn finds_packages_locked_to_a_host() {
        let lock = "{\n  \"integrity\": \"sha512-x\",\n  \
                    \"resolved\": \"http://mirror.example/b/-/b-1.0.0.tgz\",\n  \"resolved\": \"packages/c\"\n}\n";
        assert_eq!(lines(&lock_hosts("web/package-lock.json", lock)), [3]);
    }

    #[test]
    fn the_readme_names_both_commands() {
        assert_eq!(missing_commands("run `cargo xtask run`, test: `cargo xtask test`"), []);
        assert_eq!(missing_commands("run `cargo xtask run`").len(), 1);
    }
}
