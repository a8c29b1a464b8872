use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use mynah_domain::ports::StoreError;

use super::*;
use crate::http::admin_router;
use crate::origin::Origins;

fn from_origin(method: &str, path: &str, origin: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("origin", origin)
}

fn door_for(origin: &str) -> Door {
    Door::with(|_| HttpOptions {
        origins: Origins::new([origin.to_owned()], false),
        ..HttpOptions::default()
    })
}

#[tokio::test]
async fn request_ids_are_taken_when_harmless_and_made_otherwise() {
    let door = Door::new();
    let asked = |id: &'static str| {
        door.send(Request::get("/health").header("x-request-id", id).body(Body::empty()).unwrap())
    };
    assert_eq!(asked("abc-1.2_3:4").await.header("x-request-id"), "abc-1.2_3:4");
    let made = asked("a b\"<script>").await.header("x-request-id").to_owned();
    let next = asked("").await.header("x-request-id").to_owned();
    assert!(!made.contains('<') && made != next && made.len() > 16, "{made} {next}");
}

#[tokio::test]
async fn every_answer_is_locked_down() {
    let door = Door::new();
    for path in ["/v1/rooms", "/nope", "/health", "/"] {
        let answer = door.get("", path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let csp = answer.header("content-security-policy");
        assert!(csp.starts_with("default-src 'none';"), "{path} {csp}");
        assert!(!csp.contains("unsafe"), "{path} {csp}");
    }
    assert_eq!(door.get("", "/v1/rooms").await.header("cache-control"), "no-store");
}

#[tokio::test]
async fn only_allowed_origins_may_read_answers() {
    let door = door_for("https://chat.example.org");
    let allowed = "https://chat.example.org";
    let request = from_origin("GET", "/v1/rooms", allowed).body(Body::empty()).unwrap();
    let refused = door.send(request).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), allowed, "errors are readable, too");
    assert_eq!(refused.header("access-control-allow-credentials"), "true");
    assert_eq!(refused.header("vary"), "Origin");
    let preflight = from_origin("OPTIONS", "/v1/rooms", allowed)
        .header("access-control-request-method", "POST")
        .body(Body::empty())
        .unwrap();
    let preflight = door.send(preflight).await;
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-methods").contains("POST"));
    assert!(preflight.header("access-control-allow-headers").contains("Authorization"));
    for forged in [
        "https://chat.example.org.evil.example",
        "https://evil.example",
        "http://chat.example.org",
        "https://chat.example.org:8443",
        "https://CHAT.example.org",
        "null",
        "",
    ] {
        let request = from_origin("GET", "/v1/rooms", forged).body(Body::empty()).unwrap();
        let answer = door.send(request).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{forged}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{forged}");
    }
}

#[tokio::test]
async fn pages_may_read_what_the_answer_says_about_itself() {
    let door = door_for("https://chat.example.org");
    let request = from_origin("GET", "/health", "https://chat.example.org").body(Body::empty());
    let exposed = door.send(request.unwrap()).await;
    for header in ["X-Request-Id", "Idempotent-Replayed", "Retry-After", "ETag"] {
        assert!(exposed.header("access-control-expose-headers").contains(header), "{header}");
    }
    assert_eq!(door.get("", "/health").await.header("vary"), "Origin", "for caches between");
}

#[tokio::test]
async fn a_star_is_no_origin() {
    let door = door_for("*");
    for origin in ["https://evil.example", "*"] {
        let request = from_origin("GET", "/health", origin).body(Body::empty()).unwrap();
        let answer = door.send(request).await;
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{origin}");
    }
}

#[tokio::test]
async fn a_refused_preflight_says_nothing() {
    let preflight = from_origin("OPTIONS", "/v1/rooms", "https://evil.example")
        .header("access-control-request-method", "DELETE")
        .header("access-control-request-headers", "authorization")
        .body(Body::empty())
        .unwrap();
    let preflight = door_for("https://chat.example.org").send(preflight).await;
    assert_eq!(preflight.status, 204);
    for name in preflight.headers.keys() {
        assert!(!name.as_str().starts_with("access-control-"), "{name}");
    }
}

#[tokio::test]
async fn readiness_follows_the_store() {
    let ok = json!({"status": "ok", "info": {"storage": {"status": "up"}}, "error": {},
        "details": {"storage": {"status": "up"}}});
    let door = Door::new();
    for path in ["/ready", "/readyz"] {
        assert_eq!(door.get("", path).await.expect(200), ok);
    }
    for (error, why) in [
        (StoreError::Overloaded, "has too much to do"),
        (StoreError::Ended, "its writer has ended; start this process anew"),
        (StoreError::Unavailable("secret host".to_owned()), "does not work"),
    ] {
        let down = Door::new();
        down.world.store.fail_writes(error);
        let report = down.get("", "/ready").await.expect(503);
        assert_eq!(report["error"]["storage"], json!({"status": "down", "message": why}));
    }
    let down = Door::new();
    down.world.store.fail_writes(StoreError::Ended);
    for path in ["/health", "/healthz", "/livez"] {
        assert_eq!(down.get("", path).await.expect(200)["status"], "ok");
    }
}

#[tokio::test]
async fn a_draining_process_wants_no_traffic() {
    let door = Door::with(|house| {
        house.health.drain();
        HttpOptions::default()
    });
    assert_eq!(door.get("", "/readyz").await.expect(503)["status"], "shutting_down");
}

#[tokio::test]
async fn a_leaving_process_says_so_and_serves_on() {
    let door = Door::new();
    door.house.health.leave();
    assert_eq!(door.get("", "/readyz").await.expect(503)["status"], "shutting_down");
    assert!(!door.house.health.is_draining());
    door.register("ada").await;
}

#[tokio::test]
async fn a_probe_tells_who_asks_if_it_is_asked() {
    let door = Door::with(|_| {
        let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        HttpOptions { trusted_proxies, ..HttpOptions::default() }
    });
    let asked = async |peer: &str| {
        let mut request = Request::builder().uri("/livez?client");
        request = request.header("x-forwarded-for", "203.0.113.9");
        let mut request = request.body(Body::empty()).unwrap();
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        request.extensions_mut().insert(ConnectInfo(peer));
        door.send(request).await.expect(200)
    };
    let told = |client, believed| json!({"status": "ok", "client": client, "forwarded": true, "believed": believed});
    assert_eq!(asked("10.1.1.1").await, told("203.0.113.9", true));
    assert_eq!(asked("192.0.2.1").await, told("192.0.2.1", false));
}

#[tokio::test]
async fn requests_are_counted_by_template_and_never_by_path() {
    let door = Door::new();
    door.get("", "/v1/rooms/secret-room?token=secret-token").await.expect(401);
    let router = admin_router(door.house.clone());
    let admin = Door { router, ..Door::new() };
    let text = admin.get("", "/metrics").await.text;
    let line =
        "mynah_http_requests_total{method=\"GET\",route=\"/v1/rooms/{roomId}\",status=\"401\"} 1";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("mynah_refused_tokens_total{outcome=\"missing\"} 1"), "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(door.get("", "/metrics").await.status, 404, "not on the public listener");
}

#[tokio::test]
async fn the_page_or_how_to_build_it_is_at_the_root() {
    let door = Door::new();
    let page = door.get("", "/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("npm run build") || page.text.contains("<!doctype html"));
    for path in ["/assets/../Cargo.toml", "/..%2fCargo.toml", "/assets/nope.js"] {
        assert_eq!(door.get("", path).await.status, 404, "{path}");
    }
}
