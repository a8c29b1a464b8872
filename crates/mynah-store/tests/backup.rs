//! Copies of a database that is written to, and what comes of them elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mynah_domain::RoomId;
use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::ports::JournalStore;
use mynah_store::sqlite::{
    BackupError, CopyStep, FILE_NAME, OpenError, SqliteOptions, SqliteStore, back_up, restore,
};
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;

fn open(folder: &Path) -> (Arc<SqliteStore>, Subject) {
    let heard = Recorder::new();
    let store = SqliteStore::open(folder, &SqliteOptions::default(), heard.clone());
    let store = store.expect("opened");
    (store.clone(), Subject::new(store, heard, ()))
}

fn quiet() -> impl FnMut(CopyStep) {
    |_| {}
}

/// Says messages until told to stop; counts those that are stored.
async fn talk(
    s: Arc<Subject>,
    (who, room): (Actor, RoomId),
    acked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) {
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let said = s.say(&who, &room, &format!("live {n}")).await;
        acked.fetch_max(said.number, Ordering::SeqCst);
    }
}

/// Reads a room's stream to its end; gives the last `seq`.
async fn events(s: &Subject, who: &Actor, room: &RoomId) -> u64 {
    let mut last = 0;
    loop {
        let guard = Guard::new(who, Operation::ReadHistory);
        let page = s.journal.room_events(guard, room, last, 1_000).await.expect("read");
        assert!(!page.gap);
        for event in &page.events {
            assert_eq!(event.seq, last + 1);
            last = event.seq;
        }
        if last == page.head_seq {
            return last;
        }
    }
}

/// Between any two steps the writer goes on: it waits for nothing.
fn three_more(acked: &AtomicU64) {
    let (now, begun) = (acked.load(Ordering::SeqCst), Instant::now());
    while acked.load(Ordering::SeqCst) < now + 3 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing is stored any more");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_backup_under_load_has_all_that_was_acked_before_it_began() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for n in 0..500 {
        s.say(&ada, &room, &format!("{n} {}", "text ".repeat(400))).await;
    }
    let (s, acked, stop) = (Arc::new(s), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let talker = (ada.clone(), room.clone());
    let talking = tokio::spawn(talk(s.clone(), talker, acked.clone(), stop.clone()));
    let elsewhere = tempfile::tempdir().expect("temporary folder");
    for round in 0..5 {
        let before = acked.load(Ordering::SeqCst).max(500);
        let data = folder.path().to_owned();
        let to = elsewhere.path().join(format!("backup-{round}"));
        let (copying, to_copy) = (acked.clone(), to.clone());
        let made = tokio::task::spawn_blocking(move || {
            let mut steps = Vec::new();
            let mut heard = |step| {
                three_more(&copying);
                steps.push(step);
            };
            (back_up(&data, &to_copy, false, &mut heard), steps)
        });
        let (made, steps) = made.await.expect("no panic");
        let made = made.expect("backed up");
        assert_eq!(made.bytes, std::fs::metadata(&to).expect("there").len());
        assert_eq!(steps.last(), Some(&CopyStep::Checking));

        let place = elsewhere.path().join(format!("data-{round}"));
        let restored = restore(&to, &place, &mut quiet()).expect("restored");
        assert_eq!((restored.head_pos, restored.kept), (made.head_pos, None));
        let (copy, c) = open(&place);
        let view = c.view(&ada, &room).await.room;
        assert!(view.last_number >= before, "{} acked, {} there", before, view.last_number);
        assert_eq!(events(&c, &ada, &room).await, view.last_seq, "without a hole");
        let next = c.say(&ada, &room, "goes on").await;
        assert_eq!((next.seq, next.number), (view.last_seq + 1, view.last_number + 1));
        copy.close();
    }
    stop.store(true, Ordering::SeqCst);
    talking.await.expect("the writer was never refused");
    store.close();
}

