//! `cargo xtask tidy`: the rules of the house that the compiler and clippy do not know.
//!
//! Each rule is a function from what was read to [`Violation`]s, tested on small
//! inputs; the same rules run over the repository as a unit test. Rules read
//! Rust code with comments and literals blanked ([`source::Source`]).

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::process::Steps;
use crate::workspace::Workspace;

mod arrows;
mod clippy_files;
mod code;
mod cycles;
mod names;
mod pages;
mod shape;
mod source;
mod tree;

use source::Source;

/// One broken rule: where, what, and how to mend it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Violation {
    path: String,
    line: usize,
    rule: &'static str,
    problem: String,
    fix: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, problem, fix } = self;
        write!(f, "{path}:{line}: [{rule}] {problem}; {fix}")
    }
}

/// Prints every violation; any is an error. With `fix`, first writes the made files.
pub(crate) fn run(workspace: &Workspace, steps: &mut Steps, fix: bool) -> Result<()> {
    steps.step("tidy", || {
        if fix {
            clippy_files::write(workspace.root())?;
        }
        let violations = inspect(workspace.root())?;
        for violation in &violations {
            println!("{violation}");
        }
        match violations.len() {
            0 => Ok(()),
            count => bail!("{count} rules broken, listed above"),
        }
    })
}

/// Applies every rule to the checkout at `root`.
fn inspect(root: &Path) -> Result<Vec<Violation>> {
    let files = tree::list(root)?;
    let sources = rust_sources(root, &files)?;
    let metadata = arrows::Metadata::of(root)?;

    let mut violations = arrows::check(&metadata, root, &sources);
    violations.extend(names::check_paths(&files));
    violations.extend(cycles::check(&sources));
    violations.extend(clippy_files::check(root)?);
    violations.extend(pages::check(root, &files)?);
    for path in files.iter().filter(|path| has_ending(path, &["ts", "tsx", "js", "mjs"])) {
        violations.extend(shape::check_script(path, &read(root, path)?));
    }
    for source in &sources {
        violations.extend(names::check_types(source));
        violations.extend(code::check(source));
        violations.extend(shape::check(source));
    }
    violations.sort();
    Ok(violations)
}

fn rust_sources(root: &Path, files: &[String]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for path in files.iter().filter(|path| has_ending(path, &["rs"])) {
        sources.push(Source::new(path, &read(root, path)?));
    }
    source::mark_test_files(&mut sources);
    Ok(sources)
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    Path::new(path).extension().is_some_and(|end| endings.iter().any(|wanted| end == *wanted))
}

fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("reading {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_rules() {
        let workspace = Workspace::find().unwrap();
        let violations = inspect(workspace.root()).unwrap();
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }

    #[test]
    fn a_violation_says_where_what_and_how_to_mend_it() {
        let violation = Violation {
            path: "crates/a/src/b.rs".to_owned(),
            line: 7,
            rule: "sleep",
            problem: "a test sleeps".to_owned(),
            fix: "wait for the event",
        };
        let expected = "crates/a/src/b.rs:7: [sleep] a test sleeps; wait for the event";
        assert_eq!(violation.to_string(), expected);
    }
}
