use mynah_domain::account::SessionRules;

use super::*;
use crate::rate::RateLimits;

#[tokio::test]
async fn an_account_signs_in_by_address_or_username() {
    let door = Door::new();
    let form = json!({"email": " Ada@Example.org ", "name": "Ada L.", "password": "correct horse",
        "role": "owner", "id": "chosen", "tenantId": "other", "isAdmin": true});
    let made = door.call("", "POST /v1/auth/register", form).await.expect(201);
    assert_eq!(made["user"]["email"], "ada@example.org");
    assert_eq!(made["user"]["username"], "ada");
    assert_eq!(made["user"]["name"], "Ada L.");
    assert_eq!(made["user"]["role"], "member", "privileged fields have no effect");
    assert_ne!(made["user"]["id"], "chosen");
    assert_eq!(made["user"]["createdAt"], "2026-11-21T10:00:00.000Z");
    assert_eq!(made["expiresIn"], 900);
    for login in [json!({"email": "ADA@example.org"}), json!({"username": "ada"})] {
        let mut form = login;
        form["password"] = json!("correct horse");
        let session = door.call("", "POST /v1/auth/login", form).await.expect(200);
        let me = door.get(&text(&session["accessToken"]), "/v1/auth/me").await.expect(200);
        assert_eq!(me, made["user"]);
    }
}

