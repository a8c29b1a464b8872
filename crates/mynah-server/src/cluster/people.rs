//! Who is present on which node: users of the chat, users signed in over Pusher, channels and members of
//! presence channels. Every node knows of all, so that any question is answered where it is asked.
//!
//! A node says at once what changes on it. Every second it says how many it has, and a mark of them all: who
//! has missed something finds out and asks. What a node had goes when its lease is over.
//!
//! *Who tells?* Beside each change the node says whether it was the only one to have what came or went, as far
//! as it knew. If so, it tells clients and back ends. Two nodes on which the last of something goes at the same
//! moment each think that the other has it: then, as for what a dead node had, the lowest living slot tells.

mod who;

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mynah_domain::{AppId, TenantId, Timestamp, UserId};
use mynah_hub::cluster::{People, PeopleAction, PeopleConfig};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::who::{Passing, Said};
use super::membership::LEASE;
use super::streams;
use super::voice::Voice;
use super::wire::Kind;

pub use self::who::{Membership, Who};

/// How often a node says how many it has.
const DIGEST_EVERY: Duration = Duration::from_secs(1);
/// What is known of other nodes at most; beyond, it counts as absent there.
const ELSEWHERE_MAX: usize = 1_000_000;
/// Of these so many go into one message of a snapshot: a member may bring 2 kB along.
const PART_KEYS_MAX: usize = 200;
/// Changes that may wait to be told before no more are heard.
const NEWS_MAX: usize = 16_384;
/// What went with a node and was told by this one, so that its return is told too.
const MOURNED_MAX: usize = 100_000;
/// What another node is to tell and may not live to.
const OWED_MAX: usize = 100_000;
/// How long that is remembered: longer than it takes until that node's end is known.
const OWED_FOR: Duration = LEASE.saturating_add(Duration::from_secs(10));

/// The view of the whole cluster has changed, or a node has told of a change that is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What came or went.
    pub who: Who,
    /// Whether any node has it now.
    pub is_there: bool,
    /// Whether that is new to this node; if not, others were told the contrary.
    pub is_change: bool,
    /// Whether it is this node that tells others.
    pub is_ours: bool,
    /// When a user who went was last there.
    pub last_seen: Option<Timestamp>,
}

type Members = HashMap<Arc<str>, Membership>;

struct State {
    people: People<Who>,
    here: HashSet<Who>,
    /// Users of the chat on other nodes.
    users: HashMap<TenantId, HashSet<UserId>>,
    /// Members on other nodes.
    members: HashMap<AppId, HashMap<Arc<str>, Members>>,
    /// Slots of the other nodes.
    nodes: BTreeSet<u16>,
    mourned: HashSet<Who>,
    owed: VecDeque<(Instant, Who)>,
    news: VecDeque<News>,
}

struct Inner {
    voice: Voice,
    state: Mutex<State>,
    /// How many other nodes there are, to be asked without the lock.
    company: AtomicUsize,
    /// There is news.
    told: Notify,
    /// There is room for news.
    taken: Notify,
    start: Instant,
}

/// Who is where; clones share it.
#[derive(Clone)]
pub struct Crowd(Arc<Inner>);

impl Crowd {
    /// Nobody anywhere.
    pub fn new(voice: Voice) -> Self {
        let config = PeopleConfig {
            keys_max: ELSEWHERE_MAX,
            part_keys_max: PART_KEYS_MAX,
            lease_ms: LEASE.as_millis() as u64,
            ..PeopleConfig::default()
        };
        let state = State {
            people: People::new(config, who::fingerprint),
            here: HashSet::new(),
            users: HashMap::new(),
            members: HashMap::new(),
            nodes: BTreeSet::new(),
            mourned: HashSet::new(),
            owed: VecDeque::new(),
            news: VecDeque::new(),
        };
        Self(Arc::new(Inner {
            voice,
            state: Mutex::new(state),
            company: AtomicUsize::new(0),
            told: Notify::new(),
            taken: Notify::new(),
            start: Instant::now(),
        }))
    }

    fn now(&self) -> u64 {
        self.0.start.elapsed().as_millis() as u64
    }

    /// Something is present on this node; `true` if it is on no other: this node tells. Must be called in the
    /// order of what happens, so under the lock that keeps the truth.
    pub fn came(&self, who: Who) -> bool {
        let mut state = self.0.state.lock();
        let is_sole = !state.people.is_present_elsewhere(&who);
        state.mourned.remove(&who);
        if state.here.insert(who.clone()) {
            state.people.came(who);
            self.say_changes(&mut state, Passing { is_sole, at: None });
        }
        is_sole
    }

