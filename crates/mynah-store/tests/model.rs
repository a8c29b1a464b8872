//! Many random histories give the same answers as the model.

use mynah_store::sqlite::{SqliteOptions, SqliteStore};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::{Subject, model};

#[tokio::test]
async fn many_random_histories_match_the_model() {
    for seed in 100..112 {
        let heard = Recorder::new();
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = SqliteStore::open(folder.path(), &SqliteOptions::default(), heard.clone());
        let subject = Subject::new(store.expect("opened"), heard, folder);
        model::compare(subject, seed * 7_919).await;
    }
}
