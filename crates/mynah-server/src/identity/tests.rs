use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mynah_domain::account::Registration;
use serde_json::json;

use super::*;
use crate::test_world::{NOW, SECRET, World};

const NOW_S: i64 = NOW / 1_000;

fn sign(algorithm: hmac::Algorithm, secret: &[u8], head: &str, claims: &str) -> String {
    let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), body.as_bytes());
    format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn hs256(head: &str, claims: &str) -> String {
    sign(hmac::HMAC_SHA256, SECRET, head, claims)
}

const HEAD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

async fn ada(world: &Arc<World>) -> (Identity, SignedIn) {
    let accounts = world.house().accounts;
    let form = Registration {
        email: "ada@example.org".to_owned(),
        username: None,
        name: Some("Ada".to_owned()),
        password: "correct horse".to_owned(),
    };
    let signed_in = accounts.register(&TenantId::single(), form).await.unwrap();
    (world.identity(accounts, false), signed_in)
}

#[tokio::test]
async fn a_token_of_ours_names_its_user_until_it_ends() {
    let world = World::new();
    let (identity, signed_in) = ada(&world).await;
    let tokens = identity.issue(&signed_in).unwrap();
    assert_eq!(tokens.expires_in, 900);
    let identified = identity.verify(&tokens.access).await.unwrap();
    assert_eq!(identified.actor.user, signed_in.user.id);
    assert_eq!(identified.profile.name, "Ada");
    assert_eq!(identified.family.as_ref(), Some(&signed_in.family));
    assert_eq!(identified.expires_at, Timestamp(NOW + 900_000));
    world.clock.advance_ms(904_999);
    assert!(identity.verify(&tokens.access).await.is_ok());
    world.clock.advance_ms(1);
    assert_eq!(identity.verify(&tokens.access).await, Err(IdentityError::Expired));
}

#[tokio::test]
async fn a_storm_of_reconnects_asks_the_store_once_per_user() {
    let world = World::new();
    let (identity, signed_in) = ada(&world).await;
    let access = identity.issue(&signed_in).unwrap().access;
    // A process that did not issue the token itself, e.g. after a restart.
    let identity = world.identity(world.house().accounts, false);
    let before = world.store.calls();
    for _ in 0..100 {
        identity.verify(&access).await.unwrap();
    }
    assert_eq!(world.store.calls() - before, 2, "one for the sign-in, one for the user");
}

#[tokio::test]
async fn an_ended_sign_in_ends_its_tokens_at_once() {
    let world = World::new();
    let (identity, signed_in) = ada(&world).await;
    let access = identity.issue(&signed_in).unwrap().access;
    assert!(identity.verify(&access).await.is_ok());
    world.house().accounts.logout(&signed_in.family).await.unwrap();
    identity.forget_sign_in(&signed_in.family);
    assert_eq!(identity.verify(&access).await, Err(IdentityError::Revoked));
}

#[tokio::test]
async fn a_failing_store_is_no_reason_to_call_a_token_wrong() {
    let world = World::new();
    let (identity, signed_in) = ada(&world).await;
    let access = identity.issue(&signed_in).unwrap().access;
    let identity = world.identity(world.house().accounts, false);
    world.store.fail(StoreError::Overloaded);
    assert_eq!(identity.verify(&access).await, Err(IdentityError::Unavailable));
}

#[tokio::test]
async fn tokens_of_the_teams_own_issuer_name_users_by_any_of_three_claims() {
    let world = World::new();
    let (identity, signed_in) = ada(&world).await;
    let ada = signed_in.user.id.as_str();
    let exp = NOW_S + 60;
    for claims in [
        json!({"sub": ada, "exp": exp}),
        json!({"userId": ada, "exp": exp, "role": "owner", "tenantId": "other"}),
        json!({"id": ada, "exp": exp, "iss": "https://issuer.example", "name": 7}),
    ] {
        let identified = identity.verify(&hs256(HEAD, &claims.to_string())).await.unwrap();
        assert_eq!(identified.actor.user, signed_in.user.id);
        assert_eq!((identified.actor.role, identified.family), (Role::Member, None));
        assert_eq!(identified.actor.tenant, TenantId::single());
    }
    let unknown = hs256(HEAD, &json!({"sub": "bob", "name": "Bob", "exp": exp}).to_string());
    assert_eq!(identity.verify(&unknown).await, Err(IdentityError::UnknownUser));
    let provisioning = world.identity(world.house().accounts, true);
    let bob = provisioning.verify(&unknown).await.unwrap();
    assert_eq!((bob.profile.name.as_str(), bob.actor.role), ("Bob", Role::Member));
}

