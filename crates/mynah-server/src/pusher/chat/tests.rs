//! Rooms as channels, from the signature on: polling sessions of the hub stand for sockets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mynah_domain::account::NewAccount;
use mynah_domain::app::{App, AppKey, AppSecret};
use mynah_domain::event::Stream;
use mynah_domain::message::{Draft, Message, Position};
use mynah_domain::permission::Actor;
use mynah_domain::ports::AccountStore;
use mynah_domain::room::Role;
use mynah_domain::{AppId, RoomId, TenantId, Timestamp, UserId};
use mynah_hub::{
    Class, CloseReason, Frame, Hub, HubConfig, LazyFrames, Link, NewSession, Publication, Pulse,
    SessionEvents, SessionId,
};
use mynah_protocol::pusher::{ChannelName, SocketId};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::dialects::{Dialects, PUSHER};
use crate::pusher::Channels;
use crate::relay::Relay;
use crate::test_world::{NOW, World};
use crate::topics;
use crate::vocabulary::Vocabularies;

mod company;
mod replaying;
mod saying;

struct Nobody;

impl SessionEvents for Nobody {
    fn closed(&self, _id: SessionId, _reason: CloseReason) {}
}

struct House {
    world: Arc<World>,
    hub: Hub,
    chat: Chat,
    live: Live,
    threads: Threads,
    channels: ChatChannels,
    app: Arc<App>,
}

/// A subscribed socket.
struct Socket {
    session: SessionRef,
    claim: Claim,
}

fn actor(user: &str) -> Actor {
    Actor { tenant: TenantId::single(), user: UserId::trusted(user), role: Role::Member }
}

