//! How often an app may call.

use mynah_domain::Timestamp;
use serde_json::{Value, json};

use super::{Answered, Shop};
use crate::test_world::NOW;

fn event(channels: usize) -> Value {
    let channels: Vec<String> = (0..channels).map(|n| format!("c{n}")).collect();
    json!({"name": "n", "data": "1", "channels": channels})
}

#[track_caller]
fn left(answer: &Answered, limit: &str, remaining: &str) {
    let header = |name| answer.header(name);
    assert_eq!(header("x-ratelimit-limit"), Some(limit));
    assert_eq!(header("x-ratelimit-remaining"), Some(remaining));
}

#[tokio::test]
async fn an_event_counts_once_for_each_channel() {
    let shop = Shop::with(|app| app.limits.backend_events_per_s = Some(10), "");
    let answer = shop.publish(event(4)).await;
    left(&answer, "10", "6");
    answer.expect(200);
    let batch = json!({"batch": [event(3), event(2)]});
    let answer = shop.post("/apps/shop/batch_events", batch).await;
    left(&answer, "10", "1");
    answer.expect(200);
    let answer = shop.publish(event(2)).await;
    left(&answer, "10", "1");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.refused(429), "Too many requests.");
    shop.publish(event(1)).await.expect(200);
    shop.clock.set(Timestamp(NOW + 1_000));
    shop.publish(event(10)).await.expect(200);
}

#[tokio::test]
async fn a_refused_batch_publishes_nothing() {
    let shop = Shop::with(|app| app.limits.backend_events_per_s = Some(1), "");
    let one = |channel: &str| json!({"name": "n", "data": "1", "channel": channel});
    let batch = json!({"batch": [one("cache-a"), one("cache-b")]});
    shop.post("/apps/shop/batch_events", batch).await.refused(429);
    let body = shop.get("/apps/shop/channels/cache-a?info=cache").await.expect(200);
    assert_eq!(body["cache"], Value::Null);
}

#[tokio::test]
async fn reads_have_a_window_of_their_own() {
    let reads = |app: &mut super::App| {
        app.limits.reads_per_s = Some(2);
        app.limits.backend_events_per_s = Some(1);
    };
    let shop = Shop::with(reads, "");
    left(&shop.get("/apps/shop/channels").await, "2", "1");
    shop.get("/apps/shop/connections").await.expect(200);
    let answer = shop.get("/apps/shop/channels/news").await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    answer.refused(429);
    shop.publish(event(1)).await.expect(200);
    shop.post("/apps/shop/users/ada/terminate_connections", "{}").await.expect(200);
}

#[tokio::test]
async fn what_is_wrong_is_not_counted() {
    let shop = Shop::with(|app| app.limits.backend_events_per_s = Some(1), "");
    shop.publish("{}").await.refused(400);
    shop.publish(event(1)).await.expect(200);
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_one() {
    let shop = Shop::new();
    let answer = shop.publish(event(1)).await;
    assert_eq!(answer.header("x-ratelimit-limit"), None);
}
