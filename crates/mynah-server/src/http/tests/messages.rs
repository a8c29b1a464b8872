use mynah_domain::RoomId;
use mynah_domain::message::Draft;

use super::*;

async fn started() -> (Door, String, String, String) {
    let door = Door::new();
    let (ada_id, ada) = door.register("ada").await;
    let room = door.channel(&ada, "public").await;
    (door, ada_id, ada, room)
}

#[tokio::test]
async fn a_message_comes_back_as_it_was_stored() {
    let (door, ada_id, ada, room) = started().await;
    let line = format!("POST /v1/rooms/{room}/messages");
    let body = r#"{"content":"hi","metadata":{"b":1,"a":[1.50,"ü"]},"clientId":"c1","seq":99,
        "senderId":"root","number":7,"tenantId":"x","createdAt":"1970-01-01T00:00:00.000Z"}"#;
    let request = Request::post(line.split_once(' ').unwrap().1)
        .header("authorization", format!("Bearer {ada}"))
        .header("content-type", "application/json; charset=utf-8")
        .body(Body::from(body))
        .unwrap();
    let answer = door.send(request).await;
    assert!(answer.text.contains(r#""metadata":{"b":1,"a":[1.50,"ü"]},"#), "verbatim metadata");
    let sent = answer.expect(201);
    let id = text(&sent["id"]);
    let at = "2026-11-21T10:00:00.000Z";
    assert_eq!(
        sent,
        json!({"id": id, "roomId": room, "seq": 3, "number": 1, "senderId": ada_id,
            "sender": {"id": ada_id, "username": "ada", "name": "ada"}, "kind": "text",
            "content": "hi", "metadata": {"b": 1, "a": [1.5, "ü"]}, "replyToId": null,
            "clientId": "c1", "editedAt": null, "deletedAt": null, "editCount": 0,
            "createdAt": at, "updatedAt": at})
    );
    assert_eq!(door.get(&ada, &format!("/v1/messages/{id}")).await.expect(200), sent);
    let line = format!("PATCH /v1/messages/{id}");
    let edited = door.call(&ada, &line, json!({"content": "hello"})).await.expect(200);
    assert_eq!((&edited["content"], &edited["editCount"]), (&json!("hello"), &json!(1)));
    let texts = door.get(&ada, &format!("/v1/messages/{id}/history")).await.expect(200);
    assert_eq!(texts["items"][0]["editedBy"], ada_id.as_str());
    let line = format!("DELETE /v1/messages/{id}");
    let gone = door.call(&ada, &line, Value::Null).await.expect(200);
    assert_eq!((&gone["content"], &gone["deletedAt"]), (&json!(""), &json!(at)));
}

#[tokio::test]
async fn a_repeat_gives_the_first_result() {
    let (door, _, ada, room) = started().await;
    let path = format!("/v1/rooms/{room}/messages");
    let request = |content: &str| {
        Request::post(&path)
            .header("authorization", format!("Bearer {ada}"))
            .header("content-type", "application/json")
            .header("idempotency-key", "k1")
            .body(Body::from(json!({"content": content}).to_string()))
            .unwrap()
    };
    let first = door.send(request("one")).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let first = first.expect(201);
    assert_eq!(first["clientId"], "k1");
    let again = door.send(request("two")).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.expect(200), first);
    let mut unreadable = request("three");
    let key = axum::http::HeaderValue::from_bytes(b"k\xff").unwrap();
    unreadable.headers_mut().insert("idempotency-key", key);
    door.send(unreadable).await.expect(400);
}

#[tokio::test]
async fn bad_messages_name_every_broken_rule() {
    let (door, _, ada, room) = started().await;
    let line = format!("POST /v1/rooms/{room}/messages");
    let deep = serde_json::from_str::<Value>(&format!("{}1{}", "[".repeat(70), "]".repeat(70)));
    for (form, messages) in [
        (json!({}), json!(["content must be a string"])),
        (json!({"content": " "}), json!(["content must not be empty"])),
        (
            json!({"content": 1, "kind": [], "replyToId": "a b"}),
            json!(["content must be a string", "kind must be a string", "replyToId must be an id"]),
        ),
        (
            json!({"content": "x".repeat(8_001)}),
            json!(["content must be shorter than or equal to 8000 characters"]),
        ),
        (
            json!({"content": "x", "metadata": deep.unwrap()}),
            json!(["metadata must not be nested deeper than 64 levels"]),
        ),
    ] {
        let refused = door.call(&ada, &line, form).await.expect(400);
        assert_eq!(refused["message"], messages);
    }
    let huge = json!({"content": "x".repeat(1_000_000)});
    assert_eq!(door.call(&ada, &line, huge).await.expect(413)["code"], "BODY_TOO_LARGE");
}

