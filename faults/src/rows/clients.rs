//! F14, F15, F20: what clients and their networks do.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mynah_testkit::proxy::{Mode, Way};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::nodes::crowd;
use crate::http::Http;
use crate::ledger::{Ack, Draft};
use crate::listen::{Habit, Listener, Seat, side_by_side};
use crate::outcome::{Check, Outcome, time};
use crate::plan::Plan;
use crate::presence;
use crate::scene::{Cast, Scene, make_rooms, until};
use crate::site::{PING_INTERVAL, PING_TIMEOUT, Site};
use crate::token;

const STORM: Duration = Duration::from_secs(20);
const BOUND: Duration = Duration::from_mins(3);
/// Reading the session, the rooms, their heads and what was missed, and the notes that a connection leaves.
const TRANSACTIONS_MAX: f64 = 10.0;
const RACERS: usize = 8;
const SEND_LIMIT: Duration = Duration::from_secs(10);

/// F14.
pub(crate) async fn half_open(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F14", Cast::usual(plan)).await?;
    let limit = PING_INTERVAL + PING_TIMEOUT + Duration::from_secs(1);
    let mut ended = Duration::ZERO;
    for round in 0..plan.rounds(1, 6) {
        let index = round % site.nodes.len();
        let node = site.node(index)?;
        let names: Vec<String> =
            (0..3).map(|n| format!("{}-h{round}-{n}", scene.course.prefix)).collect();
        let room = make_rooms(site, &scene.course.prefix, 1, &names).await?;
        let sit = |name: &String| Seat {
            name: name.clone(),
            token: token::sign(name),
            addresses: vec![node.entry_address],
            home: index,
            habit: Habit::Stays,
            rooms: room.clone(),
            seed: plan.seed,
        };
        let half: Vec<Listener> = names.iter().map(sit).map(Listener::start).collect();
        until("connections", BOUND, || half.iter().all(Listener::was_connected)).await?;
        let ids: Vec<String> = half.iter().map(|l| l.notes.lock().user_id.clone()).collect();
        let room = room.first().context("no room")?;
        let (address, prefix) = (node.address(), scene.course.prefix.clone());
        let mut online = online(address, &prefix, room, &ids).await?;
        // Clients know that they are connected a moment before others do.
        let asked = Instant::now();
        while online < ids.len() && asked.elapsed() < SEND_LIMIT {
            sleep(Duration::from_millis(50)).await;
            online = self::online(address, &prefix, room, &ids).await?;
        }
        scene.check(Check::must("they are seen online", online == ids.len(), online.to_string()));
        scene.mark();
        // Nothing of the clients comes through any more, not even their end; that the node ended them does.
        node.entry.set(Mode::BlackHole(Way::Up));
        scene.faults += half.len() as u64;
        let began = Instant::now();
        let is_connected = |listener: &Listener| listener.notes.lock().is_connected;
        until("half-open connections to end", BOUND, || !half.iter().any(is_connected)).await?;
        ended = ended.max(began.elapsed());
        let mut left = ids.len();
        while left > 0 && began.elapsed() < BOUND {
            sleep(Duration::from_millis(100)).await;
            left = self::online(address, &prefix, room, &ids).await?;
        }
        scene.check(Check::must("presence follows", left == 0, format!("{left} left")));
        let followed =
            format!("presence followed {} later", time(began.elapsed().saturating_sub(ended)));
        scene.remarks.push(followed);
        node.entry.set(Mode::Pass);
    }
    scene.check(Check::within("they end, pingInterval + pingTimeout + 1 s", ended, limit));
    scene.catch_up().await?;
    scene.finish(site).await
}

async fn online(
    node: std::net::SocketAddr,
    prefix: &str,
    room: &str,
    ids: &[String],
) -> Result<usize> {
    let told = presence::of_room(node, prefix, room).await?;
    Ok(ids.iter().filter(|id| told.get(*id).is_some_and(|status| status != "offline")).count())
}

