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
/// What databases and brokers get: in earnest they have machines of their own.
pub(crate) const BOTH_CORES: [usize; 2] = [SERVER_CORE, GENERATOR_CORE];

/// Pins the calling thread and all that it starts later.
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot pin to {cores:?}"))
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

/// The process and those that it has started, of all its threads.
fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
    }
    family
}

/// Asks for the priority of [`own_scheduling_group`] for processes that went into sessions of their own since, as
/// those of PostgreSQL do: between servers that have it they would get next to nothing.
pub(crate) fn raise_priority(parent: u32) {
    if has_priority() {
        for pid in family(parent) {
            // Fails only if it is gone.
            fs::write(format!("/proc/{pid}/autogroup"), HIGHEST_PRIORITY).unwrap_or_default();
        }
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
#[derive(Default)]
pub(crate) struct Cpu {
    /// utime + stime of the whole process, in steps of 10 ms.
    coarse_ns: u64,
    /// Run time per thread, exact; threads that ended are missing.
    fine_ns: BTreeMap<String, u64>,
    /// The same of its children that ended, in steps of 10 ms.
    reaped_ns: u64,
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
        // Fields 14 to 17 of proc_pid_stat(5), counted after the command in parentheses.
        let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
        let mut ticks =
            after.split(' ').skip(11).take(4).map(|field| field.parse::<u64>().unwrap_or(0));
        let mut two = || ticks.by_ref().take(2).sum::<u64>() * 10_000_000;
        Self { coarse_ns: two(), fine_ns, reaped_ns: two() }
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

/// CPU time so far of a process and of those that it has started.
pub(crate) struct FamilyCpu {
    members: BTreeMap<u32, Cpu>,
    /// Of children that ended.
    reaped_ns: u64,
}

impl FamilyCpu {
    pub(crate) fn of(pid: u32) -> Self {
        let members: BTreeMap<u32, Cpu> =
            family(pid).into_iter().map(|pid| (pid, Cpu::of(pid))).collect();
        let reaped_ns = members.get(&pid).map_or(0, |parent| parent.reaped_ns);
        Self { members, reaped_ns }
    }

    /// Nanoseconds since `earlier`; what ended in between counts in steps of 10 ms.
    pub(crate) fn since(&self, earlier: &Self) -> f64 {
        let nothing = Cpu::default();
        let running: f64 = self
            .members
            .iter()
            .map(|(pid, cpu)| cpu.since(earlier.members.get(pid).unwrap_or(&nothing)))
            .sum();
        let gone = earlier.members.iter().filter(|(pid, _)| !self.members.contains_key(pid));
        let counted: u64 = gone.map(|(_, cpu)| cpu.coarse_ns).sum();
        let reaped = self.reaped_ns.saturating_sub(earlier.reaped_ns);
        running + reaped.saturating_sub(counted) as f64
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_of_a_family_counts_children_that_run_and_that_ended() {
        let this = std::process::id();
        let before = FamilyCpu::of(this);
        let mut child = Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read -r line"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().expect("output"));
        std::io::BufRead::read_line(&mut output, &mut line).expect("it has counted");
        let own = Cpu::of(child.id()).since(&Cpu::default());
        let running = FamilyCpu::of(this);
        let family = running.since(&before);
        assert!(own > 0.0 && family >= own, "{own} ns, with the family {family}");
        drop(child.stdin.take());
        child.wait().expect("it ends");
        let ended = FamilyCpu::of(this);
        // Time in user and in system mode of what ended is known to 10 ms each.
        let (all, since) = (ended.since(&before), ended.since(&running));
        assert!(
            all >= own - 30e6 && since < own,
            "{own} ns, then {all}, of that {since} at the end"
        );
    }
}