#[tokio::test]
async fn a_restored_log_is_another_whose_places_nobody_has_seen() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    s.say(&ada, &room, "in the backup").await;
    let backup = folder.path().join("backup.sqlite3");
    back_up(folder.path(), &backup, false, &mut quiet()).expect("backed up");
    for n in 0..3 {
        s.say(&ada, &room, &format!("lost {n}")).await;
    }
    let (epoch, seen) = (store.log_epoch().await, store.head_pos().await.expect("read"));
    let refused = restore(&backup, folder.path(), &mut quiet());
    assert!(matches!(refused, Err(BackupError::Open(OpenError::InUse { .. }))), "{refused:?}");
    store.close();
    drop((s, store));

    let restored = restore(&backup, folder.path(), &mut quiet()).expect("restored");
    let (store, s) = open(folder.path());
    assert_eq!(store.log_epoch().await, Ok(restored.epoch));
    assert_ne!(Ok(restored.epoch), epoch);
    let start = store.head_pos().await.expect("read");
    assert!(start > seen, "beyond what anybody saw");
    for n in 0..5 {
        s.say(&ada, &room, &format!("new {n}")).await;
    }
    // A client that knows no epoch and asks from its last place misses nothing new.
    let page = store.events_for(&ada, seen, 100).await.expect("read");
    assert_eq!((page.events.len(), page.gap), (5, false));
    assert!(page.events.iter().all(|event| event.pos > start));
    store.close();
    drop((s, store));

    // What was there is kept, and can be put back.
    let kept = restored.kept.expect("kept");
    let again = restore(&kept, folder.path(), &mut quiet()).expect("restored");
    assert_ne!(again.kept.as_deref(), Some(kept.as_path()));
    let (_store, s) = open(folder.path());
    assert_eq!(s.view(&ada, &room).await.room.last_number, 4);
}

#[tokio::test]
async fn a_copy_takes_no_ones_place_unasked() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    s.user("ada").await;
    let to = folder.path().join("backup");
    std::fs::write(&to, "something else").expect("written");
    let made = |replace| back_up(folder.path(), &to, replace, &mut quiet());
    assert!(matches!(made(false), Err(BackupError::Exists { .. })));
    assert_eq!(std::fs::read(&to).expect("there"), b"something else");
    made(true).expect("backed up");
    made(true).expect("backed up again");
    let database = folder.path().join(FILE_NAME);
    let itself = back_up(folder.path(), &database, true, &mut quiet());
    assert!(matches!(itself, Err(BackupError::Itself { .. })), "{itself:?}");
    let names = std::fs::read_dir(folder.path()).expect("read").flatten();
    let left = names.filter(|entry| entry.file_name().to_string_lossy().contains(".part"));
    assert_eq!(left.count(), 0);
    store.close();
}

#[tokio::test]
async fn what_is_no_sound_backup_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    for n in 0..200 {
        s.say(&ada, &room, &format!("{n} {}", "text ".repeat(100))).await;
    }
    store.close();
    drop((s, store));
    let database = folder.path().join(FILE_NAME);
    let before = std::fs::read(&database).expect("read");

    let other = tempfile::tempdir().expect("temporary folder");
    let path = |name: &str| other.path().join(name);
    std::fs::write(path("text"), "no database at all").expect("written");
    std::fs::write(path("empty"), "").expect("written");
    let mut newer = before.clone();
    newer[60..64].copy_from_slice(&999_u32.to_be_bytes());
    std::fs::write(path("newer"), newer).expect("written");
    let mut torn = before.clone();
    for byte in &mut torn[4096 * 9..4096 * 12] {
        *byte ^= 0x5a;
    }
    std::fs::write(path("torn"), torn).expect("written");
    for (name, word) in [
        ("text", "is not a Mynah database"),
        ("empty", "there is no database"),
        ("missing", "there is no database"),
        ("newer", "schema version 999"),
        ("torn", ""),
    ] {
        let refused = restore(&path(name), folder.path(), &mut quiet()).expect_err(name);
        assert!(refused.to_string().contains(word), "{name}: {refused}");
    }
    let missing = back_up(&path("nowhere"), &path("b"), false, &mut quiet());
    assert!(matches!(missing, Err(BackupError::Missing { .. })), "{missing:?}");
    assert_eq!(std::fs::read(&database).expect("read"), before);
    let (_store, s) = open(folder.path());
    assert_eq!(s.view(&ada, &room).await.room.last_number, 200);
}

/// Its `-wal` is somebody's who died.
#[tokio::test]
async fn a_database_with_an_unfolded_log_is_backed_up_and_replaced() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (store, s) = open(folder.path());
    // While it reads the log is not folded in, however long the writer idles.
    let reader = rusqlite::Connection::open(folder.path().join(FILE_NAME)).expect("opened");
    reader.execute_batch("BEGIN; SELECT count(*) FROM users").expect("a snapshot");
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    s.say(&ada, &room, "one").await;
    let died = tempfile::tempdir().expect("temporary folder");
    for suffix in ["", "-wal"] {
        let name = format!("{FILE_NAME}{suffix}");
        std::fs::copy(folder.path().join(&name), died.path().join(&name)).expect("copied");
    }
    drop(reader);
    store.close();
    let backup = died.path().join("backup");
    back_up(died.path(), &backup, false, &mut quiet()).expect("backed up");
    let restored = restore(&backup, died.path(), &mut quiet()).expect("restored");
    assert!(restored.kept.is_some());
    let (_store, s) = open(died.path());
    assert_eq!(s.view(&ada, &room).await.room.last_number, 1);
}
