//! A copy of an earlier state goes on as another log; and what a doctor sees.

use mynah_domain::ports::JournalStore as _;
use mynah_store::postgres::examine;
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;

use super::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_log_is_another_whose_places_nobody_has_seen() {
    let server = Server::start();
    let database = server.database().await;
    let before = examine(&server.options(&database)).await.expect("asked");
    assert_eq!((before.schema, before.nodes.len()), (None, 0));
    assert!(before.place.contains(&database) && before.version >= 130_000, "{before:?}");

    let heard = Recorder::new();
    let store = server.open(&database, heard.clone()).await;
    let s = Subject::new(store.clone(), heard, ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    s.say(&ada, &room, "in the backup").await;
    let epoch = store.log_epoch().await.expect("read");
    assert_eq!(store.log_epoch().await, Ok(epoch));
    store.close().await;
    drop((s, store));
    let client = server.client("postgres").await;
    client
        .batch_execute(&format!("CREATE DATABASE copy TEMPLATE {database}"))
        .await
        .expect("copied");

    // It went on before the disaster, so clients have seen more than the copy has.
    let heard = Recorder::new();
    let store = server.open(&database, heard.clone()).await;
    let s = Subject::new(store.clone(), heard.clone(), ());
    assert_eq!(store.log_epoch().await, Ok(epoch), "a start is no new life");
    for n in 0..3 {
        s.say(&ada, &room, &format!("lost {n}")).await;
    }
    let seen = heard.events().last().expect("heard").pos;
    store.close().await;
    drop((s, store));

    let row = server.client("copy").await.query_one("SELECT mynah.begin_log()", &[]).await;
    let told: String = row.expect("begun").get(0);
    let heard = Recorder::new();
    let store = server.open("copy", heard.clone()).await;
    let s = Subject::new(store.clone(), heard.clone(), ());
    let now = store.log_epoch().await.expect("read");
    assert_eq!(now.to_string(), told);
    assert_ne!(now, epoch);
    for n in 0..5 {
        let said = s.say(&ada, &room, &format!("new {n}")).await;
        assert_eq!(said.number, 2 + n, "numbers go on");
    }
    assert!(heard.events().iter().all(|event| event.pos > seen));
    let examined = examine(&server.options("copy")).await.expect("asked");
    assert_eq!(examined.schema, Some(examined.schema_newest));
    assert!(examined.clock_ahead_ms.abs() < 1_000, "{examined:?}");
    store.close().await;
}
