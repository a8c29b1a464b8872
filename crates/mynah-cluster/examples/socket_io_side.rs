//! Mynah's side of a cluster of Socket.IO servers without a Mynah: sockets that exist only here, driven by JSON lines.
//!
//! `socket_io_side REDIS_URL NAMESPACE classic|sharded` reads commands such as
//! `{"do":"add","socket":"s1","rooms":["r1"]}` and `{"do":"emit","rooms":["r1"],"event":"hello","args":[1]}`, and writes
//! what the sockets hear: `{"heard":"emit","sockets":["s1"],"event":"hello","args":[1],"attachments":[]}`.

#![expect(clippy::print_stdout, reason = "what it is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead as _;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use mynah_cluster::redis::RedisOptions;
use mynah_cluster::socket_io::{
    Answers, Arguments, Emission, Flags, Format, Handshake, LocalSocket, LocalSockets, SocketIoBus,
    SocketIoOptions, Target,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Sockets and the rooms they are in.
#[derive(Default)]
struct Side {
    sockets: Mutex<BTreeMap<String, BTreeSet<String>>>,
    bus: OnceLock<SocketIoBus>,
}

impl Side {
    fn meant(&self, target: &Target) -> Vec<String> {
        let sockets = self.sockets.lock();
        let meant = sockets.iter().filter(|(_, rooms)| target.covers(|room| rooms.contains(room)));
        meant.map(|(id, _)| id.clone()).collect()
    }

    async fn enter(&self, namespace: &str, socket: &str, rooms: &[String]) {
        for room in rooms {
            if let Some(in_rooms) = self.sockets.lock().get_mut(socket) {
                in_rooms.insert(room.clone());
            }
            if let Some(bus) = self.bus.get() {
                bus.room_opened(namespace, room).await;
            }
        }
    }
}

fn say(value: &Value) {
    println!("{value}");
}

fn shown(emission: &Emission) -> Value {
    let args: Vec<Value> =
        emission.arguments.json.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
    let attachments: Vec<Vec<u8>> =
        emission.arguments.attachments.iter().map(|bytes| bytes.to_vec()).collect();
    json!({ "event": emission.event, "args": args, "attachments": attachments })
}

fn told(heard: &str, sockets: &[String], mut more: Value) {
    if let Some(members) = more.as_object_mut() {
        members.insert("heard".to_owned(), heard.into());
        members.insert("sockets".to_owned(), sockets.into());
    }
    say(&more);
}

#[async_trait]
impl LocalSockets for Side {
    fn has_room(&self, _namespace: &str, room: &str) -> bool {
        self.sockets.lock().values().any(|rooms| rooms.contains(room))
    }

    async fn emit(&self, _: &str, target: &Target, emission: Arc<Emission>, flags: Flags) {
        let mut more = shown(&emission);
        if let Some(members) = more.as_object_mut() {
            members.insert("volatile".to_owned(), flags.is_volatile.into());
        }
        told("emit", &self.meant(target), more);
    }

    async fn emit_with_ack(
        &self,
        _: &str,
        (target, _): (&Target, Flags),
        emission: Arc<Emission>,
        answers: Answers,
    ) -> usize {
        let meant = self.meant(target);
        told("emitWithAck", &meant, shown(&emission));
        for id in &meant {
            let answer = Arguments::new(vec![json!({ "from": id }).to_string()]);
            drop(answers.send(answer).await);
        }
        meant.len()
    }

    async fn sockets(&self, _: &str, target: &Target) -> Vec<LocalSocket> {
        let sockets = self.sockets.lock();
        let meant = sockets.iter().filter(|(_, rooms)| target.covers(|room| rooms.contains(room)));
        let socket = |(id, rooms): (&String, &BTreeSet<String>)| LocalSocket {
            id: id.clone(),
            rooms: rooms.iter().cloned().collect(),
            data: json!({ "name": id }),
            handshake: Handshake { address: "127.0.0.1".to_owned(), ..Handshake::default() },
        };
        meant.map(socket).collect()
    }

    async fn rooms(&self, _: &str) -> Vec<String> {
        let sockets = self.sockets.lock();
        let rooms: BTreeSet<&String> = sockets.values().flatten().collect();
        rooms.into_iter().cloned().collect()
    }

    async fn join(&self, namespace: &str, target: &Target, rooms: &[String]) {
        let meant = self.meant(target);
        for id in &meant {
            self.enter(namespace, id, rooms).await;
        }
        told("join", &meant, json!({ "rooms": rooms }));
    }

    async fn leave(&self, _: &str, target: &Target, rooms: &[String]) {
        let meant = self.meant(target);
        for id in &meant {
            if let Some(in_rooms) = self.sockets.lock().get_mut(id) {
                in_rooms.retain(|room| !rooms.contains(room));
            }
        }
        told("leave", &meant, json!({ "rooms": rooms }));
    }

    async fn disconnect(&self, _: &str, target: &Target, is_whole: bool) {
        let meant = self.meant(target);
        self.sockets.lock().retain(|id, _| !meant.contains(id));
        told("disconnect", &meant, json!({ "whole": is_whole }));
    }

    async fn server_side(&self, _: &str, emission: Arc<Emission>) -> Arguments {
        told("serverSide", &[], shown(&emission));
        Arguments::new(vec![json!({ "from": "mynah" }).to_string()])
    }
}

fn names(command: &Value, member: &str) -> Vec<String> {
    let items = command.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn emission(command: &Value) -> Emission {
    let args = command.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
    let bytes = command.get("attachments").cloned().unwrap_or_default();
    let attachments: Vec<Vec<u8>> = serde_json::from_value(bytes).unwrap_or_default();
    Emission {
        event: command.get("event").and_then(Value::as_str).unwrap_or("event").to_owned(),
        arguments: Arguments {
            json: args.iter().map(Value::to_string).collect(),
            attachments: attachments.into_iter().map(Into::into).collect(),
        },
    }
}

async fn obey(side: &Side, bus: &SocketIoBus, namespace: &str, command: &Value) {
    let target = Target { rooms: names(command, "rooms"), except: names(command, "except") };
    match command.get("do").and_then(Value::as_str) {
        Some("add") => {
            let socket = command.get("socket").and_then(Value::as_str).unwrap_or("s").to_owned();
            side.sockets.lock().insert(socket.clone(), BTreeSet::new());
            let mut rooms = target.rooms;
            rooms.push(socket.clone());
            side.enter(namespace, &socket, &rooms).await;
            say(&json!({ "added": socket }));
        }
        Some("emit") => bus.emit(namespace, (&target, Flags::default()), &emission(command)),
        Some("join") => bus.ask_to_join(namespace, target, names(command, "names")),
        Some("leave") => bus.ask_to_leave(namespace, target, names(command, "names")),
        Some("disconnect") => bus.ask_to_disconnect(namespace, target, false),
        Some("serverSide") => bus.emit_server_side(namespace, emission(command)),
        _ => {
            let stats = bus.stats();
            let (garbage, broadcasts) = (stats.garbage, stats.broadcasts);
            let up = stats.broker.is_up;
            say(&json!({ "garbage": garbage, "broadcasts": broadcasts, "up": up }));
        }
    }
}

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let url = words.next().unwrap_or_else(|| "redis://127.0.0.1".to_owned());
    let namespace = words.next().unwrap_or_else(|| "/".to_owned());
    let is_sharded = words.next().as_deref() == Some("sharded");
    let format = if is_sharded { Format::Sharded } else { Format::Classic };
    let options = SocketIoOptions {
        format,
        ..SocketIoOptions::new(RedisOptions::new(url), vec![namespace.clone()])
    };
    let side = Arc::new(Side::default());
    let bus = SocketIoBus::join(&options, Arc::clone(&side) as Arc<dyn LocalSockets>)
        .expect("the url can be read");
    drop(side.bus.set(bus.clone()));
    let (lines, mut commands) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = commands.recv().await {
        let Ok(command) = serde_json::from_str::<Value>(&line) else { continue };
        obey(&side, &bus, &namespace, &command).await;
    }
    bus.stop().await;
}
