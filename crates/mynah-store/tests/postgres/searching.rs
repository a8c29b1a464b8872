//! Searching with several nodes, behind open transactions, and after an upgrade.

use mynah_domain::permission::Actor;
use mynah_domain::ports::SearchStore;
use mynah_domain::search::{Indexed, MessageSearch, SearchWish};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;

use super::server::Server;

async fn found(subject: &Subject, actor: &Actor, text: &str) -> Vec<String> {
    let wish = SearchWish { text: text.to_owned(), ..SearchWish::default() };
    let search = MessageSearch::new(subject.search.clone());
    let found = search.search_messages(actor, wish).await.expect("searched");
    found.items.into_iter().map(|item| item.message.content).collect()
}

async fn index(store: &dyn SearchStore) {
    while store.index_messages(50).await.expect("indexed").more {}
}

/// What one stored the other finds, whoever indexes; of two that index at once one waits for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_indexes_at_a_time() {
    let server = Server::start();
    let database = server.database().await;
    let open = async || {
        let heard = Recorder::new();
        Subject::new(server.open(&database, heard.clone()).await, heard, ())
    };
    let (one, two) = (open().await, open().await);
    let ada = one.user("ada").await;
    let room = one.group(&ada, &[], "r").await;
    one.say(&ada, &room, "kiwi one").await;
    two.say(&ada, &room, "kiwi two").await;
    let client = server.client(&database).await;
    let lock = "BEGIN; SELECT pg_advisory_xact_lock(5570193308531705)";
    client.batch_execute(lock).await.expect("locked");
    assert_eq!(one.search.index_messages(10).await, Ok(Indexed::default()), "another is at it");
    assert_eq!(one.search.unindexed().await, Ok(2));
    client.batch_execute("ROLLBACK").await.expect("let go");
    index(&*one.search).await;
    for node in [&one, &two] {
        assert_eq!(node.search.unindexed().await, Ok(0));
        assert_eq!(found(node, &ada, "kiwi").await, ["kiwi two", "kiwi one"]);
    }
}

/// What an older transaction may still store would lie before what is there already.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_indexed_beyond_an_open_transaction() {
    let server = Server::start();
    let database = server.database().await;
    let heard = Recorder::new();
    let s = Subject::new(server.open(&database, heard.clone()).await, heard, ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    s.say(&ada, &room, "before it").await;
    let client = server.client(&database).await;
    client.batch_execute("BEGIN; SELECT pg_current_xact_id()").await.expect("begun");
    s.say(&ada, &room, "behind it").await;
    index(&*s.search).await;
    assert_eq!(found(&s, &ada, "it").await, ["before it"]);
    assert_eq!(s.search.unindexed().await, Ok(0), "what is not settled does not wait yet");
    client.batch_execute("ROLLBACK").await.expect("ended");
    assert_eq!(s.search.unindexed().await, Ok(1));
    index(&*s.search).await;
    assert_eq!(found(&s, &ada, "it").await, ["behind it", "before it"]);
}

/// With the column that was searched before, and messages in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_an_earlier_version_is_indexed_from_the_beginning() {
    let server = Server::start();
    let database = server.database().await;
    let store = server.open(&database, Recorder::new()).await;
    let s = Subject::new(store.clone(), Recorder::new(), ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for n in 0..120 {
        s.say(&ada, &room, &format!("kiwi {n}")).await;
    }
    drop(s);
    store.close().await;
    let before = "DROP TABLE mynah.message_search, mynah.search_places; \
                  DROP INDEX mynah.events_of_messages; \
                  ALTER TABLE mynah.messages ADD COLUMN search tsvector \
                  GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, content)) STORED; \
                  CREATE INDEX messages_search ON mynah.messages USING gin (search); \
                  DELETE FROM mynah.migrations WHERE version >= 3";
    server.client(&database).await.batch_execute(before).await.expect("taken back");
    let heard = Recorder::new();
    let s = Subject::new(server.open(&database, heard.clone()).await, heard, ());
    assert_eq!(s.search.unindexed().await, Ok(120));
    index(&*s.search).await;
    let texts = found(&s, &ada, "kiwi").await;
    assert_eq!((texts.len(), texts[0].as_str()), (20, "kiwi 119"));
    s.say(&ada, &room, "and on").await;
}
