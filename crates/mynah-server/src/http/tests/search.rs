//! Searching over HTTP.

use mynah_domain::ports::SearchStore as _;
use serde_json::{Value, json};

use super::{Door, text};
use crate::http::HttpOptions;
use crate::rate::{Bucket, Rate, RateLimits};

impl Door {
    async fn say(&self, token: &str, room: &str, form: Value) -> Value {
        self.call(token, &format!("POST /v1/rooms/{room}/messages"), form).await.expect(201)
    }

    async fn index(&self) {
        while self.world.store.index_messages(100).await.expect("indexed").more {}
    }

    async fn find(&self, token: &str, query: &str) -> Value {
        self.get(token, &format!("/v1/search/messages?{query}")).await.expect(200)
    }
}

fn contents(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| text(&item["message"]["content"])).collect()
}

#[tokio::test]
async fn a_found_message_comes_as_in_history_with_what_was_found() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    let room = door.channel(&ada, "private").await;
    let form = json!({"content": "<i>Größe</i> matters", "clientId": "c-1", "metadata": {"a": 1}});
    let sent = door.say(&ada, &room, form).await;
    assert_eq!(door.find(&ada, "q=gross").await["items"], json!([]), "not indexed yet");
    door.index().await;
    assert_eq!(
        door.find(&ada, "q=MATT").await,
        json!({
            "items": [{
                "message": sent,
                "snippet": "<i>Größe</i> matters",
                "matches": [{"start": 13, "end": 20}],
                "score": 0.6757,
            }],
            "page": {"next": null, "prev": null, "hasMore": false},
        })
    );
    let (_, eve) = door.register("eve").await;
    assert_eq!(door.find(&eve, "q=matters").await["items"], json!([]));
    let named = format!("/v1/search/messages?q=matters&roomId={room}");
    assert_eq!(door.get(&eve, &named).await.expect(404)["code"], "ROOM_NOT_FOUND");
    door.get("", "/v1/search/messages?q=matters").await.expect(401);
}

#[tokio::test]
async fn pages_and_filters_are_passed_on() {
    let door = Door::new();
    let (ada_id, ada) = door.register("ada").await;
    let room = door.channel(&ada, "public").await;
    let other = door.channel(&ada, "public").await;
    for n in 1..=5 {
        let place = if n == 4 { &other } else { &room };
        door.say(&ada, place, json!({"content": format!("word {n}")})).await;
    }
    door.say(&ada, &room, json!({"content": "word https://example.org 6"})).await;
    door.index().await;
    let page = door.find(&ada, "q=word&limit=4").await;
    assert_eq!(contents(&page), ["word https://example.org 6", "word 5", "word 4", "word 3"]);
    assert_eq!(page["page"]["hasMore"], true);
    let next = text(&page["page"]["next"]);
    let page = door.find(&ada, &format!("q=word&limit=4&cursor={next}")).await;
    assert_eq!(contents(&page), ["word 2", "word 1"]);
    assert_eq!(page["page"], json!({"next": null, "prev": null, "hasMore": false}));
    let in_room = format!("q=word&roomId={room}");
    for (query, found) in [
        ("q=word&has=link".to_owned(), vec!["word https://example.org 6"]),
        ("q=word&has=link,reply".to_owned(), vec![]),
        (format!("{in_room}&before=number:3"), vec!["word 2", "word 1"]),
        (format!("{in_room}&after=number:4"), vec!["word https://example.org 6"]),
        (format!("{in_room}&from={ada_id}&before=number:2"), vec!["word 1"]),
        ("q=word&before=2026-11-21".to_owned(), vec![]),
        (format!("q=4&from={ada_id}&after=2026-11-21T10:00:00Z"), vec!["word 4"]),
        ("q=word&from=nobody".to_owned(), vec![]),
    ] {
        assert_eq!(contents(&door.find(&ada, &query).await), found, "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_searched_is_refused_with_the_field() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    for (query, field) in [
        ("", "q"),
        ("q=%20!", "q"),
        ("q=-a", "q"),
        (&format!("q={}", "a".repeat(257)), "q"),
        ("q=a&before=17", "before"),
        ("q=a&after=a%20b", "after"),
        ("q=a&has=file", "has"),
        ("q=a&from=a%20b", "from"),
        ("q=a&cursor=17", "cursor"),
        ("q=a&limit=x", "limit"),
    ] {
        let refused = door.get(&ada, &format!("/v1/search/messages?{query}")).await.expect(400);
        assert_eq!(refused["code"], "VALIDATION", "{query}");
        assert_eq!(refused["errors"][0]["path"], field, "{query}");
    }
    let refused = door.get(&ada, "/v1/search/messages?q=a&roomId=nowhere").await.expect(404);
    assert_eq!(refused["code"], "ROOM_NOT_FOUND");
}

#[tokio::test]
async fn searches_are_counted() {
    let door = Door::with(|house| {
        let few = |bucket| Rate { count: u32::from(bucket == Bucket::Search) * 2, window_s: 60 };
        house.limits = std::sync::Arc::new(RateLimits::with(few));
        HttpOptions::default()
    });
    let (_, ada) = door.register("ada").await;
    for _ in 0..2 {
        door.find(&ada, "q=a").await;
    }
    let refused = door.get(&ada, "/v1/search/messages?q=a").await;
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(refused.expect(429)["code"], "RATE_LIMITED");
}
