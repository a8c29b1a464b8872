//! Which Socket.IO rooms this node must hear, where each has a channel of its own: the sharded format.

use std::sync::Arc;

use async_trait::async_trait;
use mynah_domain::RoomId;
use mynah_hub::{Interest, Topic};

use super::Interop;
use crate::cluster::interests::{Interests, Wish};
use crate::topics;

/// Who waits for a conversation is told after so many.
const WISHES_AT_ONCE: usize = 64;

/// What the cluster wants to know of the hub's topics, and what the Node servers do.
struct Both {
    /// The cluster's.
    nodes: Option<Interests>,
    /// The Node servers'.
    rooms: Interests,
}

#[async_trait]
impl Interest for Both {
    fn gained(&self, topic: &Topic) {
        if let Some(nodes) = &self.nodes {
            nodes.gained(topic);
        }
        self.rooms.gained(topic);
    }

    fn lost(&self, topic: &Topic) {
        if let Some(nodes) = &self.nodes {
            nodes.lost(topic);
        }
        self.rooms.lost(topic);
    }

    async fn settled(&self, topics: &[Topic]) -> bool {
        let of_nodes = match &self.nodes {
            Some(nodes) => nodes.settled(topics).await,
            None => true,
        };
        // What the Node servers emit is passed on while it is heard, and promised to nobody.
        self.rooms.settled(topics).await;
        of_nodes
    }
}

impl Interop {
    /// Hears the rooms of conversations and users that have sockets here.
    pub async fn follow(self, interests: Interests) {
        loop {
            for some in interests.wishes().await.chunks(WISHES_AT_ONCE) {
                for wish in some {
                    self.fulfil(wish).await;
                }
                interests.settle(some.iter().filter_map(Wish::wanted));
            }
        }
    }

    async fn fulfil(&self, wish: &Wish) {
        match wish {
            Wish::Want(channel) => {
                if let Some(room) = self.room_of(channel) {
                    self.open(&room).await;
                }
            }
            Wish::Unwant(channel) => {
                if let Some(room) = self.room_of(channel) {
                    self.close(&room).await;
                }
            }
        }
    }

    async fn open(&self, room: &str) {
        let Some(bus) = self.0.bus.get() else { return };
        for (namespace, _) in &self.0.spoken {
            bus.room_opened(namespace, room).await;
        }
    }

    async fn close(&self, room: &str) {
        let Some(bus) = self.0.bus.get() else { return };
        for (namespace, _) in &self.0.spoken {
            let is_entered = self.0.sockets.lock().in_room(namespace, room).is_some();
            if !is_entered {
                bus.room_closed(namespace, room).await;
            }
        }
    }

    fn room_of(&self, channel: &Topic) -> Option<String> {
        let (kind, rest) = channel.as_str().split_once(':')?;
        match kind {
            "r" => Some(self.0.names.of_room(&RoomId::trusted(rest))),
            "i" => self.0.names.of_user(&topics::read_person(rest)?.1),
            _ => None,
        }
    }

    /// Rooms that no socket was put into any more, without those that are heard for a conversation.
    pub(super) async fn forget(&self, namespace: &str, rooms: Vec<String>) {
        let Some(bus) = self.0.bus.get() else { return };
        for room in rooms {
            let is_ours = self.0.names.room(&room).is_some() || self.0.names.user(&room).is_some();
            if !is_ours {
                bus.room_closed(namespace, &room).await;
            }
        }
    }
}

/// The hub's observer for the cluster, for Node servers, or for both.
pub fn interest(nodes: Option<Interests>, rooms: Option<Interests>) -> Option<Arc<dyn Interest>> {
    match (nodes, rooms) {
        (None, None) => None,
        (Some(nodes), None) => Some(Arc::new(nodes)),
        (nodes, Some(rooms)) => Some(Arc::new(Both { nodes, rooms })),
    }
}
