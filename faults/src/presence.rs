//! Who is online, as nodes tell it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::scene::{Scene, owner};
use crate::site::Site;
use crate::socket::Socket;
use crate::token;

const ASK_LIMIT: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Status by user id of the members of a room, as a node tells the one who made the room.
pub(crate) async fn of_room(
    node: SocketAddr,
    prefix: &str,
    room: &str,
) -> Result<BTreeMap<String, String>> {
    let token = token::sign(&owner(prefix));
    let (mut socket, _) = Socket::open(node, &token, &json!({}), ASK_LIMIT).await?;
    let answer = socket.ask("presence.query", &json!({ "roomId": room }), ASK_LIMIT).await?;
    let users = answer.get("users").and_then(Value::as_array).context("no users")?;
    let text = |user: &Value, name: &str| {
        user.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    Ok(users.iter().map(|user| (text(user, "userId"), text(user, "status"))).collect())
}

/// Waits until all nodes tell the same of the first room's listeners; how long it took, or in what they differ.
pub(crate) async fn agreed(
    site: &Site,
    scene: &Scene,
    limit: Duration,
) -> Result<Result<Duration, String>> {
    let began = Instant::now();
    let room = scene.course.rooms.first().context("no room")?;
    // Those that roam and those who ask come and go.
    let ids = scene.steady_users();
    loop {
        let mut told = Vec::new();
        for address in site.addresses() {
            let mut all = of_room(address, &scene.course.prefix, room).await?;
            all.retain(|id, _| ids.contains(id));
            told.push(all);
        }
        let (first, others) = told.split_first().context("no node")?;
        if others.iter().all(|other| other == first) {
            return Ok(Ok(began.elapsed()));
        }
        if began.elapsed() > limit {
            return Ok(Err(format!("{told:?}")));
        }
        sleep(ASK_AGAIN).await;
    }
}

/// Waits until a node tells that these users are in `status`; how long it took, or who is not.
pub(crate) async fn told(
    node: SocketAddr,
    scene: &Scene,
    (ids, status): (&[String], &str),
    limit: Duration,
) -> Result<Result<Duration, String>> {
    let began = Instant::now();
    let room = scene.course.rooms.first().context("no room")?;
    loop {
        let all = of_room(node, &scene.course.prefix, room).await?;
        let other: Vec<_> =
            ids.iter().filter(|id| all.get(*id).is_none_or(|s| s != status)).collect();
        if other.is_empty() {
            return Ok(Ok(began.elapsed()));
        }
        if began.elapsed() > limit {
            return Ok(Err(format!("{} of {} not {status}", other.len(), ids.len())));
        }
        sleep(ASK_AGAIN).await;
    }
}
