//! Several processes on one database.

use std::sync::Arc;

use mynah_domain::event::Event;
use mynah_domain::message::{Draft, NewMessage};
use mynah_domain::node::{NewNode, NodeLease};
use mynah_domain::permission::{Actor, Guard, Operation};
use mynah_domain::ports::{
    AccountStore as _, JournalStore as _, MessageStore as _, NodeStore as _, RoomStore as _,
    StoreError,
};
use mynah_domain::room::{MembershipChange, RoomKind, RoomPatch, Visibility};
use mynah_domain::{MessageId, NodeId, RoomId, Timestamp};
use mynah_store::postgres::PostgresStore;
use mynah_testkit::Recorder;
use mynah_testkit::conformance::Subject;

use super::server::Server;

pub(crate) fn message(room: &RoomId, id: &str, client: Option<&str>) -> NewMessage {
    let client_id = client.map(str::to_owned);
    let draft = Draft { content: format!("text of {id}"), client_id, ..Draft::default() };
    NewMessage { id: MessageId::trusted(id), room: room.clone(), draft, at: Timestamp(1) }
}

pub(crate) fn sending(actor: &Actor) -> Guard {
    Guard::new(actor, Operation::SendMessage)
}

/// A process of its own, as far as the database can tell.
struct Node {
    store: Arc<PostgresStore>,
    heard: Arc<Recorder>,
}

async fn nodes<const N: usize>(server: &Server, database: &str) -> [Node; N] {
    let mut nodes = Vec::new();
    for slot in 1..=N {
        let heard = Recorder::new();
        let store = server.open(database, heard.clone()).await;
        let lease = claim(&store, &format!("node {slot}"), 60_000).await;
        assert_eq!(usize::from(lease.slot), slot);
        nodes.push(Node { store, heard });
    }
    nodes.try_into().ok().expect("N were made")
}

/// Takes part.
async fn claim(store: &PostgresStore, id: &str, ttl_ms: u64) -> NodeLease {
    let node = NewNode { id: NodeId::trusted(id), address: "127.0.0.1:1".to_owned() };
    let lease = store.claim(&node, ttl_ms).await.expect("claimed");
    store.take_place(&lease);
    lease
}

fn subject(node: &Node) -> Subject {
    Subject::new(node.store.clone(), node.heard.clone(), ())
}

/// Events of all nodes in the order of the log.
fn all(nodes: &[Node]) -> Vec<Event> {
    let mut events: Vec<Event> = nodes.iter().flat_map(|node| node.heard.events()).collect();
    events.sort_by_key(|event| event.pos);
    events
}

/// Also a place of an old transaction that is still open is not stepped over, although younger ones have
/// long committed beyond it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_transaction_is_waited_for_by_readers_of_the_whole_log() {
    let server = Server::start();
    let database = server.database().await;
    let [node] = nodes(&server, &database).await;
    let s = subject(&node);
    let ada = s.user("ada").await;
    let rooms = [s.group(&ada, &[], "slow").await, s.group(&ada, &[], "quick").await];
    let settled = node.store.head_pos().await.expect("read");

    // What another node does: it has its places, and stores its event late.
    let slow = server.client(&database).await;
    slow.batch_execute("BEGIN").await.expect("begun");
    let row = slow.query_one("SELECT mynah.reserve_places(1)", &[]).await.expect("reserved");
    let place: i64 = row.get(0);
    let said = s.say(&ada, &rooms[1], "young").await;
    let page = node.store.events_for(&ada, settled, 10).await.expect("read");
    assert_eq!((page.events.len(), page.next), (0, settled), "it waits at the open transaction");
    assert_eq!(node.store.head_pos().await, Ok(settled));
    let stream = node.store.room_events(Guard::new(&ada, Operation::ReadHistory), &rooms[1], 0, 9);
    let last = stream.await.expect("read").events.last().map(|e| e.seq);
    assert_eq!(last, Some(said.seq), "a stream is read to its end");

    let insert = "INSERT INTO mynah.events (stream_id, seq, pos, kind, origin, number, actor_id, \
                  subject_id, at) SELECT r.id * 2, r.last_seq + 1, $1, 3, 9, 0, r.created_by, r.id, 1 \
                  FROM mynah.rooms r WHERE r.ext_id = 'slow'";
    slow.execute(insert, &[&place]).await.expect("stored");
    let head =
        "UPDATE mynah.rooms SET last_seq = last_seq + 1, last_pos = $1 WHERE ext_id = 'slow'";
    slow.execute(head, &[&place]).await.expect("stored");
    slow.execute("INSERT INTO mynah.log_heads (pos) VALUES ($1)", &[&place]).await.expect("stored");
    slow.batch_execute("COMMIT").await.expect("committed");
    let page = node.store.events_for(&ada, settled, 10).await.expect("read");
    let told: Vec<_> = page.events.iter().map(|e| (e.origin, e.fact.name())).collect();
    assert_eq!(told, [(9, "room.deleted"), (1, "message.created")], "in order, each once");
    assert_eq!(page.events[0].pos, place.unsigned_abs());
}

