//! What was not heard is found.

use super::*;

#[test]
fn events_come_in_order_and_once() {
    let mut house = House::new().following("a", 0);
    assert_eq!(house.heard(2, "a", 1, 10), ["deliver a 1"]);
    assert_eq!(house.heard(2, "a", 3, 30), NOTHING);
    assert_eq!(house.heard(2, "a", 3, 30), NOTHING);
    assert_eq!(house.heard(3, "a", 2, 21), ["deliver a 2", "deliver a 3"]);
    assert_eq!(house.heard(3, "a", 2, 21), NOTHING);
    assert_eq!(house.follower.stats().doubles, 2);
    assert_eq!(house.after(1_000), NOTHING, "the gap is closed");
}

#[test]
fn a_gap_is_read_after_a_short_wait() {
    let mut house = House::new().following("a", 0);
    house.heard(2, "a", 4, 40);
    house.heard(2, "a", 5, 50);
    assert_eq!(house.after(49), NOTHING);
    assert_eq!(house.after(1), ["read a 0+3"], "only what is missing");
    assert_eq!(
        house.read("a", &[(1, 10, 2), (2, 20, 3), (3, 30, 2)], 5),
        ["deliver a 1", "deliver a 2", "deliver a 3", "deliver a 4", "deliver a 5"]
    );
    let stats = house.follower.stats();
    assert_eq!((stats.gaps, stats.healed, stats.waiting), (1, 3, 0));
}

#[test]
fn own_events_wait_for_others_no_longer() {
    let mut house = House::new().following("a", 0);
    assert_eq!(house.own("a", 3, 30), NOTHING);
    house.after(40);
    assert_eq!(house.heard(2, "a", 1, 11), ["deliver a 1"]);
    assert_eq!(house.after(10), ["read a 1+1"]);
    assert_eq!(house.read("a", &[(2, 12, 2)], 3), ["deliver a 2", "deliver a 3"]);
}

#[test]
fn hints_are_read_at_once_and_together() {
    let mut house = House::new().following("a", 0);
    assert_eq!(house.hinted(2, "a", 1, 10), ["read a 0+500"]);
    assert_eq!(house.hinted(2, "a", 2, 20), NOTHING);
    assert_eq!(house.hinted(2, "a", 3, 30), NOTHING);
    assert_eq!(
        house.read("a", &[(1, 10, 2), (2, 20, 2)], 2),
        ["deliver a 1", "deliver a 2", "read a 2+500"]
    );
    assert_eq!(house.read("a", &[(3, 30, 2)], 3), ["deliver a 3"]);
}

#[test]
fn beats_show_what_gave_no_sign() {
    let mut house = House::new().met(2).following("a", 5);
    assert_eq!(house.beat(2, (0, 60), &[("a", 6), ("b", 9)]), ["read a 5+500"]);
    assert_eq!(house.read("a", &[(6, 60, 2)], 6), ["deliver a 6"]);
    assert_eq!(house.beat(2, (0, 60), &[("a", 6)]), NOTHING);
}

#[test]
fn a_missed_beat_a_loss_and_a_death_compare_all_heads() {
    let mut house = House::new().met(2).following("a", 5);
    assert_eq!(house.beat(2, (70, 90), &[]), ["heads a"], "what is between 0 and 70?");
    house.heads(&[("a", 5)]);
    house.follower.missed(0);
    assert_eq!(house.out(), ["heads a"]);
    house.follower.missed(0);
    house.heads(&[("a", 5)]);
    assert_eq!(house.out(), ["heads a"], "once more: the answer may be older than the loss");
    house.heads(&[("a", 6)]);
    assert_eq!(house.out(), ["read a 5+500"]);
    assert_eq!(house.read("a", &[(6, 95, 3)], 6), ["deliver a 6"]);
    house.follower.node_gone(0, 2);
    assert_eq!(house.out(), ["heads a"]);
}

#[test]
fn heads_are_polled_while_the_broker_is_down_and_compared_when_it_is_back() {
    let mut house = House::new().following("a", 0);
    house.follower.broker_down(0);
    assert_eq!(house.out(), ["heads a"]);
    house.heads(&[("a", 0)]);
    assert_eq!(house.after(5_000), ["heads a"]);
    house.heads(&[("a", 2)]);
    assert_eq!(house.out(), ["read a 0+500"]);
    assert_eq!(house.read("a", &[(1, 10, 2), (2, 20, 2)], 2), ["deliver a 1", "deliver a 2"]);
    house.follower.broker_up(house.now);
    assert_eq!(house.out(), ["heads a"]);
    house.heads(&[("a", 2)]);
    assert_eq!(house.after(20_000), NOTHING);
}

