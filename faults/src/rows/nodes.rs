//! F1, F2, F16, F27: nodes die, leave and freeze.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};

use crate::http::Http;
use crate::listen::{Crowd, Habit, Listener, Seat};
use crate::outcome::{Check, Outcome, time};
use crate::plan::Plan;
use crate::presence;
use crate::scene::{Cast, Scene, owner, until};
use crate::site::{DRAIN_S, Node, Site};
use crate::socket::Socket;
use crate::token;

const BACK: Duration = Duration::from_secs(3);
const FAIL_OVER: Duration = Duration::from_secs(5);
const OFFLINE: Duration = Duration::from_mins(1);
const LEFT: Duration = Duration::from_secs(30);
const AT_ONCE: Duration = Duration::from_secs(1);
const BOUND: Duration = Duration::from_mins(2);
const SPEAK_LIMIT: Duration = Duration::from_secs(10);
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// F1.
pub(crate) async fn killed_and_started_again(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let cast = Cast { stay: 0, ..Cast::usual(plan) };
    let mut scene = Scene::begin(site, plan, "F1", cast).await?;
    let mut worst = Duration::ZERO;
    for round in 0..plan.rounds(3, 20) {
        let victim = round % site.nodes.len();
        sleep(scene.dice.between(Duration::from_millis(100), Duration::from_millis(1_200))).await;
        scene.mark();
        let program = &mut site.node_mut(victim)?.program;
        block_in_place(|| program.kill())?;
        scene.faults += 1;
        block_in_place(|| program.restart())?;
        worst = worst.max(scene.first_ack_of(victim, Instant::now()).await?);
        scene.catch_up().await?;
    }
    scene.check(Check::within("its first acknowledgement after it is up", worst, BACK));
    scene.finish(site).await
}

/// F2.
pub(crate) async fn killed_for_good(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let cast = Cast { stay: 6, ..Cast::usual(plan) };
    let mut scene = Scene::begin(site, plan, "F2", cast).await?;
    for round in 0..plan.rounds(1, 4) {
        let victim = (round + 1) % site.nodes.len();
        let other = site.node((victim + 1) % site.nodes.len())?.address();
        let ghosts = scene.users(|l| l.home == victim && l.habit == Habit::Stays && round < 2);
        let seen = presence::told(other, &scene, (&ghosts, "online"), FAIL_OVER).await?;
        let text = seen.map_or_else(|who| who, time);
        scene.check(Check::measured(
            "users of the other node are seen online",
            !text.contains("not"),
            text,
        ));
        scene.mark();
        block_in_place(|| site.node_mut(victim)?.program.kill().map_err(anyhow::Error::from))?;
        scene.faults += 1;
        let killed = Instant::now();
        scene.flow(100, BOUND).await?;
        let silence = scene.ledger.longest_silence();
        scene.check(Check::within("time without acknowledgement", silence, FAIL_OVER));
        scene.catch_up().await?;
        let gone = presence::told(other, &scene, (&ghosts, "offline"), BOUND).await?;
        let text = gone.clone().map_or_else(|who| who, |_| String::new());
        scene.check(Check::must("the dead node's users go offline", gone.is_ok(), text));
        scene.check(Check::within("presence is clean", killed.elapsed(), OFFLINE));
        block_in_place(|| site.node_mut(victim)?.program.restart().map_err(anyhow::Error::from))?;
        scene.first_ack_of(victim, Instant::now()).await?;
    }
    scene.finish(site).await
}

/// Many clients that only stay connected.
pub(crate) fn crowd(site: &Site, plan: &Plan, row: &str, size: usize, entries: bool) -> Crowd {
    let nodes = site.nodes.iter();
    let addresses: Vec<_> =
        nodes.map(|node| if entries { node.entry_address } else { node.address() }).collect();
    let seat = |index: usize| {
        let name = format!("{row}-{}-c{index}", plan.nonce);
        let mut own = addresses.clone();
        own.rotate_left(index % addresses.len().max(1));
        Seat {
            token: token::sign(&name),
            name,
            addresses: own,
            home: index % addresses.len().max(1),
            habit: Habit::Returns,
            rooms: Vec::new(),
            seed: plan.seed.wrapping_add(index as u64),
        }
    };
    Crowd { members: (0..size).map(|index| Listener::start(seat(index))).collect() }
}

