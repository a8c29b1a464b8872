//! `events` and `batch_events`.

use serde_json::{Value, json};

use super::Shop;

fn event(channels: &Value) -> Value {
    json!({"name": "greeting", "data": "{\"text\":\"hi\"}", "channels": channels})
}

fn names(count: usize) -> Value {
    (0..count).map(|n| Value::from(format!("c{n}"))).collect()
}

async fn cached(shop: &Shop, channel: &str) -> Value {
    let answer = shop.get(&format!("/apps/shop/channels/{channel}?info=cache")).await;
    answer.expect(200)["cache"]["data"].clone()
}

#[tokio::test]
async fn an_event_is_published_to_its_channels() {
    let shop = Shop::new();
    let answer = shop.publish(event(&json!(["cache-a", "private-cache-b"]))).await;
    assert_eq!(answer.expect(200), json!({"ok": true}));
    for channel in ["cache-a", "private-cache-b"] {
        assert_eq!(cached(&shop, channel).await, "{\"text\":\"hi\"}", "{channel}");
    }
    let one = json!({"name": "greeting", "data": "7", "channel": "cache-a"});
    shop.publish(one).await.expect(200);
    assert_eq!(cached(&shop, "cache-a").await, "7");
}

#[tokio::test]
async fn a_batch_is_published_in_its_order() {
    let shop = Shop::new();
    let item = |n: u32| json!({"name": "n", "data": n.to_string(), "channel": "cache-a"});
    let batch = json!({"batch": [item(1), item(2), item(3)]});
    let answer = shop.post("/apps/shop/batch_events", batch).await;
    assert_eq!(answer.expect(200), json!({"ok": true}));
    assert_eq!(cached(&shop, "cache-a").await, "3");
}

#[tokio::test]
async fn a_batch_is_published_wholly_or_not_at_all() {
    let shop = Shop::new();
    let good = json!({"name": "n", "data": "1", "channel": "cache-a"});
    for bad in [
        json!({"name": "n", "data": "1"}),
        json!({"name": "n", "data": "1", "channel": "with space"}),
        json!({"name": "pusher:x", "data": "1", "channel": "a"}),
        json!({"name": "n".repeat(201), "data": "1", "channel": "a"}),
        json!({"name": "n", "data": "1", "channel": "a", "socket_id": "x"}),
        json!({"data": "1", "channel": "a"}),
        Value::Null,
    ] {
        let batch = json!({"batch": [good.clone(), bad.clone()]});
        shop.post("/apps/shop/batch_events", batch).await.refused(400);
        assert_eq!(cached(&shop, "cache-a").await, Value::Null, "{bad}");
    }
}

