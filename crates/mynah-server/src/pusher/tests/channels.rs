//! Subscriptions, kinds of channels, and what is remembered.

use super::*;

#[tokio::test]
async fn an_event_reaches_those_who_subscribed_byte_for_byte() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    assert_eq!(ada.join("news", None).await, json!({}));
    bo.join("other", None).await;
    for text in [r#"{"b": 1,  "a":2}"#, "plain", "", "null", "a\u{2028}\u{0}\\d🐦"] {
        house.publish("news", "headline", text).await;
        let frame = ada.next().await;
        assert_eq!((&frame["channel"], &frame["event"]), (&json!("news"), &json!("headline")));
        assert_eq!(frame["data"], text);
    }
    assert_eq!(bo.heard().await, [""; 0]);
    ada.unsubscribe("news").await;
    ada.settled().await;
    house.publish("news", "headline", "{}").await;
    assert_eq!(ada.heard().await, [""; 0]);
}

#[tokio::test]
async fn a_socket_may_be_left_out() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    ada.join("news", None).await;
    bo.join("news", None).await;
    house.publish_except("news", "moved", "{}", Some(ada.socket_id())).await;
    assert_eq!(ada.heard().await, [""; 0]);
    assert_eq!(bo.heard().await, ["moved"]);
    house.publish_except("news", "moved", "{}", Some(SocketId::new(1, 2))).await;
    assert_eq!(ada.heard().await, ["moved"]);
}

#[tokio::test]
async fn apps_do_not_hear_each_other() {
    let house = House::with(vec![app("shop"), app("other")], |_| {}).await;
    let (mut here, mut there) = (house.client().await, house.client_of("other").await);
    here.join("news", None).await;
    there.join("news", None).await;
    house.publish("news", "headline", "{}").await;
    assert_eq!(here.heard().await, ["headline"]);
    assert_eq!(there.heard().await, [""; 0]);
    assert_eq!(house.channels.occupied(&house.apps[1].id, "").len(), 1);
}

#[tokio::test]
async fn subscribing_twice_changes_nothing() {
    let house = House::new().await;
    let mut ada = house.client().await;
    ada.join("news", None).await;
    ada.join("news", None).await;
    let id = &house.app().id;
    assert_eq!(house.channels.channel(id, "news").unwrap().subscriptions, 1);
    house.publish("news", "headline", "{}").await;
    assert_eq!(ada.heard().await, ["headline"]);
    ada.unsubscribe("news").await;
    ada.unsubscribe("never").await;
    ada.settled().await;
    assert_eq!(house.channels.channel(id, "news"), None);
}

#[tokio::test]
async fn every_signed_kind_of_channel_wants_the_right_signature() {
    let house = House::new().await;
    let mut ada = house.client().await;
    let other = house.client().await;
    let member = r#"{"user_id":"ada"}"#;
    for channel in [
        "private-a",
        "private-cache-a",
        "private-encrypted-a",
        "private-encrypted-cache-a",
        "presence-a",
        "presence-cache-a",
    ] {
        let data = channel.starts_with("presence").then_some(member);
        let name = ChannelName::parse(channel, 200).unwrap();
        let sign = |secret, socket| signature::channel(secret, socket, &name, data);
        let right = sign(SECRET, ada.socket_id());
        let private_style = signature::channel(SECRET, ada.socket_id(), &name, None);
        for auth in [
            None,
            Some("x".to_owned()),
            Some("shop-key:".to_owned()),
            Some(format!("other-key:{right}")),
            Some(format!("shop-key:{}", right.to_uppercase())),
            Some(format!("shop-key:{}", &right[..62])),
            Some(format!("shop-key:{}", sign("another", ada.socket_id()))),
            Some(format!("shop-key:{}", sign(SECRET, other.socket_id()))),
            data.map(|_| format!("shop-key:{private_style}")),
        ] {
            ada.subscribe_with(channel, auth.clone(), data).await;
            let refused = ada.next().await;
            assert_eq!(refused["event"], "pusher:subscription_error", "{channel} {auth:?}");
            assert_eq!(refused["channel"], channel);
            assert_eq!(refused["data"]["type"], "AuthError");
            assert_eq!(refused["data"]["status"], 401);
            assert!(refused["data"]["error"].is_string());
        }
        house.publish(channel, "secret", "{}").await;
        assert_eq!(ada.heard().await, [""; 0]);
        ada.join(channel, data).await;
        ada.settled().await;
    }
}

#[tokio::test]
async fn prefixes_count_at_the_start_only() {
    let house = House::new().await;
    let mut ada = house.client().await;
    for channel in ["my-private-room", "my-presence-x", "x-private-encrypted-y", "Private-a"] {
        ada.subscribe_with(channel, None, None).await;
        assert_eq!(ada.next().await["event"], "pusher_internal:subscription_succeeded");
    }
    house.publish("my-cache-x", "old", "{}").await;
    ada.join("my-cache-x", None).await;
    assert_eq!(ada.heard().await, [""; 0]);
}

