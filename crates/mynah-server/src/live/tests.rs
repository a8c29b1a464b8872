//! What is said to rooms, small and large.

use std::sync::Arc;

use bytes::Bytes;
use mynah_domain::account::NewAccount;
use mynah_domain::message::ReadCursor;
use mynah_domain::permission::Actor;
use mynah_domain::ports::{AccountStore, RoomStore};
use mynah_domain::presence::{ANNOUNCED_ROOM_MEMBERS_MAX, PresenceStatus};
use mynah_domain::room::{NewRoom, Profile, Role, RoomKind, Visibility};
use mynah_domain::{RoomId, TenantId, Timestamp, UserId};
use mynah_hub::{
    Class, CloseReason, Dialect, Frame, Hub, HubConfig, Link, NewSession, Pulse, SessionEvents,
    SessionId, Topic,
};
use tokio::sync::oneshot;

use super::{Announcement, Live, TYPING_ROOM_MEMBERS_MAX};
use crate::dialects::{Dialects, Speaking};
use crate::test_world::{NOW, World};
use crate::topics;
use crate::vocabulary::Vocabularies;
use crate::wire::Wire;

mod cluster;

struct Nobody;

impl SessionEvents for Nobody {
    fn closed(&self, _id: SessionId, _reason: CloseReason) {}
}

struct House {
    world: Arc<World>,
    hub: Hub,
    live: Live,
    _speaking: Speaking,
    dialect: Dialect,
}

fn ann() -> UserId {
    UserId::parse("ann").unwrap()
}

fn everywhere() -> Topic {
    topics::user_everywhere(&TenantId::single(), &ann())
}

impl House {
    fn new() -> Self {
        Self::on(World::new(), Hub::new(HubConfig::default()))
    }

    fn on(world: Arc<World>, hub: Hub) -> Self {
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), false).unwrap();
        let native = dialects.vocabularies().default_index();
        let [wire, ..] = Wire::ALL;
        let speaking = dialects.speak(native, "/", wire).unwrap();
        let dialect = speaking.dialect();
        let chat = world.house().chat;
        let live = Live::start(hub.clone(), dialects, chat, Arc::clone(&world.clock) as _, None);
        Self { world, hub, live, dialect, _speaking: speaking }
    }

    /// A room of ann and many others.
    async fn room(&self, id: &str, member_count: u64) -> RoomId {
        let id = RoomId::parse(id).unwrap();
        let others = (1..member_count).map(|n| UserId::trusted(format!("other {n}")));
        let people: Vec<UserId> = std::iter::once(ann()).chain(others).collect();
        for user in &people {
            self.known(user).await;
        }
        let new = NewRoom {
            id: id.clone(),
            tenant: TenantId::single(),
            kind: RoomKind::Channel,
            visibility: Visibility::Private,
            name: None,
            topic: None,
            created_by: ann(),
            members: people[1..].to_vec(),
            at: Timestamp(NOW),
        };
        self.world.store.create_room(new).await.unwrap();
        id
    }

    /// Makes an account, if there is none.
    async fn known(&self, user: &UserId) {
        let store = &self.world.store;
        if store.user(&TenantId::single(), user).await.unwrap().is_none() {
            let new = NewAccount {
                id: user.clone(),
                tenant: TenantId::single(),
                username: user.to_string(),
                email: None,
                name: user.to_string(),
                password_hash: None,
                at: Timestamp(NOW),
            };
            store.create_account(new).await.unwrap();
        }
    }

    async fn hears(&self, topic: Topic) -> SessionId {
        let new = NewSession {
            dialect: self.dialect,
            link: Link::Polling,
            events: Arc::new(Nobody),
            pulse: Pulse::default(),
        };
        let id = self.hub.attach(new).await.unwrap();
        self.hub.subscribe(id, self.dialect, topic).await;
        id
    }

    /// What a session heard up to now.
    async fn heard(&self, id: SessionId) -> String {
        let end = Bytes::from_static(b"end");
        self.hub.send(id, Frame::new(end.clone(), end), Class::Durable).await;
        let mut heard = String::new();
        while !heard.ends_with("end") {
            let (reply, answer) = oneshot::channel();
            self.hub.poll(id, reply).await;
            for packet in answer.await.unwrap().packets {
                heard.push_str(std::str::from_utf8(&packet).unwrap());
            }
        }
        heard
    }

    async fn read(&self, room: &RoomId) {
        let (room, at) = (room.clone(), Timestamp(NOW));
        let cursor = ReadCursor {
            room,
            user: ann(),
            seq: 1,
            number: 1,
            from_seq: 0,
            message: None,
            at,
            moved: true,
        };
        self.live.read_moved(&cursor).await;
    }

    fn actor() -> Actor {
        Actor { tenant: TenantId::single(), user: ann(), role: Role::Member }
    }
}

#[tokio::test]
async fn receipts_of_large_rooms_reach_only_the_readers_own_sockets() {
    let house = House::new();
    let small = house.room("small", ANNOUNCED_ROOM_MEMBERS_MAX).await;
    let large = house.room("large", ANNOUNCED_ROOM_MEMBERS_MAX + 1).await;
    let in_small = house.hears(topics::room(&small)).await;
    let in_large = house.hears(topics::room(&large)).await;
    let own = house.hears(everywhere()).await;
    house.read(&small).await;
    house.read(&large).await;
    assert!(house.heard(in_small).await.contains("receipt.read"));
    assert_eq!(house.heard(in_large).await, "end");
    let own = house.heard(own).await;
    assert!(own.contains("large") && !own.contains("small"), "{own}");
}

#[tokio::test]
async fn typing_is_not_shown_in_very_large_rooms() {
    let house = House::new();
    let small = house.room("small", TYPING_ROOM_MEMBERS_MAX).await;
    let large = house.room("large", TYPING_ROOM_MEMBERS_MAX + 1).await;
    let in_small = house.hears(topics::room(&small)).await;
    let in_large = house.hears(topics::room(&large)).await;
    let who = Arc::new(Profile { id: ann(), username: "ann".to_owned(), name: "Ann".to_owned() });
    for room in [&small, &large] {
        house.live.typing(&who, room, true).await;
        house.live.typing(&who, room, false).await;
    }
    assert!(house.heard(in_small).await.contains("typing"));
    assert_eq!(house.heard(in_large).await, "end");
}

#[tokio::test]
async fn a_late_announcement_of_what_has_changed_is_not_made() {
    let house = House::new();
    let room = house.room("room", 2).await;
    let rooms = Some(house.world.store.joined_rooms(&House::actor()).await.unwrap());
    let hears = house.hears(topics::room(&room)).await;
    house.live.came(&House::actor(), Some(Vec::new()));
    for status in [PresenceStatus::Offline, PresenceStatus::Online] {
        let announcement = Announcement::new(House::actor(), status);
        let announcement = Announcement { rooms: rooms.clone(), ..announcement };
        house.live.announce_presence(announcement).await;
    }
    let heard = house.heard(hears).await;
    assert!(heard.contains("online") && !heard.contains("offline"), "{heard}");
    assert_eq!(house.live.unannounced(), 0);
}