#[tokio::test]
async fn bodies_that_stopped_soketi_are_only_wrong() {
    let shop = Shop::new();
    for body in [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{}",
        "\u{0}",
        "{\"name\":\"n\"}",
        r#"{"name":7,"data":"1","channel":"a"}"#,
        r#"{"name":"n","data":"1","channels":"a"}"#,
        r#"{"name":"n","data":"1","channels":{"0":"a"}}"#,
        r#"{"name":"n","data":"1","channels":[]}"#,
        r#"{"name":"n","data":"1","channels":[7]}"#,
        r#"{"name":"n","data":"1","channel":null}"#,
        r#"{"name":"","data":"1","channel":"a"}"#,
        r#"{"name":"n","data":null,"channel":"a"}"#,
    ] {
        let text = shop.publish(body).await.refused(400);
        assert_eq!(text, "The received data is incorrect", "{body}");
    }
    let deep = format!(
        r#"{{"name":"n","channel":"a","data":{}1{}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    assert_eq!(shop.publish(deep).await.refused(400), "The received data is incorrect");
    let open = format!(r#"{{"name":"n","channel":"a","data":{}"#, "[".repeat(50_000));
    assert_eq!(shop.publish(open).await.refused(400), "The received data is incorrect");
    for batch in [
        "null",
        "{}",
        r#"{"batch":null}"#,
        r#"{"batch":{}}"#,
        r#"{"batch":[null]}"#,
        r#"{"batch":7}"#,
    ] {
        shop.post("/apps/shop/batch_events", batch).await.refused(400);
    }
    shop.publish(event(&json!(["still-here"]))).await.expect(200);
}

#[tokio::test]
async fn limits_have_soketis_texts_and_pushers_statuses() {
    let shop = Shop::new();
    shop.publish(event(&names(100))).await.expect(200);
    let text = shop.publish(event(&names(101))).await.refused(400);
    assert_eq!(text, "Cannot broadcast to more than 100 channels at once");
    let named = |chars: usize| json!({"name": "n".repeat(chars), "data": "1", "channel": "a"});
    shop.publish(named(200)).await.expect(200);
    let text = shop.publish(named(201)).await.refused(400);
    assert_eq!(text, "Event name is too long. Maximum allowed size is 200.");
    let sized = |bytes: usize| json!({"name": "n", "data": "\u{1}".repeat(bytes), "channel": "a"});
    shop.publish(sized(102_400)).await.expect(200);
    let text = shop.publish(sized(102_401)).await.refused(413);
    assert_eq!(text, "The event data should be less than 100 KB.");
    let batch = |count: usize| {
        let item = json!({"name": "n", "data": "1", "channel": "a"});
        json!({"batch": vec![item; count]})
    };
    shop.post("/apps/shop/batch_events", batch(10)).await.expect(200);
    let text = shop.post("/apps/shop/batch_events", batch(11)).await.refused(400);
    assert_eq!(text, "Cannot batch-send more than 10 messages at once");
    shop.publish(event(&json!(["a".repeat(200)]))).await.expect(200);
    shop.publish(event(&json!(["a".repeat(201)]))).await.refused(400);
}

#[tokio::test]
async fn an_app_may_have_limits_of_its_own() {
    let own = |app: &mut super::App| {
        app.limits.event_channels_max = Some(1);
        app.limits.event_name_chars_max = Some(2);
        app.limits.event_bytes_max = Some(1_024);
        app.limits.batch_max = Some(1);
        app.limits.channel_name_chars_max = Some(3);
    };
    let shop = Shop::with(own, "");
    let event = |name: &str, bytes: usize, channels: Value| json!({"name": name, "data": "x".repeat(bytes), "channels": channels});
    shop.publish(event("ab", 1_024, json!(["abc"]))).await.expect(200);
    shop.publish(event("abc", 1, json!(["abc"]))).await.refused(400);
    shop.publish(event("a", 1, json!(["abcd"]))).await.refused(400);
    shop.publish(event("a", 1, json!(["a", "b"]))).await.refused(400);
    let text = shop.publish(event("a", 1_025, json!(["a"]))).await.refused(413);
    assert_eq!(text, "The event data should be less than 1 KB.");
    let batch = json!({"batch": [event("a", 1, json!(["a"])), event("a", 1, json!(["a"]))]});
    let text = shop.post("/apps/shop/batch_events", batch).await.refused(400);
    assert_eq!(text, "Cannot batch-send more than 1 messages at once");
}

#[tokio::test]
async fn a_body_larger_than_any_event_is_not_read() {
    let shop = Shop::with(|app| app.limits.event_bytes_max = Some(1_024), "");
    let text = shop.publish("x".repeat(1_000_000)).await.refused(413);
    assert_eq!(text, "The payload size is too big.");
}

#[tokio::test]
async fn the_servers_own_names_are_not_for_back_ends() {
    let shop = Shop::new();
    for name in ["pusher:error", "pusher_internal:member_added", "pusher:"] {
        let event = json!({"name": name, "data": "{}", "channel": "a"});
        assert!(shop.publish(event).await.refused(400).contains("reserved"), "{name}");
    }
    for name in ["pusher-notification", "client-typing", "App\\Events\\Sent"] {
        let event = json!({"name": name, "data": "{}", "channel": "a"});
        shop.publish(event).await.expect(200);
    }
}

#[tokio::test]
async fn encrypted_events_go_to_one_channel() {
    let shop = Shop::new();
    shop.publish(event(&json!(["private-encrypted-a"]))).await.expect(200);
    shop.publish(event(&json!(["private-encrypted-a", "b"]))).await.refused(400);
}

#[tokio::test]
async fn a_users_channel_and_a_socket_to_leave_out_are_taken() {
    let shop = Shop::new();
    shop.publish(event(&json!(["#server-to-user-ada"]))).await.expect(200);
    let with = |socket_id: Value| json!({"name": "n", "data": "1", "channel": "a", "socket_id": socket_id});
    shop.publish(with(json!("123.456"))).await.expect(200);
    shop.publish(with(Value::Null)).await.expect(200);
    for bad in [json!("1"), json!("1.a"), json!(7), json!("1.2.3")] {
        shop.publish(with(bad)).await.refused(400);
    }
}

#[tokio::test]
async fn what_was_asked_about_the_channels_is_told() {
    let shop = Shop::new();
    let with_info = |channel: &str, info: &str| json!({"name": "n", "data": "1", "channel": channel, "info": info});
    let both = "subscription_count,user_count";
    let body = shop.publish(with_info("presence-a", both)).await.expect(200);
    let counts = json!({"subscription_count": 0, "user_count": 0});
    assert_eq!(body, json!({"ok": true, "channels": {"presence-a": counts}}));
    let body = shop.publish(with_info("news", both)).await.expect(200);
    assert_eq!(body["channels"]["news"], json!({"subscription_count": 0}));
    let body = shop.publish(with_info("news", "unheard_of")).await.expect(200);
    assert_eq!(body, json!({"ok": true}));
    let plain = json!({"name": "n", "data": "1", "channel": "b"});
    let batch = json!({"batch": [with_info("presence-a", both), plain]});
    let body = shop.post("/apps/shop/batch_events", batch).await.expect(200);
    assert_eq!(body, json!({"ok": true, "batch": [counts, {}]}));
}
