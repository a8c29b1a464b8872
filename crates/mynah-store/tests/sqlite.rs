//! What only a database in a file can get wrong.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use mynah_domain::app::{App, AppKey, AppSecret};
use mynah_domain::chat::ChatError;
use mynah_domain::message::{Anchor, Draft, NewMessage};
use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::ports::{
    AppStore, Commit, CommitListener, JournalStore as _, MessageStore, OpenRoomStore, StoreError,
};
use mynah_domain::recovery::{OpenRoom, Place};
use mynah_domain::{AppId, ConnectionId, MessageId, RoomId, TenantId, Timestamp};
use mynah_store::sqlite::{FILE_NAME, OpenError, SqliteOptions, SqliteStore};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;
use parking_lot::Mutex;

fn open(folder: &Path) -> (Arc<SqliteStore>, Subject) {
    open_with(folder, &SqliteOptions::default())
}

fn open_with(folder: &Path, options: &SqliteOptions) -> (Arc<SqliteStore>, Subject) {
    let heard = Recorder::new();
    let store = SqliteStore::open(folder, options, heard.clone()).expect("opened");
    (store.clone(), Subject::new(store, heard, ()))
}

fn new_message(room: &RoomId, id: &str, content: &str) -> NewMessage {
    let draft = Draft { content: content.to_owned(), ..Draft::default() };
    NewMessage { id: MessageId::trusted(id), room: room.clone(), draft, at: Timestamp(1) }
}

fn sending(actor: &Actor) -> Guard {
    Guard::new(actor, Operation::SendMessage)
}

fn reading(actor: &Actor) -> Guard {
    Guard::new(actor, Operation::ReadHistory)
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let [ada, bob] = s.users().await;
    let room = s.group(&ada, &[&bob], "r").await;
    for n in 0..20 {
        s.say(&bob, &room, &format!("m{n}")).await;
    }
    let (connection, shown) = (ConnectionId::trusted("c"), Place { pos: 9, nth: 2 });
    let open_room = OpenRoom { room: room.clone(), after_seq: 7, shown };
    store.open_room(&connection, &bob, open_room.clone(), s.tick()).await.expect("kept");
    let before = (s.view(&bob, &room).await, s.replay(&ada, &room).await);
    store.close();
    let refused = s.journal.probe().await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "closed is closed: {refused:?}");
    drop((s, store));
    let (_store, s) = open(folder.path());
    assert_eq!((s.view(&bob, &room).await, s.replay(&ada, &room).await), before);
    assert_eq!(s.open.open_rooms(&connection, &bob).await, Ok(vec![open_room]));
    let next = s.say(&ada, &room, "next").await;
    assert_eq!((next.number, next.seq), (21, before.0.room.last_seq + 1));
    assert_eq!(s.heard.events()[0].pos, before.1.last().expect("some").pos + 1, "the log goes on");
}

/// Somebody took a user and a room out of the file by hand.
#[tokio::test]
async fn open_rooms_of_what_is_gone_disturb_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let [ada, bob] = s.users().await;
    let mut open_rooms = Vec::new();
    for id in ["gone", "stays"] {
        let room = s.group(&ada, &[&bob], id).await;
        open_rooms.push(OpenRoom { room, after_seq: 1, shown: Place::default() });
    }
    let connections = [ConnectionId::trusted("a"), ConnectionId::trusted("b")];
    for (connection, viewer) in connections.iter().zip([&ada, &bob]) {
        for open in &open_rooms {
            let kept = store.open_room(connection, viewer, open.clone(), s.tick()).await;
            assert_eq!(kept, Ok(()));
        }
    }
    store.close();
    drop((s, store));
    let conn = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opened");
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF; DELETE FROM users WHERE ext_id = 'u1'; \
         DELETE FROM rooms WHERE ext_id = 'gone'",
    )
    .expect("written");
    conn.close().expect("closed");
    let (store, s) = open(folder.path());
    assert_eq!(store.open_rooms(&connections[0], &ada).await.as_deref(), Ok(&open_rooms[1..]));
    assert_eq!(store.open_rooms(&connections[1], &bob).await, Ok(Vec::new()));
    for open in open_rooms {
        assert_eq!(store.open_room(&connections[1], &bob, open, Timestamp(0)).await, Ok(()));
    }
    assert_eq!(store.keep_open_rooms(&connections, s.tick()).await, Ok(()));
    assert_eq!(store.forget_open_rooms(Timestamp(i64::MAX)).await, Ok(4));
}

