//! Whatever a client sends, the door stands.

use super::*;

#[tokio::test]
async fn no_frame_stops_anything() {
    let house = House::new().await;
    let mut witness = house.client().await;
    let deep = |n: usize| "[".repeat(n);
    let nested = |n: usize| {
        format!(r#"{{"event":"client-x","channel":"a","data":{}{}}}"#, deep(n), "]".repeat(n))
    };
    for text in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "\"x\"".to_owned(),
        "{".to_owned(),
        deep(50_000),
        nested(20_000),
        r#"{"event":null}"#.to_owned(),
        r#"{"event":7}"#.to_owned(),
        r#"{"event":"pusher:subscribe"}"#.to_owned(),
        r#"{"event":"pusher:subscribe","data":null}"#.to_owned(),
        r#"{"event":"pusher:subscribe","data":[]}"#.to_owned(),
        r#"{"event":"pusher:subscribe","data":{}}"#.to_owned(),
        r#"{"event":"pusher:subscribe","data":{"channel":7}}"#.to_owned(),
        r#"{"event":"pusher:subscribe","data":{"channel":null,"auth":""}}"#.to_owned(),
        r#"{"event":"pusher:subscribe","data":{"channel":"private-a","auth":7}}"#.to_owned(),
        r#"{"event":"pusher:subscribe","data":{"channel":"presence-a","auth":"a:b","channel_data":7}}"#
            .to_owned(),
        r#"{"event":"pusher:unsubscribe"}"#.to_owned(),
        r#"{"event":"pusher:unsubscribe","data":{"channel":{}}}"#.to_owned(),
        r#"{"event":"pusher:signin"}"#.to_owned(),
        r#"{"event":"client-x"}"#.to_owned(),
        r#"{"event":"client-x","channel":{}}"#.to_owned(),
        r#"{"event":"\ud800","data":"\ud800"}"#.to_owned(),
        r#"{"event":"unheard-of"}"#.to_owned(),
        r#"{"event":"pusher:pong"}"#.to_owned(),
    ] {
        let mut client = house.client().await;
        client.send_text(&text).await;
        // Either it goes on, or it was closed in an orderly way.
        client.send(json!({ "event": "pusher:ping" })).await;
        let start: String = text.chars().take(80).collect();
        loop {
            match client.receive().await {
                Received::Frame(frame) if frame["event"] == "pusher:pong" => break,
                Received::Frame(frame) => {
                    let event = frame["event"].as_str().unwrap();
                    assert!(event.ends_with("error"), "{start}: {frame}");
                }
                Received::Closed(code) => panic!("{start}: closed with {code:?}"),
            }
        }
    }
    let mut client = house.client().await;
    client.send_message(OpCode::Binary, &[0, 1, 2, 255]).await;
    assert_eq!(client.heard().await, [""; 0]);
    let text = json!({ "event": "pusher:subscribe", "data": { "channel": "news" } }).to_string();
    client.send_message(OpCode::Binary, text.as_bytes()).await;
    assert_eq!(client.heard().await, ["pusher_internal:subscription_succeeded"]);
    assert_eq!(witness.heard().await, [""; 0]);
}

#[tokio::test]
async fn data_may_be_encoded_twice() {
    let house = House::new().await;
    let mut client = house.client().await;
    let inner = json!({ "channel": "news" }).to_string();
    client.send(json!({ "event": "pusher:subscribe", "data": inner })).await;
    assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
}

#[tokio::test]
async fn a_message_over_several_frames_and_reads_is_one() {
    let house = House::new().await;
    let mut client = house.client().await;
    let text = json!({ "event": "pusher:subscribe", "data": { "channel": "news" } }).to_string();
    let mut bytes = Vec::new();
    websocket::encode_masked(OpCode::Text, text.as_bytes(), [9, 8, 7, 6], &mut bytes);
    for byte in bytes {
        client.stream.write_all(&[byte]).await.unwrap();
        client.stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
}
