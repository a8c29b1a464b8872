//! Opening: migrations, versions, addresses, copies of other servers' databases.

use mynah_domain::ports::JournalStore as _;
use mynah_domain::ports::MessageStore as _;
use mynah_store::postgres::{OpenError, PostgresOptions, PostgresStore};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;

use super::server::{Server, program};
use super::together::{message, sending};

/// One migrates, the other waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_nodes_that_start_at_once_one_migrates() {
    let server = Server::start();
    for _ in 0..3 {
        let database = server.database().await;
        let open = || PostgresStore::open(server.options(&database), Recorder::new());
        let (a, b, c, d) = tokio::join!(open(), open(), open(), open());
        for opened in [a, b, c, d] {
            let opened = opened.expect("opened");
            assert_eq!(opened.probe().await, Ok(()));
            opened.close().await;
        }
        let client = server.client(&database).await;
        let applied = "SELECT version FROM mynah.migrations ORDER BY version";
        let rows = client.query(applied, &[]).await.expect("read");
        let versions: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(versions, (1..).take(versions.len()).collect::<Vec<i32>>());
        assert!(!versions.is_empty());
    }
}

/// Whoever finds the lock taken waits, and goes on when the holder is gone, however it went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_was_cut_off_is_done_by_the_next_start() {
    let server = Server::start();
    let sql = include_str!("../../migrations/postgres/0001_init.sql");
    let lines: Vec<&str> = sql.split_inclusive(";\n").collect();
    assert!(lines.len() > 40);
    for cut in [1, lines.len() / 3, lines.len() / 2, lines.len() - 1] {
        let database = server.database().await;
        let first = server.client(&database).await;
        let half: String = lines[..cut].concat();
        let begin = "BEGIN; SELECT pg_advisory_xact_lock(5570193308531703); CREATE SCHEMA mynah";
        first.batch_execute(begin).await.expect("begun");
        // A function's text holds the separator as well; where it is cut in two, nothing of it is run.
        drop(first.batch_execute(&half).await);
        let pid: i32 =
            first.query_one("SELECT pg_backend_pid()", &[]).await.map_or(0, |r| r.get(0));
        let opening = PostgresStore::open(server.options(&database), Recorder::new());
        let opening = tokio::spawn(opening);
        let other = server.client("postgres").await;
        if pid != 0 {
            let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            while other.query_one(waits, &[]).await.expect("read").get::<_, i64>(0) == 0 {
                tokio::task::yield_now().await;
            }
            assert!(!opening.is_finished(), "it waits");
            other.execute("SELECT pg_terminate_backend($1)", &[&pid]).await.expect("ended");
        }
        drop(first);
        let store = opening.await.expect("run").expect("opened");
        assert_eq!(store.probe().await, Ok(()));
        store.close().await;
    }
}

/// Tables, and the next number of a transaction that writes: statistics come up to a second late.
async fn count(server: &Server, database: &str) -> (i64, i64) {
    let sql = "SELECT count(*), pg_snapshot_xmax(pg_current_snapshot())::text::bigint \
               FROM pg_stat_user_tables";
    let row = server.client(database).await.query_one(sql, &[]).await.expect("read");
    (row.get(0), row.get(1))
}

/// And nothing is written to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_a_newer_release_is_left_alone() {
    let server = Server::start();
    let database = server.database().await;
    server.open(&database, Recorder::new()).await.close().await;
    let client = server.client(&database).await;
    let newer = "INSERT INTO mynah.migrations (version, name, checksum) VALUES (99, 'later', 'x')";
    client.batch_execute(newer).await.expect("written");
    let dump = async || -> Vec<String> {
        let sql = "SELECT name || checksum FROM mynah.migrations ORDER BY version";
        let rows = client.query(sql, &[]).await.expect("read");
        rows.iter().map(|row| row.get(0)).collect()
    };
    let (before, written) = (dump().await, count(&server, &database).await);
    let opened = PostgresStore::open(server.options(&database), Recorder::new()).await;
    let error = opened.err().expect("refused");
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("newer release"), "{error}");
    assert_eq!((dump().await, count(&server, &database).await), (before, written));
    let altered = "DELETE FROM mynah.migrations WHERE version = 99; \
                   UPDATE mynah.migrations SET checksum = 'other' WHERE version = 1";
    client.batch_execute(altered).await.expect("written");
    let opened = PostgresStore::open(server.options(&database), Recorder::new()).await;
    assert_eq!(opened.err(), Some(OpenError::Altered { version: 1 }));
    let foreign = server.database().await;
    let made = "CREATE SCHEMA mynah; CREATE TABLE mynah.birds (id int)";
    server.client(&foreign).await.batch_execute(made).await.expect("made");
    let opened = PostgresStore::open(server.options(&foreign), Recorder::new()).await;
    assert_eq!(opened.err(), Some(OpenError::NotMynah));
}

