//! Clients of Socket.IO 2.

use super::*;

const OPEN: &str = "EIO=3&transport=polling";

fn at(method: &str, query: &str) -> Builder {
    Request::builder().method(method).uri(format!("/socket.io/?{query}"))
}

fn kind(response: &Response) -> &str {
    response.headers()["content-type"].to_str().unwrap()
}

/// Begins a session; gives the query of its requests.
async fn open(house: &House, query: &str) -> String {
    let response = house.answer(at("GET", &format!("{OPEN}{query}")), "").await;
    assert_eq!(response.status(), StatusCode::OK);
    let text = text(response).await;
    let (_, rest) = text.split_once("sid").unwrap();
    let sid = rest.split(['"', '\\']).find(|part| part.len() > 1).unwrap();
    format!("{OPEN}&sid={sid}")
}

#[tokio::test]
async fn the_open_packet_is_that_of_revision_4_with_its_length() {
    let house = House::new();
    let response = house.answer(at("GET", OPEN), "").await;
    assert_eq!(kind(&response), "text/plain; charset=UTF-8");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let text = text(response).await;
    let (length, packet) = text.split_once(':').unwrap();
    assert_eq!(length, packet.len().to_string());
    let open: serde_json::Value = serde_json::from_str(&packet[1..]).unwrap();
    assert_eq!(open["upgrades"], serde_json::json!(["websocket"]));
}

#[tokio::test]
async fn who_does_not_want_revision_3_refuses_it() {
    let house = House::changed(Limits::default(), |options| options.allow_eio3 = false);
    let refused = house.answer(at("GET", OPEN), "").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let body = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    assert_eq!(text(refused).await, body);
    // Without a number it is nobody's revision.
    let refused = House::new().answer(at("GET", "transport=polling"), "").await;
    assert_eq!(text(refused).await, body);
}

#[tokio::test]
async fn pings_are_answered_and_unread_answers_do_not_pile_up() {
    let house = House::new();
    let query = open(&house, "&b64=1").await;
    for _ in 0..3_000 {
        let posted = house.answer(at("POST", &query), "1:2").await;
        assert_eq!(posted.status(), StatusCode::OK);
    }
    let pongs = text(house.answer(at("GET", &query), "").await).await;
    assert_eq!(pongs, "1:3");
    // The client asks; it does not answer.
    let refused = house.answer(at("POST", &query), "1:3").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn binary_comes_as_the_first_request_wanted_it() {
    let house = House::new();
    let base64 = open(&house, "&b64=1").await;
    assert_eq!(house.answer(at("POST", &base64), "5:4echo").await.status(), StatusCode::OK);
    let answer = house.answer(at("GET", &base64), "").await;
    assert_eq!(kind(&answer), "text/plain; charset=UTF-8");
    assert_eq!(text(answer).await, "5:4back10:b4AQIDBA==");

    let raw = open(&house, "").await;
    let body = [&[0, 5, 255][..], b"4echo", &[1, 3, 255, 4, 7, 8]].concat();
    let post = at("POST", &raw).header("content-type", "application/octet-stream");
    assert_eq!(house.answer(post, body).await.status(), StatusCode::OK);
    assert_eq!(house.heard.lock().texts.last().unwrap(), r#"b"\x07\x08""#);
    let answer = house.answer(at("GET", &raw), "").await;
    assert_eq!(kind(&answer), "application/octet-stream");
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, [&[0, 5, 255][..], b"4back", &[1, 5, 255, 4], BYTES].concat());
}

#[tokio::test]
async fn revision_4_never_takes_raw_bytes() {
    let house = House::new();
    let sid = house.open().await;
    let post = at("POST", &format!("EIO=4&transport=polling{sid}"));
    let post = post.header("content-type", "application/octet-stream");
    assert_eq!(house.answer(post, "4hello").await.status(), StatusCode::BAD_REQUEST);
    house.until(|heard| heard.closed == 1).await;
    assert_eq!(house.call("GET", &sid, "").await.status(), StatusCode::BAD_REQUEST);
    assert!(house.heard.lock().texts.is_empty());
}

#[tokio::test]
async fn hostile_bodies_end_the_session() {
    let house = House::new();
    for (round, body) in (1..).zip(["", "abc", "99:4x", "1:7", "1:0", "2:b2", "1:5"]) {
        let query = open(&house, "&b64=1").await;
        let refused = house.answer(at("POST", &query), body).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{body}");
        house.until(|heard| heard.closed == round).await;
        let gone = house.answer(at("GET", &query), "").await;
        assert_eq!(gone.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let query = open(&house, "&b64=1").await;
    let refused = house.answer(at("POST", &query), "1:2".repeat(1_001)).await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn scripts_and_forms_where_nothing_else_works() {
    let house = House::new();
    let response = house.answer(at("GET", &format!("{OPEN}&b64=1&j=12")), "").await;
    assert_eq!(kind(&response), "text/javascript; charset=UTF-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let script = text(response).await;
    assert!(script.starts_with("___eio[12](\"") && script.ends_with("\");"), "{script}");
    let query = open(&house, "&b64=1&j=12").await;
    let form = |body: &str| {
        let post = at("POST", &query).header("content-type", "application/x-www-form-urlencoded");
        house.answer(post, body.to_owned())
    };
    assert_eq!(form("d=6%3A4a%5Cn%2Bb%C3%A9").await.status(), StatusCode::OK);
    assert_eq!(house.heard.lock().texts, ["a\n+bé"]);
    assert_eq!(form("d=5:4echo").await.status(), StatusCode::OK);
    let script = text(house.answer(at("GET", &query), "").await).await;
    assert_eq!(script, "___eio[12](\"5:4back10:b4AQIDBA==\");");
    assert_eq!(form("e=5:4echo").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn revision_4_gets_no_scripts() {
    let response = House::new().call("GET", "&j=0&b64=1", "").await;
    assert_eq!(kind(&response), "text/plain; charset=UTF-8");
    assert!(text(response).await.starts_with("0{"));
}