/// Tokens that must not be accepted, by name.
#[expect(clippy::too_many_lines, reason = "a table")]
fn zoo(ada: &str, sid: &str) -> Vec<(&'static str, String)> {
    let exp = NOW_S + 900;
    let own = json!({"iss": "mynah", "sub": ada, "sid": sid, "tid": "default", "iat": NOW_S,
        "exp": exp});
    let good = own.to_string();
    let token = hs256(HEAD, &good);
    let parts: Vec<&str> = token.split('.').collect();
    let (head, body, tag) = (parts[0], parts[1], parts[2]);
    let b64 = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = own.clone();
        claims[name] = value;
        hs256(HEAD, &claims.to_string())
    };
    let without = |name: &str| {
        let mut claims = own.clone();
        claims.as_object_mut().unwrap().remove(name);
        hs256(HEAD, &claims.to_string())
    };
    let headed = |head: &str| hs256(head, &good);
    let foreign = |claims: serde_json::Value| hs256(HEAD, &claims.to_string());
    let doubled = format!("{},\"sub\":\"root\"}}", good.trim_end_matches('}'));
    let key = URL_SAFE_NO_PAD.encode(SECRET);
    let jwk = format!(r#"{{"alg":"HS256","typ":"JWT","jwk":{{"kty":"oct","k":"{key}"}}}}"#);
    vec![
        ("empty", String::new()),
        ("a word", "token".to_owned()),
        ("dots only", "..".to_owned()),
        ("one part", head.to_owned()),
        ("two parts", format!("{head}.{body}")),
        ("empty signature", format!("{head}.{body}.")),
        ("empty head", format!(".{body}.{tag}")),
        ("empty body", format!("{head}..{tag}")),
        ("fourth part", format!("{token}.{tag}")),
        ("leading part", format!("{head}.{token}")),
        ("truncated signature", token[..token.len() - 4].to_owned()),
        ("padded signature", format!("{token}=")),
        ("trailing line end", format!("{token}\n")),
        ("leading space", format!(" {token}")),
        ("signature of nothing", format!("{head}.{body}.{}", b64(""))),
        ("foreign body", format!("{head}.{}.{tag}", b64(r#"{"sub":"root"}"#))),
        ("alg none", format!("{}.{body}.", b64(r#"{"alg":"none"}"#))),
        ("alg None", format!("{}.{body}.", b64(r#"{"alg":"None","typ":"JWT"}"#))),
        ("alg NONE", format!("{}.{body}.{tag}", b64(r#"{"alg":"NONE","typ":"JWT"}"#))),
        ("alg none, signed", headed(r#"{"alg":"none","typ":"JWT"}"#)),
        ("alg hs256", headed(r#"{"alg":"hs256","typ":"JWT"}"#)),
        ("alg missing", headed(r#"{"typ":"JWT"}"#)),
        ("alg empty", headed(r#"{"alg":"","typ":"JWT"}"#)),
        ("alg list", headed(r#"{"alg":["HS256"],"typ":"JWT"}"#)),
        ("alg RS256", headed(r#"{"alg":"RS256","typ":"JWT"}"#)),
        ("alg ES256", headed(r#"{"alg":"ES256","typ":"JWT"}"#)),
        ("alg EdDSA", headed(r#"{"alg":"EdDSA","typ":"JWT"}"#)),
        ("alg PS256", headed(r#"{"alg":"PS256","typ":"JWT"}"#)),
        (
            "HS384 with our key",
            sign(hmac::HMAC_SHA384, SECRET, r#"{"alg":"HS384","typ":"JWT"}"#, &good),
        ),
        (
            "HS512 with our key",
            sign(hmac::HMAC_SHA512, SECRET, r#"{"alg":"HS512","typ":"JWT"}"#, &good),
        ),
        ("HS512 said, HS256 done", headed(r#"{"alg":"HS512","typ":"JWT"}"#)),
        (
            "wrong secret",
            sign(hmac::HMAC_SHA256, b"another secret of 32 bytes at least", HEAD, &good),
        ),
        ("empty secret", sign(hmac::HMAC_SHA256, b"", HEAD, &good)),
        ("secret", sign(hmac::HMAC_SHA256, b"secret", HEAD, &good)),
        ("wrong typ", headed(r#"{"alg":"HS256","typ":"refresh+jwt"}"#)),
        ("typ number", headed(r#"{"alg":"HS256","typ":1}"#)),
        ("nested token", headed(r#"{"alg":"HS256","typ":"JWT","cty":"JWT"}"#)),
        ("jku", headed(r#"{"alg":"HS256","typ":"JWT","jku":"https://evil.example/k"}"#)),
        ("x5u", headed(r#"{"alg":"HS256","typ":"JWT","x5u":"https://evil.example/c"}"#)),
        ("x5c", headed(r#"{"alg":"HS256","typ":"JWT","x5c":["MIIB"]}"#)),
        ("jwk", headed(&jwk)),
        ("crit", headed(r#"{"alg":"HS256","typ":"JWT","crit":["b64"],"b64":false}"#)),
        ("zip", headed(r#"{"alg":"HS256","typ":"JWT","zip":"DEF"}"#)),
        ("doubled alg", headed(r#"{"alg":"none","alg":"HS256","typ":"JWT"}"#)),
        ("head no object", headed(r#"["HS256"]"#)),
        ("body no object", hs256(HEAD, "[]")),
        ("body no JSON", hs256(HEAD, "sub=root")),
        ("body not UTF-8", {
            let body = format!("{head}.{}", URL_SAFE_NO_PAD.encode([0xff, 0xfe]));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), body.as_bytes());
            format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag))
        }),
        ("doubled claim", hs256(HEAD, &doubled)),
        ("exp past", with("exp", json!(NOW_S - 6))),
        ("exp long past", with("exp", json!(0))),
        ("exp negative", with("exp", json!(-1))),
        ("exp missing", without("exp")),
        ("exp null", with("exp", json!(null))),
        ("exp text", with("exp", json!(exp.to_string()))),
        ("exp list", with("exp", json!([exp]))),
        ("exp beyond numbers", hs256(HEAD, &good.replace(&exp.to_string(), "1e999"))),
        ("nbf future", with("nbf", json!(NOW_S + 61))),
        ("nbf text", with("nbf", json!("0"))),
        ("iat future", with("iat", json!(NOW_S + 61))),
        ("sub missing", without("sub")),
        ("sub empty", with("sub", json!(""))),
        ("sub number", with("sub", json!(1))),
        ("sub list", with("sub", json!([ada]))),
        ("sub with spaces", with("sub", json!("a b"))),
        ("sub too long", with("sub", json!("x".repeat(65)))),
        ("sub unknown", with("sub", json!("nobody"))),
        ("sid missing", without("sid")),
        ("sid unknown", with("sid", json!("another"))),
        ("sid number", with("sid", json!(1))),
        ("tid missing", without("tid")),
        ("tid of another tenant", with("tid", json!("other"))),
        ("iss list", with("iss", json!(["mynah"]))),
        ("huge claim", with("pad", json!("x".repeat(TOKEN_BYTES_MAX)))),
        ("foreign without user", foreign(json!({"exp": exp}))),
        ("foreign without exp", foreign(json!({"sub": ada}))),
        ("foreign with numeric id", foreign(json!({"id": 1, "exp": exp}))),
        ("foreign refresh token", foreign(json!({"sub": ada, "exp": exp, "type": "refresh"}))),
    ]
}

#[tokio::test]
async fn no_forged_token_is_accepted() {
    let world = World::new();
    let (_, signed_in) = ada(&world).await;
    let zoo = zoo(signed_in.user.id.as_str(), signed_in.family.as_str());
    assert!(zoo.len() >= 40);
    // The animals differ from this one, which passes, by one trait each.
    let (user, family) = (signed_in.user.id.as_str(), signed_in.family.as_str());
    let tame = json!({"iss": "mynah", "sub": user, "sid": family, "tid": "default",
        "iat": NOW_S, "exp": NOW_S + 900});
    let identity = world.identity(world.house().accounts, false);
    assert!(identity.verify(&hs256(HEAD, &tame.to_string())).await.is_ok());
    for (name, token) in zoo {
        let identity = world.identity(world.house().accounts, false);
        assert!(identity.verify(&token).await.is_err(), "accepted: {name}");
    }
}

#[tokio::test]
async fn small_clock_differences_are_tolerated() {
    let world = World::new();
    let (identity, signed_in) = ada(&world).await;
    let access = identity.issue(&signed_in).unwrap().access;
    world.clock.set(Timestamp(NOW - 60_000));
    assert!(identity.verify(&access).await.is_ok());
    world.clock.set(Timestamp(NOW - 61_000));
    assert_eq!(identity.verify(&access).await, Err(IdentityError::Malformed));
}