/// Each message says what to do, and none tells the password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_addresses_are_explained_without_secrets() {
    let server = Server::start_with("");
    let port = server.port();
    let open = async |url: String| {
        let options = PostgresOptions { url, ..PostgresOptions::default() };
        let shown = format!("{options:?}");
        let error = PostgresStore::open(options, Recorder::new()).await.err().expect("refused");
        let text = format!("{error} {error:?} {shown}");
        assert!(!text.contains("s3cret"), "{text}");
        error.to_string()
    };
    let said = open("postgres://mynah:s3cret@:x/".to_owned()).await;
    assert!(said.starts_with("store.url cannot be understood"), "{said}");
    let said = open(format!("postgres://mynah:s3cret@127.0.0.1:{port}/nowhere")).await;
    assert!(said.contains("Make the database first"), "{said}");
    let said = open("postgres://mynah:s3cret@127.0.0.1:1/x".to_owned()).await;
    assert!(said.contains("127.0.0.1 port 1"), "{said}");
    let said = open(format!("postgres://mynah:s3cret@localhost:{port}/x?sslmode=require")).await;
    assert!(said.contains("TLS"), "{said}");
    let said = open("postgres://m:s3cret@h/x?sslmode=require&channel_binding=require".to_owned());
    assert!(said.await.contains("channel_binding"));
    let said = open("postgres://m:s3cret@h/x?sslmode=verify-full&sslrootcert=/no/file".to_owned());
    assert!(said.await.contains("/no/file"));
}

/// A dump restored elsewhere: that server's transactions have lower numbers, and may have fewer places.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_another_servers_database_goes_on() {
    let server = Server::start();
    let database = server.database().await;
    let heard = Recorder::new();
    let store = server.open(&database, heard.clone()).await;
    let s = Subject::new(store.clone(), heard.clone(), ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let last = s.say(&ada, &room, "before the copy").await;
    store.close().await;
    let client = server.client(&database).await;
    let ahead = "UPDATE mynah.log_heads SET xid = '987654321'::xid8; \
                 SELECT setval('mynah.log_blocks', 1)";
    client.batch_execute(ahead).await.expect("written");
    let heard_after = Recorder::new();
    let store = server.open(&database, heard_after.clone()).await;
    let head = store.head_pos().await.expect("read");
    assert_eq!(Some(head), heard.events().last().map(|e| e.pos), "all of it is settled");
    let sent = store.append_message(sending(&ada), message(&room, "after", None)).await;
    assert_eq!(sent.expect("stored").message.seq, last.seq + 1);
    let event = heard_after.events().remove(0);
    assert!(event.pos > head, "places are not given twice");
    let page = store.events_for(&ada, head, 9).await.expect("read");
    assert_eq!(page.events, [event]);
}

/// With statements that are not prepared, behind a bouncer that gives each transaction any connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bouncer_in_transaction_mode_does_not_disturb() {
    let Some(pgbouncer) = program("pgbouncer") else {
        println!("pgbouncer is missing: apt-get install pgbouncer");
        return;
    };
    let server = Server::start();
    let database = server.database().await;
    let bouncer = super::bouncer::Bouncer::start(&pgbouncer, &server);
    let heard = Recorder::new();
    let options = PostgresOptions {
        url: bouncer.url(&database),
        prepared_statements: false,
        ..server.options(&database)
    };
    let store = PostgresStore::open(options, heard.clone()).await.expect("opened");
    let s = Subject::new(store.clone(), heard, ());
    mynah_testkit::conformance::journal::sync_during_writes_misses_nothing(s).await;
    let s = Subject::new(store, Recorder::new(), ());
    let ada = mynah_domain::permission::Actor {
        tenant: mynah_domain::TenantId::single(),
        user: mynah_domain::UserId::trusted("ada"),
        role: mynah_domain::room::Role::Member,
    };
    let rooms = s.rooms.rooms_of(&ada, 0, 10).await.expect("read");
    let numbers: Vec<u64> = rooms.items.iter().map(|item| item.room.last_number).collect();
    assert_eq!(numbers, [100, 100]);
}