/// Each step is a commit of its own, so that other writes go on in between.
#[tokio::test]
async fn many_connections_are_kept_and_forgotten_in_steps() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let connections: Vec<_> = (0..1_500).map(|n| ConnectionId::trusted(format!("c{n}"))).collect();
    let mut calls = tokio::task::JoinSet::new();
    for connection in connections.clone() {
        let open = OpenRoom { room: room.clone(), after_seq: 1, shown: Place::default() };
        let (store, ada, at) = (store.clone(), ada.clone(), s.tick());
        calls.spawn(async move { store.open_room(&connection, &ada, open, at).await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));
    let commits = || store.stats().commits;
    let (before, now) = (commits(), s.tick());
    assert_eq!(store.keep_open_rooms(&connections, now).await, Ok(()));
    assert_eq!((store.forget_open_rooms(now).await, commits() - before), (Ok(0), 3));
    let before = commits();
    assert_eq!(store.forget_open_rooms(s.tick()).await, Ok(1_500));
    assert_eq!(commits() - before, 3, "a connection and its room are two rows");
}

/// Copies of the files while the store is at work are what a kill leaves behind.
#[tokio::test]
async fn a_kill_at_any_moment_keeps_what_was_answered() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (_store, s) = open(folder.path());
    let _log = unfolded(folder.path());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for n in 1..=30_u64 {
        s.say(&ada, &room, &format!("m{n}")).await;
        if n % 10 == 0 {
            let copy = copied(folder.path(), None);
            assert_eq!(numbers(copy.path(), &ada, &room).await, n, "answered, so kept");
        }
    }
}

/// The log cut anywhere: a prefix of the history, in order, and the store goes on.
#[tokio::test]
async fn a_torn_log_keeps_a_prefix() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (_store, s) = open(folder.path());
    let _log = unfolded(folder.path());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for n in 1..=25 {
        s.say(&ada, &room, &format!("m{n}")).await;
    }
    let log = folder.path().join(format!("{FILE_NAME}-wal"));
    let length = std::fs::metadata(log).expect("there is a log").len();
    let (mut least, mut most) = (u64::MAX, 0);
    for cut in 1..=40 {
        let copy = copied(folder.path(), Some(length * cut / 41 + cut % 7));
        let kept = numbers(copy.path(), &ada, &room).await;
        (least, most) = (least.min(kept), most.max(kept));
    }
    assert!(least < 5 && most > 20, "the cuts fell everywhere: {least} to {most}");
}

/// While this lives the log is not folded into the database, however long the writer idles.
fn unfolded(folder: &Path) -> rusqlite::Connection {
    let reader = rusqlite::Connection::open(folder.join(FILE_NAME)).expect("opened");
    reader.execute_batch("BEGIN; SELECT count(*) FROM users").expect("a snapshot");
    reader
}

/// A copy of the database as it lies on the disk, the log cut to a length.
fn copied(folder: &Path, cut: Option<u64>) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("temporary folder");
    for end in ["", "-wal"] {
        let name = format!("{FILE_NAME}{end}");
        std::fs::copy(folder.join(&name), copy.path().join(&name)).expect("copied");
    }
    if let Some(length) = cut {
        let log = copy.path().join(format!("{FILE_NAME}-wal"));
        let log = std::fs::File::options().write(true).open(log).expect("opened");
        log.set_len(length).expect("cut");
    }
    copy
}

/// Opens a database and says how many messages it holds, after checking that they are a prefix.
async fn numbers(folder: &Path, ada: &Actor, room: &RoomId) -> u64 {
    let (_store, s) = open(folder);
    let guard = reading(ada);
    let Ok(page) = s.messages.history(guard.clone(), room, Anchor::Latest, 100).await else {
        return 0;
    };
    let count = page.items.len() as u64;
    let found: Vec<_> = page.items.iter().rev().map(|m| (m.number, m.content.clone())).collect();
    let expected: Vec<_> = (1..=count).map(|n| (n, format!("m{n}"))).collect();
    assert_eq!(found, expected);
    let events = s.journal.room_events(guard, room, 0, 1_000).await.expect("read").events;
    assert_eq!(events.len() as u64, count + 2);
    assert_eq!(s.say(ada, room, "after").await.number, count + 1);
    count
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .expect("listed")
        .map(|entry| {
            let entry = entry.expect("listed");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).expect("read"))
        })
        .collect();
    all.sort();
    all
}

