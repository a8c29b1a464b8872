//! The door from outside: frames over loopback.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mynah_domain::app::{App, AppKey, AppSecret};
use mynah_domain::{AppId, TenantId, Timestamp};
use mynah_hub::{Class, DialectRules, Hub, HubConfig, Limits};
use mynah_protocol::pusher::{ChannelName, SocketId, signature};
use mynah_protocol::websocket::{self, Decoder, Message, OpCode, Role};
use mynah_testkit::ManualClock;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{
    ChannelEvent, Channels, Door, DoorOptions, DoorParts, Happening, Observer, pusher_rules,
};
use crate::apps::Apps;
use crate::cluster::interests::Interests;
use crate::config::PusherConfig;
use crate::deadlines::Deadlines;
use crate::engine_io::{Admission, NotNow, engine_rules};
use crate::listener;

mod channels;
mod client_events;
mod cluster;
mod connections;
mod frames;
mod house;
mod people;
mod presence;

const SECRET: &str = "a secret";

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// Notes what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<Happening>>);

impl Observer for Notes {
    fn happened(&self, _app: &Arc<App>, what: Happening) {
        self.0.lock().push(what);
    }
}

impl Notes {
    fn take(&self) -> Vec<Happening> {
        std::mem::take(&mut self.0.lock())
    }
}

/// An app with the key `ID-key`.
fn app(id: &str) -> App {
    let created_at = Timestamp(0);
    let secret = AppSecret::new(SECRET);
    let key = AppKey { key: format!("{id}-key"), secret, created_at, expires_at: None };
    App::new(AppId::trusted(id), TenantId::trusted(id), key)
}

/// A door with apps.
struct House {
    address: SocketAddr,
    channels: Channels,
    notes: Arc<Notes>,
    apps: Vec<Arc<App>>,
    is_draining: Arc<AtomicBool>,
    /// The listener ends with it.
    stop: watch::Sender<listener::Stage>,
}

impl House {
    async fn new() -> Self {
        Self::with(vec![app("shop")], |_| {}).await
    }

    async fn with(apps: Vec<App>, change: impl FnOnce(&mut PusherConfig)) -> Self {
        Self::heard_by(apps, change, None).await
    }

    /// The same on a hub whose topics others want to know.
    async fn heard_by(
        apps: Vec<App>,
        change: impl FnOnce(&mut PusherConfig),
        interests: Option<Interests>,
    ) -> Self {
        let mut config = PusherConfig::default();
        change(&mut config);
        let second = Duration::from_secs(25);
        let mut dialects: Vec<DialectRules> = engine_rules(second, second);
        dialects.push(pusher_rules(config.activity_timeout_s));
        let limits = Limits { linger: Duration::from_millis(200), ..Limits::default() };
        let hub = HubConfig { shards: 2, dialects, limits, ..HubConfig::default() };
        let hub = match interests {
            Some(interests) => Hub::watched(hub, Arc::new(interests)),
            None => Hub::new(hub),
        };
        let channels = Channels::new(hub, &config);
        let notes = Arc::new(Notes::default());
        channels.observe(Arc::clone(&notes) as _);
        let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
        let is_draining = Arc::new(AtomicBool::new(false));
        let draining = Arc::clone(&is_draining);
        let parts = DoorParts {
            channels: channels.clone(),
            chat: None,
            apps: Apps::configured(apps.clone(), Arc::clone(&clock) as _),
            deadlines: Deadlines::start(),
            clock,
        };
        let admission = Admission::new(move |_| {
            if draining.load(Ordering::Relaxed) { Err(NotNow::Leaving) } else { Ok(()) }
        });
        let path_prefix = config.path_prefix.clone();
        let options = DoorOptions { path_prefix, per_message_deflate: false, admission };
        let router = Door::new(parts, options).router();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(listener::Stage::Open);
        tokio::spawn(listener::serve(listener, router, 1_000, stopped));
        let apps = apps.into_iter().map(Arc::new).collect();
        Self { address, channels, notes, apps, is_draining, stop }
    }

    fn app(&self) -> &Arc<App> {
        self.apps.first().unwrap()
    }

    /// A WebSocket on a path, whatever becomes of it.
    async fn dial(&self, path: &str) -> Client {
        Client::dial(self.address, path).await
    }

    /// A connected client of an app.
    async fn client_of(&self, app: &str) -> Client {
        let mut client = self.dial(&format!("/app/{app}-key?protocol=7")).await;
        let hello = client.next().await;
        assert_eq!(hello["event"], "pusher:connection_established", "{hello}");
        let data: Value = serde_json::from_str(hello["data"].as_str().unwrap()).unwrap();
        client.socket_id = data["socket_id"].as_str().unwrap().parse().ok();
        client
    }

    async fn client(&self) -> Client {
        self.client_of("shop").await
    }

    async fn publish(&self, channel: &str, name: &str, data: &str) {
        self.publish_except(channel, name, data, None).await;
    }

    async fn publish_except(
        &self,
        channel: &str,
        name: &str,
        data: &str,
        except: Option<SocketId>,
    ) {
        let channel = ChannelName::parse(channel, 200).unwrap();
        let event = ChannelEvent::new(channel, name.to_owned(), data.to_owned());
        assert_eq!(event.class, Class::Durable);
        self.channels.publish(self.app(), ChannelEvent { except, ..event }).await;
    }
}

/// What a client receives.
#[derive(Debug)]
enum Received {
    Frame(Value),
    Closed(Option<u16>),
}

/// A client without a library.
struct Client {
    stream: TcpStream,
    decoder: Decoder,
    received: VecDeque<Received>,
    socket_id: Option<SocketId>,
}

