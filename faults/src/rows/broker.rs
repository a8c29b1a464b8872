//! F5–F8: the broker is only a hint.

use std::time::Duration;

use anyhow::Result;
use mynah_testkit::proxy::{Mode, Way};
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use crate::listen::Habit;
use crate::machine::cpu;
use crate::outcome::{Check, Outcome, megabytes, time};
use crate::plan::Plan;
use crate::presence;
use crate::scene::{Cast, Scene, until};
use crate::site::Site;

const CATCH_UP: Duration = Duration::from_secs(2);
const DETECTED: Duration = Duration::from_secs(15);
const GROWTH_MAX: u64 = 64_000_000;
/// A room with several messages a second is never silent for that long on one node.
const SAME_NODE: Duration = Duration::from_secs(1);
const CPU_FACTOR: f64 = 1.5;

/// Nobody changes nodes while the nodes are well: senders stay at home.
fn cast(plan: &Plan) -> Cast {
    Cast { fails_over: false, ..Cast::usual(plan) }
}

/// F5.
pub(crate) async fn killed(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F5", cast(plan)).await?;
    let mut worst = Duration::ZERO;
    for _ in 0..plan.rounds(1, 6) {
        scene.mark();
        block_in_place(|| site.broker()?.kill())?;
        scene.faults += 1;
        sleep(plan.seconds(2.0, 10.0)).await;
        same_node(&mut scene);
        block_in_place(|| site.broker()?.restart())?;
        worst = worst.max(scene.catch_up().await?);
        sleep(plan.seconds(0.5, 2.0)).await;
    }
    scene.check(Check::within("cross-node delivery caught up after heal", worst, CATCH_UP));
    scene.finish(site).await
}

/// What must hold while only the broker is away.
fn same_node(scene: &mut Scene) {
    let silence = scene.same_node_silence(Habit::Stays);
    scene.check(Check::within("same-node delivery, longest silence", silence, SAME_NODE));
    let stayed = scene.all_stayed();
    scene.check(Check::must("no client is disconnected", stayed, String::new()));
}

fn growth(scene: &mut Scene) {
    let growth = scene.growth();
    let what = format!("memory growth ≤ {}", megabytes(GROWTH_MAX));
    scene.check(Check::measured(what, growth <= GROWTH_MAX, megabytes(growth)));
}

/// Waits until the last node knows that its broker is away, at most for `limit`; how long it took.
async fn detected(site: &Site, limit: Duration) -> Result<Option<Duration>> {
    let node = site.node(site.nodes.len() - 1)?;
    let began = Instant::now();
    while began.elapsed() < limit {
        if node.metric("mynah_broker_up").await == Some(0.0) {
            return Ok(Some(began.elapsed()));
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(None)
}

fn detection(scene: &mut Scene, mode: &str, (found, length): (Option<Duration>, Duration)) {
    if found.is_none() && length < DETECTED {
        let text = format!("{mode}: not noticed within {}, and need not be", time(length));
        return scene.remarks.push(text);
    }
    let what = format!("{mode}: detected by ping ≤ {}", time(DETECTED));
    let holds = found.is_some_and(|took| took <= DETECTED);
    scene.check(Check::measured(what, holds, found.map_or("not detected".to_owned(), time)));
}

/// F6.
pub(crate) async fn unreachable(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F6", cast(plan)).await?;
    let mut worst = Duration::ZERO;
    for _ in 0..plan.rounds(1, 2) {
        scene.mark();
        let (began, length) = (Instant::now(), plan.seconds(5.0, 60.0));
        site.set_broker_links(Mode::BlackHole(Way::Both));
        scene.faults += 1;
        let found = detected(site, length.min(2 * DETECTED)).await?;
        detection(&mut scene, "black hole", (found, length));
        sleep(length.saturating_sub(began.elapsed())).await;
        same_node(&mut scene);
        site.set_broker_links(Mode::Pass);
        worst = worst.max(scene.catch_up().await?);
    }
    scene.check(Check::within("cross-node delivery caught up after heal", worst, CATCH_UP));
    growth(&mut scene);
    scene.finish(site).await
}

/// F7.
pub(crate) async fn unreachable_one_way(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F7", cast(plan)).await?;
    let mut worst = Duration::ZERO;
    for _ in 0..plan.rounds(1, 2) {
        for (way, name) in [(Way::Up, "node to broker"), (Way::Down, "broker to node")] {
            scene.mark();
            let (began, length) = (Instant::now(), plan.seconds(3.0, 30.0));
            let last = site.node(site.nodes.len() - 1)?;
            last.broker_link.iter().for_each(|link| link.set(Mode::BlackHole(way)));
            scene.faults += 1;
            let found = detected(site, length.min(2 * DETECTED)).await?;
            detection(&mut scene, name, (found, length));
            sleep(length.saturating_sub(began.elapsed())).await;
            same_node(&mut scene);
            site.set_broker_links(Mode::Pass);
            worst = worst.max(scene.catch_up().await?);
        }
    }
    scene.check(Check::within("cross-node delivery caught up after heal", worst, CATCH_UP));
    growth(&mut scene);
    let agreed = presence::agreed(site, &scene, plan.seconds(20.0, 60.0)).await?;
    scene.check(Check::measured("no split presence after heal", agreed.is_ok(), said(agreed)));
    scene.finish(site).await
}

fn said(agreed: Result<Duration, String>) -> String {
    agreed.map_or_else(|difference| difference, |took| format!("agreed after {}", time(took)))
}

/// F8.
pub(crate) async fn flaps(site: &mut Site, plan: &Plan) -> Result<Outcome> {
    let mut scene = Scene::begin(site, plan, "F8", cast(plan)).await?;
    let spent = |site: &Site| -> Duration { site.pids().into_iter().map(cpu).sum() };
    let length = plan.seconds(4.0, 30.0);
    let (up, down) = (Duration::from_millis(500), Duration::from_millis(300));
    let before = spent(site);
    let acked_before = scene.ledger.count();
    sleep(length).await;
    let (normal, acked) = (spent(site).saturating_sub(before), scene.ledger.count() - acked_before);
    let (before, acked_before) = (spent(site), scene.ledger.count());
    scene.mark();
    site.set_broker_links(Mode::Flap { up, down });
    scene.faults += length.as_millis() as u64 / (up + down).as_millis() as u64;
    sleep(length).await;
    let (harmed, acked_harmed) =
        (spent(site).saturating_sub(before), scene.ledger.count() - acked_before);
    same_node(&mut scene);
    site.set_broker_links(Mode::Pass);
    let took = scene.catch_up().await?;
    scene.check(Check::within("cross-node delivery caught up after heal", took, CATCH_UP));
    // Per acknowledgement, so that a slower load does not look like a saving.
    let each = |time: Duration, acks: usize| time.as_secs_f64() / (acks.max(1) as f64);
    let factor = each(harmed, acked_harmed) / each(normal, acked).max(1e-9);
    let seen = format!("{factor:.2} × ({} and {})", time(normal), time(harmed));
    scene.check(Check::measured("CPU ≤ 1.5 × normal", factor <= CPU_FACTOR, seen));
    until("acknowledgements", Duration::from_secs(30), || scene.ledger.count() > acked_before)
        .await?;
    scene.finish(site).await
}