fn refused(folder: &Path) -> OpenError {
    let before = contents(folder);
    let opened = SqliteStore::open(folder, &SqliteOptions::default(), Recorder::new());
    let error = opened.err().expect("refused");
    assert_eq!(contents(folder), before, "nothing may change");
    error
}

#[test]
fn a_newer_schema_is_refused_untouched() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default(), Recorder::new());
    store.expect("opened").close();
    std::fs::remove_file(folder.path().join(format!("{FILE_NAME}.lock"))).expect("removed");
    let conn = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opened");
    conn.pragma_update(None, "user_version", 99).expect("written");
    conn.close().expect("closed");
    let text = refused(folder.path()).to_string();
    for part in ["99", "versions up to", "newer release", "backup"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn foreign_files_are_refused_untouched() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join(FILE_NAME);
    std::fs::write(&file, "a letter, not a database").expect("written");
    assert!(matches!(refused(folder.path()), OpenError::NotMynah { .. }));
    std::fs::remove_file(&file).expect("removed");
    let conn = rusqlite::Connection::open(&file).expect("opened");
    conn.execute_batch("CREATE TABLE users (id INTEGER); PRAGMA user_version = 1").expect("made");
    conn.close().expect("closed");
    assert!(matches!(refused(folder.path()), OpenError::NotMynah { .. }));
}

#[test]
fn an_edited_migration_is_noticed() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let open = || SqliteStore::open(folder.path(), &SqliteOptions::default(), Recorder::new());
    open().expect("opened").close();
    let conn = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opened");
    conn.execute_batch("UPDATE migrations SET checksum = 'other'").expect("written");
    conn.close().expect("closed");
    assert!(matches!(open().err(), Some(OpenError::Altered { version: 1, .. })));
}

/// What the command line does while the server runs.
#[tokio::test]
async fn apps_are_changed_beside_a_running_server() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let beside = SqliteStore::open_apps(folder.path()).expect("opened");
    for n in 0..20 {
        let (id, key) = (format!("app-{n}"), format!("key-{n}"));
        let (secret, created_at) = (AppSecret::new("sealed"), s.tick());
        let key = AppKey { key, secret, created_at, expires_at: None };
        let app = App::new(AppId::trusted(id.clone()), TenantId::trusted(id), key);
        let text = format!("hello {n}");
        let (made, said) = tokio::join!(beside.create_app(app), s.say(&ada, &room, &text));
        let made = made.expect("made");
        assert_eq!(store.app_of_key(&format!("key-{n}")).await, Ok(Some(made.clone())));
        assert_eq!(said.number, n + 1);
        let changed = store.replace_app(App { is_enabled: false, ..made }).await.expect("changed");
        assert_eq!(beside.app(&changed.id).await, Ok(Some(changed)));
    }
    drop(beside);
    assert_eq!(s.say(&ada, &room, "still here").await.number, 21);
    store.close();
    let alone = SqliteStore::open_apps(folder.path()).expect("without a server as well");
    assert_eq!(alone.apps(0, 100).await.expect("read").items.len(), 20);
    let (server, _) = open(folder.path());
    server.close();
}

#[tokio::test]
async fn apps_beside_a_server_of_another_release_are_left_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, _) = open(folder.path());
    let conn = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opened");
    let set = |version: u32| conn.pragma_update(None, "user_version", version).expect("written");
    let now: u32 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).expect("read");
    set(now - 1);
    let opened = SqliteStore::open_apps(folder.path());
    assert!(matches!(opened.err(), Some(OpenError::Older { found, .. }) if found == now - 1));
    set(now);
    assert!(SqliteStore::open_apps(folder.path()).is_ok());
    drop(store);
}

