//! What clients say to each other.

use super::*;

async fn say(client: &mut Client, event: &str, channel: &str) {
    client.send(json!({ "event": event, "channel": channel, "data": { "n": 1 } })).await;
}

#[tokio::test]
async fn the_others_hear_it_and_a_member_is_named() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    for (client, id) in [(&mut ada, "ada"), (&mut bo, "bo")] {
        client.join("private-x", None).await;
        client.join("presence-x", Some(&json!({ "user_id": id }).to_string())).await;
    }
    ada.settled().await;
    house.notes.take();
    say(&mut ada, "client-move", "private-x").await;
    say(&mut ada, "client-typing", "presence-x").await;
    assert_eq!(ada.heard().await, [""; 0], "never to the sender");
    let heard = bo.settled().await;
    assert_eq!(
        heard,
        [
            json!({ "event": "client-move", "channel": "private-x", "data": { "n": 1 } }),
            json!({
                "event": "client-typing", "channel": "presence-x", "data": { "n": 1 },
                "user_id": "ada",
            }),
        ]
    );
    let told = house.notes.take();
    assert_eq!(told.len(), 2, "{told:?}");
    let expected = Happening::ClientEvent {
        channel: "presence-x".into(),
        event: "client-typing".to_owned(),
        data: r#"{"n":1}"#.to_owned(),
        socket_id: ada.socket_id().to_string(),
        user_id: Some("ada".into()),
    };
    assert_eq!(told[1], expected);
}

#[tokio::test]
async fn where_they_are_not_possible_the_sender_is_told_and_stays() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    for channel in ["news", "private-encrypted-x", "cache-x", "private-encrypted-cache-x"] {
        ada.join(channel, None).await;
        bo.join(channel, None).await;
        bo.settled().await;
        ada.settled().await;
        say(&mut ada, "client-x", channel).await;
        let refused = ada.next().await;
        assert_eq!(refused["event"], "pusher:error", "{channel}");
        assert_eq!(refused["channel"], channel, "its handlers are told");
        assert_eq!(refused["data"]["code"], 4301);
    }
    say(&mut ada, "client-x", "private-not-subscribed").await;
    assert_eq!(ada.next().await["data"]["code"], 4301);
    bo.join("private-x", None).await;
    ada.join("private-x", None).await;
    for name in ["pusher_internal:client-x", "pusher:client-x", "my-client-x", "Client-x", "x"] {
        say(&mut ada, name, "private-x").await;
    }
    say(&mut ada, &format!("client-{}", "n".repeat(200)), "private-x").await;
    assert_eq!(ada.next().await["data"]["code"], 4301);
    let large = json!({ "event": "client-x", "channel": "private-x", "data": "x".repeat(102_400) });
    ada.send(large).await;
    let refused = ada.next().await;
    assert_eq!(
        (&refused["data"]["code"], &refused["channel"]),
        (&json!(4301), &json!("private-x"))
    );
    assert_eq!(ada.heard().await, [""; 0]);
    assert_eq!(bo.heard().await, [""; 0]);
    say(&mut ada, "client-x", "private-x").await;
    ada.settled().await;
    assert_eq!(bo.heard().await, ["client-x"]);
}

#[tokio::test]
async fn an_app_may_forbid_them_and_limit_them() {
    let silent = App { client_events: false, ..app("silent") };
    let mut slow = app("shop");
    slow.limits.client_events_per_s = Some(3);
    let house = House::with(vec![slow, silent], |_| {}).await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    ada.join("private-x", None).await;
    bo.join("private-x", None).await;
    for _ in 0..20 {
        say(&mut ada, "client-x", "private-x").await;
    }
    let refused = ada.settled().await;
    let passed = bo.heard().await.len();
    assert!((3..=6).contains(&passed), "{passed}: at most two windows");
    assert_eq!(refused.len() + passed, 20);
    assert!(refused.iter().all(|frame| frame["data"]["code"] == 4301));
    let mut mute = house.client_of("silent").await;
    say(&mut mute, "client-x", "private-x").await;
    assert_eq!(mute.next().await["data"]["code"], 4301);
}
