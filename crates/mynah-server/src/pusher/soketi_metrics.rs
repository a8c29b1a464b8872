//! The numbers that dashboards made for Soketi ask for, under Soketi's names.

use std::fs;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::exposition::{Family, Kind, Label, Point};
use super::memory::MemoryGauge;

/// Most apps with lines of their own; the numbers of the others are added up under [`OTHERS`].
const APPS_MAX: usize = 1_000;
/// No id of an app looks like this.
const OTHERS: &str = "*";
/// What Linux counts processor time in, per second, for `/proc/self/stat` on every machine.
const TICKS_PER_S: f64 = 100.0;

/// What happened to one app since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AppCounts {
    /// Its id.
    pub(crate) app: String,
    /// Open sockets.
    pub(crate) connected: u64,
    /// Sockets opened.
    pub(crate) opened: u64,
    /// Sockets closed.
    pub(crate) closed: u64,
    /// Bytes of frames received.
    pub(crate) bytes_in: u64,
    /// Bytes of frames sent.
    pub(crate) bytes_out: u64,
    /// Frames received.
    pub(crate) frames_in: u64,
    /// Frames sent.
    pub(crate) frames_out: u64,
    /// Bodies of HTTP calls received, in bytes.
    pub(crate) http_bytes_in: u64,
    /// Bodies of their answers, in bytes.
    pub(crate) http_bytes_out: u64,
    /// HTTP calls answered.
    pub(crate) http_calls: u64,
}

impl AppCounts {
    fn add(&mut self, other: &Self) {
        for (sum, value) in [
            (&mut self.connected, other.connected),
            (&mut self.opened, other.opened),
            (&mut self.closed, other.closed),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.frames_in, other.frames_in),
            (&mut self.frames_out, other.frames_out),
            (&mut self.http_bytes_in, other.http_bytes_in),
            (&mut self.http_bytes_out, other.http_bytes_out),
            (&mut self.http_calls, other.http_calls),
        ] {
            *sum = sum.saturating_add(value);
        }
    }
}

type Column = (&'static str, &'static str, Kind, fn(&AppCounts) -> u64);

/// Names without their prefix, and where each number comes from.
const COLUMNS: [Column; 10] = [
    ("connected", "Open sockets.", Kind::Gauge, |app| app.connected),
    ("new_connections_total", "Sockets opened.", Kind::Counter, |app| app.opened),
    ("new_disconnections_total", "Sockets closed.", Kind::Counter, |app| app.closed),
    ("socket_received_bytes", "Bytes received from sockets.", Kind::Counter, |app| app.bytes_in),
    ("socket_transmitted_bytes", "Bytes sent to sockets.", Kind::Counter, |app| app.bytes_out),
    ("ws_messages_received_total", "Messages from sockets.", Kind::Counter, |app| app.frames_in),
    ("ws_messages_sent_total", "Messages to sockets.", Kind::Counter, |app| app.frames_out),
    ("http_received_bytes", "Bytes of HTTP API calls.", Kind::Counter, |app| app.http_bytes_in),
    ("http_transmitted_bytes", "Bytes of HTTP API answers.", Kind::Counter, |app| {
        app.http_bytes_out
    }),
    ("http_calls_received_total", "HTTP API calls.", Kind::Counter, |app| app.http_calls),
];

/// Named and never counted, as with Soketi's local adapter: there are no other nodes to ask.
const ADAPTER: [(&str, &str, Kind); 6] = [
    ("resolve_time", "Time that other nodes took to answer.", Kind::Histogram),
    ("resolved_promises", "Questions that other nodes answered.", Kind::Counter),
    ("uncomplete_promises", "Questions that not all other nodes answered.", Kind::Counter),
    ("sent_requests", "Questions to other nodes.", Kind::Counter),
    ("received_requests", "Questions from other nodes.", Kind::Counter),
    ("received_responses", "Answers from other nodes.", Kind::Counter),
];

/// Reads the counters of all apps.
pub(crate) type ReadCounts = Box<dyn Fn() -> Vec<AppCounts> + Send + Sync>;

/// Where the numbers come from and how they are called.
pub(crate) struct SoketiMetrics {
    prefix: String,
    port: u16,
    memory: Arc<MemoryGauge>,
    read: ReadCounts,
    started_s: f64,
}