#[test]
fn a_second_opener_is_kept_out() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let open = || SqliteStore::open(folder.path(), &SqliteOptions::default(), Recorder::new());
    let first = open().expect("opened");
    assert!(matches!(open().err(), Some(OpenError::InUse { .. })));
    first.close();
    assert!(open().is_ok());
}

/// Whoever is woken by it breaks.
struct Fragile;

impl Wake for Fragile {
    #[expect(clippy::panic, reason = "on purpose: it ends the thread that answers")]
    fn wake(self: Arc<Self>) {
        panic!("on purpose: this ends the thread that answers");
    }
}

#[tokio::test]
async fn a_writer_that_has_ended_is_told_at_once_and_reads_go_on() {
    let (gate, store, ada, room, _folder) = gated(&SqliteOptions::default()).await;
    let held = gate.held.lock();
    let mut stored = pin!(store.append_message(sending(&ada), new_message(&room, "m0", "x")));
    assert!(stored.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    while gate.commits.lock().is_empty() {
        std::thread::yield_now();
    }
    // The writer is held up at the gate, so that these wait for it together.
    let (mut last, mut next) = (pin!(store.probe()), pin!(store.probe()));
    let waker = Waker::from(Arc::new(Fragile));
    assert!(last.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(held);
    assert!(stored.await.is_ok());
    // Behind it in the queue: given up with the writer, or refused by what it left.
    let next = next.await;
    assert!(matches!(next, Err(StoreError::Unavailable(_) | StoreError::Ended)), "{next:?}");
    while store.probe().await != Err(StoreError::Ended) {
        tokio::task::yield_now().await;
    }
    let refused = store.append_message(sending(&ada), new_message(&room, "m1", "x")).await;
    assert_eq!(refused, Err(StoreError::Ended.into()));
    let s = Subject::new(store.clone(), Recorder::new(), ());
    let page = s.messages.history(reading(&ada), &room, Anchor::Latest, 9).await.expect("read");
    assert_eq!(page.items.len(), 1);
    store.close();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = SqliteOptions { pages_max: Some(100), ..SqliteOptions::default() };
    let (store, s) = open_with(folder.path(), &options);
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let big = "x".repeat(20_000);
    let mut stored = 0;
    let refusal = loop {
        let new = new_message(&room, &format!("m{stored}"), &big);
        match store.append_message(sending(&ada), new).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(refusal, ChatError::Store(StoreError::Full));
    let heard = s.heard.events().len();
    let page = s.messages.history(reading(&ada), &room, Anchor::Latest, 100).await.expect("read");
    assert_eq!(page.items.len(), stored, "reads go on");
    let new = new_message(&room, "again", &big);
    let again = store.append_message(sending(&ada), new).await;
    assert_eq!(again, Err(StoreError::Full.into()), "and stays full");
    assert_eq!(s.heard.events().len(), heard, "nobody hears of what was not stored");
    assert_eq!(
        s.delete(&ada, &MessageId::trusted("m0")).await.map(|m| m.content),
        Ok(String::new())
    );
    let new = new_message(&room, "after", &big[..5_000]);
    let after = store.append_message(sending(&ada), new).await.expect("space came back");
    assert_eq!(after.message.number, stored as u64 + 1, "refused writes used up no number");
}

/// Blocks the writer inside a commit until it is let go.
#[derive(Default)]
struct Gate {
    held: Mutex<()>,
    commits: Mutex<Vec<usize>>,
}

impl CommitListener for Gate {
    fn committed(&self, mut commit: Commit) {
        let events = commit.take_events();
        self.commits.lock().push(events.len());
        drop(self.held.lock());
    }
}

async fn gated(
    options: &SqliteOptions,
) -> (Arc<Gate>, Arc<SqliteStore>, Actor, RoomId, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let gate = Arc::new(Gate::default());
    let store = SqliteStore::open(folder.path(), options, gate.clone()).expect("opened");
    let s = Subject::new(store.clone(), Recorder::new(), ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    gate.commits.lock().clear();
    (gate, store, ada, room, folder)
}

#[expect(clippy::await_holding_lock, reason = "the lock is the gate; only the writer waits for it")]
#[tokio::test]
async fn what_queues_during_a_commit_becomes_the_next() {
    let (gate, store, ada, room, _folder) = gated(&SqliteOptions::default()).await;
    let send = |n: usize| {
        let (store, guard) = (store.clone(), sending(&ada));
        let new = new_message(&room, &format!("m{n}"), "x");
        tokio::spawn(async move { store.append_message(guard, new).await })
    };
    let held = gate.held.lock();
    let mut calls = vec![send(0)];
    while gate.commits.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    calls.extend((1..=200).map(send));
    while store.stats().write_queue < 200 {
        tokio::task::yield_now().await;
    }
    assert!(calls.iter().all(|c| !c.is_finished()), "nobody is answered before the listener");
    drop(held);
    for call in calls {
        call.await.expect("run").expect("stored");
    }
    assert_eq!(*gate.commits.lock(), [1, 200]);
    assert_eq!(store.stats().largest_batch, 200);
}

#[expect(clippy::await_holding_lock, reason = "the lock is the gate; only the writer waits for it")]
#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let options = SqliteOptions { write_queue_max: 3, ..SqliteOptions::default() };
    let (gate, store, ada, room, _folder) = gated(&options).await;
    let send = |n: usize| {
        let new = new_message(&room, &format!("m{n}"), "x");
        store.append_message(sending(&ada), new)
    };
    let held = gate.held.lock();
    let mut calls: Vec<_> = vec![send(0)];
    let waker = Waker::noop();
    let queue = |call: &mut std::pin::Pin<Box<dyn Future<Output = _> + Send>>| {
        call.as_mut().poll(&mut Context::from_waker(waker))
    };
    assert!(queue(&mut calls[0]).is_pending());
    while gate.commits.lock().is_empty() {
        std::thread::yield_now();
    }
    for n in 1..=3 {
        let mut call = send(n);
        assert!(queue(&mut call).is_pending());
        calls.push(call);
    }
    assert_eq!(send(4).await, Err(StoreError::Overloaded.into()));
    drop(held);
    for call in calls {
        assert!(call.await.is_ok());
    }
    assert!(send(5).await.is_ok(), "and takes writes again");
}

#[expect(clippy::await_holding_lock, reason = "the lock is the gate; only the writer waits for it")]
#[tokio::test]
async fn one_faulty_write_of_a_batch_fails_alone() {
    let (gate, store, ada, room, _folder) = gated(&SqliteOptions::default()).await;
    let held = gate.held.lock();
    let send = |id: &str| {
        let (store, guard, new) = (store.clone(), sending(&ada), new_message(&room, id, "x"));
        tokio::spawn(async move { store.append_message(guard, new).await })
    };
    let mut calls = vec![send("first")];
    while gate.commits.lock().is_empty() {
        tokio::task::yield_now().await;
    }
    // An id that exists is no refusal but a broken rule of the table.
    calls.extend(["m1", "first", "m2", "m3"].map(send));
    while store.stats().write_queue < 4 {
        tokio::task::yield_now().await;
    }
    drop(held);
    let mut numbers = Vec::new();
    for call in calls {
        numbers.push(call.await.expect("run").map(|sent| sent.message.number).ok());
    }
    assert_eq!(numbers, [Some(1), Some(2), None, Some(3), Some(4)]);
    assert_eq!(gate.commits.lock().iter().sum::<usize>(), 4);
}

/// A listener that panics once.
struct Faint(Mutex<bool>);

impl CommitListener for Faint {
    fn committed(&self, _commit: Commit) {
        let first = !std::mem::replace(&mut *self.0.lock(), true);
        assert!(!first, "a panic on purpose");
    }
}

#[tokio::test]
async fn a_panicking_listener_does_not_stop_the_store() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let faint = Arc::new(Faint(Mutex::new(false)));
    let store = SqliteStore::open(folder.path(), &SqliteOptions::default(), faint).expect("opened");
    let s = Subject::new(store, Recorder::new(), ());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    assert_eq!(s.say(&ada, &room, "m").await.number, 1);
}

#[tokio::test]
async fn an_idle_store_folds_its_log_in() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let ada = s.user("ada").await;
    s.group(&ada, &[], "r").await;
    let stats = store.stats();
    assert!(stats.commits >= 2 && stats.writes >= 2 && stats.failed_commits == 0, "{stats:?}");
    store.close();
    assert_eq!(store.stats().wal_bytes, 0);
}