    /// Something is not present on this node any more; `true` if it is on no other either: this node tells.
    pub fn went(&self, who: &Who, last_seen: Option<Timestamp>) -> bool {
        let mut state = self.0.state.lock();
        let is_sole = !state.people.is_present_elsewhere(who);
        if state.here.remove(who) {
            state.people.went(who);
            let at = last_seen.map(|at| at.0);
            self.say_changes(&mut state, Passing { is_sole, at });
        }
        is_sole
    }

    fn say_changes(&self, state: &mut State, passing: Passing) {
        while let Some(delta) = state.people.delta() {
            let body = || Said::Delta(delta, passing).body();
            self.0.voice.say(&streams::common(), Kind::People, body);
        }
    }

    /// Whether something is present on another node.
    pub fn is_elsewhere(&self, who: &Who) -> bool {
        self.0.state.lock().people.is_present_elsewhere(who)
    }

    /// Users of a tenant on other nodes, at most `users_max`.
    pub fn users_elsewhere(&self, tenant: &TenantId, users_max: usize) -> Vec<UserId> {
        let state = self.0.state.lock();
        state.users.get(tenant).into_iter().flatten().take(users_max).cloned().collect()
    }

    /// Members of a presence channel on other nodes, by id.
    pub fn members_elsewhere(&self, app: &AppId, channel: &str) -> Vec<Membership> {
        let state = self.0.state.lock();
        let members = state.members.get(app).and_then(|channels| channels.get(channel));
        let mut members: Vec<_> = members.into_iter().flat_map(HashMap::values).cloned().collect();
        members.sort_unstable_by(|one, other| one.user_id.cmp(&other.user_id));
        members
    }

    /// How many other nodes there are.
    pub fn company(&self) -> usize {
        self.0.company.load(Ordering::Relaxed)
    }

    /// A node was heard for the first time, or anew.
    pub fn node_came(&self, slot: u16) {
        let mut state = self.0.state.lock();
        state.nodes.insert(slot);
        self.0.company.store(state.nodes.len(), Ordering::Relaxed);
        self.say_digest(&state);
    }

    /// A node's lease is over.
    pub fn node_gone(&self, slot: u16, epoch: u64) {
        let mut state = self.0.state.lock();
        state.nodes.remove(&slot);
        self.0.company.store(state.nodes.len(), Ordering::Relaxed);
        state.people.expire_node(slot, epoch);
        self.act(&mut state, &[], None);
        if self.is_lowest(&state) {
            self.pay(&mut state);
        }
    }

    /// Whether no living node has a lower slot.
    fn is_lowest(&self, state: &State) -> bool {
        let own = self.0.voice.own().map(|(slot, _)| slot);
        own.is_some_and(|own| state.nodes.first().is_none_or(|lowest| own < *lowest))
    }

    /// Tells what a node that is gone may not have told.
    fn pay(&self, state: &mut State) {
        for (since, who) in std::mem::take(&mut state.owed) {
            let is_there = state.here.contains(&who) || state.people.is_present_elsewhere(&who);
            if since.elapsed() < OWED_FOR && !is_there {
                let news = News { who, is_there, is_change: false, is_ours: true, last_seen: None };
                self.tell(state, news);
            }
        }
    }

    /// Another node said something; `None` if it cannot be understood.
    pub fn heard(&self, from: (u16, u64), body: &[u8]) -> Option<()> {
        let said = Said::read(body)?;
        let now = self.now();
        let mut state = self.0.state.lock();
        match said {
            Said::Delta(delta, passing) => {
                let went = delta.went.clone();
                state.people.delta_heard(now, from, delta);
                self.act(&mut state, &went, Some(passing));
            }
            Said::Digest(digest) => {
                state.people.digest_heard(now, from, &digest);
                self.act(&mut state, &[], None);
            }
            Said::Ask(slot, epoch) => {
                if self.0.voice.own() == Some((slot, epoch)) {
                    for part in state.people.snapshot() {
                        let body = || Said::Part(part).body();
                        self.0.voice.say(&streams::common(), Kind::People, body);
                    }
                }
            }
            Said::Part(part) => {
                state.people.part_heard(now, from, part);
                self.act(&mut state, &[], None);
            }
        }
        Some(())
    }

