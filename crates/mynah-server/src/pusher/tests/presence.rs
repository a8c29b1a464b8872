//! Who is there.

use super::*;

fn who(id: &str) -> String {
    json!({ "user_id": id, "user_info": { "name": id } }).to_string()
}

fn members(house: &House, channel: &str) -> Vec<String> {
    let members = house.channels.members(&house.app().id, channel).unwrap_or_default();
    members.into_iter().map(|member| member.user_id).collect()
}

#[tokio::test]
async fn newcomers_are_told_of_all_and_all_of_the_newcomer() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    let told = ada.join("presence-tea", Some(&who("ada"))).await;
    assert_eq!(
        told,
        json!({ "presence": { "ids": ["ada"], "hash": { "ada": { "name": "ada" } }, "count": 1 } })
    );
    let told = bo.join("presence-tea", Some(&who("bo"))).await;
    assert_eq!(told["presence"]["ids"], json!(["ada", "bo"]));
    assert_eq!(bo.heard().await, [""; 0], "nobody is told of oneself");
    let added = ada.next().await;
    assert_eq!(added["event"], "pusher_internal:member_added");
    assert_eq!(data(&added), json!({ "user_id": "bo", "user_info": { "name": "bo" } }));
    bo.unsubscribe("presence-tea").await;
    let removed = ada.next().await;
    assert_eq!(removed["event"], "pusher_internal:member_removed");
    assert_eq!(data(&removed), json!({ "user_id": "bo" }));
    let info = house.channels.channel(&house.app().id, "presence-tea").unwrap();
    assert_eq!((info.subscriptions, info.users), (1, Some(1)));
}

#[tokio::test]
async fn numbers_are_ids_and_who_says_nothing_of_itself_is_listed() {
    let house = House::new().await;
    let mut ada = house.client().await;
    let told = ada.join("presence-n", Some(r#"{"user_id":7}"#)).await;
    assert_eq!(told["presence"], json!({ "ids": ["7"], "hash": { "7": null }, "count": 1 }));
    for bad in [r"{}", r#"{"user_id":null}"#, r#"{"user_id":""}"#, r#"{"user_id":[1]}"#, "7", "x"] {
        let mut client = house.client().await;
        assert_eq!(client.refused("presence-n", Some(bad)).await["type"], "AuthError", "{bad}");
        assert_eq!(client.heard().await, [""; 0]);
    }
    let large = json!({ "user_id": "l", "user_info": "x".repeat(3_000) }).to_string();
    assert_eq!(
        house.client().await.refused("presence-n", Some(&large)).await["type"],
        "LimitReached"
    );
    assert_eq!(members(&house, "presence-n"), ["7"]);
}

#[tokio::test]
async fn a_second_socket_is_no_second_member() {
    let house = House::new().await;
    let mut ada = house.client().await;
    let (mut one, mut two) = (house.client().await, house.client().await);
    ada.join("presence-x", Some(&who("ada"))).await;
    one.join("presence-x", Some(&who("bo"))).await;
    let told = two.join("presence-x", Some(&who("bo"))).await;
    assert_eq!(told["presence"]["count"], 2);
    one.unsubscribe("presence-x").await;
    one.settled().await;
    assert_eq!(ada.heard().await, ["pusher_internal:member_added"]);
    two.unsubscribe("presence-x").await;
    two.settled().await;
    assert_eq!(ada.heard().await, ["pusher_internal:member_removed"]);
}

#[tokio::test]
async fn the_ceiling_refuses_newcomers_and_no_second_socket() {
    let house = House::with(vec![app("shop")], |config| config.presence_members_max = 2).await;
    let mut clients = Vec::new();
    for id in ["a", "b", "a", "b"] {
        let mut client = house.client().await;
        client.join("presence-x", Some(&who(id))).await;
        clients.push(client);
    }
    let mut more = house.client().await;
    let refused = more.refused("presence-x", Some(&who("c"))).await;
    assert_eq!(refused["type"], "LimitReached");
    house.publish("presence-x", "secret", "{}").await;
    assert_eq!(more.heard().await, [""; 0]);
    assert_eq!(members(&house, "presence-x"), ["a", "b"]);
}

#[tokio::test]
async fn whoever_comes_as_somebody_else_leaves_no_ghost() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    ada.join("presence-x", Some(&who("ada"))).await;
    bo.join("presence-x", Some(&who("bo"))).await;
    bo.join("presence-x", Some(&who("bo"))).await;
    let told = bo.join("presence-x", Some(&who("zoe"))).await;
    assert_eq!(told["presence"]["ids"], json!(["ada", "zoe"]));
    assert_eq!(
        ada.heard().await,
        [
            "pusher_internal:member_added",
            "pusher_internal:member_removed",
            "pusher_internal:member_added"
        ]
    );
    drop(bo);
    until(|| house.channels.connections(&house.app().id) == 1).await;
    assert_eq!(house.channels.channel(&house.app().id, "presence-x").unwrap().subscriptions, 1);
}

#[tokio::test]
async fn a_page_that_is_loaded_again_neither_leaves_nor_comes() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    ada.join("presence-x", Some(&who("ada"))).await;
    bo.join("presence-x", Some(&who("bo"))).await;
    bo.close().await;
    until(|| house.channels.connections(&house.app().id) == 1).await;
    let mut again = house.client().await;
    assert_eq!(again.join("presence-x", Some(&who("bo"))).await["presence"]["count"], 2);
    assert_eq!(ada.heard().await, ["pusher_internal:member_added"]);
}

#[tokio::test]
async fn whoever_vanishes_is_gone_after_a_while() {
    let house = House::new().await;
    let (mut ada, mut bo) = (house.client().await, house.client().await);
    ada.join("presence-x", Some(&who("ada"))).await;
    bo.join("presence-x", Some(&who("bo"))).await;
    assert_eq!(ada.next().await["event"], "pusher_internal:member_added");
    let begun = std::time::Instant::now();
    drop(bo);
    let removed = ada.next().await;
    assert_eq!(removed["event"], "pusher_internal:member_removed");
    assert!(begun.elapsed() > Duration::from_millis(2_500), "{:?}", begun.elapsed());
    assert_eq!(members(&house, "presence-x"), ["ada"]);
}

#[tokio::test]
async fn many_that_come_at_once_all_know_each_other() {
    let house = House::new().await;
    let mut clients = Vec::new();
    for number in 0..60 {
        let mut client = house.client().await;
        client.ask("presence-x", Some(&who(&format!("u{number}")))).await;
        clients.push(client);
    }
    for client in &mut clients {
        let list = data(&client.find("pusher_internal:subscription_succeeded").await);
        let mut known: std::collections::BTreeSet<String> = list["presence"]["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(known.len() as u64, list["presence"]["count"].as_u64().unwrap());
        while known.len() < 60 {
            let frame = client.next().await;
            assert_eq!(frame["event"], "pusher_internal:member_added");
            let id = data(&frame)["user_id"].as_str().unwrap().to_owned();
            assert!(known.insert(id.clone()), "{id} is told twice");
        }
        assert_eq!(client.heard().await, [""; 0]);
    }
}
