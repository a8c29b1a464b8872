//! The database goes away and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mynah_domain::RoomId;
use mynah_domain::permission::Actor;
use mynah_domain::ports::{JournalStore as _, MessageStore as _, StoreError};
use mynah_store::postgres::{PostgresOptions, PostgresStore};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;
use parking_lot::Mutex;

use super::server::Server;
use super::together::{message, sending};

/// Waits until something holds, for a bounded time.
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::task::yield_now().await;
    }
}

/// A client repeats what was not acknowledged, as often as it takes.
async fn insist(store: &PostgresStore, actor: &Actor, room: &RoomId, id: &str) -> u64 {
    loop {
        match store.append_message(sending(actor), message(room, id, Some(id))).await {
            Ok(sent) => return sent.message.number,
            Err(error) => assert!(error.to_string().contains("unavailable"), "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn insist_often(
    store: Arc<PostgresStore>,
    (ada, room): (Actor, RoomId),
    name: String,
    acked: Arc<Mutex<Vec<u64>>>,
) {
    for n in 0..50 {
        let number = insist(&store, &ada, &room, &format!("{name}-{n}")).await;
        acked.lock().push(number);
    }
}

/// What was acknowledged is there, each once; the store works again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_used_again_and_nothing_acknowledged_is_lost() {
    let server = Server::start();
    let database = server.database().await;
    let heard = Recorder::new();
    let options =
        PostgresOptions { statement_timeout: Duration::from_secs(5), ..server.options(&database) };
    let store = PostgresStore::open(options, heard.clone()).await.expect("opened");
    let s = Subject::new(store.clone(), heard.clone(), ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for round in 0..2 {
        let acked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..8 {
            let (store, ada, room) = (store.clone(), ada.clone(), room.clone());
            let acked = acked.clone();
            tasks.spawn(insist_often(store, (ada, room), format!("{round}-{task}"), acked));
        }
        until("writing has begun", async || acked.lock().len() > 50).await;
        tokio::task::block_in_place(|| server.kill());
        let refused = store.probe().await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        tokio::task::block_in_place(|| server.run());
        until("it works again", async || store.probe().await.is_ok()).await;
        while let Some(done) = tasks.join_next().await {
            done.expect("a sender failed");
        }
        let mut numbers = acked.lock().clone();
        numbers.sort_unstable();
        let from = round * 400 + 1;
        assert_eq!(numbers, (from..from + 400).collect::<Vec<u64>>(), "each once, none lost");
    }
    let view = s.view(&ada, &room).await;
    assert_eq!(view.room.last_number, 800);
    assert!(store.stats().connects >= 3, "{:?}", store.stats());
}

/// A database that hangs refuses each write in its time, those that wait behind another too, and stores
/// nothing of them later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_refuses_every_write_and_is_used_again() {
    let server = Server::start();
    let database = server.database().await;
    let heard = Recorder::new();
    let s = Subject::new(server.open(&database, heard.clone()).await, heard, ());
    let options = PostgresOptions {
        statement_timeout: Duration::from_secs(2),
        batch_max: 2,
        ..server.options(&database)
    };
    let store = PostgresStore::open(options, Recorder::new()).await.expect("opened");
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    assert_eq!(insist(&store, &ada, &room, "before").await, 1);
    tokio::task::block_in_place(|| server.signal("-STOP"));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..20 {
        let (store, ada, room) = (store.clone(), ada.clone(), room.clone());
        let id = format!("m{n}");
        tasks.spawn(async move {
            store.append_message(sending(&ada), message(&room, &id, Some(&id))).await
        });
    }
    for answer in tasks.join_all().await {
        let refused = answer.expect_err("nothing can be stored");
        assert!(refused.to_string().contains("unavailable"), "{refused}");
    }
    assert_eq!(store.stats().write_queue, 0);
    tokio::task::block_in_place(|| server.signal("-CONT"));
    for n in 0..20 {
        let number = insist(&store, &ada, &room, &format!("m{n}")).await;
        assert_eq!(number, n + 2, "the first try left nothing, or this is its message");
    }
    assert_eq!(s.view(&ada, &room).await.room.last_number, 21);
}

/// Connections that the server ends between two calls are replaced without anybody noticing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_ended_by_the_server_are_replaced() {
    let server = Server::start();
    let database = server.database().await;
    let store = server.open(&database, Recorder::new()).await;
    let other = server.client("postgres").await;
    for _ in 0..3 {
        assert_eq!(store.probe().await, Ok(()));
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        other.query(all, &[&database]).await.expect("ended");
    }
    assert_eq!(store.probe().await, Ok(()));
}

/// A lock that somebody else holds delays for a bounded time, and holds up no other room afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_held_by_others_ends_in_an_answer() {
    let server = Server::start();
    let database = server.database().await;
    let heard = Recorder::new();
    let options =
        PostgresOptions { statement_timeout: Duration::from_secs(6), ..server.options(&database) };
    let store = PostgresStore::open(options, heard.clone()).await.expect("opened");
    let s = Subject::new(store.clone(), heard, ());
    let ada = s.user("ada").await;
    let rooms = [s.group(&ada, &[], "held").await, s.group(&ada, &[], "free").await];
    let holder = server.client(&database).await;
    let hold = "BEGIN; SELECT id FROM mynah.rooms WHERE ext_id = 'held' FOR UPDATE";
    holder.batch_execute(hold).await.expect("held");
    // Many writes that share a commit: those of the other room are stored.
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64 {
        let (store, ada, room) = (store.clone(), ada.clone(), rooms[usize::from(n != 7)].clone());
        tasks.spawn(async move {
            store.append_message(sending(&ada), message(&room, &format!("m{n}"), None)).await
        });
    }
    let (stored, refused): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((stored.len(), refused.len()), (63, 1));
    let held = refused[0].as_ref().expect_err("it cannot be stored");
    assert!(held.to_string().contains("unavailable"), "{held}");
    holder.batch_execute("ROLLBACK").await.expect("let go");
    let now = store.append_message(sending(&ada), message(&rooms[0], "again", None)).await;
    assert_eq!(now.expect("stored").message.number, 1, "the first try left nothing");
}

/// A write whose engine error is its own fails alone, whatever shares its commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_faulty_write_of_a_batch_fails_alone() {
    let server = Server::start();
    let database = server.database().await;
    let heard = Recorder::new();
    let store = server.open(&database, heard.clone()).await;
    let s = Subject::new(store.clone(), heard.clone(), ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        // An id that exists is no refusal but a broken rule of the table.
        let id = if n % 25 == 3 { "same".to_owned() } else { format!("m{n}") };
        let (store, ada, room) = (store.clone(), ada.clone(), room.clone());
        tasks.spawn(async move {
            store.append_message(sending(&ada), message(&room, &id, None)).await.is_ok()
        });
    }
    let stored = tasks.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(stored, 97, "one of the four with the same id, and all others");
    assert_eq!(s.view(&ada, &room).await.room.last_number, 97);
}

/// A message with everything that PostgreSQL does not take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zero_characters_are_replaced() {
    let server = Server::start();
    let s = server.subject().await;
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let mut new = message(&room, "m", Some("c\0d"));
    new.draft.content = "a\0b".to_owned();
    let sent = s.messages.append_message(sending(&ada), new.clone()).await.expect("stored");
    assert_eq!(sent.message.content, "a\u{fffd}b");
    assert_eq!(s.replay(&ada, &room).await.last(), s.heard.events().last());
    let again = s.messages.append_message(sending(&ada), new).await.expect("known");
    assert!(again.replayed);
}
