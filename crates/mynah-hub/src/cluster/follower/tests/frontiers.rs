//! What is claimed to be delivered.

use super::*;

#[test]
fn places_rise_with_what_is_delivered_in_order() {
    let mut house = House::new().met(2).met(3).following("a", 0).following("b", 0);
    house.heard(2, "a", 1, 10);
    assert_eq!(house.place(2), 10);
    house.heard(2, "b", 2, 20);
    assert_eq!(house.place(2), 10, "something of b is missing, perhaps of the same node");
    house.heard(2, "a", 2, 30);
    assert_eq!(house.place(2), 10);
    house.heard(3, "b", 1, 15);
    assert_eq!((house.place(2), house.place(3)), (30, 15));
    house.own("a", 3, 31);
    assert_eq!(house.place(1), 31);
}

#[test]
fn a_place_covers_an_event_only_when_it_is_taken() {
    let mut house = House::new().met(2).met(3).following("a", 0);
    house.heard(2, "a", 2, 20);
    house.heard(2, "a", 3, 30);
    house.follower.heard(0, 3, &topic("a"), 1, 5, Some(5));
    let beat = Beat { pos: 30, ..Beat::default() };
    house.follower.beat_heard(0, 2, &beat);
    let mut places = Vec::new();
    while let Some(action) = house.follower.next_action() {
        let Action::Deliver(item) = action else { panic!("only events come") };
        places.push((item.seq, house.place(2), house.place(3)));
    }
    assert_eq!(places, [(1, 0, 5), (2, 20, 5), (3, 30, 5)]);
}

#[test]
fn beats_raise_a_place_once_what_they_tell_is_delivered() {
    let mut house = House::new().met(2).following("a", 0);
    house.beat(2, (0, 50), &[("other", 7)]);
    assert_eq!(house.place(2), 50);
    house.beat(2, (50, 60), &[("a", 1)]);
    assert_eq!(house.place(2), 50);
    house.read("a", &[(1, 55, 2)], 1);
    assert_eq!(house.place(2), 60);
    house.beat(2, (70, 80), &[]);
    assert_eq!(house.place(2), 60, "a beat was missed");
    house.heard(2, "a", 2, 85);
    assert_eq!(house.place(2), 60);
    house.heads(&[("a", 2)]);
    house.out();
    assert_eq!(house.place(2), 85);
}

#[test]
fn parts_of_a_beat_count_when_all_are_there() {
    let part = |part, more| Beat { pos: 90, part, more, ..Beat::default() };
    let mut house = House::new().met(2).following("a", 0);
    house.follower.beat_heard(0, 2, &part(0, true));
    house.follower.beat_heard(0, 2, &part(1, true));
    assert_eq!(house.out(), NOTHING);
    assert_eq!(house.place(2), 0);
    house.follower.beat_heard(0, 2, &part(2, false));
    assert_eq!((house.out().len(), house.place(2)), (0, 90));
    house.follower.beat_heard(0, 2, &part(0, true));
    house.follower.beat_heard(0, 2, &part(2, false));
    assert_eq!(house.out(), ["heads a"], "a part is missing");
}

#[test]
fn nothing_is_claimed_of_others_while_the_broker_is_down() {
    let mut house = House::new().met(2).following("a", 0);
    house.heard(2, "a", 1, 10);
    house.follower.broker_down(0);
    house.out();
    assert_eq!(house.heard(2, "a", 2, 20), ["deliver a 2"], "on its way before");
    house.own("a", 3, 30);
    assert_eq!((house.place(1), house.place(2)), (30, 10));
    house.heads(&[("a", 3)]);
    house.out();
    assert_eq!(house.place(2), 10, "20 was not known of when the comparison began");
    house.follower.broker_up(0);
    house.heard(2, "a", 5, 50);
    house.heads(&[("a", 5)]);
    house.out();
    assert_eq!(house.place(2), 10);
    house.read("a", &[(4, 40, 2)], 5);
    assert_eq!(house.place(2), 50);
}

#[test]
fn a_comparison_proves_what_was_known_of_before_it() {
    let mut house = House::new().met(2).following("a", 0);
    house.follower.broker_down(0);
    house.out();
    house.heads(&[("a", 1)]);
    house.out();
    house.read("a", &[(1, 10, 2)], 1);
    assert_eq!(house.place(2), 0);
    assert_eq!(house.after(5_000), ["heads a"]);
    house.heads(&[("a", 1)]);
    house.out();
    assert_eq!(house.place(2), 10);
}

#[test]
fn with_nothing_followed_nothing_stays_frozen() {
    let mut house = House::new();
    house.beat(2, (40, 50), &[("a", 3)]);
    assert_eq!(house.place(2), 50);
    house.follower.missed(0);
    house.heard(2, "a", 4, 60);
    assert_eq!(house.place(2), 60);
    house.follower.start(55);
    assert_eq!((house.place(2), house.place(9)), (60, 55));
}

#[test]
fn who_goes_on_unseeing_freezes_others_until_told_to_resync() {
    let mut house = House::new().met(2).following("a", 0);
    house.follower.want(0, &topic("b"));
    house.out();
    house.after(10_000);
    house.heard(2, "a", 1, 10);
    assert_eq!(house.place(2), 0);
    house.follower.subscribed(house.now, &[topic("b")], true);
    house.out();
    house.heads(&[("b", 4)]);
    assert_eq!(house.place(2), 0);
    assert_eq!(house.out(), ["resync b"]);
    house.heard(2, "a", 2, 20);
    assert_eq!(house.place(2), 20);
}
