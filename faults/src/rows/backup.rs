//! F23: a backup made under load, restored elsewhere.

use std::time::Duration;

use anyhow::{Context as _, Result};
use mynah_testkit::programs::{Mynah, MynahSetup};
use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};

use crate::http::Http;
use crate::judge;
use crate::ledger::Acked;
use crate::outcome::{Check, Outcome, time};
use crate::plan::Plan;
use crate::scene::{Cast, Scene, owner};
use crate::site::{Site, SiteSetup, StoreKind, environment, local};
use crate::socket::{Heard, Socket};
use crate::token;

const CALL_LIMIT: Duration = Duration::from_secs(15);
const TOLD_LIMIT: Duration = Duration::from_secs(10);

/// F23, on SQLite: PostgreSQL has tools of its own for this.
pub(crate) async fn under_load(plan: &Plan) -> Result<Outcome> {
    let setup = SiteSetup { nodes: 1, store: StoreKind::Sqlite, ..plan.setup.clone() };
    let site = Site::start(&setup).await?;
    let mut scene = Scene::begin(&site, plan, "F23", Cast::usual(plan)).await?;
    for round in 0..plan.rounds(2, 6) {
        scene.mark();
        let acked = scene.ledger.acked();
        let program = &site.node(0)?.program;
        let file = program.data_dir().with_file_name(format!("backup-{round}"));
        let name = file.display().to_string();
        let began = Instant::now();
        block_in_place(|| program.command(&["backup", "--to", &name]))?;
        scene.faults += 1;
        scene.remarks.push(format!("backup {round} took {}", time(began.elapsed())));
        restored(&site, &mut scene, &name, &acked).await?;
        sleep(plan.seconds(0.5, 5.0)).await;
    }
    scene.finish(&site).await
}

/// Restores the file into another folder, starts a node there and looks at what it has.
async fn restored(site: &Site, scene: &mut Scene, file: &str, acked: &[Acked]) -> Result<()> {
    let setup = MynahSetup { binary: site.setup.binary.clone(), environment: environment() };
    let mut copy = block_in_place(|| -> Result<Mynah> {
        let mut copy = Mynah::start(setup)?;
        copy.kill()?;
        std::fs::remove_dir_all(copy.data_dir())?;
        copy.command(&["restore", "--from", file])?;
        copy.restart()?;
        Ok(copy)
    })?;
    let address = local(copy.port());
    let (course, reader) = (&scene.course, token::sign(&owner(&scene.course.prefix)));
    let log = judge::read(address, &reader, &course.rooms).await?;
    let numbered = log.iter().all(|events| {
        events.iter().enumerate().all(|(place, event)| event.seq == place as u64 + 1)
    });
    let stored = log.iter().flatten().filter_map(|event| event.message.as_ref());
    let stored: std::collections::HashMap<&str, _> =
        stored.map(|(ack, client_id)| (client_id.as_str(), ack)).collect();
    let missing = acked.iter().filter(|acked| {
        stored.get(acked.draft.client_id.as_str()).is_none_or(|stored| **stored != acked.ack)
    });
    let missing = missing.count();
    let room = course.rooms.first().context("no room")?.clone();
    let head = log.first().map_or(0, Vec::len) as u64;
    let seen = format!("{missing} of {} missing", acked.len());
    scene.check(Check::must("the copy is numbered without gaps", numbered, String::new()));
    scene.check(Check::must("what was acknowledged before is in the copy", missing == 0, seen));
    // Somebody who has heard more than the copy has.
    let ahead = json!({ room.as_str(): head + 3 });
    let told = told_to_read(address, &reader, &ahead, &room).await;
    let seen = told.as_ref().map_or_else(|error| format!("{error:#}"), |()| String::new());
    scene.check(Check::must("clients ahead of the copy are told to read anew", told.is_ok(), seen));
    let mut http = Http::new(address, &reader);
    let (path, body) = (format!("/v1/rooms/{room}/messages"), json!({ "content": "after" }));
    let sent = http.call("POST", &path, Some(body.to_string()), CALL_LIMIT).await?;
    let seq = sent.ok("a message to the copy")?.get("seq").and_then(Value::as_u64);
    let seen = format!("{seq:?} after {head}");
    scene.check(Check::must("seq goes on without reuse", seq > Some(head), seen));
    block_in_place(|| copy.kill())?;
    Ok(())
}

/// Connects with a place that is not there and waits for `room.resync`.
async fn told_to_read(
    address: std::net::SocketAddr,
    token: &str,
    since: &Value,
    room: &str,
) -> Result<()> {
    let (mut socket, _) = Socket::open(address, token, since, CALL_LIMIT).await?;
    let told = async {
        loop {
            if let Heard::Event { name, body } = socket.next().await?
                && name == "room.resync"
                && body.get("roomId").and_then(Value::as_str) == Some(room)
            {
                return anyhow::Ok(());
            }
        }
    };
    timeout(TOLD_LIMIT, told).await.context("no room.resync")?
}