impl Client {
    async fn dial(address: SocketAddr, path: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Origin: https://any.example\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        let limits = websocket::Limits { message_bytes_max: 10_000_000, ..Default::default() };
        let decoder = Decoder::new(Role::Client, limits);
        Self { stream, decoder, received: VecDeque::new(), socket_id: None }
    }

    fn socket_id(&self) -> SocketId {
        self.socket_id.unwrap()
    }

    async fn send_message(&mut self, opcode: OpCode, payload: &[u8]) {
        let mut bytes = Vec::new();
        websocket::encode_masked(opcode, payload, [1, 2, 3, 4], &mut bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn send_text(&mut self, text: &str) {
        self.send_message(OpCode::Text, text.as_bytes()).await;
    }

    async fn send(&mut self, frame: Value) {
        self.send_text(&frame.to_string()).await;
    }

    async fn receive(&mut self) -> Received {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(received) = self.received.pop_front() {
                    return received;
                }
                let mut buffer = vec![0; 64 * 1024];
                let read = self.stream.read(&mut buffer).await.unwrap_or(0);
                if read == 0 {
                    return Received::Closed(None);
                }
                let received = &mut self.received;
                self.decoder
                    .feed(&mut buffer[..read], &mut |message| match message {
                        Message::Text(text) => {
                            let frame = serde_json::from_str(&text).expect("a JSON text");
                            received.push_back(Received::Frame(frame));
                        }
                        Message::Close { code, .. } => received.push_back(Received::Closed(code)),
                        Message::Pong(payload) => {
                            let text = String::from_utf8_lossy(&payload).into_owned();
                            received.push_back(Received::Frame(json!({ "websocket": text })));
                        }
                        other @ (Message::Binary(_) | Message::Ping(_)) => panic!("{other:?}"),
                    })
                    .unwrap();
            }
        })
        .await
        .expect("something comes in time")
    }

    /// The next frame.
    async fn next(&mut self) -> Value {
        match self.receive().await {
            Received::Frame(frame) => frame,
            Received::Closed(code) => panic!("closed with {code:?}"),
        }
    }

    /// The next frame of an event.
    async fn find(&mut self, event: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["event"] == event {
                return frame;
            }
        }
    }

    /// The code of the end, and the frames before.
    async fn end(&mut self) -> (Option<u16>, Vec<Value>) {
        let mut frames = Vec::new();
        loop {
            match self.receive().await {
                Received::Frame(frame) => frames.push(frame),
                Received::Closed(code) => return (code, frames),
            }
        }
    }

    /// Everything that is on the way.
    async fn settled(&mut self) -> Vec<Value> {
        self.send(json!({ "event": "pusher:ping", "data": {} })).await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            if frame["event"] == "pusher:pong" {
                return frames;
            }
            frames.push(frame);
        }
    }

    /// Names of the events that are on the way.
    async fn heard(&mut self) -> Vec<String> {
        let frames = self.settled().await;
        frames.iter().map(|frame| frame["event"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn subscribe_with(&mut self, channel: &str, auth: Option<String>, data: Option<&str>) {
        let mut frame = json!({ "channel": channel, "auth": auth.unwrap_or_default() });
        if let Some(data) = data {
            frame["channel_data"] = data.into();
        }
        self.send(json!({ "event": "pusher:subscribe", "data": frame })).await;
    }

    /// Asks to subscribe, signed as the channel needs it.
    async fn ask(&mut self, channel: &str, data: Option<&str>) {
        let name = ChannelName::parse(channel, 200).unwrap();
        let signature = signature::channel(SECRET, self.socket_id(), &name, data);
        self.subscribe_with(channel, Some(format!("shop-key:{signature}")), data).await;
    }

    /// Subscribes; gives the presence data, if there is any.
    async fn join(&mut self, channel: &str, data: Option<&str>) -> Value {
        self.ask(channel, data).await;
        loop {
            let frame = self.next().await;
            assert_ne!(frame["event"], "pusher:subscription_error", "{frame}");
            if frame["event"] == "pusher_internal:subscription_succeeded"
                && frame["channel"] == channel
            {
                return serde_json::from_str(frame["data"].as_str().unwrap()).unwrap();
            }
        }
    }

    /// Asks to subscribe and gives the data of the refusal.
    async fn refused(&mut self, channel: &str, data: Option<&str>) -> Value {
        self.ask(channel, data).await;
        self.find("pusher:subscription_error").await["data"].clone()
    }

    async fn unsubscribe(&mut self, channel: &str) {
        let data = json!({ "channel": channel });
        self.send(json!({ "event": "pusher:unsubscribe", "data": data })).await;
    }

    /// Signs in; the answer is still to come.
    async fn sign_in(&mut self, user_data: &str) {
        let signature = signature::user(SECRET, self.socket_id(), user_data);
        let auth = format!("shop-key:{signature}");
        let data = json!({ "auth": auth, "user_data": user_data });
        self.send(json!({ "event": "pusher:signin", "data": data })).await;
    }

    /// Says goodbye, and sees that it is heard.
    async fn close(mut self) {
        self.send_message(OpCode::Close, &1000_u16.to_be_bytes()).await;
        assert_eq!(self.end().await.0, Some(1000));
    }
}

/// The data of a server's event.
fn data(frame: &Value) -> Value {
    serde_json::from_str(frame["data"].as_str().expect("a string")).expect("JSON")
}

/// Waits until something holds.
async fn until(mut holds: impl FnMut() -> bool) {
    tokio::time::timeout(PATIENCE, async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it holds in time");
}
