use mynah_domain::ports::StoreError;

use super::*;

#[tokio::test]
async fn problems_name_everything_a_client_reads() {
    let door = Door::new();
    let answer = door.get("", "/v1/rooms?secret=1").await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    let id = answer.header("x-request-id").to_owned();
    let mut problem = answer.expect(401);
    assert_eq!(text(&problem["timestamp"]).len(), 24);
    problem["timestamp"] = Value::Null;
    assert_eq!(
        problem,
        json!({
            "type": "urn:mynah:error:UNAUTHORIZED", "title": "Unauthorized", "status": 401,
            "detail": "Unauthorized", "instance": "/v1/rooms", "code": "UNAUTHORIZED",
            "statusCode": 401, "message": ["Unauthorized"], "error": "Unauthorized", "errors": [],
            "requestId": id, "timestamp": null, "path": "/v1/rooms", "method": "GET"
        })
    );
}

#[tokio::test]
async fn compatible_paths_answer_errors_as_nest_does() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    let unauthorized = r#"{"message":"Unauthorized","statusCode":401}"#;
    for (token, path, body) in [
        ("", "/rooms", unauthorized),
        ("junk", "/api/rooms", unauthorized),
        ("", "/nope", r#"{"message":"Cannot GET /nope","error":"Not Found","statusCode":404}"#),
        (
            &ada,
            "/api/v1/rooms/none",
            r#"{"message":"room not found","error":"Not Found","statusCode":404}"#,
        ),
        (
            &ada,
            "/rooms?limit=x",
            r#"{"message":["limit must be a number"],"error":"Bad Request","statusCode":400}"#,
        ),
    ] {
        let answer = door.get(token, path).await;
        assert_eq!(answer.text, body, "{path}");
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
    }
    let form = json!({"userIds": ["fine", "not fine", 7]});
    assert_eq!(
        door.call(&ada, "POST /presence/query", form).await.text,
        r#"{"message":["userIds.1 must be an id","userIds.2 must be an id"],"error":"Bad Request","statusCode":400}"#
    );
}

#[tokio::test]
async fn requests_that_cannot_be_understood_say_why() {
    let door = Door::new();
    let post = |body: &'static str, kind: &str| {
        let request = Request::post("/v1/auth/login").header("content-type", kind);
        request.body(Body::from(body)).unwrap()
    };
    let malformed = door.send(post("{\"email\":\n oops}", "application/json")).await.expect(400);
    assert_eq!(malformed["code"], "MALFORMED_JSON");
    assert!(text(&malformed["detail"]).contains("line 2 column 2"), "{malformed}");
    let form = door.send(post("email=ada", "application/x-www-form-urlencoded")).await;
    assert_eq!(form.expect(415)["code"], "UNSUPPORTED_MEDIA_TYPE");
    let deep: &'static str = Box::leak("[".repeat(100_000).into_boxed_str());
    door.send(post(deep, "application/json")).await.expect(413);
    let deep: &'static str =
        Box::leak(format!("{{\"email\":{}1", "[".repeat(60_000)).into_boxed_str());
    door.send(post(deep, "application/json")).await.expect(400);
    let put = door.call("", "PUT /v1/auth/login", json!({})).await;
    assert!(put.header("allow").contains("POST"), "{:?}", put.headers);
    assert_eq!(put.expect(405)["code"], "METHOD_NOT_ALLOWED");
    door.call("", "TRACE /v1/auth/login", Value::Null).await.expect(405);
    let missing = door.get("", "/v1/nope").await.expect(404);
    assert_eq!(
        (&missing["code"], &missing["detail"]),
        (&json!("NO_ROUTE"), &json!("Cannot GET /v1/nope"))
    );
}

#[tokio::test]
async fn a_failing_store_is_told_apart_from_a_wrong_request() {
    for (error, status, code, wait) in [
        (StoreError::Full, 507, "STORAGE_FULL", ""),
        (StoreError::Overloaded, 503, "OVERLOADED", "1"),
        (StoreError::Unavailable("secret path".into()), 503, "UNAVAILABLE", "5"),
        (StoreError::Ended, 503, "UNAVAILABLE", "5"),
        (StoreError::Fenced, 503, "UNAVAILABLE", "1"),
        (StoreError::Inconsistent { table: "t", id: "secret".into() }, 500, "INTERNAL", ""),
    ] {
        let door = Door::new();
        let (_, ada) = door.register("ada").await;
        let room = door.channel(&ada, "public").await;
        door.world.store.fail_writes(error);
        let line = format!("POST /v1/rooms/{room}/messages");
        let answer = door.call(&ada, &line, json!({"content": "x"})).await;
        assert_eq!(answer.header("retry-after"), wait);
        assert!(!answer.text.contains("secret"), "{}", answer.text);
        assert_eq!(answer.expect(status)["code"], code);
        assert_eq!(door.get(&ada, &format!("/v1/rooms/{room}/messages")).await.status, 200);
    }
}

#[tokio::test]
async fn a_client_that_sends_too_much_can_still_read_why() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    let door = Door::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, door.router).into_future());
    let length = 5_000_000;
    let head = format!(
        "POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; length]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("BODY_TOO_LARGE"), "{answer}");
    server.abort();
}