/// Sends, and changes a room and leaves and joins it in between; the owner only sends.
async fn talk(store: Arc<PostgresStore>, actor: Actor, rooms: Vec<RoomId>, task: usize) {
    for (room, n) in rooms.iter().cycle().skip(task % 4).zip(0..25) {
        let new = message(room, &format!("{task}-{n}"), None);
        store.append_message(sending(&actor), new).await.expect("stored");
        if n % 10 != task % 10 || task == 0 {
            continue;
        }
        let patch = RoomPatch { topic: Some(format!("{task}")), ..RoomPatch::default() };
        let guard = Guard::new(&actor, Operation::UpdateRoom);
        drop(store.update_room(guard, room, patch, Timestamp(2)).await);
        let guard = Guard::new(&actor, Operation::LeaveRoom);
        let leave = MembershipChange::Leave;
        store.change_membership(guard, room, leave, Timestamp(3)).await.expect("left");
        let guard = Guard::new(&actor, Operation::JoinRoom);
        let join = MembershipChange::Join;
        store.change_membership(guard, room, join, Timestamp(4)).await.expect("back");
    }
}

/// Without holes, in one order for all; within a stream places ascend with `seq`, whoever wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_write_the_same_rooms() {
    let server = Server::start();
    let database = server.database().await;
    let nodes: [Node; 3] = nodes(&server, &database).await;
    let s = subject(&nodes[0]);
    let people: [Actor; 24] = s.users().await;
    let others: Vec<&Actor> = people[1..].iter().collect();
    let mut rooms = Vec::new();
    for n in 0..4 {
        rooms.push(s.channel(&people[0], &others, &format!("r{n}")).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..24_usize {
        let (store, actor) = (nodes[task % 3].store.clone(), people[task].clone());
        tasks.spawn(talk(store, actor, rooms.clone(), task));
    }
    let mut seen = Vec::new();
    let mut since = nodes[0].store.head_pos().await.expect("read");
    let begun = since;
    while !tasks.is_empty() {
        while let Some(done) = tasks.try_join_next() {
            done.expect("a writer failed");
        }
        let page = nodes[1].store.events_for(&people[0], since, 1_000).await.expect("read");
        seen.extend(page.events.iter().map(|e| e.pos));
        since = page.next;
        tokio::task::yield_now().await;
    }
    let page = nodes[1].store.events_for(&people[0], since, 10_000).await.expect("read");
    seen.extend(page.events.iter().map(|e| e.pos));
    let told = all(&nodes);
    let visible = told.iter().filter(|e| e.pos > begun);
    let in_rooms = visible.filter(|e| {
        matches!(&e.stream, mynah_domain::event::Stream::Room(_))
            || e.stream == mynah_domain::event::Stream::User(people[0].user.clone())
    });
    assert_eq!(seen, in_rooms.map(|e| e.pos).collect::<Vec<_>>(), "the reader missed nothing");
    for room in &rooms {
        let stream = mynah_domain::event::Stream::Room(room.clone());
        let own: Vec<&Event> = told.iter().filter(|e| e.stream == stream).collect();
        let seqs: Vec<u64> = own.iter().map(|e| e.seq).collect();
        assert_eq!(seqs, (1..=own.len() as u64).collect::<Vec<_>>(), "in the order of places");
        let view = nodes[2].store.room(&people[1], room).await.expect("read").expect("there");
        assert_eq!((view.room.last_seq, view.room.last_number), (own.len() as u64, 150));
        assert_eq!(view.room.member_count, 24);
    }
    for (node, slot) in nodes.iter().zip(1..) {
        let events = node.heard.events();
        assert!(events.iter().all(|e| e.origin == slot));
        assert!(events.windows(2).all(|e| e[0].pos < e[1].pos), "a node stores in order");
    }
}

/// A node that was held up for too long wakes, and its slot is another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_place_was_taken_stores_nothing_under_it() {
    let server = Server::start();
    let database = server.database().await;
    let [stale, other]: [Node; 2] = nodes(&server, &database).await;
    let s = subject(&stale);
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    s.say(&ada, &room, "in time").await;
    // Its lease runs out, and the next that comes is given the slot.
    let own = claim(&stale.store, "node 1", 0).await;
    let taken = claim(&other.store, "late", 60_000).await;
    assert_eq!((taken.slot, taken.epoch), (own.slot, own.epoch + 1));
    let (before, heard) = (s.view(&ada, &room).await, stale.heard.events().len());
    let send = |n: u32| {
        let new = message(&room, &format!("late {n}"), Some(&format!("client {n}")));
        stale.store.append_message(sending(&ada), new)
    };
    let (one, two) = tokio::join!(send(1), send(2));
    for refused in [one, two] {
        assert_eq!(refused, Err(StoreError::Fenced.into()));
    }
    assert_eq!(s.view(&ada, &room).await, before);
    assert_eq!(stale.heard.events().len(), heard);
    assert_eq!(stale.store.probe().await, Err(StoreError::Fenced), "it is not ready");
    assert!(*stale.store.fenced().borrow());

    let said = message(&room, "by the other", None);
    let said = other.store.append_message(sending(&ada), said).await.expect("stored");
    assert_eq!(said.message.number, before.room.last_number + 1, "no number was used up");
    assert_eq!(other.heard.events().last().map(|e| e.origin), Some(taken.slot));

    let anew = claim(&stale.store, "node 1", 60_000).await;
    assert_eq!(stale.store.probe().await, Ok(()));
    assert!(!send(1).await.expect("stored").replayed);
    assert_eq!(stale.heard.events().last().map(|e| e.origin), Some(anew.slot));
    assert_ne!(anew.slot, taken.slot);
}

