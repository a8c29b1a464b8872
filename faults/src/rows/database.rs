//! F3, F4, F9: the database dies, hangs, and is cut off in the middle of what is said.

use std::time::Duration;

use anyhow::Result;
use mynah_testkit::programs::Data;
use mynah_testkit::proxy::{Mode, Way};
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::http::Http;
use crate::outcome::{Check, Outcome, megabytes, time};
use crate::plan::Plan;
use crate::scene::{Cast, Scene, owner};
use crate::site::Site;
use crate::token;

const BACK: Duration = Duration::from_secs(5);
const STATEMENT_LIMIT: Duration = Duration::from_secs(5);
/// What an answer may take beside the statement.
const SLACK: Duration = Duration::from_secs(1);
const GROWTH_MAX: u64 = 64_000_000;

/// F3.
pub(crate) async fn killed(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F3", Cast::usual(plan)).await?;
    let pids = site.pids();
    let (mut worst, mut acked_meanwhile) = (Duration::ZERO, 0);
    for _ in 0..plan.rounds(2, 10) {
        sleep(scene.dice.between(Duration::from_millis(100), Duration::from_millis(900))).await;
        scene.mark();
        block_in_place(|| site.database()?.kill().map_err(anyhow::Error::from))?;
        scene.faults += 1;
        let gone = Instant::now();
        sleep(plan.seconds(1.5, 5.0)).await;
        acked_meanwhile += scene.ledger.count_asked(gone, Instant::now());
        block_in_place(|| site.database()?.restart(Data::Kept).map_err(anyhow::Error::from))?;
        let back = Instant::now();
        worst = worst.max(scene.first_ack(back).await?);
        for node in 0..site.nodes.len() {
            worst = worst.max(scene.first_ack_of(node, back).await?);
        }
        scene.catch_up().await?;
    }
    let text = format!("{acked_meanwhile}");
    scene.check(Check::must("nothing is acknowledged meanwhile", acked_meanwhile == 0, text));
    scene.check(Check::within("first acknowledgement of each node after it is back", worst, BACK));
    let same = pids == site.pids();
    scene.check(Check::must("the pool heals without a restart", same, String::new()));
    let stayed = scene.all_stayed();
    scene.check(Check::must("sockets stay up", stayed, String::new()));
    scene.finish(site).await
}

/// F4.
pub(crate) async fn hangs(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F4", Cast::usual(plan)).await?;
    let address = site.node(0)?.address();
    for _ in 0..plan.rounds(1, 3) {
        scene.mark();
        let (began, length) = (Instant::now(), plan.seconds(8.0, 30.0));
        block_in_place(|| site.database()?.pause().map_err(anyhow::Error::from))?;
        scene.faults += 1;
        let (sent, health) =
            tokio::join!(refused_send(&scene, address, length), unready(address, began, length),);
        given_up(&mut scene, sent, length);
        let seen = health.map_or("ready all the time".to_owned(), time);
        scene.check(Check::measured("readiness says no", health.is_some(), seen));
        sleep(length.saturating_sub(began.elapsed())).await;
        block_in_place(|| site.database()?.resume().map_err(anyhow::Error::from))?;
        let back = Instant::now();
        for node in 0..site.nodes.len() {
            scene.first_ack_of(node, back).await?;
        }
        scene.catch_up().await?;
    }
    let stayed = scene.all_stayed();
    scene.check(Check::must("sockets stay up", stayed, String::new()));
    let growth = scene.growth();
    let what = format!("queues are bounded: memory growth ≤ {}", megabytes(GROWTH_MAX));
    scene.check(Check::measured(what, growth <= GROWTH_MAX, megabytes(growth)));
    scene.finish(site).await
}

/// What became of a send while the database hung.
fn given_up(scene: &mut Scene, sent: Option<(u16, Duration)>, length: Duration) {
    let limit = STATEMENT_LIMIT + SLACK;
    let Some((status, took)) = sent else {
        let what = format!("a statement is given up ≤ {}", time(limit));
        let seen = format!("no answer within {}", time(length));
        return scene.check(Check::measured(what, false, seen));
    };
    let is_refused = !(200..300).contains(&status);
    let seen = format!("HTTP {status}");
    scene.check(Check::must("a send is refused, not acknowledged", is_refused, seen));
    scene.check(Check::within("a statement is given up", took, limit));
}

/// Sends one message and says what came of it, and when.
async fn refused_send(
    scene: &Scene,
    address: std::net::SocketAddr,
    limit: Duration,
) -> Option<(u16, Duration)> {
    let mut http = Http::new(address, &token::sign(&owner(&scene.course.prefix)));
    let path = format!("/v1/rooms/{}/messages", scene.course.rooms.first()?);
    let body = json!({ "content": "into the void" }).to_string();
    let began = Instant::now();
    let answer = http.call("POST", &path, Some(body), limit).await.ok()?;
    Some((answer.status, began.elapsed()))
}

/// How long after `began` a node said that it is not ready, if it did before `length` was over.
async fn unready(
    address: std::net::SocketAddr,
    began: Instant,
    length: Duration,
) -> Option<Duration> {
    let mut http = Http::new(address, "");
    while began.elapsed() < length {
        let left = length.saturating_sub(began.elapsed());
        match http.call("GET", "/readyz", None, left).await {
            Ok(answer) if answer.status != 200 => return Some(began.elapsed()),
            Ok(_) | Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
    None
}

/// F9.
pub(crate) async fn resets(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F9", Cast::usual(plan)).await?;
    let pids = site.pids();
    let rounds = plan.rounds(6, 64);
    for round in 0..rounds {
        // Small and large k alike: what is cut is a message of the protocol, a statement or a batch.
        let k = (1 + scene.dice.below(1 << (1 + round % 12))).min(4_096) as usize;
        let way = if round % 2 == 0 { Way::Up } else { Way::Down };
        let index = round % site.nodes.len();
        let link = site.node(index)?.store_link.as_ref();
        let Some(link) = link else { continue };
        scene.mark();
        let before = link.traffic().ended;
        link.set(Mode::DropAfter(way, k));
        sleep(scene.dice.between(Duration::from_millis(80), Duration::from_millis(300))).await;
        scene.faults += link.traffic().ended.saturating_sub(before).min(1);
        link.set(Mode::Pass);
        scene.first_ack_of(index, Instant::now()).await?;
    }
    scene.catch_up().await?;
    let text = format!("{} of {rounds}", scene.faults);
    scene.check(Check::must("connections were reset", scene.faults > 0, text));
    let same = pids == site.pids();
    scene.check(Check::must("no node ends", same, String::new()));
    scene.finish(site).await
}
