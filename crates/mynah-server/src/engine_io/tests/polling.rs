//! Polling and its way to a WebSocket, row by row.

use super::leaving::{Client, serve};
use super::*;

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn answers_are_of_the_kinds_that_clients_expect() {
    let house = House::new();
    let open = house.call("GET", "&t=abc&b64=1", "").await;
    assert_eq!(header(&open, "content-type"), "text/plain; charset=UTF-8");
    assert_eq!(header(&open, "cache-control"), "no-store");
    let sid = house.open().await;
    let posted = house.call("POST", &sid, "4hello").await;
    assert_eq!(header(&posted, "content-type"), "text/html");
    assert_eq!(text(posted).await, "ok");
    let refused = house.call("PUT", &sid, "4hello").await;
    assert_eq!(header(&refused, "content-type"), "application/json");
    assert_eq!(text(refused).await, r#"{"code":3,"message":"Bad request"}"#);
}

#[tokio::test]
async fn a_refused_upgrade_is_text_and_the_end_of_the_connection() {
    let house = House::new();
    for (query, message) in [
        ("EIO=4", "Transport unknown"),
        ("EIO=2&transport=websocket", "Unsupported protocol version"),
        ("EIO=4&transport=websocket&sid=none", "Session ID unknown"),
    ] {
        let request = Request::get(format!("/socket.io/?{query}"))
            .header("connection", "upgrade")
            .header("upgrade", "websocket");
        let refused = house.answer(request, "").await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
        assert_eq!(header(&refused, "content-type"), "text/html");
        assert_eq!(header(&refused, "connection"), "close");
        assert_eq!(text(refused).await, message);
    }
}

#[tokio::test]
async fn a_second_post_at_once_ends_the_session() {
    let house = House::new();
    let sid = house.open().await;
    let (first, second) = tokio::join!(house.call("POST", &sid, "4wait"), async {
        house.until(|heard| heard.begun == 1).await;
        let second = house.call("POST", &sid, "4next").await;
        house.gate.add_permits(1);
        second
    });
    assert_eq!(second.status(), StatusCode::BAD_REQUEST);
    assert!(first.status() == StatusCode::OK || first.status() == StatusCode::BAD_REQUEST);
    house.until(|heard| heard.closed == 1).await;
    assert_eq!(house.heard.lock().texts, ["wait"]);
}

#[tokio::test]
async fn only_the_server_pings() {
    let house = House::new();
    let sid = house.open().await;
    assert_eq!(house.call("POST", &sid, "2").await.status(), StatusCode::BAD_REQUEST);
    house.until(|heard| heard.closed == 1).await;
}

#[tokio::test]
async fn long_answers_are_compressed_for_who_takes_them() {
    let house = House::new();
    let sid = house.open().await;
    let get = || Request::get(format!("/socket.io/?EIO=4&transport=polling{sid}"));
    for coding in ["gzip", "deflate"] {
        house.call("POST", &sid, "4much").await;
        let answer = house.answer(get().header("accept-encoding", coding), "").await;
        assert_eq!(header(&answer, "content-encoding"), coding);
        assert!(answer.into_body().collect().await.unwrap().to_bytes().len() < 200);
    }
    house.call("POST", &sid, "4much").await;
    let answer = house.answer(get(), "").await;
    assert!(!answer.headers().contains_key("content-encoding"));
    assert_eq!(text(answer).await.len(), 5_000);
}

#[tokio::test]
async fn polling_goes_on_when_the_probe_dies() {
    let house = House::new();
    let address = serve(&house).await;
    let sid = house.open().await;
    let mut probe = Client::connect(address, &format!("EIO=4{sid}")).await;
    probe.send("2probe").await;
    assert_eq!(probe.text().await, "3probe");
    drop(probe);
    assert_eq!(house.call("POST", &sid, "4echo").await.status(), StatusCode::OK);
    let mut answer = text(house.call("GET", &sid, "").await).await;
    while answer == "6" {
        answer = text(house.call("GET", &sid, "").await).await;
    }
    assert!(answer.contains("4back"), "{answer}");
    // And another upgrade may be tried.
    let session = house.edge.registry.find(&sid[5..]).unwrap();
    while session.probing.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    let mut second = Client::connect(address, &format!("EIO=4{sid}")).await;
    second.send("2probe").await;
    assert_eq!(second.text().await, "3probe");
}
