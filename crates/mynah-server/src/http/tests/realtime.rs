//! The realtime endpoints of chat front ends.

use mynah_domain::app::{App, AppKey, AppSecret};
use mynah_domain::ports::StoreError;
use mynah_domain::room::Role;
use mynah_domain::{AppId, TenantId, Timestamp, UserId};
use mynah_protocol::pusher::ChannelName;
use mynah_protocol::pusher::signature::Auth;
use tokio::time::{Duration, Instant, timeout};

use super::*;
use crate::config::PusherConfig;
use crate::http::operators_router;
use crate::origin::Origins;
use crate::rate::RateLimits;
use crate::test_world::{APP_KEY, APP_SECRET, NOW};

const PREFIXES: [&str; 4] = ["/v1", "", "/api", "/api/v1"];
const SOCKET: &str = "123.456";

/// Whether our app signed this answer.
#[track_caller]
fn assert_signed(answer: &Value, channel: &str) {
    let auth = Auth::split(answer["auth"].as_str().unwrap()).unwrap();
    let data = answer["channel_data"].as_str();
    assert_eq!(auth.key, APP_KEY);
    let channel = ChannelName::parse(channel, 200).unwrap();
    assert!(auth.signs_channel(APP_SECRET, SOCKET.parse().unwrap(), &channel, data), "{answer}");
}

