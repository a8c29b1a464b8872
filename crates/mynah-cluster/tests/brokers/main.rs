//! The adapters against real servers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed step is a failed test")]

mod certificates;
mod faults;
mod nats_only;
mod node;
mod redis_many;
mod redis_only;
mod servers;

use mynah_hub::Topic;
use node::{Kind, Node, message};
use servers::Server;

async fn server(kind: Kind) -> Server {
    match kind {
        Kind::Redis => servers::redis(&[]).await,
        Kind::Nats => servers::nats(&[]).await,
    }
}

/// One test for each kind of broker.
macro_rules! for_each_kind {
    ($($name:ident),* $(,)?) => {
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::node::Kind::Redis).await; })*
        }
        mod nats {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(crate::node::Kind::Nats).await; })*
        }
    };
}
pub(crate) use for_each_kind;

for_each_kind!(
    order_holds_over_all_channels,
    only_what_was_subscribed_is_heard,
    thousands_of_channels_are_confirmed_together,
    any_name_and_any_bytes_come_through,
    a_stop_sends_what_is_queued,
);

async fn order_holds_over_all_channels(kind: Kind) {
    let server = server(kind).await;
    let (ann, mut bob) = (Node::up(kind, server.port).await, Node::up(kind, server.port).await);
    assert!(bob.hear(&["r:0", "r:1", "r:2"]).await);
    for number in 0..5000 {
        ann.say(&format!("r:{}", number % 3), format!("{number}"));
    }
    for number in 0..5000 {
        bob.expect(message(&format!("r:{}", number % 3), format!("{number}"))).await;
    }
    assert_eq!((bob.broker.stats().received, ann.broker.stats().published), (5000, 5000));
    assert_eq!(bob.broker.stats().missed + ann.broker.stats().unsent, 0);
}

async fn only_what_was_subscribed_is_heard(kind: Kind) {
    let server = server(kind).await;
    let (ann, mut bob) = (Node::up(kind, server.port).await, Node::up(kind, server.port).await);
    assert!(bob.hear(&["r:1", "r:2", "all"]).await);
    assert!(bob.hear(&["r:1"]).await, "heard already");
    bob.broker.unsubscribe(vec![Topic::new("r:2")]).await;
    // Confirms that the one before was taken too.
    assert!(bob.hear(&["r:4"]).await);
    for channel in ["r:1", "r:2", "r:3", "r:4", "all"] {
        ann.say(channel, "hello");
    }
    for channel in ["r:1", "r:4", "all"] {
        bob.expect(message(channel, "hello")).await;
    }
    assert_eq!(bob.broker.stats().received, 3);
    assert_eq!(bob.broker.stats().channels, 3);
}

async fn thousands_of_channels_are_confirmed_together(kind: Kind) {
    let server = server(kind).await;
    let (ann, mut bob) = (Node::up(kind, server.port).await, Node::up(kind, server.port).await);
    let channels: Vec<Topic> =
        (0..20_000).map(|number| Topic::new(format!("r:{number}"))).collect();
    assert!(bob.broker.subscribe(channels).await);
    for number in [0, 9_999, 19_999] {
        ann.say(&format!("r:{number}"), "hello");
        bob.expect(message(&format!("r:{number}"), "hello")).await;
    }
}

async fn any_name_and_any_bytes_come_through(kind: Kind) {
    let server = server(kind).await;
    let (ann, mut bob) = (Node::up(kind, server.port).await, Node::up(kind, server.port).await);
    let names = ["i:default:ann@example.org", "a.b*c>d e", "=2E", "ä/ß", "r:\r\n"];
    assert!(bob.hear(&names).await);
    let bytes: Vec<u8> = (0..=255).collect();
    for name in names {
        for payload in [bytes.clone(), Vec::new(), b"\r\n".to_vec(), vec![b'x'; 300_000]] {
            ann.say(name, payload.clone());
            bob.expect(message(name, payload)).await;
        }
    }
}

// On one thread: nothing is written while somebody speaks.
#[tokio::test]
async fn what_is_queued_leaves_in_few_writes_to_redis() {
    what_is_queued_leaves_in_few_writes(Kind::Redis).await;
}

#[tokio::test]
async fn what_is_queued_leaves_in_few_writes_to_nats() {
    what_is_queued_leaves_in_few_writes(Kind::Nats).await;
}

async fn what_is_queued_leaves_in_few_writes(kind: Kind) {
    let server = server(kind).await;
    let (ann, mut bob) = (Node::up(kind, server.port).await, Node::up(kind, server.port).await);
    assert!(bob.hear(&["r:1"]).await);
    for _ in 0..1000 {
        ann.say("r:1", vec![b'x'; 200]);
    }
    for _ in 0..1000 {
        bob.expect(message("r:1", vec![b'x'; 200])).await;
    }
    let writes = ann.broker.stats().writes;
    assert!((16..500).contains(&writes), "{writes} writes");
}

async fn a_stop_sends_what_is_queued(kind: Kind) {
    let server = server(kind).await;
    let (ann, mut bob) = (Node::up(kind, server.port).await, Node::up(kind, server.port).await);
    assert!(bob.hear(&["r:1"]).await);
    for number in 0..1000 {
        ann.say("r:1", format!("{number}"));
    }
    ann.broker.stop().await;
    for number in 0..1000 {
        bob.expect(message("r:1", format!("{number}"))).await;
    }
    ann.say("r:1", "late");
    assert!(!ann.hear(&["r:1"]).await);
    assert_eq!(ann.broker.stats().unsent, 1);
    assert!(!ann.broker.stats().is_up);
}
