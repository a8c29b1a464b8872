//! SQLite keeps the promises of the ports.

use mynah_store::sqlite::{SqliteOptions, SqliteStore};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;

fn subject() -> Subject {
    let heard = Recorder::new();
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default(), heard.clone());
    Subject::new(store.expect("opened"), heard, folder)
}

mynah_testkit::conformance_tests!(subject);
