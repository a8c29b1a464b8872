//! F18: what nobody should have stored or sent is met without a crash.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

use super::schema::{in_file, in_postgres};
use crate::dice::Dice;
use crate::http::Http;
use crate::outcome::{Check, Outcome};
use crate::plan::Plan;
use crate::scene::{Cast, Scene, make_rooms, owner};
use crate::site::{Broker, Site};
use crate::socket::Socket;
use crate::token;

const CALL_LIMIT: Duration = Duration::from_secs(15);
const LISTEN: Duration = Duration::from_millis(1_500);

/// Poisons, each done to one message of the room: what it is, and what is stored.
const STORED: [(&str, &str); 5] = [
    ("metadata that is no JSON", "UPDATE messages SET metadata = '{\"broken' WHERE {which}"),
    ("a content of 1 MB", "UPDATE messages SET content = {megabyte} WHERE {which}"),
    (
        "an escaped lone surrogate",
        "UPDATE messages SET metadata = '{\"a\":\"\\ud800\"}' WHERE {which}",
    ),
    ("a kind that nobody knows", "UPDATE messages SET kind = 'hologram' WHERE {which}"),
    ("an event of a later version", "UPDATE events SET kind = 99 WHERE {event}"),
];

/// F18.
pub(crate) async fn poison(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F18", Cast::usual(plan)).await?;
    let pids = site.pids();
    for (what, sql) in STORED {
        scene.mark();
        stored(site, &mut scene, what, sql).await?;
    }
    if site.broker.is_some() {
        on_the_broker(site, &mut scene, plan).await?;
    }
    let same = pids == site.pids() && all_run(site)?;
    scene.check(Check::must("no node ends", same, String::new()));
    scene.catch_up().await?;
    scene.finish(site).await
}

fn all_run(site: &mut Site) -> Result<bool> {
    let mut all = true;
    for node in &mut site.nodes {
        all &= block_in_place(|| node.program.ended())?.is_none();
    }
    Ok(all)
}

/// Poisons a room of its own, and then reads it, sends to it and connects to it on every node.
async fn stored(site: &Site, scene: &mut Scene, what: &str, sql: &str) -> Result<()> {
    // Whoever makes the rooms of the scene reads them back: this is another one.
    let prefix = format!("{}-poison", scene.course.prefix);
    let rooms = make_rooms(site, &prefix, 1, &[]).await?;
    let room = rooms.first().context("no room")?;
    let token = token::sign(&owner(&prefix));
    let path = format!("/v1/rooms/{room}/messages");
    let mut http = Http::new(site.node(0)?.address(), &token);
    let send = |n: usize| Some(json!({ "content": format!("m{n}") }).to_string());
    for n in 0..3 {
        http.call("POST", &path, send(n), CALL_LIMIT).await?.ok("a message")?;
    }
    let poisoned = block_in_place(|| write(site, room, sql));
    if let Err(error) = poisoned {
        let error = error.to_string();
        let first = error.lines().last().unwrap_or_default();
        scene.remarks.push(format!("{what}: the store does not take it ({first})"));
        return Ok(());
    }
    scene.faults += 1;
    for node in &site.nodes {
        let mut http = Http::new(node.address(), &token);
        let history = http.call("GET", &path, None, CALL_LIMIT).await?;
        // Counted in the text: a lone surrogate is JSON that this program's parser does not take.
        let items = history.text.matches("\"createdAt\":").count();
        let seen = format!("HTTP {}, {items} messages", history.status);
        let readable = history.status == 200 && items >= 2;
        scene.check(Check::must(format!("{what}: the room is still readable"), readable, seen));
        let sent = http.call("POST", &path, send(9), CALL_LIMIT).await?;
        let seen =
            format!("HTTP {}: {}", sent.status, sent.text.chars().take(120).collect::<String>());
        scene.check(Check::must(format!("{what}: it takes messages"), sent.status == 201, seen));
        let synced = http.call("GET", "/v1/sync?since=0&limit=1000", None, CALL_LIMIT).await?;
        let seen = format!("HTTP {}", synced.status);
        scene.check(Check::must(
            format!("{what}: the log is still readable"),
            synced.status == 200,
            seen,
        ));
        let since = json!({ room.as_str(): 1 });
        let socket = Socket::open(node.address(), &token, &since, CALL_LIMIT).await;
        let seen = socket.as_ref().map_or_else(|error| format!("{error:#}"), |_| String::new());
        scene.check(Check::must(format!("{what}: members connect"), socket.is_ok(), seen));
    }
    Ok(())
}

fn write(site: &Site, room: &str, sql: &str) -> Result<String> {
    let room = format!("(SELECT id FROM rooms WHERE ext_id = '{room}')");
    let first = format!("room_id = {room} AND number = 2");
    let event =
        format!("stream_id = 2 * {room} AND seq = (SELECT seq FROM messages WHERE {first})");
    let postgres = "repeat('x', 1000000)";
    let sqlite = "replace(hex(zeroblob(500000)), '0', 'x')";
    let megabyte = if site.database.is_some() { postgres } else { sqlite };
    let sql =
        sql.replace("{which}", &first).replace("{event}", &event).replace("{megabyte}", megabyte);
    match &site.database {
        Some(database) => in_postgres(database, "postgres", &sql),
        None => in_file(&site.node(0)?.program.data_dir(), &sql),
    }
}

