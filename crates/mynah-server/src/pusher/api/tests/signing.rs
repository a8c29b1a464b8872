//! Whose request it is.

use axum::body::Body;
use axum::http::Request;
use mynah_domain::Timestamp;
use mynah_domain::app::{AppKey, AppSecret};
use serde_json::json;

use super::{Call, KEY, SECRET, Shop, altered};
use crate::test_world::NOW;

const EVENT: &str = r#"{"name":"greeting","channel":"news","data":"{}"}"#;

fn event() -> Call {
    Call::post("/apps/shop/events", EVENT)
}

const FAILED: &str = "The secret authentication failed";

#[tokio::test]
async fn a_signed_request_is_served_below_the_prefix_as_well() {
    let shop = Shop::new();
    assert_eq!(shop.send(event().signed()).await.expect(200), json!({"ok": true}));
    let shop = Shop::with(|_| {}, "/ws");
    let call = Call::post("/ws/apps/shop/events", EVENT);
    assert_eq!(shop.send(call.signed()).await.expect(200), json!({"ok": true}));
}

#[tokio::test]
async fn every_part_of_the_signature_counts() {
    let shop = Shop::new();
    for (name, value) in [
        ("auth_signature", None),
        ("auth_signature", Some("")),
        ("auth_signature", Some("00")),
        ("auth_signature", Some(&*"0".repeat(64))),
        ("auth_key", None),
        ("auth_key", Some("other-key")),
        ("auth_timestamp", None),
        ("auth_timestamp", Some("now")),
        ("auth_version", None),
        ("auth_version", Some("2.0")),
        ("body_md5", None),
        ("body_md5", Some(&*"0".repeat(32))),
        ("added", Some("1")),
    ] {
        let answer = shop.send(altered(event().signed(), name, value)).await;
        assert_eq!(answer.refused(401), FAILED, "{name}={value:?}");
    }
    let forged = Call { secret: "guessed", ..event() };
    assert_eq!(shop.send(forged.signed()).await.refused(401), FAILED);
}

#[tokio::test]
async fn a_signature_covers_method_path_and_body() {
    let shop = Shop::new();
    let (parts, _) = event().signed().into_parts();
    let request = Request::from_parts(parts.clone(), Body::from(EVENT.replace("{}", "{ }")));
    assert_eq!(shop.send(request).await.refused(401), FAILED, "another body");
    let request = Request::from_parts(parts.clone(), Body::empty());
    assert_eq!(shop.send(request).await.refused(401), FAILED, "no body");
    let mut moved = parts;
    let uri = moved.uri.to_string().replace("/events", "/batch_events");
    moved.uri = uri.parse().unwrap();
    let request = Request::from_parts(moved, Body::from(EVENT));
    assert_eq!(shop.send(request).await.refused(401), FAILED, "another path");
}

#[tokio::test]
async fn a_captured_request_is_good_for_ten_minutes() {
    let shop = Shop::new();
    for (at, is_good) in [(-600, true), (-601, false), (600, true), (601, false)] {
        let call = Call { at: NOW / 1_000 + at, ..event() };
        let answer = shop.send(call.signed()).await;
        assert_eq!(answer.status, if is_good { 200 } else { 401 }, "{at}: {}", answer.json);
    }
    let of_2001 = Call { at: 1_000_000_000, ..event() };
    let answer = shop.send(of_2001.signed()).await;
    assert!(answer.json["reason"].as_str().unwrap().contains("auth_timestamp"), "{}", answer.json);
}

#[tokio::test]
async fn a_key_of_another_app_opens_nothing() {
    let shop = Shop::new();
    let call = Call { key: "other-key", secret: "other-secret", ..event() };
    assert_eq!(shop.send(call.signed()).await.refused(401), FAILED);
    let call = Call { key: KEY, secret: SECRET, ..Call::get("/apps/other/channels") };
    assert_eq!(shop.send(call.signed()).await.refused(401), FAILED);
}

#[tokio::test]
async fn old_keys_open_until_they_expire() {
    let old = AppKey {
        key: "old".to_owned(),
        secret: AppSecret::new("old-secret"),
        created_at: Timestamp(0),
        expires_at: Some(Timestamp(NOW + 5_000)),
    };
    let shop = Shop::with(|app| app.keys.push(old), "");
    let call = || Call { key: "old", secret: "old-secret", ..event() };
    assert_eq!(shop.send(call().signed()).await.status, 200);
    shop.clock.set(Timestamp(NOW + 5_000));
    assert_eq!(shop.send(call().signed()).await.refused(401), FAILED);
    assert_eq!(shop.send(event().signed()).await.status, 200, "the newer one is still good");
}

#[tokio::test]
async fn disabled_apps_refuse_their_back_end_and_hide_it_from_others() {
    let shop = Shop::with(|app| app.is_enabled = false, "");
    assert_eq!(shop.send(event().signed()).await.refused(403), "The app is not enabled.");
    let forged = Call { secret: "guessed", ..event() };
    assert_eq!(shop.send(forged.signed()).await.refused(401), FAILED);
}

#[tokio::test]
async fn unknown_apps_are_not_found() {
    let shop = Shop::new();
    let answer = shop.send(Call::get("/apps/none/channels").signed()).await;
    assert_eq!(answer.refused(404), "The app none could not be found.");
}

#[tokio::test]
async fn a_refusal_shows_what_had_to_be_signed_but_never_a_secret() {
    let shop = Shop::new();
    let forged = Call { secret: "guessed", ..Call::get("/apps/shop/channels?info=user_count") };
    let body = shop.send(forged.signed()).await.expect(401);
    let reason = body["reason"].as_str().unwrap();
    let at = NOW / 1_000;
    let signed = format!(
        "\"GET\\n/apps/shop/channels\\nauth_key={KEY}&auth_timestamp={at}&auth_version=1.0&info=user_count\""
    );
    assert!(reason.contains(&signed), "{reason}");
    assert!(!reason.contains(SECRET), "{reason}");
}

#[tokio::test]
async fn values_are_signed_decoded_and_paths_as_they_are() {
    let shop = Shop::new();
    // What the Node library signs: nothing is escaped, though a comma may arrive as %2C.
    let call = Call::get("/apps/shop/channels/presence-a?info=user_count,subscription_count");
    let request = call.signed();
    let (mut parts, body) = request.into_parts();
    parts.uri = parts.uri.to_string().replace(',', "%2C").parse().unwrap();
    assert_eq!(shop.send(Request::from_parts(parts, body)).await.status, 200);
    // And of a path: an HTTP client escapes the space after it was signed.
    let call = Call::post("/apps/shop/users/a b/terminate_connections", "{}");
    let pairs = call.pairs();
    let signed = pairs.iter().map(|(key, value)| (&**key, &**value));
    let text = super::signature::request("POST", &call.path, signed);
    let signature = super::signature::of_request(SECRET, &text);
    let sent = Call { path: call.path.replace(' ', "%20"), ..call };
    let mut pairs = pairs;
    pairs.push(("auth_signature".to_owned(), signature));
    assert_eq!(shop.send(sent.with_query(&pairs)).await.status, 200);
}

#[tokio::test]
async fn other_methods_and_broken_paths_are_refused() {
    let shop = Shop::new();
    let answer = shop.send(Call { method: "GET", ..event() }.signed()).await;
    assert_eq!(answer.header("allow"), Some("POST"));
    answer.refused(405);
    let call = Call::get("/apps/shop/channels/%ff");
    shop.send(call.signed()).await.refused(400);
}
