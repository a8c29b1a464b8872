//! What back ends can ask.

use mynah_protocol::pusher::presence::Member;
use serde_json::json;

use super::Shop;

async fn with_members(channel: &str) -> Shop {
    let shop = Shop::new();
    for (id, info) in [("ada", Some("{\"name\":\"Ada\"}")), ("7", None)] {
        let user_info =
            info.map(|info| serde_json::value::RawValue::from_string(info.to_owned()).unwrap());
        let member = Member { user_id: id.to_owned(), user_info };
        shop.api.channels.house_member(&shop.app, channel, member, true).await;
    }
    shop
}

#[tokio::test]
async fn nobody_is_in_an_app_without_sockets() {
    let shop = Shop::new();
    assert_eq!(shop.get("/apps/shop/channels").await.expect(200), json!({"channels": {}}));
    let empty = json!({"occupied": false, "subscription_count": 0});
    assert_eq!(shop.get("/apps/shop/channels/news").await.expect(200), empty);
    let empty = json!({"occupied": false, "subscription_count": 0, "user_count": 0});
    assert_eq!(shop.get("/apps/shop/channels/presence-a").await.expect(200), empty);
    let users = shop.get("/apps/shop/channels/presence-a/users").await.expect(200);
    assert_eq!(users, json!({"users": []}));
    assert_eq!(shop.get("/apps/shop/connections").await.expect(200), json!({"connections": 0}));
}

#[tokio::test]
async fn members_are_told_with_and_without_what_they_brought() {
    let shop = with_members("presence-a").await;
    let channel = shop.get("/apps/shop/channels/presence-a?info=user_count").await.expect(200);
    assert_eq!(channel, json!({"occupied": true, "user_count": 2}));
    let mut users = shop.get("/apps/shop/channels/presence-a/users").await.expect(200);
    users["users"].as_array_mut().unwrap().sort_by_key(|user| user["id"].to_string());
    assert_eq!(users, json!({"users": [{"id": "7"}, {"id": "ada"}]}));
    let users = shop.get("/apps/shop/channels/presence-a/users?with_user_info=1").await.expect(200);
    let ada = json!({"id": "ada", "user_info": {"name": "Ada"}});
    assert!(users["users"].as_array().unwrap().contains(&ada), "{users}");
}

#[tokio::test]
async fn channels_are_listed_by_prefix() {
    let shop = with_members("presence-a").await;
    let path = "/apps/shop/channels?filter_by_prefix=presence-&info=user_count";
    let body = shop.get(path).await.expect(200);
    assert_eq!(body, json!({"channels": {"presence-a": {"user_count": 2}}}));
    let body = shop.get("/apps/shop/channels").await.expect(200);
    assert_eq!(body["channels"]["presence-a"]["occupied"], true, "{body}");
    assert!(body["channels"]["presence-a"]["subscription_count"].is_u64(), "{body}");
    let body = shop.get("/apps/shop/channels?filter_by_prefix=private-").await.expect(200);
    assert_eq!(body, json!({"channels": {}}));
}

#[tokio::test]
async fn what_a_channel_cannot_have_cannot_be_asked_of_it() {
    let shop = Shop::new();
    for path in [
        "/apps/shop/channels?info=user_count",
        "/apps/shop/channels?info=user_count&filter_by_prefix=private-",
        "/apps/shop/channels/news?info=user_count",
        "/apps/shop/channels/news?info=cache",
        "/apps/shop/channels/with%20space",
    ] {
        shop.get(path).await.refused(400);
    }
    let text = shop.get("/apps/shop/channels/private-a/users").await.refused(400);
    assert_eq!(text, "The channel must be a presence channel.");
    shop.get("/apps/shop/channels/my-presence-a/users").await.refused(400);
}

#[tokio::test]
async fn a_cache_channel_tells_what_it_remembers_and_for_how_long() {
    let shop = Shop::new();
    let path = "/apps/shop/channels/private-cache-a?info=cache";
    let body = shop.get(path).await.expect(200);
    assert_eq!(body["cache"], json!(null));
    shop.publish(json!({"name": "n", "data": "[1]", "channel": "private-cache-a"}))
        .await
        .expect(200);
    let body = shop.get(path).await.expect(200);
    assert_eq!(body["cache"]["data"], "[1]");
    assert!((1..=3_600).contains(&body["cache"]["ttl"].as_u64().unwrap()), "{body}");
}

#[tokio::test]
async fn a_users_connections_are_ended_on_demand() {
    let shop = Shop::new();
    let path = "/apps/shop/users/ada/terminate_connections";
    assert_eq!(shop.post(path, "{}").await.expect(200), json!({"ok": true}));
    assert_eq!(shop.post(path, "").await.expect(200), json!({"ok": true}));
    shop.post(path, "x".repeat(20_000)).await.refused(413);
}

#[tokio::test]
async fn answered_calls_are_counted_by_app() {
    let shop = Shop::new();
    shop.get("/apps/shop/channels").await.expect(200);
    shop.get("/apps/shop/channels/news/users").await.refused(400);
    shop.get("/apps/none/channels").await.refused(404);
    let counts = shop.api.counts();
    let [app] = &counts[..] else { panic!("{counts:?}") };
    assert_eq!((app.app.as_str(), app.http_calls), ("shop", 2));
    assert_eq!(app.http_bytes_in, 0);
    assert!(app.http_bytes_out > 20, "{app:?}");
}