/// F16.
pub(crate) async fn rolling_restart(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let cast = Cast { stay: 0, roam: 0, ..Cast::usual(plan) };
    let size = plan.pick(100, 2_000);
    let crowd = crowd(site, plan, "f16", size, false);
    until("the crowd to be connected", BOUND, || crowd.connected() == size).await?;
    let mut scene = Scene::begin(site, plan, "F16", cast).await?;
    let (mut exit, mut refusal, mut dirty) = (Duration::ZERO, Duration::ZERO, 0);
    for round in 0..plan.rounds(1, 3) * site.nodes.len() {
        let index = round % site.nodes.len();
        scene.mark();
        let node = site.node_mut(index)?;
        let address = node.address();
        block_in_place(|| node.program.terminate())?;
        scene.faults += 1;
        let asked = Instant::now();
        refusal = refusal.max(refused(address, asked).await);
        let program = &mut node.program;
        let status = block_in_place(|| program.wait(2 * LEFT))?;
        exit = exit.max(asked.elapsed());
        dirty += u32::from(status.is_none_or(|status| !status.success()));
        block_in_place(|| node.program.restart())?;
        scene.first_ack_of(index, Instant::now()).await?;
        until("the crowd to be back", BOUND, || crowd.connected() == size).await?;
        scene.catch_up().await?;
    }
    scene.check(Check::within("new connections are refused", refusal, AT_ONCE));
    scene.check(Check::within("the process ends", exit, LEFT));
    scene.check(Check::must("it ends in good order", dirty == 0, format!("{dirty} did not")));
    let refusals = scene.ledger.refusals();
    let of_5xx = refusals.iter().filter(|(reason, _)| reason.starts_with("HTTP 5"));
    let count: u64 = of_5xx.map(|(_, count)| count).sum();
    scene.check(Check::must("no 5xx", count == 0, format!("{count}: {refusals:?}")));
    scene.remarks.push(format!("{size} more clients connected; drain window {DRAIN_S} s"));
    scene.finish(site).await
}

/// How long after `asked` a node refuses new sockets.
async fn refused(address: std::net::SocketAddr, asked: Instant) -> Duration {
    let token = token::sign("late");
    while Socket::open(address, &token, &json!({}), PROBE_LIMIT).await.is_ok() {
        if asked.elapsed() > LEFT {
            break;
        }
    }
    asked.elapsed()
}

/// F27.
pub(crate) async fn paused_and_twins(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let cast = Cast { stay: 0, ..Cast::usual(plan) };
    let mut scene = Scene::begin(site, plan, "F27", cast).await?;
    for round in 0..plan.rounds(1, 2) {
        let victim = (round + 1) % site.nodes.len();
        scene.mark();
        block_in_place(|| site.node_mut(victim)?.program.pause().map_err(anyhow::Error::from))?;
        scene.faults += 1;
        sleep(plan.seconds(18.0, 600.0 / plan.rounds(1, 2) as f64)).await;
        // Whatever number the paused node had may be another's when it wakes up.
        let mut heir = site.new_node(&[]).await?;
        block_in_place(|| heir.program.wait_ready())?;
        speak(&scene, &heir).await?;
        block_in_place(|| site.node_mut(victim)?.program.resume().map_err(anyhow::Error::from))?;
        let resumed = Instant::now();
        let back = timeout(Duration::from_secs(30), scene.first_ack_of(victim, resumed)).await;
        let node = site.node_mut(victim)?;
        if block_in_place(|| node.program.ended())?.is_some() {
            scene.remarks.push("the paused node ended itself".to_owned());
            block_in_place(|| node.program.restart())?;
        } else {
            let text = back.map_or("no acknowledgement".to_owned(), |took| {
                took.map_or_else(|error| error.to_string(), time)
            });
            scene.remarks.push(format!("the paused node acknowledged again after {text}"));
        }
        scene.first_ack_of(victim, resumed).await?;
        speak(&scene, &heir).await?;
        scene.catch_up().await?;
    }
    twins(site, &mut scene).await?;
    scene.catch_up().await?;
    scene.finish(site).await
}

/// Two more nodes with one id: the second takes the place of the first, which may not go on as if nothing were.
async fn twins(site: &mut Site, scene: &mut Scene) -> Result<()> {
    let mut pair = Vec::new();
    for _ in 0..2 {
        let mut node = site.new_node(&[("MYNAH_CLUSTER__NODE_ID", "twin")]).await?;
        block_in_place(|| node.program.wait_ready())?;
        pair.push(node);
    }
    scene.faults += 1;
    let (Some(mut second), Some(mut first)) = (pair.pop(), pair.pop()) else { return Ok(()) };
    let address = first.address();
    let mut http = Http::new(address, "");
    let began = Instant::now();
    let mut fenced = None;
    while fenced.is_none() && began.elapsed() < Duration::from_secs(30) {
        let has_ended = block_in_place(|| first.program.ended())?.is_some();
        let ready = http.call("GET", "/readyz", None, PROBE_LIMIT).await;
        if has_ended || ready.is_ok_and(|answer| answer.status != 200) {
            fenced = Some(began.elapsed());
        }
        sleep(Duration::from_millis(100)).await;
    }
    let seen = fenced.map_or("it still says that it is ready".to_owned(), time);
    scene.check(Check::must(
        "of two nodes with one id the older one gives up",
        fenced.is_some(),
        seen,
    ));
    let lives = block_in_place(|| second.program.ended())?.is_none();
    scene.check(Check::must("and the newer one serves", lives, String::new()));
    speak(scene, &second).await
}

/// Sends a message through a node that the senders do not know.
async fn speak(scene: &Scene, node: &Node) -> Result<()> {
    let mut http = Http::new(node.address(), &token::sign(&owner(&scene.course.prefix)));
    let room = scene.course.rooms.first().context("no room")?;
    let body = json!({ "content": "from another node" }).to_string();
    let path = format!("/v1/rooms/{room}/messages");
    http.call("POST", &path, Some(body), SPEAK_LIMIT).await?.ok("a send through another node")?;
    Ok(())
}
