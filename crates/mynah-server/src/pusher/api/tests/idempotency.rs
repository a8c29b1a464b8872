//! Repeated requests.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{Answered, Call, Shop};

fn event(data: &str) -> Value {
    json!({"name": "n", "data": data, "channel": "cache-a"})
}

async fn send(shop: &Shop, key: &str, call: Call) -> Answered {
    let mut request: Request<Body> = call.signed();
    request.headers_mut().insert("idempotency-key", key.parse().unwrap());
    shop.send(request).await
}

#[tokio::test]
async fn a_repeated_request_publishes_nothing_and_says_so() {
    let shop = Shop::with(|app| app.limits.backend_events_per_s = Some(2), "");
    let call = |data: &str| Call::post("/apps/shop/events", event(data));
    let first = send(&shop, "k1", call("1")).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    first.expect(200);
    send(&shop, "k2", call("2")).await.expect(200);
    let again = send(&shop, "k1", call("1")).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(200), json!({"ok": true}), "beyond the limit: it costs nothing");
    let body = shop.get("/apps/shop/channels/cache-a?info=cache").await.expect(200);
    assert_eq!(body["cache"]["data"], "2");
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let shop = Shop::new();
    send(&shop, "k", Call::post("/apps/shop/events", event("1"))).await.expect(200);
    send(&shop, "k", Call::post("/apps/shop/events", event("2"))).await.refused(422);
    let batch = json!({"batch": [event("1")]});
    send(&shop, "k", Call::post("/apps/shop/batch_events", batch)).await.refused(422);
}

#[tokio::test]
async fn a_refused_request_may_be_tried_again() {
    let shop = Shop::with(|app| app.limits.backend_events_per_s = Some(1), "");
    let call = |data: &str| Call::post("/apps/shop/events", event(data));
    send(&shop, "k1", call("1")).await.expect(200);
    send(&shop, "k2", call("2")).await.refused(429);
    shop.clock.advance_ms(1_000);
    let tried = send(&shop, "k2", call("2")).await;
    assert_eq!(tried.header("idempotent-replayed"), None);
    tried.expect(200);
}

#[tokio::test]
async fn only_one_of_many_at_once_publishes() {
    let shop = Shop::with(|app| app.limits.backend_events_per_s = Some(1), "");
    let call = || send(&shop, "k", Call::post("/apps/shop/events", event("1")));
    let (a, b, c) = tokio::join!(call(), call(), call());
    let replayed = |answer: &Answered| answer.header("idempotent-replayed").is_some();
    let count = [&a, &b, &c].into_iter().filter(|answer| replayed(answer)).count();
    assert_eq!(count, 2);
    for answer in [a, b, c] {
        answer.expect(200);
    }
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let shop = Shop::new();
    let call = || Call::post("/apps/shop/events", event("1"));
    send(&shop, &"k".repeat(256), call()).await.refused(400);
    send(&shop, "", call()).await.refused(400);
}
