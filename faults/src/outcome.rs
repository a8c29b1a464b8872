//! What a row has shown.

use std::time::Duration;

use crate::judge::Findings;

/// One sentence of the "must hold" column, and whether it held.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) holds: bool,
    pub(crate) seen: String,
    /// A time or cost: decides only in the long run.
    pub(crate) is_timed: bool,
}

impl Check {
    /// Something that must hold in every run.
    pub(crate) fn must(what: impl Into<String>, holds: bool, seen: impl Into<String>) -> Self {
        Self { what: what.into(), holds, seen: seen.into(), is_timed: false }
    }

    /// A time that must not be longer than a limit.
    pub(crate) fn within(what: impl Into<String>, took: Duration, limit: Duration) -> Self {
        let what = format!("{} ≤ {}", what.into(), time(limit));
        Self { what, holds: took <= limit, seen: time(took), is_timed: true }
    }

    /// Something measured that must hold in the long run.
    pub(crate) fn measured(what: impl Into<String>, holds: bool, seen: impl Into<String>) -> Self {
        Self { is_timed: true, ..Self::must(what, holds, seen) }
    }
}

/// A row that was played to its end.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) faults: u64,
    pub(crate) findings: Findings,
    pub(crate) without_ack: Option<Duration>,
    pub(crate) caught_up: Option<Duration>,
    /// Of the node that grew most.
    pub(crate) growth: Option<u64>,
    pub(crate) checks: Vec<Check>,
    pub(crate) remarks: Vec<String>,
}

impl Outcome {
    /// A row that measures no load.
    pub(crate) fn without_load() -> Self {
        Self {
            faults: 0,
            findings: Findings::default(),
            without_ack: None,
            caught_up: None,
            growth: None,
            checks: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Whether everything that decides in this run held.
    pub(crate) fn is_good(&self, short: bool) -> bool {
        self.findings.is_clean() && self.checks.iter().all(|c| c.holds || (short && c.is_timed))
    }
}

/// `0.42 s`.
pub(crate) fn time(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

/// `12.3 MB`.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
