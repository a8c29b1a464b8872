//! Running programs, and saying what ran, for how long, and what it concluded.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// The steps of one task, each printed with its time.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration)>,
    conclusions: Vec<(String, Vec<String>)>,
    notes: Vec<String>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
            conclusions: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Runs one step; its failure ends the task.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.timed(name, |_| work())
    }

    /// Runs a test program, shows its output as it comes, and repeats its closing lines at the end.
    pub(crate) fn runner(&mut self, name: &str, command: &mut Command) -> Result<()> {
        self.timed(name, |steps| {
            let (result, conclusion) = run_and_listen(command)?;
            steps.conclusions.push((name.to_owned(), conclusion));
            result
        })
    }

    /// Something that the reader of the last lines must know, such as a check that could not run.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("note: {text}");
        self.notes.push(text);
    }

    fn timed(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        println!("==> {name}");
        let started = Instant::now();
        let result = work(self);
        let took = started.elapsed();
        let outcome = if result.is_ok() { "ok" } else { "FAILED" };
        println!("    {name}: {outcome} in {:.1} s", took.as_secs_f64());
        self.done.push((name.to_owned(), took));
        result.with_context(|| format!("step `{name}` failed"))
    }

    /// The times of all steps, then what the test runners themselves concluded.
    pub(crate) fn summary(&self) {
        println!("\nsteps:");
        for (name, took) in &self.done {
            println!("{:>8.1} s  {name}", took.as_secs_f64());
        }
        println!("{:>8.1} s  in all", self.started.elapsed().as_secs_f64());
        for note in &self.notes {
            println!("note: {note}");
        }
        for (name, lines) in self.conclusions.iter().filter(|(_, lines)| !lines.is_empty()) {
            println!("\n{name}:");
            for line in lines {
                println!("{line}");
            }
        }
    }
}

/// Runs a program to its end with our output; an exit status other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// Runs a program and returns what it printed; its errors go to ours.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` ended with {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed no text"))
}

/// The command line as a reader would type it.
fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn run_and_listen(command: &mut Command) -> Result<(Result<()>, Vec<String>)> {
    let shown = show(command);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let out = child.stdout.take().context("piped stdout")?;
    let err = child.stderr.take().context("piped stderr")?;
    let errors = thread::spawn(move || forward(err, &mut std::io::stderr()));
    let mut conclusion = forward(out, &mut std::io::stdout());
    conclusion.extend(errors.join().unwrap_or_default());
    let status = child.wait().with_context(|| format!("waiting for `{shown}`"))?;
    let result = if status.success() {
        Ok(())
    } else {
        Err(anyhow::anyhow!("`{shown}` ended with {status}"))
    };
    Ok((result, conclusion))
}

/// Copies line by line and returns the lines in which a test runner sums up.
fn forward(from: impl Read, to: &mut impl Write) -> Vec<String> {
    let mut closing = Vec::new();
    for line in BufReader::new(from).split(b'\n') {
        let Ok(line) = line else { break };
        let line = String::from_utf8_lossy(&line);
        if writeln!(to, "{line}").is_err() {
            break;
        }
        if is_closing_line(&line) {
            closing.push(line.into_owned());
        }
    }
    closing
}

/// Whether a test runner (nextest, cargo test, node, vitest, mocha, ours) sums up in this line.
fn is_closing_line(line: &str) -> bool {
    let plain = without_colours(line);
    let plain = plain.trim();
    let counted = |mark: &str| {
        ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms"]
            .iter()
            .any(|word| plain.strip_prefix(mark).is_some_and(|rest| is_count_of(rest.trim(), word)))
    };
    let mocha = || {
        let mut words = plain.split(' ');
        let number = words.next().is_some_and(|word| word.parse::<u32>().is_ok());
        number && words.next().is_some_and(|w| ["passing", "failing", "pending"].contains(&w))
    };
    plain.starts_with("Summary [")
        || (plain.starts_with("test result:") && !plain.contains(" 0 passed; 0 failed"))
        || plain.starts_with("Test Files ")
        || plain.starts_with("Tests ")
        || plain.starts_with("OK: ")
        || plain.starts_with("VIOLATED: ")
        || counted("#")
        || counted("\u{2139}")
        || mocha()
}

fn is_count_of(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .and_then(|rest| rest.strip_prefix(' '))
        .is_some_and(|number| number.parse::<f64>().is_ok())
}

fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_the_closing_lines_of_each_runner() {
        for line in [
            "     Summary [   3.105s] 214 tests run: 214 passed, 0 skipped",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "# tests 31",
            "# duration_ms 8123.55",
            "\u{2139} pass 31",
            "\u{1b}[34m\u{2139} fail 0\u{1b}[39m",
            " \u{1b}[2m Test Files \u{1b}[22m \u{1b}[1m4 passed\u{1b}[22m (4)",
            "      Tests  27 passed (27)",
            "  25 passing (5s)",
            "OK: 5 kills, 812 acknowledged, 0 lost",
        ] {
            assert!(is_closing_line(line), "{line}");
        }
    }

    #[test]
    fn ignores_other_lines() {
        for line in [
            "# Subtest: a message is delivered",
            "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            "12 files copied",
            "ok 1 - tests 5",
        ] {
            assert!(!is_closing_line(line), "{line}");
        }
    }

    #[test]
    fn a_failing_program_is_an_error_that_names_it() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c exit 3") && error.contains('3'), "{error}");
    }
}
