//! Nodes that tell each other who is there, by hand and at random.

use std::collections::BTreeSet;

use super::*;

type House = People<u32>;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as for any key")]
fn print(key: &u32) -> u64 {
    u64::from(*key).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn house() -> House {
    People::new(PeopleConfig { part_keys_max: 3, ..PeopleConfig::default() }, print)
}

fn actions(people: &mut House) -> Vec<PeopleAction<u32>> {
    std::iter::from_fn(|| people.next_action()).collect()
}

fn tell(from: &mut House, to: &mut House, now: u64) {
    while let Some(delta) = from.delta() {
        to.delta_heard(now, NODE, delta);
    }
}

const NODE: (u16, u64) = (2, 1);

use PeopleAction::{Ask, CameElsewhere, WentElsewhere};

#[test]
fn changes_are_told_once_and_those_that_undo_each_other_not_at_all() {
    let (mut here, mut there) = (house(), house());
    there.came(7);
    there.came(8);
    there.went(&8);
    tell(&mut there, &mut here, 0);
    assert_eq!(actions(&mut here), [CameElsewhere(7)]);
    assert!(here.is_present_elsewhere(&7) && !here.is_present_elsewhere(&8));
    here.digest_heard(1, NODE, &there.digest());
    assert_eq!(actions(&mut here), []);
    there.went(&7);
    there.came(7);
    assert_eq!(there.delta(), None);
}

#[test]
fn who_is_on_two_nodes_goes_with_the_last() {
    let mut here = house();
    let came = || Delta { number: 1, came: vec![7], went: vec![] };
    let went = || Delta { number: 2, came: vec![], went: vec![7] };
    here.delta_heard(0, (2, 1), came());
    here.delta_heard(0, (3, 1), came());
    here.delta_heard(0, (2, 1), went());
    here.delta_heard(0, (2, 1), went());
    assert_eq!(actions(&mut here), [CameElsewhere(7)]);
    here.expire_node(3, 1);
    assert_eq!(actions(&mut here), [WentElsewhere(7)]);
    assert_eq!(here.count(), 0);
}

#[test]
fn after_a_cut_only_what_differs_is_told() {
    let (mut here, mut there) = (house(), house());
    for key in 0..10 {
        there.came(key);
    }
    tell(&mut there, &mut here, 0);
    actions(&mut here);
    there.went(&0);
    there.came(10);
    while there.delta().is_some() {}
    here.digest_heard(5_000, NODE, &there.digest());
    assert_eq!(actions(&mut here), [Ask { slot: 2, epoch: 1 }]);
    here.digest_heard(5_500, NODE, &there.digest());
    assert_eq!(actions(&mut here), [], "asked already");
    here.digest_heard(6_000, NODE, &there.digest());
    assert_eq!(actions(&mut here), [Ask { slot: 2, epoch: 1 }]);
    let parts = there.snapshot();
    assert_eq!(parts.len(), 4);
    for part in parts.iter().cloned().chain(parts.iter().cloned()) {
        here.part_heard(6_001, NODE, part);
    }
    assert_eq!(actions(&mut here), [WentElsewhere(0), CameElsewhere(10)]);
    here.digest_heard(7_001, NODE, &there.digest());
    assert_eq!(actions(&mut here), []);
}

#[test]
fn a_snapshot_with_a_part_missing_changes_nothing() {
    let (mut here, mut there) = (house(), house());
    (0..9).for_each(|key| there.came(key));
    while there.delta().is_some() {}
    here.digest_heard(0, NODE, &there.digest());
    let mut parts = there.snapshot();
    parts.remove(1);
    for part in parts {
        here.part_heard(0, NODE, part);
    }
    assert_eq!(actions(&mut here), [Ask { slot: 2, epoch: 1 }]);
    here.digest_heard(1_000, NODE, &there.digest());
    assert_eq!(actions(&mut here), [Ask { slot: 2, epoch: 1 }]);
}

#[test]
fn a_node_that_restarts_takes_nobody_away_who_comes_back() {
    let mut here = house();
    here.delta_heard(0, (2, 1), Delta { number: 1, came: vec![7, 8], went: vec![] });
    actions(&mut here);
    here.digest_heard(1_000, (2, 2), &Digest::default());
    here.delta_heard(2_000, (2, 2), Delta { number: 1, came: vec![7], went: vec![] });
    here.delta_heard(2_100, (2, 1), Delta { number: 2, came: vec![9], went: vec![8] });
    assert_eq!(actions(&mut here), [], "the process before says nothing any more");
    assert_eq!(here.next_tick(), Some(16_000));
    here.tick(16_000);
    assert_eq!(actions(&mut here), [WentElsewhere(8)]);
    assert!(here.is_present_elsewhere(&7));
    here.expire_node(2, 2);
    assert_eq!(actions(&mut here), [WentElsewhere(7)]);
}

#[test]
fn the_number_of_keys_is_bounded() {
    let config = PeopleConfig { keys_max: 5, part_keys_max: 3, ..PeopleConfig::default() };
    let mut here = People::new(config, print);
    let mut there = house();
    (0..9).for_each(|key| there.came(key));
    tell(&mut there, &mut here, 0);
    assert_eq!((here.count(), actions(&mut here).len()), (5, 5));
    here.digest_heard(1, NODE, &there.digest());
    assert_eq!(actions(&mut here), [], "asking would not help");
    there.came(20);
    while there.delta().is_some() {}
    here.digest_heard(2, NODE, &there.digest());
    assert_eq!(actions(&mut here), [Ask { slot: 2, epoch: 1 }]);
    for part in there.snapshot() {
        here.part_heard(3, NODE, part);
    }
    assert_eq!(here.count(), 5);
    here.digest_heard(1_003, NODE, &there.digest());
    assert!(actions(&mut here).iter().all(|it| !matches!(it, Ask { .. })));
}

/// Small numbers that look random.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Three nodes: two tell, with losses and repeats, one listens. Every key comes and goes in turn, and once
/// nothing is lost any more the listener's view is the truth.
struct Scene {
    dice: Dice,
    here: House,
    nodes: [House; 2],
    told: BTreeSet<u32>,
    now: u64,
    is_calm: bool,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let nodes = [house(), house()];
        let told = BTreeSet::new();
        Self { dice: Dice(seed), here: house(), nodes, told, now: 0, is_calm: false }
    }

    fn step(&mut self) {
        let which = self.dice.roll(2) as usize;
        self.now += self.dice.roll(400);
        match self.dice.roll(6) {
            0 | 1 if !self.is_calm => self.nodes[which].came(self.dice.roll(12) as u32),
            2 if !self.is_calm => self.nodes[which].went(&(self.dice.roll(12) as u32)),
            3 => self.tell(which),
            _ => self.beat(which),
        }
        self.listen();
    }

    fn tell(&mut self, which: usize) {
        while let Some(delta) = self.nodes[which].delta() {
            let copies = if self.is_calm { 1 } else { self.dice.roll(3) };
            for _ in 0..copies {
                self.here.delta_heard(self.now, (which as u16 + 2, 1), delta.clone());
            }
        }
    }

    fn beat(&mut self, which: usize) {
        let digest = self.nodes[which].digest();
        self.here.digest_heard(self.now, (which as u16 + 2, 1), &digest);
    }

    fn listen(&mut self) {
        while let Some(action) = self.here.next_action() {
            match action {
                CameElsewhere(key) => assert!(self.told.insert(key), "{key} comes twice"),
                WentElsewhere(key) => assert!(self.told.remove(&key), "{key} goes twice"),
                Ask { slot, epoch } => self.answer(slot, epoch),
            }
        }
    }

    fn answer(&mut self, slot: u16, epoch: u64) {
        for part in self.nodes[usize::from(slot) - 2].snapshot() {
            if self.is_calm || self.dice.roll(5) > 0 {
                self.here.part_heard(self.now, (slot, epoch), part);
            }
        }
    }
}

#[test]
fn views_converge_whatever_is_lost() {
    for seed in 0..300 {
        let mut scene = Scene::new(seed);
        for _ in 0..200 {
            scene.step();
        }
        scene.is_calm = true;
        for which in [0, 1, 0, 1] {
            scene.now += 1_000;
            scene.tell(which);
            scene.beat(which);
            scene.listen();
        }
        let here = |node: &House| node.here.iter().copied().collect::<Vec<_>>();
        let truth: BTreeSet<u32> = scene.nodes.iter().flat_map(here).collect();
        assert_eq!(scene.told, truth, "seed {seed}");
        assert_eq!(scene.here.count(), truth.len(), "seed {seed}");
    }
}
