use super::*;

#[tokio::test]
async fn a_room_is_made_listed_changed_and_deleted() {
    let door = Door::new();
    let (ada_id, ada) = door.register("ada").await;
    let (bob_id, _) = door.register("bob").await;
    let form = json!({"name": " Team ", "kind": "group", "topic": "Work", "memberIds": [bob_id],
        "createdBy": bob_id, "lastSeq": 99, "tenantId": "other"});
    let made = door.call(&ada, "POST /v1/rooms", form).await.expect(201);
    let room = text(&made["id"]);
    assert_eq!(
        made,
        json!({"id": room, "kind": "group", "visibility": "private", "name": "Team",
            "topic": "Work", "createdBy": ada_id, "memberCount": 2, "lastSeq": 3, "lastNumber": 0,
            "createdAt": "2026-11-21T10:00:00.000Z", "updatedAt": "2026-11-21T10:00:00.000Z",
            "role": "owner", "state": "joined", "unread": 0, "lastReadSeq": 0,
            "lastReadNumber": 0})
    );
    for alias in ["/v1/rooms", "/channels", "/api/chat/rooms", "/api/v1/channels", "/rooms"] {
        let list = door.get(&ada, alias).await.expect(200);
        assert_eq!(list["items"][0]["id"], room.as_str(), "{alias}");
        assert_eq!(list["items"][0]["lastMessage"], Value::Null);
    }
    let line = format!("PATCH /v1/rooms/{room}");
    let changed = door.call(&ada, &line, json!({"topic": "Play", "lastSeq": 7})).await.expect(200);
    assert_eq!((&changed["topic"], &changed["lastSeq"]), (&json!("Play"), &json!(4)));
    door.call(&ada, &format!("DELETE /v1/rooms/{room}"), Value::Null).await.expect(200);
    door.get(&ada, &format!("/v1/rooms/{room}")).await.expect(404);
}

#[tokio::test]
async fn lists_are_read_page_by_page_in_both_directions() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    for _ in 0..5 {
        door.channel(&ada, "public").await;
    }
    let first = door.get(&ada, "/v1/rooms?limit=2").await.expect(200);
    assert_eq!((&first["page"]["hasMore"], &first["page"]["prev"]), (&json!(true), &Value::Null));
    let path = |cursor: &Value| format!("/v1/rooms?limit=2&cursor={}", text(cursor));
    let second = door.get(&ada, &path(&first["page"]["next"])).await.expect(200);
    let third = door.get(&ada, &path(&second["page"]["next"])).await.expect(200);
    assert_eq!(third["items"].as_array().unwrap().len(), 1);
    assert_eq!((&third["page"]["hasMore"], &third["page"]["next"]), (&json!(false), &Value::Null));
    let back = door.get(&ada, &path(&second["page"]["prev"])).await.expect(200);
    assert_eq!(back["items"], first["items"]);
    door.get(&ada, "/v1/rooms?cursor=made-up").await.expect(400);
    door.get(&ada, "/v1/rooms?filter=made-up").await.expect(400);
}

#[tokio::test]
async fn a_private_room_is_missing_for_outsiders() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    let (_, eve) = door.register("eve").await;
    let room = door.channel(&ada, "private").await;
    let message = door
        .call(&ada, &format!("POST /v1/rooms/{room}/messages"), json!({"content": "x"}))
        .await
        .expect(201);
    let message = text(&message["id"]);
    let strip = |mut answer: Value| {
        for name in ["instance", "path", "requestId", "timestamp"] {
            answer[name] = Value::Null;
        }
        answer
    };
    for rest in ["", "/messages", "/members", "/read", "/typing", "/join", "/leave"] {
        let method = match rest {
            "/read" | "/typing" | "/join" | "/leave" => "POST",
            _ => "GET",
        };
        let body = json!({"isTyping": true});
        let body = if method == "GET" { Value::Null } else { body };
        let line = format!("{method} /v1/rooms/{room}{rest}");
        let hidden = strip(door.call(&eve, &line, body.clone()).await.expect(404));
        let missing = door.call(&eve, &format!("{method} /v1/rooms/none{rest}"), body).await;
        assert_eq!(hidden, strip(missing.expect(404)), "{rest}");
    }
    for line in ["GET", "DELETE"] {
        let line = format!("{line} /v1/messages/{message}");
        assert_eq!(
            door.call(&eve, &line, Value::Null).await.expect(404)["code"],
            "MESSAGE_NOT_FOUND"
        );
    }
}

#[tokio::test]
async fn members_come_are_ranked_and_go() {
    let door = Door::new();
    let (ada_id, ada) = door.register("ada").await;
    let (bob_id, bob) = door.register("bob").await;
    let room = door.channel(&ada, "public").await;
    let members = format!("/v1/rooms/{room}/members");
    let invited = door.call(&ada, &format!("POST {members}"), json!({"userId": bob_id})).await;
    assert_eq!(invited.expect(201)["state"], "invited");
    let joined = door.call(&bob, &format!("POST /v1/rooms/{room}/join"), Value::Null).await;
    assert_eq!(joined.expect(200)["state"], "joined");
    let one = format!("{members}/{bob_id}");
    let ranked = door.call(&ada, &format!("PATCH {one}"), json!({"role": "Moderator"})).await;
    assert_eq!(ranked.expect(200)["role"], "moderator");
    for bad in [json!({}), json!({"role": "emperor"}), json!({"role": "nobody"})] {
        door.call(&ada, &format!("PATCH {one}"), bad).await.expect(400);
    }
    let owner = door.call(&ada, &format!("PATCH {one}"), json!({"role": "owner"})).await;
    assert_eq!(owner.expect(403)["code"], "INSUFFICIENT_ROLE");
    let list = door.get(&ada, &members).await.expect(200);
    assert_eq!(
        list["items"][0],
        json!({"userId": ada_id, "role": "owner", "state": "joined",
            "joinedAt": "2026-11-21T10:00:00.000Z", "lastReadSeq": 0, "lastReadNumber": 0,
            "user": {"id": ada_id, "username": "ada", "name": "ada"}, "online": false})
    );
    let kicked = door.call(&ada, &format!("DELETE {one}"), Value::Null).await.expect(200);
    assert_eq!(kicked["state"], "kicked");
    let banned = door.call(&ada, &format!("POST {one}/ban"), Value::Null).await.expect(200);
    assert_eq!(banned["state"], "banned");
    let again = door.call(&bob, &format!("POST /v1/rooms/{room}/join"), Value::Null).await;
    assert_eq!(again.expect(403)["code"], "BANNED");
}

#[tokio::test]
async fn direct_rooms_open_by_either_way() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    let (bob_id, _) = door.register("bob").await;
    let form = json!({"userId": bob_id});
    let direct = door.call(&ada, "POST /v1/rooms/direct", form).await.expect(201);
    assert_eq!((&direct["kind"], &direct["name"]), (&json!("direct"), &Value::Null));
    let form = json!({"type": "DIRECT", "memberIds": [bob_id]});
    let again = door.call(&ada, "POST /rooms", form).await.expect(200);
    assert_eq!((&again["kind"], &again["id"]), (&json!("direct"), &direct["id"]));
    let nobody = door.call(&ada, "POST /v1/rooms/direct", json!({"userId": "nobody"})).await;
    assert_eq!(nobody.expect(404)["code"], "USER_NOT_FOUND");
    let form = json!({"kind": "direct", "memberIds": []});
    door.call(&ada, "POST /v1/rooms", form).await.expect(400);
}