#[tokio::test]
async fn wrong_passwords_and_unknown_users_look_the_same() {
    let door = Door::new();
    door.register("ada").await;
    let mut answers = Vec::new();
    for login in ["ada", "nobody"] {
        let form = json!({"username": login, "password": "wrong"});
        let mut refused = door.call("", "POST /v1/auth/login", form).await.expect(401);
        assert_eq!(refused["code"], "WRONG_CREDENTIALS");
        refused["requestId"] = Value::Null;
        refused["timestamp"] = Value::Null;
        answers.push(refused);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_bad_registration_names_every_broken_rule() {
    let door = Door::new();
    let form = json!({"email": "plain", "username": 7, "name": " ", "password": "short"});
    let refused = door.call("", "POST /v1/auth/register", form).await.expect(400);
    assert_eq!(refused["code"], "VALIDATION");
    assert_eq!(
        refused["message"],
        json!([
            "username must be a string",
            "email must be an email",
            "name must not be empty",
            "password must be longer than or equal to 8 characters"
        ])
    );
    assert_eq!(refused["errors"][3]["path"], "password");
    assert_eq!(refused["errors"][3]["code"], "too_small");
    let taken = json!({"email": "ada@example.org", "password": "correct horse"});
    door.call("", "POST /v1/auth/register", taken.clone()).await.expect(201);
    for (field, other, code) in
        [("username", "other", "EMAIL_TAKEN"), ("email", "ada@other.example", "USERNAME_TAKEN")]
    {
        let mut form = taken.clone();
        form[field] = json!(other);
        let refused = door.call("", "POST /v1/auth/register", form).await.expect(409);
        assert_eq!(refused["code"], code);
    }
}

#[tokio::test]
async fn refresh_tokens_are_exchanged_once_and_reuse_ends_the_sign_in() {
    let door = Door::new();
    let form = json!({"email": "ada@example.org", "password": "correct horse"});
    let first = door.call("", "POST /v1/auth/register", form).await.expect(201);
    let refresh = async |token: &Value| {
        door.call("", "POST /v1/auth/refresh", json!({"refreshToken": token})).await
    };
    let second = refresh(&first["refreshToken"]).await.expect(200);
    assert_ne!(second["refreshToken"], first["refreshToken"]);
    let access = text(&second["accessToken"]);
    door.get(&access, "/v1/users/me").await.expect(200);
    let sibling = refresh(&first["refreshToken"]).await.expect(200);
    assert_ne!(sibling["refreshToken"], second["refreshToken"], "another tab, within the grace");
    let grace_ms = SessionRules::default().grace_ms;
    door.world.clock.advance_ms(grace_ms.cast_signed() + 1);
    let reused = refresh(&first["refreshToken"]).await.expect(401);
    assert_eq!(reused["code"], "TOKEN_REUSED");
    assert_eq!(door.get(&access, "/v1/users/me").await.expect(401)["code"], "TOKEN_REVOKED");
    assert_eq!(refresh(&second["refreshToken"]).await.expect(401)["code"], "INVALID_REFRESH_TOKEN");
}

#[tokio::test]
async fn signing_out_ends_the_access_token_at_once() {
    let door = Door::new();
    let (_, first) = door.register("ada").await;
    let form = json!({"username": "ada", "password": "correct horse"});
    let second = door.call("", "POST /v1/auth/login", form.clone()).await.expect(200);
    let second = text(&second["accessToken"]);
    door.call(&first, "POST /v1/auth/logout", Value::Null).await.expect(200);
    assert_eq!(door.get(&first, "/v1/users/me").await.expect(401)["code"], "TOKEN_REVOKED");
    door.get(&second, "/v1/users/me").await.expect(200);
    door.call(&second, "POST /v1/auth/logout-all", Value::Null).await.expect(200);
    assert_eq!(door.get(&second, "/v1/users/me").await.expect(401)["code"], "TOKEN_REVOKED");
}

#[tokio::test]
async fn signing_out_works_even_for_callers_who_hang_up() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    let hanging_up = door.call(&ada, "POST /v1/auth/logout", Value::Null);
    assert!(futures_util::future::poll_immediate(Box::pin(hanging_up)).await.is_none());
    tokio::task::yield_now().await;
    assert_eq!(door.get(&ada, "/v1/users/me").await.expect(401)["code"], "TOKEN_REVOKED");
}

#[tokio::test]
async fn the_own_profile_changes_for_tokens_given_before_too() {
    let door = Door::new();
    let (_, ada) = door.register("ada").await;
    let form = json!({"name": "Countess", "role": "owner", "username": "root"});
    let changed = door.call(&ada, "PATCH /v1/users/me", form).await.expect(200);
    assert_eq!((&changed["name"], &changed["username"]), (&json!("Countess"), &json!("ada")));
    let identified = door.house.identity.verify(&ada).await.unwrap();
    assert_eq!(identified.profile.name, "Countess");
}

#[tokio::test]
async fn others_see_only_the_public_part_of_a_profile() {
    let door = Door::new();
    let (ada_id, _) = door.register("ada").await;
    let (_, bob) = door.register("bob").await;
    let profile = json!({"id": ada_id, "username": "ada", "name": "ada"});
    assert_eq!(door.get(&bob, &format!("/v1/users/{ada_id}")).await.expect(200), profile);
    let found = door.get(&bob, "/v1/users/search?q=ad").await.expect(200);
    assert_eq!(found["items"], json!([profile]));
    assert_eq!(door.get(&bob, "/v1/users/nobody").await.expect(404)["code"], "USER_NOT_FOUND");
    let form = json!({"userIds": [ada_id]});
    let there = door.call(&bob, "POST /v1/presence/query", form).await.expect(200);
    assert_eq!(there["users"][0]["status"], "offline");
}

#[tokio::test]
async fn too_many_sign_ins_have_to_wait() {
    let door = Door::with(|house| {
        house.limits = Arc::new(RateLimits::standard());
        HttpOptions::default()
    });
    let form = json!({"username": "ada", "password": "wrong"});
    for _ in 0..5 {
        door.call("", "POST /v1/auth/login", form.clone()).await.expect(401);
    }
    let refused = door.call("", "POST /v1/auth/login", form.clone()).await;
    assert_eq!(refused.header("ratelimit-policy"), "\"login\";q=5;w=900");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=180).contains(&wait), "{wait}");
    assert_eq!(refused.expect(429)["code"], "RATE_LIMITED");
    let nest = door.call("", "POST /auth/login", form).await;
    assert_eq!(
        nest.text,
        r#"{"statusCode":429,"message":"ThrottlerException: Too Many Requests"}"#
    );
}
