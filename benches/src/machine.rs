//! The machine: pinning, limits, facts for the report, and what a process costs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The core that servers get, and the one that the generator gets.
pub(crate) const SERVER_CORE: usize = 0;
pub(crate) const GENERATOR_CORE: usize = 1;

/// Pins the calling thread and all that it starts later.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot pin to core {core}"))
}

const HIGHEST_PRIORITY: &str = "-19";

/// Moves this process and all that it starts into a session, hence a scheduling group, of its own and asks for the
/// highest ordinary priority for it, so that other work spoils less. A wish: without the right to it all works, too.
pub(crate) fn own_scheduling_group() {
    let alone = rustix::process::setsid().is_ok();
    if alone && fs::write("/proc/self/autogroup", HIGHEST_PRIORITY).is_err() {
        eprintln!("note: no priority over other work");
    }
}

fn has_priority() -> bool {
    let group = fs::read_to_string("/proc/self/autogroup").unwrap_or_default();
    group.trim_end().ends_with(&format!("nice {HIGHEST_PRIORITY}"))
}

/// Raises the soft limit of open files to the hard one and returns it.
pub(crate) fn raise_file_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// CPU time of a process so far.
pub(crate) struct Cpu {
    /// utime + stime of the whole process, in steps of 10 ms.
    coarse_ns: u64,
    /// Run time per thread, exact; threads that ended are missing.
    fine_ns: BTreeMap<String, u64>,
}

impl Cpu {
    pub(crate) fn of(pid: u32) -> Self {
        let mut fine_ns = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let run = text.split(' ').next().and_then(|field| field.parse().ok());
            if let Some(run) = run {
                fine_ns.insert(task.file_name().to_string_lossy().into_owned(), run);
            }
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Fields 14 and 15 of proc_pid_stat(5), counted after the command in parentheses.
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let ticks: u64 =
            after.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Self { coarse_ns: ticks * 10_000_000, fine_ns }
    }

    /// Nanoseconds since `earlier`: exact if no thread ended in between, else in steps of 10 ms.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let coarse = self.coarse_ns.saturating_sub(earlier.coarse_ns);
        let none_ended = earlier.fine_ns.keys().all(|task| self.fine_ns.contains_key(task));
        let fine = self.fine_ns.values().sum::<u64>()
            - if none_ended { earlier.fine_ns.values().sum::<u64>() } else { 0 };
        let exact = none_ended && !self.fine_ns.is_empty() && fine.abs_diff(coarse) < 50_000_000;
        if exact { fine as f64 } else { coarse as f64 }
    }
}

/// Resident memory of a process in bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next())
                .and_then(|kb| kb.parse::<u64>().ok())
                .map_or(0, |kb| kb * 1024)
        };
        Self { resident: field("Rss:"), anonymous: field("Anonymous:") }
    }
}

fn output_of(program: &str, arguments: &[&str], directory: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(directory).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// One line for the report: commit, cores, processor, kernel, priority.
pub(crate) fn facts() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = if here.exists() { here } else { Path::new(".") };
    let commit = output_of("git", &["rev-parse", "--short", "HEAD"], here);
    // The file of results is written by the run itself.
    let status =
        ["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(exclude)RESULTS.md"];
    let dirty = output_of("git", &status, here).is_some_and(|changes| !changes.is_empty());
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cores
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let count = cores.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or("").to_owned();
    format!(
        "commit {}{}; {count} cores ({model}), Linux {kernel}; server on core {SERVER_CORE}, generator on core {GENERATOR_CORE}{}",
        commit.as_deref().unwrap_or("unknown"),
        if dirty { " (dirty)" } else { "" },
        if has_priority() { ", both with priority" } else { "" },
    )
}

/// Load average of the last minute: other work spoils latencies.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}
