//! From committed facts to the hub: who hears what, in commit order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mynah_domain::event::{Event, Fact, Stream};
use mynah_domain::ports::{Commit, CommitListener};
use mynah_domain::recovery::Place;
use mynah_domain::{TenantId, UserId};
use mynah_hub::{Class, Hub, LazyFrames, Publication, Topic};
use tokio::sync::{mpsc, watch};

use crate::dialects::Dialects;
use crate::live::Live;
use crate::relay::Relay;
use crate::topics;
use crate::vocabulary::field::Subject;
use crate::vocabulary::tail::Spot;

/// Commits that may wait for delivery; beyond, the committer waits.
const COMMITS_MAX: usize = 256;

/// The committer's side: hands commits over, in order.
pub struct CommitQueue(mpsc::Sender<Commit>);

impl CommitListener for CommitQueue {
    fn committed(&self, commit: Commit) {
        // Fails only while the process ends; the journal has the events, and dropping the commit answers.
        drop(self.0.blocking_send(commit));
    }
}

/// A queue from the committer to the dispatcher.
pub fn commit_queue() -> (Arc<CommitQueue>, mpsc::Receiver<Commit>) {
    let (sender, receiver) = mpsc::channel(COMMITS_MAX);
    (Arc::new(CommitQueue(sender)), receiver)
}

/// Is told that connections are about to hear a topic, and must miss nothing after a place in the log.
pub type HearsFrom = Box<dyn Fn(Topic, u64) + Send + Sync>;

/// Delivers what was committed.
pub struct Dispatcher {
    /// Where to.
    pub hub: Hub,
    /// In which words.
    pub dialects: Arc<Dialects>,
    /// Who types until they send.
    pub live: Live,
    /// Counts the events whose delivery has begun.
    pub dispatched: Arc<AtomicU64>,
    /// Told of every event before the hub is.
    pub relay: Option<Arc<dyn Relay>>,
    /// Learns from where on connections that are here already hear a room; nothing where there is one node.
    pub hears_from: Option<HearsFrom>,
    /// Learns how far delivery is.
    pub head: watch::Sender<u64>,
}

impl Dispatcher {
    /// Runs until the committer is gone.
    pub async fn run(self, mut commits: mpsc::Receiver<Commit>) {
        let alone = Arc::from("");
        while let Some(mut commit) = commits.recv().await {
            let events = commit.take_events();
            let last = events.last().map(|event| event.pos);
            for event in events {
                self.deliver(Arc::new(event), &alone).await;
            }
            // Publications are on their way: the callers' acknowledgements join them in one write.
            drop(commit);
            if let Some(pos) = last {
                self.reached(pos);
            }
        }
    }

    /// Events up to here have been delivered, or were never to be.
    pub fn reached(&self, pos: u64) {
        self.head.send_if_modified(|head| {
            let is_further = pos > *head;
            *head = pos.max(*head);
            is_further
        });
    }

    /// Delivers an event; those of one stream are delivered in order. `sent` is what else connections were
    /// sent then, as [`crate::recovery::sent_text`] spells it.
    pub async fn deliver(&self, event: Arc<Event>, sent: &Arc<str>) {
        // Before the hub hears of it: see where connections subscribe.
        self.dispatched.fetch_add(1, Ordering::AcqRel);
        if let Some(relay) = &self.relay {
            relay.event(&event).await;
        }
        match &event.stream {
            Stream::Room(room) => {
                let topic = topics::room(room);
                if let Fact::MemberJoined { member, .. } = &event.fact {
                    self.enter(&event, &member.id, &topic).await;
                }
                if let Fact::MessageCreated { message } = &event.fact {
                    self.live.sent(room, &message.sender).await;
                }
                self.publish(topic.clone(), &event, sent).await;
                // Not when the user's own stream says so: on another node than the one that stored it that may
                // be before the last of the room was told.
                if let Fact::MemberLeft { user, .. } = &event.fact {
                    self.leave(&event.tenant, user, &topic).await;
                }
                if let Fact::RoomDeleted { .. } = &event.fact {
                    self.hub.unsubscribe_members(&topic, &topic).await;
                }
            }
            Stream::User(user) => {
                for own in user_topics(&event.tenant, user) {
                    self.publish(own, &event, sent).await;
                }
                // On another node than the one of the user's connections nobody may hear the room yet.
                if let Fact::RoomAdded { room, .. } = &event.fact
                    && self.hears_from.is_some()
                {
                    self.enter(&event, user, &topics::room(&room.id)).await;
                }
            }
        }
    }

    /// The user's connections that hear all rooms hear this one from the event on.
    async fn enter(&self, event: &Event, user: &UserId, room: &Topic) {
        if let Some(hears_from) = &self.hears_from {
            hears_from(room.clone(), event.pos);
        }
        let own = topics::user_everywhere(&event.tenant, user);
        self.hub.subscribe_members(&own, room).await;
    }

    async fn leave(&self, tenant: &TenantId, user: &UserId, topic: &Topic) {
        for own in user_topics(tenant, user) {
            self.hub.unsubscribe_members(&own, topic).await;
        }
    }

    async fn publish(&self, topic: Topic, event: &Arc<Event>, sent: &Arc<str>) {
        let (event, dialects) = (Arc::clone(event), Arc::clone(&self.dialects));
        let sent = Arc::clone(sent);
        let (seq, pos) = (Some(event.seq), Some(event.pos));
        let frames = LazyFrames::new(move |dialect| {
            let place = Place { pos: event.pos, nth: 0 };
            let spoken = (Subject::Event(&event), Some(Spot { place, sent: &sent }));
            dialects.frame(dialect, event.fact.name(), spoken, event.at)
        });
        let publication =
            Publication { topic, seq, pos, class: Class::Durable, except: None, frames };
        self.hub.publish(publication).await;
    }
}

fn user_topics(tenant: &TenantId, user: &UserId) -> [Topic; 2] {
    [topics::user_everywhere(tenant, user), topics::user_by_room(tenant, user)]
}
