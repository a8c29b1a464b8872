//! The namespace on a real hub, with the clock of the runtime stopped.

use std::net::SocketAddr;
use std::time::Duration;

use mynah_hub::{Dialect, HubConfig, Link, NewSession, Pulse};
use mynah_protocol::socket_io::{Decoder, Limits, Packet};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::engine_io::{Handshake, Revision};
use crate::passwords::{PasswordPool, PasswordRules};
use crate::test_world::World;

/// A chat that lets everybody in and answers nothing.
struct Silent;

impl Namespaces for Silent {
    type Socket = ();

    async fn connect(
        &self,
        _peer: &Peer,
        _request: ConnectRequest<'_>,
    ) -> Result<Connected<()>, ConnectRefused> {
        Ok(Connected { socket: (), sid: session_id(), pid: None })
    }

    async fn welcome(&self, _peer: &Peer, (): &mut ()) {}

    fn begin(&self, _peer: &Peer, (): &mut (), incoming: Incoming) -> Result<Working, Incoming> {
        Err(incoming)
    }

    async fn event(&self, _peer: &Peer, (): &mut (), _incoming: Incoming) -> Outgoing {
        Outgoing::new()
    }

    async fn disconnect(&self, _peer: &Peer, (): (), _leaving: Leaving) {}

    fn is_over(&self, (): &()) -> bool {
        false
    }

    fn farewell(&self, (): &()) -> Option<Frame> {
        None
    }
}

fn request(namespace: &str) -> ConnectRequest<'_> {
    let [wire, ..] = Wire::ALL;
    ConnectRequest { namespace, wire, auth: None }
}

struct House {
    hub: Hub,
    door: WithAdmin<Silent>,
}

impl House {
    fn new() -> Self {
        let hub = Hub::new(HubConfig { shards: 1, ..HubConfig::default() });
        let rules = PasswordRules { memory_kib: 64, passes: 1, threads: 1, queue_max: 4 };
        let options = AdminUiOptions {
            namespace: "/admin".to_owned(),
            credentials: None,
            chat_namespaces: vec!["/".to_owned()],
        };
        let ports = AdminUiPorts {
            hub: hub.clone(),
            traffic: Traffic::default(),
            hasher: Arc::new(PasswordPool::new(rules).unwrap()),
            limits: Arc::new(RateLimits::off()),
            metrics: Arc::default(),
            clock: Arc::clone(&World::new().clock) as _,
        };
        let door = WithAdmin::new(Silent, Some(AdminUi::new(options, ports)));
        Self { hub, door }
    }

    async fn peer(&self) -> Peer {
        struct Nobody;
        impl mynah_hub::SessionEvents for Nobody {
            fn closed(&self, _id: mynah_hub::SessionId, _reason: mynah_hub::CloseReason) {}
        }
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

    async fn join(&self, peer: &Peer, namespace: &str) -> Either<()> {
        let mut socket = self.door.connect(peer, request(namespace)).await.unwrap().socket;
        self.door.welcome(peer, &mut socket).await;
        socket
    }

    /// Events of the next poll: name and argument.
    async fn poll(&self, peer: &Peer) -> Vec<(String, Value)> {
        let (reply, answer) = oneshot::channel();
        self.hub.poll(peer.id, reply).await;
        let packets = answer.await.unwrap().packets;
        packets.iter().map(|packet| event(std::str::from_utf8(packet).unwrap())).collect()
    }
}

fn event(packet: &str) -> (String, Value) {
    let message = packet.strip_prefix('4').unwrap();
    match Decoder::new(Limits::default()).text(message) {
        Ok(Some(Packet::Event { nsp, event, args, .. })) => {
            assert_eq!(&*nsp, "/admin");
            (event.as_str().to_owned(), serde_json::from_str(args.first().unwrap()).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

fn sockets(stats: &Value) -> Value {
    stats["namespaces"].clone()
}

#[tokio::test(start_paused = true)]
async fn who_looks_is_told_the_figures_at_once_and_every_two_seconds() {
    let house = House::new();
    let (looker, other) = (house.peer().await, house.peer().await);
    let admin = house.join(&looker, "/admin").await;
    let first = house.poll(&looker).await;
    let names: Vec<&str> = first.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["config", "server_stats"]);
    assert_eq!(first[0].1, json!({"supportedFeatures": ["AGGREGATED_EVENTS"]}));
    let stats = &first[1].1;
    let mut fields: Vec<&String> = stats.as_object().unwrap().keys().collect();
    fields.sort_unstable();
    let expected = [
        "aggregatedEvents",
        "clientsCount",
        "hostname",
        "namespaces",
        "pid",
        "pollingClientsCount",
        "serverId",
        "uptime",
    ];
    assert_eq!(fields, expected);
    let chat = house.join(&other, "/").await;
    let began = tokio::time::Instant::now();
    let (name, stats) = house.poll(&looker).await.remove(0);
    assert_eq!(name, "server_stats");
    assert_eq!(began.elapsed().as_millis(), 2_000);
    let both = json!([{"name": "/", "socketsCount": 1}, {"name": "/admin", "socketsCount": 1}]);
    assert_eq!(sockets(&stats), both);
    house.door.disconnect(&other, chat, Leaving::Session).await;
    let stats = house.poll(&looker).await.remove(0).1;
    assert_eq!(stats["namespaces"][0]["socketsCount"], 0);
    drop(admin);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_while_nobody_looks() {
    let house = House::new();
    let looker = house.peer().await;
    let admin = house.join(&looker, "/admin").await;
    house.poll(&looker).await;
    let published = || house.hub.stats().publications;
    house.poll(&looker).await;
    house.door.disconnect(&looker, admin, Leaving::Namespace).await;
    let before = published();
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!((published(), house.hub.members(&board::topic()).await), (before, 0));
    let _again = house.join(&looker, "/admin").await;
    house.poll(&looker).await;
    assert_eq!(house.poll(&looker).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_would_act_is_not_answered() {
    let house = House::new();
    let looker = house.peer().await;
    let mut admin = house.join(&looker, "/admin").await;
    let mut decoder = Decoder::new(Limits::default());
    let Ok(Some(Packet::Event { args, .. })) = decoder.text(r#"2["join","/","room"]"#) else {
        panic!("a packet");
    };
    let incoming = |event: &str| Incoming {
        event: event.to_owned(),
        arguments: args.clone(),
        attachments: Vec::new(),
        ack: Some(1),
    };
    for event in ["emit", "join", "leave", "_disconnect"] {
        let incoming = house.door.begin(&looker, &mut admin, incoming(event));
        let Err(incoming) = incoming else { panic!("worked on") };
        assert!(house.door.event(&looker, &mut admin, incoming).await.is_empty());
    }
}

#[tokio::test]
async fn without_the_admin_ui_its_name_is_the_chats_affair() {
    let house = House::new();
    let door = WithAdmin::new(Silent, None);
    let peer = house.peer().await;
    let socket = door.connect(&peer, request("/admin")).await.unwrap().socket;
    assert!(matches!(socket, Either::Chat((), None)));
}