    /// Does what follows; `went` went by the word of their own node, which was `passing` when they did.
    fn act(&self, state: &mut State, went: &[Who], passing: Option<Passing>) {
        while let Some(action) = state.people.next_action() {
            match action {
                PeopleAction::CameElsewhere(who) => {
                    state.index(&who);
                    let is_mourned = state.mourned.remove(&who);
                    let is_ours = passing.is_none() && is_mourned;
                    if !state.here.contains(&who) {
                        let last_seen = None;
                        let news =
                            News { who, is_there: true, is_change: true, is_ours, last_seen };
                        self.tell(state, news);
                    }
                }
                PeopleAction::WentElsewhere(who) => {
                    state.unindex(&who);
                    let passing = passing.filter(|_| went.contains(&who));
                    self.went_elsewhere(state, who, passing);
                }
                PeopleAction::Ask { slot, epoch } => {
                    let body = || Said::Ask(slot, epoch).body();
                    self.0.voice.say(&streams::common(), Kind::People, body);
                }
            }
        }
    }

    fn went_elsewhere(&self, state: &mut State, who: Who, passing: Option<Passing>) {
        let is_told = passing.is_some_and(|passing| passing.is_sole);
        let last_seen = passing.and_then(Passing::last_seen);
        if state.here.contains(&who) {
            // That node did not know when it told others.
            if is_told {
                let news =
                    News { who, is_there: true, is_change: false, is_ours: true, last_seen: None };
                self.tell(state, news);
            }
            return;
        }
        let is_ours = !is_told && self.is_lowest(state);
        if is_ours && passing.is_none() && state.mourned.len() < MOURNED_MAX {
            state.mourned.insert(who.clone());
        }
        if !is_told && !is_ours && state.owed.len() < OWED_MAX {
            state.owed.push_back((Instant::now(), who.clone()));
        }
        self.tell(state, News { who, is_there: false, is_change: true, is_ours, last_seen });
    }

    fn tell(&self, state: &mut State, news: News) {
        state.news.push_back(news);
        self.0.told.notify_one();
    }

    fn say_digest(&self, state: &State) {
        let digest = || Said::Digest(state.people.digest()).body();
        self.0.voice.say(&streams::common(), Kind::People, digest);
    }

    /// Waits for the next news.
    pub async fn next_news(&self) -> News {
        loop {
            if let Some(news) = self.0.state.lock().news.pop_front() {
                self.0.taken.notify_one();
                return news;
            }
            self.0.told.notified().await;
        }
    }

    /// Waits until not too much news is left to be told.
    pub async fn room(&self) {
        while self.0.state.lock().news.len() > NEWS_MAX {
            self.0.taken.notified().await;
        }
    }

    /// Says every second how many are here.
    pub async fn keep(self) {
        let mut ticks = tokio::time::interval(DIGEST_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.now();
            let mut state = self.0.state.lock();
            state.people.tick(now);
            self.act(&mut state, &[], None);
            self.say_digest(&state);
            while state.owed.front().is_some_and(|(since, _)| since.elapsed() > OWED_FOR) {
                state.owed.pop_front();
            }
        }
    }
}

impl State {
    fn index(&mut self, who: &Who) {
        match who {
            Who::User(tenant, user) => {
                self.users.entry(tenant.clone()).or_default().insert(user.clone());
            }
            Who::Member(member) => {
                let channels = self.members.entry(member.app.clone()).or_default();
                let members = channels.entry(Arc::clone(&member.channel)).or_default();
                members.insert(Arc::clone(&member.user_id), member.clone());
            }
            Who::SignedIn(..) | Who::Channel(..) => {}
        }
    }

    fn unindex(&mut self, who: &Who) {
        match who {
            Who::User(tenant, user) => {
                let Some(users) = self.users.get_mut(tenant) else { return };
                users.remove(user);
                if users.is_empty() {
                    self.users.remove(tenant);
                }
            }
            Who::Member(member) => {
                let Some(channels) = self.members.get_mut(&member.app) else { return };
                let Some(members) = channels.get_mut(&member.channel) else { return };
                members.remove(&member.user_id);
                if members.is_empty() {
                    channels.remove(&member.channel);
                }
                if channels.is_empty() {
                    self.members.remove(&member.app);
                }
            }
            Who::SignedIn(..) | Who::Channel(..) => {}
        }
    }
}

#[cfg(test)]
mod tests;
