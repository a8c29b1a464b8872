//! A node's right to take part: claimed at the start, renewed while it lives, given back at the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mynah_domain::node::{NewNode, NodeLease};
use mynah_domain::ports::{NodeStore, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;

use super::directory::Directory;
use super::voice::Voice;

/// How long a node that is heard of no more keeps its right.
pub const LEASE: Duration = Duration::from_secs(15);
/// How often it is renewed, and the others are looked for: what is told to be sent to a client lags behind by two
/// of these.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// How soon it is tried again when the store fails.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a membership stands on.
pub struct Parts {
    /// Where rights are kept.
    pub nodes: Arc<dyn NodeStore>,
    /// Who takes part.
    pub directory: Directory,
    /// Speaks as long as the right lasts.
    pub voice: Voice,
    /// Makes the store write under a new lease.
    pub take_place: Box<dyn Fn(&NodeLease) + Send + Sync>,
    /// Whether the store refused a write because the lease is over and another has the slot.
    pub fenced: watch::Receiver<bool>,
}

/// A node that takes part.
pub struct Membership {
    parts: Parts,
    node: NewNode,
    /// Whether the operator gave the name: whoever has it too takes the place.
    is_named: bool,
}

/// How a membership ends before its time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "another node started with the name {0} and took this one's place: this node stops. Give each node a name \
     of its own in cluster.node_id, or none"
)]
pub struct Usurped(String);

impl Membership {
    /// Claims the right to take part.
    ///
    /// # Errors
    /// The store cannot be asked, or has no place.
    pub async fn join(parts: Parts, node: NewNode, is_named: bool) -> Result<Self, StoreError> {
        let membership = Self { parts, node, is_named };
        membership.claim().await?;
        membership.look_round().await?;
        Ok(membership)
    }

    async fn claim(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        let lease = self.parts.nodes.claim(&self.node, LEASE.as_millis() as u64).await?;
        tracing::info!(
            node = %lease.id, slot = lease.slot, epoch = lease.epoch, address = lease.address,
            "takes part in the cluster"
        );
        (self.parts.take_place)(&lease);
        self.parts.voice.speak_as(&lease, begun + LEASE);
        self.parts.directory.set_own(lease);
        Ok(())
    }

    async fn look_round(&self) -> Result<(), StoreError> {
        let begun = Instant::now();
        self.parts.directory.set_all(self.parts.nodes.nodes().await?, begun);
        Ok(())
    }

    /// Renews the right until it is another's.
    pub async fn keep(self) -> Usurped {
        let mut wait = RENEW_EVERY;
        let mut fenced = self.parts.fenced.clone();
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = has_become_true(&mut fenced) => {}
            }
            wait = match self.renew().await {
                Ok(true) => RENEW_EVERY,
                Ok(false) if self.is_named => return Usurped(self.node.id.to_string()),
                Ok(false) => match self.claim().await {
                    Ok(()) => RENEW_EVERY,
                    Err(error) => {
                        tracing::warn!(%error, "the right to take part could not be claimed anew");
                        RETRY_AFTER
                    }
                },
                Err(error) => {
                    tracing::warn!(%error, "the right to take part could not be renewed");
                    RETRY_AFTER
                }
            };
        }
    }

    async fn renew(&self) -> Result<bool, StoreError> {
        let Some(own) = self.parts.directory.own() else { return Ok(false) };
        let begun = Instant::now();
        if !self.parts.nodes.renew(&own, LEASE.as_millis() as u64).await? {
            self.parts.voice.fall_silent();
            return Ok(false);
        }
        self.parts.voice.speak_as(&own, begun + LEASE);
        self.look_round().await?;
        Ok(true)
    }
}

/// Waits until it is told anew.
async fn has_become_true(told: &mut watch::Receiver<bool>) {
    while told.changed().await.is_ok() {
        if *told.borrow_and_update() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Gives the right back, so that others need not wait until it runs out.
pub async fn leave(nodes: &Arc<dyn NodeStore>, own: Option<NodeLease>) {
    let Some(own) = own else { return };
    let release = tokio::time::timeout(RETRY_AFTER, nodes.release(&own));
    if let Ok(Err(error)) = release.await {
        tracing::warn!(%error, "the right to take part could not be given back; it runs out by itself");
    }
}

/// The address of this machine on the way to another, with a port.
pub fn own_address(towards: Option<SocketAddr>, port: u16) -> SocketAddr {
    let found = towards.and_then(|towards| {
        let any: IpAddr = if towards.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
        // Sends nothing: the system only chooses the way.
        socket.connect(towards).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    });
    SocketAddr::new(found.unwrap_or(Ipv4Addr::LOCALHOST.into()), port)
}

#[cfg(test)]
mod tests {
    use mynah_cluster::{InProcess, Limits};
    use mynah_domain::NodeId;
    use mynah_testkit::{MemoryStore, Recorder};
    use tokio::sync::mpsc;

    use super::*;

    /// Waiting for the next renewal would refuse writes for that long.
    #[tokio::test(start_paused = true)]
    async fn a_place_under_which_nothing_is_stored_is_changed_at_once() {
        let store: Arc<dyn NodeStore> = MemoryStore::new(Recorder::new());
        let (broker, _events) = InProcess::new().join(Limits::default());
        let (directory, voice) = (Directory::default(), Voice::new(broker));
        let (took, mut taken) = mpsc::channel(4);
        let (refused, fenced) = watch::channel(false);
        let parts = Parts {
            nodes: Arc::clone(&store),
            directory: directory.clone(),
            voice,
            take_place: Box::new(move |lease| took.try_send(lease.clone()).unwrap()),
            fenced,
        };
        let node = NewNode { id: NodeId::trusted("n"), address: String::new() };
        let membership = Membership::join(parts, node, false).await.unwrap();
        let first = taken.recv().await.unwrap();
        store.release(&first).await.unwrap();
        let other = NewNode { id: NodeId::trusted("other"), address: String::new() };
        let other = store.claim(&other, 60_000).await.unwrap();
        assert_eq!(other.slot, first.slot);
        let begun = Instant::now();
        let kept = tokio::spawn(membership.keep());
        tokio::task::yield_now().await;
        refused.send_replace(true);
        let second = taken.recv().await.unwrap();
        assert!(begun.elapsed() < RENEW_EVERY);
        assert_ne!(second.slot, first.slot);
        assert_eq!(directory.own(), Some(second));
        kept.abort();
    }

    #[test]
    fn the_own_address_is_the_one_on_the_way_to_the_others() {
        let towards = SocketAddr::from(([127, 0, 0, 1], 5432));
        assert_eq!(own_address(Some(towards), 4000), SocketAddr::from(([127, 0, 0, 1], 4000)));
        assert_eq!(own_address(None, 4000), SocketAddr::from(([127, 0, 0, 1], 4000)));
    }
}
