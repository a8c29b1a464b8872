//! Streams come and go.

use super::*;

#[test]
fn a_stream_is_subscribed_read_and_then_told() {
    let mut house = House::new();
    house.follower.want(0, &topic("a"));
    house.follower.want(0, &topic("b"));
    assert_eq!(house.out(), ["subscribe a,b"]);
    assert_eq!(house.heard(2, "a", 8, 80), NOTHING, "waits for the head");
    house.follower.subscribed(0, &[topic("a"), topic("b")], true);
    assert_eq!(house.out(), ["heads a,b"]);
    house.heads(&[("a", 7), ("b", 0)]);
    assert_eq!(house.out(), ["settled a", "deliver a 8", "settled b"]);
    assert_eq!(house.heard(2, "b", 1, 81), ["deliver b 1"]);
    house.follower.want(0, &topic("a"));
    assert_eq!(house.out(), ["settled a"], "known already");
}

#[test]
fn what_the_head_covers_is_not_delivered() {
    let mut house = House::new();
    house.follower.want(0, &topic("a"));
    house.out();
    house.heard(2, "a", 6, 60);
    house.heard(2, "a", 7, 70);
    house.heard(3, "a", 9, 61);
    house.follower.subscribed(0, &[topic("a")], true);
    house.out();
    house.heads(&[("a", 7)]);
    assert_eq!(house.out(), ["settled a"]);
    assert_eq!(house.heard(2, "a", 8, 90), ["deliver a 8", "deliver a 9"]);
}

#[test]
fn without_a_broker_the_stream_is_told_and_looked_at_again_later() {
    let mut house = House::new();
    house.follower.broker_down(0);
    house.follower.want(0, &topic("a"));
    assert_eq!(house.out(), ["subscribe a"]);
    house.follower.subscribed(0, &[topic("a")], false);
    assert_eq!(house.out(), ["heads a"]);
    house.heads(&[("a", 3)]);
    assert_eq!(house.out(), ["settled a"]);
    house.follower.broker_up(0);
    assert_eq!(house.out(), ["heads a"]);
    house.heads(&[("a", 4)]);
    assert_eq!(house.out(), ["read a 3+500"]);
    assert_eq!(house.read("a", &[(4, 40, 2)], 4), ["deliver a 4"]);
}

#[test]
fn nobody_waits_for_ever_and_who_went_on_unseeing_comes_back() {
    let mut house = House::new();
    house.follower.want(0, &topic("a"));
    house.out();
    house.follower.subscribed(0, &[topic("a")], true);
    assert_eq!(house.out(), ["heads a"]);
    let (mut settled, mut asked) = (0, 0);
    while house.now < 12_000 {
        house.follower.heads_failed(house.now, &[topic("a")]);
        let mut is_asked = false;
        while !is_asked {
            let out = house.after(10);
            is_asked = out.contains(&"heads a".to_owned());
            settled += out.iter().filter(|out| *out == "settled a").count();
        }
        asked += 1;
    }
    assert_eq!(settled, 1);
    assert!(asked >= 5, "tried again and again: {asked}");
    assert_eq!(house.own("a", 5, 50), NOTHING);
    assert_eq!(house.heard(2, "a", 6, 60), NOTHING);
    house.heads(&[("a", 5)]);
    assert_eq!(house.out(), ["resync a", "deliver a 5", "deliver a 6"]);
}

#[test]
fn interest_lingers() {
    let mut house = House::new().following("a", 3);
    house.follower.unwant(0, &topic("a"));
    assert_eq!(house.after(9_000), NOTHING);
    assert_eq!(house.heard(2, "a", 4, 40), ["deliver a 4"]);
    house.follower.want(house.now, &topic("a"));
    assert_eq!(house.out(), ["settled a"]);
    assert_eq!(house.after(20_000), NOTHING);
    house.follower.unwant(house.now, &topic("a"));
    assert_eq!(house.after(10_100), ["unsubscribe a"]);
    assert_eq!(house.heard(2, "a", 5, 50), NOTHING);
    assert_eq!(house.follower.stats().unknown, 1);
    assert_eq!(house.follower.stats().streams, 0);
}

#[test]
fn a_stream_is_not_forgotten_while_the_store_is_asked() {
    let mut house = House::new();
    house.follower.want(0, &topic("a"));
    house.out();
    house.follower.subscribed(0, &[topic("a")], true);
    assert_eq!(house.out(), ["heads a"]);
    house.follower.unwant(0, &topic("a"));
    assert_eq!(house.after(60_000), NOTHING);
    house.heads(&[("a", 3)]);
    assert_eq!(house.out(), ["settled a"]);
    assert_eq!(house.after(2_000), ["unsubscribe a"]);
}

#[test]
fn own_events_are_delivered_whether_anybody_follows_or_not() {
    let mut house = House::new();
    assert_eq!(house.own("a", 5, 50), ["deliver a 5"]);
    house.follower.want(0, &topic("a"));
    house.out();
    assert_eq!(house.own("a", 7, 70), ["deliver a 7"], "not settled");
    house.follower.subscribed(0, &[topic("a")], true);
    house.out();
    house.heads(&[("a", 6)]);
    assert_eq!(house.out(), ["settled a"], "read before the commit of 7");
    assert_eq!(house.heard(2, "a", 6, 60), NOTHING);
    assert_eq!(house.own("a", 8, 80), ["deliver a 8"]);
}

#[test]
fn the_number_of_streams_is_bounded() {
    let config = FollowerConfig { streams_max: 1, ..FollowerConfig::default() };
    let mut house = House::with(config).following("a", 0);
    house.follower.want(0, &topic("b"));
    assert_eq!(house.out(), ["resync b", "settled b"]);
}
