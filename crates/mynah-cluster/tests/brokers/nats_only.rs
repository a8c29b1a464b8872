//! What only NATS has.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mynah_cluster::TlsOptions;
use mynah_cluster::nats::{self, NatsOptions, SignIn};
use mynah_hub::BrokerEvent;
use nkeys::KeyPair;

use crate::certificates::Authority;
use crate::node::{Kind, Node, message, short};
use crate::servers;

fn options(url: String) -> NatsOptions {
    NatsOptions { timing: short(), ..NatsOptions::new(url) }
}

#[tokio::test]
async fn a_node_does_not_hear_itself() {
    let server = servers::nats(&[]).await;
    let mut ann = Node::up(Kind::Nats, server.port).await;
    let bob = Node::up(Kind::Nats, server.port).await;
    assert!(ann.hear(&["r:1"]).await);
    ann.say("r:1", "own");
    bob.say("r:1", "other");
    ann.expect(message("r:1", "other")).await;
}

#[tokio::test]
async fn users_and_tokens_sign_in() {
    let server = servers::nats(&["--user", "ann", "--pass", "s3cret"]).await;
    let place = format!("127.0.0.1:{}", server.port);
    Node::nats(&options(format!("nats://ann:s3cret@{place}"))).expect(BrokerEvent::Up).await;
    Node::nats(&options(format!("nats://ann:wrong@{place}"))).expect(BrokerEvent::Down).await;
    Node::nats(&options(format!("nats://{place}"))).expect(BrokerEvent::Down).await;

    let server = servers::nats(&["--auth", "t0ken"]).await;
    let place = format!("127.0.0.1:{}", server.port);
    Node::nats(&options(format!("nats://t0ken@{place}"))).expect(BrokerEvent::Up).await;
    Node::nats(&options(format!("nats://wrong@{place}"))).expect(BrokerEvent::Down).await;
}

#[tokio::test]
async fn the_other_server_of_a_cluster_takes_over() {
    let mut one = servers::nats(&[]).await;
    let two = servers::nats(&[]).await;
    let url = format!("nats://127.0.0.1:{},127.0.0.1:{}", one.port, two.port);
    let mut ann = Node::nats(&options(url));
    ann.expect(BrokerEvent::Up).await;
    assert!(ann.hear(&["r:1"]).await);
    one.kill().await;
    ann.expect(BrokerEvent::Down).await;
    ann.expect(BrokerEvent::Up).await;
    let bob = Node::up(Kind::Nats, two.port).await;
    bob.say("r:1", "hello");
    ann.expect(message("r:1", "hello")).await;
}

#[tokio::test]
async fn tls_is_spoken_with_an_authority_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (cert_path, key_path) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let server = servers::nats(&["--tls", "--tlscert", cert_path, "--tlskey", key_path]).await;
    let tls = TlsOptions { ca_file: Some(certificate.clone()), ..TlsOptions::default() };
    // The server asks for TLS; the url need not.
    let url = format!("nats://localhost:{}", server.port);
    let timing = mynah_cluster::Timing::default();
    let mut ann = Node::nats(&NatsOptions { tls: tls.clone(), timing, ..options(url.clone()) });
    ann.expect(BrokerEvent::Up).await;
    let mut bob = Node::nats(&NatsOptions { tls, timing, ..options(url.clone()) });
    bob.expect(BrokerEvent::Up).await;
    assert!(bob.hear(&["r:1"]).await);
    ann.say("r:1", vec![b'x'; 100_000]);
    bob.expect(message("r:1", vec![b'x'; 100_000])).await;

    Node::nats(&options(url)).expect(BrokerEvent::Down).await;
}

#[tokio::test]
async fn a_message_larger_than_the_server_takes_is_told_and_harms_nothing() {
    let server = servers::nats(&[]).await;
    let limits = mynah_cluster::Limits { message_bytes_max: 4 << 20, ..Default::default() };
    let place = format!("127.0.0.1:{}", server.port);
    let mut ann = Node::with(Kind::Nats, &place, limits, mynah_cluster::Timing::default());
    ann.expect(BrokerEvent::Up).await;
    ann.say("r:1", vec![0; 2 << 20]);
    ann.expect(BrokerEvent::Unsent).await;
    assert!(ann.hear(&["r:1"]).await);
    assert_eq!(ann.broker.stats().connects, 1);
}

#[tokio::test]
async fn a_server_that_asks_for_certificates_is_shown_one() {
    let authority = Authority::new();
    let (server, client) = (authority.vouch("localhost"), authority.vouch("mynah"));
    let (ca, [cert, key]) = (authority.file(), server.paths());
    let options_of_server =
        ["--tlsverify", "--tlscacert", ca.to_str().unwrap(), "--tlscert", cert, "--tlskey", key];
    let server = servers::nats(&options_of_server).await;
    let url = format!("nats://localhost:{}", server.port);
    let with = |tls| NatsOptions { tls, ..options(url.clone()) };
    let timing = mynah_cluster::Timing::default();
    let shown = authority.believed_as(&client);
    let mut ann = Node::nats(&NatsOptions { timing, ..with(shown.clone()) });
    ann.expect(BrokerEvent::Up).await;
    assert!(ann.hear(&["r:1"]).await);
    Node::nats(&with(authority.believed())).expect(BrokerEvent::Down).await;
    let elsewhere = TlsOptions { server_name: Some("other.internal".to_owned()), ..shown };
    Node::nats(&with(elsewhere)).expect(BrokerEvent::Down).await;
}

