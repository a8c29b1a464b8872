//! What a process tells of people, and whether it may.

use mynah_hub::cluster::PeopleAction;

use super::super::wire::Word;
use super::super::world::World;
use super::{Process, common};

impl Process {
    pub(super) fn tell_people(&mut self, world: &mut World) {
        while let Some(delta) = self.people.delta() {
            self.say(world, &common(), &Word::Delta(delta));
        }
        while let Some(action) = self.people.next_action() {
            match action {
                PeopleAction::CameElsewhere(user) => {
                    let node = self.node;
                    world.note(|_| format!("node {node} is told that {user} came"));
                    if !self.seen_elsewhere.insert(user) {
                        world.fail(format!("node {} hears twice that {user} came", self.node));
                    }
                }
                PeopleAction::WentElsewhere(user) => {
                    let node = self.node;
                    world.note(|_| format!("node {node} is told that {user} went"));
                    if !self.seen_elsewhere.remove(&user) {
                        world.fail(format!("node {} hears twice that {user} went", self.node));
                    }
                    self.check_flap(world, user);
                }
                PeopleAction::Ask { slot, .. } => self.say(world, &common(), &Word::Ask(slot)),
            }
        }
    }

    /// Who was there all the time, on a node that was heard of, must not be told to have gone.
    pub(super) fn check_flap(&self, world: &mut World, user: u32) {
        let plan = &world.plan;
        let is_lossy = plan.silent_drop + plan.told_drop + plan.unsent > 0;
        // Who was away so long that messages were dropped reads of comings and goings in between, but not all.
        if is_lossy || self.missed_at.is_some_and(|at| at + 5_000 > world.now) {
            return;
        }
        let before = |node: usize| match world.nodes[node].upset {
            Some((since, until)) if until + 20_000 >= world.now => since.saturating_sub(3_000),
            _ => world.now.saturating_sub(5_000),
        };
        let is_there = world.nodes.iter().enumerate().any(|(other, place)| {
            let Some(process) = place.process.as_ref().filter(|_| other != self.node) else {
                return false;
            };
            let known_since = before(other).min(before(self.node));
            let is_heard = self
                .heard_at
                .get(&process.lease.slot)
                .is_some_and(|at| at + 10_000 >= world.now && *at >= process.started_at);
            let is_old = process.users.get(&user).is_some_and(|(_, since)| *since <= known_since);
            is_heard && is_old && self.started_at <= known_since
        });
        if is_there {
            let node = self.node;
            world.fail(format!("node {node} is told that {user} went, who is there"));
        }
    }
}