impl Door {
    async fn form(&self, token: &str, path: &str, body: &str) -> Answered {
        let mut request = Request::post(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Asks for one channel.
    async fn ask(&self, token: &str, channel: &str) -> Answered {
        let body = json!({"socket_id": SOCKET, "channel_name": channel});
        self.call(token, "POST /chat/realtime/auth", body).await
    }
}

fn key(key: &str, created_at: i64, expires_at: Option<i64>) -> AppKey {
    AppKey {
        key: key.to_owned(),
        secret: AppSecret::new(format!("secret of {key}")),
        created_at: Timestamp(created_at),
        expires_at: expires_at.map(Timestamp),
    }
}

fn app(keys: Vec<AppKey>) -> App {
    let mut app = App::new(AppId::trusted("app-id"), TenantId::single(), key("unused", NOW, None));
    app.keys = keys;
    app
}

fn door_of(apps: impl IntoIterator<Item = App>, change: impl FnOnce(&mut PusherConfig)) -> Door {
    let world = World::new();
    let house = world.house();
    let mut settings = PusherConfig::default();
    change(&mut settings);
    let realtime = world.realtime_of(&house, apps, settings);
    Door::of(world, house, HttpOptions { realtime, ..HttpOptions::default() })
}

#[tokio::test]
async fn front_ends_are_told_where_to_connect() {
    let door = Door::with_app();
    let (_, token) = door.register("ada").await;
    for prefix in PREFIXES {
        for token in ["", "nonsense", &token] {
            let mut request = Request::get(format!("{prefix}/chat/realtime/config"));
            request = request.header("host", "chat.example.org:6001");
            request = request.header("authorization", format!("Bearer {token}"));
            let answer = door.send(request.body(Body::empty()).unwrap()).await;
            assert!(!answer.text.contains(APP_SECRET));
            assert_eq!(answer.header("cache-control"), "no-store");
            let config = json!({
                "key": APP_KEY, "host": "chat.example.org", "port": 6_001, "useTLS": false,
                "appId": "app-id", "cluster": "mt1",
            });
            assert_eq!(answer.expect(200), json!({"success": true, "config": config}));
        }
    }
}

#[tokio::test]
async fn settings_say_where_clients_connect() {
    let old = key("old", NOW - 1_000, Some(NOW + 60_000));
    let new = key("new", NOW, Some(NOW + 30_000));
    let door = door_of([app(vec![new, old])], |settings| {
        settings.public.host = Some("ws.example.org".to_owned());
        settings.public.port = Some(443);
        settings.public.tls = Some(true);
        settings.public.cluster = "eu".to_owned();
        settings.path_prefix = "/ws".to_owned();
    });
    let config = json!({
        "key": "new", "host": "ws.example.org", "port": 443, "useTLS": true,
        "appId": "app-id", "cluster": "eu", "wsPath": "/ws",
    });
    let answer = door.get("", "/chat/realtime/config").await.expect(200);
    assert_eq!(answer["config"], config);
    // A key that has ended is not given out.
    door.world.clock.advance_ms(30_000);
    let answer = door.get("", "/chat/realtime/config").await.expect(200);
    assert_eq!(answer["config"]["key"], "old");
    door.world.clock.advance_ms(30_000);
    let answer = door.get("", "/chat/realtime/config").await.expect(200);
    assert_eq!(answer["success"], false);
}

#[tokio::test]
async fn switched_off_is_no_error_to_the_config_and_one_to_the_signature() {
    let mut disabled = app(vec![key("k", NOW, None)]);
    disabled.is_enabled = false;
    let off = door_of([app(vec![key("k", NOW, None)])], |settings| settings.enabled = false);
    for door in [off, door_of([], |_| {}), door_of([disabled], |_| {}), Door::new()] {
        let (_, token) = door.register("ada").await;
        let answer = door.get(&token, "/api/chat/realtime/config").await;
        let off = json!({"success": false, "message": "Realtime is switched off."});
        assert_eq!(answer.expect(200), off);
        let answer = door.ask(&token, "presence-tenant.default.online").await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.expect(503), json!({"error": "Realtime is switched off."}));
    }
}

#[tokio::test]
async fn members_get_signatures_in_every_spelling() {
    let door = Door::with_app();
    let (ada, token) = door.register("ada").await;
    let thread = format!("presence-tenant.default.thread.bo--{ada}");
    let scheduled = format!("private-scheduled.default.{ada}");
    for prefix in PREFIXES {
        for path in ["/chat/realtime/auth", "/broadcasting/auth", "/pusher/auth"] {
            let path = format!("{prefix}{path}");
            let form = format!("socket_id={SOCKET}&channel_name={thread}");
            let answer = door.form(&token, &path, &form).await.expect(200);
            assert_signed(&answer, &thread);
            let data: Value = serde_json::from_str(&text(&answer["channel_data"])).unwrap();
            let info = json!({
                "name": "ada", "email": "ada@example.org", "role": "member",
                "tenantId": "default",
            });
            assert_eq!(data, json!({"user_id": ada, "user_info": info}));
            let body = json!({
                "socket_id": SOCKET, "channel_name": scheduled,
                "channel_data": "{\"user_id\":\"somebody else\"}",
            });
            let answer = door.call(&token, &format!("POST {path}"), body).await.expect(200);
            assert_signed(&answer, &scheduled);
            assert_eq!(answer.as_object().unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn every_refusal_has_its_status() {
    let door = Door::with_app();
    let (_, token) = door.register("ada").await;
    let online = "presence-tenant.default.online";
    for path in ["/v1/chat/realtime/auth", "/chat/realtime/auth", "/api/broadcasting/auth"] {
        for (token, form, status, error) in [
            ("", format!("socket_id=1.2&channel_name={online}"), 401, "Unauthorized"),
            ("", String::new(), 401, "Unauthorized"),
            (
                "nonsense",
                format!("socket_id=1.2&channel_name={online}"),
                401,
                "the access token is malformed",
            ),
            (&token, format!("channel_name={online}"), 400, "socket_id is missing."),
            (&token, "socket_id=1.2&channel_name=".to_owned(), 400, "channel_name is missing."),
            (
                &token,
                "socket_id=1.2&channel_name=private-a b".to_owned(),
                400,
                "The channel name has characters that are not allowed.",
            ),
            (
                &token,
                format!("socket_id=1.2&channel_name=private-{}", "x".repeat(300)),
                400,
                "The channel name is longer than the allowed 200 characters.",
            ),
            (
                &token,
                "socket_id=1.2&channel_name=private-tenant.default.tickets".to_owned(),
                403,
                "This channel is for the tenant's staff.",
            ),
            (
                &token,
                "socket_id=1.2&channel_name=private-news".to_owned(),
                403,
                "This channel does not belong to the chat: the app's own back end must sign for it.",
            ),
        ] {
            let answer = door.form(token, path, &form).await;
            assert_eq!(answer.header("content-type"), "application/json");
            let challenge = if status == 401 { "Bearer" } else { "" };
            assert_eq!(answer.header("www-authenticate"), challenge);
            assert_eq!(answer.expect(status), json!({"error": error}), "{form}");
        }
    }
}

#[tokio::test]
async fn who_comes_with_an_expired_token_is_told_to_renew_it() {
    let door = Door::with_app();
    let (_, token) = door.register("ada").await;
    door.ask(&token, "presence-tenant.default.online").await.expect(200);
    door.world.clock.advance_ms(1_000_000);
    let answer = door.ask(&token, "presence-tenant.default.online").await.expect(401);
    assert_eq!(answer, json!({"error": "the access token has expired"}));
}

#[tokio::test]
async fn sockets_sign_in_by_a_form_without_a_channel() {
    let door = Door::with_app();
    let (ada, token) = door.register("ada").await;
    for path in [
        "/chat/realtime/auth",
        "/api/chat/realtime/user-auth",
        "/broadcasting/user-auth",
        "/pusher/user-auth",
    ] {
        let answer = door.form(&token, path, &format!("socket_id={SOCKET}")).await.expect(200);
        let data = text(&answer["user_data"]);
        let auth = text(&answer["auth"]);
        let auth = Auth::split(&auth).unwrap();
        assert!(auth.signs_user(APP_SECRET, SOCKET.parse().unwrap(), &data));
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!((&data["id"], &data["user_info"]["name"]), (&json!(ada), &json!("ada")));
    }
    let body = json!({"socket_id": SOCKET});
    let answer = door.call(&token, "POST /pusher/user-auth", body.clone()).await.expect(200);
    assert_ne!(text(&answer["user_data"]), "");
    // Where channels are asked for, JSON without one is a call that forgot it.
    door.call(&token, "POST /chat/realtime/auth", body).await.expect(400);
}

#[tokio::test]
async fn many_channels_are_answered_at_once_each_for_itself() {
    let door = Door::with_app();
    let (_, token) = door.register("ada").await;
    let (online, tickets) = ("presence-tenant.default.online", "private-tenant.default.tickets");
    let form = format!(
        "socket_id={SOCKET}&channel_name[]={online}&channel_name[]={tickets}&channel_name[]=%21"
    );
    let answer = door.form(&token, "/chat/realtime/auth", &form).await.expect(200);
    assert_eq!(answer[online]["status"], 200);
    assert_signed(&answer[online]["data"], online);
    let refused = json!({"status": 403, "error": "This channel is for the tenant's staff."});
    assert_eq!(answer[tickets], refused);
    assert_eq!(answer["!"]["status"], 400);
    assert_eq!(answer.as_object().unwrap().len(), 3);
}

#[tokio::test]
async fn a_storm_of_calls_reads_each_member_once() {
    let door = Door::with_app();
    let (ada, token) = door.register("ada").await;
    door.ask(&token, "presence-tenant.default.online").await.expect(200);
    let before = door.world.store.calls();
    for _ in 0..100 {
        door.ask(&token, &format!("presence-tenant.default.thread.{ada}--bo")).await.expect(200);
        door.ask(&token, "private-news").await.expect(403);
    }
    assert_eq!(door.world.store.calls(), before);
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_again_and_again_gets_the_same_answer_later() {
    let world = World::new();
    let mut house = world.house();
    house.limits = Arc::new(RateLimits::standard());
    let realtime = world.realtime(&house);
    let door = Door::of(world, house, HttpOptions { realtime, ..HttpOptions::default() });
    let (_, token) = door.register("ada").await;
    let start = Instant::now();
    for _ in 0..60 {
        door.ask(&token, "private-news").await.expect(403);
        door.ask("", "private-news").await.expect(401);
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    for (token, status) in [(&*token, 403), ("", 401)] {
        let start = Instant::now();
        let answer = door.ask(token, "private-news").await;
        assert!(start.elapsed() >= Duration::from_secs(1));
        assert_ne!(answer.header("retry-after"), "");
        answer.expect(status);
    }
    // What it may have it gets at once.
    let start = Instant::now();
    door.ask(&token, "presence-tenant.default.online").await.expect(200);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn pages_of_other_origins_may_ask_if_they_are_named() {
    let page = "https://app.example.org";
    let world = World::new();
    let house = world.house();
    let realtime = world.realtime(&house);
    let origins = Origins::new([page.to_owned()], false);
    let options = HttpOptions { origins, realtime, ..HttpOptions::default() };
    let door = Door::of(world, house, options);
    for path in ["/chat/realtime/auth", "/api/chat/realtime/config", "/v1/broadcasting/auth"] {
        let preflight = |origin: &str| {
            Request::options(path)
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization,content-type,x-app")
                .body(Body::empty())
                .unwrap()
        };
        let answer = door.send(preflight(page)).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("access-control-allow-origin"), page);
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        let headers = "authorization,content-type,x-app";
        assert_eq!(answer.header("access-control-allow-headers"), headers);
        assert!(answer.header("access-control-allow-methods").contains("POST"));
        let stranger = door.send(preflight("https://evil.test")).await;
        assert_eq!(stranger.header("access-control-allow-origin"), "");
        // Without a page behind it.
        let plain = door.send(Request::options(path).body(Body::empty()).unwrap()).await;
        assert_eq!(plain.status, StatusCode::NO_CONTENT);
        assert!(plain.header("allow").contains("OPTIONS"), "{path}");
    }
    // Refusals can be read by the page, too.
    let request = Request::post("/chat/realtime/auth").header("origin", page);
    let answer = door.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("access-control-allow-origin"), page);
    assert_eq!(answer.header("vary"), "Origin");
    answer.expect(401);
}

#[tokio::test]
async fn caches_are_cleared_by_admins_and_operators() {
    let door = Door::with_app();
    let (ada, token) = door.register("ada").await;
    let cleared = json!({
        "success": true, "cleared": ["apps", "realtime.config", "realtime.members"],
    });
    for prefix in PREFIXES {
        let line = format!("POST {prefix}/admin/cache/clear");
        door.call("", &line, Value::Null).await.expect(401);
        door.call(&token, &line, Value::Null).await.expect(403);
    }
    let ada = UserId::trusted(ada);
    door.world.store.promote(&ada, Role::Admin);
    door.house.identity.forget_user(&TenantId::single(), &ada);
    for prefix in PREFIXES {
        let line = format!("POST {prefix}/admin/cache/clear");
        assert_eq!(door.call(&token, &line, Value::Null).await.expect(200), cleared);
    }
    let realtime = door.world.realtime(&door.house);
    let operators = operators_router(realtime);
    let request = Request::post("/admin/cache/clear").body(Body::empty()).unwrap();
    let response = operators.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_asks_while_the_store_is_away_is_answered_when_it_is_back() {
    let door = Arc::new(Door::with_app());
    let channel = "presence-tenant.default.online";
    for (name, call, body) in [
        ("ada", "POST /pusher/auth", json!({"socket_id": SOCKET, "channel_name": channel})),
        ("bo", "POST /pusher/user-auth", json!({"socket_id": SOCKET})),
    ] {
        let (_, token) = door.register(name).await;
        door.world.store.fail(StoreError::Unavailable("away".to_owned()));
        let mut asking = {
            let door = Arc::clone(&door);
            tokio::spawn(async move { door.call(&token, call, body).await })
        };
        let early = timeout(Duration::from_secs(20), &mut asking).await;
        assert!(early.is_err(), "a front end takes a refusal for good");
        door.world.store.mend();
        asking.await.unwrap().expect(200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_told_before_a_proxy_gives_up() {
    let door = Door::with_app();
    let (_, token) = door.register("ada").await;
    door.world.store.fail(StoreError::Unavailable("secret host".to_owned()));
    let start = Instant::now();
    let answer = door.ask(&token, "presence-tenant.default.online").await.expect(503);
    assert_eq!(answer, json!({"error": "Realtime is unavailable now; try again shortly."}));
    assert!(start.elapsed() <= Duration::from_secs(25), "{:?}", start.elapsed());
    let names = json!({"socket_id": SOCKET, "channel_name":
        ["presence-tenant.default.online", "private-tenant.default.tickets"]});
    let start = Instant::now();
    let both = door.call(&token, "POST /chat/realtime/auth", names).await.expect(200);
    assert_eq!(both["presence-tenant.default.online"]["status"], 503);
    assert_eq!(both["private-tenant.default.tickets"]["status"], 403, "needs no store");
    assert!(start.elapsed() <= Duration::from_secs(25), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_asking_again_cannot_mend_is_told_at_once() {
    let door = Door::with_app();
    let (_, token) = door.register("ada").await;
    let (table, id) = ("users", "7".to_owned());
    door.world.store.fail(StoreError::Inconsistent { table, id });
    let start = Instant::now();
    let answer = door.ask(&token, "presence-tenant.default.online").await.expect(503);
    let text = "Realtime cannot answer this: something that is stored is wrong.";
    assert_eq!(answer, json!({"error": text}));
    assert_eq!(start.elapsed(), Duration::ZERO);
}