#[test]
fn a_silent_node_makes_heads_be_polled_until_it_is_gone() {
    let mut house = House::new().met(2).following("a", 0);
    let mut polls = 0;
    for _ in 0..4 {
        let out = house.after(5_000);
        polls += out.len();
        if !out.is_empty() {
            house.heads(&[("a", 0)]);
        }
    }
    assert!((3..=4).contains(&polls), "{polls}");
    house.follower.node_gone(house.now, 2);
    assert_eq!(house.out(), ["heads a"]);
    house.heads(&[("a", 0)]);
    assert_eq!(house.after(60_000), NOTHING);
}

#[test]
fn a_failing_store_is_asked_again_ever_more_slowly() {
    let mut house = House::new().following("a", 0);
    house.hinted(2, "a", 1, 10);
    let mut waits = Vec::new();
    for _ in 0..8 {
        house.follower.events_failed(house.now, &topic("a"));
        let before = house.now;
        while house.after(1).is_empty() {}
        waits.push(house.now - before);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    assert_eq!(house.read("a", &[(1, 10, 2)], 1), ["deliver a 1"]);
}

#[test]
fn who_is_too_far_behind_is_told_to_resync() {
    let mut house = House::new().following("a", 10);
    assert_eq!(house.hinted(2, "a", 9_000, 90), ["read a 10+500"], "the store says what is true");
    assert_eq!(house.read("a", &[(11, 11, 2)], 9_000), ["deliver a 11", "resync a"]);
    assert_eq!(house.heard(2, "a", 9_001, 91), ["deliver a 9001"]);
    house.follower.missed(0);
    house.out();
    house.heads(&[("a", 20_000)]);
    assert_eq!(house.out(), ["resync a"]);
    assert_eq!(house.heard(2, "a", 20_001, 93), ["deliver a 20001"]);
    assert_eq!(house.follower.stats().resyncs, 2);
    house.heard(2, "a", 20_003, 94);
    house.after(50);
    house.follower.events(house.now, &topic("a"), Vec::new(), 20_003, true);
    assert_eq!(house.out(), ["resync a"], "no longer kept");
}

#[test]
fn what_waits_is_bounded_and_nothing_is_lost_by_that() {
    let config = FollowerConfig { waiting_max: 2, ..FollowerConfig::default() };
    let mut house = House::with(config).met(2).following("a", 0);
    house.heard(2, "a", 2, 20);
    house.heard(2, "a", 3, 30);
    assert_eq!(house.heard(2, "a", 4, 40), ["read a 0+1"]);
    assert_eq!(house.heard(2, "a", 5, 50), NOTHING);
    assert_eq!(house.follower.stats().waiting, 2);
    assert_eq!(
        house.read("a", &[(1, 10, 3)], 5),
        ["deliver a 1", "deliver a 2", "deliver a 3", "read a 3+500"]
    );
    assert_eq!(house.place(2), 30, "what is to be read is not claimed");
    assert_eq!(house.read("a", &[(4, 40, 2), (5, 50, 2)], 5), ["deliver a 4", "deliver a 5"]);
    assert_eq!(house.place(2), 50);
}

#[test]
fn a_head_that_is_not_true_is_forgotten() {
    let mut house = House::new().met(2).following("a", 5);
    assert_eq!(house.beat(2, (0, 60), &[("a", 900)]), ["read a 5+500"]);
    let mut reads = 1;
    for _ in 0..20 {
        house.read("a", &[], 5);
        reads += house.after(5_000).iter().filter(|out| out.starts_with("read")).count();
    }
    assert!(reads < 8, "{reads}");
    assert_eq!(house.heard(2, "a", 6, 61), ["deliver a 6"]);
}

#[test]
fn a_stream_that_is_left_during_a_comparison_does_not_hold_up_the_next() {
    let mut house = House::new().following("a", 0);
    house.follower.unwant(0, &topic("a"));
    house.after(9_900);
    house.follower.missed(house.now);
    assert_eq!(house.out(), ["heads a"]);
    house.heads(&[("a", 1)]);
    assert_eq!(house.out(), ["read a 0+500"]);
    house.follower.events_failed(house.now, &topic("a"));
    house.follower.missed(house.now);
    assert_eq!(house.after(100), ["unsubscribe a"]);
    let mut house = house.following("b", 0);
    house.follower.missed(house.now);
    assert_eq!(house.out(), ["heads b"]);
}