#[tokio::test]
async fn what_is_meant_to_be_encrypted_is_not_sent_in_the_clear() {
    let server = servers::nats(&[]).await;
    let authority = Authority::new();
    let url = format!("nats://127.0.0.1:{}", server.port);
    Node::nats(&NatsOptions { tls: authority.believed(), ..options(url.clone()) })
        .expect(BrokerEvent::Down)
        .await;
    Node::nats(&options(url)).expect(BrokerEvent::Up).await;
}

#[tokio::test]
async fn settings_sign_in_instead_of_the_url() {
    let server = servers::nats(&["--user", "ann", "--pass", "p@ss:w/rd"]).await;
    let user = SignIn::User { name: "ann".to_owned(), password: "p@ss:w/rd".to_owned() };
    signs_in(&server, user).expect(BrokerEvent::Up).await;
    signs_in(&server, SignIn::Token("ann".to_owned())).expect(BrokerEvent::Down).await;

    let server = servers::nats(&["--auth", "t0k/en"]).await;
    signs_in(&server, SignIn::Token("t0k/en".to_owned())).expect(BrokerEvent::Up).await;
}

fn signs_in(server: &servers::Server, sign_in: SignIn) -> Node {
    let url = format!("nats://other:wrong@127.0.0.1:{}", server.port);
    Node::nats(&NatsOptions { sign_in: Some(sign_in), ..options(url) })
}

#[tokio::test]
async fn the_seed_of_a_known_nkey_signs_in() {
    let (known, stranger) = (KeyPair::new_user(), KeyPair::new_user());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nats.conf");
    let public = known.public_key();
    std::fs::write(&file, format!("authorization {{ users = [{{ nkey: {public} }}] }}")).unwrap();
    let server = servers::nats(&["-c", file.to_str().unwrap()]).await;
    let seed = |key: &KeyPair| SignIn::NkeySeed(format!("{}\n", key.seed().unwrap()));
    signs_in(&server, seed(&known)).expect(BrokerEvent::Up).await;
    signs_in(&server, seed(&stranger)).expect(BrokerEvent::Down).await;
}

/// A token as NATS has it: `subject`'s, signed by `issuer`.
fn token(issuer: &KeyPair, subject: &KeyPair, kind: &str) -> String {
    let part = |json: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let head = part(serde_json::json!({"typ": "JWT", "alg": "ed25519-nkey"}));
    let unlimited = serde_json::json!({
        "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
        "conn": -1, "leaf": -1,
    });
    let mut claims = serde_json::json!({"type": kind, "version": 2});
    match kind {
        "account" => claims["limits"] = unlimited,
        _ => claims.as_object_mut().unwrap().extend(unlimited.as_object().unwrap().clone()),
    }
    let body = part(serde_json::json!({
        "jti": "x", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": kind,
        "sub": subject.public_key(), "nats": claims,
    }));
    let signed = issuer.sign(format!("{head}.{body}").as_bytes()).unwrap();
    format!("{head}.{body}.{}", BASE64_URL_SAFE_NO_PAD.encode(signed))
}

#[tokio::test]
async fn a_credentials_file_signs_in() {
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let user = KeyPair::new_user();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nats.conf");
    let configuration = format!(
        "operator: {}\nresolver: MEMORY\nresolver_preload: {{ {}: {} }}\n",
        token(&operator, &operator, "operator"),
        account.public_key(),
        token(&operator, &account, "account"),
    );
    std::fs::write(&file, configuration).unwrap();
    let server = servers::nats(&["-c", file.to_str().unwrap()]).await;
    let credentials = |key: &KeyPair| {
        let path = folder.path().join(format!("{}.creds", key.public_key()));
        let (jwt, seed) = (token(&account, &user, "user"), key.seed().unwrap());
        let text = format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        std::fs::write(&path, text).unwrap();
        SignIn::CredentialsFile(path)
    };
    signs_in(&server, credentials(&user)).expect(BrokerEvent::Up).await;
    signs_in(&server, credentials(&KeyPair::new_user())).expect(BrokerEvent::Down).await;
}

#[test]
fn credentials_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("user.creds");
    let refused = |sign_in| {
        let options =
            NatsOptions { sign_in: Some(sign_in), ..NatsOptions::new("nats://localhost") };
        nats::check(&options).unwrap_err().to_string()
    };
    let start = format!("nats_credentials_file: {}: ", path.display());
    let error = refused(SignIn::CredentialsFile(path.clone()));
    assert!(error.starts_with(&start), "{error}");
    for text in ["", "-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n"] {
        std::fs::write(&path, text).unwrap();
        let error = refused(SignIn::CredentialsFile(path.clone()));
        assert!(error.starts_with(&start), "{error}");
    }
    let account = KeyPair::new_account().seed().unwrap();
    for seed in ["", "secret", &account] {
        let error = refused(SignIn::NkeySeed(seed.to_owned()));
        assert!(error.starts_with("nats_nkey_seed: is no seed"), "{error}");
        assert!(seed.is_empty() || !error.contains(seed), "{error}");
    }
}
