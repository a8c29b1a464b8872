//! A row in play: rooms, listeners, load, and what is measured while something is harmed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::http::Http;
use crate::judge;
use crate::ledger::Ledger;
use crate::listen::{Habit, Listener, Seat, side_by_side};
use crate::load::{Course, Load, sender_name};
use crate::machine::MemoryWatch;
use crate::outcome::{Check, Outcome};
use crate::plan::Plan;
use crate::site::Site;
use crate::token;

const CALL_LIMIT: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long a node may take to show what it has acknowledged.
const READABLE: Duration = Duration::from_secs(10);
/// Acknowledgements before anything is harmed.
const WARM_UP: usize = 60;
const ROOMS_MIXED: usize = 2;
const BOUND: Duration = Duration::from_mins(1);

/// Listeners and senders wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    pub(crate) senders: usize,
    pub(crate) stay: usize,
    pub(crate) come_back: usize,
    pub(crate) roam: usize,
    /// Whether senders that fail go to another node.
    pub(crate) fails_over: bool,
}

impl Cast {
    pub(crate) fn usual(plan: &Plan) -> Self {
        let many = plan.pick(1, 2);
        Self { senders: 4 * many, stay: 2, come_back: 2 * many, roam: 2, fails_over: true }
    }
}

pub(crate) struct Scene {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) course: Course,
    pub(crate) faults: u64,
    pub(crate) checks: Vec<Check>,
    pub(crate) remarks: Vec<String>,
    /// Longest time that listeners needed to catch up after something was healed.
    pub(crate) caught_up: Option<Duration>,
    /// Longest time without acknowledgement.
    pub(crate) without_ack: Duration,
    pub(crate) dice: Dice,
    memory: MemoryWatch,
    load: Option<Load>,
}

/// Makes rooms through the first node and lets `names` join them; ids of the rooms.
pub(crate) async fn make_rooms(
    site: &Site,
    prefix: &str,
    count: usize,
    names: &[String],
) -> Result<Vec<String>> {
    let address = site.node(0)?.address();
    let mut owner = Http::new(address, &token::sign(&owner(prefix)));
    let mut rooms = Vec::new();
    for index in 0..count {
        let body = json!({ "name": format!("{prefix} {index}"), "kind": "channel", "visibility": "public" });
        let made = owner.call("POST", "/v1/rooms", Some(body.to_string()), CALL_LIMIT).await?;
        let made = made.ok("POST /v1/rooms")?;
        rooms.push(made.get("id").and_then(Value::as_str).context("no id")?.to_owned());
    }
    let joins = names.iter().map(|name| {
        let (rooms, token) = (rooms.clone(), token::sign(name));
        async move {
            let mut http = Http::new(address, &token);
            for room in rooms {
                let path = format!("/v1/rooms/{room}/join");
                http.call("POST", &path, Some("{}".to_owned()), CALL_LIMIT).await?.ok("join")?;
            }
            anyhow::Ok(())
        }
    });
    side_by_side(joins.collect::<Vec<_>>()).await.into_iter().collect::<Result<()>>()?;
    Ok(rooms)
}

/// The user who makes the rooms and reads them back.
pub(crate) fn owner(prefix: &str) -> String {
    format!("{prefix}-owner")
}

