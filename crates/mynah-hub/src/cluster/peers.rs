//! Which nodes are there.

use std::collections::BTreeMap;

/// The other nodes, by slot: with which epoch each speaks and when it was last heard. At most as many as
/// there are slots.
#[derive(Debug)]
pub struct Peers {
    slot: u16,
    epoch: u64,
    known: BTreeMap<u16, Peer>,
    /// When [`Peers::expire`] was called last.
    looked_at: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    epoch: u64,
    heard_at: u64,
    is_here: bool,
}

/// Who spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A node that was heard before.
    Known,
    /// A node that was not, or whose lease was over ([`Peers::expire`]) and that speaks again as it did.
    New,
    /// Another process has taken the slot, with this epoch: the one before is over.
    Returned(u64),
    /// One whose right is over: what it says is worth nothing.
    Stale,
    /// This node.
    Ourselves,
    /// Another process has taken our own slot: it is we who are stale, and must speak no more.
    Usurped,
}

impl Peers {
    /// Nobody but this node, which speaks with this epoch.
    pub fn new(slot: u16, epoch: u64) -> Self {
        Self { slot, epoch, known: BTreeMap::new(), looked_at: None }
    }

    /// Something came from a node.
    pub fn heard(&mut self, now: u64, slot: u16, epoch: u64) -> Heard {
        if slot == self.slot {
            return match epoch.cmp(&self.epoch) {
                std::cmp::Ordering::Less => Heard::Stale,
                std::cmp::Ordering::Equal => Heard::Ourselves,
                std::cmp::Ordering::Greater => Heard::Usurped,
            };
        }
        let fresh = Peer { epoch, heard_at: now, is_here: true };
        let Some(peer) = self.known.get_mut(&slot) else {
            self.known.insert(slot, fresh);
            return Heard::New;
        };
        if epoch < peer.epoch {
            return Heard::Stale;
        }
        let before = std::mem::replace(peer, fresh);
        if epoch > before.epoch {
            Heard::Returned(epoch)
        } else if before.is_here {
            Heard::Known
        } else {
            Heard::New
        }
    }

    /// Nodes that were silent for `ttl` are gone: their slots and epochs, each told once. Their epochs are
    /// remembered, so that one that speaks with an older right stays stale.
    ///
    /// To be called several times within `ttl`. If it was not, for as long as a third, it is this node that was
    /// away: what the others said meanwhile still waits to be heard, and that time does not count.
    pub fn expire(&mut self, now: u64, ttl: u64) -> Vec<(u16, u64)> {
        let away = now.saturating_sub(self.looked_at.replace(now).unwrap_or(now));
        let excused = if away > ttl / 3 { away } else { 0 };
        let mut gone = Vec::new();
        for (slot, peer) in &mut self.known {
            peer.heard_at = peer.heard_at.saturating_add(excused).min(now);
            if peer.is_here && peer.heard_at.saturating_add(ttl) <= now {
                peer.is_here = false;
                gone.push((*slot, peer.epoch));
            }
        }
        gone
    }

    /// A node said that it leaves, or its lease was given back; `true` if it was here.
    pub fn left(&mut self, slot: u16, epoch: u64) -> bool {
        self.known
            .get_mut(&slot)
            .is_some_and(|peer| peer.epoch == epoch && std::mem::take(&mut peer.is_here))
    }

    /// The nodes that are here, without this one: slot and epoch, by slot.
    pub fn alive(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        self.known.iter().filter(|(_, peer)| peer.is_here).map(|(slot, peer)| (*slot, peer.epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_come_return_and_go_once() {
        let mut peers = Peers::new(1, 7);
        assert_eq!(peers.heard(0, 2, 3), Heard::New);
        assert_eq!(peers.heard(10, 2, 3), Heard::Known);
        assert_eq!(peers.heard(20, 2, 4), Heard::Returned(4));
        assert_eq!(peers.heard(21, 2, 3), Heard::Stale, "the process before speaks no more");
        for now in (1_000..15_000).step_by(1_000) {
            assert_eq!(peers.expire(now, 15_000), []);
        }
        assert_eq!(peers.expire(15_019, 15_000), []);
        assert_eq!(peers.expire(15_020, 15_000), [(2, 4)]);
        assert_eq!(peers.expire(16_000, 15_000), [], "told once");
        assert_eq!(peers.alive().count(), 0);
        assert_eq!(peers.heard(90_001, 2, 3), Heard::Stale, "the epoch is remembered");
        assert_eq!(
            peers.heard(90_002, 2, 4),
            Heard::New,
            "back from a pause, its slot was not taken"
        );
        assert_eq!(peers.alive().collect::<Vec<_>>(), [(2, 4)]);
        assert!(peers.left(2, 4));
        assert!(!peers.left(2, 4));
    }

    #[test]
    fn who_was_away_itself_takes_nobody_for_gone() {
        let mut peers = Peers::new(1, 7);
        peers.heard(0, 2, 3);
        peers.heard(9_000, 3, 1);
        for now in [1_000, 5_000, 10_000] {
            assert_eq!(peers.expire(now, 15_000), []);
        }
        assert_eq!(peers.expire(60_000, 15_000), [], "away since 10000");
        peers.heard(60_001, 3, 1);
        assert_eq!(peers.expire(64_000, 15_000), []);
        assert_eq!(peers.expire(65_000, 15_000), [(2, 3)]);
        assert_eq!(peers.expire(70_000, 15_000), []);
    }

    #[test]
    fn a_node_knows_itself_and_who_took_its_place() {
        let mut peers = Peers::new(1, 7);
        assert_eq!(peers.heard(0, 1, 7), Heard::Ourselves);
        assert_eq!(peers.heard(0, 1, 6), Heard::Stale);
        assert_eq!(peers.heard(0, 1, 8), Heard::Usurped);
        assert_eq!(peers.alive().count(), 0);
    }
}
