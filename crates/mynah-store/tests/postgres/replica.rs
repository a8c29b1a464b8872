//! Pages of history from a streaming replica.

use std::time::{Duration, Instant};

use mynah_domain::message::Anchor;
use mynah_domain::permission::{Guard, Operation};
use mynah_domain::ports::MessageStore as _;
use mynah_store::postgres::{PostgresOptions, PostgresStore};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::server::Server;

/// Tables that have not reached the replica yet are waited for, too.
async fn wait_for(standby: &Client, text: &str) {
    let begun = Instant::now();
    loop {
        match standby.query_one(text, &[]).await {
            Ok(row) if row.get(0) => return,
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), Some(&SqlState::UNDEFINED_TABLE), "{error}"),
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{text}");
        tokio::task::yield_now().await;
    }
}

/// Whether it has everything, lags or is gone, what is read is what was stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_never_lags_whatever_the_replica_does() {
    let server = Server::start();
    let database = server.database().await;
    let standby = server.standby();
    let options =
        PostgresOptions { replica_url: Some(standby.url(&database)), ..server.options(&database) };
    let heard = Recorder::new();
    let store = PostgresStore::open(options, heard.clone()).await.expect("opened");
    let s = Subject::new(store.clone(), heard, ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let texts = async || -> Vec<String> {
        let guard = Guard::new(&ada, Operation::ReadHistory);
        let page = store.history(guard, &room, Anchor::Latest, 50).await.expect("read");
        page.items.into_iter().map(|message| message.content).collect()
    };
    s.say(&ada, &room, "one").await;
    let second = s.say(&ada, &room, "two").await;
    assert_eq!(texts().await, ["two", "one"]);
    let watcher = standby.client(&database).await;
    wait_for(&watcher, "SELECT count(*) = 2 FROM mynah.messages").await;
    assert_eq!(texts().await, ["two", "one"]);
    let used = "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'mynah'";
    wait_for(&watcher, used).await;

    watcher.batch_execute("SELECT pg_wal_replay_pause()").await.expect("paused");
    wait_for(&watcher, "SELECT pg_get_wal_replay_pause_state() = 'paused'").await;
    s.edit(&ada, &second.id, "changed").await.expect("edited");
    s.say(&ada, &room, "three").await;
    assert_eq!(texts().await, ["three", "changed", "one"], "the replica lags");
    watcher.batch_execute("SELECT pg_wal_replay_resume()").await.expect("resumed");
    wait_for(&watcher, "SELECT count(*) = 3 FROM mynah.messages").await;
    assert_eq!(texts().await, ["three", "changed", "one"]);

    tokio::task::block_in_place(|| standby.kill());
    assert_eq!(texts().await, ["three", "changed", "one"], "the replica is gone");
    s.say(&ada, &room, "four").await;
    assert_eq!(texts().await.len(), 4);
}
