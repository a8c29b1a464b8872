//! A commit listener that remembers.

use std::sync::Arc;

use mynah_domain::event::Event;
use mynah_domain::ports::{Commit, CommitListener};
use parking_lot::Mutex;

/// Keeps every event it hears, commit by commit.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Vec<Event>>>);

impl Recorder {
    /// A recorder that has heard nothing.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Everything heard so far, in order.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().concat()
    }

    /// How many events each commit brought.
    pub fn commits(&self) -> Vec<usize> {
        self.0.lock().iter().map(Vec::len).collect()
    }
}

impl CommitListener for Recorder {
    fn committed(&self, mut commit: Commit) {
        self.0.lock().push(commit.take_events());
    }
}