/// Sends random bytes on every channel on which nodes talk.
async fn on_the_broker(site: &Site, scene: &mut Scene, plan: &Plan) -> Result<()> {
    let before = garbage_counted(site).await;
    let broker = site.broker.as_ref().context("no broker")?;
    let garbage = garbage(&mut Dice::new(plan.seed), plan.pick(40, 200));
    let port = broker.port();
    let channels = match broker {
        Broker::Redis(_) => redis(port, &garbage).await?,
        Broker::Nats(_) => nats(port, &garbage).await?,
    };
    scene.faults += 1;
    let seen = format!("{channels} channels, {} payloads each", garbage.len());
    scene.check(Check::must("channels were found", channels > 0, seen));
    sleep(Duration::from_millis(500)).await;
    scene.flow(50, Duration::from_secs(30)).await?;
    let after = garbage_counted(site).await;
    let counted = after.unwrap_or(0.0) > before.unwrap_or(0.0);
    let seen = format!("{before:?} before, {after:?} after");
    scene.check(Check::must("garbage on the broker is counted", counted, seen));
    Ok(())
}

/// Payloads that the nodes could not read, if they count them.
async fn garbage_counted(site: &Site) -> Option<f64> {
    let mut sum = None;
    for node in &site.nodes {
        let value = node.metric("mynah_broker_garbage_total").await;
        sum = value.map_or(sum, |value| Some(sum.unwrap_or(0.0) + value));
    }
    sum
}

/// Nothing, single bytes, random bytes of all lengths, JSON and deep nesting.
fn garbage(dice: &mut Dice, count: usize) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new(), b"{}".to_vec(), vec![0x91; 20_000], b"[".repeat(20_000)];
    for _ in all.len()..count {
        let most = 1 << dice.below(13);
        let length = dice.below(most);
        all.push((0..length).map(|_| dice.next() as u8).collect());
    }
    all
}

/// Publishes everything on all channels that have subscribers; how many there are.
async fn redis(port: u16, garbage: &[Vec<u8>]) -> Result<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let mut channels = Vec::new();
    for (list, publish) in [("CHANNELS", "PUBLISH"), ("SHARDCHANNELS", "SPUBLISH")] {
        stream.write_all(format!("PUBSUB {list}\r\n").as_bytes()).await?;
        let answer = drained(&mut stream).await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let names =
            text.split("\r\n").filter(|line| !line.is_empty() && !line.starts_with(['*', '$']));
        channels.extend(names.map(|name| (publish, name.to_owned())));
    }
    for (publish, channel) in &channels {
        let mut batch = Vec::new();
        for payload in garbage {
            let head = format!(
                "*3\r\n${}\r\n{publish}\r\n${}\r\n{channel}\r\n${}\r\n",
                publish.len(),
                channel.len(),
                payload.len()
            );
            batch.extend_from_slice(head.as_bytes());
            batch.extend_from_slice(payload);
            batch.extend_from_slice(b"\r\n");
        }
        stream.write_all(&batch).await?;
    }
    drained(&mut stream).await?;
    Ok(channels.len())
}

/// Publishes everything on all subjects that are used within a moment; how many there are.
async fn nats(port: u16, garbage: &[Vec<u8>]) -> Result<usize> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\n").await?;
    let mut heard = Vec::new();
    let listen = async { while stream.read_buf(&mut heard).await.is_ok_and(|count| count > 0) {} };
    drop(timeout(LISTEN, listen).await);
    stream.write_all(b"UNSUB 1\r\n").await?;
    let text = String::from_utf8_lossy(&heard).into_owned();
    let lines = text.split("\r\n").filter_map(|line| line.strip_prefix("MSG "));
    let mut subjects: Vec<&str> = lines.filter_map(|line| line.split(' ').next()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    for subject in &subjects {
        let mut batch = Vec::new();
        for payload in garbage {
            batch.extend_from_slice(format!("PUB {subject} {}\r\n", payload.len()).as_bytes());
            batch.extend_from_slice(payload);
            batch.extend_from_slice(b"\r\n");
        }
        stream.write_all(&batch).await?;
    }
    stream.write_all(b"PING\r\n").await?;
    drained(&mut stream).await?;
    Ok(subjects.len())
}

/// Reads an answer, until nothing more comes for a moment.
async fn drained(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let (mut bytes, mut patience) = (Vec::new(), CALL_LIMIT);
    loop {
        match timeout(patience, stream.read_buf(&mut bytes)).await {
            Ok(Ok(count)) if count > 0 => patience = Duration::from_millis(150),
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(_)) | Err(_) => return Ok(bytes),
        }
    }
}
