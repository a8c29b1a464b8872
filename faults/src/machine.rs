//! What processes cost: memory and CPU time, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::interval;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Resident memory in bytes; `None` if the process is gone.
fn resident(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
}

/// CPU time so far: fields 14 and 15 of proc_pid_stat(5), in steps of 10 ms.
pub(crate) fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// First and highest resident memory of each process.
type Seen = BTreeMap<u32, (u64, u64)>;

/// Watches the memory of processes until it is dropped.
pub(crate) struct MemoryWatch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl MemoryWatch {
    pub(crate) fn start(pids: &[u32]) -> Self {
        let first = pids.iter().filter_map(|pid| Some((*pid, resident(*pid)?)));
        let seen: Seen = first.map(|(pid, bytes)| (pid, (bytes, bytes))).collect();
        let seen = Arc::new(Mutex::new(seen));
        let watched = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut ticks = interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                for (pid, (_, highest)) in watched.lock().iter_mut() {
                    *highest = resident(*pid).unwrap_or_default().max(*highest);
                }
            }
        });
        Self { seen, task }
    }

    /// Largest growth of one process since the start, in bytes.
    pub(crate) fn growth(&self) -> u64 {
        self.seen.lock().values().map(|(first, highest)| highest - first).max().unwrap_or(0)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Load average of the last minute: other work spoils times.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}
