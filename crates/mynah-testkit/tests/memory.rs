//! The model keeps the promises that it is the measure of.

use mynah_testkit::conformance::Subject;
use mynah_testkit::{MemoryStore, Recorder};

fn subject() -> Subject {
    let heard = Recorder::new();
    Subject::new(MemoryStore::new(heard.clone()), heard, ())
}

mynah_testkit::conformance_tests!(subject);
