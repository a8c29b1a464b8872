//! Sign-in, and what belongs to one user.

use super::*;

async fn signed_in(house: &House, user_data: &str) -> Client {
    let mut client = house.client().await;
    client.sign_in(user_data).await;
    let answer = client.next().await;
    assert_eq!(answer["event"], "pusher:signin_success", "{answer}");
    assert_eq!(data(&answer)["user_data"], user_data);
    client
}

#[tokio::test]
async fn a_users_channel_is_the_users_own() {
    let house = House::new().await;
    let mut ada = signed_in(&house, r#"{"id":"ada","user_info":{"name":"Ada"}}"#).await;
    let mut mallory = signed_in(&house, r#"{"id":"mallory"}"#).await;
    let mut nobody = house.client().await;
    ada.join("#server-to-user-ada", None).await;
    for client in [&mut mallory, &mut nobody] {
        let refused = client.refused("#server-to-user-ada", None).await;
        assert_eq!(refused["type"], "AuthError");
    }
    house.publish("#server-to-user-ada", "invoice", "{}").await;
    assert_eq!(ada.heard().await, ["invoice"]);
    assert_eq!(mallory.heard().await, [""; 0]);
    assert_eq!(nobody.heard().await, [""; 0]);
}

#[tokio::test]
async fn wrong_sign_ins_are_refused() {
    let house = House::new().await;
    for (auth, user_data) in
        [("shop-key:00", r#"{"id":"ada"}"#), ("x", "{}"), ("other-key:00", "{}")]
    {
        let mut client = house.client().await;
        let data = json!({ "auth": auth, "user_data": user_data });
        client.send(json!({ "event": "pusher:signin", "data": data })).await;
        let (code, frames) = client.end().await;
        assert_eq!(code, Some(4009));
        assert_eq!(frames[0]["data"]["code"], 4009);
    }
    for user_data in ["{}", r#"{"id":""}"#, "ada", r#"{"id":null}"#] {
        let mut client = house.client().await;
        client.sign_in(user_data).await;
        assert_eq!(client.next().await["event"], "pusher:error", "{user_data}");
    }
    let mut ada = signed_in(&house, r#"{"id":"ada"}"#).await;
    ada.sign_in(r#"{"id":"ada"}"#).await;
    assert_eq!(ada.next().await["event"], "pusher:signin_success");
    ada.sign_in(r#"{"id":"bo"}"#).await;
    assert_eq!(ada.next().await["data"]["code"], 4009);
    ada.join("#server-to-user-ada", None).await;
}

#[tokio::test]
async fn the_member_of_a_presence_channel_may_come_from_the_sign_in() {
    let house = House::new().await;
    let mut ada = signed_in(&house, r#"{"id":"ada","user_info":{"name":"Ada"}}"#).await;
    let told = ada.join("presence-x", None).await;
    assert_eq!(told["presence"]["hash"], json!({ "ada": { "name": "Ada" } }));
    let mut nobody = house.client().await;
    assert_eq!(nobody.refused("presence-x", None).await["type"], "AuthError");
}

#[tokio::test]
async fn all_connections_of_a_user_can_be_ended() {
    let house = House::new().await;
    let mut tabs =
        [signed_in(&house, r#"{"id":"ada"}"#).await, signed_in(&house, r#"{"id":"ada"}"#).await];
    let mut other = signed_in(&house, r#"{"id":"bo"}"#).await;
    house.channels.terminate_user(&house.app().id, "ada").await;
    house.channels.terminate_user(&house.app().id, "nobody").await;
    for tab in &mut tabs {
        let (code, frames) = tab.end().await;
        assert_eq!(code, Some(4009));
        assert_eq!(frames[0]["data"]["code"], 4009);
    }
    assert_eq!(other.heard().await, [""; 0]);
}

#[tokio::test]
async fn whoever_must_sign_in_and_does_not_is_closed() {
    let strict = App { user_authentication: true, ..app("shop") };
    let house = House::with(vec![strict], |config| config.user_authentication_timeout_s = 4).await;
    let mut ada = signed_in(&house, r#"{"id":"ada"}"#).await;
    let mut nobody = house.client().await;
    assert_eq!(nobody.end().await.0, Some(4009));
    assert_eq!(ada.heard().await, [""; 0]);
}

#[tokio::test]
async fn a_watchlist_tells_who_comes_and_goes() {
    let house = House::new().await;
    let friend = signed_in(&house, r#"{"id":"here"}"#).await;
    let mut ada = signed_in(&house, r#"{"id":"ada","watchlist":["here","later","never"]}"#).await;
    let told = ada.next().await;
    assert_eq!(told["event"], "pusher_internal:watchlist_events");
    assert_eq!(
        data(&told),
        json!({ "events": [
            { "name": "online", "user_ids": ["here"] },
            { "name": "offline", "user_ids": ["later", "never"] },
        ] })
    );
    let later = signed_in(&house, r#"{"id":"later"}"#).await;
    let online = |id| json!({ "events": [{ "name": "online", "user_ids": [id] }] });
    assert_eq!(data(&ada.next().await), online("later"));
    signed_in(&house, r#"{"id":"stranger"}"#).await;
    let second = signed_in(&house, r#"{"id":"later"}"#).await;
    assert_eq!(ada.heard().await, [""; 0]);
    drop((later, second, friend));
    let mut gone = Vec::new();
    for _ in 0..2 {
        let told = data(&ada.next().await);
        assert_eq!(told["events"][0]["name"], "offline");
        gone.push(told["events"][0]["user_ids"][0].as_str().unwrap().to_owned());
    }
    gone.sort();
    assert_eq!(gone, ["here", "later"]);
    let long: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    let mut client = house.client().await;
    client.sign_in(&json!({ "id": "x", "watchlist": long }).to_string()).await;
    assert_eq!(client.next().await["data"]["code"], 4302);
}