impl Scene {
    /// Makes rooms, connects listeners, starts the load and waits until it runs.
    pub(crate) async fn begin(
        site: &Site,
        plan: &Plan,
        row: &'static str,
        cast: Cast,
    ) -> Result<Self> {
        let prefix = format!("{}-{}", row.to_lowercase(), plan.nonce);
        let habits = [
            (Habit::Stays, cast.stay),
            (Habit::Returns, cast.come_back),
            (Habit::Roams, cast.roam),
        ];
        let habits =
            habits.into_iter().flat_map(|(habit, count)| std::iter::repeat_n(habit, count));
        let habits: Vec<Habit> = habits.collect();
        let listener = |index: usize| format!("{prefix}-l{index}");
        let mut names: Vec<String> = (0..habits.len()).map(listener).collect();
        names.extend((0..cast.senders).map(|index| sender_name(&prefix, index)));
        let rooms = make_rooms(site, &prefix, ROOMS_MIXED + site.nodes.len(), &names).await?;
        let addresses = site.addresses();
        let seats = habits.iter().enumerate().map(|(index, habit)| {
            let home = index % addresses.len().max(1);
            let mut own = addresses.clone();
            own.rotate_left(home);
            Seat {
                name: listener(index),
                token: token::sign(&listener(index)),
                addresses: own,
                home,
                habit: *habit,
                rooms: rooms.clone(),
                seed: plan.seed.wrapping_add(index as u64),
            }
        });
        let listeners: Vec<Listener> = seats.map(Listener::start).collect();
        until("all listeners to be connected", BOUND, || {
            listeners.iter().all(Listener::was_connected)
        })
        .await?;
        let course = Course {
            nodes: addresses,
            rooms,
            prefix,
            senders: cast.senders,
            pace: plan.pace(),
            fails_over: cast.fails_over,
        };
        let ledger = Arc::new(Ledger::default());
        let load = Load::start(&course, &ledger);
        let mut scene = Self {
            ledger,
            listeners,
            course,
            faults: 0,
            checks: Vec::new(),
            remarks: Vec::new(),
            caught_up: None,
            without_ack: Duration::ZERO,
            dice: Dice::new(plan.seed),
            memory: MemoryWatch::start(&site.pids()),
            load: Some(load),
        };
        scene.flow(WARM_UP, BOUND).await.context("the load does not begin")?;
        scene.memory = MemoryWatch::start(&site.pids());
        scene.ledger.mark();
        Ok(scene)
    }

    /// Begins to measure silences anew.
    pub(crate) fn mark(&mut self) {
        self.without_ack = self.without_ack.max(self.ledger.longest_silence());
        self.ledger.mark();
        self.listeners.iter().for_each(Listener::mark);
    }

    /// Waits for that many new drafts to be acknowledged; how long it took.
    pub(crate) async fn flow(&self, count: usize, limit: Duration) -> Result<Duration> {
        let (began, goal) = (Instant::now(), self.ledger.count() + count);
        until("acknowledgements", limit, || self.ledger.count() >= goal).await.with_context(
            || {
                let (has, refusals) = (self.ledger.count(), self.ledger.refusals());
                format!("{has} of {goal} acknowledged; refusals: {refusals:?}")
            },
        )?;
        Ok(began.elapsed())
    }

    /// Waits for the next acknowledgement by a node; how long after `since` it came.
    pub(crate) async fn first_ack_of(&self, node: usize, since: Instant) -> Result<Duration> {
        let newer = || self.ledger.last_of(node).filter(|at| *at > since);
        until("an acknowledgement by the node", BOUND, || newer().is_some()).await?;
        Ok(newer().map_or(Duration::ZERO, |at| at - since))
    }

    /// Waits for the next acknowledgement by anybody; how long after `since` it came.
    pub(crate) async fn first_ack(&self, since: Instant) -> Result<Duration> {
        let newer = || self.ledger.last().filter(|at| *at > since);
        until("an acknowledgement", BOUND, || newer().is_some()).await?;
        Ok(newer().map_or(Duration::ZERO, |at| at - since))
    }

    /// Waits until every listener has heard all that was acknowledged before now, and notes how long it took.
    pub(crate) async fn catch_up(&mut self) -> Result<Duration> {
        let heads = self.ledger.heads(self.course.rooms.len());
        let began = Instant::now();
        let behind = || {
            let bound = self.listeners.iter().filter(|listener| listener.is_bound_to_hear());
            bound.filter(|listener| !listener.has_heard(&heads)).map(|l| l.name.clone()).next()
        };
        let caught = until("all listeners to have caught up", BOUND, || behind().is_none()).await;
        if caught.is_err() {
            let text = format!("{} never caught up", behind().unwrap_or_default());
            self.check(Check::must("all listeners catch up", false, text));
        }
        let took = began.elapsed();
        self.caught_up = Some(self.caught_up.unwrap_or_default().max(took));
        Ok(took)
    }

