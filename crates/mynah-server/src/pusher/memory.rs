//! How much memory the process has and uses, as far as Linux says.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How long a reading is used again: anybody may ask.
const READING_TTL: Duration = Duration::from_secs(1);

/// A reading, in bytes. All zero where the system does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Memory {
    /// Resident memory of this process.
    pub(crate) used: u64,
    /// Addressed memory of this process.
    pub(crate) addressed: u64,
    /// The machine's memory, or the least that a control group around this process allows.
    pub(crate) total: u64,
}

impl Memory {
    /// Part of the total in use, in per cent.
    pub(crate) fn percent(self) -> f64 {
        if self.total == 0 { 0.0 } else { self.used as f64 * 100.0 / self.total as f64 }
    }
}

/// The system's memory, read at most once a second.
#[derive(Debug)]
pub(crate) struct MemoryGauge {
    root: PathBuf,
    last: Mutex<Option<(Instant, Memory)>>,
}

impl Default for MemoryGauge {
    fn default() -> Self {
        Self { root: PathBuf::from("/"), last: Mutex::new(None) }
    }
}

impl MemoryGauge {
    /// The state now, or of the last second.
    pub(crate) fn read(&self) -> Memory {
        let mut last = self.last.lock();
        if let Some((at, memory)) = *last
            && at.elapsed() < READING_TTL
        {
            return memory;
        }
        let memory = read(&self.root);
        *last = Some((Instant::now(), memory));
        memory
    }
}

/// What the files below `root` say.
fn read(root: &Path) -> Memory {
    let status = text(root, "proc/self/status");
    let machine = kib(&text(root, "proc/meminfo"), "MemTotal:");
    let groups = text(root, "proc/self/cgroup");
    let total = group_limits(root, &groups).chain(machine).min().unwrap_or(0);
    Memory {
        used: kib(&status, "VmRSS:").unwrap_or(0),
        addressed: kib(&status, "VmSize:").unwrap_or(0),
        total,
    }
}

fn text(root: &Path, file: impl AsRef<Path>) -> String {
    // A file that is not there says nothing: another system, or no control groups.
    fs::read_to_string(root.join(file)).unwrap_or_default()
}

/// `MemTotal:  16384 kB`, in bytes.
fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1_024)
}

/// Limits of all control groups that this process is in (version 2, and version 1's memory
/// controller); those without a limit (`max`) are left out.
fn group_limits<'a>(root: &'a Path, groups: &'a str) -> impl Iterator<Item = u64> + 'a {
    groups.lines().flat_map(move |line| {
        // `0::/a/b`, or `9:memory:/a/b` in version 1.
        let mut fields = line.splitn(3, ':').skip(1);
        let controllers = fields.next().unwrap_or_default();
        let path = fields.next().unwrap_or_default().trim_start_matches('/');
        let (mount, file) = if controllers.is_empty() {
            ("sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            return Vec::new();
        };
        let limit =
            |at: &Path| text(root, Path::new(mount).join(at).join(file)).trim().parse().ok();
        Path::new(path).ancestors().filter_map(limit).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Memory {
        let folder = tempfile::tempdir().unwrap();
        for (file, content) in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        read(folder.path())
    }

    const STATUS: (&str, &str) =
        ("proc/self/status", "Name:\tmynah\nVmSize:\t   4000 kB\nVmRSS:\t    500 kB\n");
    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:    1000 kB\nMemFree:  10 kB\n");

    #[test]
    fn without_groups_the_machine_is_the_limit() {
        let memory = machine(&[STATUS, MACHINE]);
        assert_eq!(
            memory,
            Memory { used: 512_000, addressed: 4_096_000, total: 1_024_000 },
            "kB are of 1,024 bytes"
        );
        assert!((memory.percent() - 50.0).abs() < 1e-9);
    }

    #[test]
    fn the_least_limit_around_the_process_counts() {
        let group = ("proc/self/cgroup", "0::/slice/unit\n");
        let limits = [
            ("sys/fs/cgroup/slice/unit/memory.max", "max\n"),
            ("sys/fs/cgroup/slice/memory.max", "800000\n"),
        ];
        assert_eq!(machine(&[STATUS, MACHINE, group, limits[0], limits[1]]).total, 800_000);
        let inside = ("proc/self/cgroup", "0::/\n");
        let limit = ("sys/fs/cgroup/memory.max", "600000\n");
        assert_eq!(machine(&[STATUS, MACHINE, inside, limit]).total, 600_000);
        let old = ("proc/self/cgroup", "3:cpu:/x\n2:hugetlb,memory:/docker/a\n");
        let limit = ("sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "700000\n");
        assert_eq!(machine(&[STATUS, MACHINE, old, limit]).total, 700_000);
    }

    #[test]
    fn a_system_that_tells_nothing_is_not_full() {
        assert_eq!(machine(&[]), Memory::default());
        assert!(machine(&[]).percent().abs() < f64::EPSILON);
    }

    #[test]
    fn this_process_uses_some_memory() {
        let memory = MemoryGauge::default().read();
        assert!(memory.used > 0 && memory.used < memory.total, "{memory:?}");
    }
}
