//! Coming in on a node among others.

use std::net::SocketAddr;
use std::time::Duration;

use mynah_domain::TenantId;
use mynah_domain::account::Registration;
use mynah_hub::cluster::Frontier;
use mynah_hub::{
    CloseReason, Hub, HubConfig, Interest, Link, NewSession, Pulse, SessionEvents, SessionId,
};
use tokio::time::Instant;

use super::*;
use crate::cluster::interests::{Interests, Wish};
use crate::engine_io::{Handshake, Revision};
use crate::recovery::place_text;
use crate::test_world::{SECRET, World};
use crate::vocabulary::Vocabularies;
use crate::wire::Parser;

struct Nobody;

impl SessionEvents for Nobody {
    fn closed(&self, _id: SessionId, _reason: CloseReason) {}
}

async fn settle_all(interests: Interests) {
    loop {
        let wishes = interests.wishes().await;
        interests.settle(wishes.iter().filter_map(Wish::wanted));
    }
}

/// The door of a node, and somebody who has signed in.
struct Gate {
    door: ChatSockets,
    hub: Hub,
    interests: Interests,
    token: String,
}

impl Gate {
    async fn new() -> Self {
        let world = World::new();
        let house = world.house();
        let ann = Registration {
            email: "ann@example.org".to_owned(),
            username: None,
            name: None,
            password: "correct horse".to_owned(),
        };
        let ann = house.accounts.register(&TenantId::single(), ann).await.unwrap();
        let token = house.identity.issue(&ann).unwrap().access;
        let interests = Interests::default();
        let watched: Arc<dyn Interest> = Arc::new(interests.clone());
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), true).unwrap();
        let door = ChatSockets::new(Parts {
            house,
            dialects,
            places: Places::new(10),
            turns: Turns::default(),
            present: Arc::default(),
            recovery: Some(Recovery::new(SECRET)),
            open_rooms: Arc::clone(&world.store) as _,
            open_rooms_kept_ms: 1_000,
            dispatched: Arc::default(),
            deadlines: Deadlines::start(),
            clock: Arc::clone(&world.clock) as _,
            interop: None,
        });
        let hub = Hub::watched(HubConfig::default(), watched);
        Self { door, hub, interests, token }
    }

    /// From now on all that is wanted is heard from everywhere.
    fn hears_all(&self) {
        tokio::spawn(settle_all(self.interests.clone()));
    }

    async fn peer(&self) -> Peer {
        let pulse = Pulse::default();
        let new = NewSession {
            dialect: Dialect(0),
            link: Link::Polling,
            events: Arc::new(Nobody),
            pulse: pulse.clone(),
        };
        let handshake = Handshake {
            query: Vec::new(),
            revision: Revision::V4,
            authorization: None,
            address: SocketAddr::from(([127, 0, 0, 1], 4_711)),
        };
        let id = self.hub.attach(new).await.unwrap();
        Peer { id, hub: self.hub.clone(), pulse, handshake: Arc::new(handshake) }
    }

    /// Connects; `more` are further members of the credentials.
    async fn connect(
        &self,
        peer: &Peer,
        more: &str,
    ) -> Result<Connected<ChatSocket>, ConnectRefused> {
        let auth = format!("{{\"token\":\"{}\"{more}}}", self.token);
        let wire = Wire { revision: Revision::V4, parser: Parser::Json };
        let request = ConnectRequest { namespace: "/", wire, auth: Some(&auth) };
        self.door.connect(peer, request).await
    }
}

/// It would go on with the rooms as they were, and hear of no other.
#[tokio::test]
async fn who_cannot_be_told_everything_is_asked_to_come_again() {
    let gate = Gate::new().await;
    let peer = gate.peer().await;
    tokio::time::pause();
    let begun = Instant::now();
    let refused = gate.connect(&peer, "").await.err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15), "within a bounded time");
    let data: serde_json::Value = serde_json::from_str(&refused.data.unwrap()).unwrap();
    assert_eq!((&data["statusCode"], &data["code"]), (&503.into(), &"UNAVAILABLE".into()));
    assert_eq!(data["retryAfterMs"], 1_000);
    for dialect in 0..=u8::MAX {
        let left = gate.hub.subscriptions(peer.id, Dialect(dialect)).await;
        assert_eq!(left, [], "nothing stays behind");
    }
    gate.hears_all();
    assert!(gate.connect(&peer, "").await.is_ok());
}

fn frontier(writer: u16, pos: u64) -> Frontier {
    let mut frontier = Frontier::new(0);
    frontier.raise(writer, pos);
    frontier
}

/// What it was sent by the node before would come a second time, now or when it is lost again.
#[tokio::test]
async fn who_comes_back_waits_for_a_node_that_is_behind_but_not_for_long() {
    let gate = Gate::new().await;
    gate.hears_all();
    gate.door.house.reached.advance(&frontier(7, 10));
    let first = gate.connect(&gate.peer().await, "").await.unwrap();
    let pid = first.pid.unwrap();
    let place = place_text(Place { pos: 90, nth: 0 });
    let sent = crate::recovery::sent_text(&frontier(7, 90), 0, false);
    let more = format!(",\"pid\":\"{pid}\",\"offset\":\"{place}{sent}\"");
    let back = gate.peer().await;
    tokio::time::pause();

    let begun = Instant::now();
    {
        let mut coming = std::pin::pin!(gate.connect(&back, &more));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut coming).await;
        assert!(early.is_err(), "it waits");
        gate.door.house.reached.advance(&frontier(7, 90));
        assert_eq!(coming.await.unwrap().pid.as_ref(), Some(&pid), "it is recovered");
    }
    let waited = begun.elapsed();
    assert!(
        (Duration::from_millis(100)..Duration::from_millis(400)).contains(&waited),
        "{waited:?}"
    );

    let far = crate::recovery::sent_text(&frontier(7, 500), 0, false);
    let more = format!(",\"pid\":\"{pid}\",\"offset\":\"500{far}\"");
    let begun = Instant::now();
    assert!(gate.connect(&gate.peer().await, &more).await.is_ok());
    assert!(begun.elapsed() < Duration::from_secs(3));
}