impl SoketiMetrics {
    /// Names with `prefix` (`soketi_`); `port` is where the apps' clients connect, a label of all.
    pub(crate) fn new(
        prefix: String,
        port: u16,
        memory: Arc<MemoryGauge>,
        read: ReadCounts,
    ) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { prefix, port, memory, read, started_s: since.as_secs_f64().round() }
    }

    /// Everything, now.
    pub(crate) fn families(&self) -> Vec<Family> {
        let apps = bounded((self.read)());
        let point = |app: &AppCounts, value: u64| Point {
            labels: vec![("app_id", Label::Text(app.app.clone())), self.port_label()],
            value: value as f64,
        };
        let columns = COLUMNS.iter().map(|(name, help, kind, value)| Family {
            name: format!("{}{name}", self.prefix),
            help,
            kind: *kind,
            points: apps.iter().map(|app| point(app, value(app))).collect(),
        });
        let adapter = ADAPTER.iter().map(|(name, help, kind)| Family {
            name: format!("{}horizontal_adapter_{name}", self.prefix),
            help,
            kind: *kind,
            points: Vec::new(),
        });
        columns.chain(adapter).chain(self.process()).collect()
    }

    fn port_label(&self) -> (&'static str, Label) {
        ("port", Label::Number(u64::from(self.port)))
    }

    /// Of the numbers that every Node process gives, those that are not about Node.
    fn process(&self) -> Vec<Family> {
        let memory = self.memory.read();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let (user, system) = processor_s(&stat).unwrap_or_default();
        let family = |name: &str, help, kind, value| Family {
            name: format!("{}process_{name}", self.prefix),
            help,
            kind,
            points: vec![Point { labels: vec![self.port_label()], value }],
        };
        let (counter, gauge) = (Kind::Counter, Kind::Gauge);
        vec![
            family("cpu_user_seconds_total", "User processor time.", counter, user),
            family("cpu_system_seconds_total", "System processor time.", counter, system),
            family("cpu_seconds_total", "Processor time.", counter, user + system),
            family("start_time_seconds", "Start, since the epoch.", gauge, self.started_s),
            family("resident_memory_bytes", "Resident memory.", gauge, memory.used as f64),
            family("virtual_memory_bytes", "Addressed memory.", gauge, memory.addressed as f64),
        ]
    }
}

/// At most [`APPS_MAX`] apps, in the order of their ids, and the sum of the others.
fn bounded(mut apps: Vec<AppCounts>) -> Vec<AppCounts> {
    apps.sort_by(|a, b| a.app.cmp(&b.app));
    if apps.len() > APPS_MAX {
        let mut others = AppCounts { app: OTHERS.to_owned(), ..AppCounts::default() };
        for app in apps.drain(APPS_MAX..) {
            others.add(&app);
        }
        apps.push(others);
    }
    apps
}

/// Seconds of processor time, in user and in system mode, from `/proc/self/stat`.
fn processor_s(stat: &str) -> Option<(f64, f64)> {
    // The second field is the program's name in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let mut seconds = || Some(fields.next()?.parse::<u64>().ok()? as f64 / TICKS_PER_S);
    Some((seconds()?, seconds()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pusher::exposition::prometheus;

    fn metrics(apps: Vec<AppCounts>) -> SoketiMetrics {
        let read = Box::new(move || apps.clone());
        SoketiMetrics::new("soketi_".to_owned(), 6001, Arc::default(), read)
    }

    fn app(id: impl Into<String>, n: u64) -> AppCounts {
        AppCounts {
            app: id.into(),
            connected: n,
            opened: n + 1,
            closed: n + 2,
            bytes_in: n + 3,
            bytes_out: n + 4,
            frames_in: n + 5,
            frames_out: n + 6,
            http_bytes_in: n + 7,
            http_bytes_out: n + 8,
            http_calls: n + 9,
        }
    }

    #[test]
    fn every_name_of_soketi_is_there_with_its_labels() {
        let text = prometheus(&metrics(vec![app("shop", 10)]).families());
        for (name, value) in [
            ("connected", 10),
            ("new_connections_total", 11),
            ("new_disconnections_total", 12),
            ("socket_received_bytes", 13),
            ("socket_transmitted_bytes", 14),
            ("ws_messages_received_total", 15),
            ("ws_messages_sent_total", 16),
            ("http_received_bytes", 17),
            ("http_transmitted_bytes", 18),
            ("http_calls_received_total", 19),
        ] {
            let line = format!("\nsoketi_{name}{{app_id=\"shop\",port=\"6001\"}} {value}\n");
            assert!(text.contains(&line), "{line} in\n{text}");
        }
        for name in [
            "horizontal_adapter_resolve_time histogram",
            "horizontal_adapter_resolved_promises counter",
            "horizontal_adapter_uncomplete_promises counter",
            "horizontal_adapter_sent_requests counter",
            "horizontal_adapter_received_requests counter",
            "horizontal_adapter_received_responses counter",
        ] {
            assert!(text.contains(&format!("\n# TYPE soketi_{name}\n")), "{name} in\n{text}");
        }
        let resident = text.lines().find(|l| l.starts_with("soketi_process_resident_memory_bytes"));
        let bytes = resident.and_then(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        assert!(bytes.is_some_and(|bytes| bytes > 1_000_000), "a process has some: {resident:?}");
    }

    #[test]
    fn labels_are_bounded_and_nothing_is_lost() {
        let apps = (0..APPS_MAX + 2).map(|n| app(format!("app-{n:05}"), 1)).collect();
        let apps = bounded(apps);
        assert_eq!(apps.len(), APPS_MAX + 1);
        assert_eq!(apps[APPS_MAX].app, OTHERS);
        assert_eq!((apps[APPS_MAX].connected, apps[APPS_MAX].http_calls), (2, 20));
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (my (nah) x) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
        assert_eq!(processor_s(stat), Some((2.5, 0.5)));
        assert_eq!(processor_s(""), None);
    }
}
