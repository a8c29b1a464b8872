//! Which nodes there are, and where.

use std::collections::HashMap;
use std::sync::Arc;

use mynah_domain::node::NodeLease;
use parking_lot::RwLock;
use tokio::time::Instant;

use crate::system::random;

/// Bits of an id that name the node's epoch; those in front of them name its slot.
const EPOCH_BITS: u16 = 6;

/// The nodes as the store last showed them; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Directory(Arc<RwLock<Nodes>>);

#[derive(Debug, Default)]
struct Nodes {
    own: Option<NodeLease>,
    all: HashMap<u16, NodeLease>,
    looked_at: Option<Instant>,
}

/// Whose a session is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// This node's, or of nobody that is known.
    Here,
    /// Another node's, which answers at this address.
    At(String),
}

impl Directory {
    /// This node's own lease.
    pub fn set_own(&self, lease: NodeLease) {
        self.0.write().own = Some(lease);
    }

    /// This node's own lease, once it has one.
    pub fn own(&self) -> Option<NodeLease> {
        self.0.read().own.clone()
    }

    /// What the store showed, asked at a moment.
    pub fn set_all(&self, nodes: Vec<NodeLease>, looked_at: Instant) {
        let all = nodes.into_iter().map(|node| (node.slot, node)).collect();
        let mut nodes = self.0.write();
        (nodes.all, nodes.looked_at) = (all, Some(looked_at));
    }

    /// The slots of all nodes, this one included, and when they were read.
    pub fn slots(&self) -> Option<(Instant, Vec<u16>)> {
        let nodes = self.0.read();
        Some((nodes.looked_at?, nodes.all.keys().copied().collect()))
    }

    /// All known nodes, this one included, by slot.
    pub fn all(&self) -> Vec<NodeLease> {
        let mut all: Vec<NodeLease> = self.0.read().all.values().cloned().collect();
        all.sort_unstable_by_key(|node| node.slot);
        all
    }

    /// A new session id: 20 URL-safe characters, of which the first tell any node whose the session is. A
    /// secret of 104 random bits.
    pub fn session_id(&self) -> String {
        use base64::Engine as _;
        let mut bytes = random::<15>();
        if let Some(own) = &self.0.read().own {
            let mark = mark(own).to_be_bytes();
            for (to, from) in bytes.iter_mut().zip(mark) {
                *to = from;
            }
        }
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the session of an id is to be found.
    pub fn home(&self, session_id: &str) -> Home {
        let nodes = self.0.read();
        let Some(marked) = read_mark(session_id) else { return Home::Here };
        if nodes.own.as_ref().is_none_or(|own| mark(own) == marked) {
            return Home::Here;
        }
        let found = nodes.all.get(&(marked >> EPOCH_BITS)).filter(|node| mark(node) == marked);
        found.map_or(Home::Here, |node| Home::At(node.address.clone()))
    }
}

/// Slot and epoch, as far as they fit into an id.
fn mark(node: &NodeLease) -> u16 {
    node.slot << EPOCH_BITS | (node.epoch as u16 & ((1 << EPOCH_BITS) - 1))
}

fn read_mark(session_id: &str) -> Option<u16> {
    use base64::Engine as _;
    let head = session_id.get(..4).filter(|_| session_id.len() == 20)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).ok()?;
    Some(u16::from_be_bytes(*bytes.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use mynah_domain::NodeId;

    use super::*;

    fn node(slot: u16, epoch: u64) -> NodeLease {
        let id = NodeId::trusted(format!("n{slot}"));
        NodeLease { id, slot, epoch, address: format!("10.0.0.{slot}:4000") }
    }

    #[test]
    fn any_node_knows_whose_a_session_is() {
        let (first, second) = (Directory::default(), Directory::default());
        first.set_own(node(1, 7));
        second.set_own(node(1023, 70_000));
        for directory in [&first, &second] {
            directory.set_all(vec![node(1, 7), node(1023, 70_000)], Instant::now());
        }
        let of_first = first.session_id();
        assert_eq!(of_first.len(), 20);
        assert_ne!(of_first, first.session_id());
        assert_eq!(first.home(&of_first), Home::Here);
        assert_eq!(second.home(&of_first), Home::At("10.0.0.1:4000".to_owned()));
        assert_eq!(first.home(&second.session_id()), Home::At("10.0.0.1023:4000".to_owned()));
    }

    #[test]
    fn sessions_of_a_node_that_is_gone_or_began_anew_are_nobodys() {
        let (here, gone) = (Directory::default(), Directory::default());
        here.set_own(node(2, 1));
        gone.set_own(node(1, 1));
        here.set_all(vec![node(2, 1), node(1, 2)], Instant::now());
        assert_eq!(here.home(&gone.session_id()), Home::Here);
        for garbage in [
            "",
            "abc",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
            "!!!!aaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(here.home(garbage), Home::Here, "{garbage}");
        }
    }
}
