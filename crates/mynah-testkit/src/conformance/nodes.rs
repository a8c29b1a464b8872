//! Who takes part.

use std::collections::BTreeSet;

use mynah_domain::NodeId;
use mynah_domain::node::{NewNode, NodeLease};
use mynah_domain::ports::StoreError;

use super::Subject;

/// Longer than any test.
const LONG_MS: u64 = 3_600_000;

fn node(id: &str) -> NewNode {
    NewNode { id: NodeId::trusted(id), address: format!("{id}.example.org:4000") }
}

impl Subject {
    async fn claim(&self, id: &str, ttl_ms: u64) -> NodeLease {
        self.nodes.claim(&node(id), ttl_ms).await.expect("claimed")
    }

    async fn alive(&self) -> BTreeSet<String> {
        let nodes = self.nodes.nodes().await.expect("read");
        nodes.iter().map(|lease| lease.id.to_string()).collect()
    }
}

fn lease(id: &str, slot: u16, epoch: u64) -> NodeLease {
    NodeLease { id: NodeId::trusted(id), slot, epoch, address: node(id).address }
}

/// From 1 on, with what the node said of itself.
pub async fn the_smallest_free_slot_is_given(s: Subject) {
    assert_eq!(s.nodes.nodes().await, Ok(vec![]));
    let mut given = Vec::new();
    for (id, slot) in [("a", 1), ("b", 2), ("c", 3)] {
        given.push(s.claim(id, LONG_MS).await);
        assert_eq!(given.last(), Some(&lease(id, slot, 1)));
    }
    assert_eq!(s.nodes.nodes().await, Ok(given.clone()));
    s.nodes.release(&given[1]).await.expect("released");
    assert_eq!(s.claim("d", LONG_MS).await, lease("d", 2, 2));
    assert_eq!(s.claim("e", LONG_MS).await, lease("e", 4, 1));
    assert_eq!(s.heard.events().len(), 0, "a node is no event");
}

/// Its node may go on until then; whoever comes back too late is told so.
pub async fn a_lease_that_ran_out_may_be_taken(s: Subject) {
    let first = s.claim("a", 0).await;
    assert_eq!(s.nodes.nodes().await, Ok(vec![]), "it has run out");
    assert_eq!(s.nodes.renew(&first, LONG_MS).await, Ok(true), "nobody took it");
    assert_eq!(s.alive().await, BTreeSet::from(["a".to_owned()]));
    assert_eq!(s.nodes.renew(&first, 0).await, Ok(true));
    let second = s.claim("b", LONG_MS).await;
    assert_eq!(second, lease("b", 1, 2));
    assert_eq!(s.nodes.renew(&first, LONG_MS).await, Ok(false), "it is another's now");
    s.nodes.release(&first).await.expect("nothing to do");
    assert_eq!(s.nodes.nodes().await, Ok(vec![second.clone()]));
    assert_eq!(s.nodes.renew(&second, LONG_MS).await, Ok(true));
    assert_eq!(s.claim("a", LONG_MS).await, lease("a", 2, 1), "it may come back as a new one");
}

/// Two processes with one id: the one that came last speaks.
pub async fn a_node_of_the_same_id_takes_over(s: Subject) {
    let other = s.claim("other", LONG_MS).await;
    let old = s.claim("twin", LONG_MS).await;
    let moved = NewNode { address: "10.0.0.9:4000".to_owned(), ..node("twin") };
    let new = s.nodes.claim(&moved, LONG_MS).await.expect("claimed");
    assert_eq!((new.slot, new.epoch, &*new.address), (old.slot, old.epoch + 1, "10.0.0.9:4000"));
    assert_eq!(s.nodes.renew(&old, LONG_MS).await, Ok(false));
    s.nodes.release(&old).await.expect("nothing to do");
    assert_eq!(s.nodes.renew(&new, LONG_MS).await, Ok(true));
    assert_eq!(s.nodes.nodes().await, Ok(vec![other, new]));
}

/// At once, and it cannot be prolonged any more.
pub async fn a_lease_given_back_is_free(s: Subject) {
    let first = s.claim("a", LONG_MS).await;
    for _ in 0..2 {
        assert_eq!(s.nodes.release(&first).await, Ok(()));
        assert_eq!(s.nodes.nodes().await, Ok(vec![]));
    }
    assert_eq!(s.nodes.renew(&first, LONG_MS).await, Ok(false));
    assert_eq!(s.claim("a", LONG_MS).await, lease("a", 1, 2));
}

/// Whoever starts at the same moment.
pub async fn concurrent_claims_get_slots_of_their_own(s: Subject) {
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..40 {
        let nodes = s.nodes.clone();
        let node = node(&format!("n{}", n / 2));
        claims.spawn(async move { nodes.claim(&node, LONG_MS).await.expect("claimed") });
    }
    let given = claims.join_all().await;
    let alive = s.nodes.nodes().await.expect("read");
    let slots: Vec<u16> = alive.iter().map(|lease| lease.slot).collect();
    assert_eq!(slots, (1..=20).collect::<Vec<u16>>());
    assert!(alive.iter().all(|lease| given.contains(lease)), "as they were told");
    for lease in given {
        let last = alive.contains(&lease);
        assert_eq!(s.nodes.renew(&lease, LONG_MS).await, Ok(last), "of a pair one speaks");
    }
}

/// Until one goes.
pub async fn more_nodes_than_slots_are_refused(s: Subject) {
    let mut given = Vec::new();
    for n in 0..1_023 {
        given.push(s.claim(&format!("n{n}"), LONG_MS).await);
    }
    let slots: BTreeSet<u16> = given.iter().map(|lease| lease.slot).collect();
    assert_eq!(slots, (1..=1_023).collect());
    let refused = s.nodes.claim(&node("late"), LONG_MS).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    let own = given.into_iter().find(|lease| lease.slot == 500).expect("it was given");
    s.nodes.release(&own).await.expect("released");
    assert_eq!(s.claim("late", LONG_MS).await, lease("late", 500, 2));
}

/// And is a time of day.
pub async fn the_stores_time_goes_on(s: Subject) {
    let mut last = s.nodes.time().await.expect("read");
    assert!(last.0 > 1_700_000_000_000, "milliseconds since 1970");
    for _ in 0..3 {
        let now = s.nodes.time().await.expect("read");
        assert!(now >= last);
        last = now;
    }
}