/// F15.
pub(crate) async fn storm(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let size = plan.pick(200, 5_000);
    let crowd = crowd(site, plan, "f15", size, true);
    until("the crowd to be connected", BOUND, || crowd.connected() == size).await?;
    let mut scene = Scene::begin(site, plan, "F15", Cast::usual(plan)).await?;
    let (mut worst, mut most) = (Duration::ZERO, None::<f64>);
    for _ in 0..plan.rounds(1, 4) {
        sleep(Duration::from_secs(1)).await;
        let (before, acked) = (transactions(site)?, scene.ledger.count());
        let connections = crowd.connections();
        scene.mark();
        site.nodes.iter().for_each(|node| node.entry.reset_open());
        scene.faults += 1;
        let began = Instant::now();
        let goal = connections + size as u64;
        until("the crowd to be back", BOUND, || {
            crowd.connections() >= goal && crowd.connected() == size
        })
        .await?;
        worst = worst.max(began.elapsed());
        let acked = (scene.ledger.count() - acked) as u64;
        if let (Some(before), Some(after)) = (before, transactions(site)?) {
            // The load goes on meanwhile: at most one transaction per acknowledgement is its own.
            let each = (after - before).saturating_sub(acked) as f64 / size as f64;
            most = Some(most.unwrap_or_default().max(each));
        }
        scene.catch_up().await?;
    }
    scene.check(Check::within(format!("all {size} are back"), worst, STORM));
    if let Some(most) = most {
        let what = format!("database transactions per client ≤ {TRANSACTIONS_MAX}");
        scene.check(Check::measured(what, most <= TRANSACTIONS_MAX, format!("{most:.1}")));
    }
    scene.remarks.push("no login: every client comes back with the token it had".to_owned());
    scene.finish(site).await
}

/// Transactions of the database so far.
fn transactions(site: &Site) -> Result<Option<u64>> {
    let Some(database) = &site.database else { return Ok(None) };
    let sql = "SELECT pg_stat_force_next_flush(); \
               SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'";
    let answer = tokio::task::block_in_place(|| database.query(sql))?;
    Ok(answer.lines().filter_map(|line| line.trim().parse().ok()).next_back())
}

/// F20.
pub(crate) async fn duplicates(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F20", Cast::usual(plan)).await?;
    let races = plan.rounds(120, 1_000);
    let course = scene.course.clone();
    let racers = (0..RACERS).map(|racer| {
        let (course, ledger) = (course.clone(), Arc::clone(&scene.ledger));
        async move {
            // A sender of the load is member of the rooms.
            let sender = racer % course.senders.max(1);
            let token = token::sign(&crate::load::sender_name(&course.prefix, sender));
            let [first, second] = [0, 1].map(|n| course.nodes.get(n).or(course.nodes.first()));
            let (Some(first), Some(second)) = (first, second) else { return 0 };
            let (mut one, mut two) = (Http::new(*first, &token), Http::new(*second, &token));
            let mut failed = 0;
            for race in (racer..races).step_by(RACERS) {
                let client_id = format!("{}-race-{race}", course.prefix);
                // Turns of their own, above those of the load.
                let draft = Draft { client_id, room: 0, sender: 1_000 + racer, turn: race as u64 };
                let room = course.rooms.first().map_or("", String::as_str);
                let body = json!({ "content": draft.client_id, "clientId": draft.client_id });
                let path = format!("/v1/rooms/{room}/messages");
                let (body, asked) = (body.to_string(), Instant::now());
                let (a, b) = tokio::join!(
                    one.call("POST", &path, Some(body.clone()), SEND_LIMIT),
                    two.call("POST", &path, Some(body), SEND_LIMIT),
                );
                for (node, answer) in [a, b].into_iter().enumerate() {
                    let ack = answer.ok().and_then(|answer| Ack::read(&answer.ok("send").ok()?));
                    match ack {
                        Some(ack) => ledger.note(&draft, ack, (node, asked)),
                        None => failed += 1,
                    }
                }
            }
            failed
        }
    });
    let began = Instant::now();
    let failed: u32 = side_by_side(racers.collect::<Vec<_>>()).await.into_iter().sum();
    scene.faults += races as u64;
    scene.remarks.push(format!("{races} races in {}", time(began.elapsed())));
    scene.check(Check::must("every racing send is answered", failed == 0, format!("{failed} not")));
    scene.catch_up().await?;
    scene.finish(site).await
}
