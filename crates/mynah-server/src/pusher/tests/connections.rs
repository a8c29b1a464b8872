//! How connections begin and end.

use mynah_hub::CloseReason;

use super::*;

#[tokio::test]
async fn the_first_frame_says_the_socket_id_and_how_long_silence_may_last() {
    let house = House::new().await;
    let mut client = house.dial("/app/shop-key?protocol=7&client=js&version=8.6.0").await;
    let hello = client.next().await;
    assert_eq!(hello["event"], "pusher:connection_established");
    assert_eq!(data(&hello)["activity_timeout"], 30);
    assert!(data(&hello)["socket_id"].as_str().unwrap().parse::<SocketId>().is_ok());
    assert_eq!(house.channels.connections(&house.app().id), 1);
    client.close().await;
    until(|| house.channels.connections(&house.app().id) == 0).await;
}

#[tokio::test]
async fn whatever_is_wrong_is_told_by_a_close_code_after_the_handshake() {
    let mut full = app("full");
    full.limits.connections_max = Some(1);
    let disabled = App { is_enabled: false, ..app("disabled") };
    let house = House::with(vec![app("shop"), full, disabled], |_| {}).await;
    let first = house.client_of("full").await;
    for (path, code) in [
        ("/app/nobody?protocol=7", 4001),
        ("/app/shop-ke?protocol=7", 4001),
        ("/app/shop-key%00?protocol=7", 4001),
        ("/app/disabled-key?protocol=7", 4003),
        ("/app/full-key?protocol=7", 4004),
        ("/app/?protocol=7", 4005),
        ("/app?protocol=7", 4005),
        ("/app/shop-key/more?protocol=7", 4005),
        ("/app/shop-key?protocol=seven", 4006),
        ("/app/shop-key?protocol=99", 4007),
        ("/app/shop-key?protocol=4", 4007),
        ("/app/shop-key", 4008),
    ] {
        let mut client = house.dial(path).await;
        let (ended, frames) = client.end().await;
        assert_eq!(ended, Some(code), "{path}");
        assert_eq!(frames.len(), 1, "{path}");
        assert_eq!(frames[0]["event"], "pusher:error", "{path}");
        assert_eq!(frames[0]["data"]["code"], code, "{path}");
    }
    // A place that is left is free.
    first.close().await;
    let full = &house.apps[1].id;
    until(|| house.channels.connections(full) == 0).await;
    house.client_of("full").await;
}

#[tokio::test]
async fn a_server_that_goes_sends_everybody_away_for_a_moment() {
    let house = House::new().await;
    let mut client = house.client().await;
    house.is_draining.store(true, Ordering::Relaxed);
    assert_eq!(house.dial("/app/shop-key?protocol=7").await.end().await.0, Some(4100));
    house.channels.hub().ask_to_leave(usize::MAX).await;
    let (code, frames) = client.end().await;
    assert_eq!(code, Some(4100));
    assert_eq!(frames[0]["data"]["code"], 4100);
    until(|| house.channels.connections(&house.app().id) == 0).await;
}

#[tokio::test]
async fn the_door_stands_behind_a_prefix() {
    let house = House::with(vec![app("shop")], |config| config.path_prefix = "/ws".into()).await;
    let mut client = house.dial("/ws/app/shop-key?protocol=7").await;
    assert_eq!(client.next().await["event"], "pusher:connection_established");
}

#[tokio::test]
async fn pings_of_both_kinds_are_answered() {
    let house = House::new().await;
    let mut client = house.client().await;
    assert_eq!(client.heard().await, [""; 0]);
    client.send_message(OpCode::Ping, b"abc").await;
    assert_eq!(client.next().await["websocket"], "abc");
}

#[tokio::test]
async fn a_silent_client_is_asked_and_then_closed() {
    // The shortest there is: 1.5 s of silence, and 30 s for the answer, which is not waited for here.
    let house = House::with(vec![app("shop")], |config| config.activity_timeout_s = 1).await;
    let mut client = house.client().await;
    assert_eq!(client.next().await["event"], "pusher:ping");
}

#[tokio::test]
async fn broken_frames_of_websocket_end_the_connection() {
    let house = House::new().await;
    let mut client = house.client().await;
    client.stream.write_all(&[0xff, 0xff]).await.unwrap();
    assert_eq!(client.end().await.0, Some(1002));
    let mut client = house.client().await;
    client.send_message(OpCode::Text, &[0xc3, 0x28]).await;
    assert_eq!(client.end().await.0, Some(1007));
    let mut client = house.client().await;
    let mut head = vec![0x81, 0xff];
    head.extend_from_slice(&u64::from(u32::MAX).to_be_bytes());
    head.extend_from_slice(&[1, 2, 3, 4]);
    client.stream.write_all(&head).await.unwrap();
    assert_eq!(client.end().await.0, Some(1009), "before anything of it is kept");
    house.client().await;
}

#[tokio::test]
async fn a_connection_that_vanishes_leaves_nothing_behind() {
    let house = House::new().await;
    let id = &house.app().id;
    let mut client = house.client().await;
    client.join("news", None).await;
    assert_eq!(house.channels.channel(id, "news").unwrap().subscriptions, 1);
    drop(client);
    until(|| house.channels.connections(id) == 0).await;
    assert_eq!(house.channels.channel(id, "news"), None);
    assert_eq!(house.channels.app(house.app()).channels(), 0);
    house.stop.send_replace(listener::Stage::Closed);
    let traffic = house.channels.traffic();
    assert_eq!(traffic.len(), 1);
    let (_, traffic) = &traffic[0];
    assert_eq!((traffic.opened, traffic.closed, traffic.connected), (1, 1, 0));
    assert_eq!(traffic.messages_in, 1);
    assert!(traffic.messages_out >= 2 && traffic.bytes_out > 100, "{traffic:?}");
}

#[tokio::test]
async fn a_connection_that_the_hub_ends_is_cleaned_up_too() {
    let house = House::new().await;
    let mut client = house.client().await;
    client.join("news", None).await;
    let close = mynah_hub::CloseEach { reason: CloseReason::Named("test"), last: None };
    house.channels.hub().close_some(usize::MAX, close).await;
    assert_eq!(client.end().await.0, None);
    drop(client);
    until(|| house.channels.channel(&house.app().id, "news").is_none()).await;
}
