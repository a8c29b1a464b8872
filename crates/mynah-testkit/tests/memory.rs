//! The model keeps the promises that it is the measure of.

use mynah_domain::ports::{AccountStore, JournalStore, StoreError};
use mynah_testkit::conformance::Subject;
use mynah_testkit::{MemoryStore, Recorder};

fn subject() -> Subject {
    let heard = Recorder::new();
    Subject::new(MemoryStore::new(heard.clone()), heard, ())
}

mynah_testkit::conformance_tests!(subject);

#[tokio::test]
async fn a_store_fails_when_told_to() {
    let heard = Recorder::new();
    let store = MemoryStore::new(heard.clone());
    let s = Subject::new(store.clone(), heard, ());
    let ada = s.user("ada").await;
    let before = store.calls();
    store.fail_writes(StoreError::Full);
    assert_eq!(store.probe().await, Err(StoreError::Full));
    assert!(store.user(&ada.tenant, &ada.user).await.is_ok_and(|found| found.is_some()));
    store.fail(StoreError::Overloaded);
    assert_eq!(store.user(&ada.tenant, &ada.user).await, Err(StoreError::Overloaded));
    assert_eq!(store.calls() - before, 3);
}
