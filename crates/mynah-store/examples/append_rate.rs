//! How many messages a second a store takes, and what one costs.
//!
//! `cargo run --release --example append_rate -p mynah-store [folder | postgres://…]`: each caller sends
//! its next message when the last one is answered. CPU time is that of the whole process, callers
//! included, and of nothing else: PostgreSQL's own comes on top. Its database must be empty.

#![expect(clippy::indexing_slicing, reason = "a measurement may stop")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mynah_domain::account::NewAccount;
use mynah_domain::message::{Draft, NewMessage};
use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::ports::{AccountStore, Commit, CommitListener, MessageStore, RoomStore};
use mynah_domain::room::{NewRoom, RoomKind, Visibility};
use mynah_domain::{MessageId, RoomId, TenantId, Timestamp, UserId};
use mynah_store::postgres::{PostgresOptions, PostgresStore};
use mynah_store::sqlite::{SqliteOptions, SqliteStore};

const ROOMS: usize = 50;
const PEOPLE: usize = 200;
const LASTS: Duration = Duration::from_secs(8);

struct Deaf;

impl CommitListener for Deaf {
    fn committed(&self, _commit: Commit) {}
}

const CALLERS: [usize; 4] = [1, 64, 512, 1_000];

fn main() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
    println!("callers  msg/s  batch  cpu us/msg  p50 ms  p99 ms  wal MB");
    let target = std::env::args().nth(1);
    if let Some(url) = target.clone().filter(|target| target.starts_with("postgres")) {
        runtime.block_on(postgres(url));
        return;
    }
    let folder = target.map_or_else(std::env::temp_dir, PathBuf::from);
    for callers in CALLERS {
        let folder = folder.join(format!("mynah-append-rate-{callers}"));
        runtime.block_on(sqlite(&folder, callers));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}

async fn sqlite(folder: &std::path::Path, callers: usize) {
    let options = SqliteOptions::default();
    let store = SqliteStore::open(folder, &options, Arc::new(Deaf)).expect("opened");
    let commits = || (store.stats().commits, store.stats().wal_bytes);
    let actors = furnish(&*store).await;
    measure(&store, &actors, callers, commits).await;
    store.close();
}

async fn postgres(url: String) {
    let options = PostgresOptions { url, ..PostgresOptions::default() };
    let store = PostgresStore::open(options, Arc::new(Deaf)).await.expect("opened");
    let actors = furnish(&*store).await;
    let commits = || (store.stats().commits, 0);
    for callers in CALLERS {
        measure(&store, &actors, callers, commits).await;
    }
    store.close().await;
}

async fn measure<S: MessageStore + 'static>(
    store: &Arc<S>,
    actors: &[Actor],
    callers: usize,
    commits: impl Fn() -> (u64, u64),
) {
    let (before, cpu, start) = (commits(), cpu_time(), Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (store, actor) = (store.clone(), actors[caller % PEOPLE].clone());
        tasks.spawn(talk(store, actor, (callers, caller), start));
    }
    let mut waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let (took, spent, after) = (start.elapsed(), cpu_time().saturating_sub(cpu), commits());
    waits.sort_unstable();
    let sent = waits.len();
    let at = |share: usize| waits[(sent - 1) * share / 100].as_secs_f64() * 1e3;
    println!(
        "{callers:7} {:6.0} {:6.1} {:11.1} {:7.2} {:7.2} {:7.1}",
        sent as f64 / took.as_secs_f64(),
        sent as f64 / (after.0 - before.0) as f64,
        spent.as_secs_f64() * 1e6 / sent as f64,
        at(50),
        at(99),
        after.1 as f64 / 1e6,
    );
}

async fn talk<S: MessageStore>(
    store: Arc<S>,
    actor: Actor,
    (run, caller): (usize, usize),
    start: Instant,
) -> Vec<Duration> {
    let mut waits = Vec::new();
    while start.elapsed() < LASTS {
        let n = waits.len();
        let new = NewMessage {
            id: MessageId::trusted(format!("018f3e2a-{n:08x}-{run:04x}-9f00-{caller:012x}")),
            room: RoomId::trusted(format!("room-{}", (caller + n) % ROOMS)),
            draft: Draft {
                content: "a message of usual length, say one hundred and seventy bytes, ".repeat(3),
                client_id: Some(format!("client-{run}-{caller}-{n}")),
                ..Draft::default()
            },
            at: Timestamp(1_767_225_600_000 + start.elapsed().as_millis() as i64),
        };
        let asked = Instant::now();
        let guard = Guard::new(&actor, Operation::SendMessage);
        store.append_message(guard, new).await.expect("stored");
        waits.push(asked.elapsed());
    }
    waits
}

async fn furnish(store: &(impl AccountStore + RoomStore)) -> Vec<Actor> {
    let mut actors = Vec::new();
    for n in 0..PEOPLE {
        let account = NewAccount {
            id: UserId::trusted(format!("user-{n}")),
            tenant: TenantId::single(),
            username: format!("user-{n}"),
            email: None,
            name: format!("User {n}"),
            password_hash: None,
            at: Timestamp(0),
        };
        let user = store.create_account(account).await.expect("account");
        actors.push(Actor { tenant: user.tenant, user: user.id, role: user.role });
    }
    for n in 0..ROOMS {
        let room = NewRoom {
            id: RoomId::trusted(format!("room-{n}")),
            tenant: TenantId::single(),
            kind: RoomKind::Group,
            visibility: Visibility::Private,
            name: Some("A room".to_owned()),
            topic: None,
            created_by: actors[0].user.clone(),
            members: actors.iter().skip(1).map(|a| a.user.clone()).collect(),
            at: Timestamp(0),
        };
        store.create_room(room).await.expect("room");
    }
    actors
}

/// CPU time of this process so far, from `/proc/self/stat` (in ticks of 10 ms).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