#[tokio::test]
async fn names_are_checked() {
    let house = House::new().await;
    let mut ada = house.client().await;
    for good in ["a", "A-z_0=9@x,y.z;", &"n".repeat(200)] {
        ada.join(good, None).await;
    }
    for bad in ["", &"n".repeat(201), "with space", "ümlaut", "a/b", "a:b", "#x", "a\nb"] {
        ada.subscribe_with(bad, None, None).await;
        let refused = ada.next().await;
        assert_eq!(refused["event"], "pusher:subscription_error", "{bad:?}");
    }
    ada.subscribe_with(&"n".repeat(201), None, None).await;
    assert_eq!(ada.next().await["data"]["type"], "LimitReached");
}

#[tokio::test]
async fn a_cache_channel_tells_its_last_event_to_whoever_comes() {
    let house = House::new().await;
    let member = r#"{"user_id":"ada"}"#;
    for channel in ["cache-a", "private-cache-a", "private-encrypted-cache-a", "presence-cache-a"] {
        let data = channel.starts_with("presence").then_some(member);
        let mut early = house.client().await;
        early.join(channel, data).await;
        assert_eq!(early.next().await["event"], "pusher:cache_miss");
        house.publish(channel, "price", "1").await;
        house.publish(channel, "price", "2").await;
        let mut late = house.client().await;
        late.join(channel, data).await;
        let price = late.next().await;
        assert_eq!((&price["event"], &price["data"]), (&json!("price"), &json!("2")));
        assert_eq!(price["channel"], channel);
        assert_eq!(late.heard().await, [""; 0]);
        assert_eq!(early.heard().await, ["price", "price"]);
        let info = house.channels.channel(&house.app().id, channel).unwrap();
        let cached = info.cache.unwrap();
        assert_eq!((&*cached.name, &*cached.data), ("price", "2"));
        assert!(cached.ttl_s > 3_500 && cached.ttl_s <= 3_600, "{}", cached.ttl_s);
        let misses = house.notes.take();
        let misses = misses.iter().filter(|what| matches!(what, Happening::CacheMiss { .. }));
        assert_eq!(misses.count(), 1);
    }
    let id = &house.app().id;
    house.publish("cache-alone", "left", "{}").await;
    let info = house.channels.channel(id, "cache-alone").unwrap();
    assert_eq!((info.subscriptions, info.cache.is_some()), (0, true));
    assert!(house.channels.occupied(id, "cache-alone").is_empty());
}

#[tokio::test]
async fn channels_are_listed_while_somebody_is_there_and_observers_are_told() {
    let house = House::new().await;
    let id = &house.app().id;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    ada.join("news", None).await;
    bo.join("news", None).await;
    bo.join("private-x", None).await;
    let mut names: Vec<_> = house
        .channels
        .occupied(id, "")
        .into_iter()
        .map(|(name, i)| (name, i.subscriptions))
        .collect();
    names.sort();
    assert_eq!(names, [("news".to_owned(), 2), ("private-x".to_owned(), 1)]);
    assert_eq!(house.channels.occupied(id, "private-").len(), 1);
    ada.unsubscribe("news").await;
    ada.settled().await;
    bo.unsubscribe("news").await;
    bo.settled().await;
    let channel = |name: &str| name.into();
    assert_eq!(
        house.notes.take(),
        [
            Happening::ChannelOccupied { channel: channel("news") },
            Happening::ChannelOccupied { channel: channel("private-x") },
            Happening::ChannelVacated { channel: channel("news") },
        ]
    );
}

#[tokio::test]
async fn subscribers_are_told_how_many_they_are_if_the_app_wants_it() {
    let house = House::with(vec![App { subscription_counts: true, ..app("shop") }], |_| {}).await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    ada.join("news", None).await;
    let count = data(&ada.find("pusher_internal:subscription_count").await);
    assert_eq!(count, json!({ "subscription_count": 1 }));
    bo.join("news", None).await;
    for client in [&mut ada, &mut bo] {
        let count = data(&client.find("pusher_internal:subscription_count").await);
        assert_eq!(count, json!({ "subscription_count": 2 }));
    }
    bo.close().await;
    let count = data(&ada.find("pusher_internal:subscription_count").await);
    assert_eq!(count, json!({ "subscription_count": 1 }));
    ada.join("presence-x", Some(r#"{"user_id":1}"#)).await;
    ada.join("fence", None).await;
    let fence = ada.find("pusher_internal:subscription_count").await;
    assert_eq!(fence["channel"], "fence");
    ada.unsubscribe("news").await;
    let zero = Happening::SubscriptionCount { channel: "news".into(), count: 0 };
    until(|| house.notes.0.lock().contains(&zero)).await;
}

#[tokio::test]
async fn events_come_after_the_subscription_and_in_order() {
    let house = House::new().await;
    let app = Arc::clone(house.app());
    let channels = house.channels.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let flood = tokio::spawn(async move {
        let name = ChannelName::parse("busy", 200).unwrap();
        let mut number = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            let event = ChannelEvent::new(name.clone(), "tick".to_owned(), number.to_string());
            channels.publish(&app, event).await;
            number += 1;
            tokio::task::yield_now().await;
        }
    });
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = house.client().await;
        client.ask("busy", None).await;
        assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
        clients.push(client);
    }
    for client in &mut clients {
        let mut last = None;
        for _ in 0..50 {
            let number: u64 = client.next().await["data"].as_str().unwrap().parse().unwrap();
            assert!(last.is_none_or(|last| number == last + 1), "{last:?} {number}");
            last = Some(number);
        }
    }
    stop.store(true, Ordering::Relaxed);
    flood.await.unwrap();
}