/// The same send on several nodes at the same moment is one message, told once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_repeated_on_other_nodes_is_stored_once() {
    let server = Server::start();
    let database = server.database().await;
    let nodes: [Node; 3] = nodes(&server, &database).await;
    let s = subject(&nodes[0]);
    let ada = s.user("ada").await;
    let room = s.group(&ada, &[], "r").await;
    let before = all(&nodes).len();
    for n in 0..60 {
        let client = format!("send {n}");
        let send = |node: usize| {
            let new = message(&room, &format!("{n} on {node}"), Some(&client));
            nodes[node].store.append_message(sending(&ada), new)
        };
        let (a, b, c) = tokio::join!(send(0), send(1), send(2));
        let sent = [a, b, c].map(|sent| sent.expect("stored"));
        assert_eq!(sent.iter().filter(|sent| !sent.replayed).count(), 1);
        assert!(sent.iter().all(|other| other.message == sent[0].message));
    }
    assert_eq!(all(&nodes).len(), before + 60);
}

/// Names and pairs are taken once, whoever asks at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_direct_rooms_are_unique_over_nodes() {
    let server = Server::start();
    let database = server.database().await;
    let nodes: [Node; 2] = nodes(&server, &database).await;
    let subjects = [subject(&nodes[0]), subject(&nodes[1])];
    for n in 0..20 {
        let make = async |node: &Node, id: &str| {
            let account = mynah_domain::account::NewAccount {
                id: mynah_domain::UserId::trusted(id),
                tenant: mynah_domain::TenantId::trusted(format!("tenant {n}")),
                username: format!("name-{n}"),
                email: None,
                name: String::new(),
                password_hash: None,
                at: Timestamp(0),
            };
            node.store.create_account(account).await
        };
        let (ids, others) = (format!("a{n}"), format!("b{n}"));
        let (one, other) = tokio::join!(make(&nodes[0], &ids), make(&nodes[1], &others));
        let taken = Err(mynah_domain::account::AccountError::Taken { field: "username" });
        assert!(one == taken || other == taken, "{one:?} {other:?}");
        assert!(one.is_ok() || other.is_ok());
    }
    let [ada, bob] = subjects[0].users().await;
    let direct = async |s: &Subject, from: &Actor, to: &Actor, id: &str| {
        s.try_room((from, &[to]), RoomKind::Direct, Visibility::Private, id).await.expect("opened")
    };
    let (one, other) = tokio::join!(
        direct(&subjects[0], &ada, &bob, "d1"),
        direct(&subjects[1], &bob, &ada, "d2"),
    );
    assert_eq!(one.view.room.id, other.view.room.id);
    assert!(one.existing != other.existing);
}
