//! What the store tells of its commits.

use crate::event::Event;

/// Hears of every commit, in commit order, once.
///
/// Called on the committer's thread: hand the events over and return; blocking here delays the next
/// commit (which is the back-pressure wanted when delivery cannot keep up).
pub trait CommitListener: Send + Sync {
    /// One commit. The callers whose writes it holds are answered when it is dropped, at the latest.
    fn committed(&self, commit: Commit);
}

/// What one commit brought.
pub struct Commit {
    events: Vec<Event>,
    is_unsure: bool,
    answers: Option<Box<dyn FnOnce() + Send>>,
}

impl Commit {
    /// The events of one commit, ascending by `pos`, and what lets its callers go on.
    pub fn new(events: Vec<Event>, answers: impl FnOnce() + Send + 'static) -> Self {
        Self { events, is_unsure: false, answers: Some(Box::new(answers)) }
    }

    /// The store did not say whether a commit succeeded, and by now it has or never will: its events, if there
    /// are any, must be read.
    pub fn unsure(answers: impl FnOnce() + Send + 'static) -> Self {
        Self { events: Vec::new(), is_unsure: true, answers: Some(Box::new(answers)) }
    }

    /// Whether it is one of those.
    pub fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    /// The events; the callers still wait.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        if let Some(answer) = self.answers.take() {
            answer();
        }
    }
}