fn channel(key: &str) -> ChannelName {
    ChannelName::parse(&format!("presence-tenant.default.thread.{key}"), 200).unwrap()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

impl House {
    async fn new(events_max: u32) -> Self {
        let world = World::new();
        let house = world.house();
        let hub = Hub::new(HubConfig::default());
        let dialects = Dialects::new(Vocabularies::load(&[], "native").unwrap(), false).unwrap();
        let threads = Threads::new(ThreadParts {
            hub: hub.clone(),
            dialects: Arc::clone(&dialects),
            chat: house.chat.clone(),
            accounts: house.accounts.clone(),
            channels: Channels::new(hub.clone(), &crate::config::PusherConfig::default()),
            clock: Arc::clone(&world.clock) as _,
        });
        let relay: Arc<dyn Relay> = Arc::new(threads.clone());
        let clock = Arc::clone(&world.clock) as _;
        let live = Live::start(hub.clone(), dialects, house.chat.clone(), clock, Some(relay));
        let channels = ChatChannels::new(ChatParts {
            threads: threads.clone(),
            chat: house.chat.clone(),
            live: live.clone(),
            identity: Arc::clone(&house.identity),
            policy: ChannelPolicy::new(house.accounts.clone()),
            health: Arc::clone(&house.health),
            replay: Some(ReplayRules { events_max, retention: Duration::from_mins(5) }),
        });
        let secret = AppSecret::new("secret");
        let at = Timestamp(NOW);
        let key = AppKey { key: "key".to_owned(), secret, created_at: at, expires_at: None };
        let app = Arc::new(App::new(AppId::trusted("app"), TenantId::single(), key));
        let this = Self { world, hub, chat: house.chat, live, threads, channels, app };
        for user in ["ann", "bob", "eve"] {
            this.account(user).await;
        }
        this
    }

    async fn account(&self, user: &str) {
        let new = NewAccount {
            id: UserId::trusted(user),
            tenant: TenantId::single(),
            username: user.to_owned(),
            email: None,
            name: user.to_owned(),
            password_hash: None,
            at: Timestamp(NOW),
        };
        self.world.store.create_account(new).await.unwrap();
    }

    /// A subscription that has got what it missed.
    async fn subscribe(&self, user: &str, key: &str) -> Socket {
        let socket = self.begin(user, key).await;
        self.settle(&socket).await;
        socket
    }

    async fn settle(&self, socket: &Socket) {
        let Some(replays) = &self.channels.0.replays else { return };
        while replays.is_busy(socket.session.id) {
            later().await;
        }
    }

    /// What the door does at `pusher:subscribe`.
    async fn begin(&self, user: &str, key: &str) -> Socket {
        let new = NewSession {
            dialect: PUSHER,
            link: Link::Polling,
            events: Arc::new(Nobody),
            pulse: Pulse::default(),
        };
        let id = self.hub.attach(new).await.unwrap();
        let channel = channel(key);
        let claim = self.channels.claim(&self.app, &channel, Some(user)).await.unwrap().unwrap();
        let topic = crate::pusher::topic(&self.app.id, channel.as_str());
        let socket_id = SocketId::new(1, 1);
        let session = SessionRef { id, socket_id, topic: topic.clone(), hub: self.hub.clone() };
        self.channels.entering(&session, &claim).await;
        self.hub.subscribe(id, PUSHER, topic).await;
        self.say_directly(id, "succeeded").await;
        self.channels.subscribed(&session, &claim).await;
        Socket { session, claim }
    }

    async fn say_directly(&self, id: SessionId, text: &str) {
        let bytes = Bytes::from(text.to_owned());
        self.hub.send(id, Frame::new(bytes.clone(), bytes), Class::Durable).await;
    }

    async fn direct(&self, one: &str, other: &str) -> RoomId {
        let made = self.chat.open_direct(&actor(one), UserId::trusted(other)).await.unwrap();
        let room = made.view.room.id.clone();
        self.deliver(&actor(one), &room, 0).await;
        room
    }

    /// What the dispatcher does with the events of a room after a `seq`, and with the inbox of who made it.
    async fn deliver(&self, actor: &Actor, room: &RoomId, after_seq: u64) {
        let page = self.chat.events_of(actor, std::slice::from_ref(room), 0, 1_000).await.unwrap();
        for event in page.events {
            let is_new = match &event.stream {
                Stream::Room(_) => event.seq > after_seq,
                Stream::User(_) => after_seq == 0,
            };
            if !is_new {
                continue;
            }
            self.threads.event(&event).await;
            let publication = Publication {
                topic: topics::room(room),
                seq: Some(event.seq),
                pos: Some(event.pos),
                class: Class::Durable,
                except: None,
                frames: LazyFrames::new(|_| None),
            };
            self.hub.publish(publication).await;
        }
    }

    async fn send(&self, user: &str, room: &RoomId, text: &str) -> Arc<Message> {
        let draft = Draft { content: text.to_owned(), ..Draft::default() };
        let sent = self.chat.send_message(&actor(user), room.clone(), draft).await.unwrap();
        self.deliver(&actor(user), room, sent.message.seq - 1).await;
        sent.message
    }

    /// What a socket has heard up to now: `(event, data)`, the data parsed.
    async fn heard(&self, socket: &Socket) -> Vec<(String, Value)> {
        let id = socket.session.id;
        self.say_directly(id, "end").await;
        let mut heard = Vec::new();
        loop {
            let (reply, answer) = oneshot::channel();
            self.hub.poll(id, reply).await;
            for packet in answer.await.unwrap().packets {
                match &*packet {
                    b"end" => return heard,
                    b"succeeded" => heard.push(("succeeded".to_owned(), Value::Null)),
                    json => heard.push(read(json)),
                }
            }
        }
    }

    /// Texts of the messages heard.
    async fn texts(&self, socket: &Socket) -> Vec<String> {
        let heard = self.heard(socket).await.into_iter();
        let said = heard.map(|(event, data)| match data["content"].as_str() {
            Some(text) => text.to_owned(),
            None => event,
        });
        said.collect()
    }

    async fn lose(&self, socket: &Socket) {
        self.channels.ended(&socket.session, &socket.claim, Ending::Lost).await;
        self.hub.detach(socket.session.id, CloseReason::PeerGone).await;
    }
}

/// Some time passes.
async fn later() {
    tokio::time::advance(Duration::from_millis(100)).await;
}

fn read(json: &[u8]) -> (String, Value) {
    let frame: Value = serde_json::from_slice(json).unwrap();
    let data = &frame["data"];
    let data =
        data.as_str().map_or_else(|| data.clone(), |text| serde_json::from_str(text).unwrap());
    (frame["event"].as_str().unwrap().to_owned(), data)
}