#[tokio::test]
async fn history_is_read_newest_first_and_page_by_page() {
    let (door, _, ada, room) = started().await;
    let path = format!("/v1/rooms/{room}/messages");
    for n in 1..=5 {
        let form = json!({"content": n.to_string()});
        door.call(&ada, &format!("POST {path}"), form).await.expect(201);
    }
    let contents = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|m| text(&m["content"])).collect()
    };
    let newest = door.get(&ada, &format!("{path}?limit=2")).await.expect(200);
    assert_eq!(contents(&newest), ["5", "4"]);
    assert_eq!((&newest["headSeq"], &newest["page"]["hasMore"]), (&json!(7), &json!(true)));
    let next = text(&newest["page"]["next"]);
    for query in [format!("cursor={next}"), format!("before={next}"), "before=6".to_owned()] {
        let older = door.get(&ada, &format!("{path}?limit=2&{query}")).await.expect(200);
        assert_eq!(contents(&older), ["3", "2"], "{query}");
    }
    door.get(&ada, &format!("{path}?before=a%20b")).await.expect(400);
    door.get(&ada, &format!("{path}?before=unknown-id")).await.expect(404);
}

#[tokio::test]
async fn reading_and_typing_are_passed_on() {
    let (door, _, ada, room) = started().await;
    let (bob_id, bob) = door.register("bob").await;
    door.call(&bob, &format!("POST /v1/rooms/{room}/join"), Value::Null).await.expect(200);
    let form = json!({"content": "x"});
    let sent = door.call(&ada, &format!("POST /v1/rooms/{room}/messages"), form).await.expect(201);
    let (seq, id) = (&sent["seq"], &sent["id"]);
    for body in [Value::Null, json!({}), json!({"seq": seq}), json!({"messageId": id})] {
        let read = door.call(&bob, &format!("POST /v1/rooms/{room}/read"), body).await.expect(200);
        assert_eq!(
            read,
            json!({"roomId": room, "userId": bob_id, "seq": seq, "number": 1, "messageId": id,
                "readAt": "2026-11-21T10:00:00.000Z"})
        );
    }
    let path = format!("/v1/rooms/{room}/receipts?messageId={}", text(id));
    let readers = door.get(&ada, &path).await.expect(200);
    assert_eq!(readers["read"][0]["userId"], bob_id.as_str());
    let line = format!("POST /v1/rooms/{room}/typing");
    door.call(&ada, &line, json!({"isTyping": true})).await.expect(204);
    door.call(&ada, &line, json!({})).await.expect(400);
}

#[tokio::test]
async fn catching_up_gives_events_with_their_envelope() {
    let (door, ada_id, ada, room) = started().await;
    let start = door.get(&ada, "/v1/sync").await.expect(200);
    assert_eq!(
        start,
        json!({"events": [], "next": "2-0000000000000000", "gap": false, "more": false})
    );
    let line = format!("POST /v1/rooms/{room}/messages");
    let sent = door.call(&ada, &line, json!({"content": "x"})).await.expect(201);
    let page = door.get(&ada, "/v1/sync?since=2").await.expect(200);
    assert_eq!(page["next"], "3-0000000000000000");
    assert_eq!(
        page["events"][0],
        json!({"id": format!("evt_{room}_3"), "type": "message.created", "version": 1,
            "pos": "3", "tenantId": "default", "roomId": room, "seq": 3, "actorId": ada_id,
            "at": "2026-11-21T10:00:00.000Z", "data": sent})
    );
}

#[tokio::test]
async fn catching_up_gives_a_thousand_events_at_most() {
    let (door, _, ada, room) = started().await;
    let actor = door.house.identity.verify(&ada).await.unwrap().actor;
    for _ in 0..1_001 {
        let (room, content) = (RoomId::trusted(room.clone()), "x".to_owned());
        let draft = Draft { content, ..Draft::default() };
        door.house.chat.send_message(&actor, room, draft).await.unwrap();
    }
    let page = door.get(&ada, "/v1/sync?since=2&limit=5000").await.expect(200);
    assert_eq!(page["events"].as_array().unwrap().len(), 1_000);
    assert_eq!((&page["next"], &page["more"]), (&json!("1002-0000000000000000"), &json!(true)));
    let rest = door.get(&ada, "/v1/sync?since=1002&limit=5000").await.expect(200);
    assert_eq!((&rest["next"], &rest["more"]), (&json!("1003-0000000000000000"), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_catch_up_wakes_with_the_next_event() {
    let (door, _, ada, room) = started().await;
    let started = tokio::time::Instant::now();
    let empty = door.get(&ada, "/v1/sync?since=2&timeout=25").await.expect(200);
    assert_eq!(empty["events"], json!([]));
    assert_eq!(started.elapsed().as_secs(), 25);
    let waiting = door.get(&ada, "/v1/sync?since=2&timeout=25");
    let line = format!("POST /v1/rooms/{room}/messages");
    let sending = door.call(&ada, &line, json!({"content": "x"}));
    let started = tokio::time::Instant::now();
    let (woken, _) = tokio::join!(waiting, sending);
    assert_eq!(woken.expect(200)["events"][0]["seq"], 3);
    assert!(started.elapsed().as_secs() < 1);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_catch_up_ends_when_the_process_drains() {
    let (door, _, ada, _) = started().await;
    let started = tokio::time::Instant::now();
    let waiting = door.get(&ada, "/v1/sync?since=2&timeout=25");
    let (ended, ()) = tokio::join!(waiting, async {
        tokio::task::yield_now().await;
        door.house.health.drain();
    });
    assert_eq!(ended.expect(200)["next"], "2-0000000000000000");
    assert!(started.elapsed().as_secs() < 1);
}
