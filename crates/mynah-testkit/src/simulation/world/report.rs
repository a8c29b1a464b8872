//! What came of a run.

use std::fmt;

/// What a run has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Things that happened.
    pub steps: u64,
    /// Upheavals: crashes, cuts, pauses, outages.
    pub upheavals: u64,
    /// Messages lost, doubled or delayed on the way, and questions to the store that failed.
    pub mishaps: u64,
    /// Events stored.
    pub stored: u64,
    /// Events that clients got.
    pub received: u64,
    /// Connections of clients.
    pub connections: u64,
    /// Events read from the store because they were not heard.
    pub healed: u64,
    /// Streams whose subscribers had to come back.
    pub resyncs: u64,
    /// From the end of the faults until everything was well.
    pub settled_ms: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Of which run.
    pub seed: u64,
    /// When, on the simulated clock.
    pub at_ms: u64,
    /// In words.
    pub what: String,
    /// What happened before, if the run was traced.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        let Self { seed, at_ms, what, .. } = self;
        write!(
            f,
            "seed {seed} fails after {at_ms} ms: {what}\nagain: cargo run -p mynah-testkit --example simulate -- --seed {seed}"
        )
    }
}