    pub(crate) fn check(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Memory that the node that grew most has taken since the load ran.
    pub(crate) fn growth(&self) -> u64 {
        self.memory.growth()
    }

    /// Longest time for which a listener of `habit` heard nothing of the room that only senders of its node use.
    pub(crate) fn same_node_silence(&self, habit: Habit) -> Duration {
        let own = self.listeners.iter().filter(|listener| listener.habit == habit);
        let mixed = self.course.mixed_rooms();
        own.map(|listener| listener.silence(mixed + listener.home)).max().unwrap_or_default()
    }

    /// Whether all listeners that never come back are still on their first connection.
    pub(crate) fn all_stayed(&self) -> bool {
        let mut stay = self.listeners.iter().filter(|listener| listener.habit == Habit::Stays);
        stay.all(|listener| listener.notes.lock().is_connected)
    }

    /// User ids of the listeners for whom something holds.
    pub(crate) fn users(&self, holds: impl Fn(&Listener) -> bool) -> Vec<String> {
        let chosen = self.listeners.iter().filter(|listener| holds(listener));
        chosen.map(|listener| listener.notes.lock().user_id.clone()).collect()
    }

    /// User ids of the listeners that do not come and go.
    pub(crate) fn steady_users(&self) -> Vec<String> {
        self.users(|listener| listener.habit != Habit::Roams)
    }

    /// Reads the log through a node. What was stored just now may not be readable in the same moment.
    async fn read_back(&self, address: SocketAddr, token: &str) -> Result<judge::Log> {
        let began = Instant::now();
        let heads = self.ledger.heads(self.course.rooms.len());
        loop {
            let log = judge::read(address, token, &self.course.rooms).await?;
            let is_whole =
                log.iter().zip(&heads).all(|(events, head)| events.len() as u64 >= *head);
            if is_whole || began.elapsed() > READABLE {
                return Ok(log);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Ends the load, reads everything back through every node, and compares.
    pub(crate) async fn finish(mut self, site: &Site) -> Result<Outcome> {
        self.mark();
        if let Some(load) = self.load.take() {
            load.finish(BOUND).await;
        }
        let token = token::sign(&owner(&self.course.prefix));
        let mut logs = Vec::new();
        for address in site.addresses() {
            logs.push(self.read_back(address, &token).await?);
        }
        let log = logs.pop().context("no node")?;
        let same = logs.iter().all(|other| *other == log);
        self.check(Check::must("all nodes read the same log", same, String::new()));
        let heads: Vec<u64> = log.iter().map(|events| events.len() as u64).collect();
        let bound = self.listeners.iter().filter(|listener| listener.is_bound_to_hear());
        let bound: Vec<&Listener> = bound.collect();
        // What is missing then is found by the comparison.
        let heard =
            until("the end of the log", BOUND, || bound.iter().all(|l| l.has_heard(&heads)));
        drop(heard.await);
        let findings = judge::compare(&log, &self.ledger, &self.listeners);
        let given_up = self.ledger.given_up();
        let text = format!("{given_up} not; refusals: {:?}", self.ledger.refusals());
        self.check(Check::must("every draft is acknowledged in the end", given_up == 0, text));
        if self.ledger.repeats() > 0 {
            self.remarks.push(format!("{} repeats answered alike", self.ledger.repeats()));
        }
        Ok(Outcome {
            faults: self.faults,
            growth: Some(self.memory.growth()),
            without_ack: Some(self.without_ack),
            caught_up: self.caught_up,
            findings,
            checks: self.checks,
            remarks: self.remarks,
        })
    }
}

/// Waits until something holds.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<()> {
    let began = Instant::now();
    while !holds() {
        ensure!(began.elapsed() < limit, "waited {limit:?} in vain for {what}");
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}
